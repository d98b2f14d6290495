#!/bin/bash
# The hand-off of R20 from partitions to the gang's compressed rows: memory and speed at 1, 2 and 4 ranks,
# integer ids against the same ids as text, and the peak of a whole `als train`. Prints Markdown tables.
# From the build directory: make bench-handoff
#
#   als generate --users 138000 --items 27000 --ratings 20000000 --seed 1
#
# The bound of the peak of a rank is 1.5 x (2 x 8 bytes for each rating of its share + the partitions that
# it was given). Peaks are VmHWM; pages of partitions and tables count in each rank that touched them.
# Times are medians of ROUNDS runs, of the slowest rank each; memcpy is measured at the end of each run by
# all ranks at once.

# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-3} sizes=${RANKS:-1 2 4}

reference_problem
int=$data text=${data%.h5}.text.h5
if [[ ! -s $text ]]; then
  "$als" import "$int" -o "$work/r$ratings.csv" --quiet >&2
  "$als" import "$work/r$ratings.csv" --id-type string -o "$text" --quiet >&2
  rm "$work/r$ratings.csv"
fi

out=$work/handoff.jsonl
: >"$out"
for ((round = 0; round < rounds; round++)); do
  for n in $sizes; do
    for type in int string; do
      data=$int
      [[ $type = string ]] && data=$text
      printf '%s\t' "$type" >>"$out"
      mpirun -n "$n" "$build/bench/handoff" "$data" "$type" >>"$out"
    done
  done
done
for n in $sizes; do
  printf 'train\t' >>"$out"
  mpirun -n "$n" "$als" train "$int" -o "$work/model.h5" --rank 64 --max-iter 1 --json --quiet >>"$out"
done

machine
echo
python3 - "$out" <<'PY'
import json, statistics, sys
from collections import defaultdict
runs, trains = defaultdict(list), {}
for line in open(sys.argv[1]):
    kind, run = line.rstrip("\n").split("\t")
    run = json.loads(run)
    if kind == "train":
        trains[run["ranks"]] = run
    else:
        runs[kind, run["ranks"]].append(run)
MB = 1e6
STAGES = ("user_ids", "item_ids", "lookup", "by_user", "by_item")


def worst(peaks, partitions, shares):
    """The rank nearest to its bound: partitions, share, bound, peak, ratio."""
    rows = [(p, s, 1.5 * (p + s), k, k / (1.5 * (p + s))) for p, s, k in zip(partitions, shares, peaks)]
    return max(rows, key=lambda row: row[4])


def bytes_of(run):
    """16 bytes for each rating of a rank: 8 by user and 8 by item."""
    return [8 * (u + i) for u, i in zip(run["by_user"], run["by_item"])]


print("Memory, MB, of the rank nearest to its bound:\n")
print("| ids | ranks | partitions held | share of 2 x 8 N | bound | measured peak | of the bound "
      "| before the hand-off | anonymous + shared after ids | after by user | after by item |")
print("|---|---|---|---|---|---|---|---|---|---|---|")
for (kind, n), several in sorted(runs.items()):
    run = max(several, key=lambda r: max(r["stages"]["by_item"]["peak"]))
    p, s, bound, peak, ratio = worst(run["stages"]["by_item"]["peak"], run["partition_bytes"], bytes_of(run))
    r = run["stages"]["by_item"]["peak"].index(peak)
    split = " | ".join(f"{run['stages'][x]['anonymous'][r] / MB:.0f} + {run['stages'][x]['shared'][r] / MB:.0f}"
                       for x in ("item_ids", "by_user", "by_item"))
    print(f"| {kind} | {n} | {p / MB:.0f} | {s / MB:.0f} | {bound / MB:.0f} | {peak / MB:.0f} "
          f"| {ratio:.2f} | {run['stages']['read']['peak'][r] / MB:.0f} | {split} |")
print("\nA whole `als train --rank 64` on integer ids, factor tables and all:\n")
print("| ranks | partitions held | bound | peak after the hand-off | of the bound | peak at the end |")
print("|---|---|---|---|---|---|")
for n, run in sorted(trains.items()):
    share = [16 * run["ratings"] / n] * n
    p, _, bound, peak, ratio = worst(run["peak_memory_hand_off"], run["partition_bytes"], share)
    print(f"| {n} | {p / MB:.0f} | {bound / MB:.0f} | {peak / MB:.0f} | {ratio:.2f} "
          f"| {max(run['peak_memory']) / MB:.0f} |")
print("\nSpeed of all ranks together: million ratings/s, GB/s, and GB/s of memcpy's (bytes are those of the "
      "columns of ids, and 12 a rating in the exchanges):\n")
print("| ids | ranks | ids and lookup | by user (with a lookup) | by item | memcpy, GB/s |")
print("|---|---|---|---|---|---|")
for (kind, n), several in sorted(runs.items()):
    rows = sum(several[0]["rows"])
    copy = statistics.median(r["memcpy"] for r in several)
    seconds = {x: statistics.median(r["stages"][x]["seconds"] for r in several) for x in STAGES}
    cells = []
    for names, size in ((("user_ids", "item_ids", "lookup"), 2 * sum(several[0]["id_bytes"])),
                        (("by_user",), 12 * rows), (("by_item",), 12 * rows)):
        t = sum(seconds[x] for x in names)
        cells.append(f"{rows / t / 1e6:.0f}, {size / t / 1e9:.2f}, {size / t / copy:.2f}")
    print(f"| {kind} | {n} | " + " | ".join(cells) + f" | {copy / 1e9:.1f} |")
print("\nIds as text against integers (ids of both sides, and the lookup of every rating's two):\n")
print("| ranks | integers, s | text, s | ratio |")
print("|---|---|---|---|")
for n in sorted(trains):
    phase = {kind: statistics.median(sum(r["stages"][x]["seconds"] for x in STAGES[:3]) for r in runs[kind, n])
             for kind in ("int", "string")}
    print(f"| {n} | {phase['int']:.2f} | {phase['string']:.2f} | {phase['string'] / phase['int']:.2f} |")
PY
