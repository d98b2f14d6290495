#!/bin/sh
# als recommend, similar and explain: who gets which list, the same bytes on any number of ranks and
# threads, and contributions that make up a prediction, for every kind of model.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
AWK=${AWK:-awk}

run 0 generate -o all.csv --users 1200 --items 300 --ratings 20000 --planted-rank 3 --quiet
# User 4 has seen all items but 7; ids of users are texts in a second set.
"$AWK" -F, 'NR == 1 || $1 != 4 { print } END { for (i = 1; i <= 300; i++) if (i != 7) print "4," i ",3" }' \
  all.csv >ratings.csv
"$AWK" -F, 'NR == 1 { print; next } { print "user " $1 ",\"it,em " $2 "\"," $3 }' ratings.csv >text.csv
run 0 train ratings.csv -o model.h5 --rank 8 --max-iter 3 --bias --quiet
check "a model is trained" succeeds
run 0 train text.csv -o text.h5 --rank 8 --max-iter 2 --implicit-prefs --quiet
check "and one with ids that are texts" succeeds

# ---- The same bytes ----

# alike NAME END RANKS ARG...: the file of one process, of other numbers of ranks, and of other threads.
alike() {
  name=$1 end=$2 others=$3
  shift 3
  run 0 "$@" -o "$name-0.$end" --threads 1 --quiet
  check "$name to .$end" succeeds
  for ranks in $others; do
    threads=$((3 - ranks / 2))
    run $ranks "$@" -o "$name-$ranks-t.$end" --threads $threads --quiet
    check "$name: the same bytes with $ranks ranks x $threads threads" \
      eval 'succeeds && same "$name-0.$end" "$name-$ranks-t.$end"'
  done
}
# Long lists take several rounds.
alike all csv "0 1 2 3" recommend model.h5 --top 300 --exclude-seen ratings.csv
alike table h5 "0 3" recommend model.h5 --top 5 --threshold 3.5 --filter-items 1,2,3
alike users tsv 2 recommend text.h5 --top 7 --for items
alike like h5 3 similar text.h5 --users --top 4
run 0 recommend model.h5 --top 3 --users 1,2
cp "$stdout" two-users
run 3 recommend model.h5 --top 3 --users 2,1,2,1
check "ids that are given twice are served once, and in the order of ids" \
  eval 'succeeds && same "$stdout" two-users && [ "$(grep -c "^user " two-users)" -eq 2 ]'
"$AWK" 'BEGIN { for (i = 1; i <= 1200; i++) print i }' >every-user
run 0 recommend model.h5 --top 300 --users every-user --exclude-seen ratings.csv -o every.csv
check "a list of all users is all users" eval 'succeeds && same every.csv all-0.csv'

# ---- What is recommended ----

check "a user has one item left, who has seen all others" \
  eval '[ "$(grep "^4," all-0.csv | cut -d, -f2-3)" = 1,7 ]'
"$AWK" -F, 'NR > 1 { print $1 "," $2 }' ratings.csv | sort >seen
check "nothing seen is recommended" \
  eval '"$AWK" -F, "NR > 1 { print \$1 \",\" \$3 }" all-0.csv | sort | comm -12 - seen | cmp -s - /dev/null'
# By brute force: predictions of all pairs of some users.
"$AWK" 'BEGIN { for (u = 10; u < 20; u++) for (i = 1; i <= 300; i++) print u "," i }' >pairs.csv
run 0 predict model.h5 pairs.csv -o pairs-out.csv
check "pairs are predicted" succeeds
# best N: the best N of each user of stdin (user,item,prediction) as user,rank,item,score
best() { sort -t, -k1,1n -k3,3gr -k2,2n |
  "$AWK" -F, -v n="$1" '$1 != user { user = $1; at = 0 } ++at <= n { print $1 "," at "," $2 "," $3 }'; }
sed 1d pairs-out.csv | best 6 >expected
run 2 recommend model.h5 --top 6 --users 10,11,12,13,14,15,16,17,18,19 -o found.csv
check "the best of all predictions" eval 'succeeds && sed 1d found.csv >found && same found expected'
printf '5\n17\n\n290\n 31 \n' >some-items
sed 1d pairs-out.csv | "$AWK" -F, '$2 == 5 || $2 == 17 || $2 == 290 || $2 == 31' | best 6 >expected
run 0 recommend model.h5 --top 6 --users 10,11,12,13,14,15,16,17,18,19 --only-items some-items -o found.csv
check "--only-items, fewer than --top" eval 'succeeds && sed 1d found.csv >found && same found expected'
sed 1d pairs-out.csv | "$AWK" -F, '$2 != 5 && $2 != 17 && $2 != 290 && $2 != 31' | best 3 >expected
run 0 recommend model.h5 --top 3 --users 10,11,12,13,14,15,16,17,18,19 --filter-items some-items -o found.csv
check "--filter-items" eval 'succeeds && sed 1d found.csv >found && same found expected'
sed 1d pairs-out.csv | best 300 | "$AWK" -F, '$4 >= 3.25' >expected
run 0 recommend model.h5 --top 300 --users 10,11,12,13,14,15,16,17,18,19 --threshold 3.25 -o found.csv
check "--threshold" eval 'succeeds && sed 1d found.csv >found && same found expected && [ -s found ]'
run 0 recommend model.h5 --top 2 --threshold 1e9 --json --quiet -o none.csv
check "a threshold that nobody reaches leaves empty lists, which are counted" \
  eval 'succeeds && json_is empty 1200 && json_is recommendations 0 && [ "$(wc -l <none.csv)" -eq 1 ]'
