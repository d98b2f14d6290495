/* Sorted distinct ids over all ranks, no rank with all of them but in the shared table.
 *
 *   rounds:  each rank gathers a bounded set of the ids in its partitions, and sends each to the rank
 *            that its hash names; that rank keeps the distinct ones: its share of all
 *   once:    each rank sorts its share and cuts it at splitters that all agree on; range r of every
 *            share goes to rank r, which sorts again
 *   table:   rank r's slice of the shared table begins where those of the ranks before it end
 *
 * Beside the table a rank holds one round and two shares. The table is the sorted set whatever the
 * rounds and the splitters were. */
#include "mllib/ids.h"

#include "mllib/ids_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MOST = 1 << 18, SAMPLES = 16, RADIX_MIN = 256 };

/* ---- A set of ids, which owns its texts ---- */

typedef struct id_set {
  als_map map; /* id -> 0, 1, ... in order of arrival */
  int64_t n;
  int64_t *at; /* utf8: [room] see als_map */
  char *bytes;
  int64_t room, n_bytes, bytes_room;
} id_set;

static void set_reset(id_set *set) {
  als_map_reset(&set->map);
  rdd_free(set->at);
  rdd_free(set->bytes);
  *set = (id_set){0};
}

static void set_clear(id_set *set) {
  als_map_clear(&set->map);
  set->n = set->n_bytes = 0;
}

/* Room for `more` elements behind n; half as much again, so that growing is cheap on the whole. */
static bool reserve(void **array, size_t width, int64_t n, int64_t more, int64_t *room) {
  if (*array && n + more <= *room) return true;
  int64_t wanted = n + more + *room / 2 + 64;
  void *bigger = rdd_realloc(*array, (size_t)wanted, width);
  if (!bigger) return false;
  *array = bigger;
  *room = wanted;
  return true;
}

static bool set_put_text(id_set *set, const char *text, uint32_t length) {
  void *at = set->at, *bytes = set->bytes;
  bool ok = reserve(&at, sizeof *set->at, set->n, 1, &set->room);
  ok = ok && reserve(&bytes, 1, set->n_bytes, length, &set->bytes_room);
  set->map.at = set->at = at;
  set->map.bytes = set->bytes = bytes;
  if (!ok) return false;
  set->at[set->n] = set->n_bytes;
  memcpy(set->bytes + set->n_bytes, text, length);
  set->n_bytes += length;
  return true;
}

static rdd_status too_many(int64_t n, rdd_err *err) {
  return rdd_set(err, RDD_EUSAGE,
                 "%" PRId64 " distinct ids on one side; dense indices allow fewer than %" PRId64, n,
                 (int64_t)UINT32_MAX);
}

static rdd_status set_add(id_set *set, const als_keys *keys, rdd_err *err) {
  als_map_fetch(&set->map, keys);
  for (int i = 0; i < keys->n; i++) {
    if (als_keys_repeat(keys, i) || als_map_find(&set->map, keys, i) >= 0) continue;
    if (set->n + 1 >= (int64_t)UINT32_MAX) return too_many(set->n + 1, err);
    bool ok = als_map_grow(&set->map);
    if (ok && keys->text[i]) ok = set_put_text(set, keys->text[i], keys->length[i]);
    if (!ok)
      return rdd_set(err, RDD_ENOMEM,
                     "out of memory for the distinct ids of a rank (%" PRId64 " so far)", set->n);
    als_map_put(&set->map, keys, i, set->n++);
  }
  return RDD_OK;
}

/* ---- Runs: ids in an array, on their way from rank to rank ---- */

typedef struct key {
  uint64_t word;    /* see ids_impl.h */
  const char *text; /* utf8: borrowed, never NULL; int64: NULL */
  uint32_t length;
  int32_t target; /* the rank that it goes to */
} key;

typedef struct run {
  key *key;
  int64_t n;
  char *bytes; /* what the texts point into, or NULL where that is a set's */
} run;

static void run_reset(run *r) {
  rdd_free(r->key);
  rdd_free(r->bytes);
  *r = (run){0};
}

