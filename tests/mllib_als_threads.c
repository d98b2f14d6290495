/* The fit over ranks: the same bits as on one, and all ranks leave together when one cannot go on.
 * */
#include "mllib/als.h"
#include "mllib/metrics.h"
#include "mllib/spark_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool same_table(const rdd_table *a, const rdd_table *b) {
  if (!a || !b) return a == b;
  return rdd_table_size(a) == rdd_table_size(b) &&
         memcmp(rdd_table_data(a), rdd_table_data(b), rdd_table_size(a)) == 0;
}

static bool same_number(double a, double b) {
  return a == b || (isnan(a) && isnan(b));
}

static void check_same_fit(const fx_fit *a, const fx_fit *b) {
  for (int s = 0; s < 2; s++) {
    TK_CHECK(same_table(a->model->side[s].factors, b->model->side[s].factors));
    TK_CHECK(same_table(a->model->side[s].bias, b->model->side[s].bias));
  }
  TK_CHECK(a->model->mean == b->model->mean);
  TK_CHECK(a->model->rating_min == b->model->rating_min);
  TK_CHECK(a->model->rating_max == b->model->rating_max);
  TK_CHECK(a->iterations == b->iterations);
  for (int i = 0; i < a->iterations; i++) {
    TK_CHECK(a->history[i].objective == b->history[i].objective);
    TK_CHECK(same_number(a->history[i].rmse_train, b->history[i].rmse_train));
    TK_CHECK(same_number(a->history[i].rmse_validation, b->history[i].rmse_validation));
    TK_CHECK(same_number(a->history[i].ndcg_validation, b->history[i].ndcg_validation));
    TK_CHECK(!a->problem.test || a->history[i].rmse_test == b->history[i].rmse_test);
  }
}

/* Fit on all ranks with another order and partitioning, and on one rank alone. */
static void check_against_one(rdd_comm *comm, const fx_list *list, fx_setup setup) {
  rdd_err err = {0};
  rdd_comm *one = NULL;
  fx_fit alone, together;
  fx_list mixed = {0};
  TK_OK(rdd_comm_single(&one, &err), &err);
  for (int64_t i = 0; i < list->n; i++)
    fx_add(&mixed, list->at[i].user, list->at[i].item, list->at[i].value);
  fx_shuffle(&mixed, setup.partitions);
  setup.train = &mixed;
  bool ok = fx_open(&together, comm, &setup) && fx_run(&together, comm, &setup);
  setup.train = list;
  setup.partitions = 1;
  setup.round = 0;
  ok &= fx_open(&alone, one, &setup) && fx_run(&alone, one, &setup);
  if (ok) check_same_fit(&together, &alone);
  fx_close(&together);
  fx_close(&alone);
  fx_reset(&mixed);
  rdd_comm_close(one);
}

static void plain(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(80, 60, 3, 15, 0.3, &list);
  fx_setup setup = {.partitions = 8, .batch_rows = 32, .seed = 3};
  setup.params = (als_params){.rank = 7, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 4};
  check_against_one(comm, &list, setup);
  setup.partitions = 3;
  check_against_one(comm, &list, setup);
  fx_reset(&list);
}

static void with_everything(rdd_comm *comm) {
  fx_list list = {0}, test = {0};
  fx_planted(80, 60, 3, 15, 0.3, &list);
  fx_planted(90, 60, 3, 2, 0.3, &test);
  fx_setup setup = {.test = &test, .partitions = 5, .batch_rows = 9, .round = 7, .text = true};
  setup.params = (als_params){.rank = 4,
                              .reg = {0.1, 0.1},
                              .reg_exponent = 1,
                              .max_iter = 30,
                              .bias = true,
                              .bias_reg = 5,
                              .tol = 0.003};
  check_against_one(comm, &list, setup);
  fx_reset(&list);
  fx_reset(&test);
}

