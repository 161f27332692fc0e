#!/bin/sh
# Draws every plot of every analysis in three themes, to be looked at, with contact sheets.
#   tests/gallery.sh FOLDER [RUN.db [OPTION...]]     OPTION as of `moescope plot`
# MOESCOPE names the program (default build/app/moescope).  The sheets need ImageMagick.
set -e
folder=${1:?usage: tests/gallery.sh FOLDER [RUN.db [OPTION...]]}
database=${2:-$(dirname "$0")/../samples/sample.db}
[ $# -ge 2 ] && shift 2 || shift 1
moescope=${MOESCOPE:-build/app/moescope}
mkdir -p "$folder"

"$moescope" plot --list | while read -r analysis plot title; do
  name=$folder/$analysis-$plot
  "$moescope" plot "$database" "$analysis" --plot "$plot" -o "$name-paper.pdf" "$@" </dev/null ||
    continue
  for theme in screen dark; do
    "$moescope" plot "$database" "$analysis" --plot "$plot" -o "$name-$theme.png" --theme $theme \
      --dpi 96 "$@" </dev/null
  done
  if command -v pdftoppm >/dev/null; then
    pdftoppm -r 150 -png -singlefile "$name-paper.pdf" "$name-paper"
  fi
done 2>"$folder/left-out.txt"

if command -v montage >/dev/null; then
  for theme in paper screen dark; do
    montage -font DejaVu-Sans -label '%t' "$folder"/*-$theme.png -tile 3x4 -geometry '480x420>+8+8' \
      -background '#888' "$folder/sheet-$theme.png"
  done
fi
sort -u "$folder/left-out.txt"
