/* From partitions to compressed rows on the rank that owns them.
 *
 *   partitions -> dense columns (row, column, value), 12 bytes a rating, partition by partition
 *   -> who owns which rows, by cost
 *   -> rounds of alltoallv of the row column: how many ratings each row here will have
 *   -> rounds of alltoallv of all columns: each rating is put where it stays
 *   -> each row sorted by (column, value bits)
 *
 * A partition is dropped when its last row is dense, and a block of dense columns given back when it
 * is sent; so of each rating there is one copy, in one form or another, but for those of a round. From
 * one side to the other it is the same, with the finished side for the dense columns. The last sort
 * is what makes the result a function of the set of ratings and of nothing else. */
#include "mllib/ratings.h"

#include "mllib/ids_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { DEFAULT_ROUND = 1 << 18, INSERTION_MAX = 48, AHEAD = 16 };

/* ---- Columns of ratings with dense indices ---- */

enum { ROW = 0, COLUMN = 1, VALUE = 2, WIDTH = 3 };

/* Each rating is a 4-byte word in three arrays: row, column, the bits of the value. */
typedef struct words {
  int64_t n;
  uint32_t *word[WIDTH];
} words;

/* Block number `block` of a memory of blocks for `room` ratings each. */
static words words_at(uint32_t *memory, int64_t block, int64_t room, int64_t n) {
  uint32_t *begin = memory + block * WIDTH * room;
  return (words){n, {begin, begin + room, begin + 2 * room}};
}

static int64_t blocks_of(int64_t n, int64_t room) {
  return (n + room - 1) / room;
}

/* ---- Sources: ratings in no special order, in blocks of a round ----
 * A source is drawn from twice, first to count and then to send; the second draw uses it up. */
typedef struct source {
  int64_t round; /* ratings a block */

  /* dense columns: */
  uint32_t *dense; /* blocks of `round`, the last one not full */
  int64_t n;

  /* or a side: */
  const als_side *side;
  uint32_t *scratch; /* one block */
  int64_t row, entry;
} source;

static int64_t source_rounds(const source *s) {
  return blocks_of(s->side ? s->side->start[s->side->rows] : s->n, s->round);
}

/* Ratings of a side, in the order of its rows. */
static words draw_from_side(source *s) {
  const als_side *side = s->side;
  words out = words_at(s->scratch, 0, s->round, 0);
  for (; s->row < side->rows; s->row++) {
    int64_t n = side->start[s->row + 1] - s->entry;
    if (n > s->round - out.n) n = s->round - out.n;
    const als_entry *e = side->entry + s->entry;
    uint32_t column = (uint32_t)(side->first + s->row);
    for (int64_t i = 0; i < n; i++) {
      out.word[ROW][out.n + i] = e[i].column;
      out.word[COLUMN][out.n + i] = column;
      memcpy(&out.word[VALUE][out.n + i], &e[i].value, sizeof(uint32_t));
    }
    out.n += n;
    s->entry += n;
    if (s->entry < side->start[s->row + 1]) break;
  }
  return out;
}

/* Block number `block`; empty where there are no more. Borrowed until the next draw. A side's blocks
 * come in order only, from 0. */
static words draw(source *s, int64_t block) {
  if (s->side) {
    if (block == 0) s->row = s->entry = 0;
    return draw_from_side(s);
  }
  int64_t left = s->n - block * s->round;
  if (left <= 0) return (words){.n = 0};
  return words_at(s->dense, block, s->round, left < s->round ? left : s->round);
}

/* Give back the memory of the blocks from `block` on. */
static void give_back(source *s, int64_t block) {
  if (s->side || block >= blocks_of(s->n, s->round)) return;
  s->n = block * s->round;
  /* to shrink is a matter of memory only: where that fails, it stays as it is */
  uint32_t *smaller = rdd_realloc(s->dense, (size_t)(s->n * WIDTH), sizeof *s->dense);
  if (smaller) s->dense = smaller;
}

static void source_reset(source *s) {
  rdd_free(s->dense);
  rdd_free(s->scratch);
  *s = (source){0};
}

