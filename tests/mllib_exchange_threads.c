/* Rows between pretended nodes: the same bits whichever way they go, the bytes of the formula, and a table
 * that is whole when somebody asks. */
#include "mllib/als.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { USERS = 90, K = 6, ITERATIONS = 4, MOST_RANKS = 4 };

/* ---- Running on nodes ---- */

typedef struct body {
  void (*run)(rdd_comm *comm);
} body;

static void run_body(rdd_comm *comm, void *arg) {
  ((const body *)arg)->run(comm);
}

/* On 1 to 4 ranks, on several nodes, of 1, 2 and 3; under a sanitizer on a node of two and one of one. */
static void on_nodes(void (*run)(rdd_comm *comm)) {
  for (int size = 1; size <= MOST_RANKS; size++)
    for (int node_size = 1; node_size < size || node_size == 1; node_size++) {
      if (TK_SANITIZED && !(size == 3 && node_size == 2)) continue;
      rdd_err err = {0};
      body b = {run};
      TK_OK(rdd_threads_run_on_nodes(size, node_size, run_body, &b, &err), &err);
    }
}

/* ---- Ratings ---- */

/* Users rate items near themselves on a line, so that a node needs few rows of another; or any. */
static void draw(int users, bool near, fx_list *list, int64_t seed) {
  fx_random random;
  fx_seed(&random, seed);
  for (int u = 0; u < users; u++)
    for (int n = 0; n < 8; n++) {
      int item = near ? u / 2 + fx_below(&random, 4) : fx_below(&random, users / 2 + 3);
      fx_add(list, u, item, 1 + (float)fx_below(&random, 5));
    }
}

/* ---- The same bits ---- */

static const struct {
  als_exchange_kind kind;
  bool no_overlap;
} ways[] = {{ALS_EXCHANGE_AUTO, false},
            {ALS_EXCHANGE_NEED, false},
            {ALS_EXCHANGE_NEED, true},
            {ALS_EXCHANGE_ALL, false},
            {ALS_EXCHANGE_ALL, true}};
enum { WAYS = sizeof ways / sizeof *ways };

static bool same_table(const rdd_table *a, const rdd_table *b) {
  if (!a || !b) return a == b;
  return rdd_table_size(a) == rdd_table_size(b) &&
         memcmp(rdd_table_data(a), rdd_table_data(b), rdd_table_size(a)) == 0;
}

static bool same_number(double a, double b) {
  return a == b || (isnan(a) && isnan(b));
}

static void check_same(const fx_fit *a, const fx_fit *b) {
  for (int side = 0; side < 2; side++) {
    TK_CHECK(same_table(a->model->side[side].factors, b->model->side[side].factors));
    TK_CHECK(same_table(a->model->side[side].bias, b->model->side[side].bias));
    TK_CHECK(!a->model->side[side].exchange);
  }
  TK_CHECK(a->iterations == b->iterations);
  for (int i = 0; i < a->iterations; i++) {
    TK_CHECK(a->history[i].objective == b->history[i].objective);
    TK_CHECK(same_number(a->history[i].rmse_test, b->history[i].rmse_test));
    TK_CHECK(same_number(a->history[i].rmse_validation, b->history[i].rmse_validation));
    TK_CHECK(same_number(a->history[i].ndcg_validation, b->history[i].ndcg_validation));
  }
}

static bool open_fit(fx_fit *fit, rdd_comm *comm, const fx_setup *setup, bool validated) {
  if (!fx_open(fit, comm, setup)) return false;
  if (!validated) return true;
  fit->problem.validation = &fit->test;
  fit->problem.watch = setup->params.loss.mode == ALS_EXPLICIT ? ALS_RMSE : ALS_NDCG;
  return true;
}

