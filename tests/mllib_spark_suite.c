/* What Spark's ALS suites ask besides their tables of errors: each case under the name that it has there,
 * with Spark's data where that has a meaning here. */
#include "mllib/spark_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static rdd_comm *one(void) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

static fx_setup setup_of(const fx_list *train, int k) {
  fx_setup setup = {.train = train, .partitions = 2, .batch_rows = 2};
  setup.params = als_params_default();
  setup.params.balance = false; /* Spark does not */
  setup.params.rank = k;
  return setup;
}

/* Spark packs a block and a place in it into one integer. Here a row's owner and its place there are found
 * from the row, and give it back. */
static void local_index_encoder(void) {
  static const int ranks[] = {1, 2, 5, 10, 20, 50, 100};
  static const int64_t sizes[] = {1, 9, 1000, 123457};
  rdd_err err = {0};
  for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      als_blocks blocks = {0};
      if (!TK_OK(als_blocks_init(&blocks, sizes[s], NULL, 10, ranks[i], &err), &err)) continue;
      for (int64_t row = 0; row < sizes[s]; row += 1 + sizes[s] / 777) {
        int owner = als_blocks_rank(&blocks, row);
        int64_t place = row - als_blocks_row(&blocks, owner);
        TK_CHECK(owner >= 0 && owner < ranks[i] && place >= 0);
        TK_CHECK(row < als_blocks_row(&blocks, owner + 1));
      }
      TK_CHECK(als_blocks_row(&blocks, 0) == 0 && als_blocks_row(&blocks, ranks[i]) == sizes[s]);
      als_blocks_reset(&blocks);
    }
  }
}

/* The ratings of a side are those of the list, whatever batches they come in. */
static void check_same_set(const fx_fit *fit, const fx_list *list) {
  const als_side *side = &fit->problem.side[ALS_USERS];
  TK_CHECK(side->start[side->rows] == list->n);
  for (int64_t i = 0; i < list->n; i++) {
    int64_t u = als_ids_find_int64(fit->model->side[ALS_USERS].ids, list->at[i].user);
    int64_t v = als_ids_find_int64(fit->model->side[ALS_ITEMS].ids, list->at[i].item);
    int found = 0;
    for (int64_t e = side->start[u]; e < side->start[u + 1]; e++)
      found += side->entry[e].column == v && side->entry[e].value == list->at[i].value;
    TK_CHECK(found == 1);
  }
}

static void rating_block_builder(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 0, 1, 2);
  fx_add(&list, 3, 4, 5);
  fx_add(&list, 6, 7, 8);
  fx_setup setup = setup_of(&list, 1);
  if (fx_open(&fit, comm, &setup)) check_same_set(&fit, &list);
  fx_close(&fit);
  fx_reset(&list);
  setup = setup_of(&list, 1);
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(fit.problem.ratings == 0 && fit.problem.side[ALS_USERS].rows == 0);
    TK_CHECK(fit.problem.side[ALS_ITEMS].rows == 0);
  }
  fx_close(&fit);
  rdd_comm_close(comm);
}

