#!/bin/sh
# The way of a newcomer through all commands, in text and in HDF5, alone and under mpirun; what they
# print; and their help.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

# ---- Every command, with --json and --quiet: one object on stdout and silence on stderr ----

# quiet_json RANKS KEYS ARG...: KEYS are words that the object has to have.
quiet_json() {
  ranks=$1 keys=$2
  shift 2
  run "$ranks" "$@" --json --quiet
  check "$1 --json with $ranks ranks prints one object and nothing else" \
    eval 'succeeds && json_object $keys && empty "$stderr"'
}

for end in csv h5; do
  ranks=0
  [ $end = csv ] || ranks=2
  quiet_json $ranks 'users items ratings seconds' \
    generate -o all.$end --users 300 --items 80 --ratings 6000 --planted-rank 3 --noise 0.1
  check "generate makes what it was asked for" eval 'json_is users 300 && json_is ratings 6000'
  quiet_json $ranks 'users items ratings bad_records seconds' import all.$end -o ratings.h5
  check "import counts ratings, users and items" \
    eval 'json_is users 300 && json_is items 80 && json_is ratings 6000 && json_is bad_records 0'
  quiet_json $ranks 'train_ratings test_ratings' \
    split ratings.h5 --train train.$end --test test.$end --test-fraction 0.25
  check "split shares out every rating" \
    holds_for "$(json_value train_ratings) + $(json_value test_ratings) == 6000"
  check "split gives the test part about its fraction" \
    holds_for "$(json_value test_ratings) > 1400 && $(json_value test_ratings) < 1600"
  n_test=$(json_value test_ratings)
  quiet_json $ranks 'rmse_train rmse_test seconds_total seconds_reading seconds_hand_off seconds_writing
    seconds_per_iteration users items ratings ranks model digest' train train.$end -o model.h5 --rank 3 --max-iter 6 --reg-param 0.03 \
    --test test.$end --bias
  check "train tells of each iteration" \
    eval 'json_length rmse_train 6 && json_length rmse_test 6 && json_length seconds_per_iteration 6'
  check "train names model and ranks" \
    eval "json_is model '\"model.h5\"' && json_is ranks $((ranks ? ranks : 1))"
  last=$(json_value rmse_test | sed 's/.*, *//; s/\]//')
  quiet_json $ranks 'rmse mae n n_cold' evaluate model.h5 test.$end --cold-start-strategy drop
  check "evaluate gives the error that train saw last" \
    holds_for "$(json_value rmse) - $last < 1e-6 && $last - $(json_value rmse) < 1e-6"
  check "evaluate sees all ratings" eval 'json_is n "$n_test" && json_is n_cold 0'
  check "the planted model is found: the error is near the noise, rounding and all" \
    holds_for "$(json_value rmse) < 0.55 && $(json_value mae) < $(json_value rmse)"
  quiet_json $ranks 'rows n_cold seconds out' predict model.h5 test.$end -o predictions.$end
  check "predict has a row for each pair" json_is rows "$n_test"
  quiet_json $ranks 'users seconds out' \
    recommend model.h5 --top 4 --exclude-seen train.$end -o top.$end
  check "recommend serves all users" eval 'json_is users 300 && [ -s top.$end ]'
  for file in all.$end ratings.h5 model.h5 predictions.$end top.$end; do
    case $file in predictions.csv | top.csv) continue ;; esac
    quiet_json $ranks kind info $file
  done
done

# ---- What the results say ----

run 0 import predictions.h5 -o x.csv
check "predictions are no ratings" eval 'exits 65 && one_message predictions.h5'
check "predictions in text have a header and every pair" \
  eval '[ "$(head -n 1 predictions.csv)" = user,item,prediction ] &&
    [ "$(wc -l <predictions.csv)" -eq $((n_test + 1)) ]'
# The test part of both passes is the same, so that its pairs are those of the predictions, in order.
check "predict keeps the order of its input" \
  eval 'cut -d, -f1,2 test.csv >a && cut -d, -f1,2 predictions.csv >b && same a b'
check "recommendations have a header and 4 for each of 300 users, best first" \
  eval '[ "$(head -n 1 top.csv)" = user,rank,item,score ] && [ "$(wc -l <top.csv)" -eq 1201 ] &&
    awk -F, "NR > 1 { if (\$2 != (NR - 2) % 4 + 1 || (\$2 > 1 && \$4 + 0 > last)) exit 1; last = \$4 }" top.csv'
check "nothing seen is recommended" \
  eval 'sed 1d train.csv | cut -d, -f1,2 | sort >a && sed 1d top.csv | cut -d, -f1,3 | sort >b &&
    [ -z "$(comm -12 a b)" ] && [ -s a ]'

run 0 recommend model.h5 --top 2 --users 7,3,3,999999
check "without -o recommend prints a table" \
  eval 'succeeds && [ "$(grep -c "^user " "$stdout")" -eq 2 ] && prints "^user 3$" && prints "^user 7$"'
check "users that the model lacks are counted" says '^als: warning: 1 of the ids'
printf '7\n3\n' >users.txt
cp "$stdout" a
run 2 recommend model.h5 --top 2 --users users.txt
check "--users takes a file" eval 'succeeds && same "$stdout" a'
run 0 recommend model.h5 --top 3 --for items --items 5
check "--for items recommends users" eval 'succeeds && prints "^item 5$" && [ "$(wc -l <"$stdout")" -eq 4 ]'
(ulimit -v 4000000 2>/dev/null && "$als" recommend model.h5 --top 1000000 -o all-items.csv >"$stdout" 2>"$stderr")
status=$? ran="als recommend --top 1000000"
check "a top above the number of items gives all items, and takes no room for more" \
  eval 'succeeds && [ "$(wc -l <all-items.csv)" -eq 24001 ]'
