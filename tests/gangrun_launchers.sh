#!/bin/sh
# gangrun with launchers that only pretend: they write the record that als would, and end as they like.
# Every row of the decision table, signals, stalls, processes left behind, locks.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
gangrun=$build/gangrun
unset GANGPLANK_WORK_DIR GANGPLANK_ATTEMPT GANGPLANK_FAULT OMPI_MCA_mca_base_env_list

# A launcher: each attempt does the next line of the file `script`; $attempt counts them.
cat >launcher <<'END'
#!/bin/sh
attempt=$GANGPLANK_ATTEMPT
# record STATE EXIT_CODE MESSAGE [PROGRESS [PHASE]]
record() {
  code="\"exit_code\": $2, "
  [ "$1" != running ] || code=
  printf '{"program": "als", "version": "0", "host": "n17", "pid": %d, "attempt": %d, "phase": "%s", "iteration": %d, "side": "%s", "progress": %d, "started": 1.0, "updated": 2.0, "state": "%s", %s"message": "%s"}\n' \
    "${pid:-$$}" "${of:-$attempt}" "${5:-iteration}" "${iteration-5}" "${side-users}" "${4:-1}" "$1" "$code" "$3" \
    >"$GANGPLANK_WORK_DIR/.new" && mv "$GANGPLANK_WORK_DIR/.new" "$GANGPLANK_WORK_DIR/record.json"
}
echo "attempt $attempt" >>started
[ $# -eq 0 ] || printf '%s\n' "$@" >arguments
eval "$(sed -n "${attempt}p" script)"
END
chmod +x launcher

# supervise OPTION... -- [COMMAND...]: gangrun, with a fresh count of what it started.
supervise() {
  rm -f started
  ran="gangrun $*"
  timeout --kill-after=5 "$time_limit" "$gangrun" --backoff 0.05 "$@" >"$stdout" 2>"$stderr" </dev/null
  status=$?
}
script() { printf '%s\n' "$@" >script; }
started() { [ "$(wc -l <started)" -eq "$1" ]; }
lines() { [ "$(grep -c '^gangrun: ' "$stderr")" -eq "$1" ]; }
no_dir() { [ -z "$(find . -maxdepth 1 -name '.gangrun-*')" ]; }
fresh() { rm -rf .gangrun-* w; }

# ---- What the record says ----

script 'record done 0 ""; exit 0'
supervise ./launcher
check "done: ends with 0, says nothing, leaves nothing" \
  eval 'succeeds && started 1 && empty "$stderr" && empty "$stdout" && no_dir'
script 'record done 0 ""; exit 9'
supervise ./launcher
check "done, but the launcher ends with 9: done" eval 'succeeds && started 1 && lines 1 && no_dir'
script 'record done 0 ""; kill -9 $$'
supervise ./launcher
check "done, but the launcher is killed: done" eval 'succeeds && started 1'
for code in 2 65 66; do
  script "record failed $code 'no \\\"such\\\" thing'; exit 0"
  supervise ./launcher
  check "failed with $code: that, and no further attempt" \
    eval "exits $code && started 1 && lines 1 && no_dir" '&& says "failed with status '$code' .*: no .such. thing"'
done
for code in 70 74; do
  script "record failed $code boom; exit $code" 'record done 0 ""'
  supervise ./launcher
  check "failed with $code: once more" eval 'succeeds && started 2 && says "attempt 1 of 4: als failed with status '$code' in iteration 5, users: boom; 0.05 s to the next attempt, which starts from the beginning" && says "done in attempt 2 of 4"'
done
script 'record stopped 75 "stopped at iteration 5 of 9"; exit 1'
supervise ./launcher
check "stopped: 75, no further attempt, and the work directory stays" \
  eval 'exits 75 && started 1 && says "stopped at iteration 5 of 9" && ! no_dir'
fresh
script 'record running -1 ""; exit 0' 'exit 0' 'record done 0 ""; exit 1'
supervise ./launcher
check "the launcher says 0 but the record does not: once more, and it is said" \
  eval 'succeeds && started 3 && says "attempt 1 of 4: the launcher ended with status 0 in iteration 5, users, but the work is not done" && says "attempt 2 of 4: the launcher ended with status 0 before als started"'
script 'record running -1 ""; exit 3' 'record running -1 ""; kill -SEGV $$' 'of=1 record done 0 ""' 'pid=1 record running -1 ""; kill -KILL $$'
supervise ./launcher
check "four failures end it with 70, and the last cause" \
  eval 'exits 70 && started 4 && says "attempt 4 of 4: the launcher died of signal 9 \(killed\) in iteration 5, users; giving up"'
check "als as its own launcher is called by its name" says 'attempt 2 of 4: als died of signal 11 \(segmentation fault\)'
check "a record of another attempt does not count" says 'attempt 3 of 4: the launcher ended with status 0 before als started'
check "and the work directory is kept for the event log" eval '! no_dir'
printf '%s\n' 'record done 0 ""' >>script
supervise ./launcher
check "attempts are counted on where the work was not done" eval 'succeeds && grep -qx "attempt 5" started'
fresh
script 'record failed 70 a; exit 1'
supervise --max-attempts 1 ./launcher
check "one attempt is no rerun" eval 'exits 70 && started 1'
fresh
script 'printf x >"$GANGPLANK_WORK_DIR/record.json"' 'printf "{\"state\": \"done\", \"exit_code\": 0" >"$GANGPLANK_WORK_DIR/record.json"' 'record done 0 ""'
supervise ./launcher
check "a record that is not whole is none" eval 'succeeds && started 3'

# ---- Commands that cannot be executed ----

supervise ./nowhere
check "no such command" eval 'exits 127 && lines 1 && says "nowhere: cannot be executed: No such file" && no_dir'
echo text >plain && supervise ./plain
check "a command that is no program" eval 'exits 126 && says "plain: cannot be executed: Permission denied"'
supervise sh -c 'exit 127'
check "a launcher that says 127 without a record" eval 'exits 127 && lines 1'
supervise
check "no command" eval 'exits 2 && says "no command given"'
supervise --max-attempt 3 ./launcher
check "an unknown option" eval 'exits 2 && says "did you mean --max-attempts"'
supervise --max-attempts 0 ./launcher
check "no attempts at all" eval 'exits 2 && says "max-attempts 0 is out of range"'
supervise ./launcher --work-dir x
check "a work directory for als alone" eval 'exits 2 && says "give --work-dir to gangrun"'
for option in --help --version; do
  supervise $option
  check "$option" eval 'succeeds && prints gangrun && empty "$stderr"'
done

# ---- The command is run unchanged ----

script 'cat; echo out; echo err >&2; env | grep GANGPLANK >environment; record done 0 ""'
printf 'in' | "$gangrun" -- ./launcher --max-attempts 9 -h 'a b' >"$stdout" 2>"$stderr"
status=$?
printf '%s\n' --max-attempts 9 -h 'a b' >expected
check "its arguments, stdin, stdout and stderr are its own" \
  eval 'succeeds && same arguments expected && holds "$stdout" inout && holds "$stderr" err'
check "it is told where to work, and which attempt it is" \
  eval 'grep -Eqx "GANGPLANK_WORK_DIR=/.*/\.gangrun-[0-9a-f]{8}" environment && grep -qx GANGPLANK_ATTEMPT=1 environment'
supervise --work-dir w ./launcher
check "--work-dir is made, used and kept" eval 'succeeds && grep -qx "GANGPLANK_WORK_DIR=$PWD/w" environment && [ -e w/record.json ]'
supervise --work-dir w ./launcher
check "and used again, from attempt 1, since the work in it was done" eval 'succeeds && grep -qx "attempt 1" started'
fresh

# Open MPI hands on to other nodes what this list names; it refuses to start where there is -x too.
mkdir bin && printf '#!/bin/sh\nenv >environment\n. ./launcher\n' >bin/mpirun && chmod +x bin/mpirun
OMPI_MCA_mca_base_env_list='A=1;B' supervise bin/mpirun
check "the environment goes to other nodes too" \
  grep -qx 'OMPI_MCA_mca_base_env_list=A=1;B;GANGPLANK_WORK_DIR;GANGPLANK_ATTEMPT' environment
GANGPLANK_FAULT=task:kill supervise bin/mpirun
check "with the faults" \
  grep -qx 'OMPI_MCA_mca_base_env_list=GANGPLANK_WORK_DIR;GANGPLANK_ATTEMPT;GANGPLANK_FAULT' environment
supervise bin/mpirun -x PATH
check "but not beside mpirun -x" eval '! grep -q ^OMPI_MCA_mca_base_env_list= environment'

# ---- Who died, and what is used again ----

cat >script <<'END'
record running -1 ""; echo "mpirun noticed that process rank 2 with PID 0 on node n17 exited on signal 9 (Killed)." >&2; exit 137
. ./second
record running -1 ""; printf 'x\n\n  Process name: [[29490,1],1]\n  Exit code:    7\n' >&2; exit 7
record running -1 "" 1 reading; echo 'srun: error: n3: task 5: Segmentation fault (core dumped)' >&2; exit 1
iteration=0 side= record running -1 "" 1 hand-off; echo '  Remote daemon: [[4711,0],1] on node n18' >&2; exit 0
record done 0 ""
END
cat >second <<'END'
cd "$GANGPLANK_WORK_DIR" && mkdir events checkpoint blocks && cd ..
touch "$GANGPLANK_WORK_DIR/checkpoint/checkpoint-4.h5" "$GANGPLANK_WORK_DIR/checkpoint/checkpoint-12.h5" \
  "$GANGPLANK_WORK_DIR/checkpoint/.checkpoint-13.h5.tmp.1" "$GANGPLANK_WORK_DIR/blocks/a" "$GANGPLANK_WORK_DIR/blocks/b"
log=$GANGPLANK_WORK_DIR/events/attempt-2.rank-1.jsonl
echo '{"time": 1.0, "event": "job-started", "host": "n19"}' >"$log"
echo '{"time": 1.5, "event": "phase", "phase": "iteration", "iteration": 13, "side": "items"}' >>"$log"
echo '{"time": 2.0, "event": "phase", "phase": "iteration", "iteration": 13, "side": "users"}' >>"$log"
printf '{"time": 3.0, "event": "phase", "phase": "wri' >>"$log"
record running -1 ""
printf 'Process name: [[29490,1],1]\n  Exit code:    7\n' >&2
exit 7
END
supervise --max-attempts 6 ./launcher
check "mpirun's word on who died" says 'attempt 1 of 6: rank 2 on n17 died of signal 9 \(killed\) in iteration 5, users; '
check "the place is from its own log, and what is there is told" \
  says 'attempt 2 of 6: rank 1 on n19 exited with status 7 in iteration 13, users; .* resumes from iteration 12 with 2 parsed partitions'
check "srun's word" says 'attempt 4 of 6: rank 5 on n3 died of signal 11 \(segmentation fault\) in reading'
check "a lost node" says 'attempt 5 of 6: node n18 was lost in hand-off, but the work is not done'
check "one line an attempt" eval 'succeeds && lines 6'

# ---- Stalls ----

script 'record running -1 ""; sleep 60' 'i=0; while [ $((i += 1)) -lt 16 ]; do record running -1 "" $i; sleep 0.2; done; record done 0 ""'
supervise --stall-timeout 2 ./launcher
check "no progress: killed, and once more; what moves is left alone" \
  eval 'succeeds && started 2 && says "attempt 1 of 4: no progress for 2 s in iteration 5, users, so all of it was killed"'
script 'trap "record stopped 75 hm; exit 0" TERM; record running -1 ""; sleep 60 & wait' 'record done 0 ""'
supervise --stall-timeout 0.5 ./launcher
check "a stalled gang that stops when it is killed is not stopped" eval 'succeeds && started 2'
script 'sleep 60' 'record done 0 ""'
supervise --stall-timeout 0.5 ./launcher
check "als never started" eval 'succeeds && says "nothing happened for 0.5 s before als started"'

# ---- Processes left behind ----

# A process of its own session, whose parent is gone, and which does not mind SIGTERM.
alive() { kill -0 "$(cat "$1")" 2>/dev/null; }
cat >stray <<'END'
#!/bin/sh
trap '' TERM HUP
echo $$ >stray.pid
while :; do sleep 0.1; done
END
chmod +x stray
script '(setsid ./stray &); while [ ! -s stray.pid ]; do sleep 0.05; done; record running -1 ""; exit 1' \
  'kill -0 "$(cat stray.pid)" 2>/dev/null && touch met; record done 0 ""'
sleep 50 &
other=$!
supervise ./launcher
check "what an attempt left behind is killed before the next" \
  eval 'succeeds && started 2 && absent met && ! alive stray.pid'
check "and nobody else" kill -0 $other
kill $other
rm -f stray.pid
script '(setsid ./stray &); while [ ! -s stray.pid ]; do sleep 0.05; done; record done 0 ""'
supervise ./launcher
check "after the last one too" eval 'succeeds && ! alive stray.pid'

# ---- Signals ----

wait_for() {
  turns=$(($1 * 20))
  shift
  while ! "$@"; do
    [ $((turns -= 1)) -gt 0 ] || return 1
    sleep 0.05
  done
}
begin() {
  rm -f started ready
  ran="gangrun $*"
  "$gangrun" "$@" >"$stdout" 2>"$stderr" </dev/null &
  job=$!
  wait_for 10 test -e ready
}
end() {
  wait $job
  status=$?
}
script 'trap "record stopped 75 later; exit 3" USR1; record running -1 ""; touch ready; while :; do sleep 0.1; done'
begin ./launcher
kill -USR1 $job
end
check "SIGUSR1 is handed on; a stopped run is 75" eval 'exits 75 && started 1 && says later'
fresh
script 'trap "exit 0" USR1; record running -1 ""; touch ready; while :; do sleep 0.1; done'
begin ./launcher
kill -USR1 $job
end
check "after SIGUSR1 there is no further attempt, whatever the launcher says" eval 'exits 75 && started 1'
fresh
for signal in TERM HUP; do
  [ $signal = TERM ] && number=15 || number=1
  script 'trap "echo '$signal' >got; exit 0" '$signal'; record running -1 ""; touch ready; while :; do sleep 0.1; done'
  begin ./launcher
  kill -s $signal $job
  end
  check "SIG$signal is handed on, and ends it" eval 'exits $((128 + number)) && started 1 && holds got '$signal
  fresh
done
script 'trap "record done 0 x; exit 0" TERM; record running -1 ""; touch ready; while :; do sleep 0.1; done'
begin ./launcher
kill -TERM $job
end
check "work that was done all the same is done" eval 'exits 0 && started 1'
fresh
script 'trap "" TERM; record running -1 ""; touch ready; while :; do sleep 0.1; done'
begin ./launcher
kill -TERM $job
sleep 0.3
kill -TERM $job
end
check "a second SIGTERM kills all" eval 'exits 143 && started 1'
fresh
script 'trap "touch usr2" USR2; record running -1 ""; touch ready; while [ ! -e usr2 ]; do sleep 0.1; done; exit 1' 'record done 0 ""'
begin --backoff 0 ./launcher
kill -USR2 $job
end
check "SIGUSR2 is handed on and means nothing" eval 'succeeds && started 2'
script 'record running -1 ""; touch ready; exit 1'
begin --backoff 60 ./launcher
wait_for 10 says 'to the next attempt'
kill -TERM $job
end
check "a signal between two attempts" eval 'exits 143 && started 1'
fresh
script 'record running -1 ""; echo $$ >stray.pid; touch ready; while :; do sleep 0.1; done'
begin ./launcher
kill -KILL $job
end
gone() { ! alive stray.pid; }
check "the launcher does not outlive a gangrun that is killed" wait_for 5 gone
fresh

# ---- Two of them ----

script 'record running -1 ""; touch ready; sleep 1; record done 0 ""'
begin --work-dir w ./launcher
"$gangrun" --work-dir w ./launcher >"$top/other" 2>&1
other=$?
check "a second gangrun in the same work directory is refused" \
  eval '[ $other -eq 74 ] && grep -q "another gangrun works in this directory" "$top/other"'
end
check "and does not disturb the first" eval 'succeeds && started 1'
finish
