/* Settings files: the options of a command as lines of "key = value", in a file of their own or recorded in
 * a model.
 *
 *   # a line is blank, a comment, or
 *   rank = 64
 *   bias = yes                     # a flag is yes or no
 *   input = part-1.csv             # positional arguments, in order
 *   input = " a name with # in it" # in quotes, a quote is doubled
 */
#ifndef JOB_SETTINGS_H
#define JOB_SETTINGS_H

#include "jobs/cli.h"
#include "rdd/comm.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct job_settings {
  bool of_model; /* recorded by a run, not written by a person */
  int n;
  job_setting *list; /* [n] into text */
  char *text;
} job_settings;

/* Read a settings file, or the settings of a model or checkpoint: rank 0 does, for all. Collective.
 *   out  [out] free with job_settings_free()
 * Fails with RDD_ENOINPUT; RDD_EUSAGE, naming file and line, where a line is none of the above; RDD_EDATA
 * for an HDF5 file that is no model, or one without settings. */
RDD_MUST_CHECK rdd_status job_settings_read(rdd_comm *comm, const char *path, job_settings **out,
                                            rdd_err *err);

/* The same from text.                                                     Not collective.
 *   name  [in]  for messages
 *   text  [in]  copied */
RDD_MUST_CHECK rdd_status job_settings_parse(const char *name, const char *text, job_settings **out,
                                             rdd_err *err);
void job_settings_free(job_settings *settings); /* NULL is accepted */

/* Write the options of a table that were given, as settings, but for those that say where the output of
 * this one run goes; and the positional arguments. False where a value has a line break, which settings
 * cannot have.                                                            Not collective. */
bool job_settings_put(FILE *out, const job_option *table, const job_args *args);
bool job_settings_put_inputs(FILE *out, const job_args *args);

#endif
