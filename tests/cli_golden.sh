#!/bin/sh
# Spark's published predictions, from Spark's own initial factors: the example of PySpark's doctest.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
start=$(helper spark_start)
if [ -z "$start" ]; then
  skip "Spark's published predictions" "spark_start was not built (it needs CUnit)"
  finish
fi

printf 'user,item,rating\n0,0,4\n0,1,2\n1,1,3\n1,2,4\n2,1,1\n2,2,5\n' >ratings.csv
# Not among the ratings: what the doctest prints.
printf 'user,item\n0,2\n1,0\n2,0\n' >pairs.csv

# near FILE: within 1e-5 of the published values, relatively.
near() {
  sed 1d "$1" | awk -F, '
    BEGIN { split("-0.13807615637779236 2.6258413791656494 -1.5018409490585327", want, " ") }
    { e = ($3 - want[NR]) / want[NR]; if (e > 1e-5 || e < -1e-5) bad = 1 }
    END { exit bad || NR != 3 }'
}

run 0 train ratings.csv -o shape.h5 --rank 10 --max-iter 0
check "a model with the right ids" succeeds
check "gets the initial factors of Spark 2.4" "$start" shape.h5 start.h5
for ranks in 0 1 3; do
  run $ranks train ratings.csv -o model.h5 --init-model start.h5 --rank 10 --reg-param 0.1 --max-iter 5
  check "5 iterations from there, $ranks ranks" succeeds
  run $ranks predict model.h5 pairs.csv -o predictions.csv
  check "give the published predictions, $ranks ranks" eval 'succeeds && near predictions.csv'
done
run 0 train ratings.csv -o own.h5 --rank 10 --reg-param 0.1 --max-iter 5
run 0 predict own.h5 pairs.csv -o predictions.csv
check "our own initial factors do not" eval 'succeeds && ! near predictions.csv'
run 2 train ratings.csv -o other.h5 --init-model start.h5 --rank 9
check "a model of another rank is refused" eval 'exits 2 && one_message "has rank 10; this one has rank 9" && absent other.h5'
finish
