#!/bin/sh
# Every C file of the repository is formatted as .clang-format says, no function is longer than 120 lines, no
# two types have one name, and every .c file begins with a comment.  Skipped without clang-format or git.
cd "$MOESCOPE_SOURCE_ROOT" || exit 1
command -v clang-format >/dev/null && git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77

# A function's body lies between lines that are a brace alone; a type or a table ends with "};" or a name.
git ls-files -z --cached '*.c' '*.h' | xargs -0 awk '
  /^\{$/ { start = FNR }
  /^\}$/ && start {
    if (FNR - start + 1 > 120)
      { printf "%s:%d: a function of %d lines; 120 are the most\n", FILENAME, start, FNR - start + 1; bad = 1 }
    start = 0
  }
  /^\}./ { start = 0 }
  END { exit bad }' || exit 1

# A type is defined where its braces end, or where they begin after its tag; only public ones are named Ms...
git ls-files -z --cached '*.c' '*.h' | xargs -0 awk '
  match ($0, /^\} *Ms[A-Za-z0-9]+;/) || match ($0, /^(struct|union|enum) _?Ms[A-Za-z0-9]+$/) ||
  match ($0, /^typedef .*\(\*Ms[A-Za-z0-9]+\)/) {
    name = substr ($0, RSTART, RLENGTH)
    sub (/^.*[^A-Za-z0-9]Ms/, "Ms", name)
    sub (/[;)]$/, "", name)
    if (name in place)
      { printf "%s:%d: a second type of the name %s, see %s\n", FILENAME, FNR, name, place[name]; bad = 1 }
    place[name] = FILENAME ":" FNR
  }
  END { exit bad }' || exit 1

# What a file is for, and what must hold in it, stands at its head.
git ls-files -z --cached '*.c' | xargs -0 awk '
  FNR == 1 && !/^\/\*/ { printf "%s: no comment at its head\n", FILENAME; bad = 1 }
  END { exit bad }' || exit 1

# No two switches of architectures are the same bit.
twice=$(grep -o 'MS_SWITCH ([0-9]*)' collector/model/architecture-private.h | sort | uniq -d)
[ -z "$twice" ] || { echo "architecture-private.h: $twice stands for two things"; exit 1; }

git ls-files -z --cached '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
