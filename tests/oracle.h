/* A dense ALS in doubles: three loops, Gaussian elimination, nothing shared with the code it
 * judges. For a few dozen rows. */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdint.h>

typedef struct oracle_rating {
  int64_t row, column;
  double value;
} oracle_rating;

enum { ORACLE_MAX_RANK = 16 };

/* Solve row by row  (sum f f' + n reg I) x = sum r f  over the ratings of the row.
 *   other  [in]  factors of the columns, [columns][k]
 *   own    [out] factors of the rows, [rows][k]; rows without ratings are zero */
void oracle_half_step(const oracle_rating *rating, int64_t n, int64_t rows, int k, double reg,
                      const double *other, double *own);

/* Squared error + reg * (sum over rows of n |x|^2 + the same over columns). */
double oracle_objective(const oracle_rating *rating, int64_t n, int k, double reg,
                        const double *rows, const double *columns);

#endif
