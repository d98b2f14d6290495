/* Batches of rows of any length: those that are solved by the dual and those that are not, in groups that the
 * order of the batch makes. A solution is judged by what it leaves of the row's equations, which plain loops
 * make in double; it has the same bits where the row is alone. */
#include "mllib/solver_impl.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 700, MOST_WIDTH = 192, LONGEST = 600 };

typedef struct batch {
  als_system system;
  float *factors;   /* [COLUMNS][k] */
  als_entry *entry; /* of all rows */
  als_row row[ALS_BATCH_ROWS];
  double x[ALS_BATCH_ROWS][MOST_WIDTH];
} batch;

/* Lengths 1, 2, 3 ..., up to a little more than the unknowns, in no order; and one row that is long. */
static int64_t length_of(int i, int k) {
  return i == 5 ? LONGEST : 1 + (int64_t)(i * 37 % ALS_BATCH_ROWS) * (k + 20) / ALS_BATCH_ROWS;
}

static void open_batch(batch *b, int k, als_precision precision) {
  fx_random random;
  int64_t at = 0;
  fx_seed(&random, k);
  b->factors = rdd_alloc(COLUMNS * (size_t)k, sizeof *b->factors);
  b->entry = rdd_alloc(ALS_BATCH_ROWS * LONGEST, sizeof *b->entry);
  for (int i = 0; i < COLUMNS * k; i++) b->factors[i] = fx_float(&random) - 0.5f;
  b->system = (als_system){
      .k = k, .width = k, .factors = b->factors, .precision = precision, .longest = LONGEST};
  for (int i = 0; i < ALS_BATCH_ROWS; i++) {
    int64_t n = length_of(i, k);
    for (int64_t e = 0; e < n; e++)
      b->entry[at + e] = (als_entry){(uint32_t)((i + 11 * e) % COLUMNS), 5 * fx_float(&random)};
    b->row[i] = (als_row){.entry = b->entry + at, .n = n, .ridge = 0.05 * (double)n, .x = b->x[i]};
    at += n;
  }
  for (int i = 0; i < ALS_BATCH_ROWS; i++)
    b->row[i].ahead = b->entry + at - b->row[i].entry - b->row[i].n;
}

static void close_batch(batch *b) {
  rdd_free(b->factors);
  rdd_free(b->entry);
}

/* What is left of (F'F + ridge I) x = F't, relative to F't. */
static double residual(const batch *b, const als_row *row) {
  int k = b->system.k;
  double left[MOST_WIDTH], t[MOST_WIDTH] = {0}, of_left = 0, of_t = 0;
  for (int j = 0; j < k; j++) left[j] = -row->ridge * row->x[j];
  for (int64_t e = 0; e < row->n; e++) {
    const float *f = b->factors + row->entry[e].column * (size_t)k;
    double s = 0, value = row->entry[e].value;
    for (int j = 0; j < k; j++) s += f[j] * row->x[j];
    for (int j = 0; j < k; j++) left[j] += (value - s) * f[j], t[j] += value * f[j];
  }
  for (int j = 0; j < k; j++) of_left += left[j] * left[j], of_t += t[j] * t[j];
  return sqrt(of_left / of_t);
}

/* x'b and sum of squares, which the loss is made of. */
static void check_sums(const batch *b, const als_row *row, double tolerance) {
  double p = 0, x_b = 0;
  for (int64_t e = 0; e < row->n; e++) {
    const float *f = b->factors + row->entry[e].column * (size_t)b->system.k;
    double value = row->entry[e].value;
    p += value * value;
    for (int j = 0; j < b->system.k; j++) x_b += value * f[j] * row->x[j];
  }
  TK_NEAR(row->p, p, 1e-12 * p);
  TK_NEAR(row->x_b, x_b, tolerance * fabs(x_b) + tolerance * p);
  TK_CHECK(row->x_a_x == row->x_b);
}

static void solve_batch_of(int k, als_precision precision) {
  static const double tolerance[] = {[ALS_DOUBLE] = 1e-11, [ALS_SINGLE] = 5e-5};
  static batch together, alone;
  void *scratch = NULL;
  rdd_err err = {0};
  open_batch(&together, k, precision);
  open_batch(&alone, k, precision);
  TK_OK(als_cholesky.open(&together.system, &scratch, &err), &err);
  als_cholesky.solve(scratch, &together.system, together.row, ALS_BATCH_ROWS);
  als_cholesky.close(scratch);
  TK_OK(als_cholesky.open(&alone.system, &scratch, &err), &err);
  for (int i = 0; i < ALS_BATCH_ROWS; i++) {
    const als_row *row = &together.row[i];
    TK_CHECK(!row->singular);
    TK_CHECK(residual(&together, row) < tolerance[precision]);
    check_sums(&together, row, tolerance[precision]);
    als_cholesky.solve(scratch, &alone.system, &alone.row[i], 1);
    TK_CHECK(memcmp(row->x, alone.row[i].x, (size_t)k * sizeof *row->x) == 0);
    TK_CHECK(row->p == alone.row[i].p && row->x_b == alone.row[i].x_b);
  }
  als_cholesky.close(scratch);
  close_batch(&together);
  close_batch(&alone);
}

static void rows_of_any_length_are_solved(void) {
  static const int k[] = {1, 9, 16, 31, 64, 100, MOST_WIDTH};
  for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
    solve_batch_of(k[i], ALS_DOUBLE);
    solve_batch_of(k[i], ALS_SINGLE);
  }
}

/* No factor has a first component, so that without a ridge the first pivot is 0. */
static void rows_without_a_solution_leave_the_others_alone(void) {
  static batch b;
  void *scratch = NULL;
  rdd_err err = {0};
  open_batch(&b, 64, ALS_DOUBLE);
  for (int i = 0; i < COLUMNS; i++) b.factors[i * 64] = 0;
  for (int i = 0; i < ALS_BATCH_ROWS; i += 2) b.row[i].ridge = 0;
  TK_OK(als_cholesky.open(&b.system, &scratch, &err), &err);
  als_cholesky.solve(scratch, &b.system, b.row, ALS_BATCH_ROWS);
  for (int i = 0; i < ALS_BATCH_ROWS; i++) {
    TK_CHECK(b.row[i].singular == (i % 2 == 0));
    if (i % 2) TK_CHECK(residual(&b, &b.row[i]) < 1e-11);
  }
  als_cholesky.close(scratch);
  close_batch(&b);
}

int main(void) {
  static const tk_case cases[] = {
      {"rows of any length are solved", rows_of_any_length_are_solved},
      {"rows without a solution leave the others alone",
       rows_without_a_solution_leave_the_others_alone},
  };
  return tk_main("mllib cholesky", cases, sizeof cases / sizeof *cases);
}
