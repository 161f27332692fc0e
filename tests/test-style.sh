#!/bin/sh
# Every C file of the repository is formatted as .clang-format says.  Skipped without clang-format or git.
cd "$MOESCOPE_SOURCE_ROOT" || exit 1
command -v clang-format >/dev/null && git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 77
git ls-files -z --cached '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror
