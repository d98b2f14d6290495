#!/bin/sh
# als split: every rating lands exactly once, where hashes and times say; not where ranks, partitions or the
# order of the input do.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

run 0 generate -o plain.csv --users 120 --items 40 --ratings 2000 --planted-rank 2
# times 0 to 499, so that many are equal; one user with a single rating, one pair that stands there twice
awk -F, -v OFS=, 'NR == 1 { print $0, "timestamp"; next } { print $0, (NR * 7919) % 500 }
  END { print 9999, 1, 3, 77; print 5000, 2, 4, 88; print 5000, 2, 4, 88; print 5000, 3, 4, 10 }' \
  plain.csv >all.csv
total=$(($(wc -l <all.csv) - 1))
body() { sed 1d "$1"; }

# whole TRAIN TEST: together they are the input.
whole() {
  (body "$1" && body "$2") | sort >parts && body all.csv | sort >sorted && same parts sorted
}
# in_order FILE: its lines stand in the order of the input.
in_order() {
  awk 'NR == FNR { if (!($0 in at)) at[$0] = NR; next } FNR > 1 { if (at[$0] < last) exit 1; last = at[$0] }' \
    all.csv "$1"
}
(head -n 1 all.csv && body all.csv | shuffle -) >shuffled.csv

# splits WHAT OPTION...: into train.csv and test.csv; the same on 3 ranks, and from another order.
splits() {
  what=$1
  shift
  run 0 split all.csv --train train.csv --test test.csv --json --quiet "$@"
  cp "$stdout" "$top/json"
  check "$what: every rating is in one part, in its order" \
    eval 'succeeds && whole train.csv test.csv && in_order train.csv && in_order test.csv'
  run 3 split all.csv --train train3.csv --test test3.csv --quiet --num-partitions 6 "$@"
  check "$what: the same on 3 ranks" \
    eval 'succeeds && same train.csv train3.csv && same test.csv test3.csv'
  run 2 split shuffled.csv --train train2.csv --test test2.csv --quiet --num-partitions 3 "$@"
  check "$what: the same from another order" \
    eval 'succeeds && body test.csv | sort >a && body test2.csv | sort >b && same a b'
  cp "$top/json" "$stdout"
}

splits fraction --test-fraction 0.25 --seed 3
n=$(json_value test_ratings)
check "about the fraction" holds_for "$n > $total * 0.21 && $n < $total * 0.29"

# per_user FILE: user and number of ratings.
per_user() { body "$1" | cut -d, -f1 | sort | uniq -c; }
splits "leave one out" --leave-out 1
check "one rating of each user, but of those with a single one, or with one pair alone" \
  eval 'json_is users_without_test "$(($(body all.csv | cut -d, -f1 | sort -u | wc -l) - $(body test.csv | wc -l)))" &&
    [ "$(body test.csv | cut -d, -f1 | sort | uniq -d)" = "" ] && ! grep -q "^9999," test.csv &&
    [ "$(body train.csv | cut -d, -f1 | sort -u | wc -l)" -eq "$(body all.csv | cut -d, -f1 | sort -u | wc -l)" ]'
run 0 split all.csv --train other.csv --test other-test.csv --leave-out 1 --seed 1 --quiet
check "another seed, another one" eval 'succeeds && ! same test.csv other-test.csv'

splits "leave out 3 by time" --leave-out 3 --by-time
check "no rating of training is later than one of the test of its user" eval '
  awk -F, "FNR == 1 { file++; next } file == 1 { if (!(\$1 in first) || \$4 < first[\$1]) first[\$1] = \$4; next }
    \$1 in first && \$4 > first[\$1] { exit 1 }" test.csv train.csv'
check "three of each user with four or more" eval '
  per_user all.csv | awk "\$1 >= 4 && \$2 != 5000 { print 3, \$2 }" >a &&
  per_user test.csv | awk "\$2 != 5000 { print \$1, \$2 }" >b && per_user all.csv >c && [ -s a ] &&
  awk "NR == FNR { n[\$2] = \$1; next } n[\$2] != \$1 { exit 1 }" b a'
check "ratings that look alike stay together" \
  eval '[ "$(grep -c "^5000,2," test.csv)" -eq 2 ] && [ "$(grep -c "^5000,3," train.csv)" -eq 1 ]'

splits "the last tenth by time" --time-split 0.1
last=$(json_value last_train_time)
n=$(json_value test_ratings)
check "all of training is at or before a moment, all of the test after it" \
  eval 'body train.csv | awk -F, "\$4 > $last { exit 1 }" && body test.csv | awk -F, "\$4 <= $last { exit 1 }"'
