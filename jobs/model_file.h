/* Model files: HDF5 as docs/formats.md describes it. */
#ifndef JOB_MODEL_FILE_H
#define JOB_MODEL_FILE_H

#include "mllib/als.h"
#include "mllib/model.h"
#include "rdd/comm.h"

#include <stdbool.h>
#include <stdint.h>

/* How a model came to be. */
typedef struct job_provenance {
  als_params params;
  int64_t seed;
  int64_t ratings; /* training ratings */
  int ranks;
  int iterations;
  const als_iteration *history; /* [iterations] */
  const char *inputs;           /* paths as given, separated by blanks */
  const char *command_line;
  double seconds;
} job_provenance;

/* Write a model, whole or not at all. Rank 0 writes, all ranks return the same status. Collective.
 * The datasets that hold the model (ids, factors, biases) depend on the model alone. */
RDD_MUST_CHECK rdd_status job_model_write(rdd_comm *comm, const char *path, const als_model *model,
                                          const job_provenance *how, rdd_err *err);

/* Read a model; every rank reads its share of the rows into the node's tables.  Collective.
 * Fails with RDD_ENOINPUT, RDD_EDATA (not HDF5, not a model, wrong shapes, NaN), RDD_EIO. */
RDD_MUST_CHECK rdd_status job_model_read(rdd_comm *comm, const char *path, als_model **out,
                                         rdd_err *err);

#endif
