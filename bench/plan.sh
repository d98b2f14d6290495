#!/bin/bash
# What `als plan` predicts beside what `als train` takes, at 1, 2 and 4 ranks: memory of a rank and seconds of an
# iteration with all ranks on one node, bytes between nodes with each of them a node. Prints a Markdown table.
# From the build directory:
#   BUILD=$PWD ../bench/plan.sh
# Environment: RATINGS (20000000), USERS, ITEMS, K (64), ITERATIONS (3), RANKS ("1 2 4"), OPTIONS (of als train:
# "--implicit-prefs --solver cg --final-exact no"). Where ranks are more than the machine's cores, the seconds that
# are predicted for as many cores are multiplied by what is missing.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
k=${K:-64} iterations=${ITERATIONS:-3}
read -ra ranks <<<"${RANKS:-1 2 4}"
read -ra options <<<"${OPTIONS:-}"

reference_problem

machine
echo "$ratings ratings, $users users, $items items, k = $k ${options[*]}; ranks of one thread;" \
  "medians of $iterations iterations"
echo
echo "| ranks | peak memory of a rank, MB: predicted | measured | | rows between nodes, MB an iteration: predicted | measured | | s/iteration: predicted | measured | |"
echo "|---|---|---|---|---|---|---|---|---|---|"
# plan RANKS RANKS-PER-NODE, train RANKS RANKS-PER-NODE
plan() {
  "$als" plan "$data" --rank "$k" --max-iter "$iterations" --ranks "$1" --ranks-per-node "$2" --threads 1 \
    --node-memory 1T --quiet --json "${options[@]}"
}
train() {
  GANGPLANK_NODE_SIZE=$2 mpirun -n "$1" "$als" train "$data" -o "$work/plan-model.h5" --rank "$k" \
    --max-iter "$iterations" --threads 1 --quiet --json "${options[@]}"
}
for n in "${ranks[@]}"; do
  { plan "$n" "$n" && train "$n" "$n" && plan "$n" 1 && train "$n" 1; } >"$work/plan.json"
  python3 - "$work/plan.json" "$n" "$(nproc)" <<'PY'
import json, statistics, sys
plan, run, plan_apart, apart = (json.loads(line) for line in open(sys.argv[1]))
n, cores = int(sys.argv[2]), int(sys.argv[3])
row, row_apart = (next(r for r in p["layouts"] if r["ranks"] == n) for p in (plan, plan_apart))
def pair(predicted, measured, digits):
    off = f"{100 * (predicted / measured - 1):+.1f} %" if measured else ""
    return f"{predicted:.{digits}f} | {measured:.{digits}f} | {off}"
print(f"| {n} | {pair(row['memory_rank_peak'] / 1e6, max(run['peak_memory']) / 1e6, 1)} "
      f"| {pair(row_apart['exchange_bytes_per_iteration'] / 1e6, apart['exchange_bytes_by_iteration'][0] / 1e6, 3)} "
      f"| {pair(row['seconds_per_iteration'] * max(1, n / cores), statistics.median(run['seconds_per_iteration']), 3)} |")
PY
done
