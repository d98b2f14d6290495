"""report.py RESULTS.jsonl: the tables of bench/peers.sh, from one line for each run."""

import json, statistics, sys

from problems import EXPLICIT

# What is apart by less is as good: shares of ours. NDCG is also no other within two standard errors.
SAME_OBJECTIVE, SAME_RMSE, SAME_NDCG = 0.01, 0.01, 0.03
# system: how many times ours its time should be, and with which solvers. On every problem where it plays.
GOALS = {"pyspark": (30, ("cholesky",)), "cmfrec": (3, ("cholesky", "cg")), "implicit": (2, ("cg",))}
NAMES = {"als": "gangplank", "pyspark": "Spark"}


class Case:
    """All runs of one system on one problem, k and solver; of ours, in one shape."""

    def __init__(self, runs):
        seconds = [r["seconds"] for r in runs]
        self.median, self.low, self.high = statistics.median(seconds), min(seconds), max(seconds)
        scored = [r for r in runs if "quality" in r]  # those of the first round
        self.quality, self.error, self.objective = (scored[0][n] for n in ("quality", "error", "objective"))
        self.cores = statistics.median(r["cores"] for r in runs) if "cores" in runs[0] else None
        self.run = runs[0]


def read(name):
    """{(problem, k): {solver: {system: Case}}}, with the faster shape of ours."""
    groups = {}
    with open(name, encoding="utf-8") as f:
        for run in map(json.loads, f):
            key = run["problem"], run["k"], run["solver"], run["system"], run.get("shape", "")
            groups.setdefault(key, []).append(run)
    tables = {}
    for (problem, k, solver, system, _), runs in groups.items():
        systems, case = tables.setdefault((problem, k), {}).setdefault(solver, {}), Case(runs)
        if system not in systems or case.median < systems[system].median:
            systems[system] = case
    return tables


def compare(problem, case, ours):
    """What its model is beside ours after as many iterations: same, better or worse."""
    more = case.quality - ours.quality
    if problem == EXPLICIT:
        apart, lower_is_better = abs(more) > SAME_RMSE * ours.quality, 1
    else:
        apart, lower_is_better = abs(more) > max(SAME_NDCG * ours.quality, 2 * ours.error), -1
    if not apart:
        more, lower_is_better = case.objective - ours.objective, 1
        apart = abs(more) > SAME_OBJECTIVE * abs(ours.objective)
    return "same" if not apart else "better" if more * lower_is_better < 0 else "worse"


def lines(tables):
    for (problem, k), solvers in tables.items():
        for solver, systems in solvers.items():
            if "als" in systems:
                for system in sorted(systems, key=lambda s: (s != "als", s)):
                    yield problem, k, solver, system, systems[system], systems["als"]


def title(system, run):
    name = NAMES.get(system, system)
    return "%s, %s" % (name, run["shape"]) if "shape" in run else name


def main(name, threads):
    tables, notes = read(name), []
    print("| problem | k | solver | system | version | precision | s/iteration, median (min to max) | times ours "
          "| RMSE or NDCG@10 | objective / ours | its model |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for problem, k, solver, system, case, ours in lines(tables):
        print("| %s | %d | %s | %s | %s | %s | %.3g (%.3g to %.3g) | %.2f | %.4f | %.4f | %s |" % (
            problem, k, solver, title(system, case.run), case.run["version"], case.run["precision"],
            case.median, case.low, case.high, case.median / ours.median, case.quality,
            case.objective / ours.objective, compare(problem, case, ours)))
        if case.cores is not None and case.cores < 0.85 * threads:
            notes.append("%s, %s, k = %d, %s: had %.2f of %d cores while it was timed"
                         % (NAMES.get(system, system), problem, k, solver, case.cores, threads))
    print("\nThe same model: RMSE (explicit) within %g %% of ours, NDCG@10 (implicit) within %g %% or two standard "
          "errors, and the objective within %g %%, after as many iterations.\n"
          % (100 * SAME_RMSE, 100 * SAME_NDCG, 100 * SAME_OBJECTIVE))
    print("| goal | problem | k | solver | measured | |\n|---|---|---|---|---|---|")
    for problem, k, solver, system, case, ours in lines(tables):
        least, asked = GOALS.get(system, (0, ()))
        if solver in asked:
            ratio, met = case.median / ours.median, case.median >= least * ours.median
            told = {"same": "", "better": ", but its model is better", "worse": ", and its model is worse"}
            print("| %d x %s | %s | %d | %s | %.2f | %s%s |" % (
                least, NAMES.get(system, system), problem, k, solver, ratio, "met" if met else "missed",
                told[compare(problem, case, ours)]))
    print(*["\n" + note for note in notes], sep="")


main(sys.argv[1], int(sys.argv[2]))
