#!/bin/sh
# als plan: what it predicts is what als train takes, in memory and bytes; its script is one; what cannot be is
# refused. Seconds are not held against anything: this machine has other things to do.
# shellcheck disable=SC2016,SC2034,SC2086,SC2119,SC2317,SC3045 # check evaluates conditions by name
# shellcheck source=tests/cli_lib.sh
. "${top_srcdir:-.}/tests/cli_lib.sh"

# ---- Against measurement ----

# train RANKS FILE ARG...: each rank a node, and each with as many partitions as the others: where a rank that was
# late got fewer, that is no measure of memory, and it is done again.
train() {
  ranks=$1 file=$2
  shift 2
  GANGPLANK_NODE_SIZE=1
  export GANGPLANK_NODE_SIZE
  for attempt in 1 2 3 4 5; do
    run "$ranks" train "$file" -o model.h5 --max-iter 1 --threads 1 --json --quiet "$@"
    [ "$(json_value partition_bytes | tr -d '[] ' | tr ',' '\n' | sort -u | wc -l)" -gt 1 ] || break
  done
  unset GANGPLANK_NODE_SIZE
  memory=$(json_value peak_memory | tr -d '[] ' | tr ',' '\n' | sort -n | tail -n 1)
  bytes=$(json_value exchange_bytes_by_iteration | tr -d '[]')
}
# planned NODES KEY: of that row of the plan.
planned() { tr '{' '\n' <plan.json | sed -n "s/^\"nodes\": $1, .*\"$2\": \([-+.e0-9]*\).*/\1/p" | head -n 1; }
# near A B PARTS: A is within so many hundredths of B.
near() { [ -n "$1" ] && [ -n "$2" ] && holds_for "($1 - $2) ^ 2 <= ($3 / 100 * $2) ^ 2"; }

run 0 generate -o r.h5 --users 20000 --items 5000 --ratings 2000000 --seed 1 --quiet
run 0 plan r.h5 --rank 16 --ranks-per-node 1 --threads 1 --json --quiet --node-memory 70M
check "a plan as one JSON object" eval 'succeeds && json_object users items ratings fits nodes ranks layouts script &&
  json_is users 20000 && json_is items 5000 && json_is ratings 2000000 && json_is fits true && empty "$stderr"'
cp "$stdout" plan.json
check "on as few nodes as have the memory" eval 'prints "\"nodes\": 2, \"ranks\": 2, \"ranks_per_node\": 1," &&
  holds_for "$(planned 1 memory_first_node) > 70e6 && $(planned 2 memory_first_node) <= 70e6"'
for ranks in 1 2 4; do
  train $ranks r.h5 --rank 16
  predicted=$(planned $ranks memory_rank_peak)
  memory_text="$ranks ranks: memory of a rank, predicted $predicted, measured $memory"
  if hydra; then
    skip "$memory_text" "als plan knows what Open MPI takes, and says so; MPICH takes up to 7 MB more"
  else
    check "$memory_text" eval 'succeeds && near "$predicted" "$memory" 10'
  fi
  predicted=$(planned $ranks exchange_bytes_per_iteration)
  check "$ranks ranks: bytes between nodes, predicted $predicted, measured $bytes" near "$predicted" "$bytes" 1
done

# Few ratings for each row, so that not every node needs all of them; half as wide on the wire.
run 0 generate -o sparse.h5 --users 40000 --items 8000 --ratings 400000 --seed 2 --quiet
run 0 plan sparse.h5 --rank 4 --ranks 4 --ranks-per-node 1 --wire float16 --json --quiet --node-memory 1G
cp "$stdout" plan.json
train 4 sparse.h5 --rank 4 --wire float16
for side in users items; do
  measured=$(json_value exchange_${side}_need_bytes)
  predicted=$(planned 4 exchange_${side}_need_bytes)
  check "rows of $side where they are needed, predicted $predicted, measured $measured" \
    near "$predicted" "$measured" 1
  check "and all of them, to the byte" \
    [ "$(planned 4 exchange_${side}_all_bytes)" = "$(json_value exchange_${side}_all_bytes)" ]
done
check "not all are needed" holds_for "$bytes < 0.9 * 48000 * 3 * 8"

# ---- A cluster that is not there ----

cluster='--users 100000000 --items 10000000 --ratings 50000000000 --rank 8 --ranks-per-node 64'
# Far less memory than what is planned.
run_small() { (ulimit -v 8000000 && exec "$als" "$@") >"$stdout" 2>"$stderr"; status=$? ran="als $*"; }
run_small plan $cluster --node-memory 500G --network 200Gbit --script job.sbatch --bias
check "a plan for 50 billion ratings, by far less memory" succeeds
check "with a table, and what it is of" eval 'prints "^ +nodes +ranks" && prints "a rank.s own" && prints "  <$" &&
  prints "the fewest that have the memory, [0-9]+ nodes" && prints "^assumed:"'
