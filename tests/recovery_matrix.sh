#!/bin/sh
# The matrix: {kill -9, SIGSEGV, hang, soft error} x {reading, hand-off, first half-step, mid-run,
# checkpoint write, model write} x {rank 0, last rank} under gangrun mpirun -n 3 als train. Each case ends
# with exit 0, the bits of the undisturbed run, and nothing left: no process, no temporary file, no segment
# of shared memory.
#
# A hang costs the stall limit and then the 2 s that Open MPI takes to end its ranks, and so more than all
# the others; the cases wait more than they work, so several run at a time.
#
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
# shellcheck source=tests/recovery_lib.sh
. "${top_srcdir:-.}/tests/recovery_lib.sh"
need_model_sum
side_by_side=${RECOVERY_JOBS:-6}
hang_limit=6 # s, many times as long as it takes to start, or a step, with all that runs beside it
train_options="--rank 8 --max-iter 4 --checkpoint-interval 1 --num-partitions 4"

# place_of PHASE: the keys of a fault there. after PHASE: the iteration from which a launch after a crash
# there goes on at least (a checkpoint that is still being written dies with rank 0).
place_of() {
  case $1 in
    reading | hand-off) echo "phase=$1" ;;
    first-half-step) echo iteration=1,side=items ;;
    mid-run) echo iteration=3,side=users ;;
    checkpoint-write) echo phase=checkpoint,iteration=3 ;;
    model-write) echo phase=writing ;;
  esac
}
after() {
  case $1 in
    mid-run | checkpoint-write) echo 1 ;;
    model-write) echo 3 ;;
    *) echo 0 ;;
  esac
}

# recovered_as CASE ACTION PHASE: in the way that this fault asks for. A soft error while the tasks read
# ends the attempt, since there is no gang yet that could be rerun in its place.
recovered_as() {
  [ "$(events "$1" fault)" -eq 1 ] || echo "the fault struck $(events "$1" fault) times"
  [ "$(resumed_from "$1")" -ge "$(after "$3")" ] ||
    echo "went on from iteration $(resumed_from "$1"), which is below $(after "$3")"
  reruns=$(events "$1" gang-rerun)
  case $2-$3 in
    error-reading) tells "$1" 'gangrun: attempt 1 of 4: als failed with status 70 in reading: ' ;;
    error-*) [ "$reruns" -eq 1 ] && [ "$(launches "$1")" -eq 1 ] ;;
    hang-*) tells "$1" "gangrun: attempt 1 of 4: no progress for $hang_limit s in " ;;
    kill=*)
      case $2 in
        *KILL) death="rank $4 on .* died of signal 9 \\(killed\\)" ;;
        *) death="rank $4 on .* died of signal 11 \\(segmentation fault\\)" ;;
      esac
      hydra && death='the launcher ended with status [0-9]*'
      tells "$1" "gangrun: attempt 1 of 4: $death in "
      ;;
  esac || echo "it went another way: $(launches "$1") launches, $reruns reruns in place"
}

# strike ACTION PHASE RANK: one case, in a folder of its name.
strike() {
  folder=$top/$1-$2-$3
  folders "$folder"
  [ "$1" != hang ] || stall=$hang_limit
  supervise "$folder" --fault "gang,rank=$3,$(place_of "$2"):$1"
  number=0
  [ "$3" = 0 ] || number=$((ranks - 1))
  {
    recovered "$folder"
    recovered_as "$folder" "$1" "$2" "$number"
  } >"$folder/complaints"
}

run 0 generate -o "$data" --users 2000 --items 500 --ratings 40000
# shellcheck disable=SC2086
run 3 train "$data" -o plain.h5 $train_options
check "an undisturbed run to compare with" succeeds
plain=$(bits_of plain.h5)

list=$top/list
for phase in reading hand-off first-half-step mid-run checkpoint-write model-write; do
  for action in hang kill=KILL kill=SEGV error; do
    for rank in 0 last; do echo "$action $phase $rank"; done
  done
done >"$list"

# Several at a time; what they came to is told in order.
worker=0
while [ $((worker += 1)) -le "$side_by_side" ]; do
  "${AWK:-awk}" -v n="$side_by_side" -v k="$worker" 'NR % n == k % n' "$list" | while read -r action phase rank; do
    strike "$action" "$phase" "$rank"
  done &
done
wait
while read -r action phase rank; do
  folder=$top/$action-$phase-$rank
  report "$folder" "$action at $phase, rank $rank" "$(cat "$folder/complaints" 2>&1)"
done <"$list"
finish
