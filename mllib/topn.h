/* The best N columns for each of some rows: blocked GEMM, then selection. */
#ifndef ALS_TOPN_H
#define ALS_TOPN_H

#include "mllib/model.h"

enum { ALS_TOPN_ROWS = 64 };

/* Score rows of one side against all of the other and keep the best.      Not collective.
 *   side     [in]  ALS_USERS: recommend items to users; ALS_ITEMS: users to items
 *   row      [in]  [n_rows] dense indices; computed in blocks of ALS_TOPN_ROWS
 *   seen     [in]  ratings by `side` whose columns are left out for their row, or NULL;
 *                  has to own all of `row`
 *   top      [in]  how many, >= 1
 *   column_out, score_out [out] [n_rows][top] best first, ties by smaller dense index; where fewer
 *                  columns are left, the rest is -1 and NaN. Scores are als_model_predict()'s;
 *                  which columns win is decided by a float32 GEMM
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_topn(const als_model *model, int side, const int64_t *row,
                                   int64_t n_rows, const als_side *seen, int top,
                                   int64_t *column_out, float *score_out, rdd_err *err);

#endif
