#!/bin/sh
# The lists of models that were fitted with the fast solvers are as good as those of the exact one: CG with 3
# steps and an exact iteration at the end, and the subspace solver, at rank 128, within 0.002 of NDCG@10.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

# ndcg TRAIN TEST ARG...: fit with ARG..., rank what is not in TRAIN; NDCG@10 goes to $ndcg.
ndcg() {
  train=$1 test=$2 ndcg=
  shift 2
  run 0 train "$train" -o model.h5 --rank 128 --quiet "$@"
  succeeds || return 1
  run 0 evaluate model.h5 "$test" --ranking --top 10 --train "$train" --cold-start-strategy drop --json
  succeeds && ndcg=$(json_value ndcg@10)
}
# compare WHAT TRAIN TEST LEAST ARG...: the fast solvers with the exact one, whose NDCG is at least LEAST.
compare() {
  what=$1 first=$2 second=$3 least=$4
  shift 4
  check "$what: the exact solver" ndcg "$first" "$second" "$@"
  exact=${ndcg:-nan}
  check "$what: its lists are worth comparing" holds_for "$exact >= $least"
  for solver in "cg --cg-steps 3 --final-exact yes" "subspace --subspace-block 32"; do
    check "$what: --solver $solver" ndcg "$first" "$second" "$@" --solver $solver
    echo "# NDCG@10 is ${ndcg:-nan}, with the exact solver $exact"
    check "$what: within 0.002" holds_for "(${ndcg:-9} - $exact)^2 <= 0.002^2"
  done
}
# liked FILE: as CSV, what got 4 stars or more.
liked() { tr '\t' ',' <"$1" | awk -F, '$3 >= 4'; }

run 0 generate -o all.csv --users 700 --items 300 --ratings 40000 --planted-rank 8 --noise 0.5
sed 1d all.csv >ratings.csv
liked ratings.csv | awk 'NR % 5' >made-train.csv
liked ratings.csv | awk 'NR % 5 == 0' >made-test.csv
compare "made data" made-train.csv made-test.csv 0.1 --unobserved-weight 0.1 --reg-param 0.03 --max-iter 16

fold=${GANGPLANK_TEST_DATA:-}/ml-100k/u1
if [ -r "$fold.base" ]; then
  liked "$fold.base" >ml-train.csv
  liked "$fold.test" >ml-test.csv
  compare "MovieLens 100K" ml-train.csv ml-test.csv 0.4 --implicit-prefs --reg-param 0.5 --max-iter 16
else
  skip "the lists of MovieLens 100K" "no ml-100k/u1.base in \$GANGPLANK_TEST_DATA (${GANGPLANK_TEST_DATA:-not set})"
fi
finish
