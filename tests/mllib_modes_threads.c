/* Every loss with every solver: half-steps are those of a dense oracle, the objective that they get from
 * their solves is the one that is summed rating by rating, it never rises, and the bits of a fit depend
 * neither on the ranks nor on the threads. */
#include "mllib/als.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/oracle.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { USERS = 60, ITEMS = 35, K = 9, STEPS = 6 };

/* Ratings of -1 to 5, some of them twice, some rows heavy and some of one rating. */
static void draw(int users, int items, int64_t seed, fx_list *list) {
  fx_random random;
  fx_seed(&random, seed);
  for (int u = 0; u < users; u++) {
    int n = u % 7 == 0 ? 150 : 1 + u % 11;
    for (int i = 0; i < n; i++) {
      int item = (int)(fx_float(&random) * (float)items);
      fx_add(list, u, item, floorf(fx_float(&random) * 7) - 1);
    }
  }
}

#define COMMON                                                                                     \
  .rank = K, .max_iter = STEPS, .reg = {0.2, 0.1}, .cg_steps = 3, .block = 4, .bias_reg = 5
#define COUNT    COMMON, .reg_exponent = 1
#define IMPLICIT COUNT, .loss = {ALS_IMPLICIT, .alpha = 2}
#define WIDE     COMMON, .reg_exponent = 0.5, .loss = {ALS_IALS, .unobserved = 0.3}
#define SINGLE   .precision = ALS_SINGLE
#define BIASES   COUNT, .bias = true, .update_bias = true
static const als_params modes[] = {
    {COUNT},
    {COMMON, .reg_exponent = 0},
    {COUNT, .min_ridge = 0.7},
    {COUNT, .bias = true},
    {COUNT, .nonnegative = true},
    {COUNT, .solver = ALS_CG},
    {COUNT, .solver = ALS_SUBSPACE},
    {BIASES},
    {BIASES, .solver = ALS_CG},
    {BIASES, .solver = ALS_SUBSPACE},
    {IMPLICIT},
    {IMPLICIT, .nonnegative = true},
    {IMPLICIT, .solver = ALS_CG},
    {IMPLICIT, .solver = ALS_SUBSPACE},
    {WIDE},
    {WIDE, .nonnegative = true},
    {WIDE, .solver = ALS_CG},
    {WIDE, .solver = ALS_SUBSPACE},
    {COUNT, SINGLE},
    {COUNT, SINGLE, .solver = ALS_CG},
    {BIASES, SINGLE},
    {IMPLICIT, SINGLE},
    {IMPLICIT, SINGLE, .solver = ALS_CG},
    {WIDE, SINGLE, .solver = ALS_CG},
};
enum { MODES = sizeof modes / sizeof *modes, STRIDE = TK_SANITIZED ? 5 : 1 };

/* Of the calling rank. LLVM's OpenMP (14) aborts in itself where threads of one process come and go that each
 * lead a team; in a job a rank is a process. */
static void use_threads(int n) {
#if defined _OPENMP && defined __clang__
  (void)n;
  omp_set_num_threads(1);
#elif defined _OPENMP
  omp_set_num_threads(n);
#else
  (void)n;
#endif
}

/* Initial factors, and biases if there are any; one thread. */
static bool open_fit(fx_fit *fit, rdd_comm *comm, const fx_list *list, const als_params *params) {
  fx_setup setup = {.train = list, .partitions = 3, .batch_rows = 64, .seed = 3, .params = *params};
  setup.params.max_iter = 0;
  use_threads(1);
  return fx_open(fit, comm, &setup) && fx_run(fit, comm, &setup);
}

static rdd_status half_step(fx_fit *fit, rdd_comm *comm, int side, const als_params *params,
                            als_sums *sums, rdd_err *err) {
  return als_half_step(comm, &fit->problem.side[side], side, params, fit->model, sums, err);
}

/* How much coarser than doubles the sums are. */
static double coarseness(const als_params *params) {
  return params->precision == ALS_SINGLE ? 10 : 1;
}

/* ---- The objective ---- */

static double total(als_sums s) {
  return s.ratings + s.pairs + s.reg;
}

/* Half-steps one by one, each held against the objective before it, the first against that of the start.
 * The tolerances are for the rounding of factors to float. */
