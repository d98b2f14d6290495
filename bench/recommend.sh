#!/bin/bash
# Time `als recommend --top 10` for all of 100,000 users and 20,000 items, k = 64, and compare it with the
# machine's own SGEMM, measured in the same run. Prints one Markdown table. From the build directory:
#
#   make als bench/peak && BUILD=$PWD ../bench/recommend.sh
#
# GFLOP/s are 2 m n k / seconds, whatever else is done: selection, exact scores, and writing the lists.

: "${RATINGS:=5000000}" "${USERS:=100000}" "${ITEMS:=20000}"
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
k=${K:-64} top=${TOP:-10}
runs=${RUNS:-5} ends=${ENDS:-csv h5}

reference_problem
model=$work/top-model-$users-$items-$k.h5
[[ -s $model ]] || "$als" train "$data" -o "$model" --rank "$k" --max-iter 5 --implicit-prefs >&2

# once RANKS THREADS END OPTION...: one run, between two measurements of the peak.
once() {
  local ranks=$1 threads=$2 end=$3
  shift 3
  "$build/bench/peak" $((ranks * threads)) >>"$work/peak.jsonl"
  mpirun -n "$ranks" "$als" recommend "$model" --top "$top" -o "$work/top.$end" --threads "$threads" \
    --json --quiet "$@" | sed "s/^{/{\"end\": \"$end$*\", /" >>"$work/recommend.jsonl"
}
: >"$work/peak.jsonl"
: >"$work/recommend.jsonl"
for ((run = 0; run < runs; run++)); do
  for end in $ends; do
    once 1 2 "$end"
    once 2 1 "$end"
  done
done
machine
echo
python3 - "$work" "$k" <<'PY'
import json, statistics, sys
work, k = sys.argv[1], int(sys.argv[2])
peak = max(json.loads(line)["sgemm"] for line in open(work + "/peak.jsonl"))
cases = {}
for line in open(work + "/recommend.jsonl"):
    run = json.loads(line)
    cases.setdefault((run["ranks"], run["threads"], run["end"]), []).append(run)
print("| users | items | k | ranks x threads | to | ranking and writing, s, median (min to max) | GFLOP/s | of SGEMM | best | whole command, s |")
print("|---|---|---|---|---|---|---|---|---|---|")
for (ranks, threads, end), runs in cases.items():
    seconds = [run["seconds_ranking"] for run in runs]
    m, n = runs[0]["users"], runs[0]["candidates"]
    rate = [2e-9 * m * n * k / s for s in (statistics.median(seconds), min(seconds))]
    print(f"| {m} | {n} | {k} | {ranks} x {threads} | .{end} "
          f"| {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {rate[0]:.0f} "
          f"| {rate[0] / peak:.2f} of {peak:.0f} | {rate[1] / peak:.2f} "
          f"| {statistics.median(run['seconds'] for run in runs):.2f} |")
PY
