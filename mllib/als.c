/* The iterations. */
#include "mllib/als.h"

#include "mllib/bias_impl.h"
#include "mllib/exchange_impl.h"
#include "mllib/metrics.h"
#include "mllib/threads_impl.h"
#include "rdd/clock.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- The fit ---- */

als_params als_params_default(void) {
  return (als_params){.rank = 10,
                      .max_iter = 10,
                      .loss = {.alpha = 1},
                      .reg = {0.1, 0.1},
                      .reg_exponent = 1,
                      .cg_steps = 3,
                      .block = 64,
                      .bias_reg = 5,
                      .balance = true};
}

static rdd_status check_amounts(const als_params *params, rdd_err *err) {
  const struct {
    const char *name;
    double value;
  } amount[] = {{"regularisation of users", params->reg[ALS_USERS]},
                {"regularisation of items", params->reg[ALS_ITEMS]},
                {"exponent of the regularisation", params->reg_exponent},
                {"smallest ridge", params->min_ridge},
                {"bias regularisation", params->bias_reg},
                {"alpha", params->loss.alpha},
                {"weight of unobserved pairs", params->loss.unobserved},
                {"tolerance", params->tol}};
  for (size_t i = 0; i < sizeof amount / sizeof *amount; i++)
    if (!(amount[i].value >= 0 && isfinite(amount[i].value)))
      return rdd_set(err, RDD_EUSAGE, "the %s is %g; it has to be finite and 0 or more",
                     amount[i].name, amount[i].value);
  return RDD_OK;
}

/* What does not go together. */
static rdd_status check_modes(const als_params *params, rdd_err *err) {
  bool implicit = params->loss.mode != ALS_EXPLICIT;
  if (implicit && params->bias)
    return rdd_set(err, RDD_EUSAGE, "biases are for explicit ratings: implicit ones have no mean");
  if (params->update_bias && !params->bias)
    return rdd_set(err, RDD_EUSAGE, "biases that are fitted in the iterations need biases");
  if (params->nonnegative && params->update_bias)
    return rdd_set(err, RDD_EUSAGE,
                   "nonnegative factors and biases fitted in the iterations do not go together");
  if (params->nonnegative && params->solver != ALS_CHOLESKY)
    return rdd_set(err, RDD_EUSAGE, "nonnegative factors are solved exactly; leave the solver");
  if (params->precision == ALS_SINGLE && (params->nonnegative || params->solver == ALS_SUBSPACE))
    return rdd_set(err, RDD_EUSAGE,
                   "nonnegative factors and the subspace solver are in double precision alone");
  if (params->solver == ALS_CG && params->cg_steps < 1)
    return rdd_set(err, RDD_EUSAGE, "the number of CG steps is %d; it has to be 1 or more",
                   params->cg_steps);
  if (params->solver == ALS_SUBSPACE && params->block < 1)
    return rdd_set(err, RDD_EUSAGE, "the subspace's block is %d; it has to be 1 or more",
                   params->block);
  return RDD_OK;
}

rdd_status als_params_check(const als_params *params, rdd_err *err) {
  if (params->rank < 1 || params->rank > ALS_MAX_RANK)
    return rdd_set(err, RDD_EUSAGE, "rank is %d; it has to be 1 to %d", params->rank, ALS_MAX_RANK);
  if (params->max_iter < 0)
    return rdd_set(err, RDD_EUSAGE, "the number of iterations is %d; it has to be 0 or more",
                   params->max_iter);
  rdd_status st = check_amounts(params, err);
  return st ? st : check_modes(params, err);
}

static rdd_status check_model(const als_params *params, const als_model *model, rdd_err *err) {
  if (params->rank != model->k)
    return rdd_set(err, RDD_EUSAGE, "rank is %d, but the model has %d factors", params->rank,
                   model->k);
  if (params->bias && !(model->side[ALS_USERS].bias && model->side[ALS_ITEMS].bias))
    return rdd_set(err, RDD_EUSAGE, "the model has no room for biases");
  return RDD_OK;
}

