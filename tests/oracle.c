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

void oracle_half_step(const oracle_rating *rating, int64_t n, int64_t rows, int k, double reg,
                      const double *other, double *own) {
  for (int64_t row = 0; row < rows; row++) {
    double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK] = {{0}}, b[ORACLE_MAX_RANK] = {0};
    int64_t count = 0;
    for (int64_t r = 0; r < n; r++) {
      if (rating[r].row != row) continue;
      const double *f = other + rating[r].column * k;
      for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) a[i][j] += f[i] * f[j];
        b[i] += rating[r].value * f[i];
      }
      count++;
    }
    for (int i = 0; i < k; i++) a[i][i] += (double)count * reg;
    if (count > 0) eliminate(a, b, k);
    memcpy(own + row * k, b, (size_t)k * sizeof *b);
  }
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
