/* The share of each rating in a prediction. See explain.h.
 *
 * One solve does it: z = A^-1 y_i, and then the share of rating j is t_j (y_j . z). */
#include "mllib/explain.h"

#include "mllib/gram_impl.h"
#include "mllib/normal_impl.h"
#include "mllib/solver_impl.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct explanation {
  const als_model *model;
  const als_params *params;
  als_system system;
  int64_t user, item, n;
  als_entry *entry; /* [n] as the fit saw them */
  double *gram;     /* or NULL */
  double *x, *z;    /* [width] the user solved exactly; A^-1 y_i */
  double ridge;
} explanation;

static void reset(explanation *e) {
  rdd_free(e->entry);
  rdd_free(e->gram);
  rdd_free(e->x);
  rdd_free(e->z);
}

static float bias_of(const als_model *model, int side, int64_t row) {
  const rdd_table *bias = model->side[side].bias;
  return bias ? ((const float *)rdd_table_data(bias))[row] : 0;
}

/* The factors of an item, and the 1 of the user's bias where that is an unknown. */
static void factors_of(const explanation *e, int64_t item, double *out) {
  const als_entry entry = {.column = (uint32_t)item};
  als_gather(&e->system, &entry, out);
}

/* The ratings as the fit saw them: biases that are taken off first are off. */
static void take_off(explanation *e, const als_entry *rating) {
  const als_model *m = e->model;
  double base = bias_of(m, ALS_USERS, e->user);
  memcpy(e->entry, rating, (size_t)e->n * sizeof *e->entry);
  if (!e->params->bias || e->params->update_bias) return;
  for (int64_t i = 0; i < e->n; i++) {
    als_entry *entry = &e->entry[i];
    double bias = base + bias_of(m, ALS_ITEMS, entry->column);
    entry->value = (float)(entry->value - (m->mean + bias));
  }
}

/* What all ranks do together. */
static rdd_status prepare(explanation *e, rdd_comm *comm, rdd_err *err) {
  const als_params *params = e->params;
  const als_factors *items = &e->model->side[ALS_ITEMS];
  double w = als_loss_of_all(&params->loss);
  size_t k = (size_t)e->model->k, width = k + params->update_bias,
         lines = (size_t)als_kernels_width(ALS_DOUBLE, e->model->k);
  rdd_status st = RDD_OK;
  e->system = (als_system){.k = e->model->k,
                           .width = (int)width,
                           .loss = params->loss,
                           .factors = rdd_table_data(items->factors),
                           .bias = params->update_bias ? rdd_table_data(items->bias) : NULL,
                           .mean = params->update_bias ? e->model->mean : 0,
                           .longest = e->n};
  e->entry = rdd_alloc((size_t)e->n, sizeof *e->entry);
  e->x = rdd_calloc(width, sizeof *e->x);
  e->z = rdd_calloc(width, sizeof *e->z);
  e->gram = rdd_alloc(w == 0 ? 0 : lines * lines, sizeof *e->gram);
  if (!e->entry || !e->x || !e->z || !e->gram)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the equations of one user");
  st = rdd_agree(comm, st, err);
  if (st || w == 0) return st;
  st = als_gram(comm, e->system.factors, items->ids->n, e->model->k, w, NULL, e->gram, err);
  e->system.gram = e->gram;
  return st;
}

static rdd_status singular(const explanation *e, rdd_err *err) {
  char text[ALS_ID_TEXT];
  return rdd_set(err, RDD_ESINGULAR,
                 "user %s: its normal equations are not positive definite with %" PRId64
                 " rating%s, rank %d and regularisation %g",
                 als_ids_text(e->model->side[ALS_USERS].ids, e->user, text), e->n,
                 e->n == 1 ? "" : "s", e->model->k, e->params->reg[ALS_USERS]);
}

/* The user, where factors have to be 0 or more: which of them are above 0 decides what counts. */
static rdd_status solve_nonnegative(explanation *e, rdd_err *err) {
  void *scratch = NULL;
  als_row row = {.entry = e->entry, .n = e->n, .ridge = e->ridge, .x = e->x};
  rdd_status st = als_nnls.open(&e->system, &scratch, err);
  if (st) return st;
  als_nnls.solve(scratch, &e->system, &row, 1);
  als_nnls.close(scratch);
  return row.singular ? singular(e, err) : RDD_OK;
}