/* On one rank, and here by each way. */
static void check_ways(rdd_comm *comm, const als_params *params, int users, bool near,
                       bool held_out, bool validated) {
  fx_list list = {0}, test = {0};
  rdd_err err = {0};
  rdd_comm *one = NULL;
  fx_fit alone;
  draw(users, near, &list, 3);
  draw(users, !near, &test, 4); /* items that nobody of the node has rated */
  fx_setup setup = {
      .train = &list, .partitions = 3, .batch_rows = 64, .seed = 3, .params = *params};
  if (held_out) setup.test = &test;
  TK_OK(rdd_comm_single(&one, &err), &err);
  bool ok = open_fit(&alone, one, &setup, validated) && fx_run(&alone, one, &setup);
  for (int way = 0; ok && way < WAYS; way++) {
    fx_fit fit;
    setup.params.exchange = ways[way].kind;
    setup.params.no_overlap = ways[way].no_overlap;
    if (open_fit(&fit, comm, &setup, validated) && fx_run(&fit, comm, &setup)) {
      check_same(&fit, &alone);
      for (int side = 0; side < 2 && ways[way].kind != ALS_EXCHANGE_AUTO; side++)
        TK_CHECK(fit.problem.exchange[side].need_only ==
                 (ways[way].kind == ALS_EXCHANGE_NEED && comm->nodes > 1));
    }
    fx_close(&fit);
  }
  fx_close(&alone);
  rdd_comm_close(one);
  fx_reset(&list);
  fx_reset(&test);
}

#define COMMON                                                                                     \
  .rank = K, .max_iter = ITERATIONS, .reg = {0.2, 0.1}, .reg_exponent = 1, .cg_steps = 2,          \
  .block = 4, .bias_reg = 5
static const als_params modes[] = {
    {COMMON},
    {COMMON, .bias = true, .update_bias = true},
    {COMMON, .solver = ALS_CG, .final_exact = true},
    {COMMON, .loss = {ALS_IMPLICIT, .alpha = 2}},
    {COMMON, .loss = {ALS_IALS, .unobserved = 0.3}, .solver = ALS_SUBSPACE},
    {COMMON, .nonnegative = true},
    {COMMON, .bias = true, .update_bias = true, .balance = true},
    {COMMON, .loss = {ALS_IMPLICIT, .alpha = 2}, .solver = ALS_CG, .balance = true},
};
enum { MODES = sizeof modes / sizeof *modes };

static void same_bits(rdd_comm *comm) {
  for (int m = 0; m < MODES; m++) check_ways(comm, &modes[m], USERS, m % 2, m < 2, false);
}

/* Shares of the Gram matrix are of several rows then, some of them on both sides of a border. */
static void same_bits_of_gram_matrices(rdd_comm *comm) {
  check_ways(comm, &modes[3], 10 * USERS, true, false, false);
}

/* Enough rows for several groups, which travel while others are solved. */
static void same_bits_in_groups(rdd_comm *comm) {
  als_params params = modes[0];
  params.rank = 16;
  params.max_iter = 2;
  check_ways(comm, &params, 40 * USERS, false, false, false);
}

/* Test ratings at random: validation is at its best before the end, and the exact iteration goes on from
 * there. */
static void best_of_validation(rdd_comm *comm) {
  als_params params = modes[2];
  params.max_iter = 8;
  check_ways(comm, &params, USERS, true, true, true);
  params = modes[1];
  params.max_iter = 8;
  check_ways(comm, &params, USERS, true, true, true);
  params = modes[3]; /* lists are ranked of all items */
  check_ways(comm, &params, 4 * USERS, true, true, true);
}

/* ---- 16 bits ---- */

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* Through the wire's own form and back. */
static float there_and_back(als_wire wire, float x) {
  uint16_t half;
  float back;
  (wire == ALS_WIRE_FLOAT16 ? als_wire_pack_float16 : als_wire_pack_bfloat16)(&x, &half, 1);
  (wire == ALS_WIRE_FLOAT16 ? als_wire_unpack_float16 : als_wire_unpack_bfloat16)(&half, &back, 1);
  return back;
}

