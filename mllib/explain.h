/* Why a prediction is what it is: the share of each of the user's own ratings. */
#ifndef ALS_EXPLAIN_H
#define ALS_EXPLAIN_H

#include "mllib/als.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_share {
  int64_t item; /* dense index */
  float rating;
  double weight;       /* c of loss.h: what the rating weighs beside the others */
  double contribution; /* to the prediction */
} als_share;

typedef struct als_explanation {
  als_share *share; /* [n] most first, the same ones by item; free with rdd_free() */
  int64_t n;
  double base;  /* mean and biases, as far as the ratings' shares do not make them */
  double total; /* base and all shares: the prediction with a user that is solved exactly */
  float stored; /* the prediction with the user as the model has it */
} als_explanation;

/* Explain the prediction of an item for a user.                           Collective.
 *
 * A user who is solved exactly is x = A^-1 sum over the user's ratings j of t_j y_j, with t and A of loss.h
 * and solver_impl.h, so that
 *
 *   prediction = base + sum over j of t_j (y_i' A^-1 y_j)
 *
 * With nonnegative factors this is so for those factors that are not 0, and the others are left out.
 *
 *   params   [in]  with which the model was fitted
 *   user, item [in] dense indices
 *   rating   [in]  [n] the user's ratings as they were given, on rank 0; elsewhere ignored
 *   out      [out] on rank 0; elsewhere all zeros
 * Fails with RDD_ENOMEM, and with RDD_ESINGULAR where A is not positive definite.
 * (Hu, Koren, Volinsky 2008, section 5, for all losses.) */
RDD_MUST_CHECK rdd_status als_explain(rdd_comm *comm, const als_model *model,
                                      const als_params *params, int64_t user, int64_t item,
                                      const als_entry *rating, int64_t n, als_explanation *out,
                                      rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
