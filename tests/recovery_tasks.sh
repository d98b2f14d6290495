#!/bin/sh
# Tasks that crash in the whole program, at one rank and at three: that partition is computed again and no
# other, counted in the event log; four crashes of one task end the job with the last cause; blocks on disk
# save a rerun of the gang from parsing again.
#
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
# shellcheck source=tests/recovery_lib.sh
. "${top_srcdir:-.}/tests/recovery_lib.sh"
need_model_sum
partitions=6
train_options="--rank 8 --max-iter 3 --checkpoint-interval 1 --num-partitions $partitions"

run 0 generate -o ratings.csv --users 2000 --items 500 --ratings 40000
data=$PWD/ratings.csv
# shellcheck disable=SC2086
run 0 train "$data" -o plain.h5 $train_options
check "an undisturbed run to compare with" succeeds
plain=$(bits_of plain.h5)
wrong=$(sed -n 2p "$data")

# train_in CASE RANKS OPTION...: without a supervisor, so without a second launch.
train_in() {
  folder=$1 processes=$2
  shift 2
  set -- "$als" train "$data" -o "$folder/out/model.h5" --work-dir "$folder/work" "$@"
  [ "$processes" -eq 0 ] || set -- "$mpiexec" -n "$processes" "$@"
  # shellcheck disable=SC2086
  in_case "$folder" timeout --kill-after=5 "$time_limit" "$@" $train_options \
    >"$folder/stdout" 2>"$folder/stderr" </dev/null
  echo $? >"$folder/status"
}

# counts CASE EVENT N [PATTERN...]
counts() {
  folder=$1 event=$2 expected=$3
  shift 3
  found=$(events "$folder" "$event" "$@")
  [ "$found" -eq "$expected" ] || echo "$found x $event${*:+ with $*}, and not $expected"
}
says_in() { tells "$1" "$2" || echo "stderr does not say: $2"; }

# only CASE PARTITION CRASHES PATTERN: it crashed so often, of that; every partition was finished once, and
# no other one was begun twice.
only() {
  counts "$1" task-crashed "$3"
  counts "$1" task-crashed "$3" "\"partition\": ?$2," "$4"
  counts "$1" task-started $((partitions + $3))
  counts "$1" task-started $(($3 + 1)) "\"partition\": ?$2,"
  counts "$1" task-finished "$partitions"
  counts "$1" task-finished 1 "\"partition\": ?$2,"
  [ "$(launches "$1")" -eq 1 ] || echo "$(launches "$1") launches"
  says_in "$1" "^als: reading: partition $2 of $partitions of .*: attempt 1 of 4 $4"
}

# ---- One task, one crash ----

for processes in 0 3; do
  while read -r action cause; do
    folder=$top/one-$processes-$action
    folders "$folder"
    limit=0
    [ "$action" != hang ] || limit=2
    train_in "$folder" "$processes" --task-time-limit $limit --fault "task,partition=4:$action"
    report "$folder" "a task that has $action, $processes ranks: its partition alone is computed again" "$(
      recovered "$folder"
      only "$folder" 4 1 "$cause"
    )"
  done <<'LIST'
kill=SEGV died of signal 11 \(segmentation fault\)
kill=KILL died of signal 9 \(killed\)
exit=0 left with exit status 0 before it was done
exit=3 left with exit status 3
hang ran longer than 2 s
corrupt left a result that is damaged
LIST
done

folder=$top/three
folders "$folder"
train_in "$folder" 3 --fault task,partition=2,attempt=1:kill=SEGV --fault task,partition=2,attempt=2:exit=0 \
  --fault task,partition=2,attempt=3:kill=BUS
report "$folder" "three crashes in a row of one task, each of something else, are survived" "$(
  recovered "$folder"
  only "$folder" 2 3 'died of signal 11|left with exit status 0|died of signal 7'
)"

folder=$top/each
folders "$folder"
train_in "$folder" 3 --fault task:kill=KILL
report "$folder" "every task crashes once" "$(
  recovered "$folder"
  counts "$folder" task-crashed $partitions
  counts "$folder" task-finished $partitions
)"

# ---- Four in a row ----

