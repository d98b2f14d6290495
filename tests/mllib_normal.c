/* Normal equations of one row: Spark's published examples, panels, and a matrix that is singular. */
#include "mllib/normal_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/oracle.h"
#include "tests/testkit.h"

#include <math.h>

static als_system explicit_system(int k, const float *factors) {
  return (als_system){.k = k, .width = k, .factors = factors};
}

/* Ratings of factors (1, 2), (4, 5), (7, 8): 3, 12 with a weight of 2, which is 6 twice, and 9. */
static void sums_are_those_of_the_published_example(void) {
  static const float factors[] = {1, 2, 4, 5, 7, 8};
  static const als_entry entry[] = {{0, 3}, {1, 6}, {1, 6}, {2, 9}};
  rdd_err err = {0};
  als_normal ne = {0};
  const als_system system = explicit_system(2, factors);
  TK_OK(als_normal_init(&ne, 2, &err), &err);
  als_normal_add(&ne, &system, entry, 3);
  TK_NEAR(ne.a[0], 33, 0);
  TK_NEAR(ne.a[1], 42, 0);
  TK_NEAR(ne.a[ne.w + 1], 54, 0);
  TK_NEAR(ne.b[0], 51, 0);
  TK_NEAR(ne.b[1], 66, 0);
  als_normal_add(&ne, &system, entry + 3, 1);
  TK_NEAR(ne.a[0], 82, 0);
  TK_NEAR(ne.a[1], 98, 0);
  TK_NEAR(ne.a[ne.w + 1], 118, 0);
  TK_NEAR(ne.b[0], 114, 0);
  TK_NEAR(ne.b[1], 138, 0);
  TK_NEAR(ne.p, 9 + 36 + 36 + 81, 0);
  als_normal_clear(&ne, &system);
  for (int i = 0; i < ne.w * ne.w; i++) TK_CHECK(ne.a[i] == 0);
  TK_CHECK(ne.b[0] == 0 && ne.b[1] == 0 && ne.p == 0);
  als_normal_reset(&ne);
}

static void cholesky_gives_the_published_solutions(void) {
  static const float factors[] = {1, 2, 1, 3, 1, 4};
  static const als_entry entry[] = {{0, 4}, {1, 9}, {2, 16}};
  static const double ridge[] = {0, 1.5}, want[][2] = {{-8.333333, 6.0}, {-0.1155556, 3.28}};
  rdd_err err = {0};
  als_normal ne = {0};
  const als_system system = explicit_system(2, factors);
  double x[2];
  TK_OK(als_normal_init(&ne, 2, &err), &err);
  for (int i = 0; i < 2; i++) {
    als_normal_clear(&ne, &system);
    als_normal_add(&ne, &system, entry, 3);
    TK_CHECK(als_normal_solve(&ne, ridge[i], x) == 0);
    TK_NEAR(x[0], want[i][0], 1e-6 * fabs(want[i][0]));
    TK_NEAR(x[1], want[i][1], 1e-6 * fabs(want[i][1]));
  }
  als_normal_reset(&ne);
}

static void collinear_factors_are_singular(void) {
  static const float factors[] = {1, 2, 2, 4};
  static const als_entry entry[] = {{0, 1}, {1, 2}};
  rdd_err err = {0};
  als_normal ne = {0};
  const als_system system = explicit_system(2, factors);
  double x[2];
  TK_OK(als_normal_init(&ne, 2, &err), &err);
  als_normal_add(&ne, &system, entry, 2);
  TK_CHECK(als_normal_solve(&ne, 0, x) == 2);
  als_normal_clear(&ne, &system);
  TK_CHECK(als_normal_solve(&ne, 0, x) == 1);
  als_normal_reset(&ne);
}

/* Rows that end inside a panel, at its edge, and just after it. */
static void panels_agree_with_the_oracle(void) {
  enum { K = 9, COLUMNS = 40, MOST = 3 * ALS_PANEL_ROWS + 5 };
  static const int64_t length[] = {1,   20, ALS_PANEL_ROWS - 1, ALS_PANEL_ROWS, ALS_PANEL_ROWS + 1,
                                   MOST};
  float factors[COLUMNS * K];
  double wide[COLUMNS * K], want[K], x[K];
  als_entry entry[MOST];
  oracle_rating rating[MOST];
  fx_random random;
  rdd_err err = {0};
  als_normal ne = {0};
  const als_system system = explicit_system(K, factors);
  fx_seed(&random, 1);
  for (int i = 0; i < COLUMNS * K; i++) wide[i] = factors[i] = fx_float(&random) - 0.5f;
  for (int i = 0; i < MOST; i++) {
    entry[i] = (als_entry){(uint32_t)(i * 7 % COLUMNS), fx_float(&random) * 5};
    rating[i] = (oracle_rating){0, entry[i].column, entry[i].value};
  }
  TK_OK(als_normal_init(&ne, K, &err), &err);
  for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
    int64_t n = length[i];
    als_normal_clear(&ne, &system);
    als_normal_add(&ne, &system, entry, n);
    TK_CHECK(als_normal_solve(&ne, 0.1 * (double)n, x) == 0);
    oracle_half_step(rating, n, 1, K, 0.1, wide, want);
    for (int j = 0; j < K; j++) TK_NEAR(x[j], want[j], 1e-11);
  }
  als_normal_reset(&ne);
}

int main(void) {
  static const tk_case cases[] = {
      {"ALSSuite: normal equation construction", sums_are_those_of_the_published_example},
      {"ALSSuite: CholeskySolver", cholesky_gives_the_published_solutions},
      {"collinear factors are singular", collinear_factors_are_singular},
      {"panels agree with the oracle", panels_agree_with_the_oracle},
  };
  return tk_main("mllib normal", cases, sizeof cases / sizeof *cases);
}
