/* A dense ALS in doubles: three loops, Gaussian elimination, nothing shared with the code it
 * judges. For a few dozen rows. */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct oracle_rating {
  int64_t row, column;
  double value;
} oracle_rating;

enum { ORACLE_MAX_RANK = 16 };

/* explicit: sum (r - s)^2. Implicit: sum over all pairs of c (p - s)^2, c = 1 + alpha |r|, p = 1 where r > 0,
 * else 0. iALS: sum over ratings other than 0 of (p - s)^2, and unobserved times the sum of s^2 over all
 * pairs. */
typedef enum oracle_mode { ORACLE_EXPLICIT, ORACLE_IMPLICIT, ORACLE_IALS } oracle_mode;

typedef struct oracle_loss {
  oracle_mode mode;
  double alpha, unobserved;
  double exponent;  /* of the count that the regularisation is multiplied by */
  double min_ridge; /* the regularisation of a row is at least that */
} oracle_loss;

/* The equations a x = b of a row's minimum. False, with b = 0, where no rating pulls the row.
 *   other  [in]  [columns][k] */
bool oracle_equations(const oracle_loss *loss, const oracle_rating *rating, int64_t n, int64_t row,
                      int64_t columns, int k, double reg, const double *other,
                      double a[ORACLE_MAX_RANK][ORACLE_MAX_RANK], double b[ORACLE_MAX_RANK]);

/* The minima of all rows; 0 where no rating pulls.
 *   own    [out] [rows][k] */
void oracle_rows(const oracle_loss *loss, const oracle_rating *rating, int64_t n, int64_t rows,
                 int64_t columns, int k, double reg, const double *other, double *own);

/* Solve row by row  (sum f f' + n reg I) x = sum r f  over the ratings of the row.
 *   other  [in]  factors of the columns, [columns][k]
 *   own    [out] factors of the rows, [rows][k]; rows without ratings are zero */
void oracle_half_step(const oracle_rating *rating, int64_t n, int64_t rows, int k, double reg,
                      const double *other, double *own);

/* Squared error + reg * (sum over rows of n |x|^2 + the same over columns). */
double oracle_objective(const oracle_rating *rating, int64_t n, int k, double reg,
                        const double *rows, const double *columns);

#endif