for processes in 0 3; do
  folder=$top/four-$processes
  folders "$folder"
  train_in "$folder" $processes --fault task,partition=1,attempt=all:kill=SEGV
  report "$folder" "four crashes in a row end the job with the last cause, $processes ranks" "$(
    ended_with "$folder" 70
    counts "$folder" task-crashed 4 '"partition": ?1,'
    says_in "$folder" "^als train: partition 1 of $partitions of .*attempt 4 of 4 died of signal 11 \(segmentation fault\) on rank [0-9] \(host "
    [ "$(grep -c '^als train: ' "$folder/stderr")" -eq 1 ] || echo "said more than once"
    ! tells "$folder" 'mpirun noticed|exited on signal' || echo "a rank died with its task"
    [ ! -e "$folder/out/model.h5" ] || echo "there is a model"
    no_process "$folder"
    find "$folder/out" "$folder/shm" "$folder/tmp" ! -type d
    grep -q '"exit_code": 70' "$folder/work/record.json" || echo "the record does not say so"
  )"
done
# What was done before is not done again, by whoever runs the same command.
finished=$(find "$folder/work/blocks" -name 'block-*.h5' 2>/dev/null | wc -l)
rm -rf "$folder/work/events"
train_in "$folder" 3
report "$folder" "and the next run computes what was missing, $((partitions - finished)) of $partitions" "$(
  recovered "$folder"
  [ "$finished" -ge 1 ] || echo "the other tasks left no blocks"
  counts "$folder" block-found "$finished"
  counts "$folder" block-stored $((partitions - finished))
)"

# Lower partitions are waited for, so the error that is reported is always the same one.
folder=$top/bad
folders "$folder"
{ cat ratings.csv && echo "${wrong%,*},many"; } >bad.csv
data=$PWD/bad.csv
train_in "$folder" 3
data=$PWD/ratings.csv
report "$folder" "an error in the data is no crash: it is reported at once" "$(
  ended_with "$folder" 65
  counts "$folder" task-crashed 0
  counts "$folder" task-failed 1
)"

# ---- Other work lives on ----

# The gang is rerun as a whole, the tasks before it were not: two ways of recovery in one run.
folder=$top/both
folders "$folder"
supervise "$folder" --fault task,partition=0,launch=1:kill=SEGV --fault task,partition=5,launch=1:exit=0 \
  --fault gang,rank=1,iteration=2,side=users:kill
report "$folder" "tasks and a rank in one run: the tasks alone are rerun, then all of the gang" "$(
  recovered "$folder"
  [ "$(launches "$folder")" -eq 2 ] || echo "$(launches "$folder") launches"
  counts "$folder" task-crashed 2
  counts "$folder" block-stored $partitions
  counts "$folder" block-found $partitions
  [ "$(resumed_from "$folder")" -ge 1 ] || echo "no checkpoint was used"
)"

# Behind its first lines the file is made illegible, with the size and the time that it had.
folder=$top/illegible
folders "$folder"
data=$PWD/illegible.csv
cp ratings.csv "$data"
touch -d 2020-02-02 "$data"
train_in "$folder" 3 --fault gang,rank=1,iteration=2:kill
{ head -n 200 ratings.csv && tail -n +201 ratings.csv | tr 0-9 x; } >"$data"
touch -d 2020-02-02 "$data"
rm -rf "$folder/work/events"
train_in "$folder" 3
report "$folder" "a rerun reads its blocks and parses nothing: the input may be illegible by then" "$(
  recovered "$folder"
  counts "$folder" block-found $partitions
  counts "$folder" block-stored 0
)"
folders "$folder"
train_in "$folder" 3
report "$folder" "without blocks it is an error" "$(ended_with "$folder" 65)"
data=$PWD/ratings.csv

# A block that is damaged when it is written; the next launch notices.
for action in corrupt cut=700 cut=0; do
  folder=$top/block-$action
  folders "$folder"
  supervise "$folder" --fault "block,partition=3:$action" --fault gang,rank=last,phase=hand-off:kill
  report "$folder" "a block with $action: it alone is computed again" "$(
    recovered "$folder"
    counts "$folder" block-lost 1
    counts "$folder" block-lost 1 '"partition": ?3,'
    counts "$folder" block-stored $((partitions + 1))
    counts "$folder" block-stored 2 '"partition": ?3,'
    says_in "$folder" '^als: reading: .*block'
  )"
done

# ---- A straggler ----

folder=$top/speculation
folders "$folder"
train_in "$folder" 0 --speculation --threads 2 --fault task,partition=3:hang --task-time-limit 20
report "$folder" "a second copy of a task that hangs, by --speculation" "$(
  recovered "$folder"
  counts "$folder" task-crashed 0
  counts "$folder" task-finished $partitions
  counts "$folder" task-started 1 '"speculative": ?true' '"partition": ?3,'
  counts "$folder" task-abandoned 1 '"partition": ?3,'
)"
finish
