/* Nonnegative least squares: Spark's published problems, and random ones held against the conditions that a
 * minimum has to meet. */
#include "mllib/nnls_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { MOST = 60 };

typedef struct problem {
  int n;
  double a[MOST * MOST], b[MOST], x[MOST];
} problem;

/* A = M'M, b = M'y for M[rows][n]. */
static void normal_equations(problem *p, int n, int rows, const double *m, const double *y) {
  p->n = n;
  memset(p->x, 0, sizeof p->x);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) {
      p->a[i * n + j] = 0;
      for (int r = 0; r < rows; r++) p->a[i * n + j] += m[r * n + i] * m[r * n + j];
    }
    p->b[i] = 0;
    for (int r = 0; r < rows; r++) p->b[i] += m[r * n + i] * y[r];
  }
}

/* From the upper triangle, row by row. */
static void fill(problem *p, int n, const double *upper, const double *b) {
  p->n = n;
  memset(p->x, 0, sizeof p->x);
  for (int i = 0; i < n; i++)
    for (int j = i; j < n; j++) p->a[i * n + j] = p->a[j * n + i] = *upper++;
  memcpy(p->b, b, (size_t)n * sizeof *b);
}

static bool solve(problem *p, double ridge) {
  rdd_err err = {0};
  return TK_OK(als_nnls_solve(p->a, p->b, p->n, ridge, p->x, &err), &err);
}

/* x'A x / 2 - b'x */
static double objective(const problem *p, const double *x) {
  double sum = 0;
  for (int i = 0; i < p->n; i++) {
    double along = 0;
    for (int j = 0; j < p->n; j++) along += p->a[i * p->n + j] * x[j];
    sum += x[i] * (along / 2 - p->b[i]);
  }
  return sum;
}

static void exact_solution(void) {
  enum { N = 20 };
  fx_random random;
  problem p;
  int solved = 0;
  fx_seed(&random, 12346);
  for (int problems = 0; problems < 100; problems++) {
    double m[N * N], y[N] = {0}, squares = 0, most = 0;
    for (int c = 0; c < N; c++) /* column-major */
      for (int r = 0; r < N; r++) y[r] += m[r * N + c] = fx_double(&random);
    normal_equations(&p, N, N, m, y);
    if (!solve(&p, 0)) continue;
    for (int i = 0; i < N; i++) {
      squares += (p.x[i] - 1) * (p.x[i] - 1);
      most = fmax(most, fabs(p.x[i] - 1));
      TK_CHECK(p.x[i] >= 0);
    }
    solved += sqrt(squares) < .01 && most < .001;
  }
  TK_CHECK(solved > 98); /* Spark's test asks for more than 50 */
}

static void constraint_active(void) {
  static const double upper[] = {4.377,  -3.531, -1.306, -0.139, 3.418, 4.344, .934, .305,
                                 -2.140, 2.644,  -.203,  -.170,  5.883, 1.428, 4.684},
                      b[] = {-1.632, 2.115, 1.094, -1.025, -0.636},
                      want[] = {.1302501, .5450611, .2874003, 0, .0286281};
  problem p;
  fill(&p, 5, upper, b);
  if (!solve(&p, 0)) return;
  for (int i = 0; i < 5; i++) TK_NEAR(p.x[i], want[i], 6e-8);
  TK_CHECK(p.x[3] == 0);
}

static void objective_value(void) {
  static const double upper[] = {517399.13534,  242529.67289,  -153644.98976, 130802.84503,
                                 -798452.29283, 126017.69765,  -75944.21743,  81785.36128,
                                 -405290.60884, 46986.44577,   -45401.12659,  247059.51049,
                                 67457.31310,   -253747.03819, 1310939.40814},
                      b[] = {-31755.05710, 13047.14813, -20191.24443, 25993.77580, 11963.55017},
                      reference[] = {34.90751, 103.96254, 0, 27.82094, 58.79627},
                      want[] = {35.58252, 104.66440, 0, 28.57017, 59.56950};
  problem p;
  fill(&p, 5, upper, b);
  if (!solve(&p, 0)) return;
  TK_NEAR(objective(&p, reference), -845372.6760, 1e-3);
  TK_CHECK(objective(&p, p.x) < objective(&p, reference) + 1e-5);
  TK_NEAR(objective(&p, p.x), -845478.0829, 1e-3);
  for (int i = 0; i < 5; i++) TK_NEAR(p.x[i], want[i], 1e-4);
}