/* All 65536 numbers come back; and what lies between two becomes the nearer one, or the even one. */
static void check_numbers(als_wire wire) {
  int64_t wrong = 0;
  for (uint32_t i = 0; i < 65535; i++) {
    const uint16_t half[2] = {(uint16_t)i, (uint16_t)(i + 1)};
    float x[2];
    (wire == ALS_WIRE_FLOAT16 ? als_wire_unpack_float16 : als_wire_unpack_bfloat16)(half, x, 2);
    if (isnan(x[0])) {
      wrong += !isnan(there_and_back(wire, x[0]));
      continue;
    }
    wrong += bits_of(there_and_back(wire, x[0])) != bits_of(x[0]);
    wrong += bits_of(als_wire_round(wire, x[0])) != bits_of(x[0]);
    if (!isfinite(x[0]) || !isfinite(x[1])) continue;
    float middle = (float)(((double)x[0] + x[1]) / 2); /* exact: one bit more */
    wrong += als_wire_round(wire, middle) != x[i % 2];
    wrong += als_wire_round(wire, nextafterf(middle, x[0])) != x[0];
    wrong += als_wire_round(wire, nextafterf(middle, x[1])) != x[1];
  }
  TK_CHECK(wrong == 0);
}

static void test_numbers(void) {
  check_numbers(ALS_WIRE_FLOAT16);
  check_numbers(ALS_WIRE_BFLOAT16);
  TK_CHECK(als_wire_round(ALS_WIRE_FLOAT16, 65519) == 65504);
  TK_CHECK(als_wire_round(ALS_WIRE_FLOAT16, -65520) == -INFINITY);
  TK_CHECK(als_wire_round(ALS_WIRE_FLOAT16, 1 + 0x1p-11f) == 1);
  TK_CHECK(als_wire_round(ALS_WIRE_FLOAT16, 1 + 0x1p-10f) == 1 + 0x1p-10f);
  TK_CHECK(als_wire_round(ALS_WIRE_BFLOAT16, 3e38f) > 2.9e38f);
  TK_CHECK(als_wire_round(ALS_WIRE_FLOAT32, 0.1f) == 0.1f);
}

/* The same model by every way, and half the bytes. */
static void rounded(rdd_comm *comm) {
  als_params params = modes[1];
  params.wire = ALS_WIRE_FLOAT16;
  check_ways(comm, &params, USERS, true, false, false);
  params = modes[3];
  params.wire = ALS_WIRE_BFLOAT16;
  check_ways(comm, &params, USERS, false, true, false);
}

/* The largest rating is too large for float16, and its row is named. */
static void too_large(rdd_comm *comm) {
  fx_list list = {0};
  fx_fit fit;
  rdd_err err = {0};
  int done;
  draw(USERS, true, &list, 3);
  fx_add(&list, 0, 0, 1e12f);
  fx_setup setup = {.train = &list, .partitions = 3, .batch_rows = 64, .params = modes[0]};
  setup.params.wire = ALS_WIRE_FLOAT16;
  if (fx_open(&fit, comm, &setup)) {
    TK_CHECK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history, &done,
                     &err) == RDD_ESINGULAR);
    TK_CHECK(strstr(err.message, "item 0: its factors are too large for float16 with") != NULL);
  }
  fx_close(&fit);
  fx_reset(&list);
}

static void test_rounded(void) {
  on_nodes(rounded);
  on_nodes(too_large);
}

/* ---- Bytes ---- */

/* Which nodes have a rating with which row of a side: [nodes][rows], the same on all ranks. */
static int64_t *who_needs(rdd_comm *comm, const als_side *other, int64_t rows) {
  int64_t n = comm->nodes * rows, *needs = rdd_calloc((size_t)n, sizeof *needs);
  for (int64_t e = 0; e < other->start[other->rows]; e++)
    needs[comm->node_of[comm->rank] * rows + other->entry[e].column] = 1;
  rdd_allreduce(comm, needs, n, RDD_MAX);
  return needs;
}

