#!/bin/bash
# Time everything around the iterations on the reference problem R20, in units of one iteration at k = 64: the
# goal is that nothing takes longer than three. Prints a Markdown table. From the build directory:
#
#   make bench-pipeline
#
# Each round runs every step once with each number of ranks, and one fit in double and one in single
# precision, of which the iterations and the phases are. Times of commands are wall time from outside, with the
# launcher's start and end; those of the phases are als train's own. Cores are shared out over the ranks.
#
# Environment: RUNS (3), RANKS ("1 2"), K (64), ITERATIONS (2), RATINGS, USERS, ITEMS, BUILD, BENCH_DIR.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
runs=${RUNS:-3} k=${K:-64} iterations=${ITERATIONS:-2}
read -ra ranks <<<"${RANKS:-1 2}"

csv=$work/p$ratings.csv h5=$work/p$ratings.h5 model=$work/p-model.h5
times=$work/pipeline.tsv
: >"$times"

# step RANKS NAME ARG...: one run of als, its seconds to the table.
step() {
  local n=$1 name=$2 began=$EPOCHREALTIME
  shift 2
  mpirun -n "$n" "$als" "$@" --quiet >"$work/step.out" 2>&1 || { cat "$work/step.out" >&2; exit 1; }
  printf '%s\t%s\t%s\n' "$n" "$name" "$(awk "BEGIN { print $EPOCHREALTIME - $began }")" >>"$times"
}

# fit RANKS PRECISION: one fit, its iterations and phases to the table.
fit() {
  mpirun -n "$1" "$als" train "$h5" -o "$model" --rank "$k" --max-iter "$iterations" --precision "$2" --json \
    --quiet >"$work/fit.json"
  python3 - "$work/fit.json" "$1" "$2" >>"$times" <<'PY'
import json, statistics, sys
run, ranks, precision = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
print(ranks, precision, statistics.median(run["seconds_per_iteration"]), sep="\t")
for name in ("reading", "hand_off", "writing"):
    print(ranks, name, run["seconds_" + name], sep="\t")
PY
}

for ((run = 0; run < runs; run++)); do
  for n in "${ranks[@]}"; do
    step "$n" "generate to CSV" generate -o "$csv" --users "$users" --items "$items" --ratings "$ratings" --seed 1
    step "$n" "import of the CSV" import "$csv" -o "$h5"
    step "$n" "split" split "$h5" --train "$work/p-train.h5" --test "$work/p-test.h5"
    fit "$n" double
    fit "$n" single
    step "$n" "evaluate, a fifth of the ratings" evaluate "$model" "$work/p-test.h5"
    step "$n" "predict, a fifth, to HDF5" predict "$model" "$work/p-test.h5" -o "$work/p-predicted.h5"
  done
done
rm -f "$work"/p-*.h5

machine
echo
python3 - "$times" <<'PY'
import statistics, sys
from collections import defaultdict
seen, order = defaultdict(list), []
for line in open(sys.argv[1]):
    ranks, name, seconds = line.rstrip("\n").split("\t")
    seen[ranks, name].append(float(seconds))
    if name not in order:
        order.append(name)
title = {"reading": "train: reading", "hand_off": "train: ids, hand-off, first factors",
         "writing": "train: writing the model"}
layouts = list(dict.fromkeys(ranks for ranks, _ in seen))
print("| step |" + "".join(f" {n} rank{'s' * (n != '1')}, s, median (min to max) | iterations, double | single |"
                           for n in layouts))
print("|---|" + "---|---|---|" * len(layouts))
precisions = ["double", "single"]
for name in precisions + [n for n in order if n not in precisions]:
    cells = []
    for n in layouts:
        t = seen[n, name]
        unit = [statistics.median(seen[n, p]) for p in precisions]
        median = statistics.median(t)
        cells.append(f" {median:.2f} ({min(t):.2f} to {max(t):.2f}) | {median / unit[0]:.2f} | {median / unit[1]:.2f} |")
    what = f"one iteration, {name}" if name in precisions else title.get(name, name)
    print(f"| {what} |" + "".join(cells))
PY