static void blocks_of_several_rows(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(4200, 300, 2, 4, 0.3, &list);
  fx_setup setup = {.partitions = 4, .batch_rows = 1000, .round = 3000};
  setup.params = (als_params){
      .rank = 3, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 2, .bias = true};
  check_against_one(comm, &list, setup);
  fx_reset(&list);
}

static void more_ranks_than_rows(rdd_comm *comm) {
  fx_list list = {0};
  fx_add(&list, 1, 10, 4);
  fx_add(&list, 1, 20, 2);
  fx_add(&list, 2, 20, 5);
  for (int64_t partitions = 1; partitions <= 3; partitions++) {
    fx_setup setup = {.partitions = partitions, .batch_rows = 32};
    setup.params = (als_params){
        .rank = 2, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 5, .bias = partitions % 2};
    check_against_one(comm, &list, setup);
  }
  fx_reset(&list);
}

/* ---- Validation ---- */

static double ndcg_of(rdd_comm *comm, const fx_fit *fit) {
  static const int cutoff = ALS_WATCHED_CUTOFF;
  const als_ranking_options options = {.cutoff = &cutoff, .cutoffs = 1};
  const als_held_out held_out = {
      .model = fit->model, .test = &fit->test, .seen = &fit->problem.side[ALS_USERS]};
  als_ranking ranking = {0};
  rdd_err err = {0};
  TK_OK(als_rank_held_out(comm, &held_out, &options, &ranking, &err), &err);
  return ranking.at[0].ndcg;
}

/* The model is the first of those with the highest NDCG, and its lists are what the history says. */
static void check_best_lists(rdd_comm *comm, const fx_setup *setup, bool in_between) {
  fx_fit fit;
  if (fx_open(&fit, comm, setup) && fx_run(&fit, comm, setup)) {
    int best = als_best_iteration(ALS_NDCG, fit.history, fit.iterations);
    for (int i = 1; i <= fit.iterations; i++) {
      double ndcg = fit.history[i - 1].ndcg_validation;
      TK_CHECK(i < best ? ndcg < fit.history[best - 1].ndcg_validation
                        : ndcg <= fit.history[best - 1].ndcg_validation);
      TK_CHECK(isnan(fit.history[i - 1].rmse_validation));
    }
    TK_CHECK(ndcg_of(comm, &fit) == fit.history[best - 1].ndcg_validation);
    TK_CHECK(!in_between || (best > 1 && best < fit.iterations));
  }
  fx_close(&fit);
}

static void lists_are_watched(rdd_comm *comm) {
  fx_list list = {0}, held_out = {0};
  fx_planted(80, 60, 3, 15, 2, &list);
  fx_planted(90, 60, 3, 4, 2, &held_out);
  fx_setup setup = {.test = &held_out, .watch = ALS_NDCG, .partitions = 5, .batch_rows = 9};
  setup.params = als_params_default();
  setup.params.max_iter = 12;
  setup.params.loss.mode = ALS_IMPLICIT;
  for (int t = 0; t < 3; t++) {
    if (t == 1) setup.params.solver = ALS_CG; /* and an exact iteration */
    if (t == 1) setup.params.final_exact = true;
    if (t == 2) setup.params.loss.mode = ALS_EXPLICIT;
    if (t == 2) setup.params.bias = setup.params.update_bias = true;
    check_against_one(comm, &list, setup);
    setup.train = &list;
    check_best_lists(comm, &setup, t == 0);
  }
  fx_reset(&list);
  fx_reset(&held_out);
}

