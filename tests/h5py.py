"""What als wrote, read with h5py: types, shapes, attributes and values as docs/formats.md tells.

Run by h5py.sh in the folder with the files. Prints "ok CLAIM" or "no CLAIM", and at last "end"."""

import csv, glob, json, subprocess, sys, zlib

# This file has the name of what it tests.
sys.path.pop(0)
import h5py
import numpy as np


def check(claim, condition, detail=""):
    print("ok" if condition else "no", claim, flush=True)
    if not condition and detail:
        print(claim, detail, sep=": ", file=sys.stderr)


def rows_of(name):
    """A text file, as als writes it: its rows as dictionaries."""
    with open(name, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def text(dataset):
    return dataset.asstr()[:]


# ---- What is in all files ----


def look_at(name, kind, version=1):
    """Open a file and check what all have."""
    f = h5py.File(name, "r")
    a = f.attrs
    check(
        "%s is of kind %s" % (name, kind),
        a["kind"] == kind
        and a["format_version"] == version
        and a["creator"].startswith("gangplank "),
    )
    objects = []
    f.visititems(lambda path, o: objects.append(o))
    datasets = [o for o in objects if isinstance(o, h5py.Dataset)]
    numbers = [o for o in datasets if o.dtype.kind in "iuf"]
    names = [o for o in datasets if h5py.check_string_dtype(o.dtype)]
    check(
        "  everything in it has a description",
        all(len(o.attrs["description"]) > 0 for o in objects),
    )
    check("  its datasets are numbers or text", len(datasets) == len(numbers) + len(names) > 0)
    little = all(
        o.id.get_type().get_order() == h5py.h5t.ORDER_LE for o in numbers if o.dtype.itemsize > 1
    )
    check(
        "  numbers are little-endian, chunked and checksummed",
        little and all(o.chunks and o.fletcher32 for o in numbers),
    )
    utf8 = [h5py.check_string_dtype(o.dtype) for o in names]
    check(
        "  text is of variable length, in UTF-8",
        all(t.encoding == "utf-8" and t.length is None for t in utf8),
    )
    check("  no object carries a time", all(h5py.h5o.get_info(o.id).mtime == 0 for o in objects))
    return f


def look_at_table(name, kind, columns):
    """The columns of a table, by name; text in place of its codes."""
    f = look_at(name, kind)
    group, table = f[kind], {}
    check(
        "  its columns have their types",
        all(group[c].dtype == t for c, t in columns.items())
        and set(group) - {c + "_dictionary" for c in columns} == set(columns),
        str({c: d.dtype for c, d in group.items()}),
    )
    check("  and one length", len({len(group[c]) for c in columns}) == 1)
    check(
        "  they are shuffled and deflated",
        all(group[c].shuffle and group[c].compression == "gzip" for c in columns),
    )
    described = True
    for c in columns:
        values, a = group[c][:], group[c].attrs
        table[c] = values
        if c + "_dictionary" in group:
            names = text(group[c + "_dictionary"])
            first = list(dict.fromkeys(values.tolist()))  # in order of first occurrence
            described &= first == list(range(len(names))) and len(set(names)) == len(names)
            table[c] = names[values]
        else:
            real = values[~np.isnan(values)] if values.dtype.kind == "f" else values
            described &= a["min"] == real.min() and a["max"] == real.max()
            if values.dtype.kind == "f":
                described &= abs(a["mean"] - real.mean(dtype=np.float64)) < 1e-9 * abs(a["mean"])
        if "distinct" in a:
            described &= a["distinct"] == len(np.unique(values))
    check("  min, max, mean, distinct and dictionaries are those of the values", described)
    return f, table


def same_as_text(table, name, titles):
    """The same rows as a text file with the columns `titles`; numbers read back the same."""
    rows = rows_of(name)
    same = list(rows[0]) == titles and len(rows) == len(next(iter(table.values())))
    for (column, values), title in zip(table.items(), titles):
        theirs = [r[title] for r in rows]
        if values.dtype.kind == "O":
            same &= theirs == values.tolist()
        else:
            same &= np.array_equal(
                np.array(theirs, values.dtype), values, equal_nan=values.dtype.kind == "f"
            )
    check("  its rows are those of " + name, same, "columns %s" % list(rows[0]))


def info(name):
    with open(name.replace(".h5", ".json"), encoding="utf-8") as f:
        return json.load(f)


def same_as_info(f, keys):
    said = info(f.filename)
    wrong = [k for k in keys if said[k] != f.attrs[k]]
    check("  als info says the same", not wrong and said["kind"] == f.attrs["kind"], str(wrong))


# ---- Ratings ----

RATING = {"user": np.int64, "item": np.int64, "value": np.float32}
f, numbers = look_at_table("numbers.h5", "ratings", RATING)
same_as_text(numbers, "numbers.csv", ["user", "item", "rating"])
counts = (f.attrs["users"], f.attrs["items"], f.attrs["ratings"])
check(
    "  it counts users, items and ratings", counts == (60, 40, 900) and len(numbers["user"]) == 900
)
check(
    "  and so does als info",
    tuple(info("numbers.h5")[k] for k in ("users", "items", "ratings")) == counts,
)
check(
    "  als info has the mean of the values",
    info("numbers.h5")["rating_mean"] == f["ratings/value"].attrs["mean"],
)

f, words = look_at_table("words-imported.h5", "ratings", RATING | {"timestamp": np.int64})
given = [r for r in rows_of("words.csv") if r["user"] != "somebody"]
check(
    "  users and items are the input's text", words["user"].tolist() == [r["user"] for r in given]
)
check(
    "  whatever is in it",
    words["item"].tolist() == [r["item"] for r in given] and "Zürich" in words["item"][0],
)
check("  ratings too", words["value"].tolist() == [float(r["rating"]) for r in given])
check("  and timestamps", words["timestamp"].tolist() == [int(r["timestamp"]) for r in given])
check("  one record was bad", f.attrs["bad_records"] == 1 and f.attrs["ratings"] == len(given))
same_as_text(words, "words-imported.csv", ["user", "item", "rating", "timestamp"])

# ---- Models ----


class Model:
    """A model by the formula of the documentation, and nothing else."""

    def __init__(self, name, ids, kind="model", version=1):
        self.f = f = look_at(name, kind, version)
        self.k = int(f.attrs["rank"])
        self.row, self.factors, self.bias, self.ids = {}, {}, {}, {}
        for side in "users", "items":
            group, n = f[side], int(f.attrs[side])
            self.ids[side] = text(group["id"]).tolist() if ids is str else group["id"][:].tolist()
            order = [i.encode() for i in self.ids[side]] if ids is str else self.ids[side]
            check("  %s ascend, each once" % side, order == sorted(set(order)) and len(order) == n)
            check(
                "  their factors are n x k",
                group["factors"].dtype == np.float32 and group["factors"].shape == (n, self.k),
            )
            self.factors[side] = group["factors"][:].astype(np.float64)
            self.bias[side] = np.zeros(n)
            if f.attrs["bias"]:
                check(
                    "  and they have a bias each",
                    group["bias"].dtype == np.float32 and group["bias"].shape == (n,),
                )
                self.bias[side] = group["bias"][:].astype(np.float64)
            self.row[side] = {i: row for row, i in enumerate(self.ids[side])}
        check(
            "  biases are there with --bias only",
            all(("bias" in f[s]) == bool(f.attrs["bias"]) for s in self.ids),
        )
        history = f["history"]
        n = int(f.attrs["iterations"])
        parts = {"loss_ratings", "loss_pairs", "loss_reg"}
        errors = {"rmse_train", "rmse_test", "rmse_validation", "ndcg_validation"}
        fields = parts | errors | {"objective", "seconds"}
        check(
            "  its history has a row for each iteration",
            set(history) == fields
            and all(history[h].dtype == np.float64 and history[h].shape == (n,) for h in fields),
        )
        check(
            "  its objective is the sum of its parts",
            np.allclose(sum(history[h][:] for h in parts), history["objective"][:]),
        )
        check("  wall times have their unit", history["seconds"].attrs["units"] == "s")

    def scores(self):
        bias = self.bias["users"][:, None] + self.bias["items"][None, :]
        return self.f.attrs["mean"] + bias + self.factors["users"] @ self.factors["items"].T

    def predict(self, table):
        """NaN where it knows not both."""
        scores, rows, result = self.scores(), self.row, []
        for u, i in zip(table["user"].tolist(), table["item"].tolist()):
            known = u in rows["users"] and i in rows["items"]
            result.append(scores[rows["users"][u], rows["items"][i]] if known else np.nan)
        return np.array(result)

    def rmse(self, table):
        return np.sqrt(np.mean((self.predict(table) - table["value"]) ** 2))

    def penalty(self, table):
        """The sum of squares of factors, each row's times its number of ratings."""
        total = 0
        for side, column in ("users", "user"), ("items", "item"):
            n = np.bincount(
                [self.row[side][i] for i in table[column].tolist()], minlength=len(self.ids[side])
            )
            total += np.sum(n[:, None] * self.factors[side] ** 2)
        return self.f.attrs["reg_user"] * total


PARAMETERS = [
    "rank",
    "users",
    "items",
    "mean",
    "rating_min",
    "rating_max",
    "reg_user",
    "max_iter",
    "tol",
    "seed",
    "bias",
]
PARAMETERS += [
    "reg_item",
    "reg_exponent",
    "min_ridge",
    "nonnegative",
    "ratings",
    "inputs",
    "iterations",
    "seconds",
    "ranks",
    "command_line",
    "host",
    "created",
]


def close(a, b, tolerance=1e-6):
    return abs(a - b) <= tolerance * max(1, abs(b))


plain = Model("numbers-model.h5", int)
f, history = plain.f, plain.f["history"]
same_as_info(f, PARAMETERS)
check(
    "  it has the ids of the ratings", plain.ids["users"] == sorted(set(numbers["user"].tolist()))
)
check(
    "  and the parameters that were given",
    f.attrs["rank"] == 5 and f.attrs["max_iter"] == 4 and f.attrs["mean"] == 0,
)
check(
    "  rmse_train is what the formula gives", close(plain.rmse(numbers), history["rmse_train"][-1])
)
objective = len(numbers["user"]) * plain.rmse(numbers) ** 2 + plain.penalty(numbers)
check(
    "  the objective is squared error plus regularisation",
    close(objective, history["objective"][-1]),
    str(objective),
)
check("  rmse_test is NaN without --test", np.isnan(history["rmse_test"][:]).all())

biased = Model("words-model.h5", str)
f, history = biased.f, biased.f["history"]
same_as_info(f, PARAMETERS)
check("  it is of 2 ranks, with biases", f.attrs["ranks"] == 2 and f.attrs["bias"] == 1)
check("  the mean is the ratings'", close(f.attrs["mean"], words["value"].mean(dtype=np.float64)))
check(
    "  rmse_train is what the formula gives", close(biased.rmse(words), history["rmse_train"][-1])
)
some = rows_of("some.csv")
tested = {"user": np.array([r["user"] for r in some]), "item": np.array([r["item"] for r in some])}
tested["value"] = np.array([float(r["rating"]) for r in some], np.float32)
check("  and so is rmse_test", close(biased.rmse(tested), history["rmse_test"][-1]))

# ---- Predictions and recommendations ----

PREDICTION = {"user": np.int64, "item": np.int64, "prediction": np.float32}
for name, model in ("numbers-pairs", plain), ("words-pairs", biased):
    f, pairs = look_at_table(name + ".h5", "predictions", PREDICTION)
    same_as_text(pairs, name + ".csv", list(PREDICTION))
    check("  als info counts them", info(name + ".h5")["predictions"] == len(pairs["user"]))
    wanted = model.predict(pairs)
    check(
        "  they are what the formula gives",
        np.allclose(pairs["prediction"], wanted, 1e-5, 1e-5, equal_nan=True),
    )
    check("  and NaN where that gives none", np.isnan(wanted).sum() == (2 if model is plain else 0))

for name, model, of, what, n in ("numbers-top", plain, "users", "items", 3), (
    "words-top",
    biased,
    "items",
    "users",
    4,
):
    one, other = of[:-1], what[:-1]  # whom a list is for, and what is recommended
    columns = {one: np.int64, "rank": np.int32, other: np.int64, "score": np.float32}
    f, top = look_at_table(name + ".h5", "recommendations", columns)
    same_as_text(top, name + ".csv", list(columns))
    described = [f["recommendations"][c].attrs["description"] for c in (one, other)]
    check(
        "  its ids are told apart",
        described == ["id of whom the list is for", "id of what is recommended"],
    )
    scores = model.scores() if of == "users" else model.scores().T
    check("  each list has its places", top["rank"].tolist() == list(range(1, n + 1)) * len(scores))
    check("  there is one for each of them", set(top[one].tolist()) == set(model.ids[of]))
    right = True
    for at in range(0, len(top[one]), n):
        row = scores[model.row[of][top[one][at]]]
        found = [row[model.row[what][i]] for i in top[other][at : at + n].tolist()]
        right &= len(set(top[other][at : at + n].tolist())) == n
        right &= np.allclose(found, np.sort(row)[::-1][:n], 1e-5, 1e-5)
        right &= np.allclose(top["score"][at : at + n], found, 1e-5, 1e-5)
    check("  and the best are in it, best first", right)

# ---- What a run that was killed leaves ----


def sealed(name):
    """16 bytes behind the HDF5 file: a word, and the CRC-32 of all before the checksum."""
    with open(name, "rb") as file:
        data = file.read()
    return data[-16:-8] == b"gplkseal" and int.from_bytes(data[-8:], "little") == zlib.crc32(
        data[:-16]
    )


name = "work/checkpoint/checkpoint-2.h5"
checkpoint = Model(name, str, "checkpoint")
same_as_info(checkpoint.f, ["rank", "users", "items", "iterations", "seed"])
a = checkpoint.f.attrs
check("  it is of iteration 2", a["iteration"] == 2 == len(checkpoint.f["history/rmse_train"]))
check(
    "  it has its fingerprints", a["fingerprint"].dtype == np.int64 and a["test_fingerprint"] == 0
)
check(
    "  rmse_train is what the formula gives",
    close(checkpoint.rmse(words), checkpoint.f["history/rmse_train"][-1]),
)
check("  it is sealed with its CRC-32", sealed(name))

blocks = sorted(glob.glob("work/blocks/block-*.h5"), key=lambda b: int(b[:-3].rsplit("-", 1)[1]))
users, values = [], []
for name in blocks:
    f = look_at(name, "block")
    n = int(f.attrs["rows"])
    c = f["columns"]
    check("  it is sealed with its CRC-32", sealed(name))
    check(
        "  its batches have its rows",
        f["batch_rows"].dtype == np.int64 and f["batch_rows"][:].sum() == n,
    )
    lengths = c["user_length"][:]
    check(
        "  text is bytes and lengths",
        c["user"].dtype == np.uint8
        and lengths.dtype == np.int32
        and lengths.sum() == len(c["user"]),
    )
    at = np.concatenate(([0], np.cumsum(lengths)))
    bytes_ = c["user"][:].tobytes()
    users += [bytes_[at[i] : at[i + 1]].decode() for i in range(n)]
    rating = [d for d in c if c[d].dtype == np.float32]
    values += c[rating[0]][:].tolist()
check("blocks are the partitions of the input", len(blocks) == f.attrs["partitions"] == 2)
check(
    "and all of them are the ratings",
    users == words["user"].tolist() and values == words["value"].tolist(),
)

# ---- The documentation's program ----

command = [sys.executable, "model.py", "numbers-model.h5", "7", "3"]
said = subprocess.run(command, capture_output=True, text=True).stdout
pair = {"user": np.array([7]), "item": np.array([3])}
check(
    "the program in docs/formats.md predicts the same",
    close(float(said.split()[-1]), plain.predict(pair)[0], 1e-5),
    said,
)
print("end")
