/* The dense oracle; see oracle.h. */
#include "tests/oracle.h"

#include <math.h>
#include <string.h>

/* Gaussian elimination with row exchanges; the solution replaces b. */
static void eliminate(double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK], double *b, int k) {
  for (int p = 0; p < k; p++) {
    int best = p;
    for (int i = p + 1; i < k; i++)
      if (fabs(a[i][p]) > fabs(a[best][p])) best = i;
    for (int j = 0; j < k; j++) {
      double swap = a[p][j];
      a[p][j] = a[best][j];
      a[best][j] = swap;
    }
    double swap = b[p];
    b[p] = b[best];
    b[best] = swap;
    for (int i = p + 1; i < k; i++) {
      double factor = a[i][p] / a[p][p];
      for (int j = p; j < k; j++) a[i][j] -= factor * a[p][j];
      b[i] -= factor * b[p];
    }
  }
  for (int p = k - 1; p >= 0; p--) {
    for (int j = p + 1; j < k; j++) b[p] -= a[p][j] * b[j];
    b[p] /= a[p][p];
  }
}

/* Weight c, target t of (s - t)^2 c, and whether it counts for the regularisation; the loss of all pairs
 * comes on top. */
static void read_rating(const oracle_loss *loss, double r, double *weight, double *pull,
                        bool *counts) {
  *weight = 1;
  *pull = r;
  *counts = true;
  if (loss->mode == ORACLE_EXPLICIT) return;
  *counts = r > 0;
  *weight = loss->mode == ORACLE_IMPLICIT ? loss->alpha * fabs(r) : r != 0;
  *pull = 0;
  if (r > 0) *pull = loss->mode == ORACLE_IMPLICIT ? 1 + *weight : 1;
}

static double of_all(const oracle_loss *loss) {
  if (loss->mode == ORACLE_EXPLICIT) return 0;
  return loss->mode == ORACLE_IMPLICIT ? 1 : loss->unobserved;
}

bool oracle_equations(const oracle_loss *loss, const oracle_rating *rating, int64_t n, int64_t row,
                      int64_t columns, int k, double reg, const double *other,
                      double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK], double b[ORACLE_MAX_RANK]) {
  double count = 0;
  bool any = false;
  memset(a, 0, sizeof(double[ORACLE_MAX_RANK][ORACLE_MAX_RANK]));
  memset(b, 0, sizeof(double[ORACLE_MAX_RANK]));
  for (int64_t c = 0; c < columns; c++)
    for (int i = 0; i < k; i++)
      for (int j = 0; j < k; j++) a[i][j] += of_all(loss) * other[c * k + i] * other[c * k + j];
  for (int64_t r = 0; r < n; r++) {
    const double *f = other + rating[r].column * k;
    double weight, pull;
    bool counts;
    if (rating[r].row != row) continue;
    read_rating(loss, rating[r].value, &weight, &pull, &counts);
    for (int i = 0; i < k; i++) {
      for (int j = 0; j < k; j++) a[i][j] += weight * f[i] * f[j];
      b[i] += pull * f[i];
    }
    count += counts;
    any |= loss->mode == ORACLE_EXPLICIT || counts;
  }
  if (loss->mode == ORACLE_IALS) count += loss->unobserved * (double)columns;
  for (int i = 0; i < k; i++) a[i][i] += fmax(reg * pow(count, loss->exponent), loss->min_ridge);
  return any;
}

void oracle_rows(const oracle_loss *loss, const oracle_rating *rating, int64_t n, int64_t rows,
                 int64_t columns, int k, double reg, const double *other, double *own) {
  for (int64_t row = 0; row < rows; row++) {
    double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK], b[ORACLE_MAX_RANK];
    if (oracle_equations(loss, rating, n, row, columns, k, reg, other, a, b)) eliminate(a, b, k);
    memcpy(own + row * k, b, (size_t)k * sizeof *b);
  }
}

void oracle_half_step(const oracle_rating *rating, int64_t n, int64_t rows, int k, double reg,
                      const double *other, double *own) {
  const oracle_loss explicit = {.mode = ORACLE_EXPLICIT, .exponent = 1};
  oracle_rows(&explicit, rating, n, rows, 0, k, reg, other, own);
}

double oracle_objective(const oracle_rating *rating, int64_t n, int k, double reg,
                        const double *rows, const double *columns) {
  double sum = 0;
  for (int64_t r = 0; r < n; r++) {
    const double *x = rows + rating[r].row * k, *y = columns + rating[r].column * k;
    double error = rating[r].value;
    for (int j = 0; j < k; j++) {
      error -= x[j] * y[j];
      sum += reg * (x[j] * x[j] + y[j] * y[j]); /* once a rating: that makes the factor n */
    }
    sum += error * error;
  }
  return sum;
}
