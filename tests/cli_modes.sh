#!/bin/sh
# The promise holds for every loss, solver and start: the same bits alone and on several ranks, with one
# thread and with three, in one go and resumed. And what options do not go together.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)

# More noise than signal, so that the error of validation soon rises again.
run 0 generate -o all.csv --users 150 --items 60 --ratings 2500 --planted-rank 3 --noise 2
sed 1d all.csv | awk 'NR % 5' >ratings.csv
sed 1d all.csv | awk 'NR % 5 == 0' >held-out.csv
sed 's/^/u/; s/,/,i/' ratings.csv >text.csv

# train RANKS MODEL ARG...
train() {
  ranks_of_run=$1 model=$2
  shift 2
  run "$ranks_of_run" train ratings.csv -o "$model.h5" "$@"
}
sum_of() { "$sum" "$1.h5" 2>>"$stderr"; }
same_bits() { [ -z "$sum" ] || [ "$(sum_of "$1")" = "$(sum_of "$2")" ]; }
[ -n "$sum" ] || skip "the bits of models" "model_sum was not built (it needs CUnit)"

# ---- Every mode ----

others=1
# mode ARG...: alone; on 3 ranks; and cut off in iteration 5 with 3 threads, then gone on with on 1, 2, 4.
mode() {
  rm -rf d whole.h5 ranks.h5 long.h5
  train 0 whole --rank 5 --max-iter 7 --threads 1 "$@"
  check "train $*" succeeds
  train 3 ranks --rank 5 --max-iter 7 --threads 1 "$@"
  check "the same bits on 3 ranks" eval 'succeeds && same_bits ranks whole'
  train 0 long --rank 5 --max-iter 7 --threads 3 --checkpoint-dir d --checkpoint-interval 2 --max-attempts 1 \
    --fault gang,iteration=5,side=users:error "$@"
  check "cut off" eval 'exits 70 && absent long.h5'
  train $others long --rank 5 --max-iter 7 --threads 2 --checkpoint-dir d --checkpoint-interval 2 "$@"
  check "the same bits, gone on with on $others ranks" \
    eval 'succeeds && says "resumed from d/checkpoint-4.h5" && same_bits long whole'
  case $others in 1) others=2 ;; 2) others=4 ;; *) others=1 ;; esac
}
mode --reg-user 0.05 --reg-item 0.2 --reg-scaling 0.5 --min-ridge 0.5
mode --nonnegative --init spark3
mode --update-bias
mode --solver cg --cg-steps 2
mode --solver cg --update-bias --final-exact no --init spark2 --num-user-blocks 3 --num-item-blocks 2
mode --solver subspace --subspace-block 2 --update-bias
mode --implicit-prefs --alpha 3
mode --implicit-prefs --solver cg --reg-scaling none
mode --implicit-prefs --solver subspace --subspace-block 3 --final-exact yes
mode --implicit-prefs --nonnegative
mode --unobserved-weight 0.1
mode --unobserved-weight 0.1 --solver cg
mode --precision single
mode --precision single --solver cg --unobserved-weight 0.1
mode --bias --reg-param 0.1 --validation held-out.csv
check "here the best iteration is one before the checkpoint" says "iteration [123] is the best"
mode --update-bias --solver cg --reg-param 0.1 --validation held-out.csv --test held-out.csv
check "here too" says "iteration [123] is the best"
mode --unobserved-weight 0.1 --solver cg --validation held-out.csv
check "and where lists are watched" says "iteration [123] is the best"
mode --bias --nonnegative --validation held-out.csv --validation-metric ndcg --test held-out.csv

# ---- Every processor ----

