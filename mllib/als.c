/* The half-step, and the iterations made of it. */
#include "mllib/als.h"

#include "mllib/bias_impl.h"
#include "mllib/normal.h"
#include "mllib/threads_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

/* ---- One half-step ---- */

enum { SUM_ERROR, SUM_NORM, SUMS };

/* Own scratch and findings of one thread. */
typedef struct worker {
  als_normal ne;
  double *x;            /* [k] a solution */
  int64_t singular_row; /* lowest own row that has no solution, or INT64_MAX */
} worker;

typedef struct half_step {
  const als_side *ratings;
  double reg_param;
  int k;
  const float *other; /* factors that are read */
  float *own;         /* factors that are written, whole table */
  double *partial;    /* [own blocks][SUMS] */
  int workers;
  worker *worker;
} half_step;

static void workers_free(half_step *h) {
  for (int t = 0; h->worker && t < h->workers; t++) {
    als_normal_reset(&h->worker[t].ne);
    rdd_free(h->worker[t].x);
  }
  rdd_free(h->worker);
}

static rdd_status workers_new(half_step *h, rdd_err *err) {
  h->workers = als_threads();
  h->worker = rdd_calloc((size_t)h->workers, sizeof *h->worker);
  if (!h->worker) return rdd_set(err, RDD_ENOMEM, "out of memory for %d threads", h->workers);
  for (int t = 0; t < h->workers; t++) {
    worker *w = &h->worker[t];
    rdd_status st = als_normal_init(&w->ne, h->k, err);
    if (st) return st;
    w->x = rdd_alloc((size_t)h->k, sizeof *w->x);
    if (!w->x) return rdd_set(err, RDD_ENOMEM, "out of memory for a row of %d factors", h->k);
    w->singular_row = INT64_MAX;
  }
  return RDD_OK;
}

/* Solve one row; add its squared error and n |x|^2 to sum. A row without ratings is all zeros, the
 * limit of small penalties.
 *
 * The error comes out of the solve: with A x = b and A = G + ridge I,
 *   sum (r - f'x)^2 = sum r^2 - 2 x'b + x'G x = sum r^2 - x'b - ridge x'x. */
static void solve_row(half_step *h, worker *w, int64_t row, double sum[SUMS]) {
  const als_side *side = h->ratings;
  int64_t begin = side->start[row - side->first], n = side->start[row - side->first + 1] - begin;
  float *out = h->own + (size_t)row * (size_t)h->k;
  if (n == 0) {
    memset(out, 0, (size_t)h->k * sizeof *out);
    return;
  }
  double ridge = (double)n * h->reg_param, along = 0, norm = 0;
  als_normal_clear(&w->ne);
  als_normal_add(&w->ne, side->entry + begin, n, h->other);
  int info = als_normal_solve(&w->ne, ridge, w->x);
  if (info == 0) {
    for (int j = 0; j < h->k; j++) {
      along += w->x[j] * w->ne.rhs[j];
      norm += w->x[j] * w->x[j];
      out[j] = (float)w->x[j];
    }
  }
  if (info != 0 || !isfinite(norm) || !isfinite((float)sqrt(norm))) {
    if (row < w->singular_row) w->singular_row = row;
    return;
  }
  double error = w->ne.squares - along - ridge * norm;
  sum[SUM_ERROR] += error > 0 ? error : 0; /* rounding can take an exact fit below zero */
  sum[SUM_NORM] += (double)n * norm;
}

static void solve_own_rows(half_step *h, int rank) {
  const als_blocks *blocks = &h->ratings->blocks;
  int64_t first = blocks->owner[rank], end = blocks->owner[rank + 1];
#pragma omp parallel for schedule(dynamic, 1) num_threads(h->workers)
  for (int64_t b = first; b < end; b++) {
    double sum[SUMS] = {0};
    int64_t row = b * blocks->block_rows, last = row + blocks->block_rows;
    if (last > blocks->rows) last = blocks->rows;
    for (; row < last; row++) solve_row(h, &h->worker[als_thread()], row, sum);
    memcpy(h->partial + (b - first) * SUMS, sum, sizeof sum);
  }
}

