/* Places of relevant items, without sorting the candidates: each relevant item counts those that come
 * before it.
 *
 * Scores of a block of users against a tile of items are one float32 GEMM. Its rounding depends on the
 * BLAS and on where a row stands in the block, so it decides nothing by itself: it is within `slack` of
 * the prediction, and where that is too near to tell the prediction is computed. So places are those of
 * als_model_predict()'s scores, whatever the BLAS, and few candidates need it: those near a relevant item,
 * and those that get into the list. */
#include "mllib/place_impl.h"

#include "rdd/memory.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 1024 };

/* ---- Walking through the entries of a row ---- */

/* The distinct held-out items of a row: item is -1 for one that the model lacks, else they rise. */
typedef struct held {
  const als_entry *next, *end;
  int64_t item; /* INT64_MAX after the last */
  bool relevant;
} held;

static void held_next(const als_placer *p, held *h) {
  if (h->next == h->end) {
    h->item = INT64_MAX;
    return;
  }
  uint32_t column = h->next->column;
  h->relevant = false;
  for (; h->next < h->end && h->next->column == column; h->next++)
    h->relevant |= (double)h->next->value > p->above;
  h->item = p->h->item ? p->h->item[column] : (int64_t)column;
}

static held held_of(const als_placer *p, int64_t row) {
  const als_side *test = p->h->test;
  const int64_t *start = test->start + (row - test->first);
  held h = {.next = test->entry + start[0], .end = test->entry + start[1]};
  held_next(p, &h);
  return h;
}

/* The columns of a row of another side. */
typedef struct cursor {
  const als_entry *next, *end;
} cursor;

static cursor cursor_of(const als_side *side, int64_t row) {
  if (!side) return (cursor){0};
  const int64_t *start = side->start + (row - side->first);
  return (cursor){side->entry + start[0], side->entry + start[1]};
}

/* Move on to the first column that is not below `item`; true where it is that one. */
static bool cursor_at(cursor *c, int64_t item) {
  while (c->next < c->end && c->next->column < item) c->next++;
  return c->next < c->end && c->next->column == item;
}

/* ---- The relevant items ---- */

static int best_first(const void *a, const void *b) {
  const als_relevant *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return (x->item > y->item) - (x->item < y->item);
}

static double norm(const float *x, int k) {
  double sum = 0;
  for (int j = 0; j < k; j++) sum += (double)x[j] * x[j];
  return sqrt(sum);
}

/* Rounding of a sum of k products and of what is added to it, twice over (Higham 2002, section 3.1, with
 * Cauchy and Schwarz for the sum of absolute products), and products that underflow. */
static void bound(const als_placer *p, als_ranked *u) {
  const als_model *model = p->h->model;
  const rdd_table *bias = model->side[ALS_USERS].bias;
  int k = model->k;
  u->constant = model->mean + (bias ? (double)((const float *)rdd_table_data(bias))[u->user] : 0);
  double size = norm(als_model_row(model, ALS_USERS, u->user), k) * p->longest + p->steepest +
                fabs(u->constant);
  u->slack = (k + 8) * (double)FLT_EPSILON * size + k * (double)FLT_MIN;
  u->exactly = p->h->negatives || !(size < (double)FLT_MAX / 4);
}

static float float_above(double x) {
  return nextafterf((float)x, INFINITY);
}

static float float_below(double x) {
  return nextafterf((float)x, -INFINITY);
}

void als_placer_init(als_placer *p, const als_held_out *h, double above, int64_t longest_list) {
  const als_factors *items = &h->model->side[ALS_ITEMS];
  *p = (als_placer){.h = h, .above = above, .items = items->ids->n};
  p->room = longest_list < p->items ? longest_list : p->items;
  p->factor = rdd_table_data(items->factors);
  p->bias = items->bias ? rdd_table_data(items->bias) : NULL;
  for (int64_t i = 0; i < p->items; i++) {
    p->longest = fmax(p->longest, norm(p->factor + (size_t)i * (size_t)h->model->k, h->model->k));
    if (p->bias) p->steepest = fmax(p->steepest, fabs((double)p->bias[i]));
  }
}

void als_placer_prepare(const als_placer *p, int64_t row, als_relevant *room, als_ranked *u) {
  *u = (als_ranked){.row = row, .relevant = room};
  u->user = p->h->user ? p->h->user[row] : row;
  if (u->user < 0) return;
  cursor seen = cursor_of(p->h->seen, row);
  for (held h = held_of(p, row); h.item != INT64_MAX; held_next(p, &h)) {
    if (!h.relevant) continue;
    if (h.item < 0)
      u->cold++;
    else if (cursor_at(&seen, h.item))
      u->seen++;
    else
      room[u->relevants++] = (als_relevant){
          .score = als_model_predict(p->h->model, u->user, h.item), .item = (uint32_t)h.item};
  }
  bound(p, u);
  for (int64_t j = 0; j < u->relevants; j++) {
    double score = (double)room[j].score - u->constant;
    room[j].high = float_above(score + u->slack);
    room[j].low = float_below(score - u->slack);
  }
  qsort(room, (size_t)u->relevants, sizeof *room, best_first);
}

