#!/bin/sh
# Pages of the public headers: Doxygen makes them without a warning.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
unset MAKEFLAGS MAKELEVEL MFLAGS

if ! command -v doxygen >/dev/null; then
  skip "make doxygen" "doxygen is missing"
  finish
fi
ran="make doxygen"
make -s -C "$build" doxygen >"$stdout" 2>"$stderr"
status=$?
check "make doxygen" succeeds
check "has nothing to warn of" eval '! grep -i "warning\|error" "$stderr"'
pages=$build/docs/api/html
check "als_fit has its arguments" grep -q 'paramname">history<' "$pages/als_8h.html"
check "private headers have no page" eval '! ls "$pages" | grep -i impl'
finish
