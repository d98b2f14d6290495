/* Top-N by tiles.                                                               See topn.h.
 *
 *   ROWS x k  times  k x TILE  ->  ROWS x TILE scores, which stay in the L2 cache
 *
 * A row holds a list of candidates and a bar. Scores of a tile that are not above the bar end in one
 * comparison, 64 at a time; the others go into the list. When that is full it is pruned to the best N and
 * those that may still be as good, and the bar is raised.
 *
 * The bar. With u = 2^-24 a GEMM's score s differs from the prediction p, less what all columns of the row
 * have in common, by at most
 *
 *   e = (k + 10) u (|x| max|y| + max|bias| + |common|)
 *
 * for any order of its sums, with the rounding of p to float. When N scores are >= s_N, N predictions are
 * >= s_N - e, and a column that beats one of these has s >= s_N - 2 e. So the bar is just below that.
 * Where too many candidates are within 2 e of each other (columns of zeros, twins), they are scored
 * exactly on the way, and the bar is that of the exact N-th. */
#include "mllib/topn.h"

#include "mllib/heap_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/memory.h"

#include <cblas.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A tile of scores is 512 KiB. */
enum { ROWS = 512, TILE = 256, GROUP = 64, SLACK = 32, LIST_BYTES = 1 << 24 };

/* The candidates of a row. */
typedef struct list {
  als_candidate *at; /* [capacity] */
  int64_t n, row;
  float bar;     /* only scores above it are candidates */
  double margin; /* 2 e */
  double common; /* of the predictions of this row: mean and its bias */
  bool exact;    /* scores in `at` are predictions */
  float worst;   /* exact: what has to be beaten */
  bool empty;    /* it has no direction */
  bool huge;     /* the GEMM may overflow: every column is scored exactly */
  int64_t seen_at, seen_end;
} list;

/* Scratch of one thread. */
typedef struct worker {
  float *x;          /* [ROWS][k] rows, gathered */
  float *y;          /* [TILE][k] columns, where they have to be gathered; or NULL */
  float *bias;       /* [TILE] of the columns, or NULL */
  float *score;      /* [ROWS][TILE] */
  als_candidate *at; /* [block_rows][capacity] */
  list list[ROWS];
} worker;

struct als_topn {
  als_topn_query query;
  int k, threads;
  int64_t columns;          /* to consider */
  int64_t room;             /* places of a list: top, or all columns where they are fewer */
  int64_t capacity;         /* of a list with those that may be as good */
  int64_t block_rows;       /* rows at a time */
  const float *own, *other; /* factors of rows and of columns */
  const float *bias;        /* of the columns, or NULL */
  int64_t *with_direction;  /* cosine: the columns to consider; owned */
  double *norm;             /* cosine: of the rows of this side; owned */
  double longest, widest;   /* largest |y| and |bias| of all columns to consider */
  worker *worker;           /* [threads] */
};

/* ---- Candidates ---- */

static float predict(const als_topn *t, int64_t row, int64_t column) {
  const als_topn_query *q = &t->query;
  if (q->cosine) return als_model_cosine(q->model, q->side, row, column);
  return q->side == ALS_USERS ? als_model_predict(q->model, row, column)
                              : als_model_predict(q->model, column, row);
}

/* A float that is surely below x. */
static float below(double x) {
  return nextafterf((float)x, -INFINITY);
}

/* Bring the best `keep` of n >= keep candidates to the front, as a heap with the worst of them first. */
static void split_best(als_candidate *at, int64_t n, int64_t keep) {
  for (int64_t i = keep / 2 - 1; i >= 0; i--) als_heap_sink(at, keep, i, at[i]);
  for (int64_t i = keep; i < n; i++) {
    als_candidate c = at[i];
    if (!als_better(c, at[0])) continue;
    at[i] = at[0];
    als_heap_sink(at, keep, 0, c);
  }
}

static void score_exactly(const als_topn *t, list *l) {
  for (int64_t i = 0; i < l->n; i++) l->at[i].score = predict(t, l->row, l->at[i].item);
  l->exact = true;
}

/* Keep what can be among the best of a list with more than that, and raise the bar. */
static void prune(const als_topn *t, list *l) {
  float bar;
  if (!l->exact) {
    split_best(l->at, l->n, t->room);
    /* without a margin scores are predictions: later columns have to be better, not as good */
    bar = l->margin > 0 ? below(l->at[0].score - l->margin) : l->at[0].score;
    if (bar > l->bar) l->bar = bar;
    int64_t kept = t->room;
    for (int64_t i = kept; i < l->n; i++)
      if (l->at[i].score > l->bar) l->at[kept++] = l->at[i];
    l->n = kept;
    if (kept <= t->room + (t->capacity - t->room) / 2) return;
    score_exactly(t, l);
  }
  split_best(l->at, l->n, t->room);
  l->n = t->room;
  l->worst = l->at[0].score;
  bar = below(l->worst - l->common - l->margin);
  if (bar > l->bar) l->bar = bar;
}