static void check_objective(rdd_comm *comm, const als_params *params, const fx_list *list) {
  rdd_err err = {0};
  fx_fit fit;
  if (open_fit(&fit, comm, list, params)) {
    als_sums now, own;
    TK_OK(als_objective(comm, &fit.problem, params, fit.model, &now, &err), &err);
    double before = total(now), coarse = coarseness(params);
    int comparable = params->nonnegative ? 2 : 0; /* both sides start with numbers below 0 */
    for (int step = 0; step < 2 * STEPS; step++) {
      int side = step % 2 ? ALS_USERS : ALS_ITEMS;
      if (!TK_OK(half_step(&fit, comm, side, params, &own, &err), &err)) break;
      TK_OK(als_objective(comm, &fit.problem, params, fit.model, &now, &err), &err);
      double scale = fabs(now.ratings) + now.pairs + now.reg;
      TK_NEAR(own.ratings, now.ratings, 2e-5 * coarse * scale);
      TK_NEAR(own.pairs, now.pairs, 2e-5 * coarse * scale);
      if (step >= comparable) TK_CHECK(total(now) <= before + 1e-6 * coarse * scale);
      before = total(now);
    }
    for (int side = 0; params->nonnegative && side < 2; side++)
      for (int64_t i = 0; i < fit.model->side[side].ids->n * params->rank; i++)
        TK_CHECK(als_model_row(fit.model, side, 0)[i] >= 0);
  }
  fx_close(&fit);
}

static void objectives_fall(rdd_comm *comm) {
  fx_list list = {0};
  draw(USERS, ITEMS, 17, &list);
  for (int m = 0; m < MODES; m += STRIDE) check_objective(comm, &modes[m], &list);
  fx_reset(&list);
}

/* The same for other sizes, ranks, weights and penalties, weak ones among them. */
static void objectives_fall_on_random_problems(rdd_comm *comm) {
  fx_random random;
  fx_seed(&random, 1000 + comm->size);
  for (int t = 0; t < 2 * MODES; t += STRIDE) {
    fx_list list = {0};
    als_params params = modes[t % MODES];
    draw(2 + fx_below(&random, 40), 2 + fx_below(&random, 40), t, &list);
    params.rank = 1 + fx_below(&random, 14);
    params.block = 1 + fx_below(&random, 5);
    params.cg_steps = 1 + fx_below(&random, 4);
    params.reg_exponent = fx_below(&random, 3) / 2.0;
    for (int side = 0; side < 2; side++) params.reg[side] = pow(10, -3 * fx_double(&random));
    if (params.loss.mode == ALS_IMPLICIT) params.loss.alpha = 40 * fx_double(&random);
    if (params.loss.mode == ALS_IALS) params.loss.unobserved = 2 * fx_double(&random);
    check_objective(comm, &params, &list);
    fx_reset(&list);
  }
}

/* ---- The oracle; on one rank ---- */

enum { MOST_ROWS = 64 };

/* The other side's factors as the oracle sees them, [columns][width], and the ratings. */
typedef struct view {
  oracle_loss loss;
  oracle_rating *rating;
  int64_t n, rows, columns;
  int width;
  double other[MOST_ROWS * ORACLE_MAX_RANK];
} view;

/* With biases the last factor is 1, and mean and the other side's bias are taken off. */
static void open_view(view *v, const fx_fit *fit, int side, const als_params *params) {
  const als_side *ratings = &fit->problem.side[side];
  const als_factors *other = &fit->model->side[!side];
  const float *bias = params->update_bias ? rdd_table_data(other->bias) : NULL;
  const oracle_mode mode[] = {ORACLE_EXPLICIT, ORACLE_IMPLICIT, ORACLE_IALS};
  v->loss = (oracle_loss){mode[params->loss.mode], params->loss.alpha, params->loss.unobserved,
                          params->reg_exponent, params->min_ridge};
  v->n = ratings->start[ratings->rows];
  v->rows = ratings->rows;
  v->columns = other->ids->n;
  v->width = params->rank + params->update_bias;
  v->rating = rdd_alloc((size_t)v->n, sizeof *v->rating);
  for (int64_t r = 0; r < v->rows; r++) {
    for (int64_t e = ratings->start[r]; e < ratings->start[r + 1]; e++) {
      const als_entry *entry = &ratings->entry[e];
      double off = bias ? fit->model->mean + bias[entry->column] : 0;
      v->rating[e] = (oracle_rating){r, entry->column, entry->value - off};
    }
  }
  for (int64_t c = 0; c < v->columns; c++) {
    for (int j = 0; j < params->rank; j++)
      v->other[c * v->width + j] = als_model_row(fit->model, !side, c)[j];
    if (bias) v->other[c * v->width + params->rank] = 1;
  }
}

