/* What the files of the RDD layer share: the node of the lineage, a task's report, the runner.
 *
 *   rdd.c      lineage: building, releasing, printing
 *   task.c     the child: one partition of one chain, batch by batch
 *   runner.c   the parent: fork, wait, seal, rerun what crashed
 *   actions.c  all ranks: who computes what, and where it goes */
#ifndef RDD_RDD_IMPL_H
#define RDD_RDD_IMPL_H

#include "rdd/rdd.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdd_partitioner rdd_partitioner;

/* One node of the lineage. */
struct rdd {
  /* 1. Its partitions: numbers 0 to partitions - 1. */
  int64_t partitions;

  /* 2. A function that computes one of them: a leaf has source, any other map. */
  struct {
    rdd_source_fn source;
    rdd_batch_fn map;
    void *arg; /* borrowed */
  } compute;

  /* 3. Its dependency: partition p needs partition p of the parent, and nothing else (narrow).
   * NULL for a leaf. Retained. */
  rdd *parent;

  /* 4. Its partitioner, if it is known which partition a key is in. NULL in every RDD made so far:
   * sources come in the order of their files, and what groups by key is the gang's exchange. */
  const rdd_partitioner *partitioner;

  /* 5. Its preferred locations: rank r has the partitions from locate(np, r, size) up to
   * locate(np, r + 1, size). A map inherits its parent's. */
  int64_t (*locate)(int64_t partitions, int rank, int size);

  /* And what every object has. */
  int references; /* atomic */
  char *name;
  rdd_schema schema;
};

/* ---- Between a task and the rank that forked it ---- */

/* A chain of narrow dependencies, source first. */
typedef struct rdd_chain {
  const rdd **stage; /* [stages] */
  int64_t stages;
} rdd_chain;

/* What a task leaves behind, in memory that it shares with its rank. A task that dies leaves
 * finished == 0; nothing else of it is believed then. */
typedef struct rdd_report {
  int finished;
  rdd_status status;
  rdd_err err;
  int64_t counter[RDD_COUNTERS];
  char note[RDD_NOTE];
} rdd_report;

/* Compute one partition into a memory file and fill in the report. Runs in the child. */
void rdd_task_run(const rdd_chain *chain, int64_t partition, int attempt, int fd,
                  rdd_report *report);

/* ---- The runner: the tasks of one rank. Nothing of it is collective. ---- */
typedef struct rdd_runner rdd_runner;

/* What the tasks that succeeded left, added up. */
typedef struct rdd_tally {
  int64_t rows;
  int64_t value[RDD_COUNTERS];
  int64_t note_partition; /* INT64_MAX: no note */
  char note[RDD_NOTE];
} rdd_tally;

/* Open a runner with `slots` places for tasks. total: partitions it will run, for progress. */
RDD_MUST_CHECK rdd_status rdd_runner_open(rdd_runner **out, const rdd *r, int rank, int slots,
                                          int64_t total, const rdd_run_opts *opts, rdd_err *err);

/* Start a run of the partitions first, first + stride, ... (n of them), as many as there are slots,
 * and return. The parts land in part[0..n), which must be zeroed; part == NULL: only their rows are
 * counted. What fails here is kept for rdd_runner_finish(). */
void rdd_runner_start(rdd_runner *runner, int64_t first, int64_t stride, int64_t n, rdd_part *part);

/* Wait until the run is done, starting what remains and restarting what crashes.
 *   failed_out  [out] the lowest partition that failed, or INT64_MAX
 * Returns that partition's error; the parts that are there are the caller's in any case. */
RDD_MUST_CHECK rdd_status rdd_runner_finish(rdd_runner *runner, int64_t *failed_out, rdd_err *err);

const rdd_tally *rdd_runner_tally(const rdd_runner *runner);

/* Kill and reap the tasks still running, and free; NULL is accepted. */
void rdd_runner_close(rdd_runner *runner);

/* The chain in a few words for messages: "parse <- u.data". */
void rdd_lineage_text(const rdd *r, char *text, size_t room);

#ifdef __cplusplus
}
#endif
#endif
