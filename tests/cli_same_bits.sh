#!/bin/sh
# The promise: a model is a function of ratings, parameters and seed. Not of ranks, threads,
# partitions, order or format of the input; and neither is any other output.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

run 0 generate -o ratings.csv --users 400 --items 120 --ratings 9000 --planted-rank 4
(echo user,item,rating && sed 1d ratings.csv | shuffle -) >shuffled.csv
gzip -c shuffled.csv >shuffled.csv.gz
awk -F, -v OFS=, 'NR > 1 { $1 = "user " $1; $2 = "\303\251t\303\251-" $2 } { print }' ratings.csv >text.csv
(echo user,item,rating && sed 1d text.csv | shuffle -) >text-shuffled.csv
head -n 4 ratings.csv >three.csv

# ---- Models ----

# train_as MODEL RANKS ARG...: to MODEL.h5, whose sum and digest go to MODEL.sum.
train_as() {
  model=$1 n=$2
  shift 2
  rm -f "$model.h5"
  run "$n" train "$@" -o "$model.h5" --rank 7 --max-iter 3 --quiet
  succeeds && "$sum" "$model.h5" >"$model.sum" && run 0 info "$model.h5" --json && json_value digest >>"$model.sum"
}
# same_model TEXT MODEL RANKS ARG...: it has the bits of MODEL.
same_model() {
  what=$1 as=$2
  shift 2
  rm -f other.sum
  train_as other "$@"
  check "$what" same other.sum "$as.sum"
}

if [ -n "$sum" ]; then
  check "a model to compare with" train_as plain 0 ratings.csv
  check "the same with biases" train_as bias 0 ratings.csv --bias
  check "another model has other bits" eval '! same plain.sum bias.sum'
  for ranks in 1 2 3 4; do
    same_model "$ranks ranks" plain $ranks ratings.csv
    same_model "$ranks ranks, biases" bias $ranks ratings.csv --bias
  done
  for n in 1 3 64; do
    same_model "--num-partitions $n" bias 2 ratings.csv --bias --num-partitions $n
  done
  same_model "shuffled lines" bias 3 shuffled.csv --bias --num-partitions 5
  same_model "gzip" bias 2 shuffled.csv.gz --bias
  run 3 import shuffled.csv -o shuffled.h5
  same_model "HDF5" bias 2 shuffled.h5 --bias --num-partitions 7
  for threads in 1 2 5; do
    OMP_NUM_THREADS=$threads
    export OMP_NUM_THREADS
    same_model "OMP_NUM_THREADS=$threads" bias 0 ratings.csv --bias
  done
  unset OMP_NUM_THREADS
  same_model "--threads 3" bias 2 ratings.csv --bias --threads 3
  check "a model with text ids" train_as text 0 text.csv --bias
  for ranks in 2 4; do
    same_model "text ids, shuffled, $ranks ranks" text $ranks text-shuffled.csv --bias --num-partitions 3
  done
  check "a model of three ratings" train_as three 0 three.csv --bias
  same_model "more ranks than rows" three 4 three.csv --bias --num-partitions 9
  check "train with a test part" train_as test 0 ratings.csv --bias --test three.csv
  same_model "errors of the test part, 4 ranks" test 4 ratings.csv --bias --test three.csv
else
  skip "the same model whatever the ranks" "model_sum was not built (it needs CUnit)"
fi

# ---- All other outputs, byte by byte ----

# same_output NAME ARG...: als ARG... writes NAME; the same bytes alone and at 1 to 4 ranks.
same_output() {
  name=$1
  shift
  run 0 "$@"
  check "$1 to $name" eval 'succeeds && [ -s "$name" ]'
  mv "$name" "first-$name"
  for ranks in 1 2 3 4; do
    # 1 rank is another way through the same code: text alone will do
    case $name$ranks in *.h51) continue ;; esac
    run $ranks "$@"
    check "the same bytes: $1 to $name at $ranks ranks" eval 'succeeds && same "$name" "first-$name"'
  done
}

run 0 train text.csv -o text.h5 --rank 5 --max-iter 2 --bias
for end in csv h5; do
  # several partitions, which ranks finish in any order
  same_output made.$end generate -o made.$end --users 30000 --items 2000 --ratings 2500000 --threads 1
  same_output imported.$end import text-shuffled.csv -o imported.$end --num-partitions 6
  same_output predicted.$end predict text.h5 text-shuffled.csv -o predicted.$end --num-partitions 6
  same_output top.$end recommend text.h5 --top 7 -o top.$end --exclude-seen text-shuffled.csv
  if [ $end = h5 ]; then # as many threads compress as there are ranks
    run 0 split first-made.h5 --train first-a.h5 --test first-b.h5 --threads 1
    for ranks in 2 3; do
      run $ranks split first-made.h5 --train a.h5 --test b.h5 --threads 1
      check "the same bytes: both parts of a split at $ranks ranks" \
        eval 'succeeds && same a.h5 first-a.h5 && same b.h5 first-b.h5'
    done
  fi
  rm -f ./*made.$end
done
run 0 import text-shuffled.csv -o one.csv --num-partitions 1
check "import keeps the order of the lines, whatever the partitions" same one.csv first-imported.csv

# ---- Splits ----

run 0 split shuffled.csv --train a.csv --test b.csv --seed 3 --test-fraction 0.3
sort a.csv >a.sorted
sort b.csv >b.sorted
for ranks in 1 2 3 4; do
  run $ranks split ratings.csv --train c.csv --test d.csv --seed 3 --test-fraction 0.3 --num-partitions 7
  sort c.csv >c.sorted
  sort d.csv >d.sorted
  check "split at $ranks ranks of the same ratings in another order" \
    eval 'succeeds && same a.sorted c.sorted && same b.sorted d.sorted'
done
run 0 split ratings.csv --train c.csv --test d.csv --seed 4 --test-fraction 0.3
sort d.csv >d.sorted
check "another seed, another split" eval 'succeeds && ! same b.sorted d.sorted'
check "no temporary file is left by all of this" no_litter
finish
