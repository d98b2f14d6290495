/* What a fit will take: numbers of ratings, rows that nodes need against a simulation, and how the plan moves
 * with ranks. That it is what als train takes is in cli_plan.sh. */
#include "mllib/plan.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <math.h>
#include <string.h>

static double sum_rows(const als_degrees *d) {
  double sum = 0;
  for (int64_t i = 0; i < d->n; i++) sum += d->of[i].rows;
  return sum;
}

static double sum_ratings(const als_degrees *d) {
  double sum = 0;
  for (int64_t i = 0; i < d->n; i++) sum += d->of[i].rows * d->of[i].ratings;
  return sum;
}

static void counts_are_grouped(void) {
  int64_t count[] = {3, 1, 3, 2, 3, 1};
  const als_degree want[] = {{1, 2}, {2, 1}, {3, 3}};
  rdd_err err = {0};
  als_degrees d;
  TK_OK(als_degrees_count(&d, count, 6, &err), &err);
  TK_CHECK(d.rows == 6 && d.n == 3 && !d.drawn);
  for (int i = 0; i < 3; i++)
    TK_CHECK(d.of[i].ratings == want[i].ratings && d.of[i].rows == want[i].rows);
  als_degrees_reset(&d);
}

static void modelled_ratings_add_up(void) {
  static const struct {
    int64_t rows, other;
    double ratings;
  } shape[] = {
      {1, 1, 1}, {7, 3, 21}, {100, 50, 40}, {20000, 5000, 2e6}, {100000000, 10000000, 5e10}};
  rdd_err err = {0};
  for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
    for (int side = 0; side < 2; side++) {
      als_degrees d;
      TK_OK(als_degrees_model(&d, side, shape[i].rows, shape[i].other, shape[i].ratings, &err),
            &err);
      TK_CHECK(d.n <= 1 << 13);
      TK_NEAR(sum_rows(&d), (double)shape[i].rows, 0);
      TK_NEAR(sum_ratings(&d), shape[i].ratings, 1e-9 * shape[i].ratings);
      for (int64_t g = 0; g < d.n; g++) {
        TK_CHECK(d.of[g].ratings <= (double)shape[i].other);
        TK_CHECK(d.of[g].ratings >= (shape[i].ratings >= (double)shape[i].rows));
        TK_CHECK(g == 0 || d.of[g].ratings <= d.of[g - 1].ratings);
      }
      als_degrees_reset(&d);
    }
}

static als_plan_problem problem_of(int64_t users, int64_t items, double ratings) {
  als_plan_problem p = {.params = als_params_default(),
                        .ratings = ratings,
                        .partition_bytes = 20,
                        .id_bytes = {8, 8},
                        .own_bytes = 1e6,
                        .code_bytes = 2e6,
                        .hand_off = 1e-7,
                        .reading = 1e-7,
                        .bandwidth = 1e9,
                        .checkpoints = true};
  const int64_t rows[2] = {users, items};
  rdd_err err = {0};
  for (int side = 0; side < 2; side++) {
    TK_OK(als_degrees_model(&p.side[side], side, rows[side], rows[!side], ratings, &err), &err);
    for (int i = 0; i < ALS_RATE_POINTS; i++) p.rates[side].seconds[i] = 1e-6 + 1e-7 * ldexp(1, i);
  }
  return p;
}

static void reset(als_plan_problem *p) {
  for (int side = 0; side < 2; side++) als_degrees_reset(&p->side[side]);
}

/* 5 ranks on nodes of 2, 2 and 1: rows are thrown at owners, their ratings at nodes, in proportion. */
static void rows_go_to_the_nodes_that_need_them(void) {
  enum { USERS = 20000, NODES = 3 };
  static const int node_of[5] = {0, 0, 1, 1, 2};
  als_plan_problem p = problem_of(USERS, 5000, 60000);
  const als_layout layout = {5, 2, 1, 10};
  als_plan plan = als_plan_make(&p, &layout);
  fx_random random;
  fx_seed(&random, 3);
  double sum = 0;
  for (int64_t g = 0; g < p.side[ALS_USERS].n; g++)
    for (int r = 0; r < (int)p.side[ALS_USERS].of[g].rows; r++) {
      bool needs[NODES] = {false};
      double c = p.side[ALS_USERS].of[g].ratings;
      int whole = (int)c + (fx_double(&random) < c - floor(c)), own = node_of[fx_below(&random, 5)];
      for (int i = 0; i < whole; i++) needs[node_of[fx_below(&random, 5)]] = true;
      for (int node = 0; node < NODES; node++) sum += node != own && needs[node];
    }
  TK_CHECK(plan.nodes == NODES && plan.need_only[ALS_USERS]);
  TK_NEAR(plan.need[ALS_USERS], sum * 4 * p.params.rank, 0.01 * sum * 4 * p.params.rank);
  TK_NEAR(plan.all[ALS_USERS], USERS * 2.0 * 4 * p.params.rank, 0);
  p.params.exchange = ALS_EXCHANGE_ALL;
  p.params.wire = ALS_WIRE_BFLOAT16;
  plan = als_plan_make(&p, &layout);
  TK_NEAR(plan.rows_bytes, (USERS + 5000) * 2.0 * 2 * p.params.rank, 0);
  reset(&p);
}