static rdd_status check_problem(const als_problem *problem, const als_params *params,
                                rdd_err *err) {
  if (problem->ratings < 1) return rdd_set(err, RDD_EDATA, "there are no ratings to train on");
  if ((problem->validation != NULL) != (problem->watch != ALS_OBJECTIVE))
    return rdd_set(err, RDD_EUSAGE, "a validation part and what is watched over it go together");
  if (problem->watch == ALS_RMSE && params->loss.mode != ALS_EXPLICIT)
    return rdd_set(err, RDD_EUSAGE,
                   "the RMSE of validation says nothing about implicit ratings; watch the NDCG");
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

/* A fit on its way. */
typedef struct fit {
  rdd_comm *comm;
  als_problem *problem;
  const als_params *params;
  als_model *model;
  const als_hooks *hooks;
  als_iteration *history;
  int made; /* iterations */
  bool stop;
  als_best *best; /* with validation, else NULL */
} fit;

/* One half-step, with what the job wants done before it. */
static rdd_status half_step_with(const fit *f, int side, const als_params *params,
                                 const als_iteration *now, als_sums *sums_out, rdd_err *err) {
  if (f->hooks->before) {
    rdd_status st = f->hooks->before(f->hooks->arg, now->iteration, side, err);
    st = rdd_agree(f->comm, st, err);
    if (st) return st;
  }
  return als_half_step(f->comm, &f->problem->side[side], side, params, f->model, sums_out, err);
}

/* RMSE over ratings that are not trained on; NaN where there are none. Collective. */
static rdd_status error_over(const fit *f, const als_side *by_user, double *rmse_out,
                             rdd_err *err) {
  als_error error;
  *rmse_out = NAN;
  if (!by_user) return RDD_OK;
  rdd_status st = als_evaluate(f->comm, f->model, by_user, false, &error, err);
  if (!st && error.n > 0) *rmse_out = sqrt(error.squared / (double)error.n);
  return st;
}

static rdd_status watch_error(const fit *f, double *rmse_out, rdd_err *err) {
  rdd_status st = error_over(f, f->problem->validation, rmse_out, err);
  if (st || !isnan(*rmse_out)) return st;
  return rdd_set(err, RDD_EDATA,
                 "no validation rating has both a user and an item that the training part knows");
}

static rdd_status watch_lists(const fit *f, double *ndcg_out, rdd_err *err) {
  static const int cutoff = ALS_WATCHED_CUTOFF;
  const als_ranking_options options = {.cutoff = &cutoff, .cutoffs = 1};
  const als_held_out held_out = {
      .model = f->model, .test = f->problem->validation, .seen = &f->problem->side[ALS_USERS]};
  als_ranking ranking;
  rdd_status st = als_rank_held_out(f->comm, &held_out, &options, &ranking, err);
  if (st) return st;
  *ndcg_out = ranking.at[0].ndcg;
  if (ranking.users > 0) return RDD_OK;
  return rdd_set(err, RDD_EDATA,
                 "no validation rating is above 0, of a user and an item that the training part "
                 "knows, and not in that part itself");
}

static rdd_status evaluate(const fit *f, als_iteration *out, rdd_err *err) {
  out->rmse_validation = out->ndcg_validation = NAN;
  rdd_status st = error_over(f, f->problem->test, &out->rmse_test, err);
  if (st) return st;
  if (f->problem->watch == ALS_RMSE) st = watch_error(f, &out->rmse_validation, err);
  if (f->problem->watch == ALS_NDCG) st = watch_lists(f, &out->ndcg_validation, err);
  return st;
}

/* ---- Balance ---- */

/* This node's copy of a table, each of its ranks a share: rows that are of an earlier iteration, too. */
static void scale_table(const rdd_comm *comm, rdd_table *table, float scale) {
  float *x = rdd_table_data(table);
  int64_t n = (int64_t)(rdd_table_size(table) / sizeof *x);
  int64_t first = n * comm->node_rank / comm->node_size;
  int64_t end = n * (comm->node_rank + 1) / comm->node_size;
#pragma omp parallel for simd schedule(static) num_threads(als_threads())
  for (int64_t i = first; i < end; i++) x[i] *= scale;
}

/* Scale both sides so that their regularisation, the factors' part, is the same: of all c, users times c and
 * items over c, the one with the least sum, c^2 users + items / c^2. It comes before an iteration and not after
 * it, so that in a model that is done the users are what their equations say of these items. And it looks at
 * nothing but factors, so that a fit goes on from a model as it does from its own iterations.  Collective. */
static rdd_status balance(const fit *f, rdd_err *err) {
  double reg[2];
  rdd_status st = als_regularisation(f->comm, f->problem, f->params, f->model, reg, err);
  if (st) return st;
  double c = sqrt(sqrt(reg[ALS_ITEMS] / reg[ALS_USERS]));
  float scale[2] = {[ALS_USERS] = (float)c, [ALS_ITEMS] = (float)(1 / c)};
  if (!(isfinite(scale[0]) && isfinite(scale[1]))) return RDD_OK; /* a side has none */
  rdd_barrier(f->comm); /* nobody reads rows of the iteration before any more */
  for (int side = 0; side < 2; side++)
    scale_table(f->comm, f->model->side[side].factors, scale[side]);
  rdd_barrier(f->comm);
  return RDD_OK;
}

/* ---- Iterations ---- */

/* Items, then users, as Spark has it; into the next row of the history. */
static rdd_status iterate(fit *f, const als_params *params, bool exact, rdd_err *err) {
  double start = rdd_seconds();
  als_iteration *out = &f->history[f->made];
  als_sums items, users;
  *out = (als_iteration){.iteration = f->made + 1, .exact = exact, .rmse_train = NAN};
  rdd_status st = params->balance ? balance(f, err) : RDD_OK;
  if (!st) st = half_step_with(f, ALS_ITEMS, params, out, &items, err);
  if (!st) st = half_step_with(f, ALS_USERS, params, out, &users, err);
  if (st) return st;
  out->loss_ratings = users.ratings;
  out->loss_pairs = users.pairs;
  out->loss_reg = users.reg + items.reg;
  out->objective = out->loss_ratings + out->loss_pairs + out->loss_reg;
  if (params->loss.mode == ALS_EXPLICIT)
    out->rmse_train = sqrt(users.ratings / (double)f->problem->ratings);
  out->gram_seconds = items.gram_seconds + users.gram_seconds;
  out->solve_seconds = items.solve_seconds + users.solve_seconds;
  double tested = als_own_seconds(f->comm);
  st = evaluate(f, out, err);
  if (st) return st;
  out->test_seconds = als_own_seconds(f->comm) - tested;
  als_exchanged exchanged = als_exchange_take(f->model);
  out->exchange_bytes = exchanged.bytes;
  out->exchange_seconds = exchanged.seconds;
  out->seconds = rdd_seconds() - start;
  f->made++;
  if (f->best && als_best_iteration(f->problem->watch, f->history, f->made) == f->made)
    als_best_keep(f->best, f->comm, f->problem, f->model, f->made);
  if (f->hooks->after)
    st = f->hooks->after(f->hooks->arg, f->comm, f->model, f->history, f->made, &f->stop, err);
  return st;
}

/* What is watched, as a number that falls as it gets better. */
static double cost_of(als_watch watch, const als_iteration *i) {
  return watch == ALS_OBJECTIVE ? i->objective
         : watch == ALS_RMSE    ? i->rmse_validation
                                : -i->ndcg_validation;
}

int als_best_iteration(als_watch watch, const als_iteration *history, int made) {
  if (watch == ALS_OBJECTIVE) return made;
  int best = 1;
  for (int i = 2; i <= made; i++)
    if (cost_of(watch, &history[i - 1]) < cost_of(watch, &history[best - 1])) best = i;
  return best;
}

/* It is asked before each iteration, so that a fit that is resumed stops where the undisturbed one did. */
bool als_converged(const als_params *params, als_watch watch, const als_iteration *history,
                   int made) {
  if (made < 2 || params->tol <= 0) return false;
  double before = cost_of(watch, &history[0]);
  for (int i = 1; i < made - 1; i++) before = fmin(before, cost_of(watch, &history[i]));
  return before - cost_of(watch, &history[made - 1]) <= params->tol * fabs(before);
}

static rdd_status check_start(int start, const als_params *params, rdd_err *err) {
  if (start >= 0 && start <= params->max_iter) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE,
                 "the fit is to go on after iteration %d; it has to be 0 to %d, the number of "
                 "iterations",
                 start, params->max_iter);
}

