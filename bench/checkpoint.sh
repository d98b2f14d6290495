#!/bin/bash
# What checkpoints cost on the reference problem R20 at k = 64 with a checkpoint after each iteration. Prints
# a Markdown table. From the build directory:
#   BUILD=$PWD ../bench/checkpoint.sh
#
# Runs with and without checkpoints take turns. From the event log: the time from one iteration's end to
# the next one's, which holds all that a checkpoint costs; and, since other work on the machine drowns
# so little, the two parts of the cost by themselves: how long the ranks stand still (waiting for the
# one before, the copy, the fork), and the CPU time of the writer, which it takes from them where all
# cores are busy.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
ranks=${RANKS:-2} k=${K:-64} iterations=${ITERATIONS:-8} rounds=${ROUNDS:-3}

reference_problem
train=(mpirun -n "$ranks" "$als" train "$data" -o "$work/model.h5" --rank "$k"
  --max-iter "$iterations" --persist none --quiet)

machine
echo

rm -rf "$work"/log-*
for ((round = 0; round < rounds; round++)); do
  for interval in -1 1; do
    dir=$work/log-$interval-$round
    "${train[@]}" --work-dir "$dir" --checkpoint-interval "$interval" >&2
  done
done
python3 - "$work" "$k" "$ratings" "$ranks" <<'PY'
import glob, json, os, statistics, sys
work, k, ratings, ranks = sys.argv[1:]
def logs(interval):
    for path in sorted(glob.glob(f"{work}/log-{interval}-*/events/attempt-1.rank-0.jsonl")):
        yield [json.loads(line) for line in open(path)]
def steps(interval):
    for log in logs(interval):
        at = [(e["time"], e["seconds"]) for e in log if e["event"] == "iteration"]
        yield from ((b[0] - a[0], b[0] - a[0] - b[1]) for a, b in zip(at, at[1:]))
median = statistics.median
without, with_ = list(steps(-1)), list(steps(1))
cpu = median(e["cpu_seconds"] for log in logs(1) for e in log if e["event"] == "checkpoint-written")
a, b = median(s for s, _ in without), median(s for s, _ in with_)
best = min(s for s, _ in without)
still = median(s for _, s in with_) - median(s for _, s in without)
cost = still + cpu / os.cpu_count()
print("| ratings | k | ranks | s/iteration without, median (min) | with a checkpoint each "
      "| ranks stand still, s | writer's CPU, s | still + CPU / cores, of the fastest iteration |")
print("|---|---|---|---|---|---|---|---|")
print(f"| {ratings} | {k} | {ranks} | {a:.2f} ({best:.2f}) | {b:.2f} ({min(s for s, _ in with_):.2f}) "
      f"| {still:.4f} | {cpu:.3f} | {100 * cost / best:.1f} % |")
PY
