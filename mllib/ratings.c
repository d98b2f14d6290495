/* From partitions to compressed rows on the rank that owns them.
 *
 *   source (partitions, or a side already built) -> triples -> rounds of alltoallv -> triples here
 *   -> counting sort by row -> each row sorted by (column, value bits)
 *
 * The last sort is what makes the result a function of the set of ratings and of nothing else. */
#include "mllib/ratings.h"

#include "mllib/ids_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { DEFAULT_ROUND = 1 << 20, INSERTION_MAX = 48 };

/* What travels: 12 bytes a rating. */
typedef struct triple {
  uint32_t row, column;
  float value;
} triple;

/* ---- Sources ---- */

/* Ratings in no special order. `next` fills up to `max` triples and returns how many; 0 is the end.
 * Both kinds of source are here, because they differ in three lines. */
typedef struct source {
  int64_t left; /* upper bound of what is still to come */
  int64_t cold; /* ratings left out so far */
  int64_t (*next)(struct source *s, triple *out, int64_t max);

  rdd_parts *parts; /* from partitions: */
  int by;
  als_memo memo[2];
  int64_t part, batch, row;

  const als_side *side; /* from a side: */
  int64_t side_row, entry;
} source;

static int64_t next_of_parts(source *s, triple *out, int64_t max) {
  int64_t n = 0;
  while (s->part < s->parts->n) {
    const rdd_part *part = &s->parts->part[s->part];
    for (; s->batch < part->batches; s->batch++, s->row = 0) {
      const rdd_batch *batch = &part->batch[s->batch];
      const float *value = batch->column[2].values;
      for (; s->row < batch->rows; s->row++) {
        if (n == max) return n;
        int64_t row = als_memo_find(&s->memo[s->by], &batch->column[s->by], s->row);
        int64_t column = als_memo_find(&s->memo[!s->by], &batch->column[!s->by], s->row);
        s->left--;
        if (row < 0 || column < 0)
          s->cold++;
        else
          out[n++] = (triple){(uint32_t)row, (uint32_t)column, value[s->row]};
      }
    }
    rdd_parts_drop(s->parts, s->part);
    s->part++;
    s->batch = 0;
  }
  return n;
}

static int64_t next_of_side(source *s, triple *out, int64_t max) {
  const als_side *side = s->side;
  int64_t n = 0;
  for (; s->side_row < side->rows; s->side_row++) {
    for (; s->entry < side->start[s->side_row + 1]; s->entry++) {
      if (n == max) return n;
      const als_entry *e = &side->entry[s->entry];
      out[n++] = (triple){e->column, (uint32_t)(side->first + s->side_row), e->value};
      s->left--;
    }
  }
  return n;
}

/* ---- Dealing out rows by the number of their ratings ---- */

static void count_parts(source *s, const rdd_parts *parts, int64_t block_rows, int64_t *nnz) {
  for (int64_t p = 0; p < parts->n; p++) {
    for (int64_t b = 0; b < parts->part[p].batches; b++) {
      const rdd_batch *batch = &parts->part[p].batch[b];
      for (int64_t i = 0; i < batch->rows; i++) {
        int64_t row = als_memo_find(&s->memo[s->by], &batch->column[s->by], i);
        if (row >= 0) nnz[row / block_rows]++;
      }
    }
  }
}

static void count_side(const als_side *side, int64_t block_rows, int64_t *nnz) {
  for (int64_t e = 0; e < side->start[side->rows]; e++) nnz[side->entry[e].column / block_rows]++;
}

/* Owners by cost, from counts over all ranks.                             Collective. */
static rdd_status deal_out(rdd_comm *comm, source *s, int64_t rows, int k, als_blocks *blocks_out,
                           rdd_err *err) {
  int64_t blocks = als_block_count(rows), block_rows = als_block_rows(rows);
  rdd_status st = RDD_OK;
  int64_t *nnz = rdd_calloc((size_t)blocks, sizeof *nnz);
  if (!nnz)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the counts of %" PRId64 " blocks", blocks);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  if (s->side)
    count_side(s->side, block_rows, nnz);
  else
    count_parts(s, s->parts, block_rows, nnz);
  rdd_allreduce(comm, nnz, blocks, RDD_SUM);
  st = als_blocks_init(blocks_out, rows, nnz, k, comm->size, err);
  st = rdd_agree(comm, st, err);
done:
  rdd_free(nnz);
  return st;
}