run 0 evaluate model.h5 test.csv --clamp
check "evaluate prints a table" eval 'succeeds && prints "^rmse +0\.[0-9]+" && prints "^n_cold +0"'
clamped=$(sed -n 's/^rmse *//p' "$stdout")
run 0 evaluate model.h5 test.csv
check "--clamp lowers the error" holds_for "$clamped < $(sed -n 's/^rmse *//p' "$stdout")"
run 0 predict model.h5 test.csv -o clamped.csv --clamp
check "--clamp keeps predictions in the range of the ratings" \
  eval 'succeeds && sed 1d clamped.csv | awk -F, "\$3 < 1 || \$3 > 5 { exit 1 }" && ! same clamped.csv predictions.csv'

# ---- Cold users and items ----

printf 'user,item,rating\n1,1,3\n1,777777,3\n888888,1,3\n' >cold.csv
run 2 evaluate model.h5 cold.csv --json
check "cold pairs make the result nan, with a warning" \
  eval 'succeeds && json_is rmse null && json_is n 1 && json_is n_cold 2 && says "^als: warning: 2 "'
run 2 evaluate model.h5 cold.csv --json --cold-start-strategy drop
check "or they are dropped" eval 'succeeds && json_is n 1 && json_is n_cold 2 && ! json_is rmse null'
run 2 predict model.h5 cold.csv -o cold-out.csv
check "predict writes nan for cold pairs" \
  eval 'succeeds && [ "$(grep -ci ",nan$" cold-out.csv)" -eq 2 ] && [ "$(wc -l <cold-out.csv)" -eq 4 ]'
run 2 predict model.h5 cold.csv -o cold-out.csv --cold-start-strategy drop
check "or drops them" eval 'succeeds && [ "$(wc -l <cold-out.csv)" -eq 2 ]'
run 2 train train.csv -o m.h5 --max-iter 1 --test cold.csv --json
check "train leaves out cold test ratings and says so" \
  eval 'succeeds && json_length rmse_test 1 && says "^als: warning: 2 test ratings"'

# ---- Options of train ----

run 0 train train.csv -o m.h5 --max-iter 50 --tol 0.01 --json
check "--tol ends early" holds_for "$(json_value rmse_train | tr ',' '\n' | grep -c .) < 30"
run 0 train train.csv -o m0.h5 --max-iter 0 --rank 5 --json
check "--max-iter 0 gives the initial factors" eval 'succeeds && json_is rmse_train "[]"'
run 0 train train.csv -o seed0.h5 --max-iter 2 --json
a=$(json_value rmse_train)
run 0 train train.csv -o seed1.h5 --max-iter 2 --seed 1 --json
check "another seed, another model" eval 'succeeds && [ "$(json_value rmse_train)" != "$a" ]'
run 2 train train.csv -o warm.h5 --max-iter 2 --init-model seed0.h5 --json
b=$(json_value rmse_train)
run 0 train train.csv -o four.h5 --max-iter 4 --json
check "2 iterations from a model of 2 are the last two of 4" \
  eval 'succeeds && [ "${b#\[}" = "$(json_value rmse_train | cut -d, -f3- | sed "s/^ //")" ]'

# ---- A log that people read ----

run 2 train train.csv -o m.h5 --max-iter 3 --test test.csv
check "train says plain lines: one an iteration, no escapes" \
  eval 'succeeds && [ "$(grep -c "^iteration [123]/3: rmse [0-9.]*, test [0-9.]*" "$stderr")" -eq 3 ] &&
    ! grep -q "$(printf "\033")" "$stderr" && empty "$stdout"'
check "and where the model is" says '^model: m.h5, 3 iterations'
run 0 train train.csv -o m.h5 --max-iter 1 --quiet
check "--quiet is silent" eval 'succeeds && empty "$stderr" && empty "$stdout"'
check "no temporary file is left by all of this" no_litter

# ---- Help ----

run 0 --help
check "als --help lists the commands" \
  eval 'succeeds && empty "$stderr" && for c in generate import split train evaluate predict recommend info; do
    prints "^  $c " || exit 1; done'
run 2 --help
check "rank 0 alone prints it" eval 'succeeds && [ "$(grep -c "^usage:" "$stdout")" -eq 1 ]'
run 0 --version
check "als --version" eval 'succeeds && prints "^als \(gangplank\) [0-9]+\.[0-9]+" && empty "$stderr"'
for command in generate import split train evaluate predict fold-in tune plan recommend similar explain info; do
  run 0 $command --help
  check "als $command --help: on stdout, usage and example, on a screen of 80 x 24" \
    eval 'succeeds && empty "$stderr" && prints "^usage: als $command" && prints "^example:" &&
      awk "length(\$0) > 80 || NR > 24 { exit 1 }" "$stdout"'
  run 0 $command --help-all
  check "--help-all: no line above 80 columns" \
    eval 'succeeds && empty "$stderr" && prints "^ +--help-all" && awk "length(\$0) > 80 { exit 1 }" "$stdout"'
done
finish