static rdd_status run_alloc(run *r, int64_t n, rdd_err *err) {
  r->key = rdd_alloc((size_t)n, sizeof *r->key);
  return r->key ? RDD_OK : rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ids", n);
}

static int key_compare(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->word != y->word) return x->word < y->word ? -1 : 1;
  return x->text ? als_text_compare(x->text, x->length, y->text, y->length) : 0;
}

/* The ids of a set, in no special order, each with the rank that its hash names; their texts stay the
 * set's. */
static rdd_status list(const id_set *set, rdd_type type, int ranks, run *out, rdd_err *err) {
  rdd_status st = run_alloc(out, set->n, err);
  if (st) return st;
  for (uint64_t i = 0; i < set->map.slots; i++) {
    const als_slot *slot = &set->map.slot[i];
    if (!slot->number1) continue;
    key k = {.word = slot->word, .length = slot->length};
    uint64_t hash = als_slot_hash(slot) >> 32; /* maps use the low bits */
    k.target = (int32_t)(hash * (uint64_t)ranks >> 32);
    if (type == RDD_UTF8) {
      k.text = set->bytes + set->at[slot->number1 - 1];
      k.word = als_text_word(k.text, k.length);
    }
    out->key[out->n++] = k;
  }
  return RDD_OK;
}

/* Bytes of the words from the lowest, skipping those that all share. */
static void sort_words(key *from, key *to, int64_t n) {
  int64_t count[8][256] = {{0}};
  key *home = from;
  for (int64_t i = 0; i < n; i++)
    for (int b = 0; b < 8; b++) count[b][from[i].word >> (8 * b) & 255]++;
  for (int b = 0; b < 8; b++) {
    int64_t sum = 0;
    if (count[b][from[0].word >> (8 * b) & 255] == n) continue;
    for (int v = 0; v < 256; v++) {
      int64_t here = count[b][v];
      count[b][v] = sum;
      sum += here;
    }
    for (int64_t i = 0; i < n; i++) to[count[b][from[i].word >> (8 * b) & 255]++] = from[i];
    key *swap = from;
    from = to;
    to = swap;
  }
  if (from != home) memcpy(home, from, (size_t)n * sizeof *home);
}

static rdd_status run_sort(run *r, rdd_err *err) {
  if (r->n < RADIX_MIN) {
    if (r->n > 1) qsort(r->key, (size_t)r->n, sizeof *r->key, key_compare);
    return RDD_OK;
  }
  key *scratch = rdd_alloc((size_t)r->n, sizeof *scratch);
  if (!scratch) return rdd_set(err, RDD_ENOMEM, "out of memory to sort %" PRId64 " ids", r->n);
  sort_words(r->key, scratch, r->n);
  rdd_free(scratch);
  /* texts that begin alike */
  for (int64_t i = 0, end; r->key[0].text && i < r->n; i = end) {
    for (end = i + 1; end < r->n && r->key[end].word == r->key[i].word; end++) continue;
    if (end - i > 1) qsort(r->key + i, (size_t)(end - i), sizeof *r->key, key_compare);
  }
  return RDD_OK;
}

/* On the wire: the word of an integer; the length of a text as 8 bytes, then the text. */
static int64_t packed_size(const key *k) {
  return (int64_t)sizeof(uint64_t) + k->length;
}

static char *pack(char *out, const key *k) {
  uint64_t head = k->text ? k->length : k->word;
  memcpy(out, &head, sizeof head);
  if (k->text) memcpy(out + sizeof head, k->text, k->length);
  return out + packed_size(k);
}

/* The next keys of a packed run, as many as a block holds. */
static const char *unpack(als_keys *keys, rdd_type type, const char *at, const char *end) {
  als_keys_clear(keys);
  while (at < end && keys->n < ALS_KEY_BLOCK) {
    uint64_t head;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    if (type == RDD_INT64) {
      als_keys_add_word(keys, head);
      continue;
    }
    als_keys_add_text(keys, at, (uint32_t)head);
    at += head;
  }
  return at;
}

