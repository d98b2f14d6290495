/* The best N columns for each of some rows: blocked GEMM, then selection.
 *
 * The lists are exact. A float32 GEMM finds out which columns can be among the best, with a bound for its
 * rounding; those, and only those, are scored again as als_model_predict() does it. So a list depends
 * neither on the BLAS nor on which rows are computed together, by how many threads and ranks. */
#ifndef ALS_TOPN_H
#define ALS_TOPN_H

#include "mllib/model.h"
#include "mllib/seen.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_topn_query {
  const als_model *model; /* borrowed */
  int side;               /* of the rows */
  /* false: predictions against the other side. true: cosines with the rows of the same side, each
   * without itself; rows of zeros have no direction: they get empty lists, and are in none */
  bool cosine;
  int top;               /* how many, >= 1 */
  double threshold;      /* no score below this; -INFINITY: all */
  const int64_t *column; /* [columns] the only ones to consider, ascending, distinct; NULL: all */
  int64_t columns;
} als_topn_query;

typedef struct als_topn als_topn;

/* Get ready to answer: scratch for all threads, about 1 MB each for a small `top`. Not collective.
 *   query  [in]  copied; what it points to is borrowed
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_topn_open(const als_topn_query *query, als_topn **out, rdd_err *err);

/* Score rows against all columns and keep the best.                       Not collective.
 *   row      [in]  [n_rows] dense indices, in any order
 *   seen     [in]  what is left out for each of these rows, or NULL
 *   column_out, score_out [out] [n_rows][top] best first, the same scores by smaller dense index;
 *                  where fewer columns are left, the rest is -1 and NaN */
void als_topn_rows(als_topn *topn, const int64_t *row, int64_t n_rows, const als_seen *seen,
                   int64_t *column_out, float *score_out);

void als_topn_close(als_topn *topn); /* NULL is accepted */

#ifdef __cplusplus
}
#endif
#endif
