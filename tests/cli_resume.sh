#!/bin/sh
# A run that is cut off and run again comes to the same bits as one that is left alone: from
# checkpoints, from blocks, after a request to stop, and after a failure that kills no process.
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

run 0 generate -o ratings.csv --users 400 --items 120 --ratings 9000 --planted-rank 4
awk -F, -v OFS=, 'NR > 1 { $1 = "user " $1; $2 = "\303\251t\303\251-" $2 } { print }' ratings.csv >text.csv
head -n 500 ratings.csv >test.csv
head -n 500 text.csv >text-test.csv

# train RANKS MODEL ARG...: with few factors.
train() {
  ranks_of_run=$1 model=$2
  shift 2
  run "$ranks_of_run" train "$@" -o "$model.h5" --rank 7
}
# sum_of MODEL: one line of its bits.
sum_of() { "$sum" "$1.h5" 2>>"$stderr"; }
# same_bits MODEL MODEL
same_bits() { [ -z "$sum" ] || [ "$(sum_of "$1")" = "$(sum_of "$2")" ]; }
files_in() { (cd "$1" 2>/dev/null && echo *); }
[ -n "$sum" ] || skip "the bits of models" "model_sum was not built (it needs CUnit)"

# ---- More iterations than before ----

train 0 plain ratings.csv --max-iter 10
train 2 short ratings.csv --max-iter 4 --checkpoint-dir d --checkpoint-interval 1
check "4 iterations with checkpoints" eval 'succeeds && [ "$(files_in d)" = "checkpoint-3.h5 checkpoint-4.h5" ]'
train 3 long ratings.csv --max-iter 10 --checkpoint-dir d --checkpoint-interval 1
check "10 iterations resume from 4" eval 'succeeds && says "resumed from d/checkpoint-4.h5, iteration 4 of 10"'
check "and are those of 10 in one go, history too, with other ranks" same_bits long plain
check "the newest two checkpoints stay in a folder of the user's" \
  eval '[ "$(files_in d)" = "checkpoint-10.h5 checkpoint-9.h5" ]'
train 0 again ratings.csv --max-iter 10 --checkpoint-dir d --checkpoint-interval 1 --json
check "the same again makes no iteration" eval 'succeeds && json_is resumed_from 10 && same_bits again plain'
train 0 shorter ratings.csv --max-iter 9 --checkpoint-dir d --checkpoint-interval 1
check "a shorter run passes over what is beyond its end" \
  eval 'succeeds && says "checkpoint-10.h5 is passed over.*longer run" && says "resumed from d/checkpoint-9.h5"'

for args in "--bias" "--bias --test text-test.csv" "--tol 0.001" "--tol 0.05 --bias" "--init-model plain.h5"; do
  case $args in --init*) from=ratings.csv ;; *) from=text.csv ;; esac
  rm -rf e
  # shellcheck disable=SC2086
  train 0 whole $from --max-iter 12 $args
  # shellcheck disable=SC2086
  train 2 short $from --max-iter 3 $args --checkpoint-dir e --checkpoint-interval 1
  # shellcheck disable=SC2086
  train 4 long $from --max-iter 12 $args --checkpoint-dir e --checkpoint-interval 5
  check "resumed with $args" \
    eval 'succeeds && says "resumed from e/checkpoint-[23].h5" && same_bits long whole'
done

rm -rf e
train 0 short ratings.csv --max-iter 6 --checkpoint-dir e --checkpoint-interval 1
train 0 tolerant ratings.csv --max-iter 12 --tol 0.3
train 0 long ratings.csv --max-iter 12 --tol 0.3 --checkpoint-dir e --checkpoint-interval 1
check "a tolerance that is met before the checkpoint" eval 'succeeds && says "passed over" && same_bits long tolerant'

# ---- Checkpoints that are not to be used ----

