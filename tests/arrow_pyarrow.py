"""Partitions of an RDD in pyarrow: every value, every address, every release. TAP on stdout.

arrow_pyarrow.py LIBRARY: the shared library of arrow_library.c, which has the rows."""

import ctypes, gc, os, sys, threading

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PARTITIONS, ROWS, PARTITION, BATCH = 3, 40001, 1000000, 16384
TYPES = {
    "n": pa.int64(),
    "key": pa.int32(),
    "x": pa.float32(),
    "y": pa.float64(),
    "word": pa.utf8(),
}
SCHEMA = pa.schema([pa.field(name, of, nullable=False) for name, of in TYPES.items()])

# ---- The library ----

host = ctypes.CDLL(os.path.abspath(sys.argv[1]))
i64, pointer, text = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
for name, result, arguments in (
    ("open", text, (i64, i64)),
    ("batches", i64, (i64,)),
    ("address", pointer, (i64, i64, ctypes.c_int, ctypes.c_bool)),
    ("batch", text, (i64, i64, pointer, pointer)),
    ("stream", text, (i64, pointer)),
    ("lent", i64, ()),
    ("take", text, (pointer, pointer, i64, i64, pointer)),
    ("take_stream", text, (pointer, i64, i64)),
    ("close", None, ()),
    ("live", i64, ()),
):
    function = getattr(host, "host_" + name)
    function.restype, function.argtypes = result, arguments


def call(name, *arguments):
    """Call a function that returns what is wrong."""
    wrong = getattr(host, "host_" + name)(*arguments)
    if wrong:
        raise RuntimeError(wrong.decode())


class Struct:
    """Room for one of the ABI's structs, which have at most 10 words."""

    def __init__(self):
        self.room = (ctypes.c_uint64 * 10)()
        self.at = ctypes.addressof(self.room)


# ---- TAP ----

tests = failures = 0


def check(claim, condition, detail=""):
    global tests, failures
    tests += 1
    failures += not condition
    print("ok" if condition else "not ok", tests, "-", claim)
    if not condition and detail:
        print("#", detail)


def refused(claim, action, words):
    """The action fails, and says these words."""
    try:
        action()
        check(claim, False, "it was accepted")
    except RuntimeError as e:
        check(claim, words in str(e), "it said: %s" % e)


# ---- What a batch is to be ----


def addresses(batch):
    """Of the buffers of values, then of the text's offsets: with the slice's offset in them."""
    result = []
    for column in batch.columns[:4]:
        data = column.buffers()[1]
        result.append(data.address + column.offset * column.type.bit_width // 8)
    validity, offsets, data = batch.column(4).buffers()
    return result + [data.address, offsets.address + 4 * batch.column(4).offset]


def ours(p, b):
    return [host.host_address(p, b, c, False) for c in range(5)] + [
        host.host_address(p, b, 4, True)
    ]


def expected(first, rows):
    n = np.arange(first, first + rows, dtype=np.int64)
    words = ["" if i % 5 == 0 else "é%d" % i for i in n.tolist()]
    return pa.record_batch(
        [
            n,
            (n % 17 - 8).astype(np.int32),
            (n / 2).astype(np.float32),
            n / 3,
            pa.array(words, pa.utf8()),
        ],
        schema=SCHEMA,
    )


def right(batch, first, rows):
    """The rows from `first` on, each value of them, in arrays that are valid to pyarrow too."""
    batch.validate(full=True)
    zero_copy = [c.to_numpy(zero_copy_only=True) for c in batch.columns[:4]]
    return (
        batch.schema == SCHEMA
        and batch.num_rows == rows
        and all(c.null_count == 0 for c in batch.columns)
        and all(
            a.__array_interface__["data"][0] == at for a, at in zip(zero_copy, addresses(batch))
        )
        and batch.equals(expected(first, rows))
    )


def mapped(address):
    """Is there memory?"""
    with open("/proc/self/maps") as maps:
        ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps]
    return any(begin <= address < end for begin, end in ranges)


def batch_of(p, b):
    schema, array = Struct(), Struct()
    call("batch", p, b, schema.at, array.at)
    return pa.RecordBatch._import_from_c(array.at, schema.at)


def stream_of(p):
    stream = Struct()
    call("stream", p, stream.at)
    return pa.RecordBatchReader._import_from_c(stream.at)


def give(batch, first=0, wanted=None):
    """Hand a batch to the library, which looks at each row, n = first and on, and each address."""
    schema, array = Struct(), Struct()
    batch._export_to_c(array.at, schema.at)
    wanted = (ctypes.c_uint64 * 6)(*(wanted or [0] * 6))
    call("take", schema.at, array.at, first, batch.num_rows, ctypes.addressof(wanted))


def give_stream(batches, first):
    stream = Struct()
    pa.RecordBatchReader.from_batches(batches[0].schema, batches)._export_to_c(stream.at)
    call("take_stream", stream.at, first, sum(b.num_rows for b in batches))


# ---- Out: batches that stay theirs, and partitions that become ours ----