static void watching_that_cannot_be(rdd_comm *comm) {
  static const struct {
    als_watch watch;
    als_mode mode;
    bool part, known;
    float value;
    rdd_status status;
    const char *says;
  } row[] = {
      {ALS_RMSE, ALS_IMPLICIT, true, true, 1, RDD_EUSAGE, "says nothing about implicit"},
      {ALS_NDCG, ALS_IALS, false, true, 1, RDD_EUSAGE, "go together"},
      {ALS_OBJECTIVE, ALS_IALS, true, true, 1, RDD_EUSAGE, "go together"},
      {ALS_RMSE, ALS_EXPLICIT, true, false, 1, RDD_EDATA, "has both a user and an item"},
      {ALS_NDCG, ALS_EXPLICIT, true, false, 1, RDD_EDATA, "is above 0, of a user and an item"},
      {ALS_NDCG, ALS_IALS, true, true, 0, RDD_EDATA, "is above 0"},
  };
  fx_list list = {0};
  fx_planted(20, 15, 2, 8, 0.3, &list);
  for (size_t t = 0; t < sizeof row / sizeof *row; t++) {
    fx_list other = {0};
    fx_fit fit;
    rdd_err err = {0};
    fx_add(&other, row[t].known ? list.at[0].user : 2, list.at[9].item, row[t].value);
    fx_setup setup = {.train = &list, .test = &other, .partitions = 2, .batch_rows = 9};
    setup.watch = ALS_RMSE;
    setup.params = als_params_default();
    setup.params.loss.mode = row[t].mode;
    if (fx_open(&fit, comm, &setup)) {
      fit.problem.watch = row[t].watch;
      if (!row[t].part) fit.problem.validation = NULL;
      TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history,
                       &fit.iterations, &err) == row[t].status);
      TK_CHECK(strstr(err.message, row[t].says) != NULL);
    }
    fx_close(&fit);
    fx_reset(&other);
  }
  fx_reset(&list);
}

/* ---- Spark's start ---- */

/* A model of ids -3, 0, 3, ... */
static bool open_model(rdd_comm *comm, int64_t n, int k, als_model **model_out) {
  rdd_err err = {0};
  als_ids *ids[2] = {NULL, NULL};
  const int64_t count[2] = {n, 5};
  int64_t *begin = rdd_calloc((size_t)comm->size + 1, sizeof *begin);
  bool ok = true;
  for (int s = 0; s < 2; s++) {
    ok &= TK_OK(als_ids_new(comm, RDD_INT64, count[s], 0, &ids[s], &err), &err);
    for (int64_t i = 0; comm->rank == 0 && i < count[s]; i++)
      ((int64_t *)rdd_table_data(ids[s]->value))[i] = 3 * i - 3;
    for (int r = 1; r <= comm->size; r++) begin[r] = count[s] * (int64_t)sizeof(int64_t);
    rdd_table_sync(ids[s]->value, begin);
  }
  ok = ok && TK_OK(als_model_new(comm, ids, k, false, model_out, &err), &err);
  rdd_free(begin);
  return ok;
}

/* Block by block and row by row, as Spark's description has it. */
static void check_spark_rows(const als_model *model, als_spark release, int64_t seed, int blocks) {
  als_xorshift random = als_xorshift_seeded(release, seed);
  int64_t users = als_xorshift_long(&random), n = model->side[ALS_USERS].ids->n, wrong = 0;
  for (int b = 0; b < blocks; b++) {
    random = als_xorshift_seeded(release, als_spark_block_seed(users, b));
    for (int64_t i = 0; i < n; i++) {
      const float *x = als_model_row(model, ALS_USERS, i);
      double length = 0, along = 0, squares = 0;
      if (als_spark_block(als_ids_int64(model->side[ALS_USERS].ids, i), blocks) != b) continue;
      for (int j = 0; j < model->k; j++) {
        double gaussian = als_xorshift_gaussian(&random);
        squares += gaussian * gaussian;
        along += gaussian * x[j];
        length += (double)x[j] * x[j];
      }
      /* of length 1, in the direction of the Gaussians */
      wrong += fabs(length - 1) > 1e-4 || fabs(along / sqrt(squares) - 1) > 1e-4;
    }
  }
  TK_CHECK(wrong == 0);
}

