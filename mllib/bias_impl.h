/* Private to mllib: the mean and the biases that --bias takes off before the factors are fitted. */
#ifndef ALS_BIAS_IMPL_H
#define ALS_BIAS_IMPL_H

#include "mllib/als.h"

/* Set model->mean and both bias tables from the training ratings.         Collective.
 *   reg  [in]  damping: so many ratings at the mean are added to each row
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_bias_fit(rdd_comm *comm, const als_problem *problem, double reg,
                                       als_model *model, rdd_err *err);

/* Turn the values of both sides of the problem into residuals. Not collective. */
void als_bias_take_off(als_problem *problem, const als_model *model);

/* The same for one side, given the mean and the biases of the other: ratings by side `which`. */
RDD_MUST_CHECK rdd_status als_bias_fit_side(rdd_comm *comm, const als_side *side, double reg,
                                            int which, als_model *model, rdd_err *err);
void als_bias_take_off_side(als_side *side, int which, const als_model *model);

#endif
