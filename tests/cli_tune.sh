#!/bin/sh
# als tune: the numbers are those of split, train and evaluate by hand, whoever fits what.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

run 0 generate -o ratings.csv --users 150 --items 50 --ratings 2500 --planted-rank 3 --noise 0.2
# an item and a user with one rating each: cold in the fold that holds it out
printf '3,4444,5\n5555,4,2\n' >>ratings.csv

# ---- The same table whoever fits what, and the best model ----

grid='--grid rank=2,3 --grid reg-param=0.0,.04,5 --folds 3 --max-iter 4'
run 0 tune ratings.csv $grid -o best0.h5 --quiet
cp "$stdout" table0
check "a table with a row for each point, and one best" \
  eval 'succeeds && [ "$(grep -c "^ *[23]  " table0)" -eq 6 ] && [ "$(grep -c "best$" table0)" -eq 1 ] &&
    grep -q "^rank  reg-param  *rmse  *deviation$" table0'
check "the planted rank is found" grep -Eq '^ +3 +\.04 .*best$' table0
check "cold ratings are counted, and make nothing nan" \
  eval '! grep -q nan table0 && grep -Eq "^held out: 2,502 ratings, [2-9] of them cold" table0'
check "a singular point is told, and ends nothing" \
  grep -Eq '^ +3 +0\.0 +failed +(user|item) [0-9]+: its normal equations are not positive definite' table0
for ranks in 1 2 3; do
  run $ranks tune ratings.csv $grid -o best$ranks.h5 --quiet --num-partitions 4
  check "$ranks ranks: the same table" eval 'succeeds && same "$stdout" table0'
done
run 2 tune ratings.csv $grid --execution gang
check "gangs of 2 ranks: the same table" \
  eval 'succeeds && same "$stdout" table0 && says "all ranks for each fit"'
run 2 tune ratings.csv $grid --execution points
check "a rank for each fit: the same table" \
  eval 'succeeds && same "$stdout" table0 && says "a rank for each fit"'
if [ -n "$sum" ]; then
  run 0 train ratings.csv -o train.h5 --rank 3 --reg-param .04 --max-iter 4 --quiet
  "$sum" train.h5 >expected
  for ranks in 0 3; do
    "$sum" best$ranks.h5 >found
    check "the best point's model is what train makes of all ratings ($ranks ranks)" same expected found
  done
fi

# ---- By hand ----

# by_hand METRIC "FIT OPTIONS" "EVALUATE OPTIONS": fold by fold, to the last digit.
by_hand() {
  metric=$1 fit=$2 judge=$3
  hand=
  for f in 1 2; do
    run 0 train a-$f.csv -o hand.h5 $fit --quiet
    eval "run 0 evaluate hand.h5 b-$f.csv --json --cold-start-strategy drop $judge"
    hand="$hand${hand:+, }$(json_value "$metric")"
  done
  run 2 tune ratings.csv $fit --folds 2 --fold-seed 5 --metric "$metric" --json --quiet
  check "$metric is what split, train and evaluate come to" \
    eval 'succeeds && [ -n "$hand" ] && grep -qF "\"folds\": [$hand]" "$stdout"'
}
run 0 split ratings.csv --train a.csv --test b.csv --folds 2 --seed 5 --quiet
by_hand rmse '--rank 3 --reg-param 0.1 --bias' ''
by_hand mae '--rank 2 --max-iter 3 --update-bias' ''
by_hand ndcg@5 '--rank 3 --implicit-prefs --alpha 2 --max-iter 3' '--ranking --top 5 --train a-$f.csv'
by_hand auc '--rank 3 --unobserved-weight 0.1 --max-iter 2' '--ranking --train a-$f.csv'

# ---- JSON, other axes, fewer points ----

run 0 tune ratings.csv --grid rank=2,3 --grid bias=yes,no --grid reg-scaling=count,none --folds 2 \
  --max-iter 2 --json --quiet