/* ---- Candidates ---- */

/* The first relevant item whose score is below `score`, or also one that equals it. */
static int64_t first_below(const als_ranked *u, float score, bool or_equal) {
  int64_t low = 0, high = u->relevants;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    float s = u->relevant[middle].score;
    if (s < score || (or_equal && s == score))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* Count an irrelevant candidate where its prediction puts it. */
static void count(als_ranked *u, als_candidate c) {
  int64_t equal = first_below(u, c.score, true), end = first_below(u, c.score, false), at = equal;
  for (int64_t high = end; at < high;) { /* those that tie are in the order of items */
    int64_t middle = at + (high - at) / 2;
    if (u->relevant[middle].item > c.item)
      high = middle;
    else
      at = middle + 1;
  }
  if (at < u->relevants) u->relevant[at].before++;
  u->ties += (end - at) - (at - equal);
}

static als_candidate predicted(const als_placer *p, const als_ranked *u, int64_t item) {
  return (als_candidate){als_model_predict(p->h->model, u->user, item), (uint32_t)item};
}

/* From numbers of candidates that are between two relevant items to those before each of them. */
static void add_up(als_ranked *u) {
  for (int64_t j = 1; j < u->relevants; j++) u->relevant[j].before += u->relevant[j - 1].before;
}

/* ---- A tile of scores of one user; what is masked is -INFINITY, below every limit ---- */

/* Relevant items that are held against a tile one by one, each with all scores at a time: faster than
 * looking up each score as long as they are few. */
enum { FEW = 32 };

/* Predictions for a tile, made where they are needed. */
typedef struct exact {
  float *score; /* [TILE], NaN: not known yet */
  bool cleared;
} exact;

static als_candidate predict_once(const als_placer *p, const als_ranked *u, exact *e, int64_t first,
                                  int64_t j) {
  if (!e->cleared)
    for (int i = 0; i < TILE; i++) e->score[i] = NAN;
  e->cleared = true;
  if (isnan(e->score[j])) e->score[j] = predicted(p, u, first + j).score;
  return (als_candidate){e->score[j], (uint32_t)(first + j)};
}

enum { STEP = 128 }; /* scores that are looked at together; divides TILE */

/* The candidates of a tile that come before one relevant item. */
static void count_before(const als_placer *p, als_ranked *u, als_relevant *r, exact *e,
                         const float *score, int64_t first) {
  for (int at = 0; at < TILE; at += STEP) {
    int above = 0, near = 0;
    for (int j = at; j < at + STEP; j++) {
      above += score[j] > r->high;
      near += score[j] >= r->low;
    }
    r->before += above;
    for (int j = at; j < at + STEP && above < near; j++) {
      if (score[j] > r->high || !(score[j] >= r->low)) continue;
      als_candidate c = predict_once(p, u, e, first, j), own = {r->score, r->item};
      near--;
      r->before += als_better(c, own);
      if (c.score == own.score) u->ties += als_better(c, own) ? 1 : -1;
    }
  }
}

/* Look up one score among the relevant items. */
static void look_up(const als_placer *p, als_ranked *u, int64_t item, float score) {
  int64_t at = 0, high = u->relevants; /* the first relevant item that it surely beats */
  while (at < high) {
    int64_t middle = at + (high - at) / 2;
    if (score > u->relevant[middle].high)
      high = middle;
    else
      at = middle + 1;
  }
  if (at > 0 && score >= u->relevant[at - 1].low)
    count(u, predicted(p, u, item));
  else if (at < u->relevants)
    u->relevant[at].before++;
}

static void count_tile(const als_placer *p, als_place_worker *w, als_ranked *u, const float *score,
                       int64_t first) {
  exact e = {.score = w->exact};
  if (u->relevants <= FEW) {
    for (int64_t r = 0; r < u->relevants; r++)
      count_before(p, u, &u->relevant[r], &e, score, first);
    return;
  }
  float low = u->relevant[u->relevants - 1].low;
  for (int64_t j = 0; j < TILE; j++)
    if (score[j] >= low) look_up(p, u, first + j, score[j]);
}

/* A score below this does not get into the list. */
static float list_limit(const als_placer *p, const als_ranked *u) {
  if (u->listed < p->room) return -FLT_MAX;
  return float_below((double)u->list[0].score - u->constant - u->slack);
}

static void list_tile(const als_placer *p, als_ranked *u, const float *score, int64_t first) {
  float limit = list_limit(p, u);
  for (int64_t j = 0; j < TILE; j += STEP) {
    int some = 0;
    for (int i = 0; i < STEP; i++) some += score[j + i] >= limit;
    for (int i = 0; i < STEP && some; i++) {
      if (score[j + i] < limit) continue;
      als_heap_offer(u->list, &u->listed, p->room, predicted(p, u, first + j + i));
      limit = list_limit(p, u);
    }
  }
}

/* ---- A block of users against all items ---- */

/* Mask what is no irrelevant candidate, and count the rest. */
static void mask(als_ranked *u, const als_placer *p, held *h, cursor *seen, float *score,
                 int64_t first, int64_t n) {
  u->irrelevant += n;
  for (; h->item < first + n; held_next(p, h)) {
    if (!h->relevant || h->item < 0) continue;
    score[h->item - first] = -INFINITY;
    u->irrelevant--;
  }
  for (; seen->next < seen->end && seen->next->column < first + n; seen->next++) {
    float *s = &score[seen->next->column - first];
    u->irrelevant -= *s != -INFINITY; /* once, however often it was rated */
    *s = -INFINITY;
  }
}

static void place_block(const als_placer *p, als_place_worker *w, als_ranked *const *users, int n) {
  held at[ALS_PLACE_ROWS];
  cursor seen[ALS_PLACE_ROWS];
  const als_model *model = p->h->model;
  size_t k = (size_t)model->k;
  for (int i = 0; i < n; i++) {
    memcpy(w->x + (size_t)i * k, als_model_row(model, ALS_USERS, users[i]->user), k * sizeof *w->x);
    at[i] = held_of(p, users[i]->row);
    seen[i] = cursor_of(p->h->seen, users[i]->row);
  }
  for (int64_t first = 0; first < p->items; first += TILE) {
    int64_t columns = p->items - first < TILE ? p->items - first : TILE;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, (int)columns, model->k, 1, w->x,
                model->k, p->factor + (size_t)first * k, model->k, 0, w->score, TILE);
    for (int i = 0; i < n; i++) {
      float *score = w->score + (size_t)i * TILE;
      for (int64_t j = 0; p->bias && j < columns; j++) score[j] += p->bias[first + j];
      for (int64_t j = columns; j < TILE; j++) score[j] = -INFINITY;
      mask(users[i], p, &at[i], &seen[i], score, first, columns);
      count_tile(p, w, users[i], score, first);
      list_tile(p, users[i], score, first);
    }
  }
  for (int i = 0; i < n; i++)
    if (users[i]->relevants > FEW) add_up(users[i]);
}