def batches():
    for p in range(PARTITIONS):
        n = host.host_batches(p)
        check("partition %d has all of its batches" % p, n == -(-ROWS // BATCH), "it has %d" % n)
        values = places = True
        for b in range(n):
            batch = batch_of(p, b)
            values &= right(batch, PARTITION * p + b * BATCH, min(BATCH, ROWS - b * BATCH))
            places &= addresses(batch) == ours(p, b) and all(a % 64 == 0 for a in addresses(batch))
        check("every value of partition %d is right" % p, values)
        check("and where the library has it: nothing was copied", places)
        del batch
        check("each of its batches was given back, once", host.host_lent() == 0)


def columns():
    batch = batch_of(0, 1)
    column, part = batch.column("word"), batch.slice(100, 50)
    wanted = expected(BATCH, BATCH)
    del batch
    check("a column that is kept keeps its batch lent", host.host_lent() == 1)
    check("and is whole", column.equals(wanted.column("word")))
    del column
    check(
        "a slice keeps it too", host.host_lent() == 1 and part.equals(wanted.slice(100, 50))
    )
    holder = [part]
    del part
    thread = threading.Thread(target=holder.clear)  # the release comes from there
    thread.start()
    thread.join()
    check("and gives it back from another thread", host.host_lent() == 0)


def back():
    batch, first = batch_of(1, 0), PARTITION
    give(batch, first, addresses(batch))
    check("a partition's batch comes back as it went, in place", addresses(batch) == ours(1, 0))
    cut = batch.slice(777, 4000)
    give(cut, first + 777, addresses(cut))
    check("a slice of it too", addresses(cut)[0] == ours(1, 0)[0] + 777 * 8)
    del cut, batch
    check("and then all is given back", host.host_lent() == 0)
    for rows in 1, 1000:
        theirs = expected(6, rows)
        give(theirs, 6, addresses(theirs))
        check("%d rows of pyarrow's own are taken, in place" % rows, True)
    give_stream(
        [expected(0, 300), expected(300, 0), expected(300, 41).slice(0, 20), expected(320, 7)], 0
    )
    check("a stream of pyarrow's is taken", True)


def nulls():
    theirs, n = expected(0, 64), 64
    column = pa.array(theirs.column(0).to_pylist()[:-1] + [None], pa.int64())
    some = pa.record_batch([column] + theirs.columns[1:], names=list(TYPES))
    refused("a null is refused by column and row", lambda: give(some), "column n is null in row 63")
    refused("in a slice too", lambda: give(some.slice(60)), "column n is null in row 3")
    cut = some.slice(10, 50)
    give(cut, 10, addresses(cut))
    check("a slice that is without it is taken", True)
    data = theirs.column(0).buffers()[1]
    column = pa.Array.from_buffers(pa.int64(), n, [pa.py_buffer(b"\xff" * 8), data], null_count=-1)
    full = theirs.set_column(0, "n", column)
    give(full, 0, addresses(full))
    check("a bitmap in which all are set is taken", True)


def refusals():
    theirs = expected(0, 10)
    for wrong, word in (
        (pa.large_utf8(), "large_utf8"),
        (pa.string_view(), "utf8_view"),
        (pa.binary(), "binary"),
        (pa.dictionary(pa.int32(), pa.utf8()), "dictionary-encoded"),
    ):
        batch = theirs.set_column(4, "word", theirs.column(4).cast(wrong))
        refused(
            "a column of type %s is refused by name" % wrong, lambda: give(batch), "column word "
        )
        refused("and by its type", lambda: give(batch), word)
    for wrong, word in (
        (pa.int8(), "int8"),
        (pa.uint64(), "uint64"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.duration("s"), "duration"),
        (pa.decimal128(20, 2), "decimal"),
        (pa.list_(pa.int64()), "list"),
        (pa.struct([("a", pa.int64())]), "struct"),
        (pa.bool_(), "bool"),
        (pa.null(), "null"),
    ):
        batch = pa.record_batch([theirs.column(0), pa.nulls(10, wrong)], names=["n", "odd"])
        refused(
            "a column of type %s is refused" % wrong,
            lambda: give(batch),
            "column odd has Arrow's type " + word,
        )
    many = pa.record_batch([theirs.column(0)] * 9, names=list("abcdefghi"))
    refused("nine columns are refused", lambda: give(many), "9 columns: at most 8")

    def fail():
        yield theirs
        raise ValueError("the generator broke")

    def broken():
        stream = Struct()
        pa.RecordBatchReader.from_batches(theirs.schema, fail())._export_to_c(stream.at)
        call("take_stream", stream.at, 0, 20)

    refused("what a stream says when it fails is told", broken, "the generator broke")


def streams():
    before = host.host_live()
    where = [[ours(p, b) for b in range(host.host_batches(p))] for p in range(PARTITIONS)]
    for p in range(PARTITIONS):
        reader = stream_of(p)
        check("the stream of partition %d has its schema" % p, reader.schema == SCHEMA)
        taken = list(reader)
        check("and its batches, in place", [addresses(b) for b in taken] == where[p])
        del reader
        check(
            "they outlive it",
            all(right(b, PARTITION * p + i * BATCH, b.num_rows) for i, b in enumerate(taken)),
        )
        give_stream(taken, PARTITION * p)
        check("and come back as a stream", True)
        last = taken.pop().column("y")
        del taken
        check("the last column holds the segment", mapped(where[p][-1][3]))
        total = pc.sum(last).as_py()
        n = np.arange(PARTITION * p + ROWS - len(last), PARTITION * p + ROWS)
        check("and can be computed with", abs(total - float(np.sum(n / 3))) < 1e-6 * total)
        del last
        check("which is unmapped after it", not mapped(where[p][-1][3]))
    check("nothing of the partitions is left", host.host_live() == before - PARTITIONS)


call("open", PARTITIONS, ROWS)
for part in batches, columns, back, nulls, refusals, streams:
    try:
        part()
    except Exception as e:
        check(part.__name__ + " gets to its end", False, "%s: %s" % (type(e).__name__, e))
    gc.collect()
host.host_close()
check(
    "no allocation of the library is left",
    host.host_live() == 0,
    "%d are left" % host.host_live(),
)
print("1..%d" % tests)
sys.exit(failures > 0)