/* Leave an unknown out of the equations: it becomes 0, whatever the others are. */
static void leave_out(als_normal *ne, double ridge, int unknown) {
  size_t w = (size_t)ne->w, j = (size_t)unknown;
  for (size_t i = 0; i < (size_t)ne->width; i++) ne->a[j * w + i] = ne->a[i * w + j] = 0;
  ne->a[j * w + j] = 1 - ridge;
  ne->b[j] = 0;
}

/* z = A^-1 y_i. */
static rdd_status solve(explanation *e, rdd_err *err) {
  als_normal ne = {0};
  rdd_status st = als_normal_init(&ne, e->system.width, err);
  if (st) return st;
  if (e->params->nonnegative) st = solve_nonnegative(e, err);
  if (st) goto done;
  als_normal_clear(&ne, &e->system);
  als_normal_add(&ne, &e->system, e->entry, e->n);
  factors_of(e, e->item, ne.b);
  for (int j = 0; e->params->nonnegative && j < e->system.width; j++)
    if (!(e->x[j] > 0)) leave_out(&ne, e->ridge, j);
  if (als_normal_solve(&ne, e->ridge, e->z) != 0) st = singular(e, err);
done:
  als_normal_reset(&ne);
  return st;
}

static int most_first(const void *a, const void *b) {
  const als_share *x = a, *y = b;
  if (x->contribution != y->contribution) return x->contribution < y->contribution ? 1 : -1;
  if (x->item != y->item) return (x->item > y->item) - (x->item < y->item);
  return (x->rating > y->rating) - (x->rating < y->rating);
}

/* Rank 0. */
static rdd_status explain(explanation *e, const als_entry *rating, als_explanation *out,
                          rdd_err *err) {
  rdd_status st = RDD_OK;
  als_share *share = rdd_alloc((size_t)e->n, sizeof *share);
  if (!share)
    return rdd_set(err, RDD_ENOMEM, "out of memory for the shares of %" PRId64 " ratings", e->n);
  take_off(e, rating);
  /* a user of whom no rating counts is zeros, and z stays zeros */
  if (als_row_ridge(e->params, ALS_USERS, e->model->side[ALS_ITEMS].ids->n, e->entry, e->n,
                    &e->ridge))
    st = solve(e, err);
  if (st) {
    rdd_free(share);
    return st;
  }
  out->base = e->model->mean + bias_of(e->model, ALS_ITEMS, e->item);
  if (!e->params->update_bias) out->base += bias_of(e->model, ALS_USERS, e->user);
  out->total = out->base;
  for (int64_t i = 0; i < e->n; i++) {
    als_term term = als_system_term(&e->system, &e->entry[i]);
    const double *z = e->z;
    double along = 0;
    factors_of(e, e->entry[i].column, e->x);
    for (int j = 0; j < e->system.width; j++) along += e->x[j] * z[j];
    share[i] = (als_share){e->entry[i].column, rating[i].value, term.c, term.t * along};
    out->total += share[i].contribution;
  }
  qsort(share, (size_t)e->n, sizeof *share, most_first);
  out->share = share;
  out->n = e->n;
  out->stored = als_model_predict(e->model, e->user, e->item);
  return RDD_OK;
}

rdd_status als_explain(rdd_comm *comm, const als_model *model, const als_params *params,
                       int64_t user, int64_t item, const als_entry *rating, int64_t n,
                       als_explanation *out, rdd_err *err) {
  explanation e = {.model = model, .params = params, .user = user, .item = item};
  e.n = comm->rank == 0 ? n : 0;
  *out = (als_explanation){0};
  rdd_status st = prepare(&e, comm, err);
  if (st) goto done;
  if (comm->rank == 0) st = explain(&e, rating, out, err);
  st = rdd_agree(comm, st, err);
done:
  reset(&e);
  return st;
}