"$als" --version >version 2>&1
check "als --version tells what it computes with" grep -qE "kernels for (avx512|avx2|portable)$" version
if grep -q "avx512$" version; then
  for options in "" "--precision single --solver cg --implicit-prefs" "--solver subspace --implicit-prefs --alpha 2"; do
    train 0 wide --rank 19 --max-iter 3 $options
    GANGPLANK_KERNELS=avx2 train 0 narrow --rank 19 --max-iter 3 $options
    check "the same bits as with AVX2 alone${options:+: $options}" eval 'succeeds && same_bits wide narrow'
  done
else
  skip "the same bits with AVX2 as with AVX-512" "this processor has no AVX-512"
fi
OPENBLAS_CORETYPE='' OPENBLAS_VERBOSE=2 "$als" --version >/dev/null 2>core
if grep -q "avx" version && grep -q "^Core: " core; then
  (unset OPENBLAS_CORETYPE && OPENBLAS_VERBOSE=2 "$als" --version 2>&1) | grep "^Core: " | tail -n 1 >core
  check "OpenBLAS takes no processor with AVX2 for one of 2004" eval '[ -s core ] && ! grep Prescott core'
else
  skip "OpenBLAS takes no processor with AVX2 for one of 2004" "no AVX2, or another BLAS"
fi
train 0 whole --rank 3 --max-iter 2
GANGPLANK_KERNELS=portable train 0 portable --rank 3 --max-iter 2
check "any processor can do it" eval 'succeeds && [ -s portable.h5 ]'
GANGPLANK_KERNELS=abacus train 0 other --rank 3 --max-iter 2
check "kernels that do not exist are warned of" eval 'succeeds && says "abacus" && same_bits other whole'

# ---- The best iteration ----

train 0 best --rank 5 --max-iter 7 --bias --validation held-out.csv --json
best=$(json_value best_iteration)
check "an iteration before the last is the best" \
  eval '[ "$best" -ge 1 ] && [ "$best" -lt 7 ] && json_length rmse_validation 7 && json_object objective loss_reg'
train 0 short --rank 5 --max-iter "$best" --bias --json
run 0 evaluate best.h5 held-out.csv --json
kept=$(json_value rmse)
run 0 evaluate short.h5 held-out.csv --json
check "its factors are what the model has" eval 'json_is rmse "$kept"'
run 0 info best.h5 --json
check "info tells it" eval 'json_is best_iteration "$best" && json_is iterations 7'
check "and the error of that iteration" holds_for "($(json_value rmse_validation) - $kept)^2 < 1e-12"
same_factors() {
  run 0 evaluate early.h5 held-out.csv --json
  json_is rmse "$kept"
}
train 2 early --rank 5 --max-iter 50 --bias --validation held-out.csv --tol 0.001 --json
check "--tol looks at the error of validation" \
  eval 'json_is best_iteration "$best" && json_is iterations $((best + 1)) && same_factors'
train 0 other --rank 5 --max-iter 3 --bias --validation held-out.csv --checkpoint-dir e --checkpoint-interval 1
head -n 100 held-out.csv >less.csv
train 0 other --rank 5 --max-iter 7 --bias --validation less.csv --checkpoint-dir e
check "checkpoints of other validation ratings are not used" \
  eval 'succeeds && says "passed over: it is of other ratings" && ! says resumed'

# ---- The best lists ----

lists="--implicit-prefs --alpha 3 --reg-param 1 --rank 5"
# judge MODEL RANKS: prints what `als evaluate` says of its lists.
judge() {
  run "$2" evaluate "$1.h5" held-out.csv --ranking --train ratings.csv --cold-start-strategy drop --json
  json_value ndcg@10
}
train 2 best $lists --max-iter 7 --validation held-out.csv --work-dir lists --json
best=$(json_value best_iteration) watched=$(json_value ndcg_validation)
check "an iteration before the last has the best lists" \
  eval '[ "$best" -gt 1 ] && [ "$best" -lt 7 ] && json_length ndcg_validation 7 && ! prints rmse_validation'