/* The mean and the biases, and residuals where they stay as they are. Biases that are fitted in the
 * iterations begin there, too; a fit that is resumed has them. */
static rdd_status fit_biases(rdd_comm *comm, als_problem *problem, const als_params *params,
                             als_model *model, int start, rdd_err *err) {
  if (!params->bias) model->mean = 0;
  if (!params->bias || (params->update_bias && start > 0)) return RDD_OK;
  rdd_status st = als_bias_fit(comm, problem, params->bias_reg, model, err);
  if (!st && !params->update_bias) als_bias_take_off(problem, model);
  return st;
}

/* Where the best iteration is kept; a fit that is resumed has one already. */
static rdd_status open_best(fit *f, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (!f->problem->validation) return RDD_OK;
  f->best = f->problem->best;
  if (!f->best) st = als_best_new(f->comm, f->model, f->params, &f->best, err);
  if (st || f->made == 0) return st;
  int best = als_best_iteration(f->problem->watch, f->history, f->made);
  if (best == f->made)
    als_best_keep(f->best, f->comm, f->problem, f->model, best);
  else if (f->best->iteration != best)
    st = rdd_set(
        err, RDD_EUSAGE,
        "the fit is to go on after iteration %d, but the factors of iteration %d, the best "
        "so far, are missing",
        f->made, best);
  return st;
}

