#!/bin/sh
# Quality on real data: the five folds of MovieLens 100K, where $GANGPLANK_TEST_DATA has them.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
folds=${GANGPLANK_TEST_DATA:-}/ml-100k
if [ ! -r "$folds/u1.base" ]; then
  skip "the error on MovieLens 100K" "no ml-100k/u1.base in \$GANGPLANK_TEST_DATA (${GANGPLANK_TEST_DATA:-not set})"
  finish
fi

# mean_error LIMIT ARG...: train on each fold with ARG...; the mean RMSE is at most LIMIT.
mean_error() {
  limit=$1 sum=0
  shift
  for fold in 1 2 3 4 5; do
    run 2 train "$folds/u$fold.base" -o model.h5 --max-iter 20 --quiet "$@"
    [ "$status" -eq 0 ] || return 1
    run 0 evaluate model.h5 "$folds/u$fold.test" --clamp --cold-start-strategy drop --json
    [ "$status" -eq 0 ] || return 1
    sum="$sum + $(json_value rmse)"
  done
  echo "# mean of 5 folds: $(awk "BEGIN { print ($sum) / 5 }"), at most $limit"
  holds_for "($sum) / 5 <= $limit"
}

check "rank 100 with biases: the error of the best peers" mean_error 0.917 --rank 100 --reg-param 0.12 --bias
check "plain, rank 10" mean_error 0.925 --rank 10 --reg-param 0.1
finish
