/* One half-step: every row of a side, solved against the other side. */
#include "mllib/als.h"

#include "mllib/exchange_impl.h"
#include "mllib/gram_impl.h"
#include "mllib/kernels_impl.h"
#include "mllib/solver_impl.h"
#include "mllib/threads_impl.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SUM_RATINGS, SUM_PAIRS, SUM_REG, SUMS };

/* Own scratch and findings of one thread. */
typedef struct worker {
  void *scratch; /* of the solver */
  double *x;     /* [ALS_BATCH_ROWS][width, padded with zeros] */
  double *gx;    /* [8][width, padded] scratch */
  als_row batch[ALS_BATCH_ROWS];
  int64_t at[ALS_BATCH_ROWS]; /* the dense index of each row of the batch */
  int rows;                   /* in it */
  int64_t failed_row;         /* lowest own row that has no solution, or INT64_MAX */
  bool singular;              /* that is why; else its solution does not fit float32 */
} worker;

typedef struct half_step {
  als_system system;
  const als_solver_kind *solver;
  const als_params *params;
  const als_side *ratings;
  int side;
  int64_t columns;         /* of the other side */
  float *own;              /* factors that are written, whole table */
  float *bias;             /* biases that are written, or NULL */
  double *gram;            /* owned, or NULL */
  double *partial;         /* [own blocks][SUMS] */
  int64_t first;           /* own block */
  const als_factors *rows; /* the side that is written */
  int workers;
  worker *worker;
  double gram_seconds, solve_seconds; /* of this rank alone */
} half_step;

static void reset(half_step *h) {
  for (int t = 0; h->worker && t < h->workers; t++) {
    h->solver->close(h->worker[t].scratch);
    rdd_free(h->worker[t].x);
    rdd_free(h->worker[t].gx);
  }
  rdd_free(h->worker);
  rdd_free(h->partial);
  rdd_free(h->gram);
}

static const als_solver_kind *solver_of(const als_params *params) {
  if (params->nonnegative) return &als_nnls;
  return params->solver == ALS_CG         ? &als_cg
         : params->solver == ALS_SUBSPACE ? &als_subspace
                                          : &als_cholesky;
}

static rdd_status open_workers(half_step *h, rdd_err *err) {
  size_t padded = (size_t)als_kernels_width(ALS_DOUBLE, h->system.width);
  h->workers = als_threads();
  h->worker = rdd_calloc((size_t)h->workers, sizeof *h->worker);
  if (!h->worker) return rdd_set(err, RDD_ENOMEM, "out of memory for %d threads", h->workers);
  for (int t = 0; t < h->workers; t++) {
    worker *w = &h->worker[t];
    w->failed_row = INT64_MAX;
    w->x = rdd_calloc(ALS_BATCH_ROWS * padded, sizeof *w->x);
    w->gx = rdd_alloc(8 * padded, sizeof *w->gx);
    if (!w->x || !w->gx) return rdd_set(err, RDD_ENOMEM, "out of memory for a batch of rows");
    rdd_status st = h->solver->open(&h->system, &w->scratch, err);
    if (st) return st;
  }
  return RDD_OK;
}

/* ---- Rows ---- */

bool als_row_ridge(const als_params *params, int side, int64_t columns, const als_entry *entry,
                   int64_t n, double *ridge_out) {
  const als_loss *loss = &params->loss;
  int64_t counted = loss->mode == ALS_EXPLICIT ? n : 0;
  if (loss->mode != ALS_EXPLICIT)
    for (int64_t i = 0; i < n; i++) counted += entry[i].value > 0;
  double count = (double)counted, scale = 1;
  if (loss->mode == ALS_IALS) count += loss->unobserved * (double)columns;
  if (params->reg_exponent != 0)
    scale = params->reg_exponent == 1 ? count : pow(count, params->reg_exponent);
  *ridge_out = fmin(fmax(params->reg[side] * scale, params->min_ridge), DBL_MAX);
  return counted > 0;
}

static void store_row(half_step *h, int64_t row, const double *x) {
  float *out = h->own + (size_t)row * (size_t)h->system.k;
  als_wire wire = h->params->wire;
  for (int j = 0; j < h->system.k; j++) out[j] = x ? als_wire_round(wire, (float)x[j]) : 0;
  if (h->bias) h->bias[row] = x ? als_wire_round(wire, (float)x[h->system.k]) : 0;
}

static void load_row(const half_step *h, int64_t row, double *x) {
  const float *in = h->own + (size_t)row * (size_t)h->system.k;
  for (int j = 0; j < h->system.k; j++) x[j] = in[j];
  if (h->bias) x[h->system.k] = h->bias[row];
}

double als_form(const double *matrix, int stride, const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += als_dot(matrix + (size_t)i * (size_t)stride, x, n) * x[i];
  return sum;
}