/* More blocks than ranks, fewer, more than rows; and rows of many windows, which are of 16 MiB. */
static void spark_start_is_the_same(rdd_comm *comm) {
  static const struct {
    int64_t rows;
    int k, blocks;
  } row[] = {{40, 7, 1}, {40, 7, 3}, {40, 1, 10}, {5, 7, 1000}, {1100, 4096, 7}};
  for (size_t t = 0; t < sizeof row / sizeof *row; t++) {
    rdd_err err = {0};
    als_model *model = NULL, *alone = NULL;
    rdd_comm *one = NULL;
    const als_spark release = t % 2 ? ALS_SPARK_2 : ALS_SPARK_3;
    if (row[t].k == 4096 && comm->size != 3) continue;
    TK_OK(rdd_comm_single(&one, &err), &err);
    if (open_model(comm, row[t].rows, row[t].k, &model) &&
        TK_OK(als_model_init_spark(model, comm, ALS_USERS, release, 5, row[t].blocks, &err),
              &err) &&
        comm->rank == 0 && open_model(one, row[t].rows, row[t].k, &alone) &&
        TK_OK(als_model_init_spark(alone, one, ALS_USERS, release, 5, row[t].blocks, &err), &err)) {
      check_spark_rows(model, release, 5, row[t].blocks);
      TK_CHECK(same_table(model->side[ALS_USERS].factors, alone->side[ALS_USERS].factors));
    }
    als_model_free(alone);
    rdd_comm_close(one);
    rdd_barrier(comm);
    als_model_free(model);
  }
}

static void spark_start_refuses(rdd_comm *comm) {
  static const int64_t id[2] = {2147483648, -2147483649};
  static const char *const says[2] = {
      "user 2147483648 does not fit 32 bits; Spark's initial factors are for ids that do",
      "user -2147483649 does not fit 32 bits; Spark's initial factors are for ids that do"};
  for (int t = 0; t < 4; t++) {
    rdd_err err = {0};
    fx_list list = {0};
    fx_fit fit;
    fx_add(&list, 1, 1, 1);
    if (t < 2) fx_add(&list, id[t], 2147483647, 1);
    if (t < 2) fx_add(&list, 2, -2147483648, 1);
    fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 9, .text = t == 2};
    setup.params = als_params_default();
    if (fx_open(&fit, comm, &setup)) {
      TK_CHECK(als_model_init_spark(fit.model, comm, ALS_USERS, ALS_SPARK_3, 0, t < 3 ? 10 : 0,
                                    &err) == RDD_EUSAGE);
      if (t < 2) TK_CHECK(strcmp(err.message, says[t]) == 0);
      if (t == 2) TK_CHECK(strstr(err.message, "user \"u1\" is text") != NULL);
      if (t == 3) TK_CHECK(strstr(err.message, "number of user blocks is 0") != NULL);
      if (t < 2)
        TK_OK(als_model_init_spark(fit.model, comm, ALS_ITEMS, ALS_SPARK_3, 0, 10, &err), &err);
    }
    fx_close(&fit);
    fx_reset(&list);
  }
}

/* ---- Resumed fits ---- */

/* Gives another fit the state of this one when it stops. */
typedef struct handover {
  int stop_at;
  fx_fit *to;
  bool items, biases; /* the items' factors, and the mean and the biases, too */
} handover;

static void copy_table(rdd_table *to, const rdd_table *from) {
  memcpy(rdd_table_data(to), rdd_table_data(from), rdd_table_size(from));
}

static rdd_status copy_and_stop(void *arg, rdd_comm *comm, const als_model *model,
                                const als_iteration *history, int done, bool *stop_out,
                                rdd_err *err) {
  const handover *h = arg;
  (void)err;
  if (done != h->stop_at) return RDD_OK;
  rdd_barrier(comm); /* nobody reads the table that is written */
  for (int s = 0; s < 2 && comm->node_rank == 0; s++) {
    als_factors *to = &h->to->model->side[s];
    if (s == ALS_USERS || h->items) copy_table(to->factors, model->side[s].factors);
    if (h->biases) copy_table(to->bias, model->side[s].bias);
  }
  if (h->biases) h->to->model->mean = model->mean;
  memcpy(h->to->history, history, (size_t)done * sizeof *history);
  rdd_barrier(comm);
  *stop_out = true;
  return RDD_OK;
}

