#!/bin/sh
# als evaluate: a model whose lists are known, so that every metric can be told beforehand; the same
# result on any number of ranks; cold ids; and options that do not fit.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

# Text ids, and a planted taste: users of group a like items of group a, and so on.
awk 'BEGIN { srand(3); print "user,item,rating"
  for (u = 0; u < 60; u++) for (i = 0; i < 40; i++) if (rand() < 0.6)
    printf "%s%d,%s%d,%d\n", substr("abc", u % 3 + 1, 1), u, substr("abc", i % 3 + 1, 1), i,
      (u % 3 == i % 3) ? 5 : 1 }' >all.csv
sed 1d all.csv | awk -F, '{ print > (NR % 5 ? "t1" : "t2") }'
(echo user,item,rating && cat t1) >train.csv
(echo user,item,rating && cat t2) >test.csv
run 0 train train.csv -o model.h5 --rank 4 --max-iter 8 --reg-param 0.02
check "a model of planted taste" succeeds

run 0 evaluate model.h5 test.csv --json --quiet --ranking --top 2,1,40 --train train.csv --relevant-above 3
check "all metrics in one object" eval 'succeeds &&
  json_object rmse mae r2 n n_cold users_cold items_cold mrr auc precision@1 recall@1 map@1 ndcg@1 \
    hit_rate@1 coverage@1 precision@40 recall@40 coverage@40 users_evaluated users_without_relevant \
    users_without_irrelevant relevant relevant_cold relevant_seen seconds'
check "only what has to be is said with --quiet" \
  eval '[ "$(grep -c ^als "$stderr")" -eq 1 ] && says "warning: [0-9]+ users have no relevant item, and"'
check "what is liked stands far above the middle" holds_for "$(json_value auc) > 0.8"
check "and predicted well" holds_for "$(json_value rmse) < 1 && $(json_value r2) > 0.7 && $(json_value mae) < 1"
check "everything liked is among 40" \
  eval 'json_is recall@40 1 && json_is hit_rate@40 1 && json_is relevant_cold 0 && json_is relevant_seen 0'
check "every user is evaluated, or said not to be" \
  holds_for "$(json_value users_evaluated) + $(json_value users_without_relevant) == $(cut -d, -f1 t2 | sort -u | wc -l)"
check "relevant are those above 3" json_is relevant "$(grep -c ',5$' t2)"
precision=$(json_value precision@1) ndcg=$(json_value ndcg@2)
check "of one place precision, recall, MAP, NDCG and HR are the same" \
  eval 'for m in recall map ndcg hit_rate; do json_is $m@1 "$precision" || exit 1; done'

