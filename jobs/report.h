/* What is made of the event log of a run: a page, and a trace. Rank 0 alone; docs/events.md has the log. */
#ifndef JOB_REPORT_H
#define JOB_REPORT_H

#include "rdd/status.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JOB_LOG_SUPERVISOR = -1 };

/* One file of the log, line by line. */
typedef struct job_log_file {
  char name[64];     /* "attempt-1.rank-0.jsonl" */
  int attempt, rank; /* rank: JOB_LOG_SUPERVISOR for what gangrun wrote; attempt 0 then */
  char *text;        /* owned; the lines are in it */
  char **line;       /* [lines] each is a JSON object */
  int64_t lines;
  int64_t broken; /* others, which were left out */
  bool cut;       /* the last line has no end, and was left out */
} job_log_file;

typedef struct job_log {
  char dir[PATH_MAX]; /* absolute */
  char *record;       /* record.json, or NULL */
  int64_t files;
  job_log_file *file; /* [files] the supervisor's first, then by attempt and rank */
} job_log;

/* Read all of the log of a work directory. What a crash has cut off is no error.
 *   out  [out] free with job_log_free(); untouched on failure
 * Fails with RDD_ENOINPUT where there is no log, RDD_EIO, RDD_ENOMEM.    Not collective. */
RDD_MUST_CHECK rdd_status job_log_read(job_log **out, const char *dir, rdd_err *err);
void job_log_free(job_log *log); /* NULL is accepted */

/* The page: HTML, with the log as one block of JSON in it, and nothing from outside. Errors are in the
 * stream (ferror).                                                        Not collective. */
void job_report_page(const job_log *log, FILE *out);

/* The same run in the Trace Event Format of Chrome: a process for each rank, a thread for the gang and for
 * each slot of tasks, microseconds since the first event. Errors are in the stream.  Not collective. */
void job_report_trace(const job_log *log, FILE *out);

#endif
