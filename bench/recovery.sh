#!/bin/bash
# What a crash costs with a checkpoint after each iteration: rank RANK of a run under gangrun is killed in
# the second half of iteration t. It should cost no more than the relaunch, reading (the parsed partitions
# and the checkpoint) and one iteration. Prints Markdown. From the build directory:
#   BUILD=$PWD ../bench/recovery.sh
# Environment: RATINGS (20 million; 2000000 for a quick look), USERS, ITEMS, K, RANKS, ITERATIONS, ROUNDS,
# KILL_AT (iterations, words), RANK (0 or last).
#
# The cost is the time from the end of the iteration that the rerun goes on from until the rerun is there
# again, by the event log. (The difference to an undisturbed run holds the noise of all other iterations; both
# runs' seconds are printed, for a quiet machine.) Its parts:
#   lost      from that end to the kill: work that is done twice
#   relaunch  from the kill to the first word of the next launch's rank 0: gangrun notices, the others are
#             ended (Open MPI takes its time), mpirun and MPI start
#   reading   from there to where the checkpoint has been read: partitions, hand-off, checkpoint

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
ranks=${RANKS:-2} k=${K:-64} iterations=${ITERATIONS:-8} rounds=${ROUNDS:-3} rank=${RANK:-last}
read -ra kill_at <<<"${KILL_AT:-2 5 8}"

reference_problem

# supervised NAME OPTION...: a run whose event log and seconds are kept.
supervised() {
  local dir=$work/recovery-$1 start
  shift
  rm -rf "$dir"
  start=$(date +%s.%N)
  "$build/gangrun" --work-dir "$dir" --backoff 0 mpirun -n "$ranks" "$als" train "$data" \
    -o "$work/model.h5" --rank "$k" --max-iter "$iterations" --quiet "$@" >&2
  echo "$(date +%s.%N) $start" | awk '{ printf "%.3f\n", $1 - $2 }' >"$dir/seconds"
}

rm -rf "$work"/recovery-*
for ((round = 0; round < rounds; round++)); do
  supervised "whole-0-$round" --checkpoint-interval 1
  for t in "${kill_at[@]}"; do
    supervised "killed-$t-$round" --checkpoint-interval 1 \
      --fault "gang,rank=$rank,iteration=$t,side=users:kill"
  done
done

machine
echo "$ratings ratings, k = $k, $ranks ranks, $iterations iterations, medians of $rounds runs; rank $rank is killed"
echo
python3 - "$work" "${kill_at[@]}" <<'PY'
import glob, json, statistics, sys
work, kill_at = sys.argv[1], sys.argv[2:]
median = statistics.median

def runs(name):
    return sorted(glob.glob(f"{work}/recovery-{name}-*"))
def seconds(run):
    return float(open(f"{run}/seconds").read())
def log(run, attempt, rank="*"):
    lines = [json.loads(line) for path in glob.glob(f"{run}/events/attempt-{attempt}.rank-{rank}.jsonl")
             for line in open(path)]
    return sorted(lines, key=lambda e: e["time"])
def first(events, **what):
    return next((e for e in events if all(e.get(k) == v for k, v in what.items())), None)

def parts(run):
    one, two = log(run, 1), log(run, 2, 0)
    kill = first(one, event="fault")["time"]
    began = first(one, event="phase", phase="iteration")["time"]
    resumed = first(two, event="resumed")
    end = first(one, event="iteration", iteration=resumed["iteration"])["time"]
    steps = [e["seconds"] for e in one + two if e["event"] == "iteration"]
    relaunch, reading = two[0]["time"] - kill, resumed["time"] - two[0]["time"]
    return (resumed["iteration"], kill - end, relaunch, reading, median(steps),
            kill - began + relaunch + reading)

print(f"undisturbed: {median(seconds(run) for run in runs('whole-0')):.2f} s")
print()
print("| killed in iteration | seconds in all | went on after | lost | relaunch | reading | cost "
      "| relaunch + reading + one iteration | cost without checkpoints |")
print("|---|---|---|---|---|---|---|---|---|")
for t in kill_at:
    after, *rest = zip(*(parts(run) for run in runs(f"killed-{t}")))
    lost, relaunch, reading, step, all_lost = map(median, rest)
    print(f"| {t} | {median(seconds(run) for run in runs(f'killed-{t}')):.2f} | {', '.join(map(str, after))} "
          f"| {lost:.2f} | {relaunch:.2f} | {reading:.2f} | {lost + relaunch + reading:.2f} "
          f"| {relaunch + reading + step:.2f} | {all_lost:.2f} |")
PY
