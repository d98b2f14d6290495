/* Private to mllib: rows of a fit on their way between nodes. */
#ifndef ALS_EXCHANGE_IMPL_H
#define ALS_EXCHANGE_IMPL_H

#include "mllib/als.h"
#include "mllib/exchange.h"

/* What the publishing of one rank's rows has come to, both sides. */
typedef struct als_exchanged {
  int64_t bytes;  /* of this rank's rows, between nodes */
  double seconds; /* from the end of the last rank's solving */
} als_exchanged;

/* Choose for both sides how their rows travel in a fit; into model->side[].exchange and
 * problem->exchange.                                                      Collective.
 * Fails with RDD_ENOMEM; als_exchange_close() is due then, too. */
RDD_MUST_CHECK rdd_status als_exchange_open(rdd_comm *comm, als_problem *problem,
                                            const als_params *params, als_model *model,
                                            rdd_err *err);

/* Not collective. */
void als_exchange_close(als_model *model);

/* Publish the rows of a side that a half-step has written.                Collective.
 *   blocks  [in]  who owns them
 *   bias    [in]  biases, too
 *   begin   [in]  scratch, [size + 1] */
void als_exchange_publish(rdd_comm *comm, const als_blocks *blocks, als_model *model, int side,
                          bool bias, int64_t *begin);

/* The model's tables are whole again: all rows were published to all. Not collective. */
void als_exchange_made_whole(als_model *model);

/* What was exchanged since this was asked last, and forget it. Not collective. */
als_exchanged als_exchange_take(als_model *model);

/* Who makes which shares of the Gram matrix: the owners of their rows, which alone can rely on them; NULL
 * where the table is whole. Not collective. */
const als_blocks *als_exchange_owners(const als_factors *side);

/* Seconds on a clock that only goes forward. */
double als_seconds(void);

#endif
