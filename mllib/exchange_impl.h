/* Private to mllib: rows of a fit on their way between nodes. */
#ifndef ALS_EXCHANGE_IMPL_H
#define ALS_EXCHANGE_IMPL_H

#include "mllib/als.h"
#include "mllib/exchange.h"

/* What the publishing of one rank's rows has come to, both sides. */
typedef struct als_exchanged {
  int64_t bytes;  /* of this rank's rows, between nodes */
  double seconds; /* in which this rank did nothing else */
} als_exchanged;

/* Choose for both sides how their rows travel in a fit; into model->side[].exchange and
 * problem->exchange.                                                      Collective.
 * Fails with RDD_ENOMEM; als_exchange_close() is due then, too. */
RDD_MUST_CHECK rdd_status als_exchange_open(rdd_comm *comm, als_problem *problem,
                                            const als_params *params, als_model *model,
                                            rdd_err *err);

/* Not collective. */
void als_exchange_close(als_model *model);

/* ---- A half-step ----
 *
 * Own rows are solved in groups, and those of a group leave while the next one is solved. On one node, or
 * where that is not wanted, there is one group, and nothing is sent before the publishing. */

/* How many groups, the same on all ranks; and the first own block of group g, that of the last group's
 * successor the end. Not collective. */
int als_exchange_groups(const als_factors *side);
int64_t als_exchange_block(const als_factors *side, const als_blocks *blocks, int rank, int g);

/* Group g is solved, or nothing is going to come of it: wait for those before it, and send it; or with g
 * the number of groups, wait for the last.                                Collective. */
void als_exchange_send(rdd_comm *comm, const als_factors *side, int k, int g);

/* Keep it moving while rows are solved: the thread that called als_exchange_send(). Not collective. */
void als_exchange_poll(const als_factors *side);

/* All groups of all ranks are solved and sent: publish the rows.          Collective.
 *   blocks  [in]  who owns them
 *   bias    [in]  biases, too
 *   begin   [in]  scratch, [size + 1] */
void als_exchange_publish(rdd_comm *comm, const als_blocks *blocks, const als_factors *side, int k,
                          bool bias, int64_t *begin);

/* The model's tables are whole again: all rows were published to all. Not collective. */
void als_exchange_made_whole(als_model *model);

/* What was exchanged since this was asked last, and forget it. Not collective. */
als_exchanged als_exchange_take(als_model *model);

/* Who makes which shares of the Gram matrix: the owners of their rows, which alone can rely on them; NULL
 * where the table is whole. Not collective. */
const als_blocks *als_exchange_owners(const als_factors *side);

/* rdd_seconds() on a clock that stands still while this rank is in the communicator. */
double als_own_seconds(const rdd_comm *comm);

#endif
