/* Top-N by tiles: ALS_TOPN_ROWS rows against TILE columns is one GEMM, whose scores go straight
 * from cache into one bounded heap per row. The winners are scored again by als_model_predict(), so
 * that a recommendation and a prediction of the same pair agree to the last bit.
 *
 * All GEMMs have the same shape (missing rows and columns are zeros), so that a score does not
 * depend on which rows share its block. */
#include "mllib/topn.h"

#include "mllib/threads_impl.h"
#include "rdd/memory.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { TILE = 1024 };

typedef struct candidate {
  float score;
  uint32_t column;
} candidate;

/* Scratch of one thread. */
typedef struct worker {
  float *x;        /* [ALS_TOPN_ROWS][k] rows, gathered */
  float *score;    /* [ALS_TOPN_ROWS][TILE] */
  candidate *heap; /* [ALS_TOPN_ROWS][room] the worst of each row first */
  int64_t held[ALS_TOPN_ROWS];
  int64_t seen_at[ALS_TOPN_ROWS]; /* next entry of the row's seen columns */
} worker;

typedef struct topn {
  const als_model *model;
  int side, top;
  int64_t room; /* heap places per row: top, or all columns where they are fewer */
  const int64_t *row;
  int64_t n_rows, columns;
  const als_side *seen;
  const float *other, *bias; /* of the columns; bias may be NULL */
  float *tail;               /* [TILE][k] the last columns, filled up with zeros, or NULL */
  int64_t *column_out;
  float *score_out;
} topn;

static bool better(candidate a, candidate b) {
  return a.score > b.score || (a.score == b.score && a.column < b.column);
}

/* Put c at place i of a heap of n whose root is the worst, and let it sink. */
static void sink(candidate *heap, int64_t n, int64_t i, candidate c) {
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && better(heap[child], heap[child + 1])) child++;
    if (!better(c, heap[child])) break;
    heap[i] = heap[child];
  }
  heap[i] = c;
}

static void offer(candidate *heap, int64_t *held, int64_t room, candidate c) {
  if (*held == room) {
    if (better(c, heap[0])) sink(heap, room, 0, c);
    return;
  }
  int64_t i = (*held)++;
  for (; i > 0 && better(heap[(i - 1) / 2], c); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
  heap[i] = c;
}

/* Turn the heap into a list, best first. */
static void sort_best_first(candidate *heap, int64_t n) {
  for (int64_t i = n / 2 - 1; i >= 0; i--) sink(heap, n, i, heap[i]);
  while (n > 1) {
    candidate worst = heap[0];
    n--;
    sink(heap, n, 0, heap[n]);
    heap[n] = worst;
  }
}

/* NaN out the columns of a tile that the row has seen: NaN is never better than anything. */
static void mask_seen(const topn *t, worker *w, int i, int64_t row, int64_t first, int64_t n) {
  int64_t end = t->seen->start[row - t->seen->first + 1], at = w->seen_at[i];
  for (; at < end && t->seen->entry[at].column < first + n; at++)
    w->score[(size_t)i * TILE + (t->seen->entry[at].column - (size_t)first)] = NAN;
  w->seen_at[i] = at;
}

static void scan_tile(const topn *t, worker *w, int rows, int64_t first, int64_t n) {
  for (int i = 0; i < rows; i++) {
    float *score = w->score + (size_t)i * TILE;
    candidate *heap = w->heap + i * t->room;
    for (int64_t j = 0; t->bias && j < n; j++) score[j] += t->bias[first + j];
    for (int64_t j = 0; j < n; j++) {
      /* most scores end here: not better than the worst one held, or seen */
      if (isnan(score[j]) || (w->held[i] == t->room && !(score[j] > heap[0].score))) continue;
      offer(heap, &w->held[i], t->room, (candidate){score[j], (uint32_t)(first + j)});
    }
  }
}

static void write_row(const topn *t, worker *w, int i, int64_t at) {
  candidate *best = w->heap + i * t->room;
  int64_t row = t->row[at], *column_out = t->column_out + at * t->top, n = w->held[i];
  float *score_out = t->score_out + at * t->top;
  for (int64_t j = 0; j < n; j++) {
    int64_t column = best[j].column;
    best[j].score = t->side == ALS_USERS ? als_model_predict(t->model, row, column)
                                         : als_model_predict(t->model, column, row);
  }
  sort_best_first(best, n);
  for (int64_t j = 0; j < t->top; j++) {
    column_out[j] = j < n ? (int64_t)best[j].column : -1;
    score_out[j] = j < n ? best[j].score : NAN;
  }
}

/* Rows [at, at + rows) of the request. */
static void do_block(const topn *t, worker *w, int64_t at, int rows) {
  int k = t->model->k;
  size_t width = (size_t)k;
  memset(w->x, 0, ALS_TOPN_ROWS * width * sizeof *w->x);
  for (int i = 0; i < rows; i++) {
    int64_t row = t->row[at + i];
    memcpy(w->x + (size_t)i * width, als_model_row(t->model, t->side, row), width * sizeof *w->x);
    w->held[i] = 0;
    w->seen_at[i] = t->seen ? t->seen->start[row - t->seen->first] : 0;
  }
  for (int64_t first = 0; first < t->columns; first += TILE) {
    int64_t n = t->columns - first < TILE ? t->columns - first : TILE;
    const float *y = n < TILE ? t->tail : t->other + (size_t)first * width;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ALS_TOPN_ROWS, TILE, k, 1, w->x, k, y, k,
                0, w->score, TILE);
    for (int i = 0; t->seen && i < rows; i++) mask_seen(t, w, i, t->row[at + i], first, n);
    scan_tile(t, w, rows, first, n);
  }
  for (int i = 0; i < rows; i++) write_row(t, w, i, at + i);
}