/* Two blocks of triples; a column is ten times its block and the index in it. */
static void uncompressed_in_block(void) {
  static const int64_t start[] = {0, 2, 3, 4, 5};
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 1, 0, 1);
  fx_add(&list, 0, 1, 2);
  fx_add(&list, 2, 4, 3);
  fx_add(&list, 3, 12, 4);
  fx_add(&list, 0, 15, 5);
  fx_setup setup = setup_of(&list, 1);
  if (fx_open(&fit, comm, &setup)) {
    const als_side *side = &fit.problem.side[ALS_USERS];
    TK_CHECK(side->rows == 4 && memcmp(side->start, start, sizeof start) == 0);
    for (int64_t u = 0; u < 4; u++) TK_CHECK(als_ids_int64(fit.model->side[ALS_USERS].ids, u) == u);
    check_same_set(&fit, &list);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void generic_id_types(void) {
  rdd_comm *comm = one();
  fx_list list = {0}, test = {0}, large = {0};
  fx_explicit(20, 40, 2, 0.01, &list, &test);
  for (int64_t r = 0; r < list.n; r++)
    fx_add(&large, list.at[r].user + (1ll << 40), list.at[r].item - (1ll << 50), list.at[r].value);
  for (int text = 0; text < 2; text++) {
    fx_fit fit;
    fx_setup setup = setup_of(text ? &list : &large, 2);
    setup.text = text;
    setup.params.reg[0] = setup.params.reg[1] = 0.01;
    if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
      TK_CHECK(fit.model->side[ALS_USERS].ids->type == (text ? RDD_UTF8 : RDD_INT64));
      TK_CHECK(fit.history[9].rmse_train < 0.1);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
  fx_reset(&test);
  fx_reset(&large);
  rdd_comm_close(comm);
}

static void partitioner_is_a_projection(void) {
  static const int blocks[] = {1, 10, 100, 1000};
  for (int i = 0; i < 4; i++) {
    for (int64_t id = -3000; id < 3000; id++) {
      int block = als_spark_block(id, blocks[i]);
      TK_CHECK(block >= 0 && block < blocks[i]);
      TK_CHECK(als_spark_block(block, blocks[i]) == block);
      TK_CHECK((id - block) % blocks[i] == 0);
    }
  }
  TK_CHECK(als_spark_block(INT32_MIN, 10) == 2 && als_spark_block(INT32_MAX, 10) == 7);
}

/* An id's block decides from which stream its factors come: so they stay the same when the ids of all
 * other blocks are gone. */
static void partitioner_in_returned_factors(void) {
  enum { K = 4, IDS = 40 };
  static const int blocks[2] = {3, 4};
  rdd_comm *comm = one();
  fx_list all = {0};
  fx_fit whole;
  for (int i = 0; i < IDS; i++) fx_add(&all, 7 * i - 100, 11 * i - 90, 1);
  fx_setup setup = setup_of(&all, K);
  setup.spark = ALS_SPARK_3;
  memcpy(setup.blocks, blocks, sizeof blocks);
  bool ok = fx_open(&whole, comm, &setup);
  for (int side = 0; ok && side < 2; side++) {
    for (int b = 0; b < blocks[side]; b++) {
      fx_list part = {0};
      fx_fit fit;
      for (int64_t r = 0; r < all.n; r++)
        if (als_spark_block(side ? all.at[r].item : all.at[r].user, blocks[side]) == b)
          fx_add(&part, all.at[r].user, all.at[r].item, 1);
      TK_CHECK(part.n > 0 && part.n < all.n);
      setup.train = &part;
      if (fx_open(&fit, comm, &setup)) {
        for (int64_t i = 0; i < part.n; i++) {
          int64_t id = als_ids_int64(fit.model->side[side].ids, i);
          int64_t j = als_ids_find_int64(whole.model->side[side].ids, id);
          TK_CHECK(memcmp(als_model_row(fit.model, side, i), als_model_row(whole.model, side, j),
                          K * sizeof(float)) == 0);
        }
      }
      fx_close(&fit);
      fx_reset(&part);
    }
  }
  fx_close(&whole);
  fx_reset(&all);
  rdd_comm_close(comm);
}

static void large_number_of_iterations(void) {
  rdd_comm *comm = one();
  fx_list train = {0}, test = {0};
  fx_explicit(4, 4, 1, 0, &train, &test);
  for (int implicit = 0; implicit < 2; implicit++) {
    fx_fit fit;
    fx_setup setup = setup_of(&train, 1);
    setup.params.max_iter = 50;
    setup.params.loss.mode = implicit ? ALS_IMPLICIT : ALS_EXPLICIT;
    if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) TK_CHECK(fit.iterations == 50);
    fx_close(&fit);
  }
  fx_reset(&train);
  fx_reset(&test);
  rdd_comm_close(comm);
}

static void empty_rdd(void) {
  rdd_comm *comm = one();
  rdd_err err = {0};
  fx_list list = {0};
  fx_fit fit;
  int done = -1;
  fx_setup setup = setup_of(&list, 2);
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_EDATA);
    TK_CHECK(strstr(err.message, "no ratings") != NULL && done == -1);
  }
  fx_close(&fit);
  rdd_comm_close(comm);
}

/* Counted by the test's communicator. */
static int exchanges;
static const rdd_comm_ops *usual;

static void count_exchange(rdd_comm *comm, const void *send, const int64_t *send_counts,
                           const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                           const int64_t *recv_displs) {
  exchanges++;
  usual->alltoallv(comm, send, send_counts, send_displs, recv, recv_counts, recv_displs);
}

