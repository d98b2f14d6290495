#!/bin/sh
# --config: settings from a file, and those that a model has recorded, which repeat its run.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

# same_models A B: their datasets have the same bits.
same_models() {
  "$sum" "$1" >one.sum && "$sum" "$2" >two.sum && cmp one.sum two.sum >/dev/null
}
# param MODEL KEY VALUE: als info has it.
param() {
  run 0 info "$1" --json
  json_is "$2" "$3"
}

run 0 generate -o ratings.csv --users 300 --items 100 --ratings 6000 --quiet
run 0 split ratings.csv --train 'train # 1.csv' --test test.csv --quiet
cat >settings <<'END'
# what this project fits
rank = 6
max-iter=3                # few
  reg-param = 0.05
bias = yes
seed = 4

input = "train # 1.csv"
test = test.csv
num-partitions = 3
json = yes
END

run 2 train --config settings -o config.h5 --quiet
check "train with a settings file, at 2 ranks" eval 'succeeds && json_object rmse_train'
check "its settings are the model's" eval 'param config.h5 rank 6 && param config.h5 seed 4 && param config.h5 bias 1'
run 0 train --config settings --rank 5 --bias=no --test=test.csv -o typed.h5 --quiet
check "what is typed wins, also against yes" \
  eval 'succeeds && param typed.h5 rank 5 && param typed.h5 bias 0 && param typed.h5 max_iter 3'

if [ -n "$sum" ]; then
  run 0 train 'train # 1.csv' --rank 6 --max-iter 3 --reg-param .05 --bias --seed 4 --test test.csv \
    -o typed.h5 --quiet
  check "the same model as with all options typed" eval 'succeeds && same_models config.h5 typed.h5'
  for model in config typed; do
    run 2 train --config $model.h5 -o again.h5 --quiet
    check "train --config MODEL repeats the run, $model" eval 'succeeds && same_models again.h5 config.h5'
  done
  run 0 train --config again.h5 -o third.h5 --quiet
  check "and so does the model that it made" eval 'succeeds && same_models third.h5 config.h5'
  run 0 train --config config.h5 --seed 5 -o third.h5 --quiet
  check "another seed is another model" eval 'succeeds && ! same_models third.h5 config.h5'
  run 0 tune --config config.h5 --grid rank=2,3 --grid bias=no --folds 2 -o tuned.h5 --quiet
  check "tune takes them too, and the grid goes before them" \
    eval 'succeeds && param tuned.h5 max_iter 3 && param tuned.h5 bias 0 && param tuned.h5 reg_user 0.05'
  run 0 train --config tuned.h5 -o again.h5 --quiet
  check "the best point's model can be repeated" eval 'succeeds && same_models again.h5 tuned.h5'
  run 0 info tuned.h5 --json
  tuned=$(json_value digest)
  run 0 info again.h5 --json
  check "and its digest" eval '[ -n "$tuned" ] && json_is digest "$tuned"'
else
  skip "train --config MODEL repeats the run" "model_sum was not built (it needs CUnit)"
fi
run 0 plan --config config.h5 --ranks 1 --quiet
check "plan takes them, and puts them into its script" \
  eval 'succeeds && prints "als train .* --rank 6 --max-iter 3 --reg-param 0.05 --bias --seed 4"'

# ---- What is refused ----

run 2 train --config settings --rnak 3 -o x.h5
check "a slip on the command line" eval 'exits 2 && one_message "unknown option --rnak; did you mean --rank"'
echo 'rnk = 3' >bad
run 2 train ratings.csv --config bad -o x.h5
check "a slip in the file: file, line, and what was meant" \
  eval 'exits 2 && one_message "bad:1: unknown setting .rnk.; did you mean rank\?" && absent x.h5'
run 0 train --config config.h5
check "a model does not say where another goes" eval 'exits 2 && one_message "--output is missing.* config.h5"'
cp config.h5 before.h5
run 2 train --config config.h5 -o config.h5
check "and is not written over" eval 'exits 2 && one_message "config.h5 is an input" && same config.h5 before.h5'
run 2 train --config absent -o x.h5
check "a file that is not there" eval 'exits 66 && one_message "absent: cannot be read"'
run 0 evaluate --config config.h5
check "a command that fits nothing takes no model" eval 'exits 2 && one_message "for als train, plan and tune"'
run 0 import ratings.csv -o ratings.h5 --quiet
run 0 train --config ratings.h5 -o x.h5
check "an HDF5 file that is no model" eval 'exits 65 && one_message "ratings.h5: holds ratings"'
run 0 fold-in config.h5 ratings.csv -o folded.h5 --quiet
run 0 train --config folded.h5 -o x.h5
check "a model that no fit has made" eval 'exits 65 && one_message "folded.h5: this model has no settings"'
head -c 3000 config.h5 >cut.h5
run 2 train --config cut.h5 -o x.h5
check "a damaged model" eval 'exits 65 && one_message "cut.h5" && absent x.h5'
printf 'rank = 3\000\n' >bad
run 0 train ratings.csv --config bad -o x.h5
check "what is not text" eval 'exits 2 && one_message "bad: not text"'
run 0 train ratings.csv --config . -o x.h5
check "a folder" eval 'exits 66 && one_message "cannot be read"'
check "nothing is left behind" no_litter
finish
