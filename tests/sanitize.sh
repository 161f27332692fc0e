#!/bin/sh
# Builds everything but the window with AddressSanitizer and UndefinedBehaviorSanitizer and runs the
# quick tests: sanitize.sh [TEST...].  Leaks count, too, except fontconfig's caches.
set -eu
cd "$(dirname "$0")/.."
# Instrumented code makes the compiler warn where the plain build does not.
[ -d build-asan ] || meson setup build-asan -Db_sanitize=address,undefined -Dwerror=false -Dgui=disabled
ninja -C build-asan
# No detect_stack_use_after_return: gcc 12 does not align its stack frames for 64-byte vectors.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# The leak checker walks the thread-local memory of libraries that were loaded late, as the matrix libraries
# are, and falls over it when their threads end meanwhile.
export ASAN_OPTIONS=intercept_tls_get_addr=0
export LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0"
[ $# -gt 0 ] || set -- --suite quick
exec meson test -C build-asan --no-rebuild --print-errorlogs --timeout-multiplier 5 "$@"
