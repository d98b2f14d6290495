/* Lists of users or items that a command line names: ids with commas between them, or a file of ids. */
#ifndef JOB_ID_LIST_H
#define JOB_ID_LIST_H

#include "mllib/ids.h"
#include "rdd/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct job_id_list {
  int64_t *index; /* [n] dense indices, ascending, each once; free with job_id_list_reset() */
  int64_t n;
  int64_t unknown; /* ids asked for that are not in the model */
  bool by_name;    /* they are of the command line, not of a file */
  char first[200]; /* the first of them, as text: "7, bob, 12, ..." */
} job_id_list;

/* Read a list; every rank reads the same.                                 Not collective.
 *   text  [in]  "ID,ID,..." or the name of a file with an id a line, or several with commas
 * An id that is listed twice counts once. What the list had before is kept.
 * Fails with RDD_EUSAGE where an id cannot be one of `ids`, RDD_ENOINPUT, RDD_EIO, RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status job_id_list_add(job_id_list *list, const als_ids *ids, const char *text,
                                          rdd_err *err);

/* The rows of a side that are in `only` and not in `without`; either may be NULL.
 * Fails with RDD_ENOMEM.                                                   Not collective. */
RDD_MUST_CHECK rdd_status job_id_list_choose(job_id_list *out, const als_ids *ids,
                                             const job_id_list *only, const job_id_list *without,
                                             rdd_err *err);

/* Warn of ids that the model lacks; rank 0 speaks. */
void job_id_list_warn(const job_id_list *list, const char *option);

void job_id_list_reset(job_id_list *list);

/* Dense index of one id written as text, or -1 where the model lacks it.
 * Fails with RDD_EUSAGE where it cannot be an id of this model.           Not collective. */
RDD_MUST_CHECK rdd_status job_id_find(const als_ids *ids, const char *text, size_t length,
                                      int64_t *out, rdd_err *err);

#endif