train 0 short ratings.csv --max-iter 7 --checkpoint-dir f --checkpoint-interval 1
for damage in 'truncate -s 5000 f/checkpoint-7.h5' ': >f/checkpoint-7.h5' \
  'dd if=/dev/zero of=f/checkpoint-7.h5 bs=1 seek=9000 count=400 conv=notrunc status=none'; do
  cp -r f f.bak
  eval "$damage"
  train 2 long ratings.csv --max-iter 10 --checkpoint-dir f
  check "after $damage" \
    eval 'succeeds && says "checkpoint f/checkpoint-7.h5 is passed over" && says "resumed from f/checkpoint-6.h5" && same_bits long plain'
  rm -rf f
  mv f.bak f
done
train 0 other ratings.csv --max-iter 10 --seed 5
train 2 long ratings.csv --max-iter 10 --seed 5 --checkpoint-dir f
check "another seed's checkpoints" \
  eval 'succeeds && says "passed over: it is of other ratings or parameters" && ! says resumed && same_bits long other'
(cat ratings.csv && echo 1,1,3) >more.csv
train 0 long more.csv --max-iter 10 --checkpoint-dir f
check "checkpoints of other ratings" eval 'succeeds && says "passed over: it is of other" && ! says resumed'

# ---- A checkpoint is a model ----

run 0 evaluate f/checkpoint-7.h5 test.csv
check "evaluate takes a checkpoint" succeeds
run 2 recommend f/checkpoint-7.h5 --top 3 --users 1
check "recommend takes a checkpoint" succeeds
run 0 info f/checkpoint-7.h5 --json
check "info takes a checkpoint" eval 'succeeds && json_is kind "\"checkpoint\"" && json_is iteration 7'

# ---- A request to stop ----

# stop_with SIGNAL: a run that gets it after its first checkpoint.
stop_with() {
  ran="als train, stopped by $1"
  "$als" train ratings.csv -o stopped.h5 --rank 7 --max-iter 1000 --checkpoint-dir g --checkpoint-interval 50 \
    >"$stdout" 2>"$stderr" </dev/null &
  pid=$!
  tries=0
  while [ ! -e g/checkpoint-50.h5 ] && [ $tries -lt 200 ]; do
    sleep 0.02
    tries=$((tries + 1))
  done
  kill "-$1" $pid
  wait $pid
  status=$?
}
train 0 undisturbed ratings.csv --max-iter 1000 --quiet
for signal in TERM USR1; do
  rm -rf g stopped.h5
  stop_with $signal
  check "SIG$signal: a checkpoint, and exit 75" \
    eval 'exits 75 && one_message "stopped at iteration [0-9]+ of 1000; run the same command again to go on" && absent stopped.h5'
  train 2 stopped ratings.csv --max-iter 1000 --checkpoint-dir g --checkpoint-interval 50 --quiet
  check "and the rest comes to the same bits" eval 'succeeds && same_bits stopped undisturbed'
done

# ---- Failures that kill no process ----

train 3 soft ratings.csv --max-iter 10 --checkpoint-dir h --checkpoint-interval 2 \
  --fault gang,rank=last,iteration=7,side=users:error
check "a rank that fails: all begin again, from the checkpoint" \
  eval 'succeeds && says "all ranks begin again, attempt 2 of 4" && says "resumed from h/checkpoint-6.h5" && same_bits soft plain'
train 2 soft ratings.csv --max-iter 10 --bias --fault gang,phase=hand-off:error --fault gang,phase=writing:error
train 0 plain3 ratings.csv --max-iter 10 --bias
check "without checkpoints, from the start" eval 'same_bits soft plain3'
train 2 never ratings.csv --max-iter 10 --max-attempts 1 --fault gang,iteration=3:error
check "--max-attempts 1" eval 'exits 70 && absent never.h5'

# ---- A work directory: checkpoints and blocks that outlive a crash ----

