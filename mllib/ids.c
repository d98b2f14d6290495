/* Sorted distinct ids over all ranks: a sample sort.
 *
 *   each rank: hash set of its own ids -> sorted run -> cut at splitters that all ranks agree on
 *   alltoallv: range r of every run goes to rank r, which sorts and drops duplicates
 *   scan:      rank r's slice of the shared table begins where the ranks before it end
 *
 * The table is the sorted set whatever the splitters were, so the sampling need not be clever. */
#include "mllib/ids.h"

#include "mllib/ids_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Keys: an id of either type ---- */

typedef struct key {
  const char *text; /* utf8: borrowed bytes, never NULL; int64: NULL */
  int64_t value;    /* utf8: their number; int64: the id */
} key;

static int text_compare(const char *a, int64_t a_length, const char *b, int64_t b_length) {
  int order = memcmp(a, b, (size_t)(a_length < b_length ? a_length : b_length));
  if (order != 0) return order;
  return (a_length > b_length) - (a_length < b_length);
}

static int key_compare(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->text) return text_compare(x->text, x->value, y->text, y->value);
  return (x->value > y->value) - (x->value < y->value);
}

static bool key_same(key a, key b) {
  if (a.value != b.value) return false;
  return !a.text || memcmp(a.text, b.text, (size_t)a.value) == 0;
}

static uint64_t key_hash(key k) {
  return k.text ? rdd_hash_bytes(k.text, (size_t)k.value) : rdd_mix64((uint64_t)k.value);
}

static key key_at(rdd_type type, const rdd_column *column, int64_t row) {
  if (type == RDD_INT64) return (key){NULL, ((const int64_t *)column->values)[row]};
  int32_t begin = column->offsets[row];
  const char *text = column->values ? (const char *)column->values + begin : "";
  return (key){text, column->offsets[row + 1] - begin};
}

/* ---- Runs: sorted keys, and the bytes that their texts point into ---- */

typedef struct run {
  key *key;
  int64_t n;
  char *bytes; /* NULL where the texts are borrowed from partitions */
} run;

static void run_reset(run *r) {
  rdd_free(r->key);
  rdd_free(r->bytes);
  *r = (run){0};
}

static void run_sort_unique(run *r) {
  if (r->n == 0) return;
  qsort(r->key, (size_t)r->n, sizeof(key), key_compare);
  int64_t n = 1;
  for (int64_t i = 1; i < r->n; i++)
    if (!key_same(r->key[i], r->key[n - 1])) r->key[n++] = r->key[i];
  r->n = n;
}

/* On the wire: int64 as 8 bytes; text as 8 bytes of length, then the bytes. */
static int64_t packed_size(key k) {
  return (int64_t)sizeof(int64_t) + (k.text ? k.value : 0);
}

static char *pack(char *out, key k) {
  memcpy(out, &k.value, sizeof k.value);
  out += sizeof k.value;
  if (k.text) {
    memcpy(out, k.text, (size_t)k.value);
    out += k.value;
  }
  return out;
}

/* Read the keys in r->bytes into r->key. */
static rdd_status unpack(run *r, rdd_type type, int64_t bytes, rdd_err *err) {
  bool is_text = type == RDD_UTF8;
  for (int pass = 0; pass < 2; pass++) {
    int64_t n = 0;
    for (int64_t at = 0; at < bytes; n++) {
      key k = {NULL, 0};
      memcpy(&k.value, r->bytes + at, sizeof k.value);
      at += (int64_t)sizeof k.value;
      if (is_text) {
        k.text = r->bytes + at;
        at += k.value;
      }
      if (pass == 1) r->key[n] = k;
    }
    r->n = n;
    if (pass == 1) break;
    r->key = rdd_alloc((size_t)n, sizeof(key));
    if (!r->key) return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ids", n);
  }
  return RDD_OK;
}

/* ---- The ids of this rank's partitions ---- */

typedef struct key_set {
  key *slot;
  uint8_t *full;
  uint64_t slots; /* a power of two */
  int64_t n;
} key_set;