static void take(const als_topn *t, list *l, als_candidate c) {
  if (!(c.score > l->bar)) return; /* it was raised meanwhile */
  if (l->exact) {
    c.score = predict(t, l->row, c.item);
    if (!(c.score > l->worst)) return;
  }
  l->at[l->n++] = c;
  if (l->n == t->capacity) prune(t, l);
}

/* Which of GROUP scores are above the bar: bit i for score[i]. */
static uint64_t above(const float *score, float bar) {
  uint64_t mask = 0;
#ifdef __SSE2__
  const __m128 limit = _mm_set1_ps(bar);
  for (int i = 0; i < GROUP; i += 16) {
    __m128i a = _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(score + i), limit));
    __m128i b = _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(score + i + 4), limit));
    __m128i c = _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(score + i + 8), limit));
    __m128i d = _mm_castps_si128(_mm_cmpgt_ps(_mm_loadu_ps(score + i + 12), limit));
    __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
    mask |= (uint64_t)_mm_movemask_epi8(bytes) << i;
  }
#else
  for (int i = 0; i < GROUP; i++) mask |= (uint64_t)(score[i] > bar) << i;
#endif
  return mask;
}

/* ---- Tiles ---- */

static int64_t column_at(const als_topn *t, int64_t place) {
  return t->query.column ? t->query.column[place] : place;
}

/* Place of a column in [first, first + n), or -1. */
static int64_t place_of(const als_topn *t, int64_t column, int64_t first, int64_t n) {
  if (!t->query.column) return column >= first && column < first + n ? column : -1;
  int64_t end = first + n, low = first, high = end;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (t->query.column[middle] < column)
      low = middle + 1;
    else
      high = middle;
  }
  return low < end && t->query.column[low] == column ? low : -1;
}

/* Take out what the row has seen, and for cosines the row itself: -INFINITY is above no bar. */
static void mask_tile(const als_topn *t, const als_seen *seen, list *l, float *score, int64_t first,
                      int64_t n) {
  int64_t last = column_at(t, first + n - 1), place;
  for (; l->seen_at < l->seen_end && seen->column[l->seen_at] <= last; l->seen_at++) {
    place = place_of(t, seen->column[l->seen_at], first, n);
    if (place >= 0) score[place - first] = -INFINITY;
  }
  if (!t->query.cosine) return;
  place = place_of(t, l->row, first, n);
  if (place >= 0) score[place - first] = -INFINITY;
}

/* Columns [first, first + n) as a matrix. */
static const float *tile_of(const als_topn *t, worker *w, int64_t first, int64_t n) {
  size_t width = (size_t)t->k;
  if (!w->y) return t->other + (size_t)first * width;
  for (int64_t j = 0; j < n; j++) {
    int64_t column = column_at(t, first + j);
    const float *restrict from = t->other + (size_t)column * width;
    float *restrict to = w->y + (size_t)j * width;
    if (t->norm)
      for (size_t i = 0; i < width; i++) to[i] = (float)(from[i] / t->norm[column]);
    else
      memcpy(to, from, width * sizeof *to);
  }
  return w->y;
}

/* Scores of `rows` rows for columns [first, first + n). */
static void score_tile(const als_topn *t, worker *w, int rows, int64_t first, int64_t n) {
  const float *y = tile_of(t, w, first, n);
  if (t->bias) {
    for (int64_t j = 0; j < n; j++) w->bias[j] = t->bias[column_at(t, first + j)];
    for (int i = 0; i < rows; i++)
      memcpy(w->score + (size_t)i * TILE, w->bias, (size_t)n * sizeof *w->bias);
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, (int)n, t->k, 1, w->x, t->k, y, t->k,
              t->bias ? 1 : 0, w->score, TILE);
}

static void scan_row(const als_topn *t, list *l, const float *score, int64_t first, int64_t n) {
  for (int64_t j = 0; j < n; j += GROUP)
    for (uint64_t mask = above(score + j, l->bar); mask; mask &= mask - 1) {
      int64_t at = j + __builtin_ctzll(mask);
      take(t, l, (als_candidate){score[at], (uint32_t)column_at(t, first + at)});
    }
}

/* ---- Rows ---- */

static double norm_of(const float *x, int k) {
  double squares = 0;
  for (int j = 0; j < k; j++) squares += (double)x[j] * x[j];
  return sqrt(squares);
}