/* A fit that stops after stop_at iterations, its users' factors, and a fit that goes on from them:
 * the bits of a fit that never stopped. */
static void check_resumed(rdd_comm *comm, const fx_setup *setup, int stop_at, int iterations) {
  fx_fit whole, first, second;
  rdd_err err = {0};
  int done = -1;
  const als_params *p = &setup->params;
  /* without an iteration left, balanced, or for a solver that goes on from them, the items' have to be
   * there */
  handover h = {.stop_at = stop_at,
                .to = &second,
                .items = stop_at == iterations || p->balance || p->solver != ALS_CHOLESKY,
                .biases = p->update_bias};
  const als_hooks hooks = {.after = copy_and_stop, .arg = &h};
  bool ok = fx_open(&whole, comm, setup) && fx_open(&first, comm, setup);
  fx_setup other = *setup;
  other.seed = 12345; /* its own initial factors must not matter */
  ok &= fx_open(&second, comm, &other) && fx_run(&whole, comm, setup);
  if (ok) {
    TK_CHECK(whole.iterations == iterations);
    TK_OK(als_fit(comm, &first.problem, &setup->params, first.model, 0, &hooks, first.history,
                  &done, &err),
          &err);
    TK_CHECK(done == stop_at);
    TK_OK(als_fit(comm, &second.problem, &setup->params, second.model, stop_at, NULL,
                  second.history, &second.iterations, &err),
          &err);
    check_same_fit(&whole, &second);
    for (int i = 0; i < iterations; i++) TK_CHECK(second.history[i].iteration == i + 1);
  }
  fx_close(&whole);
  fx_close(&first);
  fx_close(&second);
}

static void resumed(rdd_comm *comm) {
  fx_list list = {0}, test = {0};
  fx_planted(80, 60, 3, 15, 0.3, &list);
  fx_planted(90, 60, 3, 2, 0.3, &test);
  fx_setup setup = {.train = &list, .test = &test, .partitions = 4, .batch_rows = 32};
  setup.params = (als_params){
      .rank = 5, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 10, .bias_reg = 5};
  check_resumed(comm, &setup, 4, 10);
  setup.params.bias = true;
  check_resumed(comm, &setup, 4, 10);
  check_resumed(comm, &setup, 1, 10);
  check_resumed(comm, &setup, 9, 10);
  check_resumed(comm, &setup, 10, 10);
  fx_reset(&list);
  fx_reset(&test);
}

/* What goes on from where it was has to be handed over; then the bits are the same, too. */
static void resumed_in_other_modes(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(80, 60, 3, 15, 0.3, &list);
  for (int t = 0; t < 5; t++) {
    fx_setup setup = {.train = &list, .partitions = 4, .batch_rows = 32};
    setup.params = als_params_default();
    setup.params.rank = 5;
    setup.params.max_iter = 6;
    setup.params.block = 2;
    if (t % 2) setup.params.loss.mode = ALS_IMPLICIT;
    if (t < 2) setup.params.solver = ALS_CG;
    if (t == 2 || t == 3) setup.params.solver = ALS_SUBSPACE;
    setup.params.bias = setup.params.update_bias = t == 2 || t == 4;
    check_resumed(comm, &setup, 3, 6);
  }
  fx_reset(&list);
}

/* The undisturbed fit stops at its tolerance; so does one that is resumed at any iteration of it,
 * and one that was ended after the last. */
static void resumed_at_the_tolerance(rdd_comm *comm) {
  fx_list list = {0};
  fx_fit fit;
  int n = 0;
  fx_planted(80, 60, 3, 15, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 4, .batch_rows = 32};
  setup.params = (als_params){
      .rank = 3, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 40, .tol = 0.01};
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) n = fit.iterations;
  fx_close(&fit);
  TK_CHECK(n > 2 && n < 40);
  for (int stop_at = n - 2; stop_at <= n; stop_at++) check_resumed(comm, &setup, stop_at, n);
  fx_reset(&list);
}