/* Ratings a round: the caller's wish, but no more than any rank has.      Collective. */
static int64_t round_of(rdd_comm *comm, int64_t round, int64_t ratings) {
  int64_t most = ratings > 0 ? ratings : 1;
  rdd_allreduce(comm, &most, 1, RDD_MAX);
  if (round <= 0) round = DEFAULT_ROUND;
  return round < most ? round : most;
}

/* ---- From partitions to dense columns ---- */

/* Dense indices of rows of a batch into a block of columns behind its n; returns how many rows have an
 * unknown id, which are left out. */
static int64_t densify(als_memo memo[2], int by, const rdd_batch *batch, int64_t first, int64_t n,
                       words *out) {
  uint32_t *row = out->word[ROW] + out->n, *column = out->word[COLUMN] + out->n;
  uint32_t *value = out->word[VALUE] + out->n;
  als_memo_find(&memo[by], &batch->column[by], first, n, row);
  als_memo_find(&memo[!by], &batch->column[!by], first, n, column);
  memcpy(value, (const float *)batch->column[2].values + first, (size_t)n * sizeof *value);
  int64_t known = 0;
  for (int64_t i = 0; i < n; i++) {
    row[known] = row[i];
    column[known] = column[i];
    value[known] = value[i];
    known += row[i] != ALS_UNKNOWN && column[i] != ALS_UNKNOWN;
  }
  out->n += known;
  return n - known;
}

/* All partitions of this rank, each dropped as soon as it is done. Returns the ratings left out. */
static int64_t densify_parts(source *s, rdd_parts *parts, int by, als_memo memo[2]) {
  int64_t cold = 0;
  for (int64_t p = 0; p < parts->n; p++) {
    const rdd_part *part = &parts->part[p];
    for (int64_t b = 0; b < part->batches; b++) {
      const rdd_batch *batch = &part->batch[b];
      for (int64_t first = 0, n; first < batch->rows; first += n) {
        words out = words_at(s->dense, s->n / s->round, s->round, s->n % s->round);
        int64_t before = out.n;
        n = batch->rows - first;
        if (n > s->round - before) n = s->round - before;
        cold += densify(memo, by, batch, first, n, &out);
        s->n += out.n - before;
      }
    }
    rdd_parts_drop(parts, p);
  }
  return cold;
}

/* ---- Dealing out rows by the number of their ratings ---- */

/* Owners by cost, from counts over all ranks.                             Collective. */
static rdd_status deal_out(rdd_comm *comm, source *s, int64_t rows, int k, als_blocks *blocks_out,
                           rdd_err *err) {
  int64_t blocks = als_block_count(rows);
  int shift = __builtin_ctzll((uint64_t)als_block_rows(rows));
  rdd_status st = RDD_OK;
  int64_t *nnz = rdd_calloc((size_t)blocks, sizeof *nnz);
  if (!nnz)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the counts of %" PRId64 " blocks", blocks);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  int64_t rounds = source_rounds(s);
  for (int64_t i = 0; i < rounds; i++) {
    words w = draw(s, i);
    for (int64_t j = 0; j < w.n; j++) nnz[w.word[ROW][j] >> shift]++;
  }
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
  int shift;        /* row >> shift is its block */
  int32_t *owner;   /* [blocks] rank of each */
  int32_t *target;  /* [round] rank of each rating */
  uint32_t *memory; /* of send and recv */
  words send;       /* [round] grouped by rank */
  words recv;       /* [quota * ranks] */
  int64_t quota;    /* most ratings that a rank sends to another at a time */
  int64_t *counts;  /* [ranks] six times: see swap() */
} exchange;

/* All allocations are made here, so that no rank can fail between two messages. One rank alone needs
 * none of them. */