check "--json tells every point, and the best" \
  eval 'succeeds && json_object metric folds points points_failed tests n_cold results best execution seconds &&
    json_is points 8 && json_is metric "\"rmse\"" && prints "\"rank\": 3, \"bias\": true, \"reg-scaling\": \"none\", \"mean\": [01]\."'
run 0 tune ratings.csv --grid rank=1,2,3,4 --grid reg-param=.01,.02,.04,.08 --random 3 --folds 2 --max-iter 1 --quiet
cp "$stdout" few
check "--random draws points of the grid" eval 'succeeds && [ "$(grep -c "^ *[1-4]  " few)" -eq 3 ]'
run 2 tune ratings.csv --grid rank=1,2,3,4 --grid reg-param=.01,.02,.04,.08 --random 3 --folds 2 --max-iter 1 --quiet
check "the same ones on 2 ranks" eval 'succeeds && same "$stdout" few'
run 0 tune ratings.csv --implicit-prefs --rank 2 --max-iter 1 --folds 2 --quiet
check "implicit feedback is ranked unless told otherwise" eval 'succeeds && prints "ndcg@10"'

cp ratings.csv more.csv
run 0 tune ratings.csv more.csv --grid alpha=1,40 --cg-steps 4 --max-iter 1 --folds 2 -o two-files.h5
check "what has an effect at no point is warned of" \
  eval 'succeeds && says "warning: --alpha has no effect without --implicit-prefs" &&
    says "warning: --cg-steps has no effect without"'
run 0 info two-files.h5
check "the model tells of all inputs" prints '^inputs +ratings.csv more.csv$'
run 0 tune ratings.csv --grid solver=cg,cholesky --cg-steps 4 --max-iter 1 --folds 2
check "not what has one at some point" eval 'succeeds && ! says "no effect"'

# ---- What is refused ----

rm -f x.h5
refused() {
  wanted=$1 pattern=$2
  shift 2
  run 0 tune "$@" -o x.h5
  check "refused: als tune $*" eval 'exits $wanted && one_message "$pattern" && absent x.h5'
}
refused 2 'expected NAME=VALUE' ratings.csv --grid rank
refused 2 'no such parameter; .* such as rank$' ratings.csv --grid ranks=3
refused 2 'no such parameter; .* such as rank or reg-param$' ratings.csv --grid output=3
refused 2 'its values is empty' ratings.csv --grid rank=3,
refused 2 'stands there twice' ratings.csv --grid rank=3,3
refused 2 'rank twice' ratings.csv --grid rank=3 --grid rank=4
refused 2 'is given, and is in the grid too' ratings.csv --grid rank=3 --rank 4
refused 2 "rank 'two' is not a whole number" ratings.csv --grid rank=2,two
refused 2 'rank 0 is out of range' ratings.csv --grid rank=2,0
refused 2 'neither yes nor no' ratings.csv --grid bias=maybe
refused 2 'does not go with' ratings.csv --grid bias=yes,no --implicit-prefs
refused 2 'none of rmse, mae' ratings.csv --metric r2
refused 2 'none of rmse, mae' ratings.csv --metric ndcg
refused 2 'a number from 1 to' ratings.csv --metric ndcg@0
refused 2 'relevant-above goes with a metric of ranking' ratings.csv --relevant-above 3
refused 2 'out of range' ratings.csv --folds 1
refused 66 'missing.csv' missing.csv
printf 'user,item,rating\n1,1,3\n2,2,3\n' >two.csv
refused 65 'fold [12] of 2 .* take fewer folds' two.csv --folds 2
run 0 tune ratings.csv --rank 4 --reg-param 0 --folds 2 -o x.h5
check "when all points fail there is no best" \
  eval 'exits 65 && one_message "all 1 points failed; the first: " && prints failed && absent x.h5'
check "no temporary file is left by all of this" no_litter
finish