run 2 recommend model.h5 --top 2 --for items --items 9 --only-users 3,5,999999 --json -o few.csv
check "--only-users with --for items; unknown ids are counted and named" \
  eval 'succeeds && json_is unknown 1 && json_is candidates 2 && [ "$(wc -l <few.csv)" -eq 3 ] &&
    says "warning: 1 of the ids asked for with --only-users are not in the model: 999999"'

run 0 recommend model.h5 --users 3 --filter-users 1
check "--filter-users wants --for items" eval 'exits 2 && one_message "--filter-users goes with --for items"'
run 2 recommend model.h5 --users 3 --only-items 17 --filter-items 17
check "when nothing is left to recommend that is said" eval 'exits 65 && one_message "no item left"'
run 0 recommend model.h5 --users 3 --only-items 77777,88888
check "none of the only items is known" eval 'exits 65 && one_message "none of the ids of 77777,88888"'
run 0 recommend model.h5 --users missing.txt
check "a list of users that is not there" eval 'exits 2 && one_message "no id of this model.* nor is there such a file"'
run 0 recommend model.h5 --users 3 --threshold high
check "a threshold that is no number" eval 'exits 2 && one_message threshold'

# ---- Similar ----

run 0 similar model.h5 --items 5 17 --top 3
cp "$stdout" similar
check "similar prints neighbours, without the item itself" \
  eval 'succeeds && [ "$(grep -c "^item " similar)" -eq 2 ] && [ "$(wc -l <similar)" -eq 8 ] &&
    ! grep -q "^ *[123] *5 " similar'
printf '17\n5\n' >two
run 3 similar model.h5 two --top 3
check "items are the default, and may come from a file" eval 'succeeds && same "$stdout" similar'
run 0 similar model.h5 --top 2 --threshold 0.9 -o similar.csv --json --quiet
check "a cosine is between the threshold and 1" \
  eval 'succeeds && [ "$(head -n 1 similar.csv)" = item,rank,similar_item,score ] &&
    "$AWK" -F, "NR > 1 && (\$4 < 0.9 || \$4 > 1 || \$1 == \$3) { exit 1 }" similar.csv'
run 0 info like-0.h5 --json
check "info tells what it is" eval 'succeeds && json_is kind "\"similar\""'
run 0 similar model.h5 --users --items 3
check "users or items, not both" eval 'exits 2 && one_message "exclude each other"'
run 0 similar model.h5 999999
check "an unknown item" eval 'exits 65 && one_message "none of the items" 999999'
run 0 similar model.h5 5 999999 --top 1
check "an unknown one beside a known one is named" eval 'succeeds && says "warning: 1 of .*: 999999"'
# Items of which no rating is positive have no factors.
{ cat ratings.csv; echo 1,5000,-1; } >negative.csv
run 0 train negative.csv -o zeros.h5 --rank 4 --max-iter 2 --implicit-prefs --quiet
run 0 similar zeros.h5 5000 5 --top 2
check "an item without factors is named, and is like nothing" \
  eval 'succeeds && says "factors of item 5000 are all 0" && [ "$(wc -l <"$stdout")" -eq 4 ]'

# ---- Explain ----

# explains MODEL TEXT: contributions and the base make up the prediction.
explains() {
  run 0 explain "$1" ratings.csv 12 34 --json --quiet
  sum=$(json_value contributions | tr -d '[]' | tr ',' '+')
  check "$2: contributions and base are the prediction" \
    holds_for "$(json_value base) + $sum - $(json_value explained) < 1e-9 &&
      $(json_value explained) - $(json_value base) - ($sum) < 1e-9 && $(json_value ratings) > 3"
  difference=$(json_value difference)
}
for mode in '' --bias --update-bias --nonnegative '--implicit-prefs --alpha 3' \
  '--unobserved-weight 0.2 --reg-scaling 0.5'; do
  run 0 train ratings.csv -o x.h5 --rank 6 --max-iter 3 $mode --quiet
  explains x.h5 "${mode:-explicit}"
  check "which is the model's own" holds_for "$difference < 2e-6 && $difference > -2e-6"
done
run 0 train ratings.csv -o x.h5 --rank 6 --max-iter 1 --implicit-prefs --solver cg --cg-steps 1 \
  --final-exact no --quiet
explains x.h5 "a model that is not solved exactly"
check "and how far the model is from that is told" \
  holds_for "$difference > 1e-6 || $difference < -1e-6"
run 0 explain model.h5 ratings.csv 12 34
cp "$stdout" alone
run 3 explain model.h5 ratings.csv 12 34
check "explain prints the same with any number of ranks" \
  eval 'succeeds && same "$stdout" alone && prints "^user 12, item 34: [0-9.]+" && prints "mean and biases"'
run 2 explain text.h5 text.csv 'user 12' 'it,em 34' -o why.csv --top 3
check "a table of the largest contributions, of ids that are texts" \
  eval 'succeeds && [ "$(head -n 1 why.csv)" = item,rating,weight,contribution ] &&
    [ "$(wc -l <why.csv)" -eq 4 ] && [ "$(grep -c "^\"it,em" why.csv)" -eq 3 ]'
printf '12,34,5\n12,99999,5\n' >two.csv
run 0 explain model.h5 two.csv 12 5
check "ratings of items that the model lacks are left out and counted" \
  eval 'succeeds && says "warning: 1 ratings"'
run 0 explain model.h5 two.csv 13 5
check "a user without ratings" eval 'exits 65 && one_message "user 13 has no ratings"'
run 2 explain model.h5 ratings.csv 999999 5
check "an unknown user" eval 'exits 65 && one_message "user 999999 is not in the model"'
run 0 explain model.h5 ratings.csv 5
check "a word too few" exits 2
check "no temporary file is left" no_litter
finish