/* x >= 0, the gradient >= 0, and one of them 0 for each unknown: that is the minimum, as the problem is
 * convex. */
static void check_minimum(const problem *p, double ridge, double tolerance) {
  double most = 0;
  for (int i = 0; i < p->n; i++) most = fmax(most, fabs(p->b[i]));
  for (int i = 0; i < p->n; i++) {
    double gradient = ridge * p->x[i] - p->b[i];
    for (int j = 0; j < p->n; j++) gradient += p->a[i * p->n + j] * p->x[j];
    TK_CHECK(p->x[i] >= 0);
    TK_CHECK(gradient >= -tolerance * most);
    if (p->x[i] > 0) TK_NEAR(gradient, 0, tolerance * most);
  }
}

/* Problems of all sizes, with more and with fewer rows than unknowns (then A is singular), some columns
 * twice or all zero, from any start: the minimum's value does not depend on that. */
static void minima_meet_their_conditions(void) {
  fx_random random;
  fx_seed(&random, 5);
  for (int t = 0; t < 300; t++) {
    static double m[2 * MOST * MOST], y[2 * MOST];
    problem p;
    int n = 1 + fx_below(&random, MOST), rows = 1 + fx_below(&random, 2 * n);
    double ridge = t % 3 == 0 ? 0 : fx_double(&random), scale = pow(10, fx_below(&random, 9) - 4);
    for (int i = 0; i < rows * n; i++) m[i] = scale * fx_gaussian(&random);
    for (int r = 0; r < rows; r++) y[r] = fx_gaussian(&random);
    for (int r = 0; n > 3 && t % 5 == 0 && r < rows; r++) {
      m[r * n + 1] = m[r * n];
      m[r * n + 2] = 0;
    }
    normal_equations(&p, n, rows, m, y);
    if (!solve(&p, ridge * scale * scale)) continue;
    check_minimum(&p, ridge * scale * scale, 1e-8);
    problem again = p;
    for (int i = 0; i < n; i++) again.x[i] = fx_gaussian(&random);
    if (!solve(&again, ridge * scale * scale)) continue;
    check_minimum(&again, ridge * scale * scale, 1e-8);
    TK_NEAR(objective(&again, again.x) - objective(&p, p.x), 0, 1e-8 * fabs(objective(&p, p.x)));
  }
}

static void edges(void) {
  rdd_err err = {0};
  problem p = {.n = 2, .a = {2, 1, 1, 2}, .b = {-1, -2}, .x = {3, 4}};
  if (solve(&p, 0)) TK_CHECK(p.x[0] == 0 && p.x[1] == 0); /* all are bound */
  p = (problem){.n = 2, .x = {1, -1}};
  if (solve(&p, 0)) TK_CHECK(p.x[0] == 0 && p.x[1] == 0); /* nothing pulls */
  p = (problem){.n = 1, .a = {4}, .b = {2}};
  if (solve(&p, 1)) TK_NEAR(p.x[0], 0.4, 1e-15);
  p = (problem){.n = 1, .a = {-1}, .b = {2}};
  TK_CHECK(als_nnls_solve(p.a, p.b, 1, 0, p.x, &err) == RDD_ESINGULAR);
  p = (problem){.n = 1, .a = {1}, .b = {NAN}};
  TK_CHECK(als_nnls_solve(p.a, p.b, 1, 0, p.x, &err) == RDD_ESINGULAR);
  for (int64_t n = 1; n <= 9; n++) {
    rdd_memory_fail_at(n);
    TK_CHECK(als_nnls_solve(p.a, p.b, 1, 0, p.x, &err) == RDD_ENOMEM);
    rdd_memory_fail_at(0);
  }
}

int main(void) {
  static const tk_case cases[] = {
      {"NNLSSuite: exact solution cases", exact_solution},
      {"NNLSSuite: nonnegativity constraint active", constraint_active},
      {"NNLSSuite: objective value test", objective_value},
      {"random minima meet their conditions", minima_meet_their_conditions},
      {"all bound, nothing to solve, no matrix, no memory", edges},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib nnls", cases, sizeof cases / sizeof *cases);
}
