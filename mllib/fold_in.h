/* Fold-in: users (or items) that come after the fit, or rate more, without fitting anew.
 *
 * A folded-in row is the minimum of its own part of the objective (als.h) with the other side's factors as
 * they are: the half-step of training, for some rows only. So a user of the training set whose training
 * ratings are folded in gets the bits that one more exact half-step of the users would give. */
#ifndef ALS_FOLD_IN_H
#define ALS_FOLD_IN_H

#include "mllib/als.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_fold_in_counts {
  int64_t ratings; /* that the rows were solved from */
  int64_t unknown; /* left out: of other rows, or of columns that the model lacks */
} als_fold_in_counts;

/* Solve the rows of `side` that stand in the first set of partitions.      Collective.
 *   model    [in]  fitted, not changed
 *   params   [in]  those that it was fitted with; whatever the solver there, rows are solved exactly
 *   parts    [in,out] [n] sets of this rank's partitions, columns user, item, rating: the first says which
 *                  rows, all give them ratings; dropped as they are read
 *   n        [in]  1 or 2
 *   rows_out [out] ids in ascending order, factors, and biases where the model has them; free it with
 *                  als_factors_reset()
 * With biases that training takes off first, the row's own is the damped mean of what mean and biases of
 * the columns leave of its ratings. Known rows are solved from these ratings alone.
 * Fails with RDD_EUSAGE where params and model do not go together, RDD_ESINGULAR as als_half_step(),
 * RDD_EDATA where the types of the ids differ. */
RDD_MUST_CHECK rdd_status als_fold_in(rdd_comm *comm, const als_model *model,
                                      const als_params *params, int side, rdd_parts *const *parts,
                                      int n, als_factors *rows_out, als_fold_in_counts *counts_out,
                                      rdd_err *err);

/* Put rows into a model: those that it has are replaced, the others added where their ids belong; all other
 * rows keep their bits. On failure the model is as it was.                 Collective.
 *   rows       [in]  with biases exactly where the model has them
 *   known_out  [out] how many of the rows the model had */
RDD_MUST_CHECK rdd_status als_model_merge(als_model *model, rdd_comm *comm, int side,
                                          const als_factors *rows, int64_t *known_out,
                                          rdd_err *err);

/* Free ids and tables. Collective; a zeroed or reset one on all ranks is accepted. */
void als_factors_reset(als_factors *rows);

#ifdef __cplusplus
}
#endif
#endif
