#!/bin/sh
# Signals: a run that is stopped leaves nothing behind, and a task that is shot is run again.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

state() { sed 's/^.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null; }

# gone PID...: none of them runs any more. A pid that has become another program's is no matter.
gone() {
  for pid; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = als ] && [ "$(state "$pid")" != Z ] && return 1
  done
  return 0
}

# wait_for SECONDS CONDITION...: true as soon as the condition is.
wait_for() {
  turns=$(($1 * 20))
  shift
  while ! "$@"; do
    [ $((turns -= 1)) -gt 0 ] || return 1
    sleep 0.05
  done
}

# ---- Stopped in the middle ----

# start RANKS ARG...: in the background; its pid is $job.
start() {
  processes=$1
  shift
  ran="$processes ranks: als $*"
  : >"$stdout" 2>"$stderr" # now: the background may open them when what is in them was read already
  if [ "$processes" -eq 0 ]; then "$als" "$@" >"$stdout" 2>"$stderr" </dev/null &
  else "$mpiexec" -n "$processes" "$als" "$@" >"$stdout" 2>"$stderr" </dev/null & fi
  job=$!
}

writing() { [ -n "$(find . -name ".$1.tmp.*" -size +"$2")" ]; }
ended() { [ "$(state "$job")" = Z ] || [ ! -e "/proc/$job" ]; }

failed() { [ "$status" -ne 0 ] || { [ "$processes" -gt 0 ] && hydra; }; }

# stopped SIGNAL OUTPUT: stop $job, which is writing OUTPUT or about to; nothing of it is left.
stopped() {
  started=$(children "$job")
  for pid in $started; do started="$started $(children "$pid")"; done
  kill -s "$1" "$job"
  wait_for 10 ended || { kill -s KILL "$job" && return 1; }
  wait "$job"
  status=$?
  wait_for 5 gone $started || return 1
  failed && absent "$2" && no_litter
}

for signal in INT TERM; do
  start 2 generate -o big.csv --users 100000 --items 5000 --ratings 60000000 --threads 1
  check "generate under mpirun is writing" wait_for 30 writing big.csv 100k
  check "SIG$signal to mpirun leaves neither file nor process" stopped $signal big.csv
done
start 0 generate -o big.h5 --users 100000 --items 5000 --ratings 60000000
check "generate alone is writing" wait_for 30 writing big.h5 100k
echo precious >big.h5
cp big.h5 before
check "SIGTERM to it leaves the file that was there" eval 'stopped TERM none && same big.h5 before'
check "and says how to go on" says '^als: told to end \(SIGTERM\): nothing is left half-written; the same command'
rm big.h5

run 0 generate -o ratings.csv --users 3000 --items 1000 --ratings 400000
for signal in INT TERM; do
  start 2 train ratings.csv -o model.h5 --rank 20 --max-iter 100000
  check "train under mpirun is at work" wait_for 30 says '^iteration +2/'
  check "SIG$signal to mpirun leaves neither file nor process" stopped $signal model.h5
done

start 0 train ratings.csv -o model.h5 --rank 20 --max-iter 100000 --checkpoint-dir kept
check "train alone is at work" wait_for 30 says '^iteration +2/'
check "SIGHUP to it leaves neither file nor process" stopped HUP model.h5
check "and says where it goes on" says '^als: ended by a signal: the same command goes on from the newest checkpoint in kept'

# Standard input that is cut, as mpirun cuts it when it is told to stop, is no shorter input.
run 0 train ratings.csv -o model.h5 --rank 4 --max-iter 1
mkfifo pipe
exec 7<>pipe
for signal in INT TERM; do
  "$mpiexec" -n 2 "$als" fold-in model.h5 - -o folded.h5 >"$stdout" 2>"$stderr" <pipe &
  job=$! processes=2 ran="2 ranks: als fold-in model.h5 -"
  head -n 100 ratings.csv >&7
  check "fold-in is reading" wait_for 30 writing folded.h5.stdin 0
  check "SIG$signal to mpirun leaves neither file nor process" stopped $signal folded.h5
done
"$mpiexec" -n 2 "$als" fold-in model.h5 - -o folded.h5 >"$stdout" 2>"$stderr" <pipe &
job=$! ran="2 ranks: als fold-in model.h5 -"
head -n 100 ratings.csv >&7
check "fold-in is reading" wait_for 30 writing folded.h5.stdin 0
started=$(children "$job")
kill -s KILL "$job"
wait "$job"
check "mpirun that is killed leaves neither model nor process" \
  eval 'wait_for 5 gone $started && absent folded.h5'
find . -name '*.tmp.*' -delete # the ranks of some launchers are killed outright; the next run sweeps
"$als" fold-in model.h5 - -o folded.h5 >"$stdout" 2>"$stderr" <pipe &
job=$! processes=0 ran="als fold-in model.h5 -"
head -n 100 ratings.csv >&7
check "fold-in alone is reading" wait_for 30 writing folded.h5.stdin 0
check "SIGTERM to it leaves nothing" stopped TERM folded.h5
exec 7>&-

# ---- Tasks that are shot ----

run 0 generate -o big.csv --users 30000 --items 3000 --ratings 4000000
run 0 import big.csv -o undisturbed.csv
check "an undisturbed run to compare with" succeeds

# shoot PARENT: kill one of its running tasks in the middle of its work, as a crash would.
shoot() {
  for task in $(children "$1"); do
    kill -s STOP "$task" 2>/dev/null || continue
    for _ in 1 2 3 4 5 6 7 8 9 10; do # it stops at once, or it had ended already
      [ "$(state "$task")" = T ] && kill -s SEGV "$task" && kill -s CONT "$task" && return
    done
    kill -s CONT "$task" 2>/dev/null
  done
  return 1
}

# ranks_of PID: the ranks that a launcher started, some through a process of its own.
ranks_of() {
  for pid in $(children "$1"); do
    case $(cat "/proc/$pid/comm" 2>/dev/null) in als) echo "$pid" ;; *) children "$pid" ;; esac
  done
}

# shoot_one RANKS: import with one task shot; the run goes on. Tries again where all were too fast.
shoot_one() {
  for _ in 1 2 3 4 5 6; do
    rm -f disturbed.csv
    start "$1" import big.csv -o disturbed.csv --num-partitions 8 --threads 2
    shot=
    while [ -z "$shot" ] && ! ended; do
      if [ "$1" -eq 0 ]; then shoot "$job" && shot=yes
      else for rank in $(ranks_of "$job"); do [ -n "$shot" ] || ! shoot "$rank" || shot=yes; done; fi
    done
    wait "$job"
    status=$?
    [ -z "$shot" ] || return 0
  done
  return 1
}

for ranks in 0 3; do
  check "one task of import is shot, $ranks ranks" shoot_one $ranks
  check "it is run again, which is said" \
    says '^als: importing: partition [0-7] of 8 of read big\.csv: attempt 1 of 4 died of signal 11'
  check "and the output is that of an undisturbed run" \
    eval 'succeeds && same disturbed.csv undisturbed.csv && no_litter'
done

rm -f disturbed.csv
start 0 import big.csv -o disturbed.csv --num-partitions 1 --threads 1
while ! ended; do shoot "$job"; done
wait "$job"
status=$?
check "a task that crashes four times ends the job, with its last cause" \
  eval 'exits 70 && says "^als import: partition 0 of 1 .*attempt 4 of 4 died of signal 11.* on rank 0" &&
    absent disturbed.csv && no_litter'
finish