/* Name the lowest row without a solution, if there is one. */
static rdd_status check_rows(const half_step *h, const als_model *model, int side, rdd_err *err) {
  const als_side *ratings = h->ratings;
  int64_t row = INT64_MAX;
  char text[ALS_ID_TEXT];
  for (int t = 0; t < h->workers; t++)
    if (h->worker[t].singular_row < row) row = h->worker[t].singular_row;
  if (row == INT64_MAX) return RDD_OK;
  int64_t i = row - ratings->first, n = ratings->start[i + 1] - ratings->start[i];
  rdd_set(err, RDD_ESINGULAR,
          "the normal equations of %s %s (dense index %" PRId64 ", ratings: %" PRId64
          ") are not positive definite with rank %d and regularisation %g; raise --reg-param",
          side == ALS_USERS ? "user" : "item", als_ids_text(model->side[side].ids, row, text), row,
          n, h->k, h->reg_param);
  err->detail[0] = side;
  err->detail[1] = row;
  return RDD_ESINGULAR;
}

rdd_status als_half_step(rdd_comm *comm, const als_side *ratings, int side, double reg_param,
                         als_model *model, double *error_out, double *norm_out, rdd_err *err) {
  const als_blocks *blocks = &ratings->blocks;
  int64_t own_blocks = blocks->owner[comm->rank + 1] - blocks->owner[comm->rank];
  rdd_table *table = model->side[side].factors;
  half_step h = {.ratings = ratings, .reg_param = reg_param, .k = model->k};
  h.other = rdd_table_data(model->side[!side].factors);
  h.own = rdd_table_data(table);
  double sum[SUMS];

  int64_t *begin = rdd_alloc((size_t)comm->size + 1, sizeof *begin);
  h.partial = rdd_alloc((size_t)own_blocks, SUMS * sizeof *h.partial);
  rdd_status st = RDD_OK;
  if (!begin || !h.partial) st = rdd_set(err, RDD_ENOMEM, "out of memory for a half-step");
  if (!st) st = workers_new(&h, err);
  if (!st) {
    solve_own_rows(&h, comm->rank);
    st = check_rows(&h, model, side, err);
  }
  st = rdd_agree(comm, st, err);
  if (st) goto done;

  /* only `side` was written and only the other side was read, so one sync serves both */
  for (int r = 0; r <= comm->size; r++)
    begin[r] = als_blocks_row(blocks, r) * h.k * (int64_t)sizeof(float);
  rdd_table_sync(table, begin);
  st = als_blocks_sum(blocks, comm, h.partial, SUMS, sum, err);
  if (st) goto done;
  if (error_out) *error_out = sum[SUM_ERROR];
  if (norm_out) *norm_out = sum[SUM_NORM];
done:
  workers_free(&h);
  rdd_free(h.partial);
  rdd_free(begin);
  return st;
}

/* ---- The fit ---- */

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static rdd_status check_params(const als_params *params, const als_model *model, rdd_err *err) {
  if (params->rank < 1 || params->rank > ALS_MAX_RANK)
    return rdd_set(err, RDD_EUSAGE, "rank is %d; it has to be 1 to %d", params->rank, ALS_MAX_RANK);
  if (params->rank != model->k)
    return rdd_set(err, RDD_EUSAGE, "rank is %d, but the model has %d factors", params->rank,
                   model->k);
  if (params->max_iter < 0)
    return rdd_set(err, RDD_EUSAGE, "the number of iterations is %d; it has to be 0 or more",
                   params->max_iter);
  const struct {
    const char *name;
    double value;
  } amount[] = {{"regularisation", params->reg_param},
                {"bias regularisation", params->bias_reg},
                {"tolerance", params->tol}};
  for (size_t i = 0; i < sizeof amount / sizeof *amount; i++)
    if (!(amount[i].value >= 0 && isfinite(amount[i].value)))
      return rdd_set(err, RDD_EUSAGE, "the %s is %g; it has to be finite and 0 or more",
                     amount[i].name, amount[i].value);
  if (params->bias && !(model->side[ALS_USERS].bias && model->side[ALS_ITEMS].bias))
    return rdd_set(err, RDD_EUSAGE, "the model has no room for biases");
  return RDD_OK;
}

/* Floats as integers of the same order, so that an integer allreduce finds the extremes. */
static int64_t order_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? -(int64_t)(bits & 0x7fffffff) : (int64_t)bits;
}

