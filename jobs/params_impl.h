/* Private to jobs: parameters as attributes of a model file's root. */
#ifndef JOB_PARAMS_IMPL_H
#define JOB_PARAMS_IMPL_H

#include "jobs/params.h"

#include <hdf5.h>

/* One of them, as `als info` tells it. Those that mean nothing beside the others are not written. */
typedef struct job_param_name {
  const char *key;   /* of the attribute */
  const char *label; /* what people read: the option's name */
  enum { JOB_PARAM_INT, JOB_PARAM_REAL, JOB_PARAM_TEXT } kind;
} job_param_name;

enum { JOB_PARAM_NAMES = 23 };
extern const job_param_name job_param_names[JOB_PARAM_NAMES];

/* Not collective, both. */
RDD_MUST_CHECK rdd_status job_params_save(hid_t file, const als_params *params,
                                          const job_start *start, rdd_err *err);
RDD_MUST_CHECK rdd_status job_params_load(hid_t file, const char *path, als_params *out,
                                          rdd_err *err);

#endif