/* The model of the best iteration, if it is another one now. */
static void take_best(const fit *f) {
  if (f->best && f->made > 0 && f->best->iteration != f->made)
    als_best_restore(f->best, f->comm, f->problem, f->model);
}

/* All iterations that are left, and the exact one. */
static rdd_status iterate_to_end(fit *f, rdd_err *err) {
  const als_params *params = f->params;
  rdd_status st = RDD_OK;
  while (!st && f->made < params->max_iter && !f->stop &&
         !als_converged(params, f->problem->watch, f->history, f->made))
    st = iterate(f, params, false, err);
  if (st) return st;
  take_best(f);
  if (!params->final_exact || params->solver == ALS_CHOLESKY || f->made == 0 || f->stop)
    return RDD_OK;
  als_params exact = *params;
  exact.solver = ALS_CHOLESKY;
  st = iterate(f, &exact, true, err);
  if (!st) take_best(f);
  return st;
}

rdd_status als_fit(rdd_comm *comm, als_problem *problem, const als_params *params, als_model *model,
                   int start, const als_hooks *hooks, als_iteration *history, int *done_out,
                   rdd_err *err) {
  static const als_hooks none = {NULL, NULL, NULL};
  fit f = {.comm = comm,
           .problem = problem,
           .params = params,
           .model = model,
           .hooks = hooks ? hooks : &none,
           .history = history,
           .made = start};
  rdd_status st = als_params_check(params, err); /* the same on all ranks */
  if (!st) st = check_model(params, model, err);
  if (!st) st = check_start(start, params, err);
  if (!st) st = check_problem(problem, params, err);
  if (st) return st;
  set_extremes(comm, &problem->side[ALS_USERS], model);
  st = fit_biases(comm, problem, params, model, start, err);
  if (!st) st = als_exchange_open(comm, problem, params, model, err);
  if (!st) st = open_best(&f, err);
  if (!st) st = iterate_to_end(&f, err);
  if (!st) als_model_make_whole(model, comm);
  als_exchange_close(model);
  if (!problem->best) als_best_free(f.best);
  if (!st) *done_out = f.made;
  return st;
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
