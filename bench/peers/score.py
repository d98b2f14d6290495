"""score.py PROBLEM DIR FACTORS: how good a model is, as a line of JSON. One judge for all systems.

FACTORS is the .npz of fit.py or a model of als. `objective` is what problems.py says is minimised, summed here rating by
rating. `quality` is the RMSE on the held-out ratings where the problem is explicit, else the mean NDCG@10 of up to
20000 users who have some: all items but those of the training part are ranked, and what is held out is relevant.
`error` is the standard error of the mean.
"""

import json, sys

import h5py
import numpy as np

from problems import ALPHA, EXPLICIT, IMPLICIT, LAMBDA

CHUNK, USERS, TOP = 1 << 18, 20000, 10


def factors(name):
    if name.endswith(".npz"):
        with np.load(name) as f:
            return f["users"], f["items"]
    with h5py.File(name) as f:
        assert f.attrs["mean"] == 0 and "bias" not in f["users"]
        return f["users/factors"][:], f["items/factors"][:]


def products(x, y, users, items):
    """x_u . y_i of many pairs, in float64."""
    out = np.empty(len(users))
    for at in range(0, len(users), CHUNK):
        part = slice(at, at + CHUNK)
        out[part] = np.einsum("rk,rk->r", x[users[part]], y[items[part]], dtype=np.float64)
    return out


def objective(problem, load, x, y):
    indptr, items, values = load("indptr"), load("indices"), load("values").astype(np.float64)
    users = np.repeat(np.arange(len(x), dtype=np.int32), np.diff(indptr))
    s = products(x, y, users, items)
    wide = x.astype(np.float64), y.astype(np.float64)
    if problem == EXPLICIT:
        loss = np.sum((values - s) ** 2)
    else:
        gram = [f.T @ f for f in wide]
        loss = np.sum((1 + ALPHA * values) * (1 - s) ** 2 - s**2) + np.sum(gram[0] * gram[1])
    counts = np.diff(indptr), np.bincount(items, minlength=len(y))
    if problem == IMPLICIT:
        counts = [np.ones_like(c) for c in counts]
    return loss + LAMBDA[problem] * sum(c @ np.sum(f**2, axis=1) for c, f in zip(counts, wide))


def rmse(load, x, y):
    s = products(x, y, load("test_users"), load("test_items"))
    return np.sqrt(np.mean((load("test_values") - s) ** 2)), 0.0


def ndcg(load, x, y):
    indptr, seen = load("indptr"), load("indices")
    order = np.argsort(load("test_users"), kind="stable")
    users, items = load("test_users")[order], load("test_items")[order]
    having, first = np.unique(users, return_index=True)
    ends = np.append(first[1:], len(users))
    chosen = np.linspace(0, len(having) - 1, min(USERS, len(having))).astype(int)
    discount, sums = 1 / np.log2(np.arange(TOP) + 2), []
    for c in chosen:
        u, wanted = having[c], items[first[c] : ends[c]]
        score = y @ x[u]
        score[seen[indptr[u] : indptr[u + 1]]] = -np.inf
        best = np.argpartition(score, -TOP)[-TOP:]
        best = best[np.argsort(-score[best], kind="stable")]
        sums.append(np.sum(discount[np.isin(best, wanted)]) / np.sum(discount[: len(wanted)]))
    return np.mean(sums), np.std(sums) / np.sqrt(len(sums))


def main(problem, folder, name):
    def load(array):
        return np.load("%s/%s.npy" % (folder, array))

    x, y = factors(name)
    quality, error = (rmse if problem == EXPLICIT else ndcg)(load, x, y)
    print(json.dumps({"objective": objective(problem, load, x, y), "quality": quality, "error": error}))


main(*sys.argv[1:])