check "they are told of" says "iteration 7/7: validation ndcg@10 0.[0-9]{6}, objective"
check "in the event log, too" grep -q '"iteration": 7, "ndcg_validation": 0.*"objective"' lists/events/*.jsonl
highest=0 first=
judged=
for n in 1 2 3 4 5 6 7; do
  train 0 short $lists --max-iter "$n" --quiet
  value=$(judge short 0)
  judged="$judged${judged:+, }$value"
  if holds_for "$value > $highest"; then highest=$value first=$n; fi
done
check "evaluate says the same of each iteration" eval '[ "[$judged]" = "$watched" ]'
check "the model is of the first of the highest NDCG" \
  eval '[ "$best" = "$first" ] && [ "$(judge best 3)" = "$highest" ]'
run 0 info best.h5 --json
check "info tells it" eval 'json_is best_iteration "$best" && holds_for "($(json_value ndcg_validation) - $highest)^2 < 1e-24"'
train 2 early $lists --max-iter 50 --validation held-out.csv --tol 0.0001 --json
check "--tol looks at the lists" \
  eval 'json_is best_iteration "$best" && json_is iterations $((best + 1)) && [ "$(judge early 0)" = "$highest" ]'
train 0 early $lists --max-iter 50 --validation held-out.csv --tol 0.1 --json
check "which have to gain a share" eval 'json_is iterations 3 && json_is best_iteration 3'
rm -rf e
explicit="--rank 5 --bias --validation held-out.csv --checkpoint-dir e"
train 0 other $explicit --max-iter 3 --checkpoint-interval 1
train 0 other $explicit --max-iter 7 --validation-metric ndcg --json
check "checkpoints by another measure are not used" \
  eval 'succeeds && says "passed over: it is of other ratings or parameters" && json_is resumed_from 0 &&
    json_length ndcg_validation 7'
sed 's/,[^,]*$/,-1/' held-out.csv >disliked.csv
train 0 refused $lists --max-iter 1 --validation disliked.csv
check "a validation part without relevant items" \
  eval 'exits 65 && says "no validation rating is above 0" && absent refused.h5'
train 3 refused $lists --max-iter 1 --validation ratings.csv
check "or with none that is held out" eval 'exits 65 && says "no validation rating is above 0" && absent refused.h5'
train 0 other --rank 5 --max-iter 2 --tol 0.5 --unobserved-weight 1
check "--tol looks at the objective of implicit ratings" succeeds

# ---- The exact iteration ----

train 0 exact --rank 5 --max-iter 4 --solver cg --json
check "--solver cg ends with an exact iteration" \
  eval 'json_is iterations 5 && json_is final_exact true && json_length objective 5'
train 0 exact --rank 5 --max-iter 4 --solver cg --final-exact no --json
check "not with --final-exact no" eval 'json_is iterations 4 && json_is final_exact false'
train 0 exact --rank 5 --max-iter 0 --solver cg --json
check "nor after no iteration at all" eval 'succeeds && json_is iterations 0'
train 0 whole --rank 5 --max-iter 5 --solver cg --quiet
rm -rf d
train 0 long --rank 5 --max-iter 5 --solver cg --checkpoint-dir d --checkpoint-interval 1 --max-attempts 1 \
  --fault gang,iteration=6:error
check "cut off in the exact iteration" exits 70
train 2 long --rank 5 --max-iter 5 --solver cg --checkpoint-dir d
check "it alone is made again" eval 'says "resumed from d/checkpoint-5.h5" && same_bits long whole'
train 0 long --rank 5 --max-iter 7 --solver cg --final-exact no --checkpoint-dir d
train 0 whole --rank 5 --max-iter 7 --solver cg --final-exact no --quiet
check "it is in no checkpoint" eval 'same_bits long whole'

# ---- What is told ----

train 0 told --rank 3 --max-iter 2 --implicit-prefs --alpha 7 --reg-scaling none --work-dir w
check "the parts of the objective" \
  eval 'says "iteration 2/2: objective [0-9.e+]+ = ratings [-0-9.e+]+ \\+ pairs [0-9.e+]+ \\+ regularisation [0-9.e+]+" && ! says rmse'
check "in the event log, too" grep -q '"event": "iteration", "iteration": 2, "loss_ratings": .*"objective"' w/events/*.jsonl
train 0 told --rank 3 --max-iter 2
check "the RMSE of explicit ratings" says "iteration 2/2: rmse [0-9.]+, objective"
train 0 told --rank 3 --max-iter 2 --reg-user 0.3 --unobserved-weight 0.25 --solver cg --cg-steps 4 --init spark3
run 0 info told.h5 --json
check "the model has its parameters" \
  eval 'json_is implicit_prefs 1 && json_is unobserved_weight 0.25 && json_is reg_user 0.3 && json_is reg_item 0.1 &&
    json_is solver "\"cg\"" && json_is cg_steps 4 && json_is init "\"spark3\"" && json_is num_item_blocks 10 &&
    json_is final_exact 1 && json_object loss_pairs loss_ratings loss_reg objective && ! prints alpha'

# ---- What has no effect ----

# warns TEXT ARG...
warns() {
  text=$1
  shift
  train 0 warned --rank 2 --max-iter 1 "$@"
  check "$* is warned of" eval 'succeeds && says "$text"'
}
warns "alpha has no effect without --implicit-prefs" --alpha 40
warns "alpha has no effect with --unobserved-weight" --alpha 40 --unobserved-weight 1
warns "cg-steps has no effect without --solver cg" --cg-steps 4
warns "subspace-block has no effect without --solver subspace" --subspace-block 4 --solver cg
warns "final-exact has no effect with --solver cholesky" --final-exact yes
warns "reg-param has no effect beside" --reg-param 1 --reg-user 1 --reg-item 1
warns "num-user-blocks has no effect without --init" --num-user-blocks 4
warns "says little about implicit" --test held-out.csv --implicit-prefs
warns "validation-metric has no effect without --validation" --validation-metric ndcg
train 0 warned --rank 2 --max-iter 1 --alpha 2 --implicit-prefs --solver cg --cg-steps 2
check "what fits is not" eval '! says "no effect"'

# ---- What contradicts itself ----

# refused TEXT ARG...
refused() {
  text=$1
  shift
  train 0 refused --rank 2 --max-iter 1 "$@"
  check "$* is refused" eval 'exits 2 && one_message "$text" && absent refused.h5'
}
refused "bias does not go with --implicit-prefs" --bias --implicit-prefs
refused "update-bias does not go with --unobserved-weight" --update-bias --unobserved-weight 1
refused "nonnegative does not go with --solver cg" --nonnegative --solver cg
refused "nonnegative does not go with --update-bias" --nonnegative --update-bias
refused "precision single does not go with --nonnegative" --precision single --nonnegative
refused "precision single does not go with --solver subspace" --precision single --solver subspace
refused "rmse says nothing about implicit" --validation held-out.csv --validation-metric rmse --implicit-prefs
refused "validation-metric .*mae" --validation held-out.csv --validation-metric mae
refused "init spark3 and --init-model" --init spark3 --init-model told.h5
refused "reg-scaling 'some' is neither" --reg-scaling some
refused "reg-scaling '-1' is neither" --reg-scaling -1
refused "cg-steps 0 is out of range" --solver cg --cg-steps 0
refused "alpha -1 is out of range" --implicit-prefs --alpha -1
run 0 train text.csv -o refused.h5 --init spark3
check "--init spark3 for text ids is refused" eval 'exits 2 && one_message "text|32" && absent refused.h5'
echo '99999,99999,3' >cold.csv
train 0 refused --rank 2 --max-iter 1 --validation cold.csv
check "a validation part that knows nobody" eval 'exits 65 && says "no validation rating" && absent refused.h5'
check "no temporary file is left by all of this" no_litter
finish