/* Our own initial factors are drawn where they are kept; those of Spark's blocks have to move. */
static void no_unnecessary_shuffle(void) {
  rdd_comm *comm = one();
  rdd_err err = {0};
  fx_list list = {0};
  fx_fit fit;
  for (int i = 0; i < 30; i++) fx_add(&list, i, i, 1);
  fx_setup setup = setup_of(&list, 2);
  if (fx_open(&fit, comm, &setup)) {
    usual = comm->ops;
    rdd_comm_ops counting = *usual;
    counting.alltoallv = count_exchange;
    comm->ops = &counting;
    exchanges = 0;
    for (int side = 0; side < 2; side++)
      TK_OK(als_model_init(fit.model, comm, side, 1, &err), &err);
    TK_CHECK(exchanges == 0);
    TK_OK(als_model_init_spark(fit.model, comm, ALS_USERS, ALS_SPARK_3, 1, 10, &err), &err);
    TK_CHECK(exchanges == 1);
    comm->ops = usual;
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* The same seed, the same factors; another seed, others; for all three starts. */
static void pseudorandomness(void) {
  static const uint64_t seed[3] = {10, 10, 11};
  static const als_spark start[3] = {0, ALS_SPARK_2, ALS_SPARK_3};
  rdd_comm *comm = one();
  fx_list list = {0};
  double *truth = NULL;
  fx_matrix(FX_LOW_RANK, 10, 20, 1, 0.7, &list, &truth);
  for (int v = 0; v < 3; v++) {
    fx_fit fit[3];
    bool ok = true;
    for (int i = 0; i < 3; i++) {
      fx_setup setup = setup_of(&list, 5);
      setup.seed = seed[i];
      setup.spark = start[v];
      setup.blocks[0] = setup.blocks[1] = 2;
      setup.params.max_iter = 2;
      ok &= fx_open(&fit[i], comm, &setup) && fx_run(&fit[i], comm, &setup);
    }
    for (int side = 0; ok && side < 2; side++) {
      size_t bytes = rdd_table_size(fit[0].model->side[side].factors);
      const float *first = als_model_row(fit[0].model, side, 0);
      TK_CHECK(memcmp(first, als_model_row(fit[1].model, side, 0), bytes) == 0);
      TK_CHECK(memcmp(first, als_model_row(fit[2].model, side, 0), bytes) != 0);
    }
    for (int i = 0; i < 3; i++) fx_close(&fit[i]);
  }
  rdd_free(truth);
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void cold_start(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 1, 1, 3);
  fx_setup setup = setup_of(&list, 1);
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    for (int pair = 0; pair < 4; pair++) {
      int64_t u = als_ids_find_int64(fit.model->side[ALS_USERS].ids, pair / 2);
      int64_t i = als_ids_find_int64(fit.model->side[ALS_ITEMS].ids, pair % 2);
      TK_CHECK(isnan(als_model_predict(fit.model, u, i)) == (pair != 3));
    }
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* Users 0 and 1 of (1, 2) and (3, 4), item 2 of (5, 6); an unknown id is NaN, not an exception. */
static void matrix_factorization_model(void) {
  static const float x[] = {1, 2, 3, 4}, y[] = {5, 6};
  rdd_comm *comm = one();
  rdd_err err = {0};
  fx_list list = {0};
  fx_fit fit;
  fx_add(&list, 0, 2, 1);
  fx_add(&list, 1, 2, 1);
  fx_setup setup = setup_of(&list, 2);
  if (fx_open(&fit, comm, &setup)) {
    const als_model *model = fit.model;
    memcpy(rdd_table_data(model->side[ALS_USERS].factors), x, sizeof x);
    memcpy(rdd_table_data(model->side[ALS_ITEMS].factors), y, sizeof y);
    int64_t item = als_ids_find_int64(model->side[ALS_ITEMS].ids, 2);
    TK_CHECK(als_model_predict(model, 0, item) == 17);
    TK_CHECK(als_model_predict(model, 1, item) == 39);
    TK_CHECK(isnan(als_model_predict(model, 0, als_ids_find_int64(model->side[ALS_ITEMS].ids, 3))));
    int done;
    setup.params.rank = 3; /* the ranks do not match */
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_EUSAGE);
    TK_CHECK(strstr(err.message, "rank is 3, but the model has 2 factors") != NULL);
  }
  fx_close(&fit);
  fx_reset(&list);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"ALSSuite: LocalIndexEncoder", local_index_encoder},
      {"ALSSuite: RatingBlockBuilder", rating_block_builder},
      {"ALSSuite: UncompressedInBlock", uncompressed_in_block},
      {"ALSSuite: using generic ID types", generic_id_types},
      {"ALSSuite: als partitioner is a projection", partitioner_is_a_projection},
      {"ALSSuite: partitioner in returned factors", partitioner_in_returned_factors},
      {"ALSSuite: als with large number of iterations", large_number_of_iterations},
      {"ALSSuite: SPARK-18268: ALS with empty RDD should fail", empty_rdd},
      {"ALSSuite: ALS should not introduce unnecessary shuffle", no_unnecessary_shuffle},
      {"ALSSuite: ALS cold start user/item prediction strategy", cold_start},
      {"mllib ALSSuite: pseudorandomness", pseudorandomness},
      {"MatrixFactorizationModelSuite: constructor and predict", matrix_factorization_model},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib spark suite", cases, sizeof cases / sizeof *cases);
}