static double unknown(const fx_fit *fit, int side, int64_t row, int j) {
  if (j < fit->model->k) return als_model_row(fit->model, side, row)[j];
  return ((const float *)rdd_table_data(fit->model->side[side].bias))[row];
}

/* x >= 0, gradient >= 0, one of them 0; as near as x in float can be. */
static void check_nonnegative_row(const view *v, const fx_fit *fit, int side, int64_t row,
                                  double reg) {
  double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK], b[ORACLE_MAX_RANK];
  (void)oracle_equations(&v->loss, v->rating, v->n, row, v->columns, v->width, reg, v->other, a, b);
  for (int i = 0; i < v->width; i++) {
    double gradient = -b[i], size = fabs(b[i]), x = unknown(fit, side, row, i);
    for (int j = 0; j < v->width; j++) {
      gradient += a[i][j] * unknown(fit, side, row, j);
      size += fabs(a[i][j] * unknown(fit, side, row, j));
    }
    TK_CHECK(x >= 0);
    TK_CHECK(gradient >= -1e-6 * size);
    if (x > 0) TK_NEAR(gradient, 0, 1e-6 * size);
  }
}

static void check_side(fx_fit *fit, rdd_comm *comm, int side, const als_params *params) {
  static view v;
  static double want[MOST_ROWS * ORACLE_MAX_RANK];
  rdd_err err = {0};
  open_view(&v, fit, side, params);
  double reg = params->reg[side], norm = 0;
  if (TK_OK(half_step(fit, comm, side, params, NULL, &err), &err)) {
    oracle_rows(&v.loss, v.rating, v.n, v.rows, v.columns, v.width, reg, v.other, want);
    for (int64_t i = 0; i < v.rows * v.width; i++) norm = fmax(norm, fabs(want[i]));
    for (int64_t row = 0; row < v.rows; row++) {
      if (params->nonnegative) check_nonnegative_row(&v, fit, side, row, reg);
      for (int j = 0; !params->nonnegative && j < v.width; j++)
        TK_NEAR(unknown(fit, side, row, j), want[row * v.width + j],
                2e-6 * coarseness(params) * norm);
    }
  }
  rdd_free(v.rating);
}

/* A user and an item with so many ratings that their equations are built in parts. */
static void draw_long(fx_list *list) {
  draw(30, ITEMS, 17, list);
  for (int i = 0; i < 20000; i++) fx_add(list, 3, i * i % ITEMS, (float)(i % 5));
  for (int i = 0; i < 20000; i++) fx_add(list, i * i % 30, 2, (float)(i % 7 - 1));
}

/* And so many that CG does not keep the factors of all of them. */
static void draw_longer(fx_list *list) {
  draw_long(list);
  for (int i = 0; i < 140000; i++) fx_add(list, i % 29, 2, (float)(i % 7 - 1));
}

static void long_rows_are_the_oracles(rdd_comm *comm) {
  static const als_params params[] = {
      {COUNT}, {IMPLICIT}, {COUNT, SINGLE}, {COUNT, .solver = ALS_CG}};
  fx_list list = {0};
  if (comm->size > 1) return;
  draw_longer(&list);
  for (size_t m = 0; m < sizeof params / sizeof *params; m++) {
    fx_fit fit;
    als_params exact = params[m];
    exact.cg_steps = 100;
    if (open_fit(&fit, comm, &list, &exact))
      for (int step = 0; step < 2; step++)
        check_side(&fit, comm, step % 2 ? ALS_USERS : ALS_ITEMS, &exact);
    fx_close(&fit);
  }
  fx_reset(&list);
}