/* Rows of this rank, times the other nodes that need them. */
static int64_t expected_rows(rdd_comm *comm, const als_problem *problem, int side) {
  const als_side *own = &problem->side[side];
  int64_t rows = own->blocks.rows, n = 0;
  int64_t *needs = who_needs(comm, &problem->side[!side], rows);
  for (int64_t row = own->first; row < own->first + own->rows; row++)
    for (int node = 0; node < comm->nodes; node++)
      n += node != comm->node_of[comm->rank] && needs[node * rows + row];
  rdd_free(needs);
  return n;
}

static void check_plan(rdd_comm *comm, const als_exchange_plan *plan, int64_t own, int64_t rows,
                       als_exchange_kind way, bool near, int64_t number) {
  rdd_allreduce(comm, &own, 1, RDD_SUM);
  TK_CHECK(plan->all_bytes == rows * (comm->nodes - 1) * number * K);
  if (comm->nodes == 1) return;
  TK_CHECK(plan->need_bytes == own * number * K);
  if (near) TK_CHECK(plan->need_bytes < plan->all_bytes);
  if (way == ALS_EXCHANGE_AUTO) TK_CHECK(plan->need_only == (plan->need_bytes < plan->all_bytes));
}

static void check_bytes(rdd_comm *comm, als_exchange_kind way, bool no_overlap, bool near,
                        als_wire wire) {
  fx_list list = {0};
  fx_fit fit;
  draw(USERS, near, &list, 3);
  fx_setup setup = {.train = &list, .partitions = 3, .batch_rows = 64, .params = modes[0]};
  setup.params.exchange = way;
  setup.params.no_overlap = no_overlap;
  setup.params.wire = wire;
  if (fx_open(&fit, comm, &setup) && fx_run(&fit, comm, &setup)) {
    int64_t each = 0, number = als_wire_bytes(wire);
    for (int side = 0; side < 2; side++) {
      const als_side *own = &fit.problem.side[side];
      const als_exchange_plan *plan = &fit.problem.exchange[side];
      int64_t rows = expected_rows(comm, &fit.problem, side);
      check_plan(comm, plan, rows, own->blocks.rows, way, near, number);
      each += (plan->need_only ? rows : own->rows * (comm->nodes - 1)) * number * K;
    }
    for (int i = 0; i < ITERATIONS; i++) {
      TK_CHECK(fit.history[i].exchange_bytes == each);
      TK_CHECK(fit.history[i].exchange_seconds >= 0);
    }
  }
  fx_close(&fit);
  fx_reset(&list);
}

static void bytes_of_the_formula(rdd_comm *comm) {
  for (int way = 0; way < WAYS; way++)
    for (int near = 0; near < 2; near++)
      check_bytes(comm, ways[way].kind, ways[way].no_overlap, near,
                  near ? ALS_WIRE_FLOAT16 : ALS_WIRE_FLOAT32);
}

/* ---- Whole tables ---- */

/* Have all ranks the same table? Collective. */
static bool is_alike(rdd_comm *comm, const rdd_table *table) {
  int64_t hash = (int64_t)rdd_hash_bytes(rdd_table_data(table), rdd_table_size(table));
  int64_t extreme[2] = {hash, hash};
  rdd_allreduce(comm, &extreme[0], 1, RDD_MIN);
  rdd_allreduce(comm, &extreme[1], 1, RDD_MAX);
  return extreme[0] == extreme[1];
}