static void one_node_sends_nothing(void) {
  als_plan_problem p = problem_of(20000, 5000, 2e6);
  p.params.loss.mode = ALS_IMPLICIT;
  const als_layout layout = {4, 4, 2, 8};
  als_plan plan = als_plan_make(&p, &layout);
  TK_CHECK(plan.nodes == 1 && plan.rows_bytes == 0 && plan.gram_bytes == 0 && plan.wire == 0);
  TK_NEAR(plan.iteration, plan.solve, 0);
  TK_NEAR(plan.shared, 25000 * (8 + 4.0 * p.params.rank), 0);
  TK_NEAR(plan.node, 4 * plan.own + plan.shared + 2e6, 1);
  TK_NEAR(plan.first_node - plan.node, 25000 * 4.0 * p.params.rank, 1);
  reset(&p);
}

/* More ranks have less each, until blocks are whole, and a row is one rank's. */
static void ranks_share_until_blocks_are_whole(void) {
  als_plan_problem p = problem_of(20000, 5000, 2e6);
  double own = INFINITY, solve = INFINITY, most = 0;
  for (int64_t ranks = 1; ranks <= 16384; ranks *= 2) {
    const als_layout layout = {ranks, 1, 1, 2 * ranks};
    als_plan plan = als_plan_make(&p, &layout);
    TK_CHECK(plan.own <= own * 1.2 && plan.solve <= solve);
    if (ranks == 1) TK_CHECK(plan.own >= 20 * 2e6 && plan.own <= 40 * 2e6);
    if (ranks == 2) TK_NEAR(plan.solve, solve / 2, 0.01 * solve);
    own = plan.own;
    solve = plan.solve;
  }
  for (int64_t i = 0; i < p.side[ALS_ITEMS].n; i++)
    most = fmax(most, p.side[ALS_ITEMS].of[i].ratings);
  TK_CHECK(solve >= als_rates_row(&p.rates[ALS_ITEMS], most));
  reset(&p);
}

static void rates_are_read_off_between_points(void) {
  als_rates r = {.gram = 0};
  for (int i = 0; i < ALS_RATE_POINTS; i++) r.seconds[i] = i * i;
  TK_NEAR(als_rates_row(&r, 0.5), -0.5, 1e-12);
  for (int i = 0; i < ALS_RATE_POINTS; i++) TK_NEAR(als_rates_row(&r, ldexp(1, i)), i * i, 1e-12);
  TK_NEAR(als_rates_row(&r, 12), (9 + 16) / 2.0, 1e-12);
  TK_NEAR(als_rates_row(&r, 8192), 144 + 2 * 23, 1e-9);
}

static void rates_of_this_machine(void) {
  static const int64_t rows[2] = {3000, 500};
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  for (int mode = 0; mode < 3; mode++) {
    als_params params = als_params_default();
    als_rates r;
    if (mode) params.loss.mode = ALS_IMPLICIT;
    if (mode == 2) params.solver = ALS_CG;
    TK_OK(als_rates_measure(comm, &params, mode % 2, rows, &r, &err), &err);
    TK_CHECK(als_rates_row(&r, 4096) > 4 * als_rates_row(&r, 16));
    TK_CHECK((r.gram > 0) == (mode > 0));
  }
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"counts are grouped", counts_are_grouped},
      {"modelled ratings add up", modelled_ratings_add_up},
      {"rows go to the nodes that need them", rows_go_to_the_nodes_that_need_them},
      {"one node sends nothing", one_node_sends_nothing},
      {"ranks share until blocks are whole", ranks_share_until_blocks_are_whole},
      {"rates are read off between points", rates_are_read_off_between_points},
      {"rates of this machine", rates_of_this_machine},
  };
  return tk_main("mllib plan", cases, sizeof cases / sizeof *cases);
}