/* One rank's hook fails before a half-step: all leave with its message. */
static rdd_status fail_on_last(void *arg, int iteration, int side, rdd_err *err) {
  const rdd_comm *comm = arg;
  if (iteration == 2 && side == ALS_USERS && comm->rank == comm->size - 1)
    return rdd_set(err, RDD_EIO, "rank %d has had enough", comm->rank);
  return RDD_OK;
}

static void failing_hook(rdd_comm *comm) {
  const als_hooks hooks = {.before = fail_on_last, .arg = comm};
  rdd_err err = {0};
  fx_list list = {0};
  fx_fit fit;
  int done = -1;
  char says[60];
  fx_planted(30, 20, 2, 8, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 32};
  setup.params = (als_params){.rank = 2, .reg = {0.1, 0.1}, .reg_exponent = 1, .max_iter = 3};
  snprintf(says, sizeof says, "rank %d has had enough", comm->size - 1);
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, &hooks, fit.history, &done,
                     &err) == RDD_EIO);
    TK_CHECK(done == -1 && err.rank == comm->size - 1 && strcmp(err.message, says) == 0);
  }
  fx_close(&fit);
  fx_reset(&list);
}

/* The same ratings in other partitions, on other ranks. */
static void same_fingerprint(rdd_comm *comm) {
  fx_list list = {0};
  rdd_err err = {0};
  rdd_comm *single = NULL;
  fx_fit alone, together;
  fx_planted(80, 60, 3, 15, 0.3, &list);
  TK_OK(rdd_comm_single(&single, &err), &err);
  fx_setup setup = {.train = &list, .partitions = 1, .batch_rows = 77, .text = true};
  setup.params.rank = 1;
  bool ok = fx_open(&alone, single, &setup);
  uint64_t expected = 0;
  if (ok) expected = als_fingerprint(single, alone.model, &alone.problem.side[ALS_USERS]);
  fx_list mixed = {0};
  for (int64_t i = 0; i < list.n; i++)
    fx_add(&mixed, list.at[i].user, list.at[i].item, list.at[i].value);
  fx_shuffle(&mixed, 5);
  setup.train = &mixed;
  setup.partitions = 5;
  ok &= fx_open(&together, comm, &setup);
  if (ok)
    TK_CHECK(als_fingerprint(comm, together.model, &together.problem.side[ALS_USERS]) == expected);
  fx_close(&alone);
  fx_close(&together);
  fx_reset(&mixed);
  fx_reset(&list);
  rdd_comm_close(single);
}

/* Two singular items on different ranks; every rank has to name the lower one. */
static void singular_row_is_named_alike(rdd_comm *comm) {
  rdd_err err = {0};
  fx_list list = {0};
  fx_fit fit;
  int done;
  for (int u = 0; u < 20; u++)
    for (int i = 0; i < 12; i++)
      if (u == 0 || (i != 4 && i != 11)) fx_add(&list, u, i, (float)(1 + (u * i) % 5));
  fx_setup setup = {.train = &list, .partitions = 4, .batch_rows = 32};
  setup.params = (als_params){.rank = 2, .max_iter = 2};
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_ESINGULAR);
    TK_CHECK(err.detail[0] == ALS_ITEMS && err.detail[1] == 4);
    TK_CHECK(strstr(err.message,
                    "item 4: its normal equations are not positive definite with 1 rating, rank") !=
             NULL);
    TK_CHECK(err.rank == als_blocks_rank(&fit.problem.side[ALS_ITEMS].blocks, 4));
  }
  fx_close(&fit);
  fx_reset(&list);
}

