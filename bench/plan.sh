#!/bin/bash
# What `als plan` predicts beside what `als train` takes: memory of a rank, bytes between nodes, seconds of an
# iteration, at 1, 2 and 4 ranks, each of them a node. Prints a Markdown table. From the build directory:
#   BUILD=$PWD ../bench/plan.sh
# Environment: RATINGS (20000000), USERS, ITEMS, K (64), ITERATIONS (3), RANKS ("1 2 4"), OPTIONS (of als train:
# "--implicit-prefs --solver cg --final-exact no"). Ranks beyond the machine's cores share them: their seconds
# are what the same number of cores would take, times the shortage.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$PWD}
als=$build/als
work=${BENCH_DIR:-$build/bench-run}
ratings=${RATINGS:-20000000} users=${USERS:-138000} items=${ITEMS:-27000}
k=${K:-64} iterations=${ITERATIONS:-3}
read -ra ranks <<<"${RANKS:-1 2 4}"
read -ra options <<<"${OPTIONS:-}"
# shellcheck source=build-aux/mpi-env.sh
. "$here/../build-aux/mpi-env.sh"
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS GANGPLANK_NODE_SIZE GANGPLANK_WORK_DIR

mkdir -p "$work"
data=$work/plan-$ratings-$users-$items.h5
[[ -s $data ]] || "$als" generate -o "$data" --users "$users" --items "$items" --ratings "$ratings" \
  --seed 1 --quiet >&2

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; $(date -u +%F)"
echo "$ratings ratings, $users users, $items items, k = $k ${options[*]}; one rank of one thread a node;" \
  "medians of $iterations iterations"
echo
echo "| ranks | peak memory of a rank, MB: predicted | measured | | rows between nodes, MB an iteration: predicted | measured | | s/iteration: predicted | measured | |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for n in "${ranks[@]}"; do
  # As many cores as the ranks have here, so that others are idle where they will be.
  "$als" plan "$data" --rank "$k" --max-iter "$iterations" --ranks "$n" --ranks-per-node 1 --threads 1 \
    --node-memory 1T --quiet --json "${options[@]}" >"$work/plan.json"
  GANGPLANK_NODE_SIZE=1 mpirun -n "$n" "$als" train "$data" -o "$work/plan-model.h5" --rank "$k" \
    --max-iter "$iterations" --threads 1 --quiet --json "${options[@]}" >"$work/train.json"
  python3 - "$work/plan.json" "$work/train.json" "$n" "$(nproc)" <<'PY'
import json, statistics, sys
plan, run, n, cores = json.load(open(sys.argv[1])), json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
row = next(r for r in plan["layouts"] if r["ranks"] == n)
def pair(predicted, measured, digits):
    off = f"{100 * (predicted / measured - 1):+.1f} %" if measured else "none"
    return f"{predicted:.{digits}f} | {measured:.{digits}f} | {off}"
print(f"| {n} | {pair(row['memory_rank_peak'] / 1e6, max(run['peak_memory']) / 1e6, 1)} "
      f"| {pair(row['exchange_bytes_per_iteration'] / 1e6, run['exchange_bytes_by_iteration'][0] / 1e6, 3)} "
      f"| {pair(row['seconds_per_iteration'] * max(1, n / cores), statistics.median(run['seconds_per_iteration']), 3)} |")
PY
done