static rdd_status exchange_init(exchange *x, rdd_comm *comm, const als_blocks *blocks,
                                int64_t round, rdd_err *err) {
  size_t size = (size_t)comm->size;
  *x = (exchange){.comm = comm};
  if (size == 1) return RDD_OK;
  x->shift = __builtin_ctzll((uint64_t)blocks->block_rows);
  x->quota = 2 * round / (int64_t)size + 1;
  int64_t arrivals = x->quota * (int64_t)size;
  x->owner = rdd_alloc((size_t)blocks->blocks, sizeof *x->owner);
  x->target = rdd_alloc((size_t)round, sizeof *x->target);
  x->memory = rdd_alloc((size_t)(round + arrivals), WIDTH * sizeof *x->memory);
  x->counts = rdd_alloc(size, 6 * sizeof *x->counts);
  if (!x->owner || !x->target || !x->memory || !x->counts)
    return rdd_set(err, RDD_ENOMEM, "out of memory for a round of %" PRId64 " ratings", round);
  x->send = words_at(x->memory, 0, round, 0);
  x->recv = words_at(x->memory + WIDTH * round, 0, arrivals, 0);
  for (int r = 0; r < comm->size; r++)
    for (int64_t b = blocks->owner[r]; b < blocks->owner[r + 1]; b++) x->owner[b] = r;
  return RDD_OK;
}

static void exchange_reset(exchange *x) {
  rdd_free(x->owner);
  rdd_free(x->target);
  rdd_free(x->memory);
  rdd_free(x->counts);
  *x = (exchange){0};
}

/* Group the first `width` columns by rank; n [out] and at [out] say where each rank's are. */
static void group(exchange *x, const words *in, int width, int64_t *n, int64_t *at) {
  int size = x->comm->size;
  memset(n, 0, (size_t)size * sizeof *n);
  for (int64_t i = 0; i < in->n; i++) {
    x->target[i] = x->owner[in->word[ROW][i] >> x->shift];
    n[x->target[i]]++;
  }
  for (int c = 0; c < width; c++) {
    int64_t sum = 0;
    for (int r = 0; r < size; sum += n[r++]) at[r] = sum;
    const uint32_t *from = in->word[c];
    uint32_t *to = x->send.word[c];
    for (int64_t i = 0; i < in->n; i++) to[at[x->target[i]]++] = from[i];
  }
  for (int r = 0; r < size; r++) at[r] -= n[r];
}

/* What a rank does with ratings that have come. */
typedef void (*arrive_fn)(als_side *side, const words *w);

/* Swap a block with all other ranks: its rows, or all its columns. A rank sends at most a quota to
 * each other one at a time, so that what comes to one rank is bounded too, wherever the ratings of a
 * round belong.                                                            Collective. */
static void swap(exchange *x, const words *in, int width, als_side *side, arrive_fn arrive) {
  const int64_t bytes = sizeof(uint32_t);
  int size = x->comm->size;
  if (size == 1) {
    arrive(side, in);
    return;
  }
  int64_t *out_n = x->counts, *out_at = out_n + size, *in_n = out_at + size, *send_n = in_n + size,
          *recv_n = send_n + size, *recv_at = recv_n + size, most = 0;
  group(x, in, width, out_n, out_at);
  rdd_alltoall(x->comm, out_n, in_n);
  for (int r = 0; r < size; r++) {
    if (out_n[r] > most) most = out_n[r];
    out_at[r] *= bytes;
  }
  rdd_allreduce(x->comm, &most, 1, RDD_MAX);
  for (int64_t sent = 0; sent < most; sent += x->quota) {
    int64_t total = 0;
    for (int r = 0; r < size; r++) {
      send_n[r] = bytes * (out_n[r] < x->quota ? out_n[r] : x->quota);
      recv_n[r] = bytes * (in_n[r] < x->quota ? in_n[r] : x->quota);
      recv_at[r] = total;
      total += recv_n[r];
    }
    for (int c = 0; c < width; c++)
      rdd_alltoallv(x->comm, x->send.word[c], send_n, out_at, x->recv.word[c], recv_n, recv_at);
    x->recv.n = total / bytes;
    arrive(side, &x->recv);
    for (int r = 0; r < size; r++) {
      out_n[r] -= send_n[r] / bytes;
      in_n[r] -= recv_n[r] / bytes;
      out_at[r] += send_n[r];
    }
  }
}