/* Every mode; CG until it is done and one block of all unknowns are exact, too. */
static void half_steps_are_the_oracles(rdd_comm *comm) {
  fx_list list = {0};
  if (comm->size > 1) return; /* the bits are the same on more */
  draw(USERS, ITEMS, 17, &list);
  for (int m = 0; m < MODES; m++) {
    fx_fit fit;
    als_params params = modes[m];
    params.cg_steps = 100;
    params.block = m % 2 ? K + 1 : 1000;
    if (open_fit(&fit, comm, &list, &params))
      for (int step = 0; step < 4; step++)
        check_side(&fit, comm, step % 2 ? ALS_USERS : ALS_ITEMS, &params);
    fx_close(&fit);
  }
  fx_reset(&list);
}

/* ---- Bits ---- */

static bool same_table(const rdd_table *a, const rdd_table *b) {
  if (!a || !b) return a == b;
  return rdd_table_size(a) == rdd_table_size(b) &&
         memcmp(rdd_table_data(a), rdd_table_data(b), rdd_table_size(a)) == 0;
}

static void check_same(const fx_fit *a, const fx_fit *b) {
  for (int side = 0; side < 2; side++) {
    TK_CHECK(same_table(a->model->side[side].factors, b->model->side[side].factors));
    TK_CHECK(same_table(a->model->side[side].bias, b->model->side[side].bias));
  }
  TK_CHECK(a->iterations == b->iterations);
  for (int i = 0; i < a->iterations; i++) {
    TK_CHECK(a->history[i].objective == b->history[i].objective);
    TK_CHECK(a->history[i].loss_pairs == b->history[i].loss_pairs);
  }
}

/* Against one rank with one thread, on which the ratings come in another order. */
static void check_bits(rdd_comm *comm, const als_params *params, int n,
                       void (*make)(fx_list *list)) {
  fx_list list = {0}, mixed = {0};
  rdd_err err = {0};
  rdd_comm *one = NULL;
  TK_OK(rdd_comm_single(&one, &err), &err);
  make(&list);
  make(&mixed);
  fx_shuffle(&mixed, 5);
  for (int m = 0; m < n; m += STRIDE) {
    fx_fit alone;
    fx_setup setup = {
        .train = &mixed, .partitions = 1, .batch_rows = 999, .seed = 3, .params = params[m]};
    setup.params.max_iter = 2;
    use_threads(1);
    bool ok = fx_open(&alone, one, &setup) && fx_run(&alone, one, &setup);
    setup.train = &list;
    setup.partitions = 5;
    setup.batch_rows = 50;
    for (int threads = 1; ok && threads <= 3; threads++) {
      fx_fit fit;
      use_threads(threads);
      if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) check_same(&fit, &alone);
      fx_close(&fit);
    }
    fx_close(&alone);
  }
  use_threads(1);
  fx_reset(&list);
  fx_reset(&mixed);
  rdd_comm_close(one);
}

static void draw_usual(fx_list *list) {
  draw(USERS, ITEMS, 17, list);
}

static void bits_depend_on_nothing(rdd_comm *comm) {
  static const als_params params[] = {{COUNT}, {IMPLICIT, SINGLE}};
  check_bits(comm, modes, MODES, draw_usual);
  check_bits(comm, params, 2, draw_long);
}

/* ---- Edges ---- */

/* Users 0 to 9 rate items 0 to 5 well; user 10 has no rating above 0, item 9 neither. */
static void draw_edge(fx_list *list) {
  for (int u = 0; u < 10; u++)
    for (int i = 0; i < 6; i++)
      if ((u + i) % 3) fx_add(list, u, i, (float)(1 + (u * i) % 4));
  fx_add(list, 10, 0, 0);
  fx_add(list, 10, 1, -2);
  fx_add(list, 3, 9, -1);
}

static bool is_zero(const fx_fit *fit, int side, int64_t row) {
  for (int j = 0; j < fit->model->k; j++)
    if (als_model_row(fit->model, side, row)[j] != 0) return false;
  return true;
}