at=$(body train.csv | awk -F, "\$4 == $last" | wc -l)
check "no more than a tenth, and one moment earlier would be more" \
  holds_for "$n <= $total * 0.1 && $n + $at > $total * 0.1 && $at > 0"
splits "from a moment on" --time-split 400
check "the moment itself is in the test" \
  eval '[ "$(body test.csv | wc -l)" -eq "$(body all.csv | awk -F, "\$4 >= 400" | wc -l)" ] && json_is last_train_time 399'
awk -F, -v OFS=, 'NR > 1 { $4 += 1138700000 } { print }' all.csv >dated.csv
run 0 split dated.csv --train a.csv --test b.csv --time-split '2006-01-31 09:35:00' --quiet
run 0 split dated.csv --train c.csv --test d.csv --time-split 1138700100 --quiet
check "a date is a moment" eval 'succeeds && same b.csv d.csv && [ "$(wc -l <b.csv)" -gt 100 ]'

# ---- Folds ----

run 0 split all.csv --train train.csv --test test.h5 --folds 4 --json --quiet
check "--folds writes numbered pairs" \
  eval 'succeeds && json_is folds 4 && json_length train_ratings 4 && json_length test_ratings 4 &&
    for f in 1 2 3 4; do [ -s train-$f.csv ] && [ -s test-$f.h5 ] || exit 1; done'
for f in 1 2 3 4; do
  run 0 import test-$f.h5 -o test-$f.csv --quiet
  check "fold $f: every rating is in one part" eval 'whole train-$f.csv test-$f.csv'
done
check "each rating is held out once" \
  eval '(for f in 1 2 3 4; do body test-$f.csv; done) | sort >a && body all.csv | sort >b && same a b'
run 3 split all.csv --train r-train.csv --test r-test.csv --folds 4 --quiet --num-partitions 5
check "the same folds on 3 ranks" \
  eval 'succeeds && for f in 1 2 3 4; do same train-$f.csv r-train-$f.csv && same test-$f.csv r-test-$f.csv || exit 1; done'
mkdir dotted.d
run 0 split plain.csv --train dotted.d/a.tsv --test ./b.csv --folds 2 --quiet
check "the number goes before the ending, and into the same folder" \
  eval 'succeeds && [ -s dotted.d/a-2.tsv ] && [ -s b-1.csv ]'

# ---- Text ----

awk -F, -v OFS=, 'NR > 1 { $1 = "u " $1; $2 = "\303\251" $2 } { print }' all.csv >text.csv
run 0 split text.csv --train a.csv --test b.csv --leave-out 2 --by-time --quiet
run 2 split text.csv --train c.csv --test d.csv --leave-out 2 --by-time --quiet --num-partitions 4
check "ids of text: the same on 2 ranks" eval 'succeeds && same a.csv c.csv && same b.csv d.csv && [ -s b.csv ]'

# ---- What is refused ----

rm -f x.csv y.csv
refused() {
  wanted=$1 pattern=$2
  shift 2
  run 0 split "$@" --train x.csv --test y.csv
  check "refused: als split $*" eval 'exits $wanted && one_message "$pattern" && absent x.csv && absent y.csv'
}
refused 2 'two ways to split' all.csv --folds 3 --leave-out 1
refused 2 'two ways to split' all.csv --test-fraction 0.1 --time-split 0.1
refused 2 'by-time goes with --leave-out' all.csv --by-time
refused 2 'neither a share .* nor a moment' all.csv --time-split yesterday
refused 2 'neither a share .* nor a moment' all.csv --time-split 0.0
refused 2 'out of range' all.csv --folds 1
refused 2 'out of range' all.csv --leave-out 0
refused 2 'needs timestamps' plain.csv --time-split 0.1
refused 2 'needs timestamps' plain.csv --leave-out 1 --by-time
run 0 split all.csv --train x.csv --test x.csv --folds 2
check "refused: two parts of one name" eval 'exits 2 && one_message "same file, x-1.csv" && absent x-1.csv'
cp all.csv in-1.csv
run 0 split in-1.csv --train ./in.csv --test x.csv --folds 2
check "refused: a part in the place of the input, which is read once more" \
  eval 'exits 2 && one_message "in-1.csv is an input" && same in-1.csv all.csv && absent in-2.csv'
run 2 split in-1.csv --train x.csv --test in-1.csv
check "and where it is not" eval 'exits 2 && one_message "in-1.csv is an input" && same in-1.csv all.csv && absent x.csv'
check "no temporary file is left by all of this" no_litter
finish