static rdd_status copy_blocks(const als_blocks *from, als_blocks *to, rdd_err *err) {
  size_t n = (size_t)from->size + 1;
  int64_t *owner = rdd_alloc(n, sizeof *owner);
  if (!owner) return rdd_set(err, RDD_ENOMEM, "out of memory for the owners of rows");
  memcpy(owner, from->owner, n * sizeof *owner);
  *to = *from;
  to->owner = owner;
  return RDD_OK;
}

/* ---- The exchange ---- */

typedef struct exchange {
  rdd_comm *comm;
  const als_blocks *blocks;
  int64_t round;
  triple *drawn, *send; /* [round] as they come, and sorted by rank */
  int32_t *target;      /* [round] rank of drawn[i] */
  int64_t *counts;      /* [size] send bytes, send places, receive bytes, receive places */
  triple *here;         /* what arrived */
  int64_t n, capacity;
} exchange;

static rdd_status exchange_init(exchange *x, rdd_comm *comm, const als_blocks *blocks,
                                int64_t round, rdd_err *err) {
  *x = (exchange){.comm = comm, .blocks = blocks, .round = round};
  x->drawn = rdd_alloc((size_t)round, sizeof(triple));
  x->send = rdd_alloc((size_t)round, sizeof(triple));
  x->target = rdd_alloc((size_t)round, sizeof *x->target);
  x->counts = rdd_alloc((size_t)comm->size, 4 * sizeof *x->counts);
  if (x->drawn && x->send && x->target && x->counts) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for a round of %" PRId64 " ratings", round);
}

/* Free the buffers of the rounds, but not what arrived. */
static void exchange_free_buffers(exchange *x) {
  rdd_free(x->drawn);
  rdd_free(x->send);
  rdd_free(x->target);
  rdd_free(x->counts);
  x->drawn = x->send = NULL;
  x->target = NULL;
  x->counts = NULL;
}

static rdd_status make_room(exchange *x, int64_t more, rdd_err *err) {
  if (x->n + more <= x->capacity && x->here) return RDD_OK;
  int64_t capacity = x->n + more + x->capacity / 2;
  triple *bigger = rdd_realloc(x->here, (size_t)capacity, sizeof *bigger);
  if (!bigger)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ratings of this rank's rows",
                   x->n + more);
  x->here = bigger;
  x->capacity = capacity;
  return RDD_OK;
}

/* Draw up to a round of ratings, sort them by rank, and swap.              Collective. */
static rdd_status exchange_round(exchange *x, source *s, rdd_err *err) {
  rdd_comm *comm = x->comm;
  int size = comm->size;
  int64_t *send_n = x->counts, *send_at = send_n + size, *recv_n = send_at + size,
          *recv_at = recv_n + size;
  const int64_t width = sizeof(triple);

  int64_t n = s->next(s, x->drawn, x->round);
  memset(send_n, 0, (size_t)size * sizeof *send_n);
  for (int64_t i = 0; i < n; i++) {
    x->target[i] = als_blocks_rank(x->blocks, x->drawn[i].row);
    send_n[x->target[i]]++;
  }
  int64_t at = 0;
  for (int r = 0; r < size; r++) {
    send_at[r] = at;
    at += send_n[r];
  }
  for (int64_t i = 0; i < n; i++) x->send[send_at[x->target[i]]++] = x->drawn[i];
  for (int r = 0; r < size; r++) { /* from elements to bytes, and back to the beginnings */
    send_at[r] = (send_at[r] - send_n[r]) * width;
    send_n[r] *= width;
  }

  rdd_alltoall(comm, send_n, recv_n);
  int64_t bytes = 0;
  for (int r = 0; r < size; r++) {
    recv_at[r] = bytes;
    bytes += recv_n[r];
  }
  rdd_status st = make_room(x, bytes / width, err);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  rdd_alltoallv(comm, x->send, send_n, send_at, x->here + x->n, recv_n, recv_at);
  x->n += bytes / width;
  return RDD_OK;
}

