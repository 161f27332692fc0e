#!/bin/sh
# Installs what is missing, builds moescope and runs every test: once as it ships, then the quick ones
# again under the address and undefined-behaviour sanitizers.  Ends with "N passed, N failed".
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

# build_and_test FOLDER "SETUP OPTIONS" "TEST OPTIONS"
build_and_test () {
  log=$1/meson-logs/run.txt
  if [ ! -f "$1/build.ninja" ]; then
    meson setup "$1" $2 || { failed=$((failed + 1)); return; }
  fi
  ninja -C "$1" || { failed=$((failed + 1)); return; }
  meson test -C "$1" --no-rebuild --print-errorlogs $3 > "$log" 2>&1
  status=$?
  cat "$log"
  before=$failed
  count "$log"
  # A run that broke without a failed test (nothing to run, say) must not look green.
  [ $status = 0 ] || [ $failed != $before ] || failed=$((failed + 1))
}

build_and_test build-test '' ''
ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS="suppressions=$PWD/tests/leaks.supp:print_suppressions=0" \
  build_and_test build-sanitize '-Db_sanitize=address,undefined -Db_lundef=false -Dgui=disabled' '--suite quick --timeout-multiplier 4'

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed != 0 ]
