#!/bin/sh
# als fold-in: what it makes are the rows that training would make; every other row keeps its bits.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

# sums MODEL DATASET...: checksums of these datasets of a model.
sums() {
  "$sum" "$1" | tr ' ' '\n' | grep -E "^/($(shift; echo "$*" | tr ' ' '|'))\["
}
# alike MODEL MODEL DATASET...: they are there, and the same in both.
alike() {
  one=$1 two=$2
  shift 2
  sums "$one" "$@" >one.sum && sums "$two" "$@" >two.sum && [ -s one.sum ] && same one.sum two.sum
}

run 0 generate -o all.csv --users 200 --items 60 --ratings 4000 --planted-rank 3 --noise 0.2
(echo user,item,rating && awk -F, 'NR > 1 && $1 <= 150' all.csv) >early.csv
(echo user,item,rating && awk -F, 'NR > 1 && $1 > 150' all.csv) >late.csv
(cat late.csv && printf -- '-7,3,4\n9000,1,2\n9000,5,5\n3,2,1\n3,4,5\n9000,777777,3\n888,777777,3\n') >more.csv

# ---- Training's own rows ----

if [ -n "$sum" ]; then
  # both_sides WHAT ARG...: the users of the training set have their rows again, for the last half-step was
  # theirs; and folding in the items is the items' half-step of the next iteration, where that does not begin by
  # scaling the users.
  both_sides() {
    what=$1
    shift
    run 0 train early.csv -o m3.h5 --rank 4 --max-iter 3 --quiet "$@"
    run 0 train early.csv -o n3.h5 --rank 4 --max-iter 3 --balance no --quiet "$@"
    run 0 train early.csv -o n4.h5 --rank 4 --max-iter 4 --balance no --quiet "$@"
    ran="fold-in $what" # all are needed
    run 0 fold-in m3.h5 early.csv -o users.h5 --quiet
    check "$what: users of the training set get their own rows" \
      eval 'succeeds && alike m3.h5 users.h5 users/factors items/factors users/id items/id'
    run 2 fold-in n3.h5 early.csv -o items.h5 --side items --quiet
    check "$what: items get those of the next iteration" \
      eval 'succeeds && alike n4.h5 items.h5 items/factors && ! alike n3.h5 items.h5 items/factors'
  }
  both_sides "explicit, two lambdas" --reg-user 0.2 --reg-item 0.1
  both_sides implicit --implicit-prefs --alpha 3
  both_sides iALS --unobserved-weight 0.1 --reg-scaling 0.5 --reg-param 0.02
  both_sides "biases in the iterations" --update-bias
  run 0 fold-in m3.h5 early.csv -o users.h5 --quiet
  check "and their biases" eval 'succeeds && alike m3.h5 users.h5 users/bias items/bias'
  run 0 train early.csv -o biased.h5 --rank 4 --max-iter 3 --bias --quiet
  run 2 fold-in biased.h5 early.csv -o users.h5 --quiet
  check "biases taken off first: users of the training set get their own rows and biases" \
    eval 'succeeds && alike biased.h5 users.h5 users/factors users/bias items/factors items/bias'
  both_sides nonnegative --nonnegative
  both_sides "nonnegative and implicit" --nonnegative --implicit-prefs
  run 0 train early.csv -o biased.h5 --rank 4 --max-iter 3 --bias --nonnegative --quiet
  run 2 fold-in biased.h5 early.csv -o users.h5 --quiet
  check "nonnegative with biases: users of the training set get their own rows and biases" \
    eval 'succeeds && alike biased.h5 users.h5 users/factors users/bias items/factors items/bias'
  run 0 train early.csv -o cg.h5 --rank 4 --max-iter 3 --solver cg --quiet
  run 0 fold-in cg.h5 early.csv -o users.h5 --quiet
  check "conjugate gradients end with an exact iteration, so users get their own rows" \
    eval 'succeeds && alike cg.h5 users.h5 users/factors'
else
  skip "rows of training" "model_sum is not built: CUnit is missing"
fi

# ---- New users ----

