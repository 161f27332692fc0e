#!/bin/sh
# The main job on the shipped sample: builds moescope, collects the routing of the sample model on the
# evaluation texts, analyses it, and writes a report, tables and figures to demo/.
# Installs what is missing (apt, with sudo unless root).
set -e
cd "$(dirname "$0")/.."
. .ci/packages.sh
install_missing $packages_build

[ -f build/build.ninja ] || meson setup build --buildtype=release -Dwerror=false
ninja -C build app/moescope app/moescope-gui
m=build/app/moescope
mkdir -p demo
rm -f demo/*

step () { printf '\n== %s\n' "$1"; shift; "$@"; }

step 'Collect: every routing decision of the sample model on texts of 22 languages and 5 domains' \
  $m collect samples/moescope-sample.gguf samples/parallel.jsonl samples/domains.jsonl -o demo/run.db
step 'What the file holds' $m info demo/run.db
step 'Analyse: is the load balanced?' $m analyze demo/run.db load --bootstrap 200 -o demo/load.txt
head -n 1 demo/load.txt
step 'Analyse: would a cache of experts hit?' $m analyze demo/run.db cache --bootstrap 0 -o demo/cache.txt
head -n 1 demo/cache.txt
step 'CSV: every decision, and the balance of the layers' \
  $m export demo/run.db routing -o demo/routing.csv
$m analyze demo/run.db load --format csv -o demo/load.csv
step 'Figures for a paper' $m plot demo/run.db load -o demo/load.pdf
$m plot demo/run.db load -o demo/load.svg
$m plot demo/run.db languages -o demo/languages.pdf
step 'Report' $m report demo/run.db -o demo/report.html

printf '\n'
ls -l demo
cat <<'END'

Read the report:   xdg-open demo/report.html
Open the window:   build/app/moescope-gui demo/run.db
END