/* ---- Rows in order ---- */

static uint64_t entry_key(als_entry e) {
  uint32_t bits;
  memcpy(&bits, &e.value, sizeof bits);
  return (uint64_t)e.column << 32 | bits;
}

static void insertion_sort(als_entry *row, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    als_entry e = row[i];
    int64_t j = i;
    for (; j > 0 && entry_key(row[j - 1]) > entry_key(e); j--) row[j] = row[j - 1];
    row[j] = e;
  }
}

/* Bytes of the key from the lowest, skipping those that all entries share. */
static void radix_sort(als_entry *row, als_entry *scratch, int64_t n) {
  als_entry *from = row, *to = scratch;
  for (int shift = 0; shift < 64; shift += 8) {
    int64_t at[256] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++) at[entry_key(from[i]) >> shift & 255]++;
    if (at[entry_key(from[0]) >> shift & 255] == n) continue;
    for (int b = 0; b < 256; b++) {
      int64_t count = at[b];
      at[b] = sum;
      sum += count;
    }
    for (int64_t i = 0; i < n; i++) to[at[entry_key(from[i]) >> shift & 255]++] = from[i];
    als_entry *swap = from;
    from = to;
    to = swap;
  }
  if (from != row) memcpy(row, from, (size_t)n * sizeof *row);
}

static bool is_sorted(const als_entry *row, int64_t n) {
  for (int64_t i = 1; i < n; i++)
    if (entry_key(row[i - 1]) > entry_key(row[i])) return false;
  return true;
}

static rdd_status sort_rows(als_side *side, rdd_err *err) {
  int64_t longest = 0;
  for (int64_t r = 0; r < side->rows; r++) {
    int64_t n = side->start[r + 1] - side->start[r];
    if (n > longest) longest = n;
  }
  als_entry *scratch = rdd_alloc((size_t)longest, sizeof *scratch);
  if (!scratch)
    return rdd_set(err, RDD_ENOMEM, "out of memory to sort a row of %" PRId64 " ratings", longest);
  for (int64_t r = 0; r < side->rows; r++) {
    als_entry *row = side->entry + side->start[r];
    int64_t n = side->start[r + 1] - side->start[r];
    if (is_sorted(row, n)) continue;
    if (n <= INSERTION_MAX)
      insertion_sort(row, n);
    else
      radix_sort(row, scratch, n);
  }
  rdd_free(scratch);
  return RDD_OK;
}

/* Counting sort of the triples by row into side->start and side->entry; frees the triples. */
static rdd_status compress(als_side *side, exchange *x, rdd_err *err) {
  side->start = rdd_calloc((size_t)side->rows + 2, sizeof *side->start);
  side->entry = rdd_alloc((size_t)x->n, sizeof *side->entry);
  if (!side->start || !side->entry)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ratings of this rank's rows",
                   x->n);
  /* start is counted two places up, so that filling leaves it right: start[r + 1] is where the next
   * rating of row r goes, and in the end where row r + 1 begins */
  int64_t *end = side->start + 1;
  for (int64_t i = 0; i < x->n; i++) side->start[x->here[i].row - side->first + 2]++;
  for (int64_t r = 2; r <= side->rows + 1; r++) side->start[r] += side->start[r - 1];
  for (int64_t i = 0; i < x->n; i++) {
    const triple *t = &x->here[i];
    side->entry[end[t->row - side->first]++] = (als_entry){t->column, t->value};
  }
  rdd_free(x->here);
  x->here = NULL;
  return sort_rows(side, err);
}

