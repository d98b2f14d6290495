#!/bin/sh
# Spark's published predictions, from Spark's own start: the example of PySpark's documentation. And what
# Spark's suite asks of ids and of empty input.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

printf 'user,item,rating\n0,0,4\n0,1,2\n1,1,3\n1,2,4\n2,1,1\n2,2,5\n' >ratings.csv
# Not among the ratings: what the example prints.
printf 'user,item\n0,2\n1,0\n2,0\n' >pairs.csv

# near FILE VALUE...: within 1e-5 of them, relatively.
near() {
  file=$1
  shift
  sed 1d "$file" | awk -F, -v values="$*" '
    BEGIN { n = split(values, want, " ") }
    { e = ($3 - want[NR]) / want[NR]; if (e > 1e-5 || e < -1e-5) bad = 1 }
    END { exit bad || NR != n }'
}
spark2='-0.13807615637779236 2.6258413791656494 -1.5018409490585327'
spark3='0.6929104924201965 3.473569869995117 -0.899198055267334'

for ranks in 0 3; do
  for release in 2 3; do
    eval "want=\$spark$release"
    run $ranks train ratings.csv -o model.h5 --init spark$release --rank 10 --reg-param 0.1 --max-iter 5
    check "5 iterations from the start of Spark $release, $ranks ranks" succeeds
    run $ranks predict model.h5 pairs.csv -o predictions.csv
    check "give the published predictions, $ranks ranks" eval 'succeeds && near predictions.csv $want'
  done
done
run 0 train ratings.csv -o start.h5 --init spark2 --rank 10 --max-iter 0
run 2 train ratings.csv -o model.h5 --init-model start.h5 --rank 10 --balance no --reg-param 0.1 --max-iter 5
run 0 predict model.h5 pairs.csv -o predictions.csv
check "and so does a model to start from that was drawn before" eval 'succeeds && near predictions.csv $spark2'
run 0 train ratings.csv -o own.h5 --rank 10 --reg-param 0.1 --max-iter 5
run 0 predict own.h5 pairs.csv -o predictions.csv
check "our own initial factors do not" \
  eval 'succeeds && ! near predictions.csv $spark2 && ! near predictions.csv $spark3'
run 0 train ratings.csv -o blocks.h5 --init spark3 --num-user-blocks 1 --rank 10 --reg-param 0.1 --max-iter 5
run 0 predict blocks.h5 pairs.csv -o predictions.csv
check "nor do those of another number of blocks" eval 'succeeds && ! near predictions.csv $spark3'
run 2 train ratings.csv -o other.h5 --init-model start.h5 --rank 9
check "a model of another rank is refused" eval 'exits 2 && one_message "has rank 10; this one has rank 9" && absent other.h5'

# ---- ALSSuite: input type validation ----

# Ids that Spark takes, at the ends of its range; and those that are none of its. Ours take them all.
printf -- '-2147483648,2147483647,3\n1,2,4\n' >fits.csv
run 0 train fits.csv -o fits.h5 --init spark3 --rank 1 --max-iter 1
check "ALSSuite: input type validation: ids of 32 bits" succeeds
for id in 2147483648 -2147483649 1231000000000 123.1; do
  printf '%s,1,3\n1,2,4\n' $id >wide.csv
  what="$id does not fit 32 bits"
  [ $id != 123.1 ] || what='is text'
  run 2 train wide.csv -o wide.h5 --init spark3 --rank 1 --max-iter 1
  check "ALSSuite: input type validation: user $id is not one of Spark's" \
    eval 'exits 2 && one_message "$what" && absent wide.h5'
  run 0 train wide.csv -o wide.h5 --rank 1 --max-iter 1
  check "but one of ours" succeeds
  rm -f wide.h5
done

# ---- ALSSuite: recommendations for subsets; ALSStorageSuite ----

run 0 train ratings.csv -o model.h5 --init spark3 --rank 10 --reg-param 0.1 --max-iter 5
for side in user item; do
  run 0 recommend model.h5 --for ${side}s --top 2 -o all.csv
  run 2 recommend model.h5 --for ${side}s --${side}s 2,0 --top 2 -o some.csv
  check "ALSSuite: recommendFor${side}Subset" \
    eval 'succeeds && grep -Ev "^1," all.csv | sort >want && sort some.csv | cmp -s - want && [ "$(wc -l <want)" -eq 5 ]'
  run 0 recommend model.h5 --for ${side}s --${side}s 2,0,2,99 --top 2 -o some.csv
  check "duplicate ids come once, unknown ones not at all" eval 'succeeds && sort some.csv | cmp -s - want'
  run 0 recommend model.h5 --for ${side}s --${side}s 0,1,2 --top 2 -o some.csv
  check "the subset of all is all" eval 'succeeds && same some.csv all.csv'
done
run 0 train ratings.csv -o level.h5 --persist SOMETIMES
check "ALSStorageSuite: invalid storage params" eval 'exits 2 && one_message SOMETIMES && absent level.h5'

# ---- SPARK-18268 ----

: >empty.csv
run 2 train empty.csv -o empty.h5 --format csv
check "ALSSuite: SPARK-18268: ALS with empty RDD should fail" eval 'exits 65 && one_message "no ratings" && absent empty.h5'
check "no temporary file is left by all of this" no_litter
finish
