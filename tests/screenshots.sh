#!/bin/sh
# Portraits of every screen, to be looked at before a release: in light, dark and high contrast, small and
# large, with a sample, two runs, no run, a damaged file and, when given, a large one.
#
#     sh tests/screenshots.sh BUILD FOLDER [LARGE.db]
#
# WAIT: seconds for each picture (120); ONLY: a part of the name of those wanted.
# FOLDER/LOOK-SIZE-FILE/SCREEN.png and, of each folder, a sheet FOLDER/LOOK-SIZE-FILE.png when there is
# ImageMagick.
set -eu
build=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
source=$(dirname "$(dirname "$(realpath "$0")")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sample=$source/samples/sample.db
[ -z "${3-}" ] || ln -s "$(realpath "$3")" "$work/large.db"
ln -s "$sample" "$work/sample.db"
"$build/tests/fixture-file" "$work/two-runs.db"
"$build/tests/fixture-file" "$work/empty.db" empty
head -c 1000000 "$sample" > "$work/damaged.db"

# take LOOK SIZE FILE [SELECTION]
take ()
{
  file=$work/$3.db
  [ "$3" != none ] || file=
  [ -z "$file" ] || [ -e "$file" ] || return 0
  case $1-$2-$3 in *${ONLY-}*) ;; *) return 0 ;; esac
  case $1 in
    dark) export ADW_DEBUG_COLOR_SCHEME=prefer-dark ADW_DEBUG_HIGH_CONTRAST=0 ;;
    contrast) export ADW_DEBUG_COLOR_SCHEME=default ADW_DEBUG_HIGH_CONTRAST=1 ;;
    *) export ADW_DEBUG_COLOR_SCHEME=default ADW_DEBUG_HIGH_CONTRAST=0 ;;
  esac
  out=$folder/$1-$2-$3
  state=$work/state-$1-$2-$3
  xvfb-run -a -s "-screen 0 2560x1440x24" env GSK_RENDERER=cairo GDK_BACKEND=x11 \
    GSETTINGS_BACKEND=memory GDK_DEBUG=default-settings ADW_DISABLE_PORTAL=1 NO_AT_BRIDGE=1 \
    XDG_STATE_HOME="$state" XDG_DATA_HOME="$state" XDG_CONFIG_HOME="$state" LC_ALL=C.UTF-8 \
    "$build/app/moescope-gui" --size "$2" ${4:+--select "$4"} --screenshot-wait "${WAIT-120}" \
    --screenshot-all "$out" ${file:+"$file"}
  if command -v montage > /dev/null
  then montage -font DejaVu-Sans -label '%t' "$out"/*.png -tile 3x -geometry 960x+8+8 "$out.png"
  fi
  echo "$out"
}

two="base=1 layer=0..1 expert=0..3"
take light 1280x800 none
take light 1280x800 sample
take light 1280x800 two-runs "$two"
take light 1280x800 empty
take light 1280x800 damaged
take light 1280x800 large
take dark 1280x800 sample
take dark 1280x800 two-runs "$two"
take contrast 1280x800 sample
take contrast 1280x800 two-runs "$two"
take contrast 1024x600 sample
take contrast 1024x600 two-runs "$two"
take light 1024x600 sample
take light 1024x600 two-runs "$two"
take light 1024x600 empty
take light 2560x1440 sample
take light 2560x1440 two-runs "$two"
take dark 1280x800 large
take dark 2560x1440 large
take light 360x700 sample
take light 360x700 two-runs "$two"