static rdd_status worker_new(const topn *t, worker *w, rdd_err *err) {
  w->x = rdd_alloc(ALS_TOPN_ROWS * (size_t)t->model->k, sizeof *w->x);
  w->score = rdd_alloc((size_t)ALS_TOPN_ROWS * TILE, sizeof *w->score);
  w->heap = rdd_alloc(ALS_TOPN_ROWS * (size_t)t->room, sizeof *w->heap);
  if (w->x && w->score && w->heap) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for the best %" PRId64 " of %d rows", t->room,
                 ALS_TOPN_ROWS);
}

static void worker_reset(worker *w) {
  rdd_free(w->x);
  rdd_free(w->score);
  rdd_free(w->heap);
}

static rdd_status fill_tail(topn *t, rdd_err *err) {
  size_t width = (size_t)t->model->k, n = (size_t)(t->columns % TILE);
  if (n == 0) return RDD_OK;
  t->tail = rdd_calloc(TILE * width, sizeof *t->tail);
  if (!t->tail) return rdd_set(err, RDD_ENOMEM, "out of memory for a tile of %d columns", TILE);
  memcpy(t->tail, t->other + ((size_t)t->columns - n) * width, n * width * sizeof *t->tail);
  return RDD_OK;
}

rdd_status als_topn(const als_model *model, int side, const int64_t *row, int64_t n_rows,
                    const als_side *seen, int top, int64_t *column_out, float *score_out,
                    rdd_err *err) {
  const als_factors *other = &model->side[!side];
  topn t = {.model = model, .side = side, .top = top, .row = row, .n_rows = n_rows, .seen = seen};
  t.columns = other->ids->n;
  t.room = top < t.columns ? top : t.columns;
  t.other = rdd_table_data(other->factors);
  t.bias = other->bias ? rdd_table_data(other->bias) : NULL;
  t.column_out = column_out;
  t.score_out = score_out;
  int threads = als_threads();
  int64_t blocks = (n_rows + ALS_TOPN_ROWS - 1) / ALS_TOPN_ROWS;
  if (threads > blocks) threads = blocks > 0 ? (int)blocks : 1;

  rdd_status st = RDD_OK;
  worker *workers = rdd_calloc((size_t)threads, sizeof *workers);
  if (!workers) st = rdd_set(err, RDD_ENOMEM, "out of memory for %d threads", threads);
  for (int i = 0; i < threads && !st; i++) st = worker_new(&t, &workers[i], err);
  if (!st) st = fill_tail(&t, err);
  if (st) goto done;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t b = 0; b < blocks; b++) {
    int64_t at = b * ALS_TOPN_ROWS, left = n_rows - at;
    do_block(&t, &workers[als_thread()], at, left < ALS_TOPN_ROWS ? (int)left : ALS_TOPN_ROWS);
  }
done:
  for (int i = 0; workers && i < threads; i++) worker_reset(&workers[i]);
  rdd_free(workers);
  rdd_free(t.tail);
  return st;
}
