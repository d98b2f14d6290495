#!/bin/bash
# Time `als train` on the reference problem R20 and compare it with the machine's own SGEMM and DGEMM,
# measured in the same run. Prints one Markdown table. From the build directory: make bench
#
#   als generate --users 138000 --items 27000 --ratings 20000000 --seed 1
#
# Effective GFLOP/s of a full iteration (both half-steps):
#   [2 N k (k + 1) + 4 N k + (m + n)(k^3 / 3 + 2 k^2)] / seconds
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$PWD}
als=$build/als
work=${BENCH_DIR:-$build/bench-run}
ranks=${RANKS:-2} k=${K:-64} iterations=${ITERATIONS:-5}
ratings=${RATINGS:-20000000} users=${USERS:-138000} items=${ITEMS:-27000}
# shellcheck source=build-aux/mpi-env.sh
. "$here/../build-aux/mpi-env.sh"
# The machine's best kernels, whatever the environment has been told.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

mkdir -p "$work"
data=$work/r$ratings.h5
[[ -s $data ]] || "$als" generate -o "$data" --users "$users" --items "$items" \
  --ratings "$ratings" --seed 1 >&2
mpirun -n "$ranks" "$als" train "$data" -o "$work/model.h5" --rank "$k" --max-iter "$iterations" \
  --json >"$work/train.json"
# The peak of as many cores, right after: the better of two, since a shared machine only takes away.
cores=$(python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); print(r["ranks"] * r["threads"])' \
  "$work/train.json")
peak=$("$build/bench/peak" "$cores"; "$build/bench/peak" "$cores")

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; $(date -u +%F)"
echo "versions: $("$als" --version | paste -sd' ')"
echo
python3 - "$work/train.json" "$peak" "$k" <<'PY'
import json, statistics, sys
run, k = json.load(open(sys.argv[1])), int(sys.argv[3])
peaks = [json.loads(line) for line in sys.argv[2].splitlines()]
peak = {key: max(p[key] for p in peaks) for key in peaks[0]}
n, rows = run["ratings"], run["users"] + run["items"]
flops = 2 * n * k * (k + 1) + 4 * n * k + rows * (k ** 3 / 3 + 2 * k * k)
seconds = run["seconds_per_iteration"]
median = statistics.median(seconds)
rate = flops / median * 1e-9
print("| ratings | users | items | k | ranks x threads | s/iteration, median (min to max) | GFLOP/s | of SGEMM | of DGEMM | whole `als train`, s |")
print("|---|---|---|---|---|---|---|---|---|---|")
print(f"| {n} | {run['users']} | {run['items']} | {k} | {run['ranks']} x {run['threads']} "
      f"| {median:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {rate:.1f} "
      f"| {rate / peak['sgemm']:.2f} of {peak['sgemm']:.0f} | {rate / peak['dgemm']:.2f} of {peak['dgemm']:.0f} "
      f"| {run['seconds_total']:.1f} |")
PY
