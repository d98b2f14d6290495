/* Which ratings are the test part. Decided by hashes of (user id, item id, seed) and by times, so that it
 * depends on neither order nor partitions nor ranks; every rating is in one of the two parts. */
#ifndef JOB_SPLIT_RULE_H
#define JOB_SPLIT_RULE_H

#include "jobs/cli.h"
#include "jobs/job.h"
#include "mllib/ids.h"
#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>

typedef enum job_split_kind {
  JOB_SPLIT_FRACTION,  /* those whose share is below the fraction */
  JOB_SPLIT_FOLD,      /* those whose fold is `fold` */
  JOB_SPLIT_TIME,      /* those later than `last` */
  JOB_SPLIT_LEAVE_OUT, /* the last `leave_out` of each user, but never all */
} job_split_kind;

typedef struct job_split_rule {
  job_split_kind kind;
  rdd_schema schema; /* of the ratings */
  uint64_t seed;
  double fraction; /* of FRACTION, and of TIME where it has no moment */
  bool has_moment; /* of TIME: `last` is given */
  int64_t last;    /* of TIME: latest moment of the training part */
  int folds, fold; /* of FOLD: the fold that is tested now, 0 is the first */
  int64_t leave_out;
  bool by_time;        /* of LEAVE_OUT: the last by time; else by hash */
  als_ids *users;      /* of LEAVE_OUT, owned: users, and where the test part of each begins */
  rdd_table *first;    /* [users], owned */
  int64_t users_whole; /* of LEAVE_OUT: users all of whose ratings are in the training part */
} job_split_rule;

/* A number in [0, 1) for a rating; the same for all ratings of a pair. */
double job_split_share(const rdd_schema *schema, const rdd_batch *batch, int64_t row,
                       uint64_t seed);

/* The fold of a share, 0 to folds - 1. */
int job_split_fold(double share, int folds);

/* The options that choose a rule, to be put into a table, and what they came to. Not collective.
 * Fails with RDD_EUSAGE for two rules at once, or a bad moment. */
#define JOB_SPLIT_OPTIONS                                                                          \
  {"test-fraction", 0, JOB_REAL, "F", "0.2", 0, 1, false, "share of the test part, 0 to 1"},       \
      {"leave-out", 0,     JOB_INT,                                                                \
       "K",         NULL,  1,                                                                      \
       1e9,         false, "K ratings of each user are the test part; one at least stays"},        \
      {"by-time", 0,     JOB_FLAG,                                                                 \
       NULL,      NULL,  0,                                                                        \
       0,         false, "with --leave-out: the last K by time, not K by chance"},                 \
      {"time-split",                                                                               \
       0,                                                                                          \
       JOB_STRING,                                                                                 \
       "F|MOMENT",                                                                                 \
       NULL,                                                                                       \
       0,                                                                                          \
       0,                                                                                          \
       false,                                                                                      \
       "the last share F by time, or from a moment on, is the test part"},                         \
  {                                                                                                \
    "folds", 0, JOB_INT, "K", NULL, 2, 1000, false,                                                \
        "K pairs of parts; each rating is in the test part of one"                                 \
  }
RDD_MUST_CHECK rdd_status job_split_read(const job_args *args, job_split_rule *out, rdd_err *err);

/* Look at the ratings once, where the rule asks for it: when the test part begins.  Collective.
 *   rule     [in,out] with its schema
 *   ratings  [in]  columns user, item, rating[, timestamp]
 * Memory: 8 bytes a rating over all ranks for TIME with a fraction; 64 for LEAVE_OUT.
 * Fails with RDD_EUSAGE where there are no timestamps and there have to be, and as the tasks do. */
RDD_MUST_CHECK rdd_status job_split_prepare(job_split_rule *rule, job *j, rdd *ratings,
                                            rdd_err *err);

/* Free what was prepared. Collective. */
void job_split_reset(job_split_rule *rule);

/* Is a rating in the test part? Not collective; runs in tasks. */
bool job_split_is_test(const job_split_rule *rule, const rdd_batch *batch, int64_t row);

#endif
