/* Private to `als plan`: what one run of it knows. */
#ifndef JOB_PLAN_IMPL_H
#define JOB_PLAN_IMPL_H

#include "jobs/input.h"
#include "jobs/job.h"
#include "mllib/plan.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLAN_ROWS = 32 }; /* of the table */

typedef struct planning {
  job *j;
  const job_args *args;
  const job_option *options; /* those that are handed on to als train */
  const char *ratings;       /* the file, or NULL */
  bool dry;                  /* it is for this very run of als train, and not for a cluster */
  job_input *input;          /* of it */
  int64_t rows[2], count;    /* users, items; ratings */
  als_plan_problem problem;
  double node_memory; /* bytes */
  bool mpi_assumed;   /* this process has no MPI, so what that takes is taken from elsewhere */
  bool ranks_given;
  int cores;         /* of this machine, that this process may use */
  als_layout layout; /* that is recommended, or was asked for */
  als_plan plan;     /* of that */
  bool fits;
  int n;
  als_layout row_layout[PLAN_ROWS];
  als_plan row[PLAN_ROWS];
} planning;

/* ---- plan_input.c ---- */

/* The numbers of ratings: counted in the file, or made from the options. Collective. */
RDD_MUST_CHECK rdd_status job_plan_read(planning *p, rdd_err *err);

/* What this machine does: kernels, reading and hand-off. On rank 0, after job_plan_read(). */
RDD_MUST_CHECK rdd_status job_plan_measure(planning *p, rdd_err *err);

/* ---- plan_text.c ---- */

/* "180G", "1.5TiB": bytes; "100Gbit", "12GB": bytes a second.              Not collective.
 * Fail with RDD_EUSAGE, naming the option. */
RDD_MUST_CHECK rdd_status job_plan_bytes(const char *option, const char *text, double *out,
                                         rdd_err *err);
RDD_MUST_CHECK rdd_status job_plan_bandwidth(const char *option, const char *text, double *out,
                                             rdd_err *err);

/* A batch script for the plan's layout, in memory of its own; NULL: none left. rdd_free(). */
char *job_plan_script(const planning *p);

#endif