events() { cat w/events/*.jsonl | grep -c "\"event\": \"$1\""; }
# crash ARG...: a run in the work directory that is killed in iteration 6.
crash() {
  rm -rf w
  train 0 crashed "$@" --max-iter 10 --num-partitions 5 --work-dir w --fault gang,iteration=6:kill
}
rerun() {
  rm -rf w/events
  train 0 crashed "$@" --max-iter 10 --num-partitions 5 --checkpoint-interval 2 --work-dir w
}
crash ratings.csv --checkpoint-interval 2
# the last checkpoint may still have been on its way, and died with its rank
check "a kill leaves blocks and checkpoints" \
  eval 'exits 137 && [ "$(ls w/blocks | wc -l)" -eq 5 ] && [ -s w/checkpoint/checkpoint-2.h5 ]'
rerun ratings.csv
check "the rerun reads both" \
  eval 'succeeds && says "resumed from .*w/checkpoint/checkpoint-[24].h5" && [ "$(events block-found)" -eq 5 ] && [ "$(events block-stored)" -eq 0 ]'
check "to the same bits" same_bits crashed plain
check "and removes both when the model is there" eval 'absent w/blocks && absent w/checkpoint'

crash ratings.csv --checkpoint-interval 2
block=$(ls w/blocks/*-3.h5)
truncate -s 3000 "$block"
rerun ratings.csv
check "a damaged block is computed again, it alone" \
  eval 'succeeds && [ "$(events block-found)" -eq 5 ] && [ "$(events block-lost)" -eq 1 ] && [ "$(events block-stored)" -eq 1 ] && same_bits crashed plain'

crash ratings.csv --checkpoint-interval 2
touch -d '2001-01-01' ratings.csv
rerun ratings.csv
check "blocks of a file that has changed are not used" \
  eval 'succeeds && [ "$(events block-found)" -eq 0 ] && says "resumed from" && same_bits crashed plain'

crash ratings.csv --persist none
check "--persist none" eval 'exits 137 && absent w/blocks'
crash ratings.csv --checkpoint-interval -1
check "--checkpoint-interval -1" eval 'exits 137 && absent w/checkpoint'

(echo '%%MatrixMarket matrix coordinate real general' && echo 400 400 2000 &&
  awk -F, 'NR > 1 && NR < 2002 { print $1 % 400 + 1, $2 % 400 + 1, $3 }' ratings.csv) >ratings.mtx
train 0 mtx ratings.mtx --max-iter 10
crash ratings.mtx --checkpoint-interval 2
rerun ratings.mtx
check "Matrix Market, whose entries are counted, from blocks" \
  eval 'succeeds && [ "$(events block-found)" -eq 5 ] && same_bits crashed mtx'
sed '2s/2000/2001/' ratings.mtx >cut.mtx
rm -rf w
train 0 bad cut.mtx --max-iter 2 --num-partitions 5 --work-dir w
check "too few entries" exits 65
train 0 bad cut.mtx --max-iter 2 --num-partitions 5 --work-dir w
check "too few entries in blocks, too" exits 65

# ---- A full disk ----

if [ "$(id -u)" -eq 0 ] && mkdir small && mount -t tmpfs -o size=64k none small 2>/dev/null; then
  mounted=$top/data/small
  train 2 full ratings.csv --max-iter 10 --checkpoint-dir small --checkpoint-interval 1
  check "a full disk for checkpoints is a warning" \
    eval 'succeeds && says "checkpoint of iteration [0-9]+ was not written.*No space left.*training goes on" && same_bits full plain'
  check "and leaves no temporary file there" no_litter small
  umount small && mounted=
else
  skip "a full disk for checkpoints" "no tmpfs can be mounted here"
fi

# ---- Usage ----

train 0 no ratings.csv --checkpoint-interval 0
check "--checkpoint-interval 0" eval 'exits 2 && one_message "checkpoint-interval is 0"'
train 0 no ratings.csv --persist disk
check "--persist disk without a place" eval 'exits 2 && one_message "work-dir"'
train 0 no ratings.csv --checkpoint-dir ratings.csv
check "--checkpoint-dir that is a file" eval 'exits 74 && says "ratings.csv"'
check "no temporary file is left by all of this" no_litter
finish