check "the script asks for these nodes" eval \
  'grep -qx "#SBATCH --nodes=$(sed -n "s/^the fewest that have the memory, \([0-9]*\) nodes.*/\1/p" "$stdout")" job.sbatch'
check "and is one" bash -n job.sbatch
check "with the options of train" \
  grep -q '^gangrun $launcher als train "$ratings" -o "$model" --rank 8 --bias$' job.sbatch
if command -v shellcheck >/dev/null; then
  check "shellcheck finds nothing" shellcheck job.sbatch
else
  skip "shellcheck finds nothing" "it is missing"
fi
run_small plan $cluster --node-memory 3GiB --script none.sbatch
check "tables that no node can hold: no number of nodes is enough" \
  eval 'exits 2 && says "no number of nodes is enough: each has tables of" && absent none.sbatch'
run 0 plan --users 300 --items 20 --ratings 4000 --ranks 3 --ranks-per-node 2 --quiet \
  --solver cg --precision single --rank 21 --node-memory 1M
check "a last node with fewer ranks" eval 'succeeds && prints "as asked, 2 nodes, 3 ranks"'
check "too little memory is a warning where ranks were asked for" \
  eval 'says "3 ranks need 0.0[0-9]* GB on the first node, which has 0.001 GB" && prints "^#!/bin/bash"'
check "more factors than items" says "--rank 21 is more than the 20 items"

run 0 plan --users 300 --items 20 --ratings 4000 --ranks 16384 --ranks-per-node 3 --threads 1 --quiet
check "the plan's own row is in the table, as far as it goes" eval 'succeeds && prints "^ +5462 +16384 .*  <$"'

# ---- A dry run ----

run 0 generate -o dry.csv --users 3000 --items 400 --ratings 60000 --quiet
run 0 split dry.csv --train one.csv --test two.csv --test-fraction .4 --quiet
run 2 train one.csv two.csv -o dry.h5 --rank 8 --max-iter 3 --threads 1 --plan --quiet
check "train --plan: the ranks that are here, nothing fitted" eval 'succeeds && absent dry.h5 && no_litter &&
  prints "^3,000 users x 400 items, 60,000 ratings; k = 8; 2 ranks x 1 thread a node" &&
  prints "^here, 1 node, 2 ranks:" && prints "^memory of a node: [0-9.]+ MB" &&
  prints "^all: [-+.e0-9]+ s for 3 iterations" && ! prints SBATCH && empty "$stderr"'
run 2 train one.csv two.csv -o dry.h5 --rank 8 --max-iter 3 --threads 1 --plan --quiet --json
check "as JSON" eval 'succeeds && json_object users ratings fits ranks layouts && json_is ranks 2 && json_is ratings 60000'
run 0 train one.csv -o dry.h5 --plan --rank 0
check "with the mistakes of a real one" eval 'exits 2 && one_message "--rank 0 is out of range"'
run 0 train missing.csv -o dry.h5 --plan
check "and its missing files" eval 'exits 66 && one_message "missing.csv"'

# ---- What cannot be ----

shape='--users 1000 --items 500 --ratings 20000'
refused() {
  pattern=$1
  shift
  run 0 plan "$@"
  check "refused: $*" eval 'exits 2 && one_message "$pattern"'
}
refused "give a file of ratings, or --users, --items and --ratings; --users is missing"
refused "--ratings is missing" --users 5 --items 5
refused "--users" --users -5 --items 5 --ratings 9
refused "--items" --users 5 --items 0 --ratings 9
refused "--ratings" --users 5 --items 5 --ratings 99999999999999999999
refused "26 is more than 5 users x 5 items" --users 5 --items 5 --ratings 26
refused "4 is less than the users" --users 5 --items 4 --ratings 4
refused "--rank" $shape --rank 0
refused "--ranks" $shape --ranks 0
refused "--ranks-per-node" $shape --ranks-per-node -1
for memory in 0 -3G much 5X 1e999G 4Gi5; do
  refused "--node-memory '$memory' is not a number of bytes" $shape --node-memory $memory
done
for network in 0 100 100G -1Gbit 5parsec; do
  refused "--network '$network' is not a bandwidth" $shape --network $network
done
refused "--users is counted in r.h5" r.h5 --users 20000
refused "does not go with" $shape --nonnegative --solver cg
run 0 plan $shape --script /nonexistent/folder/job.sbatch
check "a script that cannot be written" eval 'exits 74 && one_message "/nonexistent/folder/job.sbatch"'
run 0 plan missing.h5
check "a file that is missing" eval 'exits 66 && one_message "missing.h5"'
cp r.h5 same.h5
run 0 plan same.h5 --script same.h5
check "the script does not take the place of the ratings" eval 'exits 2 && same same.h5 r.h5'
check "nothing is left behind" no_litter
finish