static void begin_row(const als_topn *t, worker *w, int i, int64_t row, const als_seen *seen,
                      int64_t at) {
  const als_model *model = t->query.model;
  const float *from = t->own + (size_t)row * (size_t)t->k;
  float *to = w->x + (size_t)i * (size_t)t->k;
  const rdd_table *bias = model->side[t->query.side].bias;
  double length = norm_of(from, t->k), common = 0;
  list *l = &w->list[i];
  *l = (list){.at = w->at + i * t->capacity, .row = row};
  if (seen) {
    l->seen_at = seen->start[at];
    l->seen_end = seen->start[at + 1];
  }
  if (t->query.cosine) {
    for (int j = 0; j < t->k; j++) to[j] = length > 0 ? (float)(from[j] / length) : 0;
    l->empty = !(length > 0);
    length = 1;
  } else {
    memcpy(to, from, (size_t)t->k * sizeof *to);
    common = model->mean + (bias ? ((const float *)rdd_table_data(bias))[row] : 0);
  }
  double most = length * t->longest + t->widest + fabs(common);
  l->common = common;
  l->margin = 2 * ((t->k + 10) * (double)FLT_EPSILON / 2 * most + t->k * (double)FLT_MIN);
  if (length == 0 && !t->bias) l->margin = 0; /* 0 for all columns, exactly */
  l->huge = l->exact = !(most < (double)FLT_MAX / 4);
  l->worst = -INFINITY;
  l->bar = t->query.threshold > -INFINITY ? below(t->query.threshold - common - l->margin)
                                          : -INFINITY;
}

/* All columns of a row, without the GEMM. */
static void scan_exactly(const als_topn *t, list *l, const als_seen *seen) {
  for (int64_t place = 0; place < t->columns; place++) {
    int64_t column = column_at(t, place);
    while (l->seen_at < l->seen_end && seen->column[l->seen_at] < column) l->seen_at++;
    if (l->seen_at < l->seen_end && seen->column[l->seen_at] == column) continue;
    if (t->query.cosine && column == l->row) continue;
    l->bar = -INFINITY;
    take(t, l, (als_candidate){0, (uint32_t)column});
  }
}

static void end_row(const als_topn *t, list *l, int64_t *column_out, float *score_out) {
  int64_t n = 0;
  if (l->n > t->room) prune(t, l);
  if (!l->exact) score_exactly(t, l);
  int64_t kept = l->n < t->room ? l->n : t->room;
  split_best(l->at, l->n, kept);
  als_heap_sort(l->at, kept);
  for (; n < kept && (double)l->at[n].score >= t->query.threshold; n++) {
    column_out[n] = l->at[n].item;
    score_out[n] = l->at[n].score;
  }
  for (; n < t->query.top; n++) {
    column_out[n] = -1;
    score_out[n] = NAN;
  }
}

/* Rows [at, at + rows) of the request. */
static void do_block(const als_topn *t, worker *w, const int64_t *row, const als_seen *seen,
                     int64_t at, int rows, int64_t *column_out, float *score_out) {
  int64_t top = t->query.top;
  for (int i = 0; i < rows; i++) begin_row(t, w, i, row[at + i], seen, at + i);
  for (int64_t first = 0; first < t->columns; first += TILE) {
    int64_t n = t->columns - first < TILE ? t->columns - first : TILE;
    score_tile(t, w, rows, first, n);
    for (int i = 0; i < rows; i++) {
      float *score = w->score + (size_t)i * TILE;
      if (w->list[i].empty || w->list[i].huge) continue;
      for (int64_t j = n; j % GROUP; j++) score[j] = -INFINITY;
      mask_tile(t, seen, &w->list[i], score, first, n);
      scan_row(t, &w->list[i], score, first, n);
    }
  }
  for (int i = 0; i < rows; i++) {
    list *l = &w->list[i];
    if (l->huge && !l->empty) scan_exactly(t, l, seen);
    end_row(t, l, column_out + (at + i) * top, score_out + (at + i) * top);
  }
}

/* Rows of a block: fewer where there are few, so that all threads get some. */
static int64_t rows_at_a_time(const als_topn *t, int64_t n_rows) {
  int64_t share = (n_rows + t->threads - 1) / t->threads;
  return share < 1 ? 1 : share < t->block_rows ? share : t->block_rows;
}

void als_topn_rows(als_topn *t, const int64_t *row, int64_t n_rows, const als_seen *seen,
                   int64_t *column_out, float *score_out) {
  int64_t step = rows_at_a_time(t, n_rows), blocks = (n_rows + step - 1) / step;
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->threads)
  for (int64_t b = 0; b < blocks; b++) {
    int64_t at = b * step, left = n_rows - at;
    do_block(t, &t->worker[als_thread()], row, seen, at, (int)(left < step ? left : step),
             column_out, score_out);
  }
}

