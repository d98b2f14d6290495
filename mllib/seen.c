/* What rows have seen: from the owners of the rows to the ranks that serve them. See seen.h.
 *
 * Rows ascend, and so do their owners. What comes from the ranks, one after the other, is in the order of
 * the rows. First go the counts, then the columns. */
#include "mllib/seen.h"

#include "rdd/memory.h"

#include <string.h>

typedef struct exchange {
  rdd_comm *comm;
  const als_side *side;
  const int64_t *row, *begin;
  int64_t *send_n, *send_at, *recv_n, *recv_at; /* [size] bytes */
  int64_t *count;                               /* of each row that is sent */
  uint32_t *column;                             /* of all of them */
  int64_t rows, columns;                        /* sent */
} exchange;

static void exchange_reset(exchange *x) {
  rdd_free(x->send_n);
  rdd_free(x->count);
  rdd_free(x->column);
}

/* First place in [low, high) with a row that is not below `least`. */
static int64_t find_row(const int64_t *row, int64_t low, int64_t high, int64_t least) {
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (row[middle] < least)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Places of the rows that rank `owner` owns and rank `server` serves: [*first, return value). */
static int64_t common_rows(const exchange *x, int owner, int server, int64_t *first) {
  const als_blocks *blocks = &x->side->blocks;
  int64_t low = x->begin[server], high = x->begin[server + 1];
  *first = find_row(x->row, low, high, als_blocks_row(blocks, owner));
  return find_row(x->row, *first, high, als_blocks_row(blocks, owner + 1));
}

/* Number of ratings of an own row. */
static int64_t count_of(const exchange *x, int64_t place) {
  int64_t own = x->row[place] - x->side->first;
  return x->side->start[own + 1] - x->side->start[own];
}

/* Room for what is sent. */
static rdd_status prepare(exchange *x, rdd_err *err) {
  int size = x->comm->size;
  x->send_n = rdd_calloc((size_t)size, 4 * sizeof *x->send_n);
  if (!x->send_n) return rdd_set(err, RDD_ENOMEM, "out of memory for an exchange");
  x->send_at = x->send_n + size;
  x->recv_n = x->send_at + size;
  x->recv_at = x->recv_n + size;
  for (int r = 0; r < size; r++) {
    int64_t first, end = common_rows(x, x->comm->rank, r, &first);
    x->rows += end - first;
    for (int64_t i = first; i < end; i++) x->columns += count_of(x, i);
  }
  x->count = rdd_alloc((size_t)x->rows, sizeof *x->count);
  x->column = rdd_alloc((size_t)x->columns, sizeof *x->column);
  if (x->count && x->column) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for %lld seen ratings", (long long)x->columns);
}

/* Counts of rows to start[1 ...].                                         Collective. */
static void send_counts(exchange *x, int64_t *start) {
  const int64_t width = sizeof(int64_t);
  int64_t sent = 0, received = 0;
  for (int r = 0; r < x->comm->size; r++) {
    int64_t first, end = common_rows(x, x->comm->rank, r, &first);
    x->send_at[r] = sent * width;
    x->send_n[r] = (end - first) * width;
    for (int64_t i = first; i < end; i++) x->count[sent++] = count_of(x, i);
    end = common_rows(x, r, x->comm->rank, &first);
    x->recv_at[r] = received * width;
    x->recv_n[r] = (end - first) * width;
    received += end - first;
  }
  rdd_alltoallv(x->comm, x->count, x->send_n, x->send_at, start + 1, x->recv_n, x->recv_at);
}

/* Columns of rows, whose counts are known as offsets.                     Collective. */
static void send_columns(exchange *x, const als_seen *seen) {
  const int64_t width = sizeof(uint32_t), mine = x->begin[x->comm->rank];
  int64_t sent = 0;
  for (int r = 0; r < x->comm->size; r++) {
    int64_t first, end = common_rows(x, x->comm->rank, r, &first);
    x->send_at[r] = sent * width;
    for (int64_t i = first; i < end; i++) {
      const als_entry *e = x->side->entry + x->side->start[x->row[i] - x->side->first];
      for (int64_t n = count_of(x, i); n > 0; n--) x->column[sent++] = (e++)->column;
    }
    x->send_n[r] = sent * width - x->send_at[r];
    end = common_rows(x, r, x->comm->rank, &first);
    x->recv_at[r] = seen->start[first - mine] * width;
    x->recv_n[r] = seen->start[end - mine] * width - x->recv_at[r];
  }
  rdd_alltoallv(x->comm, x->column, x->send_n, x->send_at, seen->column, x->recv_n, x->recv_at);
}

rdd_status als_seen_fetch(rdd_comm *comm, const als_side *side, const int64_t *row,
                          const int64_t *begin, als_seen *out, rdd_err *err) {
  exchange x = {.comm = comm, .side = side, .row = row, .begin = begin};
  als_seen seen = {0};
  int64_t rows = begin[comm->rank + 1] - begin[comm->rank];
  rdd_status st = prepare(&x, err);
  seen.start = rdd_calloc((size_t)rows + 1, sizeof *seen.start);
  if (!st && !seen.start) st = rdd_set(err, RDD_ENOMEM, "out of memory for seen ratings");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  send_counts(&x, seen.start);
  for (int64_t i = 0; i < rows; i++) seen.start[i + 1] += seen.start[i];
  seen.column = rdd_alloc((size_t)seen.start[rows], sizeof *seen.column);
  if (!seen.column)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld seen ratings",
                 (long long)seen.start[rows]);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  send_columns(&x, &seen);
  *out = seen;
  seen = (als_seen){0};
done:
  exchange_reset(&x);
  als_seen_reset(&seen);
  return st;
}

void als_seen_reset(als_seen *seen) {
  rdd_free(seen->start);
  rdd_free(seen->column);
  *seen = (als_seen){0};
}
