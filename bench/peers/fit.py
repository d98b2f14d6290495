"""fit.py PEER PROBLEM SOLVER K N THREADS DIR [FACTORS.npz]: one measurement of one peer, as a line of JSON.

Seconds per iteration are those of iterations 2 to N + 1: from the peer's own callback or step where it has one,
else a run of N + 1 iterations less a run of 1, after a run that nobody looks at. What comes before the first
iteration (sorting, transposing, drawing factors) cancels out either way. `cores` is CPU time / wall time of what
was timed, which tells whether the threads ran. The factors after N + 1 iterations go to FACTORS.npz.
"""

import json, os, sys, time
from importlib.metadata import version

import numpy as np

from problems import ALPHA, CG_STEPS, EXPLICIT, IMPLICIT, LAMBDA


class Clock:
    """Wall and CPU time of this process, or of a child that does the work."""

    def __init__(self, pid=None):
        self.pid = pid

    def cpu(self):
        if self.pid is None:
            return time.process_time()
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def now(self):
        return np.array([time.perf_counter(), self.cpu()])


def matrix(folder, scale=1.0, plus=0.0):
    """Users x items, float32: scale * rating + plus."""
    import scipy.sparse

    indptr, indices, values = (np.load("%s/%s.npy" % (folder, n)) for n in ("indptr", "indices", "values"))
    shape = [len(np.load("%s/%s.npy" % (folder, n), mmap_mode="r")) for n in ("user_ids", "item_ids")]
    values = (scale * values + plus).astype(np.float32)
    return scipy.sparse.csr_matrix((values, indices, indptr.astype(np.int32)), shape=shape)


def by_difference(clock, fit, n):
    """fit(iterations) fits a model: seconds of wall and CPU of iterations 2 to n + 1, and the model."""
    fit(1)
    start = clock.now()
    fit(1)
    between = clock.now()
    model = fit(n + 1)
    return (clock.now() - between) - (between - start), model


# ---- The peers: each returns (seconds of wall and CPU of n iterations), precision, X, Y ----


def implicit(problem, solver, k, n, threads, folder):
    from implicit.cpu.als import AlternatingLeastSquares

    data = matrix(folder, ALPHA, 1)
    model = AlternatingLeastSquares(
        factors=k, regularization=LAMBDA[problem], alpha=1.0, dtype=np.float32, use_cg=solver == "cg",
        iterations=n + 1, num_threads=threads, random_state=1)
    model.cg_steps = CG_STEPS
    clock, ends = Clock(), []
    model.fit(data, show_progress=False, callback=lambda *_: ends.append(clock.now()))
    assert len(ends) == n + 1
    return ends[-1] - ends[0], "single", model.user_factors, model.item_factors


def irspack(problem, solver, k, n, threads, folder):
    from irspack import IALSRecommender

    model = IALSRecommender(
        matrix(folder, ALPHA), n_components=k, alpha0=1.0, reg=LAMBDA[problem], nu=0.0, loss_type="ORIGINAL",
        solver_type=solver.upper(), max_cg_steps=CG_STEPS, n_threads=threads, random_seed=1)
    trainer, clock = model._create_trainer(), Clock()
    trainer.run_epoch()
    start = clock.now()
    for _ in range(n):
        trainer.run_epoch()
    return clock.now() - start, "single", trainer.core_trainer.user, trainer.core_trainer.item


def cmfrec(problem, solver, k, n, threads, folder):
    from cmfrec import CMF, CMF_implicit

    data = matrix(folder).tocoo()
    both = dict(
        k=k, lambda_=LAMBDA[problem], use_cg=solver == "cg", max_cg_steps=CG_STEPS, finalize_chol=False,
        use_float=True, precompute_for_predictions=False, random_state=1, nthreads=threads)
    if problem == EXPLICIT:
        model = CMF(method="als", scale_lam=True, user_bias=False, item_bias=False, center=False, **both)
    else:
        model = CMF_implicit(alpha=ALPHA, **both)

    def fit(iterations):
        model.niter = iterations
        return model.fit(data)

    seconds, model = by_difference(Clock(), fit, n)
    return seconds, "single", model.A_, model.B_


def pyspark(problem, solver, k, n, threads, folder):
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    assert solver == "cholesky"
    spark = (
        SparkSession.builder.master("local[%d]" % threads)
        .config("spark.driver.memory", os.environ.get("SPARK_MEMORY", "10g"))
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.local.dir", folder + "/spark")
        .config("spark.sql.warehouse.dir", folder + "/spark")
        .config("spark.sql.shuffle.partitions", threads)
        .config("spark.ui.enabled", "false")
        .getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    # Else the lineage of some 40 iterations overflows the stack. Nothing is written before the tenth.
    spark.sparkContext.setCheckpointDir(folder + "/spark")
    parquet = folder + "/train.parquet"
    if not os.path.exists(parquet + "/_SUCCESS"):
        text = spark.read.csv(folder + "/train.csv", header=True, schema="user INT, item INT, rating FLOAT")
        text.write.mode("overwrite").parquet(parquet)
    data = spark.read.parquet(parquet).repartition(threads).cache()
    data.count()

    def fit(iterations):
        return ALS(
            rank=k, maxIter=iterations, regParam=LAMBDA[problem], implicitPrefs=problem != EXPLICIT, alpha=ALPHA,
            userCol="user", itemCol="item", ratingCol="rating", seed=1).fit(data)

    jvm = spark.sparkContext._gateway.proc
    seconds, model = by_difference(Clock(jvm.pid), fit, n)

    def factors(frame, side):
        rows = frame.collect()
        ids = np.load("%s/%s_ids.npy" % (folder, side))
        table = np.zeros((len(ids), k), np.float32)
        table[np.searchsorted(ids, [row.id for row in rows])] = [row.features for row in rows]
        return table

    x, y = factors(model.userFactors, "user"), factors(model.itemFactors, "item")
    spark.stop()
    # It would die by itself, but in the time of whoever is measured next.
    jvm.stdin.close()
    jvm.wait()
    return seconds, "double", x, y


def main(peer, problem, solver, k, n, threads, folder, out=None):
    fits = {f.__name__: f for f in (implicit, irspack, cmfrec, pyspark)}
    (wall, cpu), precision, x, y = fits[peer](problem, solver, int(k), int(n), int(threads), folder)
    if out:
        np.savez(out, users=x, items=y)
    print(json.dumps({
        "system": peer, "version": version(peer), "precision": precision,
        "seconds": wall / int(n), "cores": cpu / wall}))


main(*sys.argv[1:])
