/* Private to mllib: the mean and the biases that --bias takes off before the factors are fitted. */
#ifndef ALS_BIAS_IMPL_H
#define ALS_BIAS_IMPL_H

#include "mllib/als.h"

/* Set model->mean and both bias tables from the training ratings, and turn the values of both sides
 * of the problem into residuals.                                          Collective.
 *   reg  [in]  damping: so many ratings at the mean are added to each row
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status als_bias_fit(rdd_comm *comm, als_problem *problem, double reg,
                                       als_model *model, rdd_err *err);

#endif