/* pairs[i] = x'Gx of the batch's rows, eight at a time: G is read once for all of them. */
static void make_pairs(half_step *h, worker *w, double *pairs) {
  int padded = als_kernels_width(ALS_DOUBLE, h->system.width);
  for (int i = 0; i < w->rows; i++) {
    const double *x = w->batch[i].x;
    if (i % 8 == 0) {
      memset(w->gx, 0, 8 * (size_t)padded * sizeof *w->gx);
      als_kernels_get(ALS_DOUBLE)->multiply(x, h->gram, padded, w->gx);
    }
    pairs[i] = als_dot(x, w->gx + i % 8 * padded, h->system.width);
  }
}

/* Solve the batch, store its rows and add to the sums. */
static void solve_batch(half_step *h, worker *w, double sum[SUMS]) {
  double pairs[ALS_BATCH_ROWS] = {0};
  h->solver->solve(w->scratch, &h->system, w->batch, w->rows);
  if (h->gram) make_pairs(h, w, pairs);
  for (int i = 0; i < w->rows; i++) {
    const als_row *row = &w->batch[i];
    double norm = als_dot(row->x, row->x, h->system.width);
    if (row->singular || !isfinite(als_wire_round(h->params->wire, (float)sqrt(norm)))) {
      if (w->at[i] < w->failed_row) {
        w->failed_row = w->at[i];
        w->singular = row->singular;
      }
      continue;
    }
    store_row(h, w->at[i], row->x);
    double data = row->p - 2 * row->x_b + row->x_a_x - row->ridge * norm - pairs[i];
    /* rounding can take an exact fit below zero */
    sum[SUM_RATINGS] += data > 0 || h->system.loss.mode == ALS_IMPLICIT ? data : 0;
    sum[SUM_PAIRS] += pairs[i];
    sum[SUM_REG] += row->ridge * norm;
  }
  w->rows = 0;
}

static void add_row(half_step *h, worker *w, int64_t at, double sum[SUMS]) {
  const als_side *side = h->ratings;
  int64_t begin = side->start[at - side->first], n = side->start[at - side->first + 1] - begin;
  double ridge;
  if (!als_row_ridge(h->params, h->side, h->columns, side->entry + begin, n, &ridge)) {
    store_row(h, at, NULL);
    return;
  }
  als_row *row = &w->batch[w->rows];
  *row = (als_row){.entry = side->entry + begin,
                   .n = n,
                   .ahead = side->start[side->rows] - begin - n,
                   .ridge = ridge};
  row->x = w->x + w->rows * als_kernels_width(ALS_DOUBLE, h->system.width);
  load_row(h, at, row->x);
  w->at[w->rows++] = at;
  if (w->rows == ALS_BATCH_ROWS) solve_batch(h, w, sum);
}

/* Blocks [first, end) of this rank's. */
static void solve_own_rows(half_step *h, int64_t first, int64_t end) {
  const als_blocks *blocks = &h->ratings->blocks;
#pragma omp parallel for schedule(dynamic, 1) num_threads(h->workers)
  for (int64_t b = first; b < end; b++) {
    worker *w = &h->worker[als_thread()];
    double sum[SUMS] = {0};
    int64_t row = b * blocks->block_rows, last = row + blocks->block_rows;
    if (last > blocks->rows) last = blocks->rows;
    for (; row < last; row++) add_row(h, w, row, sum);
    solve_batch(h, w, sum);
    memcpy(h->partial + (b - h->first) * SUMS, sum, sizeof sum);
    if (als_thread() == 0) als_exchange_poll(h->rows);
  }
}

/* Name the lowest row without a solution, if there is one. */
static rdd_status check_rows(const half_step *h, const als_model *model, rdd_err *err) {
  const als_side *ratings = h->ratings;
  const worker *worst = &h->worker[0];
  char text[ALS_ID_TEXT], too_large[48];
  for (int t = 1; t < h->workers; t++)
    if (h->worker[t].failed_row < worst->failed_row) worst = &h->worker[t];
  int64_t row = worst->failed_row, i = row - ratings->first;
  if (row == INT64_MAX) return RDD_OK;
  int64_t n = ratings->start[i + 1] - ratings->start[i];
  snprintf(too_large, sizeof too_large, "factors are too large for %s",
           als_wire_name(h->params->wire));
  rdd_set(err, RDD_ESINGULAR,
          "%s %s: its %s with %" PRId64 " rating%s, rank %d and regularisation %g; %s",
          h->side == ALS_USERS ? "user" : "item", als_ids_text(model->side[h->side].ids, row, text),
          worst->singular ? "normal equations are not positive definite" : too_large, n,
          n == 1 ? "" : "s", h->system.k, h->params->reg[h->side],
          worst->singular ? "raise --reg-param or give --min-ridge"
                          : "scale the ratings, raise --reg-param or give --min-ridge");
  err->detail[0] = h->side;
  err->detail[1] = row;
  return RDD_ESINGULAR;
}