/* Take side->blocks and fill in the rest from the source.                 Collective. */
static rdd_status build(rdd_comm *comm, source *s, int64_t round, als_side *side, rdd_err *err) {
  exchange x = {0};
  int64_t rounds = (s->left + round - 1) / round;
  side->first = als_blocks_row(&side->blocks, comm->rank);
  side->rows = als_blocks_row(&side->blocks, comm->rank + 1) - side->first;
  rdd_allreduce(comm, &rounds, 1, RDD_MAX);
  rdd_status st = exchange_init(&x, comm, &side->blocks, round, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int64_t i = 0; i < rounds && !st; i++) st = exchange_round(&x, s, err);
  if (st) goto done;
  exchange_free_buffers(&x);
  st = compress(side, &x, err);
  st = rdd_agree(comm, st, err);
done:
  exchange_free_buffers(&x);
  rdd_free(x.here);
  return st;
}

static int64_t round_of(const source *s, rdd_comm *comm, int64_t round) {
  int64_t most = s->left > 0 ? s->left : 1;
  rdd_allreduce(comm, &most, 1, RDD_MAX);
  if (round <= 0) round = DEFAULT_ROUND;
  return round < most ? round : most;
}

/* ---- The two entries ---- */

static rdd_status check_types(const rdd_parts *parts, const als_ids *const ids[2], rdd_err *err) {
  static const char *const what[2] = {"user", "item"};
  for (int side = 0; side < 2; side++) {
    rdd_type found = parts->schema.field[side].type;
    if (found != ids[side]->type)
      return rdd_set(err, RDD_EDATA, "the %s ids of these ratings are %s, those known are %s",
                     what[side], rdd_type_name(found), rdd_type_name(ids[side]->type));
  }
  return RDD_OK;
}

rdd_status als_side_build(rdd_comm *comm, rdd_parts *parts, int by, const als_ids *const ids[2],
                          const als_blocks *blocks, int k, int64_t round, als_side *side_out,
                          int64_t *cold_out, rdd_err *err) {
  source s = {.next = next_of_parts, .parts = parts, .by = by};
  als_side side = {0};
  rdd_status st = check_types(parts, ids, err); /* the same on all ranks */
  if (st) return st;
  als_memo_init(&s.memo[0], ids[0]);
  als_memo_init(&s.memo[1], ids[1]);
  for (int64_t p = 0; p < parts->n; p++) s.left += parts->part[p].rows;
  if (blocks) {
    st = copy_blocks(blocks, &side.blocks, err);
    st = rdd_agree(comm, st, err);
  } else {
    st = deal_out(comm, &s, ids[by]->n, k, &side.blocks, err);
  }
  if (st) goto done;
  st = build(comm, &s, round_of(&s, comm, round), &side, err);
  if (st) goto done;
  rdd_allreduce(comm, &s.cold, 1, RDD_SUM);
  *cold_out = s.cold;
  *side_out = side;
  side = (als_side){0};
done:
  als_memo_reset(&s.memo[0]);
  als_memo_reset(&s.memo[1]);
  als_side_reset(&side);
  return st;
}

rdd_status als_side_transpose(rdd_comm *comm, const als_side *side, int64_t other_rows, int k,
                              int64_t round, als_side *other_out, rdd_err *err) {
  source s = {.next = next_of_side, .side = side, .left = side->start[side->rows]};
  als_side other = {0};
  rdd_status st = deal_out(comm, &s, other_rows, k, &other.blocks, err);
  if (st) goto done;
  st = build(comm, &s, round_of(&s, comm, round), &other, err);
  if (st) goto done;
  *other_out = other;
  other = (als_side){0};
done:
  als_side_reset(&other);
  return st;
}

void als_side_reset(als_side *side) {
  als_blocks_reset(&side->blocks);
  rdd_free(side->start);
  rdd_free(side->entry);
  *side = (als_side){0};
}

int64_t als_side_count(const als_side *side, rdd_comm *comm) {
  int64_t n = side->start[side->rows];
  rdd_allreduce(comm, &n, 1, RDD_SUM);
  return n;
}
