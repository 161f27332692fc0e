#!/bin/sh
# Nobody asks which mark a plot has: what marks differ in is a member of MsMarkClass, filled in by each mark's
# own file, and views/figure/marks.c alone looks a class up.
cd "$MOESCOPE_SOURCE_ROOT" || exit 1
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77
found=$(git ls-files '*.c' '*.h' | grep -v '^views/figure/marks\.c$' | xargs grep -nE \
  'mark *[!=]= *(&?ms_mark_|MS_MARK_)|(MS_MARK_[A-Z0-9]+|&ms_mark_[a-z]+) *[!=]=|case MS_MARK_|switch \([^)]*mark\)')
[ -z "$found" ] || { printf 'asks which mark it is:\n%s\n' "$found"; exit 1; }