/* Without a penalty such a row of Spark's is singular; nothing pulls it, so 0 is its minimum. */
static void rows_that_nothing_pulls_are_zero(rdd_comm *comm) {
  static const als_solver solver[] = {ALS_CHOLESKY, ALS_CG, ALS_SUBSPACE};
  fx_list list = {0};
  draw_edge(&list);
  for (int t = 0; t < 8; t++) {
    fx_fit fit;
    als_params params = {.rank = 3, .reg_exponent = 1, .cg_steps = 3, .block = 2, .reg = {.1, .1}};
    params.loss.mode = t % 2 ? ALS_IALS : ALS_IMPLICIT;
    params.loss.alpha = 1;
    params.loss.unobserved = 0.1;
    params.solver = solver[t / 2 % 3];
    params.nonnegative = t >= 6;
    if (t == 0) params.reg[0] = params.reg[1] = 0; /* the Gram matrix is enough for the others */
    if (open_fit(&fit, comm, &list, &params)) {
      rdd_err err = {0};
      TK_OK(half_step(&fit, comm, ALS_ITEMS, &params, NULL, &err), &err);
      TK_OK(half_step(&fit, comm, ALS_USERS, &params, NULL, &err), &err);
      TK_CHECK(is_zero(&fit, ALS_USERS, 10) && is_zero(&fit, ALS_ITEMS, 6));
      TK_CHECK(!is_zero(&fit, ALS_USERS, 9) && !is_zero(&fit, ALS_ITEMS, 5));
    }
    fx_close(&fit);
  }
  fx_reset(&list);
}

/* alpha 0: all pairs weigh alike. unobserved 0: only ratings count. */
static void no_weights(rdd_comm *comm) {
  fx_list list = {0}, ones = {0};
  fx_fit fit, other;
  rdd_err err = {0};
  draw(30, 20, 2, &list);
  als_params params = {COUNT, .loss = {ALS_IMPLICIT, .alpha = 0}};
  check_objective(comm, &params, &list);
  params.loss = (als_loss){ALS_IALS, .unobserved = 0};
  check_objective(comm, &params, &list);
  /* ... which is explicit, where all ratings are 1 */
  for (int64_t r = 0; r < list.n; r++) fx_add(&ones, list.at[r].user, list.at[r].item, 1);
  als_params explicit = params;
  explicit.loss.mode = ALS_EXPLICIT;
  bool ok = open_fit(&fit, comm, &ones, &params) && open_fit(&other, comm, &ones, &explicit);
  for (int step = 0; ok && step < 4; step++) {
    TK_OK(half_step(&fit, comm, !(step % 2), &params, NULL, &err), &err);
    TK_OK(half_step(&other, comm, !(step % 2), &explicit, NULL, &err), &err);
    TK_CHECK(
        same_table(fit.model->side[!(step % 2)].factors, other.model->side[!(step % 2)].factors));
  }
  fx_close(&fit);
  fx_close(&other);
  fx_reset(&ones);
  fx_reset(&list);
}

/* Powers of two, so that every rounding is the same: explicit factors scale with the ratings, as long as
 * they fit float32. */
static void huge_and_tiny_values(rdd_comm *comm) {
  static const int power[] = {-100, -20, 20, 100};
  fx_list list = {0};
  fx_fit plain;
  rdd_err err = {0};
  const als_params params = {COUNT};
  draw(30, 20, 2, &list);
  bool ok = open_fit(&plain, comm, &list, &params) &&
            TK_OK(half_step(&plain, comm, ALS_ITEMS, &params, NULL, &err), &err);
  for (int t = 0; ok && t < 4; t++) {
    fx_list scaled = {0};
    fx_fit fit;
    for (int64_t r = 0; r < list.n; r++)
      fx_add(&scaled, list.at[r].user, list.at[r].item, ldexpf(list.at[r].value, power[t]));
    if (open_fit(&fit, comm, &scaled, &params) &&
        TK_OK(half_step(&fit, comm, ALS_ITEMS, &params, NULL, &err), &err))
      for (int64_t i = 0; i < plain.model->side[ALS_ITEMS].ids->n * K; i++)
        TK_CHECK(als_model_row(fit.model, ALS_ITEMS, 0)[i] ==
                 ldexpf(als_model_row(plain.model, ALS_ITEMS, 0)[i], power[t]));
    fx_close(&fit);
    fx_reset(&scaled);
  }
  fx_close(&plain);
  fx_reset(&list);
}

