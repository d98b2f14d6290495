/* What a fit is asked for: als_params and the start, as options of a command and as attributes of a model
 * file. One place says how each is called. */
#ifndef JOB_PARAMS_H
#define JOB_PARAMS_H

#include "jobs/cli.h"
#include "mllib/als.h"
#include "mllib/model.h"
#include "mllib/spark_init.h"
#include "rdd/comm.h"

#include <stdint.h>

/* clang-format off */

/* The options of every command that fits, to be put into its table. */
#define JOB_PARAM_OPTIONS \
  {"rank", 0, JOB_INT, "K", "10", 1, ALS_MAX_RANK, false, \
   "factors of each user and item, 1 to 4096"}, \
  {"max-iter", 0, JOB_INT, "N", "10", 0, 1e6, false, "iterations"}, \
  {"reg-param", 0, JOB_REAL, "L", "0.1", 0, 1e30, false, \
   "regularisation, scaled by the number of ratings of the row"}, \
  {"reg-user", 0, JOB_REAL, "L", NULL, 0, 1e30, false, \
   "regularisation of users; default: --reg-param"}, \
  {"reg-item", 0, JOB_REAL, "L", NULL, 0, 1e30, false, \
   "regularisation of items; default: --reg-param"}, \
  {"reg-scaling", 0, JOB_STRING, "count|none|NU", "count", 0, 0, false, \
   "regularisation is times the count, as it is, or times count^NU"}, \
  {"min-ridge", 0, JOB_REAL, "R", "0", 0, 1e30, false, \
   "no row's regularisation is below this, after scaling"}, \
  {"implicit-prefs", 0, JOB_FLAG, NULL, NULL, 0, 0, false, \
   "ratings are counts or times of use, not opinions"}, \
  {"alpha", 0, JOB_REAL, "A", "1", 0, 1e30, false, \
   "with --implicit-prefs: confidence of a rating r is 1 + A |r|"}, \
  {"unobserved-weight", 0, JOB_REAL, "W", NULL, 0, 1e30, false, \
   "implicit, with the loss of iALS: weight of all pairs"}, \
  {"nonnegative", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "factors are 0 or more"}, \
  {"bias", 0, JOB_FLAG, NULL, NULL, 0, 0, false, \
   "take off global mean, user and item biases first"}, \
  {"update-bias", 0, JOB_FLAG, NULL, NULL, 0, 0, false, \
   "fit the biases anew in each iteration; implies --bias"}, \
  {"solver", 0, JOB_CHOICE, "cholesky|cg|subspace", "cholesky", 0, 0, false, \
   "exact, conjugate gradients, or block coordinate descent"}, \
  {"precision", 0, JOB_CHOICE, "double|single", "double", 0, 0, false, \
   "of sums and solutions; single is faster, almost as exact"}, \
  {"cg-steps", 0, JOB_INT, "N", "3", 1, 1e6, false, "of --solver cg, for each row"}, \
  {"subspace-block", 0, JOB_INT, "B", "64", 1, ALS_MAX_RANK, false, \
   "factors that --solver subspace takes at a time"}, \
  {"final-exact", 0, JOB_CHOICE, "yes|no", NULL, 0, 0, false, \
   "one more iteration, an exact one; default: yes with --solver cg"}, \
  {"balance", 0, JOB_CHOICE, "yes|no", NULL, 0, 0, false, \
   "scale users against items between iterations; default: yes, without Spark's start"}, \
  {"tol", 0, JOB_REAL, "T", "0", 0, 1, false, \
   "stop when an iteration brings less than this share; 0: never"}

/* Those of how a fit begins. */
#define JOB_START_OPTIONS \
  {"seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false, "of the initial factors"}, \
  {"init", 0, JOB_CHOICE, "random|spark3|spark2", "random", 0, 0, false, \
   "initial factors: our own, or those that Spark draws"}, \
  {"num-user-blocks", 0, JOB_INT, "N", "10", 1, ALS_SPARK_MAX_BLOCKS, false, \
   "Spark's numUserBlocks, for --init spark3 or spark2"}, \
  {"num-item-blocks", 0, JOB_INT, "N", "10", 1, ALS_SPARK_MAX_BLOCKS, false, \
   "Spark's numItemBlocks, for --init spark3 or spark2"}

/* Those of how new factors travel between nodes. */
#define JOB_EXCHANGE_OPTIONS \
  {"exchange", 0, JOB_CHOICE, "auto|need|all", "auto", 0, 0, false, \
   "new factors go to nodes that need them, or to all; auto: by bytes"}, \
  {"wire", 0, JOB_CHOICE, "float32|float16|bfloat16", "float32", 0, 0, false, \
   "round new factors to this, and send them so between nodes"}, \
  {"no-overlap", 0, JOB_FLAG, NULL, NULL, 0, 0, false, \
   "new factors leave when all are solved, not while others are"}

/* clang-format on */

/* What JOB_PARAM_OPTIONS came to.                                         Not collective.
 * Fails with RDD_EUSAGE for what contradicts itself. */
RDD_MUST_CHECK rdd_status job_params_read(const job_args *args, als_params *out, rdd_err *err);

/* What JOB_EXCHANGE_OPTIONS came to, into `params`. Not collective. */
void job_exchange_read(const job_args *args, als_params *params);

/* Options that were given and have no effect beside the others, those of JOB_START_OPTIONS too. */
enum { JOB_IDLE = 7 };
typedef struct job_idle {
  const char *name[JOB_IDLE], *why[JOB_IDLE]; /* why NULL: it is not given, or has an effect */
} job_idle;

/* Which they are, and to warn of them. Not collective. */
job_idle job_params_idle(const job_args *args);
void job_idle_warn(const job_idle *idle);

/* How a fit begins. */
typedef struct job_start {
  int64_t seed;
  int spark;     /* als_spark, or 0: our own */
  int blocks[2]; /* then, of users and of items */
} job_start;

/* What JOB_START_OPTIONS came to. Not collective. */
job_start job_start_read(const job_args *args);

/* Draw the initial factors of both sides.                                 Collective.
 * Fails as als_model_init_spark() does. */
RDD_MUST_CHECK rdd_status job_start_draw(const job_start *start, rdd_comm *comm, als_model *model,
                                         rdd_err *err);

/* The parameters that the model in a file was fitted with, or in a file of an older version what they
 * could have been.                                                        Collective.
 * Fails with RDD_ENOINPUT, RDD_EDATA (not a model; a parameter that is missing, or cannot be). */
RDD_MUST_CHECK rdd_status job_params_of_model(rdd_comm *comm, const char *path, als_params *out,
                                              rdd_err *err);

#endif
