# shellcheck shell=sh
# What the tests of the program `als` share: run it from outside, look at what it says, report in TAP.
# Sourced by cli_*.sh, which make runs; everything happens in a folder that is removed at the end.
#
#   run RANKS ARG...        als ARG..., under mpirun, or by itself where RANKS is 0
#   check TEXT COMMAND...   a TAP line: ok where the command succeeds
#   skip TEXT WHY           a TAP line that says aloud what was not tested
#   finish                  the plan and the exit status
set -u
# Signals that whoever started make ignores, as nohup does SIGHUP, a shell cannot hear again: then begin once more.
if [ -z "${gangplank_hears_signals:-}" ] && env --default-signal true 2>/dev/null; then
  gangplank_hears_signals=yes exec env --default-signal /bin/sh "$0" "$@"
fi
build=$(cd "${top_builddir:-.}" && pwd) || exit 99
top_srcdir=$(cd "${top_srcdir:-.}" && pwd) || exit 99 # the tests work in another folder
als=$build/als
mpiexec=${MPIEXEC:-mpirun}
# MPICH's launcher, Hydra: it ends all ranks at once where one dies, does not say which, and after a signal that it
# passed on it may end with 0.
hydra() { "$mpiexec" --version 2>&1 | grep -qi hydra; }

# children PID: the processes that it started.
children() {
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$1" '
    { pid = $1; sub(/^.*\) /, ""); if ($2 == parent) print pid }'
}

time_limit=60 # s for a run; one that takes longer hangs, which is a failure
GANGPLANK_CHECK_LEAKS=1
export GANGPLANK_CHECK_LEAKS
unset OMP_NUM_THREADS

top=$(mktemp -d "${TMPDIR:-/tmp}/gangplank-cli-XXXXXX") || exit 99
mounted=
clean() {
  cd /
  [ -z "$mounted" ] || umount "$mounted"
  rm -rf "$top"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
mkdir "$top/data"
cd "$top/data" || exit 99
stdout=$top/stdout stderr=$top/stderr

tests=0 failures=0 status=0 ran=

run() {
  processes=$1
  shift
  ran="$processes ranks: als $*"
  if [ "$processes" -eq 0 ]; then
    timeout --kill-after=5 "$time_limit" "$als" "$@" >"$stdout" 2>"$stderr" </dev/null
  else
    timeout --kill-after=5 "$time_limit" "$mpiexec" -n "$processes" "$als" "$@" \
      >"$stdout" 2>"$stderr" </dev/null
  fi
  status=$?
}

check() {
  claim=$1
  shift
  tests=$((tests + 1))
  if "$@"; then
    echo "ok $tests - $claim"
    return
  fi
  echo "not ok $tests - $claim"
  failures=$((failures + 1))
  echo "# this failed: $*"
  echo "# the last run, with status $status: $ran"
  head -n 20 "$stdout" | sed 's/^/# stdout: /'
  head -n 20 "$stderr" | sed 's/^/# stderr: /'
}

skip() {
  tests=$((tests + 1))
  echo "ok $tests - $1 # SKIP $2"
}

finish() {
  echo "1..$tests"
  [ "$failures" -eq 0 ]
  exit
}

# ---- Conditions for check ----

succeeds() { [ "$status" -eq 0 ]; }
exits() { [ "$status" -eq "$1" ]; }
empty() { [ ! -s "$1" ]; }
same() { cmp -- "$1" "$2" >/dev/null; }
says() { grep -Eq -- "$1" "$stderr"; }   # on stderr
prints() { grep -Eq -- "$1" "$stdout"; } # on stdout
holds() { [ "$(cat "$1")" = "$2" ]; }
absent() { [ ! -e "$1" ]; }

# no_litter [FOLDER]: no temporary file is left.
no_litter() { [ -z "$(find "${1:-.}" -name '*.tmp.*')" ]; }

# one_message REGEX...: als said exactly one thing, and each of the patterns is in it. (mpirun adds
# lines of its own; `try: als train --help` is part of a usage error.)
one_message() {
  [ "$(grep -c '^als' "$stderr")" -eq 1 ] || return 1
  for pattern; do
    grep '^als' "$stderr" | grep -Eq -- "$pattern" || return 1
  done
}

# ---- JSON ----

# json_object KEY...: stdout is exactly one JSON object that has all the keys.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
json_object() {
  if [ -n "$python" ]; then
    "$python" -c '
import json, sys
def refuse(word): raise ValueError(word)
text = sys.stdin.buffer.read().decode("utf-8")
o = json.loads(text, parse_constant=refuse)
missing = [k for k in sys.argv[1:] if k not in o]
sys.exit(not isinstance(o, dict) or bool(missing) or text.count("\n") != 1)' "$@" <"$stdout"
    return
  fi
  [ "$(wc -l <"$stdout")" -eq 1 ] && grep -q '^{"[a-z].*}$' "$stdout" || return 1
  for key; do
    grep -q "[{ ]\"$key\": [-\"0-9tfn[]" "$stdout" || return 1
  done
}

# json_value KEY: the number, text or list that stdout has for it.
json_value() {
  sed -n "s/.*[{ ]\"$1\": \(\[[^]]*\]\|\"[^\"]*\"\|[^,}]*\).*/\1/p" "$stdout"
}
json_is() { [ "$(json_value "$1")" = "$2" ]; }
# json_length KEY N: a list of N numbers.
json_length() { [ "$(json_value "$1" | tr ',' '\n' | grep -c '[0-9]')" -eq "$2" ]; }

# holds_for EXPRESSION: awk's opinion of it.
holds_for() { "${AWK:-awk}" "BEGIN { exit !($1) }"; }

# ---- Files ----

# shuffle FILE: its lines in another order, the same each time; a header is no line.
shuffle() {
  "${AWK:-awk}" 'BEGIN { srand(7) } { print rand() "\t" $0 }' "$1" | sort -n | cut -f2-
}

# helper NAME: the path of a program built for these tests, or nothing.
helper() { [ ! -x "$build/tests/$1" ] || echo "$build/tests/$1"; }