# The same from what als predict says, sorted; items in the order of their ids.
cut -d, -f2 t1 | LC_ALL=C sort -u >items
cut -d, -f1 t2 | sort -u | while read -r u; do sed "s/^/$u,/" items; done >pairs.body
(echo user,item && cat pairs.body) >pairs.csv
run 0 predict model.h5 pairs.csv -o p.csv
mean=$(sed 1d p.csv | awk -F, '
  FILENAME == "t1" { seen[$1, $2]; next }
  FILENAME == "t2" { if ($3 > 3) { liked[$1, $2]; n[$1]++ } next }
  ($1 in n) && !(($1, $2) in seen) { # best two; earlier items win ties
    if (!($1 in a) || $3 > a[$1]) { b[$1] = a[$1]; y[$1] = x[$1]; a[$1] = $3; x[$1] = $2 }
    else if (!($1 in b) || y[$1] == "" || $3 > b[$1]) { b[$1] = $3; y[$1] = $2 } }
  END { for (u in n) { users++
      g = (((u, x[u]) in liked) + ((u, y[u]) in liked) / (log(3) / log(2)))
      sum += g / (n[u] > 1 ? 1 + log(2) / log(3) : 1); p += (u, x[u]) in liked }
    printf "%.9f %.9f", p / users, sum / users }' t1 t2 -)
check "NDCG@2 and precision@1 are those of what als predict says" \
  holds_for "(${mean% *} - $precision)^2 < 1e-14 && (${mean#* } - $ndcg)^2 < 1e-14"

# ---- Ranks ----

for ranks in 0 2 3 4; do
  run $ranks evaluate model.h5 test.csv --json --quiet --ranking --top 1,5 --train train.csv --num-partitions $((ranks + 1))
  sed 's/, "seconds": [^,}]*//' "$stdout" >ranks.$ranks
  check "the same result to the last digit, $ranks ranks" eval 'succeeds && same ranks.0 ranks.$ranks'
done

# ---- The table, and warnings ----

run 2 evaluate model.h5 test.csv --ranking --top 5
check "a table for people" \
  eval 'succeeds && prints "^r2 +0\.[0-9]+" && prints "^auc +[0-9.]+$" && prints "^ +5 ( +[01]\.[0-9]{6}){6}$"'
check "that seen items are candidates is said" says '^als: warning: without --train'
run 0 evaluate model.h5 train.csv --ranking --train train.csv --json
check "what was seen is not held out" eval 'succeeds && json_is users_evaluated 0 && json_is mrr null &&
  json_is ndcg@10 null && json_is auc null && says "^als: warning: no user could be evaluated" &&
  says "relevant items are left out"'

# ---- Cold ids ----

cat >cold.csv <<END
user,item,rating
a0,a0,5
a0,zzz,5
b1,zzz,5
nobody,a0,5
noone,zzz,1
END
run 2 evaluate model.h5 cold.csv --ranking --json
check "items that the model lacks are missed" \
  eval 'succeeds && json_is users_evaluated 2 && json_is relevant 3 && json_is relevant_cold 2 &&
    json_is users_cold 2 && json_is items_cold 1 && json_is n_cold 4 && json_is rmse null && json_is r2 null'
check "with warnings" eval 'says "warning: 4 ratings have" && says "warning: 2 users are not in the model" &&
  says "warning: 2 relevant items are not in the model and count as missed"'
missed=$(json_value recall@10)
run 2 evaluate model.h5 cold.csv --ranking --json --cold-start-strategy drop
check "or left out" eval 'succeeds && json_is users_evaluated 1 && json_is relevant 1 &&
  json_is users_without_relevant 1 && json_is relevant_cold 2 && json_is n 1 && ! json_is rmse null'
check "which is better for the model" holds_for "4 * $missed == $(json_value recall@10)"
check "r2 of one rating is nan" eval 'json_is r2 null && says "all ratings are the same"'

# ---- Given negatives ----

printf 'user,item\na0,b1\na0,c2\na0,b4\na0,b4\nb1,a0\nc5,a0\na0,zzz\n' >negatives.csv
printf 'user,item\na0,a0\nb1,b1\n' >pairs2.csv
run 2 evaluate model.h5 pairs2.csv --ranking --top 1,3 --negatives negatives.csv --json
check "candidates are the negatives and what is held out; pairs are enough" \
  eval 'succeeds && json_is users_evaluated 2 && json_is negatives 5 && json_is negatives_unused 2 &&
    json_is recall@1 1 && json_is auc 1 && json_is n 2 && holds_for "$(json_value precision@3) - 1/3 < 1e-9"'
check "5 items are shown at most" holds_for "$(json_value coverage@3) <= 6 / $(wc -l <items) + 1e-9"
printf 'user,item\na0,a0\n' >seen.csv
run 0 evaluate model.h5 pairs2.csv --ranking --negatives negatives.csv --train seen.csv --json
check "seen items are no candidates among given ones either" \
  eval 'succeeds && json_is users_evaluated 1 && json_is relevant_seen 1 && json_is users_without_relevant 1'
printf 'user,item\nc5,b1\n' >other.csv
run 0 evaluate model.h5 pairs2.csv --ranking --negatives other.csv --json
check "without an irrelevant candidate there is no AUC, which is said" \
  eval 'succeeds && json_is users_without_irrelevant 2 && json_is auc null && json_is mrr 1 && says "so auc is nan"'

# ---- Options that do not fit ----

# bad STATUS REGEX ARG...: als evaluate ARG... ends with that status and one message.
bad() {
  code=$1 regex=$2
  shift 2
  run 0 evaluate "$@"
  check "evaluate $*" eval 'exits "$code" && one_message "^als evaluate: " "$regex" && empty "$stdout"'
}
for option in '--top 5' '--train train.csv' '--negatives negatives.csv' '--relevant-above 3'; do
  bad 2 "${option%% *} goes with --ranking" model.h5 test.csv $option
done
bad 2 "--top '5,x': 'x' is no whole number from 1 to 10000" model.h5 test.csv --ranking --top 5,x
bad 2 "'0' is no whole number" model.h5 test.csv --ranking --top 0
bad 2 "'10001' is no whole number" model.h5 test.csv --ranking --top 10001
bad 2 "'' is no whole number" model.h5 test.csv --ranking --top 5,
bad 2 "more than 16 numbers" model.h5 test.csv --ranking --top 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
bad 2 "--relevant-above 'much' is not a number" model.h5 test.csv --ranking --relevant-above much
bad 66 "nowhere.csv" model.h5 test.csv --ranking --train nowhere.csv
bad 66 "nowhere.csv" model.h5 test.csv --ranking --negatives nowhere.csv
printf 'user,item,rating\n' >header.csv
bad 65 "no ratings" model.h5 header.csv --ranking
printf 'user,item\na0,a0\na0\n' >short.csv
run 4 evaluate model.h5 test.csv --ranking --negatives short.csv
check "a bad line of the negatives, 4 ranks" eval 'exits 65 && one_message "short\.csv:3: " && empty "$stdout"'
run 0 evaluate model.h5 test.csv --ranking --negatives short.csv --max-bad-records 1 --json
check "or skipped, and counted" eval 'succeeds && json_is bad_records 1'
check "no temporary file is left by all of this" no_litter
finish
