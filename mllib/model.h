/* A model: for each side the sorted ids and a row of k factors, perhaps a bias; a global mean.
 *
 *   prediction(u, i) = mean + bias_u + bias_i + x_u . y_i
 *
 * Mean and biases are 0 for a model that was fitted without biases.
 *
 * Factor tables are kept once per node; each rank writes only the rows it owns. */
#ifndef ALS_MODEL_H
#define ALS_MODEL_H

#include "mllib/exchange.h"
#include "mllib/ids.h"
#include "mllib/ratings.h"
#include "rdd/comm.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_factors {
  als_ids *ids;           /* owned */
  rdd_table *factors;     /* float[n][k], row-major */
  rdd_table *bias;        /* float[n], or NULL */
  als_exchange *exchange; /* during a fit: how new rows travel; else NULL */
} als_factors;

typedef struct als_model {
  int k;
  als_factors side[2]; /* ALS_USERS, ALS_ITEMS */
  double mean;
  float rating_min, rating_max; /* of the training ratings; what --clamp clamps to */
} als_model;

/* A model of zeros over two sets of ids.                                  Collective.
 *   ids  [in] users' and items'; owned by the model on success */
RDD_MUST_CHECK rdd_status als_model_new(rdd_comm *comm, als_ids *const ids[2], int k, bool bias,
                                        als_model **model_out, rdd_err *err);

/* Collective; NULL on all ranks is accepted. */
void als_model_free(als_model *model);

/* Draw the initial factors of a side.                                     Collective.
 * Each row is a Gaussian direction on the unit sphere, as Spark's, keyed by (seed, side, id): it
 * does not depend on the other ids, the number of ranks, or the order of anything. */
RDD_MUST_CHECK rdd_status als_model_init(als_model *model, rdd_comm *comm, int side, uint64_t seed,
                                         rdd_err *err);

/* Bring every row of both sides to every node, where a fit has left some of them behind. Only during a
 * fit, in its hooks: before and after it a model is whole.                Collective. */
void als_model_make_whole(const als_model *model, rdd_comm *comm);

/* Copy the factors (and biases) of the ids that both models know.         Collective.
 *   matched_out  [out] [2] how many ids of each side were found
 * Fails with RDD_EUSAGE where k or the id types differ. */
RDD_MUST_CHECK rdd_status als_model_start_from(als_model *model, rdd_comm *comm,
                                               const als_model *from, int64_t matched_out[2],
                                               rdd_err *err);

/* Row i of a side's factors. Not collective. */
const float *als_model_row(const als_model *model, int side, int64_t i);

/* Prediction for dense indices; accumulated in double, returned as float. NaN where u or i is -1.
 * Not collective. */
float als_model_predict(const als_model *model, int64_t u, int64_t i);

/* Cosine of the angle between the factors of two rows of a side; NaN where one of them is zeros.
 * Not collective. */
float als_model_cosine(const als_model *model, int side, int64_t a, int64_t b);

#ifdef __cplusplus
}
#endif
#endif