/* In every second iteration: before somebody asks they are not alike, and then they are. */
static rdd_status ask(void *arg, rdd_comm *comm, const als_model *model,
                      const als_iteration *history, int done, bool *stop_out, rdd_err *err) {
  (void)arg, (void)history, (void)stop_out, (void)err;
  for (int side = 0; side < 2; side++)
    TK_CHECK(is_alike(comm, model->side[side].factors) == (comm->nodes == 1));
  rdd_barrier(comm); /* all have looked before it changes */
  if (done % 2 == 0) return RDD_OK;
  als_model_make_whole(model, comm);
  for (int side = 0; side < 2; side++) {
    TK_CHECK(is_alike(comm, model->side[side].factors));
    TK_CHECK(is_alike(comm, model->side[side].bias));
  }
  rdd_traffic before = comm->traffic;
  als_model_make_whole(model, comm); /* again: nothing is to be done */
  TK_CHECK(comm->traffic.sent == before.sent);
  return RDD_OK;
}

static void whole_when_asked(rdd_comm *comm) {
  const als_hooks hooks = {.after = ask};
  fx_list list = {0};
  rdd_err err = {0};
  fx_fit fit;
  draw(USERS, true, &list, 3);
  fx_setup setup = {.train = &list, .partitions = 3, .batch_rows = 64, .params = modes[1]};
  setup.params.exchange = ALS_EXCHANGE_NEED;
  if (fx_open(&fit, comm, &setup)) {
    TK_OK(als_fit(comm, &fit.problem, &setup.params, fit.model, 0, &hooks, fit.history,
                  &fit.iterations, &err),
          &err);
    for (int side = 0; side < 2; side++) TK_CHECK(is_alike(comm, fit.model->side[side].factors));
  }
  fx_close(&fit);
  fx_reset(&list);
}

/* ---- Memory ---- */

static void memory_runs_out(rdd_comm *comm) {
  fx_list list = {0};
  int failed = 0;
  draw(USERS, true, &list, 3);
  fx_setup setup = {.train = &list, .test = &list, .partitions = 3, .batch_rows = 64};
  setup.params = modes[3];
  setup.params.max_iter = 1;
  setup.params.exchange = ALS_EXCHANGE_NEED;
  for (int n = 1; n < 60; n += 2) {
    fx_fit fit;
    rdd_err err = {0};
    if (!fx_open(&fit, comm, &setup)) break;
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(n);
    rdd_barrier(comm);
    int64_t st = als_fit(comm, &fit.problem, &setup.params, fit.model, 0, NULL, fit.history,
                         &fit.iterations, &err);
    int64_t extreme[2] = {st, -st};
    rdd_barrier(comm);
    if (comm->rank == comm->size - 1) rdd_memory_fail_at(0);
    rdd_allreduce(comm, extreme, 2, RDD_MIN);
    TK_CHECK(extreme[0] == -extreme[1] && (st == RDD_OK || st == RDD_ENOMEM));
    failed += st == RDD_ENOMEM;
    fx_close(&fit);
  }
  TK_CHECK(failed > 5);
  fx_reset(&list);
}

static void test_bits(void) {
  on_nodes(same_bits);
}

static void test_gram(void) {
  on_nodes(same_bits_of_gram_matrices);
}

static void test_groups(void) {
  on_nodes(same_bits_in_groups);
}

static void test_best(void) {
  on_nodes(best_of_validation);
}

static void test_bytes(void) {
  on_nodes(bytes_of_the_formula);
}

static void test_whole(void) {
  on_nodes(whole_when_asked);
}

static void test_memory(void) {
  on_nodes(memory_runs_out);
}

#ifdef __SANITIZE_THREAD__
/* OpenBLAS is not built for the thread sanitizer, which so does not see its locks. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race:libopenblas\n";
}
#endif

int main(void) {
  static const tk_case cases[] = {
      {"the same bits whichever way rows go", test_bits},
      {"Gram matrices, too", test_gram},
      {"in groups, too", test_groups},
      {"the best of validation, too", test_best},
      {"numbers of 16 bits", test_numbers},
      {"rows of 16 bits", test_rounded},
      {"the bytes are those of the formula", test_bytes},
      {"tables are whole when somebody asks", test_whole},
      {"all leave together when memory is out", test_memory},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib exchange", cases, sizeof cases / sizeof *cases);
}