run 0 train early.csv -o old.h5 --rank 4 --max-iter 5 --bias --reg-param 0.05 --quiet
run 0 fold-in old.h5 more.csv -o new.h5 --json --quiet
check "new users are added, known ones solved again, cold ratings counted" \
  eval 'succeeds && json_object rows rows_new rows_updated ratings n_cold users items seconds model digest &&
    json_is rows 53 && json_is rows_new 52 && json_is rows_updated 1 && json_is n_cold 2 &&
    json_is users 202 && json_is items 60 && json_is side "\"users\""'
check "a warning tells of the cold ones" says '^als: warning: 2 ratings have an item that the model lacks'
awk -F, 'NR == 1 || $1 != 3' early.csv >others.csv
run 0 predict old.h5 others.csv -o before.csv --quiet
run 0 predict new.h5 others.csv -o after.csv --quiet
check "users without new ratings keep every bit" eval 'succeeds && same before.csv after.csv'
run 0 predict new.h5 late.csv -o after.csv --quiet
check "new users have predictions" eval 'succeeds && ! grep -q nan after.csv'
run 0 evaluate new.h5 late.csv --json
check "that fit their ratings" holds_for "$(json_value rmse) < 0.6"
run 0 evaluate new.h5 more.csv --json --cold-start-strategy drop
check "a user with cold ratings only stays unknown" json_is n_cold 2
run 0 info new.h5
check "info tells where it came from" \
  eval 'succeeds && prints "^inputs +old.h5 more.csv" && prints "^iterations +5" && prints "^ratings +"'
run 0 recommend new.h5 --users -7,9000 --top 2 --quiet
check "they are recommended to" eval 'succeeds && prints "^user -7$" && prints "^user 9000$"'

run 0 fold-in old.h5 more.csv -o sum.h5 --ratings early.csv --json --quiet
n=$(awk -F, '$1 == 3' early.csv | wc -l)
check "--ratings adds the old ratings of known users, and of nobody else" \
  eval 'succeeds && json_is rows 53 && json_is ratings "$(($(wc -l <more.csv) - 1 - 2 + n))"'
(cat more.csv && awk -F, '$1 == 3' early.csv) >joined.csv
run 0 fold-in old.h5 joined.csv -o joined.h5 --quiet
if [ -n "$sum" ]; then
  check "as if they stood in one file" alike sum.h5 joined.h5 users/factors users/bias users/id
  check "which is another row than from new ratings alone" eval '! alike sum.h5 new.h5 users/factors'
fi

# ---- Ranks, order, standard input, text ----

if [ -n "$sum" ]; then
  "$sum" new.h5 >expected
  for ranks in 1 2 3; do
    run $ranks fold-in old.h5 more.csv -o other.h5 --quiet --num-partitions 5
    check "$ranks ranks: the same bits" eval 'succeeds && "$sum" other.h5 >found && same expected found'
  done
  (echo user,item,rating && sed 1d more.csv | shuffle -) >shuffled.csv
  run 0 fold-in old.h5 shuffled.csv -o other.h5 --quiet
  check "another order: the same bits" eval 'succeeds && "$sum" other.h5 >found && same expected found'
  "$als" fold-in old.h5 - -o other.h5 --quiet <more.csv >"$stdout" 2>"$stderr"
  status=$? ran="als fold-in old.h5 - <more.csv"
  check "standard input: the same bits" eval 'succeeds && "$sum" other.h5 >found && same expected found'
  "$mpiexec" -n 2 "$als" fold-in old.h5 - -o other.h5 --quiet <more.csv >"$stdout" 2>"$stderr"
  status=$? ran="mpirun -n 2 als fold-in old.h5 - <more.csv"
  check "with 2 ranks, too" eval 'succeeds && "$sum" other.h5 >found && same expected found'
  run 0 import more.csv -o more.h5 --quiet
  for file in more.h5 more.csv; do
    (dd bs=100 count=3 2>/dev/null && sleep 0.4 && cat) <$file |
      "$mpiexec" -n 2 "$als" fold-in old.h5 - -o other.h5 --quiet >"$stdout" 2>"$stderr"
    status=$? ran="mpirun -n 2 als fold-in old.h5 -, with $file in drops"
    check "$file through a pipe, in drops" eval 'succeeds && "$sum" other.h5 >found && same expected found'
  done
  cp old.h5 place.h5
  run 0 fold-in place.h5 more.csv -o place.h5 --quiet
  check "the new model may replace the old" \
    eval 'succeeds && "$sum" place.h5 >found && same expected found'
  for file in early more; do
    awk -F, -v OFS=, 'NR > 1 { $1 = "u" $1; $2 = "i\303\251" $2 } { print }' $file.csv >text-$file.csv
  done
  run 0 train text-early.csv -o text.h5 --rank 4 --max-iter 3 --quiet
  run 0 fold-in text.h5 text-more.csv -o text0.h5 --quiet
  "$sum" text0.h5 >expected
  run 3 fold-in text.h5 text-more.csv -o text3.h5 --quiet
  check "ids of text: the same bits on 3 ranks" \
    eval 'succeeds && "$sum" text3.h5 >found && same expected found'
  run 0 predict text0.h5 text-more.csv -o text.csv --quiet
  check "and every user is where the order of ids has it" \
    eval 'succeeds && [ "$(grep -c nan text.csv)" -eq 2 ]'