static void set_put(key_set *set, key k) {
  uint64_t i = key_hash(k) & (set->slots - 1);
  while (set->full[i]) {
    if (key_same(set->slot[i], k)) return;
    i = (i + 1) & (set->slots - 1);
  }
  set->slot[i] = k;
  set->full[i] = 1;
  set->n++;
}

static bool set_grow(key_set *set) {
  key_set bigger = {.slots = set->slots ? 2 * set->slots : 1024};
  bigger.slot = rdd_alloc(bigger.slots, sizeof(key));
  bigger.full = rdd_calloc(bigger.slots, 1);
  bool ok = bigger.slot && bigger.full;
  if (ok) {
    for (uint64_t i = 0; i < set->slots; i++)
      if (set->full[i]) set_put(&bigger, set->slot[i]);
  }
  key_set *old = ok ? set : &bigger;
  rdd_free(old->slot);
  rdd_free(old->full);
  if (ok) *set = bigger;
  return ok;
}

static bool set_add_batch(key_set *set, rdd_type type, const rdd_batch *batch, int column) {
  key last = {0};
  for (int64_t row = 0; row < batch->rows; row++) {
    key k = key_at(type, &batch->column[column], row);
    if (row > 0 && key_same(k, last)) continue; /* files are often sorted by user */
    last = k;
    if ((uint64_t)set->n * 2 >= set->slots && !set_grow(set)) return false;
    set_put(set, k);
  }
  return true;
}

static rdd_status distinct_here(const rdd_parts *parts, int column, run *out, rdd_err *err) {
  rdd_type type = parts->schema.field[column].type;
  rdd_status st = RDD_OK;
  key_set set = {0};
  for (int64_t p = 0; p < parts->n; p++) {
    const rdd_part *part = &parts->part[p];
    for (int64_t b = 0; b < part->batches; b++) {
      if (set_add_batch(&set, type, &part->batch[b], column)) continue;
      st = rdd_set(err, RDD_ENOMEM,
                   "out of memory for the distinct ids of a rank (%" PRId64 " so far)", set.n);
      goto done;
    }
  }
  /* The set's own slots become the run: move the full ones to the front. */
  for (uint64_t i = 0; i < set.slots; i++)
    if (set.full[i]) set.slot[out->n++] = set.slot[i];
  out->key = set.slot;
  set.slot = NULL;
  run_sort_unique(out);
done:
  rdd_free(set.slot);
  rdd_free(set.full);
  return st;
}

/* ---- Cutting all runs at the same places ---- */