/* side->start is counted two places up, so that filling leaves it right: start[r + 1] is where the
 * next rating of row r goes, and in the end where row r + 1 begins. */
static void count(als_side *side, const words *w) {
  int64_t *counts = side->start + 2;
  for (int64_t i = 0; i < w->n; i++) counts[w->word[ROW][i] - side->first]++;
}

static void place(als_side *side, const words *w) {
  int64_t *end = side->start + 1;
  const uint32_t *row = w->word[ROW];
  for (int64_t i = 0; i < w->n; i++) {
    if (i + AHEAD < w->n) /* a row's end is anywhere in memory */
      __builtin_prefetch(&side->entry[end[row[i + AHEAD] - side->first]], 1);
    als_entry e = {.column = w->word[COLUMN][i]};
    memcpy(&e.value, &w->word[VALUE][i], sizeof e.value);
    side->entry[end[row[i] - side->first]++] = e;
  }
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

/* By bytes [first, last) of the key, from the lowest, skipping those that all entries share. */
static void radix_sort(als_entry *row, als_entry *scratch, int64_t n, int first, int last) {
  int64_t count[8][256] = {{0}};
  als_entry *from = row, *to = scratch;
  for (int64_t i = 0; i < n; i++)
    for (int b = first; b < last; b++) count[b][entry_key(row[i]) >> (8 * b) & 255]++;
  for (int b = first; b < last; b++) {
    int64_t *at = count[b], sum = 0;
    if (at[entry_key(from[0]) >> (8 * b) & 255] == n) continue;
    for (int v = 0; v < 256; v++) {
      int64_t here = at[v];
      at[v] = sum;
      sum += here;
    }
    for (int64_t i = 0; i < n; i++) to[at[entry_key(from[i]) >> (8 * b) & 255]++] = from[i];
    als_entry *swapped = from;
    from = to;
    to = swapped;
  }
  if (from != row) memcpy(row, from, (size_t)n * sizeof *row);
}

/* By columns first, for most ratings have one to themselves; then those that share one by value. */
static void sort_row(als_entry *row, als_entry *scratch, int64_t n) {
  if (n <= INSERTION_MAX) {
    insertion_sort(row, n);
    return;
  }
  radix_sort(row, scratch, n, 4, 8);
  for (int64_t i = 0, end; i < n; i = end) {
    for (end = i + 1; end < n && row[end].column == row[i].column; end++) continue;
    if (end - i > INSERTION_MAX)
      radix_sort(row + i, scratch, end - i, 0, 4);
    else if (end - i > 1)
      insertion_sort(row + i, end - i);
  }
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
    if (!is_sorted(row, n)) sort_row(row, scratch, n);
  }
  rdd_free(scratch);
  return RDD_OK;
}

/* ---- Both together ---- */

/* How many ratings each own row will have, into side->start. Collective. */
static rdd_status count_rows(exchange *x, source *s, int64_t rounds, als_side *side, rdd_err *err) {
  rdd_status st = RDD_OK;
  side->start = rdd_calloc((size_t)side->rows + 2, sizeof *side->start);
  if (!side->start)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " rows of this rank", side->rows);
  st = rdd_agree(x->comm, st, err);
  if (st) return st;
  for (int64_t i = 0; i < rounds; i++) {
    words w = draw(s, i);
    swap(x, &w, 1, side, count);
  }
  for (int64_t r = 2; r <= side->rows + 1; r++) side->start[r] += side->start[r - 1];
  return RDD_OK;
}

/* The ratings to their rows. A side is drawn from the front, dense columns from the back, where memory
 * can be given back. Collective. */
static rdd_status fill_rows(exchange *x, source *s, int64_t rounds, als_side *side, rdd_err *err) {
  int64_t n = side->start[side->rows + 1];
  rdd_status st = RDD_OK;
  side->entry = rdd_alloc((size_t)n, sizeof *side->entry);
  if (!side->entry)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ratings of this rank's rows", n);
  st = rdd_agree(x->comm, st, err);
  if (st) return st;
  for (int64_t i = 0; i < rounds; i++) {
    int64_t block = s->side ? i : rounds - 1 - i;
    words w = draw(s, block);
    swap(x, &w, WIDTH, side, place);
    give_back(s, block);
  }
  return RDD_OK;
}

