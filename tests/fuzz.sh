#!/bin/sh
# make fuzz: libFuzzer on one target after the other, beginning with the corpus; run in a build folder.
#
#   FUZZ_SECONDS=600     for each target
#   FUZZ_TARGETS="..."   some of them
#   FUZZ_CC=clang        a clang with libFuzzer
#
# The programs, what was learnt (fuzz/work) and what was found (fuzz/findings) are in ./fuzz. To look at a
# finding: FUZZ_TARGET=text fuzz/tests/fuzz fuzz/findings/text-crash-... To take what was learnt into the
# corpus: FUZZ_TARGET=text fuzz/tests/fuzz -merge=1 NEW-FOLDER tests/corpus/text fuzz/work/text.
set -u
source=$1
seconds=${FUZZ_SECONDS:-600}
clang=${FUZZ_CC:-clang}
targets=${FUZZ_TARGETS:-number time text gzip table part record fault block checkpoint model ratings}

if ! command -v "$clang" >/dev/null; then
  echo "make fuzz needs clang with libFuzzer, and there is no $clang (on Debian: clang, libclang-rt-dev)"
  exit 1
fi

mkdir -p fuzz/work fuzz/findings
if [ ! -e fuzz/config.status ]; then
  (cd fuzz && "$source/configure" -q CC="$clang" --enable-sanitizers=address,undefined \
    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link') >fuzz/configure.out 2>&1 ||
    { tail -n 20 fuzz/configure.out; exit 1; }
fi
# `all` first: it has what others include; then the program that is only for here
(cd fuzz && make -s -j"$(nproc)" all && make -s FUZZ_LDFLAGS=-fsanitize=fuzzer tests/fuzz) \
  >fuzz/build.out 2>&1 || { tail -n 20 fuzz/build.out; exit 1; }

# What HDF5 does not free, and how much a file makes it ask for, is not ours to limit.
options() {
  case $1 in
    block | checkpoint | model | ratings) echo "-max_len=400 -rss_limit_mb=0 -detect_leaks=0" ;;
    *) echo "-max_len=2000 -rss_limit_mb=4096" ;;
  esac
}

# Files of the targets: in memory, and gone in the end, also after a finding.
base=/tmp
[ ! -w /dev/shm ] || base=/dev/shm
TMPDIR=$(mktemp -d "$base/gangplank-XXXXXX") || exit 1
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' INT TERM HUP
export TMPDIR UBSAN_OPTIONS=print_stacktrace=1
failed=0
printf '%-12s %12s %8s  %s\n' target inputs coverage result
for target in $targets; do
  log=fuzz/$target.out
  mkdir -p "fuzz/work/$target"
  # shellcheck disable=SC2046 # words
  FUZZ_TARGET=$target fuzz/tests/fuzz -max_total_time="$seconds" -timeout=30 -print_final_stats=1 \
    $(options "$target") -artifact_prefix="fuzz/findings/$target-" \
    "fuzz/work/$target" "$source/tests/corpus/$target" >"$log" 2>&1
  status=$?
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  result="no finding"
  [ "$status" -eq 0 ] || { result="FOUND something, see $log" failed=1; }
  contained=$(sed -n 's/^HDF5 died of \([0-9]*\) inputs.*/\1/p' "$log" | tail -n 1)
  [ -z "$contained" ] || result="$result; HDF5 itself died of $contained inputs, in children"
  printf '%-12s %12s %8s  %s\n' "$target" "${inputs:-?}" "${coverage:-?}" "$result"
done
exit $failed
