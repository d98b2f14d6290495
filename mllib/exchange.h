/* How the new rows of a half-step come to the nodes that read them.
 *
 * Factor tables are kept once a node. After a half-step each of its rows is on the node of the rank that
 * solved it, and has to be on every node that reads it:
 *
 *   all        each row to every other node                   rows x (nodes - 1)
 *   need only  each row to those other nodes that need it     sum over rows of the nodes that do
 *
 * A node needs a row where a rank of it has a rating, for training or held out, with it, or makes a share
 * of the Gram matrix of it. For each side of a problem the cheaper one is taken, by bytes; the model has
 * the same bits with either. A table whose rows went only where they are needed is whole on no node. */
#ifndef ALS_EXCHANGE_H
#define ALS_EXCHANGE_H

#include "rdd/comm.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum als_exchange_kind {
  ALS_EXCHANGE_AUTO, /* need only, where that is less */
  ALS_EXCHANGE_NEED,
  ALS_EXCHANGE_ALL
} als_exchange_kind;

/* What one half-step of a side sends between nodes, over all ranks. */
typedef struct als_exchange_plan {
  bool need_only;     /* this is how; else all */
  int64_t need_bytes; /* with need only */
  int64_t all_bytes;
} als_exchange_plan;

typedef struct als_exchange als_exchange;

#ifdef __cplusplus
}
#endif
#endif
