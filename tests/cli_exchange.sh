#!/bin/sh
# New factors between nodes: the same bits whichever way they go, on any number of ranks and nodes, through a
# crash too; and what is told of them. One machine is made into several nodes by GANGPLANK_NODE_SIZE.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"
sum=$(helper model_sum)
[ -n "$sum" ] || skip "the bits of models" "model_sum was not built (it needs CUnit)"

# Users rate items near themselves, so that nodes need little of each other; the held-out part is anywhere.
awk 'BEGIN {
  srand(5); print "user,item,rating"
  for (u = 0; u < 240; u++) for (n = 0; n < 9; n++) print u "," int(u / 2 + rand() * 8) "," int(1 + rand() * 5)
}' >near.csv
awk 'BEGIN {
  srand(6); print "user,item,rating"
  for (n = 0; n < 300; n++) print int(rand() * 240) "," int(rand() * 120) "," int(1 + rand() * 5)
}' >far.csv

# train RANKS NODE-SIZE MODEL ARG...
train() {
  n=$1 model=$3
  GANGPLANK_NODE_SIZE=$2
  export GANGPLANK_NODE_SIZE
  shift 3
  rm -f "$model.h5"
  run "$n" train near.csv -o "$model.h5" --rank 5 --max-iter 4 --threads 1 "$@"
  unset GANGPLANK_NODE_SIZE
}
same_bits() { [ -z "$sum" ] || [ "$("$sum" "$1.h5")" = "$("$sum" "$2.h5")" ]; }

# ---- The same bits ----

layouts="1-1 2-1 3-1 3-2 4-1 4-2" # ranks, and how many of them a node has
# everywhere WAYS ARG...: as on one rank, for each layout and way.
everywhere() {
  ways=$1
  shift
  train 0 1 one "$@"
  check "train $*" succeeds
  for layout in $layouts; do
    for way in $ways; do
      train "${layout%-*}" "${layout#*-}" other --exchange $way "$@"
      check "the same bits by --exchange $way, ranks and ranks of a node $layout" \
        eval 'succeeds && same_bits other one'
    done
  done
}
everywhere "need all" --bias --test far.csv
layouts="3-2 4-1"
everywhere need --update-bias --solver cg --validation far.csv
everywhere need --implicit-prefs
everywhere auto --unobserved-weight 0.2 --solver subspace --subspace-block 2

layouts="2-1 4-2"
everywhere auto --wire float16 --bias
everywhere all --wire bfloat16 --implicit-prefs --no-overlap
train 0 1 other --implicit-prefs
check "another model than without" eval 'succeeds && ! same_bits other one || [ -z "$sum" ]'

# ---- What is told ----

total() { json_value "$1" | tr -d '[],' | awk '{ for (i = 1; i <= NF; i++) s += $i; print s }'; }
train 4 2 told --exchange need --json --work-dir w
check "--json tells how, and how much" eval 'succeeds && json_is nodes 2 && json_is exchange_users "\"need\"" &&
  json_is exchange_items "\"need\"" && json_length exchange_bytes_by_rank 4 && json_length exchange_seconds_by_rank 4'
each=$(($(json_value exchange_users_need_bytes) + $(json_value exchange_items_need_bytes)))
check "every iteration sends that" eval 'json_is exchange_bytes_by_iteration "[$each, $each, $each, $each]"'
check "and no more" [ "$(total exchange_bytes_by_rank)" -eq $((4 * each)) ]
check "which is less than all to all" [ "$each" -lt \
  $(($(json_value exchange_users_all_bytes) + $(json_value exchange_items_all_bytes))) ]
logged=$(cat w/events/*.jsonl | sed -n 's/.*"event": "spent", "iteration": [1-4], .*"exchange_bytes": \([0-9]*\),.*/\1/p' |
  awk '{ s += $1; n++ } END { print n, s }')
check "the event logs have it by rank and iteration" [ "$logged" = "16 $((4 * each))" ]
check "both are said before the first iteration" says "new factors of users over 2 nodes: .*B to where they are needed, .*B to all"
train 4 2 told --exchange all --json
check "--exchange all" eval 'succeeds && json_is exchange_users "\"all\"" &&
  [ "$(total exchange_bytes_by_rank)" -eq \
    $((4 * ($(json_value exchange_users_all_bytes) + $(json_value exchange_items_all_bytes)))) ]'
train 4 2 told --json
check "by itself it takes what is less" eval 'succeeds && json_is exchange_users "\"need\""'
train 4 0 told
check "a node of no ranks is refused" eval 'exits 2 && says "GANGPLANK_NODE_SIZE is .0.; it has to be a number of ranks"'
train 2 4 told --json
check "on one node nothing is to be sent" eval 'succeeds && json_is nodes 1 && json_is exchange_bytes_by_iteration "[0, 0, 0, 0]" && ! says "new factors of users"'

# ---- Crashes ----

# The checkpoint of iteration 2 has to be whole, though no table was; the best iteration's rows, too.
for args in "--bias" "--implicit-prefs --solver cg --wire float16" "--bias --validation far.csv"; do
  rm -rf d
  train 0 1 one $args
  train 4 1 other --exchange need --checkpoint-dir d --checkpoint-interval 2 --max-attempts 1 \
    --fault gang,iteration=3,side=users:error $args
  check "cut off, $args" eval 'exits 70 && absent other.h5'
  train 3 2 other --exchange need --checkpoint-dir d --checkpoint-interval 2 $args
  check "the same bits, gone on with on other nodes" \
    eval 'succeeds && says "resumed from d/checkpoint-2.h5" && same_bits other one'
done
train 0 1 other --bias --validation far.csv --wire bfloat16 --checkpoint-dir d
check "checkpoints of another wire are passed over" eval 'succeeds && says "passed over: it is of other ratings or parameters"'
train 0 1 one
train 4 2 other --exchange need --fault gang,rank=2,iteration=2,rerun=1:error
check "the same bits after a rerun of the gang" eval 'succeeds && says "begin again" && same_bits other one'
finish