/* A regular sample of every rank's run, sorted, on every rank. */
static rdd_status gather_samples(rdd_comm *comm, const run *local, rdd_type type, run *samples,
                                 rdd_err *err) {
  int size = comm->size;
  int64_t n = local->n < size ? local->n : size, bytes = 0, total = 0;
  for (int64_t i = 0; i < n; i++) bytes += packed_size(local->key[i * local->n / n]);
  int64_t *counts = rdd_alloc((size_t)size, 2 * sizeof *counts);
  char *send = rdd_alloc((size_t)bytes, 1);
  rdd_status st = RDD_OK;
  if (!counts || !send) st = rdd_set(err, RDD_ENOMEM, "out of memory for a sample of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  char *end = send;
  for (int64_t i = 0; i < n; i++) end = pack(end, local->key[i * local->n / n]);
  rdd_allgather(comm, &bytes, sizeof bytes, counts);
  int64_t *displs = counts + size;
  for (int r = 0; r < size; r++) {
    displs[r] = total;
    total += counts[r];
  }
  samples->bytes = rdd_alloc((size_t)total, 1);
  if (!samples->bytes) st = rdd_set(err, RDD_ENOMEM, "out of memory for samples of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_allgatherv(comm, send, bytes, samples->bytes, counts, displs);
  st = unpack(samples, type, total, err);
  if (!st && samples->n > 0) qsort(samples->key, (size_t)samples->n, sizeof(key), key_compare);
  st = rdd_agree(comm, st, err);
done:
  rdd_free(counts);
  rdd_free(send);
  return st;
}

/* First position whose key is not below `limit`. */
static int64_t lower_bound(const run *r, key limit) {
  int64_t low = 0, high = r->n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (key_compare(&r->key[middle], &limit) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Range r of the local run, [cut[r], cut[r + 1]), is rank r's. */
static rdd_status find_cuts(rdd_comm *comm, const run *local, rdd_type type, int64_t *cut,
                            rdd_err *err) {
  int size = comm->size;
  run samples = {0};
  rdd_status st = gather_samples(comm, local, type, &samples, err);
  if (st) goto done;
  cut[0] = 0;
  for (int r = 1; r < size; r++)
    cut[r] = samples.n ? lower_bound(local, samples.key[samples.n * r / size]) : 0;
  cut[size] = local->n;
done:
  run_reset(&samples);
  return st;
}

/* Send each range to its rank; `mine` is the sorted set of this rank's range. */
static rdd_status exchange(rdd_comm *comm, const run *local, rdd_type type, run *mine,
                           rdd_err *err) {
  int size = comm->size;
  rdd_status st = RDD_OK;
  char *send = NULL;
  int64_t send_total = 0, recv_total = 0;
  int64_t *counts = rdd_calloc((size_t)size + 1, 5 * sizeof *counts);
  if (!counts) st = rdd_set(err, RDD_ENOMEM, "out of memory for an exchange of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t *send_n = counts, *send_at = counts + size, *recv_n = counts + 2 * (size_t)size,
          *recv_at = counts + 3 * (size_t)size, *cut = counts + 4 * (size_t)size;
  st = find_cuts(comm, local, type, cut, err);
  if (st) goto done;
  for (int r = 0; r < size; r++) {
    send_at[r] = send_total;
    for (int64_t i = cut[r]; i < cut[r + 1]; i++) send_n[r] += packed_size(local->key[i]);
    send_total += send_n[r];
  }
  rdd_alltoall(comm, send_n, recv_n);
  for (int r = 0; r < size; r++) {
    recv_at[r] = recv_total;
    recv_total += recv_n[r];
  }
  send = rdd_alloc((size_t)send_total, 1);
  mine->bytes = rdd_alloc((size_t)recv_total, 1);
  if (!send || !mine->bytes) st = rdd_set(err, RDD_ENOMEM, "out of memory for an exchange of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  char *end = send;
  for (int64_t i = 0; i < local->n; i++) end = pack(end, local->key[i]);
  rdd_alltoallv(comm, send, send_n, send_at, mine->bytes, recv_n, recv_at);
  st = unpack(mine, type, recv_total, err);
  if (!st) run_sort_unique(mine);
  st = rdd_agree(comm, st, err);
done:
  rdd_free(counts);
  rdd_free(send);
  return st;
}

/* ---- The shared table ---- */

rdd_status als_ids_new(rdd_comm *comm, rdd_type type, int64_t n, int64_t n_bytes, als_ids **ids_out,
                       rdd_err *err) {
  rdd_status st = RDD_OK;
  als_ids *ids = rdd_calloc(1, sizeof *ids);
  if (!ids) st = rdd_set(err, RDD_ENOMEM, "out of memory for a set of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  ids->n = n;
  ids->type = type;
  size_t entries = (size_t)n + (type == RDD_UTF8);
  st = rdd_table_new(comm, entries * sizeof(int64_t), &ids->value, err);
  if (!st && type == RDD_UTF8) st = rdd_table_new(comm, (size_t)n_bytes, &ids->bytes, err);
  if (st) goto done;
  *ids_out = ids;
  ids = NULL;
done:
  als_ids_free(ids);
  return st;
}

void als_ids_free(als_ids *ids) {
  if (!ids) return;
  rdd_table_free(ids->bytes);
  rdd_table_free(ids->value);
  rdd_free(ids);
}

static void fill(als_ids *ids, const run *mine, int64_t first, int64_t base, bool last) {
  int64_t *value = (int64_t *)rdd_table_data(ids->value) + first;
  if (ids->type == RDD_INT64) {
    for (int64_t i = 0; i < mine->n; i++) value[i] = mine->key[i].value;
    return;
  }
  char *bytes = rdd_table_data(ids->bytes);
  for (int64_t i = 0; i < mine->n; i++) {
    value[i] = base;
    memcpy(bytes + base, mine->key[i].text, (size_t)mine->key[i].value);
    base += mine->key[i].value;
  }
  if (last) value[mine->n] = base;
}

/* Put every rank's run into one table, in order of rank. */
static rdd_status publish(rdd_comm *comm, const run *mine, rdd_type type, als_ids **ids_out,
                          rdd_err *err) {
  int size = comm->size;
  rdd_status st = RDD_OK;
  als_ids *ids = NULL;
  int64_t *work = rdd_alloc((size_t)size + 1, 4 * sizeof *work);
  if (!work) st = rdd_set(err, RDD_ENOMEM, "out of memory for the ids' slices");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t *share = work, *first = work + 2 * ((size_t)size + 1), *base = first + size + 1;
  int64_t own[2] = {mine->n, 0};
  for (int64_t i = 0; type == RDD_UTF8 && i < mine->n; i++) own[1] += mine->key[i].value;
  rdd_allgather(comm, own, sizeof own, share);
  first[0] = base[0] = 0;
  for (int r = 0; r < size; r++) {
    first[r + 1] = first[r] + share[2 * r];
    base[r + 1] = base[r] + share[2 * r + 1];
  }
  if (first[size] >= (int64_t)UINT32_MAX) {
    st = rdd_set(err, RDD_EUSAGE,
                 "%" PRId64 " distinct ids on one side; dense indices allow fewer than %" PRId64,
                 first[size], (int64_t)UINT32_MAX);
    goto done;
  }
  st = als_ids_new(comm, type, first[size], base[size], &ids, err);
  if (st) goto done;
  fill(ids, mine, first[comm->rank], base[comm->rank], comm->rank == size - 1);
  for (int r = 0; r <= size; r++) first[r] *= (int64_t)sizeof(int64_t);
  if (type == RDD_UTF8) {
    first[size] += (int64_t)sizeof(int64_t); /* the closing offset is the last rank's */
    rdd_table_sync(ids->bytes, base);
  }
  rdd_table_sync(ids->value, first);
  *ids_out = ids;
done:
  rdd_free(work);
  return st;
}

rdd_status als_ids_build(rdd_comm *comm, const rdd_parts *parts, int column, als_ids **ids_out,
                         rdd_err *err) {
  rdd_type type = parts->schema.field[column].type;
  run local = {0}, mine = {0};
  rdd_status st = RDD_OK;
  if (type != RDD_INT64 && type != RDD_UTF8)
    return rdd_set(err, RDD_EUSAGE, "column %s is %s; ids are int64 or utf8",
                   parts->schema.field[column].name, rdd_type_name(type));
  st = distinct_here(parts, column, &local, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  st = exchange(comm, &local, type, &mine, err);
  if (st) goto done;
  run_reset(&local);
  st = publish(comm, &mine, type, ids_out, err);
done:
  run_reset(&local);
  run_reset(&mine);
  return st;
}

/* ---- Looking up ---- */

static const int64_t *values(const als_ids *ids) {
  return rdd_table_data(ids->value);
}

int64_t als_ids_int64(const als_ids *ids, int64_t i) {
  return values(ids)[i];
}

const char *als_ids_utf8(const als_ids *ids, int64_t i, int64_t *length_out) {
  const int64_t *offset = values(ids) + i;
  *length_out = offset[1] - offset[0];
  return (const char *)rdd_table_data(ids->bytes) + offset[0];
}

int64_t als_ids_find_int64(const als_ids *ids, int64_t id) {
  if (ids->n == 0) return -1;
  const int64_t *value = values(ids);
  int64_t low = 0;
  for (int64_t n = ids->n; n > 1;) { /* the answer is in [low, low + n) */
    int64_t half = n / 2;
    low = value[low + half] <= id ? low + half : low;
    n -= half;
  }
  return value[low] == id ? low : -1;
}

int64_t als_ids_find_utf8(const als_ids *ids, const char *text, int64_t length) {
  int64_t low = 0, high = ids->n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2, n;
    const char *found = als_ids_utf8(ids, middle, &n);
    int order = text_compare(found, n, text, length);
    if (order == 0) return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

static int64_t find_key(const als_ids *ids, key k) {
  return k.text ? als_ids_find_utf8(ids, k.text, k.value) : als_ids_find_int64(ids, k.value);
}

int64_t als_ids_find(const als_ids *ids, const rdd_column *column, int64_t row) {
  return find_key(ids, key_at(ids->type, column, row));
}

static key key_of(const als_ids *ids, int64_t i) {
  key k = {NULL, 0};
  if (ids->type == RDD_UTF8)
    k.text = als_ids_utf8(ids, i, &k.value);
  else
    k.value = als_ids_int64(ids, i);
  return k;
}

uint64_t als_ids_hash(const als_ids *ids, int64_t i) {
  return key_hash(key_of(ids, i));
}

const char *als_ids_text(const als_ids *ids, int64_t i, char text[ALS_ID_TEXT]) {
  key k = key_of(ids, i);
  if (k.text)
    snprintf(text, ALS_ID_TEXT, "%.*s", (int)(k.value < ALS_ID_TEXT ? k.value : ALS_ID_TEXT),
             k.text);
  else
    snprintf(text, ALS_ID_TEXT, "%" PRId64, k.value);
  return text;
}

/* ---- The memo ---- */

void als_memo_init(als_memo *memo, const als_ids *ids) {
  *memo = (als_memo){.ids = ids};
}

void als_memo_reset(als_memo *memo) {
  rdd_free(memo->slot);
  *memo = (als_memo){0};
}

static void memo_put(als_memo *memo, uint64_t hash, uint32_t dense1) {
  uint64_t i = hash & (memo->slots - 1);
  while (memo->slot[i].dense1) i = (i + 1) & (memo->slots - 1);
  memo->slot[i] = (als_memo_slot){(uint32_t)(hash >> 32), dense1};
  memo->used++;
}

static void memo_learn(als_memo *memo, uint64_t hash, int64_t dense) {
  if (2 * memo->used >= memo->slots) {
    als_memo bigger = {memo->ids, NULL, memo->slots ? 2 * memo->slots : 1024, 0};
    bigger.slot = rdd_calloc(bigger.slots, sizeof *bigger.slot);
    if (!bigger.slot) return;
    for (uint64_t i = 0; i < memo->slots; i++) {
      uint32_t dense1 = memo->slot[i].dense1;
      if (dense1) memo_put(&bigger, als_ids_hash(memo->ids, dense1 - 1), dense1);
    }
    rdd_free(memo->slot);
    *memo = bigger;
  }
  memo_put(memo, hash, (uint32_t)dense + 1);
}

int64_t als_memo_find(als_memo *memo, const rdd_column *column, int64_t row) {
  key k = key_at(memo->ids->type, column, row);
  uint64_t hash = key_hash(k);
  if (memo->slots > 0) {
    uint64_t i = hash & (memo->slots - 1);
    for (; memo->slot[i].dense1; i = (i + 1) & (memo->slots - 1)) {
      if (memo->slot[i].tag != (uint32_t)(hash >> 32)) continue;
      int64_t dense = (int64_t)memo->slot[i].dense1 - 1;
      if (key_same(key_of(memo->ids, dense), k)) return dense;
    }
  }
  int64_t dense = find_key(memo->ids, k);
  if (dense >= 0) memo_learn(memo, hash, dense);
  return dense;
}
