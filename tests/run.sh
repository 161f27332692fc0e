#!/bin/sh
# Installs what is missing, builds moescope and runs every test: once as it ships, then the quick ones
# again under the sanitizers (tests/sanitize.sh).  Ends with "N passed, N failed".
cd "$(dirname "$0")/.." || exit 1
. .ci/packages.sh
install_missing $packages_build $packages_test || exit 1

passed=0 failed=0

# Adds the counts of a Meson test log to the totals.
count () {
  for key in 'Ok' 'Expected Fail'; do
    n=$(sed -n "s/^$key: *//p" "$1" | tail -n 1); passed=$((passed + ${n:-0}))
  done
  for key in 'Fail' 'Unexpected Pass' 'Timeout'; do
    n=$(sed -n "s/^$key: *//p" "$1" | tail -n 1); failed=$((failed + ${n:-0}))
  done
}

# run LOG COMMAND...: counts what the log of Meson says at its end.
run () {
  log=$1
  shift
  "$@" > "$log" 2>&1
  status=$?
  cat "$log"
  before=$failed
  count "$log"
  # A run that broke without a failed test (nothing built, say) must not look green.
  [ $status = 0 ] || [ $failed != $before ] || failed=$((failed + 1))
}

build_and_test () {
  [ -f build-test/build.ninja ] || meson setup build-test &&
    ninja -C build-test &&
    meson test -C build-test --no-rebuild --print-errorlogs
}

logs=$(mktemp -d)
run "$logs/plain" build_and_test
run "$logs/sanitized" sh tests/sanitize.sh
rm -r "$logs"

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