/* All keys in r->bytes. */
static rdd_status unpack_run(run *r, rdd_type type, int64_t bytes, rdd_err *err) {
  const char *end = r->bytes + bytes;
  als_keys keys;
  int64_t n = 0;
  for (const char *at = r->bytes; at < end; n++) {
    uint64_t head;
    memcpy(&head, at, sizeof head);
    at += sizeof head + (type == RDD_UTF8 ? head : 0);
  }
  rdd_status st = run_alloc(r, n, err);
  for (const char *at = r->bytes; at < end && !st;) {
    at = unpack(&keys, type, at, end);
    for (int i = 0; i < keys.n; i++)
      r->key[r->n++] = (key){keys.word[i], keys.text[i], keys.length[i], 0};
  }
  return st;
}

/* Send every key to its target.                                            Collective.
 *   bytes_out  [out] packed keys that came here; free with rdd_free() */
static rdd_status exchange(rdd_comm *comm, const run *r, char **bytes_out, int64_t *n_bytes_out,
                           rdd_err *err) {
  int size = comm->size;
  rdd_status st = RDD_OK;
  char *send = NULL, *recv = NULL;
  int64_t send_total = 0, recv_total = 0;
  int64_t *counts = rdd_calloc((size_t)size, 4 * sizeof *counts);
  if (!counts) st = rdd_set(err, RDD_ENOMEM, "out of memory for an exchange of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t *send_n = counts, *send_at = send_n + size, *recv_n = send_at + size,
          *recv_at = recv_n + size;
  for (int64_t i = 0; i < r->n; i++) send_n[r->key[i].target] += packed_size(&r->key[i]);
  rdd_alltoall(comm, send_n, recv_n);
  for (int i = 0; i < size; i++) {
    send_at[i] = send_total;
    recv_at[i] = recv_total;
    send_total += send_n[i];
    recv_total += recv_n[i];
  }
  send = rdd_alloc((size_t)send_total, 1);
  recv = rdd_alloc((size_t)recv_total, 1);
  if (!send || !recv) st = rdd_set(err, RDD_ENOMEM, "out of memory for an exchange of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int64_t i = 0; i < r->n; i++) {
    int64_t *at = &send_at[r->key[i].target];
    *at = pack(send + *at, &r->key[i]) - send;
  }
  for (int i = 0; i < size; i++) send_at[i] -= send_n[i]; /* back to the beginnings */
  rdd_alltoallv(comm, send, send_n, send_at, recv, recv_n, recv_at);
  *bytes_out = recv;
  *n_bytes_out = recv_total;
  recv = NULL;
done:
  rdd_free(counts);
  rdd_free(send);
  rdd_free(recv);
  return st;
}

/* ---- Rounds: each id to the rank that its hash names ---- */

typedef struct cursor {
  const rdd_parts *parts;
  int column;
  int64_t part, batch, row;
} cursor;

/* The keys of the next rows; false at the end. */
static bool next_keys(cursor *c, als_keys *keys) {
  for (; c->part < c->parts->n; c->part++, c->batch = 0) {
    const rdd_part *part = &c->parts->part[c->part];
    for (; c->batch < part->batches; c->batch++, c->row = 0) {
      const rdd_batch *batch = &part->batch[c->batch];
      int64_t left = batch->rows - c->row;
      if (left == 0) continue;
      als_keys_of_column(keys, c->parts->schema.field[c->column].type, &batch->column[c->column],
                         c->row, left < ALS_KEY_BLOCK ? (int)left : ALS_KEY_BLOCK);
      c->row += keys->n;
      return true;
    }
  }
  return false;
}

/* Add rows until the set has `most` ids or the rows end. */
static rdd_status add_rows(id_set *set, cursor *c, int64_t most, rdd_err *err) {
  als_keys keys;
  rdd_status st = RDD_OK;
  while (!st && set->n < most && next_keys(c, &keys)) st = set_add(set, &keys, err);
  return st;
}

static rdd_status add_packed(id_set *set, rdd_type type, const char *at, int64_t bytes,
                             rdd_err *err) {
  const char *end = at + bytes;
  als_keys keys;
  rdd_status st = RDD_OK;
  while (at < end && !st) {
    at = unpack(&keys, type, at, end);
    st = set_add(set, &keys, err);
  }
  return st;
}

/* What a rank has gathered goes where it belongs.                         Collective.
 *   st  [in]  how the gathering went here */
static rdd_status one_round(rdd_comm *comm, const id_set *gathered, rdd_type type, rdd_status st,
                            id_set *own, rdd_err *err) {
  run out = {0};
  char *came = NULL;
  int64_t bytes = 0;
  if (!st) st = list(gathered, type, comm->size, &out, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  st = exchange(comm, &out, &came, &bytes, err);
  if (st) goto done;
  st = rdd_agree(comm, add_packed(own, type, came, bytes, err), err);
done:
  run_reset(&out);
  rdd_free(came);
  return st;
}

/* This rank's share of the distinct ids of all.                           Collective. */
static rdd_status gather(rdd_comm *comm, const rdd_parts *parts, int column, int64_t most,
                         id_set *own, rdd_err *err) {
  cursor c = {.parts = parts, .column = column};
  rdd_type type = parts->schema.field[column].type;
  id_set gathered = {.n = 0};
  rdd_status st = RDD_OK;
  if (comm->size == 1) return rdd_agree(comm, add_rows(own, &c, INT64_MAX, err), err);
  for (int64_t more = 1; more && !st;) {
    set_clear(&gathered);
    st = one_round(comm, &gathered, type, add_rows(&gathered, &c, most, err), own, err);
    more = c.part < parts->n;
    if (!st) rdd_allreduce(comm, &more, 1, RDD_MAX);
  }
  set_reset(&gathered);
  return st;
}

/* ---- Cutting all shares at the same places ---- */

/* Position of sample i of n in a sorted run: together the ranks' samples are spread evenly, since
 * hashing has made the shares alike. */
static int64_t sample_at(const rdd_comm *comm, int64_t i, int64_t n, int64_t length) {
  return (i * comm->size + comm->rank) * length / (n * comm->size);
}

/* Samples of every rank's run, sorted, on every rank.                     Collective. */
static rdd_status gather_samples(rdd_comm *comm, const run *own, rdd_type type, run *samples,
                                 rdd_err *err) {
  int size = comm->size;
  int64_t n = own->n < SAMPLES ? own->n : SAMPLES, bytes = 0, total = 0;
  for (int64_t i = 0; i < n; i++) bytes += packed_size(&own->key[sample_at(comm, i, n, own->n)]);
  int64_t *counts = rdd_alloc((size_t)size, 2 * sizeof *counts);
  char *send = rdd_alloc((size_t)bytes, 1);
  rdd_status st = RDD_OK;
  if (!counts || !send) st = rdd_set(err, RDD_ENOMEM, "out of memory for a sample of ids");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  char *end = send;
  for (int64_t i = 0; i < n; i++) end = pack(end, &own->key[sample_at(comm, i, n, own->n)]);
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
  st = unpack_run(samples, type, total, err);
  if (!st) st = run_sort(samples, err);
  st = rdd_agree(comm, st, err);
done:
  rdd_free(counts);
  rdd_free(send);
  return st;
}

/* First position whose key is not below `limit`. */
static int64_t lower_bound(const run *r, const key *limit) {
  int64_t low = 0, high = r->n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (key_compare(&r->key[middle], limit) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Range r of the sorted run is rank r's.                                  Collective. */
static rdd_status cut(rdd_comm *comm, run *own, rdd_type type, rdd_err *err) {
  run samples = {0};
  rdd_status st = gather_samples(comm, own, type, &samples, err);
  int64_t at = 0;
  for (int r = 0; r < comm->size && !st && samples.n; r++) {
    bool last = r + 1 == comm->size;
    int64_t end = last ? own->n : lower_bound(own, &samples.key[samples.n * (r + 1) / comm->size]);
    for (; at < end; at++) own->key[at].target = r;
  }
  run_reset(&samples);
  return st;
}

/* From a share by hash to a share by order, sorted; empties the set.      Collective.
 *   mine_out  [out] texts may be the set's: it has to stay until they are used */
static rdd_status order(rdd_comm *comm, id_set *own, rdd_type type, run *mine_out, rdd_err *err) {
  run share = {0};
  int64_t bytes = 0;
  rdd_status st = list(own, type, comm->size, &share, err);
  als_map_reset(&own->map);
  if (!st) st = run_sort(&share, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  if (comm->size == 1) {
    *mine_out = share;
    return RDD_OK;
  }
  st = cut(comm, &share, type, err);
  if (!st) st = exchange(comm, &share, &mine_out->bytes, &bytes, err);
  if (st) goto done;
  run_reset(&share);
  set_reset(own);
  st = unpack_run(mine_out, type, bytes, err);
  if (!st) st = run_sort(mine_out, err);
  st = rdd_agree(comm, st, err);
done:
  run_reset(&share);
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
    for (int64_t i = 0; i < mine->n; i++) value[i] = als_int64_of_word(mine->key[i].word);
    return;
  }
  char *bytes = rdd_table_data(ids->bytes);
  for (int64_t i = 0; i < mine->n; i++) {
    value[i] = base;
    memcpy(bytes + base, mine->key[i].text, mine->key[i].length);
    base += mine->key[i].length;
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
  for (int64_t i = 0; type == RDD_UTF8 && i < mine->n; i++) own[1] += mine->key[i].length;
  rdd_allgather(comm, own, sizeof own, share);
  first[0] = base[0] = 0;
  for (int r = 0; r < size; r++) {
    first[r + 1] = first[r] + share[2 * r];
    base[r + 1] = base[r] + share[2 * r + 1];
  }
  if (first[size] >= (int64_t)UINT32_MAX) {
    st = too_many(first[size], err);
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

rdd_status als_ids_build_rounds(rdd_comm *comm, const rdd_parts *parts, int column, int64_t most,
                                als_ids **ids_out, rdd_err *err) {
  rdd_type type = parts->schema.field[column].type;
  id_set own = {.n = 0};
  run mine = {0};
  if (type != RDD_INT64 && type != RDD_UTF8)
    return rdd_set(err, RDD_EUSAGE, "column %s is %s; ids are int64 or utf8",
                   parts->schema.field[column].name, rdd_type_name(type));
  rdd_status st = gather(comm, parts, column, most, &own, err);
  if (!st) st = order(comm, &own, type, &mine, err);
  if (!st) st = publish(comm, &mine, type, ids_out, err);
  run_reset(&mine);
  set_reset(&own);
  return st;
}

rdd_status als_ids_build(rdd_comm *comm, const rdd_parts *parts, int column, als_ids **ids_out,
                         rdd_err *err) {
  return als_ids_build_rounds(comm, parts, column, DEFAULT_MOST, ids_out, err);
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
    int order = als_text_compare(found, n, text, length);
    if (order == 0) return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return -1;
}

int64_t als_ids_find(const als_ids *ids, const rdd_column *column, int64_t row) {
  if (ids->type == RDD_INT64)
    return als_ids_find_int64(ids, ((const int64_t *)column->values)[row]);
  int32_t begin = column->offsets[row];
  const char *text = column->values ? (const char *)column->values + begin : "";
  return als_ids_find_utf8(ids, text, column->offsets[row + 1] - begin);
}

uint64_t als_ids_hash(const als_ids *ids, int64_t i) {
  int64_t length;
  if (ids->type == RDD_INT64) return rdd_mix64((uint64_t)als_ids_int64(ids, i));
  const char *text = als_ids_utf8(ids, i, &length);
  return rdd_hash_bytes(text, (size_t)length);
}

const char *als_ids_text(const als_ids *ids, int64_t i, char text[ALS_ID_TEXT]) {
  int64_t length;
  if (ids->type == RDD_INT64) {
    snprintf(text, ALS_ID_TEXT, "%" PRId64, als_ids_int64(ids, i));
    return text;
  }
  const char *bytes = als_ids_utf8(ids, i, &length);
  snprintf(text, ALS_ID_TEXT, "%.*s", (int)(length < ALS_ID_TEXT ? length : ALS_ID_TEXT), bytes);
  return text;
}