/* Take side->blocks and fill in the rest from the source.                 Collective. */
static rdd_status build(rdd_comm *comm, source *s, als_side *side, rdd_err *err) {
  exchange x;
  int64_t rounds = source_rounds(s);
  side->first = als_blocks_row(&side->blocks, comm->rank);
  side->rows = als_blocks_row(&side->blocks, comm->rank + 1) - side->first;
  rdd_allreduce(comm, &rounds, 1, RDD_MAX);
  rdd_status st = exchange_init(&x, comm, &side->blocks, s->round, err);
  st = rdd_agree(comm, st, err);
  if (!st) st = count_rows(&x, s, rounds, side, err);
  if (!st) st = fill_rows(&x, s, rounds, side, err);
  exchange_reset(&x);
  if (st) return st;
  return rdd_agree(comm, sort_rows(side, err), err);
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

/* This rank's ratings as dense columns, its partitions dropped.            Collective. */
static rdd_status open_parts(source *s, rdd_comm *comm, rdd_parts *parts, int by,
                             const als_ids *const ids[2], int64_t round, int64_t *cold_out,
                             rdd_err *err) {
  als_memo memo[2];
  rdd_status st = RDD_OK;
  int64_t ratings = 0;
  for (int64_t p = 0; p < parts->n; p++) ratings += parts->part[p].rows;
  s->round = round_of(comm, round, ratings);
  size_t blocks = (size_t)blocks_of(ratings, s->round);
  s->dense = rdd_alloc(blocks * (size_t)s->round, WIDTH * sizeof *s->dense);
  if (!s->dense)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ratings of this rank", ratings);
  st = rdd_agree(comm, st, err);
  if (st) return st;
  for (int side = 0; side < 2; side++) als_memo_init(&memo[side], ids[side]);
  *cold_out = densify_parts(s, parts, by, memo);
  for (int side = 0; side < 2; side++) als_memo_reset(&memo[side]);
  rdd_allreduce(comm, cold_out, 1, RDD_SUM);
  return RDD_OK;
}

rdd_status als_side_build(rdd_comm *comm, rdd_parts *parts, int by, const als_ids *const ids[2],
                          const als_blocks *blocks, int k, int64_t round, als_side *side_out,
                          int64_t *cold_out, rdd_err *err) {
  source s = {.n = 0};
  als_side side = {.rows = 0};
  int64_t cold = 0;
  rdd_status st = check_types(parts, ids, err); /* the same on all ranks */
  if (!st) st = open_parts(&s, comm, parts, by, ids, round, &cold, err);
  if (st) goto done;
  if (blocks)
    st = rdd_agree(comm, copy_blocks(blocks, &side.blocks, err), err);
  else
    st = deal_out(comm, &s, ids[by]->n, k, &side.blocks, err);
  if (!st) st = build(comm, &s, &side, err);
  if (st) goto done;
  *cold_out = cold;
  *side_out = side;
  side = (als_side){.rows = 0};
done:
  source_reset(&s);
  als_side_reset(&side);
  return st;
}

rdd_status als_side_transpose(rdd_comm *comm, const als_side *side, int64_t other_rows, int k,
                              int64_t round, als_side *other_out, rdd_err *err) {
  source s = {.side = side};
  als_side other = {.rows = 0};
  rdd_status st = RDD_OK;
  s.round = round_of(comm, round, side->start[side->rows]);
  s.scratch = rdd_alloc((size_t)s.round, WIDTH * sizeof *s.scratch);
  if (!s.scratch)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for a round of %" PRId64 " ratings", s.round);
  st = rdd_agree(comm, st, err);
  if (!st) st = deal_out(comm, &s, other_rows, k, &other.blocks, err);
  if (!st) st = build(comm, &s, &other, err);
  if (st) goto done;
  *other_out = other;
  other = (als_side){.rows = 0};
done:
  source_reset(&s);
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