/* ---- One user, candidate by candidate: given negatives, or numbers too large for float32 sums ---- */

static void place_exactly(const als_placer *p, als_ranked *u) {
  bool given = p->h->negatives != NULL;
  held h = held_of(p, u->row);
  cursor seen = cursor_of(p->h->seen, u->row), negative = cursor_of(p->h->negatives, u->row);
  for (int64_t item = 0;; item++) {
    while (h.item < item) held_next(p, &h);
    if (given) {
      (void)cursor_at(&negative, item);
      item = negative.next < negative.end ? (int64_t)negative.next->column : INT64_MAX;
      if (h.item < item) item = h.item;
    }
    if (item >= p->items) break;
    if (cursor_at(&seen, item) || (h.item == item && h.relevant)) continue;
    als_candidate c = predicted(p, u, item);
    u->irrelevant++;
    count(u, c);
    als_heap_offer(u->list, &u->listed, p->room, c);
  }
  add_up(u);
}

void als_placer_place(const als_placer *p, als_place_worker *w, als_ranked *const *users, int n) {
  als_ranked *together[ALS_PLACE_ROWS];
  int rows = 0;
  for (int i = 0; i < n; i++) {
    als_ranked *u = users[i];
    u->list = w->heap + i * p->room;
    for (int64_t j = 0; j < u->relevants; j++)
      als_heap_offer(u->list, &u->listed, p->room,
                     (als_candidate){u->relevant[j].score, u->relevant[j].item});
    if (u->exactly)
      place_exactly(p, u);
    else
      together[rows++] = u;
  }
  if (rows) place_block(p, w, together, rows);
}

rdd_status als_place_worker_new(const als_placer *p, als_place_worker *w, rdd_err *err) {
  w->x = rdd_alloc(ALS_PLACE_ROWS * (size_t)p->h->model->k, sizeof *w->x);
  w->score = rdd_alloc((size_t)ALS_PLACE_ROWS * TILE, sizeof *w->score);
  w->exact = rdd_alloc(TILE, sizeof *w->exact);
  w->heap = rdd_alloc(ALS_PLACE_ROWS * (size_t)p->room, sizeof *w->heap);
  if (w->x && w->score && w->exact && w->heap) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for the scores of %d users", ALS_PLACE_ROWS);
}

void als_place_worker_reset(als_place_worker *w) {
  rdd_free(w->x);
  rdd_free(w->score);
  rdd_free(w->exact);
  rdd_free(w->heap);
}
