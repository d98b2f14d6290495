/* Private to mllib and its tests: the random numbers of Spark's initial factors, an XORShift generator
 * (Marsaglia 2003) behind the interface of java.util.Random. */
#ifndef ALS_SPARK_IMPL_H
#define ALS_SPARK_IMPL_H

#include "mllib/spark_init.h"

typedef struct als_xorshift {
  uint64_t state;
  bool has_gaussian; /* the second one of the last pair */
  double gaussian;
} als_xorshift;

als_xorshift als_xorshift_seeded(als_spark release, int64_t seed);
int64_t als_xorshift_long(als_xorshift *random);
double als_xorshift_gaussian(als_xorshift *random);

/* The seed of a block, from that of its side: a multiplication, the bytes in reverse, a multiplication. */
int64_t als_spark_block_seed(int64_t side_seed, int block);

/* The block of an integer id: the remainder that is not negative. */
int als_spark_block(int64_t id, int blocks);

#endif
