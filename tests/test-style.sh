#!/bin/sh
# Every C file of the repository is formatted as .clang-format says, and no function is longer than 120 lines.
# Skipped without clang-format or git.
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
git ls-files -z --cached '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