/* ---- Before the first row ---- */

static rdd_status worker_new(const als_topn *t, worker *w, rdd_err *err) {
  size_t k = (size_t)t->k;
  bool gathers = t->query.column || t->query.cosine;
  w->x = rdd_alloc((size_t)t->block_rows * k, sizeof *w->x);
  w->score = rdd_alloc((size_t)t->block_rows * TILE, sizeof *w->score);
  w->at = rdd_alloc((size_t)t->block_rows * (size_t)t->capacity, sizeof *w->at);
  if (gathers) w->y = rdd_alloc(TILE * k, sizeof *w->y);
  if (t->bias) w->bias = rdd_alloc(TILE, sizeof *w->bias);
  if (w->x && w->score && w->at && (w->y || !gathers) && (w->bias || !t->bias)) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for the best %" PRId64 " of %" PRId64 " rows",
                 t->room, t->block_rows);
}

static void worker_reset(worker *w) {
  rdd_free(w->x);
  rdd_free(w->y);
  rdd_free(w->bias);
  rdd_free(w->score);
  rdd_free(w->at);
}

/* Norms of all rows, and the columns to consider that have a direction. */
static rdd_status find_directions(als_topn *t, rdd_err *err) {
  int64_t n = t->query.model->side[t->query.side].ids->n, kept = 0;
  t->norm = rdd_alloc((size_t)n, sizeof *t->norm);
  t->with_direction = rdd_alloc((size_t)t->columns, sizeof *t->with_direction);
  if (!t->norm || !t->with_direction)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " norms", n);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; i++) t->norm[i] = norm_of(t->own + (size_t)i * (size_t)t->k, t->k);
  for (int64_t place = 0; place < t->columns; place++) {
    int64_t column = column_at(t, place);
    if (t->norm[column] > 0) t->with_direction[kept++] = column;
  }
  t->query.column = t->with_direction;
  t->columns = kept;
  t->longest = 1;
  return RDD_OK;
}

/* What bounds the rounding of all scores. */
static void find_longest(als_topn *t) {
  double longest = 0, widest = 0;
#pragma omp parallel for schedule(static) reduction(max : longest, widest)
  for (int64_t place = 0; place < t->columns; place++) {
    int64_t column = column_at(t, place);
    double length = norm_of(t->other + (size_t)column * (size_t)t->k, t->k);
    if (length > longest) longest = length;
    if (t->bias && fabs((double)t->bias[column]) > widest) widest = fabs((double)t->bias[column]);
  }
  t->longest = longest;
  t->widest = widest;
}

/* How long lists are, and so how many of them there is room for. */
static void plan_lists(als_topn *t) {
  t->room = t->query.top < t->columns ? t->query.top : t->columns;
  if (t->room < 1) t->room = 1;
  t->capacity = 2 * t->room + SLACK;
  if (t->capacity > t->columns + 1) t->capacity = t->columns + 1;
  t->block_rows = LIST_BYTES / (t->capacity * (int64_t)sizeof(als_candidate));
  if (t->block_rows > ROWS) t->block_rows = ROWS;
  if (t->block_rows < 1) t->block_rows = 1;
}

rdd_status als_topn_open(const als_topn_query *query, als_topn **out, rdd_err *err) {
  const als_factors *own = &query->model->side[query->side];
  const als_factors *other = query->cosine ? own : &query->model->side[!query->side];
  rdd_status st = RDD_OK;
  als_topn *t = rdd_calloc(1, sizeof *t);
  if (!t) return rdd_set(err, RDD_ENOMEM, "out of memory for lists");
  t->query = *query;
  t->k = query->model->k;
  t->threads = als_threads();
  t->columns = query->column ? query->columns : other->ids->n;
  t->own = rdd_table_data(own->factors);
  t->other = rdd_table_data(other->factors);
  if (other->bias && !query->cosine) t->bias = rdd_table_data(other->bias);
  if (query->cosine)
    st = find_directions(t, err);
  else
    find_longest(t);
  plan_lists(t);
  if (!st) t->worker = rdd_calloc((size_t)t->threads, sizeof *t->worker);
  if (!st && !t->worker) st = rdd_set(err, RDD_ENOMEM, "out of memory for %d threads", t->threads);
  for (int i = 0; i < t->threads && !st; i++) st = worker_new(t, &t->worker[i], err);
  if (st) {
    als_topn_close(t);
    return st;
  }
  *out = t;
  return RDD_OK;
}

void als_topn_close(als_topn *t) {
  if (!t) return;
  for (int i = 0; t->worker && i < t->threads; i++) worker_reset(&t->worker[i]);
  rdd_free(t->worker);
  rdd_free(t->with_direction);
  rdd_free(t->norm);
  rdd_free(t);
}