static float value_of(int64_t order) {
  uint32_t bits = order < 0 ? (uint32_t)-order | 0x80000000u : (uint32_t)order;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void set_extremes(rdd_comm *comm, const als_side *side, als_model *model) {
  int64_t extreme[2] = {INT64_MAX, INT64_MAX}; /* the lowest, and minus the highest */
  for (int64_t e = 0; e < side->start[side->rows]; e++) {
    int64_t order = order_of(side->entry[e].value);
    if (order < extreme[0]) extreme[0] = order;
    if (-order < extreme[1]) extreme[1] = -order;
  }
  rdd_allreduce(comm, extreme, 2, RDD_MIN);
  model->rating_min = value_of(extreme[0]);
  model->rating_max = value_of(-extreme[1]);
}

/* One half-step, with what the job wants done before it. */
static rdd_status half_step_with(rdd_comm *comm, const als_problem *problem, int side, double reg,
                                 als_model *model, const als_hooks *hooks, als_iteration *out,
                                 double *error_out, double *norm_out, rdd_err *err) {
  if (hooks->before) {
    rdd_status st = hooks->before(hooks->arg, out->iteration, side, err);
    st = rdd_agree(comm, st, err);
    if (st) return st;
  }
  return als_half_step(comm, &problem->side[side], side, reg, model, error_out, norm_out, err);
}

/* Items, then users, as Spark has it. */
static rdd_status iterate(rdd_comm *comm, const als_problem *problem, const als_params *params,
                          als_model *model, const als_hooks *hooks, als_iteration *out,
                          rdd_err *err) {
  double start = seconds_now(), error, norm[2];
  double n = (double)problem->ratings, reg = params->reg_param;
  rdd_status st = half_step_with(comm, problem, ALS_ITEMS, reg, model, hooks, out, NULL,
                                 &norm[ALS_ITEMS], err);
  if (st) return st;
  st = half_step_with(comm, problem, ALS_USERS, reg, model, hooks, out, &error, &norm[ALS_USERS],
                      err);
  if (st) return st;
  out->rmse_train = sqrt(error / n);
  out->objective = error + reg * (norm[ALS_USERS] + norm[ALS_ITEMS]);
  out->rmse_test = NAN;
  if (problem->test) {
    als_error test;
    st = als_evaluate(comm, model, problem->test, false, &test, err);
    if (st) return st;
    out->rmse_test = sqrt(test.squared / (double)test.n);
  }
  out->seconds = seconds_now() - start;
  return RDD_OK;
}

/* True where the last iteration made brought too little. Asked before each iteration, so that a fit
 * that is resumed stops where the undisturbed one did. */
static bool converged(const als_iteration *history, int made, double tol) {
  if (made < 2 || tol <= 0) return false;
  double before = history[made - 2].objective;
  return before - history[made - 1].objective <= tol * before;
}

static rdd_status check_start(int start, const als_params *params, rdd_err *err) {
  if (start >= 0 && start <= params->max_iter) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE,
                 "the fit is to go on after iteration %d; it has to be 0 to %d, the number of "
                 "iterations",
                 start, params->max_iter);
}

rdd_status als_fit(rdd_comm *comm, als_problem *problem, const als_params *params, als_model *model,
                   int start, const als_hooks *hooks, als_iteration *history, int *done_out,
                   rdd_err *err) {
  static const als_hooks none = {NULL, NULL, NULL};
  if (!hooks) hooks = &none;
  rdd_status st = check_params(params, model, err); /* the same on all ranks */
  if (!st) st = check_start(start, params, err);
  if (st) return st;
  if (problem->ratings < 1) return rdd_set(err, RDD_EDATA, "there are no ratings to train on");
  set_extremes(comm, &problem->side[ALS_USERS], model);
  model->mean = 0;
  if (params->bias) {
    st = als_bias_fit(comm, problem, params->bias_reg, model, err);
    if (st) return st;
  }
  int made = start;
  bool stop = false;
  while (made < params->max_iter && !stop && !converged(history, made, params->tol)) {
    history[made].iteration = made + 1;
    st = iterate(comm, problem, params, model, hooks, &history[made], err);
    if (st) return st;
    made++;
    if (hooks->after) st = hooks->after(hooks->arg, comm, model, history, made, &stop, err);
    if (st) return st;
  }
  *done_out = made;
  return RDD_OK;
}

/* ---- The fingerprint ---- */

uint64_t als_fingerprint(rdd_comm *comm, const als_model *model, const als_side *by_user) {
  const als_ids *users = model->side[ALS_USERS].ids, *items = model->side[ALS_ITEMS].ids;
  uint64_t sum = 0; /* of integers, so in any order */
#pragma omp parallel for schedule(static) reduction(+ : sum) num_threads(als_threads())
  for (int64_t r = 0; r < by_user->rows; r++) {
    uint64_t user = als_ids_hash(users, by_user->first + r);
    for (int64_t e = by_user->start[r]; e < by_user->start[r + 1]; e++) {
      uint32_t bits;
      memcpy(&bits, &by_user->entry[e].value, sizeof bits);
      sum += rdd_mix64_2(rdd_mix64_2(user, als_ids_hash(items, by_user->entry[e].column)), bits);
    }
  }
  int64_t all = (int64_t)sum;
  rdd_allreduce(comm, &all, 1, RDD_SUM);
  return (uint64_t)all;
}
