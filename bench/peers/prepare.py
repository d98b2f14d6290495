"""prepare.py TRAIN.h5 TEST.h5 DIR: ratings as the peers read them, compressed rows in plain arrays.

Users and items get dense numbers in the order of their ids in the training part, which is the order of the rows
in a model of als. Test ratings of others are left out.
"""

import os, sys

import h5py
import numpy as np


def columns(name):
    with h5py.File(name) as f:
        return [f["ratings/" + c][:] for c in ("user", "item", "value")]


def dense(ids, of):
    at = np.minimum(np.searchsorted(ids, of), len(ids) - 1)
    return np.where(ids[at] == of, at, -1).astype(np.int32)


def main(train, test, folder):
    user, item, value = columns(train)
    if value.min() <= 0:
        sys.exit("peers: the training part has a rating of %g, and only some losses agree on ratings of 0 and less"
                 % value.min())
    user_ids, item_ids = np.unique(user), np.unique(item)
    u, i = dense(user_ids, user), dense(item_ids, item)
    order = np.lexsort((i, u))
    u, i, value = u[order], i[order], value[order]
    if np.any((np.diff(u) == 0) & (np.diff(i) == 0)):
        sys.exit("peers: a pair comes twice in the training part, which the peers would add up")
    tu, ti, tv = columns(test)
    tu, ti = dense(user_ids, tu), dense(item_ids, ti)
    known = (tu >= 0) & (ti >= 0)
    arrays = {
        "user_ids": user_ids,
        "item_ids": item_ids,
        "indptr": np.searchsorted(u, np.arange(len(user_ids) + 1)).astype(np.int64),
        "indices": i,
        "values": value,
        "test_users": tu[known],
        "test_items": ti[known],
        "test_values": tv[known],
    }
    for name, array in arrays.items():
        np.save(os.path.join(folder, name + ".npy"), array)


main(*sys.argv[1:])