/* ---- The half-step ---- */

/* What all rows share. The Gram matrix is collective, as far as the loss asks for it. */
static rdd_status prepare(half_step *h, rdd_comm *comm, const als_model *model, rdd_err *err) {
  const als_params *params = h->params;
  const als_factors *other = &model->side[!h->side];
  double w = als_loss_of_all(&params->loss);
  size_t lines = (size_t)als_kernels_width(ALS_DOUBLE, model->k);
  rdd_status st = RDD_OK;
  h->columns = other->ids->n;
  h->solver = solver_of(params);
  h->system = (als_system){.k = model->k,
                           .width = model->k + params->update_bias,
                           .loss = params->loss,
                           .factors = rdd_table_data(other->factors),
                           .bias = params->update_bias ? rdd_table_data(other->bias) : NULL,
                           .mean = params->update_bias ? model->mean : 0,
                           .precision = params->precision,
                           .cg_steps = params->cg_steps,
                           .block = params->block};
  for (int64_t r = 0; r < h->ratings->rows; r++) {
    int64_t n = h->ratings->start[r + 1] - h->ratings->start[r];
    if (n > h->system.longest) h->system.longest = n;
  }
  h->own = rdd_table_data(model->side[h->side].factors);
  if (params->update_bias) h->bias = rdd_table_data(model->side[h->side].bias);
  if (w == 0) return RDD_OK;
  h->gram = rdd_alloc(lines * lines, sizeof *h->gram);
  if (!h->gram) st = rdd_set(err, RDD_ENOMEM, "out of memory for a Gram matrix");
  st = rdd_agree(comm, st, err);
  double start = als_own_seconds(comm);
  if (!st)
    st = als_gram(comm, h->system.factors, h->columns, model->k, w, als_exchange_owners(other),
                  h->gram, err);
  h->gram_seconds = als_own_seconds(comm) - start;
  h->system.gram = h->gram;
  return st;
}

/* Solve the own rows group by group, and send each while the next is solved. A rank that cannot solve sends
 * all the same, since the others wait for it. Collective. */
static void solve_and_send(half_step *h, rdd_comm *comm, bool solve) {
  int groups = als_exchange_groups(h->rows);
  for (int g = 0; g < groups; g++) {
    const als_blocks *blocks = &h->ratings->blocks;
    int64_t first = als_exchange_block(h->rows, blocks, comm->rank, g);
    double start = rdd_seconds();
    if (solve) solve_own_rows(h, first, als_exchange_block(h->rows, blocks, comm->rank, g + 1));
    h->solve_seconds += rdd_seconds() - start;
    als_exchange_send(comm, h->rows, h->system.k, g);
  }
  als_exchange_send(comm, h->rows, h->system.k, groups);
}

rdd_status als_half_step(rdd_comm *comm, const als_side *ratings, int side,
                         const als_params *params, als_model *model, als_sums *sums_out,
                         rdd_err *err) {
  const als_blocks *blocks = &ratings->blocks;
  int64_t own_blocks = blocks->owner[comm->rank + 1] - blocks->owner[comm->rank];
  half_step h = {.params = params, .ratings = ratings, .side = side};
  h.first = blocks->owner[comm->rank];
  h.rows = &model->side[side];
  double sum[SUMS];
  int64_t *begin = rdd_alloc((size_t)comm->size + 1, sizeof *begin);
  h.partial = rdd_alloc((size_t)own_blocks, SUMS * sizeof *h.partial);
  rdd_status st = RDD_OK;
  if (!begin || !h.partial) st = rdd_set(err, RDD_ENOMEM, "out of memory for a half-step");
  st = rdd_agree(comm, st, err);
  if (!st) st = prepare(&h, comm, model, err);
  if (st) goto done;
  st = open_workers(&h, err);
  solve_and_send(&h, comm, st == RDD_OK);
  if (!st) st = check_rows(&h, model, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  /* only `side` was written and only the other side was read, so one sync serves both */
  als_exchange_publish(comm, blocks, h.rows, model->k, h.bias != NULL, begin);
  st = als_blocks_sum(blocks, comm, h.partial, SUMS, sum, err);
  if (!st && sums_out)
    *sums_out = (als_sums){.ratings = sum[SUM_RATINGS],
                           .pairs = sum[SUM_PAIRS],
                           .reg = sum[SUM_REG],
                           .gram_seconds = h.gram_seconds,
                           .solve_seconds = h.solve_seconds};
done:
  reset(&h);
  rdd_free(begin);
  return st;
}
