#!/bin/sh
# als train under gangrun with faults on purpose: what is said, what is used again, how it stops.
# The matrix of all places is in recovery_matrix.sh.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
gangrun=$build/gangrun
unset GANGPLANK_WORK_DIR GANGPLANK_ATTEMPT GANGPLANK_FAULT
model_sum=$(helper model_sum)

run 0 generate -o ratings.csv --users 400 --items 150 --ratings 12000
training="train ratings.csv --rank 6 --max-iter 6 --checkpoint-interval 1 --num-partitions 6 --threads 2"
# shellcheck disable=SC2086 # words
run 0 $training -o undisturbed.h5
check "an undisturbed run" succeeds

# supervise OPTIONS RANKS ARG...: gangrun OPTIONS mpirun -n RANKS als ARG...
supervise() {
  options=$1 ranks=$2
  shift 2
  launcher=
  [ "$ranks" -eq 0 ] || launcher="$mpiexec -n $ranks"
  ran="gangrun $options $launcher als $*"
  # shellcheck disable=SC2086 # words
  timeout --kill-after=5 "$time_limit" "$gangrun" --backoff 0.05 --work-dir w $options $launcher "$als" "$@" \
    >"$stdout" 2>"$stderr" </dev/null
  status=$?
}
same_factors() {
  [ -z "$model_sum" ] && return
  "$model_sum" "$1" | grep -o '/[ui][^ ]*=[0-9a-f]*' >"$top/one"
  "$model_sum" "$2" | grep -o '/[ui][^ ]*=[0-9a-f]*' >"$top/other"
  [ -s "$top/one" ] && same "$top/one" "$top/other"
}
fresh() { rm -rf w model.h5; }
launches() { [ "$(cat w/attempts)" -eq "$1" ]; }
# logged REGEX: how many lines of the event logs of all ranks match.
logged() { cat w/events/*.jsonl | grep -Ec -- "$1"; }
good() { succeeds && same_factors model.h5 undisturbed.h5 && no_litter; }

# ---- Specs that are wrong ----

while IFS='|' read -r spec regex; do
  # shellcheck disable=SC2086
  run 0 $training -o model.h5 --fault "$spec"
  check "bad fault '$spec'" eval 'exits 2 && one_message "$regex" && absent model.h5'
done <<'END'
gang|has no action
:kill|'' is no place for a fault; expected task, gang, checkpoint, block or model
disk:kill|'disk' is no place
gang,iteration:kill|'iteration' has no value
gang,partition=3:kill|a fault of a gang has no partition; expected phase, rank, iteration, side, attempt or rerun
task,rank=3:kill|has no rank; expected phase, stage, partition, attempt or launch
gang,iteration=0:kill|iteration '0' is not a number from 1 on
gang,rank=first:kill|rank 'first' is not a number from 0 on, nor the word last, nor the word all
gang,side=left:kill|side 'left' is none of users, items and all
gang,phase=lunch:kill|unknown phase 'lunch'; expected reading, hand-off, iteration, checkpoint or writing
gang:explode|a gang cannot 'explode'; expected kill, exit, hang or error
model:kill|a model cannot 'kill'; expected corrupt or cut
gang:kill=BILL|'BILL' is no signal
gang:exit=256|exit '256' is not a number from 0 to 255
gang:hang=3|hang takes no value
checkpoint:cut=-1|cut '-1' is not a number of bytes
END
for ranks in 0 2; do
  # shellcheck disable=SC2086
  GANGPLANK_FAULT='gang,iteration=99:kill;oops' run $ranks $training -o model.h5
  check "a bad fault in the environment, $ranks ranks" eval 'exits 2 && one_message "fault .oops. has no action"'
done
rm -f model.h5

# ---- A rank dies ----

# shellcheck disable=SC2086
supervise "" 3 $training -o model.h5 --fault gang,rank=last,iteration=4,side=users:kill
check "a rank dies: same factors" good
hydra && death='the launcher ended with status 9' || death='rank 2 on [^ ]+ died of signal 9 \(killed\)'
check "one line says who, of what, where, in which phase, and what is used again" \
  says "^gangrun: attempt 1 of 4: $death"' in iteration 4, users; 0.05 s to the next attempt, which resumes from iteration [23] with 6 parsed partitions$'
check "the second attempt reads blocks, and makes only the iterations that are missing" \
  eval '[ "$(grep -Ec "\"event\": *\"iteration\"" w/events/attempt-2.rank-0.jsonl)" -le 4 ] &&
    [ "$(cat w/events/attempt-2.*.jsonl | grep -c "\"block-found\"")" -eq 6 ]'
if [ -n "$python" ]; then
  check "the event log is JSON lines" "$python" -c '
import glob, json
for name in glob.glob("w/events/*.jsonl"):
    for line in open(name):
        assert {"time", "event"} <= json.loads(line).keys(), line
json.load(open("w/record.json"))'
fi
fresh
# shellcheck disable=SC2086
supervise "" 0 $training -o model.h5 --fault gang,iteration=3:exit=0
check "als alone that leaves with 0 in mid-run is not done" eval 'good && launches 2 && says "but the work is not done"'
fresh
# shellcheck disable=SC2086
supervise "--max-attempts 2" 2 $training -o model.h5 --fault gang,iteration=3,attempt=all:kill
check "a fault in all attempts: 70, and no model" eval 'exits 70 && absent model.h5 && launches 2 && says "giving up"'
fresh
# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --max-attempts 2 --fault gang,rank=1,iteration=2,rerun=all:error
check "soft errors in all tries of one attempt take the next attempt" eval 'good && launches 2 && says "after 2 attempts.*|a fault on purpose"'
fresh

# ---- The launcher dies ----

# It cannot clean up what the ranks shared in memory, and nobody else would.
# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault gang,rank=1,iteration=3:hang &
job=$!
turns=0
until grep -qs '"event": "fault"' w/events/attempt-1.rank-1.jsonl || [ $((turns += 1)) -gt 600 ]; do sleep 0.1; done
told() { sed -n "1s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" w/events/attempt-1.rank-0.jsonl; }
segments=$(told mpi_segments) session=$(told mpi_session)
find "${segments%/*}" -maxdepth 1 -name "${segments##*/}*" >"$top/segments_before"
struck=${session##*.}
[ -n "$struck" ] || struck=$(children "$(children "$(children "$job")")") # MPICH: of gangrun, of timeout, of supervise
kill -KILL "$struck"
wait $job
status=0 # `check` asks the model and the log
check "mpirun is killed: same factors" eval 'same_factors model.h5 undisturbed.h5 && launches 2 && says "the launcher died of signal 9 .killed. in iteration 3"'
if [ -n "$segments" ]; then
  check "its segments were there, and are swept" \
    eval '[ "$(grep -c . "$top/segments_before")" -eq 2 ] && [ -z "$(find "${segments%/*}" -maxdepth 1 -name "${segments##*/}*")" ]'
  check "and its session" absent "$session"
fi
fresh

# ---- Errors that would come again ----

# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --rank 0
check "usage is not tried again" eval 'exits 2 && launches 1 && says "no further attempt"'
echo 1,2,x >>ratings.csv
# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5
check "bad data neither" eval 'exits 65 && launches 1'
sed -i '$d' ratings.csv
supervise "" 2 train nowhere.csv -o model.h5
check "nor missing input" eval 'exits 66 && launches 1'
supervise "" 2 trian
check "nor an unknown command" eval 'exits 2 && launches 1'
supervise "" 0 info undisturbed.h5
check "a command without checkpoints is supervised too" eval 'succeeds && launches 1 && prints "factors|rank|users"'
fresh

# ---- Tasks (recovery_tasks.sh has all kinds) ----

# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault task,partition=3:kill=SEGV
check "a task that dies costs no launch" \
  eval 'good && launches 1 && says "partition 3 of 6 .*attempt 1 of 4 .*signal 11" && [ $(logged "\"task-crashed\"") -eq 1 ]'
fresh
# shellcheck disable=SC2086
supervise "--max-attempts 2" 2 $training -o model.h5 --fault task,partition=3,attempt=all,launch=1:kill
check "four crashes of a task end a launch, and the next one goes on" \
  eval 'good && launches 2 && says "attempt 1 of 2: als failed with status 70 in reading: partition 3 of 6"'
fresh

# ---- Files ----

# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault checkpoint,iteration=3:cut=100 --fault gang,iteration=5:kill
check "a checkpoint write that is cut short" eval 'good && launches 2'
fresh
# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault checkpoint,iteration=4:corrupt --fault gang,iteration=6:kill
check "a damaged checkpoint" eval 'good && launches 2'
fresh
# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault model:cut=1000
check "a model write that is cut short" eval 'good && launches 2'
fresh
for damage in corrupt cut=300; do
  # shellcheck disable=SC2086
  supervise "" 2 $training -o model.h5 --fault block,partition=2:$damage --fault gang,iteration=2:kill
  check "a block file with $damage" eval 'good && launches 2'
  fresh
done

# ---- Stopping ----

# shellcheck disable=SC2086
supervise "" 2 $training -o model.h5 --fault gang,iteration=3:kill=USR1
check "SIGUSR1: a checkpoint, and 75" \
  eval 'exits 75 && launches 1 && absent model.h5 && [ -e w/checkpoint/checkpoint-3.h5 ] && says "^gangrun: .*iteration 3 of 6"'
# shellcheck disable=SC2086
supervise "" 3 $training -o model.h5
check "the same command goes on, on another number of ranks" \
  eval 'good && launches 2 && says "resumed from .*iteration 3 of 6"'
fresh
# shellcheck disable=SC2086
run 0 $training -o model.h5 --work-dir w --fault gang,iteration=3:kill=TERM
check "SIGTERM to als alone, without gangrun" eval 'exits 75 && grep -q "\"state\": \"stopped\"" w/record.json'
# shellcheck disable=SC2086
run 0 $training -o model.h5 --work-dir w
check "and again" eval 'good && grep -q "\"state\": \"done\"" w/record.json'
fresh
# shellcheck disable=SC2086
run 0 $training -o model.h5 --fault gang,iteration=3:kill=TERM
check "without a place for checkpoints SIGTERM ends it" eval 'exits 143 && absent model.h5 && no_litter'
finish
