/* How the model in a file came to be, for a model that is made of it. */
#ifndef JOB_MODEL_ORIGIN_H
#define JOB_MODEL_ORIGIN_H

#include "jobs/model_file.h"

/* Parameters, start, counts and history of a model file; not its inputs and its command line, which are
 * those of the new model.                                                  Collective.
 *   how_out      [out] inputs and command_line are NULL; history is *history_out
 *   history_out  [out] free with rdd_free()
 * Fails as job_params_of_model() does, and with RDD_EDATA where the history is not whole. */
RDD_MUST_CHECK rdd_status job_model_origin(rdd_comm *comm, const char *path,
                                           job_provenance *how_out, als_iteration **history_out,
                                           rdd_err *err);

#endif