/* One rank is out of memory somewhere; all return the same status, and nobody hangs. */
static rdd_status fit_all(rdd_comm *comm, rdd_parts *parts, rdd_err *err) {
  als_ids *ids[2] = {NULL, NULL};
  als_side users = {0}, items = {0};
  als_model *model = NULL;
  als_params params = {.rank = 2,
                       .max_iter = 1,
                       .reg = {0.1, 0.1},
                       .reg_exponent = 1,
                       .bias = true,
                       .balance = true};
  als_iteration history[1];
  int64_t cold;
  int done;
  rdd_status st = als_ids_build(comm, parts, 0, &ids[0], err);
  if (!st) st = als_ids_build(comm, parts, 1, &ids[1], err);
  const als_ids *const known[2] = {ids[0], ids[1]};
  if (!st) st = als_side_build(comm, parts, 0, known, NULL, 2, 9, &users, &cold, err);
  if (!st) st = als_side_transpose(comm, &users, ids[1]->n, 2, 9, &items, err);
  if (!st) st = als_model_new(comm, ids, 2, true, &model, err);
  if (!st && parts->schema.field[0].type == RDD_INT64)
    st = als_model_init_spark(model, comm, ALS_USERS, ALS_SPARK_3, 0, 3, err);
  else if (!st)
    st = als_model_init(model, comm, ALS_USERS, 0, err);
  if (!st) {
    als_problem problem = {.side = {users, items}, .ratings = 60, .test = &users};
    problem.validation = &users;
    problem.watch = ALS_RMSE;
    st = als_fit(comm, &problem, &params, model, 0, NULL, history, &done, err);
  }
  als_side_reset(&users);
  als_side_reset(&items);
  als_model_free(model);
  for (int s = 0; !model && s < 2; s++) als_ids_free(ids[s]);
  return st;
}

static void all_leave_together(rdd_comm *comm) {
  fx_list list = {0};
  int failed = 0;
  for (int i = 0; i < 60; i++) fx_add(&list, i % 8, i % 7, (float)i);
  for (int64_t n = 1; n < 120 * comm->size; n += 3) {
    rdd_err err = {0};
    rdd_parts *parts = fx_parts(&list, 4, 8, n % 2, comm);
    rdd_barrier(comm);
    if (comm->rank == 0) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    rdd_status st = fit_all(comm, parts, &err);
    int64_t extreme[2] = {st, -(int64_t)st};
    rdd_barrier(comm);
    if (comm->rank == 0) rdd_memory_fail_at(0);
    rdd_allreduce(comm, extreme, 2, RDD_MIN);
    TK_CHECK(extreme[0] == -extreme[1]);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && strstr(err.message, "memory") != NULL));
    failed += st == RDD_ENOMEM;
    rdd_parts_free(parts);
  }
  TK_CHECK(failed > 20);
  fx_reset(&list);
}

#ifdef __SANITIZE_THREAD__
/* OpenBLAS is not built for the thread sanitizer, which so cannot see the spin locks under which
 * two ranks take turns with one of its buffers. Races in our own code are still reported. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race:libopenblas\n";
}
#endif

int main(void) {
  static const tk_comm_case cases[] = {
      {"plain", plain},
      {"strings, biases, test part, tolerance, many rounds", with_everything},
      {"blocks of several rows", blocks_of_several_rows},
      {"more ranks than rows", more_ranks_than_rows},
      {"Spark's start is the same", spark_start_is_the_same},
      {"Spark's start refuses ids that are not Spark's", spark_start_refuses},
      {"a fit that is resumed", resumed},
      {"a fit that is resumed in other modes", resumed_in_other_modes},
      {"a fit that is resumed at its tolerance", resumed_at_the_tolerance},
      {"a hook that fails on one rank", failing_hook},
      {"the fingerprint does not depend on ranks", same_fingerprint},
      {"lists are watched, and the best iteration is kept", lists_are_watched},
      {"what cannot be watched is refused", watching_that_cannot_be},
      {"a singular row is named alike on all ranks", singular_row_is_named_alike},
      {"all ranks leave together when memory is out", all_leave_together},
  };
  openblas_set_num_threads(1);
  return tk_threads_main("mllib als over ranks", cases, sizeof cases / sizeof *cases);
}
