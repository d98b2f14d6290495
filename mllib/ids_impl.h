/* Private to mllib: a memo of id -> dense index, so that millions of ratings cost one binary search
 * per distinct id and not one each. */
#ifndef ALS_IDS_IMPL_H
#define ALS_IDS_IMPL_H

#include "mllib/ids.h"

#include <stdint.h>

/* A slot is empty where dense1 is 0. The id itself stays in the shared table. */
typedef struct als_memo_slot {
  uint32_t tag;    /* high half of the id's hash */
  uint32_t dense1; /* dense index + 1 */
} als_memo_slot;

typedef struct als_memo {
  const als_ids *ids; /* borrowed */
  als_memo_slot *slot;
  uint64_t slots; /* a power of two, or 0 */
  uint64_t used;
} als_memo;

/* Start empty; memory is that of the distinct ids looked up. */
void als_memo_init(als_memo *memo, const als_ids *ids);
void als_memo_reset(als_memo *memo);

/* As als_ids_find(). Cannot fail: when memory is out it stops learning and searches. */
int64_t als_memo_find(als_memo *memo, const rdd_column *column, int64_t row);

#endif