/* A rating near the largest float32, over small users: item 7's factors would be a thousand times that. */
static void factors_too_large_are_named(rdd_comm *comm) {
  fx_list list = {0};
  for (int u = 0; u < 8; u++)
    for (int i = 0; i < 8; i++) fx_add(&list, u, i, i == 7 ? 3e38f : 1);
  for (als_solver solver = ALS_CHOLESKY; solver <= ALS_SUBSPACE; solver++) {
    fx_fit fit;
    rdd_err err = {0};
    als_params params = {
        .rank = 2, .reg = {1e-9, 1e-9}, .solver = solver, .cg_steps = 2, .block = 2};
    if (open_fit(&fit, comm, &list, &params)) {
      float *x = rdd_table_data(fit.model->side[ALS_USERS].factors);
      rdd_barrier(comm); /* all ranks share the table */
      for (int i = 0; comm->rank == 0 && i < 16; i++) x[i] *= 1e-3f;
      rdd_barrier(comm);
      TK_CHECK(half_step(&fit, comm, ALS_ITEMS, &params, NULL, &err) == RDD_ESINGULAR);
      TK_CHECK(err.detail[0] == ALS_ITEMS && err.detail[1] == 7);
      TK_CHECK(strstr(err.message,
                      "item 7: its factors are too large for float32 with 8 ratings") != NULL);
      TK_CHECK(strstr(err.message, "scale the ratings") != NULL);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
}

/* Users 20 and 21 have one rating for three factors and no penalty. */
static void singular_rows_are_named_and_healed(rdd_comm *comm) {
  static const als_solver solver[] = {ALS_CHOLESKY, ALS_SUBSPACE};
  fx_list list = {0};
  for (int u = 0; u < 20; u++)
    for (int i = 0; i < 8; i++) fx_add(&list, u, i, (float)(1 + (u * i) % 5));
  fx_add(&list, 21, 2, 4);
  fx_add(&list, 20, 3, 4);
  fx_add(&list, 20, 3, 5);
  for (int t = 0; t < 2; t++) {
    fx_fit fit;
    rdd_err err = {0};
    als_params params = {.rank = 3, .reg_exponent = 1, .solver = solver[t], .block = 3};
    if (open_fit(&fit, comm, &list, &params)) {
      TK_CHECK(half_step(&fit, comm, ALS_USERS, &params, NULL, &err) == RDD_ESINGULAR);
      TK_CHECK(err.detail[0] == ALS_USERS && err.detail[1] == 20);
      TK_CHECK(strcmp(err.message, "user 20: its normal equations are not positive definite with "
                                   "2 ratings, rank 3 and regularisation 0; raise --reg-param or "
                                   "give --min-ridge") == 0);
      params.min_ridge = 1e-3;
      TK_OK(half_step(&fit, comm, ALS_USERS, &params, NULL, &err), &err);
      for (int j = 0; j < 3; j++) TK_CHECK(isfinite(als_model_row(fit.model, ALS_USERS, 20)[j]));
      TK_NEAR(als_model_predict(fit.model, 20, 3), 4.5, 0.05);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
}

/* One factor; and more factors than any row has ratings, or than there are rows. */
static void few_and_many_factors(rdd_comm *comm) {
  fx_list list = {0};
  draw_edge(&list);
  for (int m = 0; m < MODES; m += STRIDE) {
    for (int k = 1; k <= 40; k += 39) {
      als_params params = modes[m];
      params.rank = k;
      check_objective(comm, &params, &list);
    }
  }
  fx_reset(&list);
}

#ifdef __SANITIZE_THREAD__
/* OpenBLAS and the OpenMP runtime are not built for the thread sanitizer, which so does not see their
 * locks. Races in our own code over ranks are still reported. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race:libopenblas\n";
}
#endif

int main(void) {
  static const tk_comm_case cases[] = {
      {"so are those of long rows, built in parts", long_rows_are_the_oracles},
      {"half-steps are those of the dense oracle", half_steps_are_the_oracles},
      {"half-steps report the objective, and it never rises", objectives_fall},
      {"nor does it on random problems", objectives_fall_on_random_problems},
      {"the bits depend on neither ranks nor threads", bits_depend_on_nothing},
      {"rows that nothing pulls are zero", rows_that_nothing_pulls_are_zero},
      {"alpha 0, unobserved 0", no_weights},
      {"huge and tiny values", huge_and_tiny_values},
      {"factors that are too large are named", factors_too_large_are_named},
      {"singular rows are named, and healed by a least ridge", singular_rows_are_named_and_healed},
      {"one factor, and more than ratings", few_and_many_factors},
  };
  openblas_set_num_threads(1);
  return tk_threads_main("mllib modes", cases, sizeof cases / sizeof *cases);
}
