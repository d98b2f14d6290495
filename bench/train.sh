#!/bin/bash
# Time `als train` on the reference problem R20 and compare it with the machine's own GEMM, and the bandwidth that
# the solvers ask for with STREAM's triad, both measured in the same run. Prints a Markdown table. From the build
# directory: make bench
#
#   als generate --users 138000 --items 27000 --ratings 20000000 --seed 1
#
# Effective GFLOP/s of a full iteration (both half-steps), whatever the solver:
#   [2 N k (k + 1) + 4 N k + (m + n)(k^3 / 3 + 2 k^2)] / seconds
# GB/s are of the factors that are gathered, 2 N x 4 k bytes.
#
# Environment: KS ("64 128"), LAYOUTS ("2x1 1x2": ranks x threads), SOLVERS ("cholesky cg"), PRECISIONS ("double
# single"), ITERATIONS (5), ALS_OPTIONS (of als train: "--implicit-prefs"), RATINGS, USERS, ITEMS, BUILD, BENCH_DIR.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
iterations=${ITERATIONS:-5}
read -ra ks <<<"${KS:-64 128}"
read -ra layouts <<<"${LAYOUTS:-2x1 1x2}"
read -ra solvers <<<"${SOLVERS:-cholesky cg}"
read -ra precisions <<<"${PRECISIONS:-double single}"
read -ra extra <<<"${ALS_OPTIONS:-}"

reference_problem

machine
echo
echo "| k | solver | precision | ranks x threads | s/iteration, median (min to max) | GFLOP/s | of gemm in that precision | GB/s gathered | of triad | whole \`als train\`, s |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for k in "${ks[@]}"; do
  for solver in "${solvers[@]}"; do
    for precision in "${precisions[@]}"; do
      for layout in "${layouts[@]}"; do
        mpirun -n "${layout%x*}" "$als" train "$data" -o "$work/model.h5" --rank "$k" --max-iter "$iterations" \
          --solver "$solver" --final-exact no --precision "$precision" --threads "${layout#*x}" "${extra[@]}" \
          --json >"$work/train.json" 2>"$work/train.err" || { cat "$work/train.err" >&2; exit 1; }
        # The peak of as many cores, right after: the better of two, since a shared machine only takes away.
        cores=$((${layout%x*} * ${layout#*x}))
        peak=$("$build/bench/peak" "$cores"; "$build/bench/peak" "$cores")
        python3 - "$work/train.json" "$peak" "$k" "$solver" "$precision" <<'PY'
import json, statistics, sys
run, k, solver, precision = json.load(open(sys.argv[1])), int(sys.argv[3]), sys.argv[4], sys.argv[5]
peaks = [json.loads(line) for line in sys.argv[2].splitlines()]
peak = {key: max(p[key] for p in peaks) for key in peaks[0]}
n, rows = run["ratings"], run["users"] + run["items"]
flops = 2 * n * k * (k + 1) + 4 * n * k + rows * (k ** 3 / 3 + 2 * k * k)
seconds = run["seconds_per_iteration"]
median = statistics.median(seconds)
gemm = peak["sgemm" if precision == "single" else "dgemm"]
rate, bandwidth = flops / median * 1e-9, 2 * n * 4 * k / median * 1e-9
print(f"| {k} | {solver} | {precision} | {run['ranks']} x {run['threads']} "
      f"| {median:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {rate:.0f} | {rate / gemm:.2f} of {gemm:.0f} "
      f"| {bandwidth:.1f} | {bandwidth / peak['triad']:.2f} of {peak['triad']:.1f} | {run['seconds_total']:.1f} |")
PY
      done
    done
  done
done
