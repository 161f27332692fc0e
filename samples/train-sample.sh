#!/bin/sh
# Builds the corpus from Debian packages (about a minute) and trains the sample model as
# samples/README.md says: 65 processor minutes.  Ctrl-C saves; run it again to go on.
# Further options go to `moescope train`, e.g. --steps 20 --cool-down 5 for a try.
set -e
cd "$(dirname "$0")"
LC_ALL=C
export LC_ALL
[ -f corpus/MANIFEST ] || ./make-corpus.py
options="$*"
set --
for text in corpus/heldout/*.txt; do
  set -- "$@" --held-out "$text"
done
exec "${MOESCOPE:-../build/app/moescope}" train corpus/*.txt "$@" \
  -o corpus/moescope-sample.gguf --log corpus/moescope-sample.csv --name "moescope sample" \
  --batch 16 --warm-up 150 --rate 0.002 --steps 3600 --cool-down 900 \
  --checkpoint-every 300 --evaluate-every 300 $options