fi

awk -F, 'NR % 9 == 2 { print $1 "," $2 "," 6 - $3 }' early.csv >opposite.csv
run 0 train early.csv -o m.h5 --rank 4 --max-iter 5 --validation opposite.csv --checkpoint-dir d \
  --checkpoint-interval 5 --json --quiet
best=$(json_value best_iteration)
run 0 fold-in d/checkpoint-5.h5 more.csv -o x.h5 --quiet
run 0 info x.h5 --json
check "a checkpoint is the newest iteration, not the best one that it holds too" \
  eval '[ "$best" -lt 5 ] && json_is iterations 5 && json_is best_iteration 5'

# ---- What is refused ----

printf 'user,item,rating\n1,777777,3\n' >cold.csv
printf 'user,item,rating\n' >empty.csv
rm -f x.h5
# refused STATUS PATTERN ARG...
refused() {
  wanted=$1 pattern=$2
  shift 2
  run 0 "$@"
  check "refused: als $*" eval 'exits $wanted && one_message "$pattern" && absent x.h5'
}
refused 2 'output is missing' fold-in old.h5 more.csv
refused 2 'at least 2' fold-in old.h5 -o x.h5
refused 2 "ending" fold-in old.h5 more.csv -o x.csv
refused 2 "none of users\|items" fold-in old.h5 more.csv -o x.h5 --side both
refused 2 'stands alone' fold-in old.h5 - more.csv -o x.h5
refused 66 'missing.h5' fold-in missing.h5 more.csv -o x.h5
refused 66 'missing.csv' fold-in old.h5 missing.csv -o x.h5
refused 65 'not an HDF5 file' fold-in more.csv more.csv -o x.h5
refused 65 'none of the 1 ratings has an item' fold-in old.h5 cold.csv -o x.h5
refused 65 'no ratings' fold-in old.h5 empty.csv -o x.h5
# piped TEXT PATTERN: what is wrong with standard input is told under that name.
piped() {
  pattern=$2
  printf '%b' "$1" | "$als" fold-in old.h5 - -o x.h5 >"$stdout" 2>"$stderr"
  status=$? ran="als fold-in old.h5 -"
  check "refused: $2" eval 'exits 65 && one_message "$pattern" && absent x.h5 && no_litter'
}
piped '' 'als fold-in: standard input is empty'
piped 'user,item,rating\n' 'no ratings'
piped 'nothing of use\n' 'als fold-in: standard input is in no format'
piped 'user,item,rating\n1,2,3\n1,two,3\n' 'als fold-in: standard input:3: item id .two. is not an integer'
run 0 fold-in old.h5 early.csv late.csv -o x.h5 --quiet
run 0 info x.h5
check "the model tells of all inputs" prints '^inputs +old.h5 early.csv late.csv$'
rm x.h5
run 0 train early.csv -o free.h5 --rank 4 --max-iter 1 --reg-param 0.1 --reg-user 0 --min-ridge 0 --quiet
[ "$status" -eq 0 ] && refused 65 'user -7: its normal equations .* with 1 rating' \
  fold-in free.h5 more.csv -o x.h5
run 0 fold-in free.h5 more.csv -o x.h5 --min-ridge 0.5 --quiet
check "--min-ridge heals that" eval 'succeeds && [ -s x.h5 ]'
check "no temporary file is left by all of this" no_litter
finish
