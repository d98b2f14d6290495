/* Private to `als train`: what one run of it knows. */
#ifndef JOB_TRAIN_IMPL_H
#define JOB_TRAIN_IMPL_H

#include "jobs/checkpoint.h"
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/memory_use.h"
#include "jobs/model_file.h"
#include "jobs/params.h"
#include "mllib/als.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* What each rank tells of its memory: partitions it was given, peak after the hand-off, and after the
 * last iteration. */
enum { TRAIN_MEMORIES = 3 };
enum { TRAIN_RATINGS, TRAIN_TEST, TRAIN_VALIDATION, TRAIN_PARTS };

typedef enum train_phase {
  TRAIN_READING,
  TRAIN_HAND_OFF,
  TRAIN_ITERATIONS,
  TRAIN_WRITING,
  TRAIN_PHASES
} train_phase;

typedef struct training {
  job *j;
  const char *path, *inputs, *init_path, *settings;
  als_params params;
  als_watch watch;
  job_start start;
  const job_input *input[TRAIN_PARTS]; /* NULL where there is none */
  int place[TRAIN_PARTS];              /* of each input among the gang's RDDs */
  rdd_counters counters[TRAIN_PARTS];  /* by that place */
  double started;
  double began[TRAIN_PHASES];    /* when each phase did, on this rank */
  char checkpoint_dir[PATH_MAX]; /* "": no checkpoints */
  int64_t checkpoint_interval;
  bool keep_checkpoints; /* the folder is the user's, not the work directory's */
  int max_attempts;

  /* one try of the gang */
  int64_t partition_bytes;        /* that this rank was given */
  job_memory_use handed;          /* this rank's memory when the hand-off is done */
  int64_t *memory;                /* [ranks][TRAIN_MEMORIES] bytes */
  int64_t *exchange_by_iteration; /* [max_iter + 1] bytes of new factors between nodes, all ranks */
  int64_t *exchange_by_rank;      /* [ranks][2] bytes, and nanoseconds of waiting for them */
  als_model *model;
  als_problem problem;
  als_side test, validation;
  int64_t cold[TRAIN_PARTS]; /* ratings left out */
  als_iteration *history;
  int resumed, iterations; /* made before this try, and in all */
  job_provenance how;
  char digest[JOB_DIGEST_TEXT];
  job_checkpoints *checkpoints;
} training;

/* The iteration whose factors the model has. */
int job_train_best(const training *t);

/* One line for an iteration. */
void job_train_show(const training *t, const als_iteration *done);

/* The last line, and the keys of --json. Not collective. */
RDD_MUST_CHECK rdd_status job_train_report(training *t, const rdd_comm *comm, rdd_err *err);

/* ---- Factors between nodes (train_exchange.c) ---- */

/* Room for what there is to tell. Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status job_train_exchange_new(training *t, const rdd_comm *comm, rdd_err *err);
void job_train_exchange_free(training *t);

/* How they will travel: lines for people, where there are several nodes. */
void job_train_show_exchange(const training *t);

/* Every rank's part in all iterations. Collective. */
void job_train_gather_exchange(training *t, rdd_comm *comm);

/* The keys of --json.
 *   scratch  [in]  [max(iterations, ranks)] */
void job_train_report_exchange(const training *t, const rdd_comm *comm, double *scratch);

#endif
