/* Resilient distributed data: partitions with lineage.
 *
 * An RDD is five things, one field each in its struct (Zaharia et al., NSDI 2012, section 4):
 *   its partitions, a function that computes one of them, its dependencies on parents,
 *   an optional partitioner, and preferred locations.
 * It is lazy and immutable. An action computes partitions with tasks: one partition of one chain of
 * narrow transformations, batch by batch, in a forked child of the rank. A task that crashes is
 * rerun from its lineage, alone; an error in the data is reported at once and never retried. */
#ifndef RDD_RDD_H
#define RDD_RDD_H

#include "rdd/batch.h"
#include "rdd/comm.h"
#include "rdd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdd rdd;
typedef struct rdd_task rdd_task;

enum { RDD_MAX_FAILURES = 4, RDD_COUNTERS = 4, RDD_NOTE = 400 };

/* Compute one partition of a source: call rdd_task_emit() for each batch. Runs in a task. */
typedef rdd_status (*rdd_source_fn)(void *arg, int64_t partition, rdd_task *task, rdd_err *err);

/* Turn one batch into one batch. Runs in a task.
 *   in   [in]  rows of the parent, borrowed
 *   out  [out] zeroed on entry; its buffers come from rdd_task_scratch() or from `in` */
typedef rdd_status (*rdd_batch_fn)(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                                   rdd_err *err);

/* ---- Building lineage. Not collective; every rank builds the same. `arg` is borrowed and has to
 * outlive the RDD; a task sees it as it was when the task was forked. ---- */

/* A leaf: data from outside. partitions >= 0. */
RDD_MUST_CHECK rdd_status rdd_source(rdd **out, const char *name, int64_t partitions,
                                     const rdd_schema *schema, rdd_source_fn compute, void *arg,
                                     rdd_err *err);

/* A vectorised map: one batch in, one batch of `schema` out. Retains the parent. */
RDD_MUST_CHECK rdd_status rdd_map_batches(rdd **out, rdd *parent, const char *name,
                                          const rdd_schema *schema, rdd_batch_fn fn, void *arg,
                                          rdd_err *err);

rdd *rdd_retain(rdd *r);

/* Drop a reference; NULL is accepted. A freed RDD releases its parent, in a loop. */
void rdd_release(rdd *r);

int64_t rdd_partitions(const rdd *r);
const rdd_schema *rdd_schema_of(const rdd *r);

/* The lineage as text, one line an RDD, as Spark's toDebugString: "(8) parse at u.data ...".
 * The caller frees it with rdd_free(); NULL when memory is out. Not collective. */
char *rdd_debug_string(const rdd *r);

/* ---- Inside a task ---- */

/* Send a batch of the source down the chain. Its buffers may be reused after it returns, and all
 * scratch is reset. */
RDD_MUST_CHECK rdd_status rdd_task_emit(rdd_task *task, const rdd_batch *batch, rdd_err *err);

/* n * size bytes, 64-byte aligned, valid until the next batch of the source; NULL when out. */
void *rdd_task_scratch(rdd_task *task, size_t n, size_t size);

/* Rows row[0], ..., row[n - 1] of a column, copied into scratch: filters and orders are made of it.
 *   out  [out] untouched on failure
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status rdd_task_take(rdd_task *task, rdd_type type, const rdd_column *in,
                                        const int32_t *row, int64_t n, rdd_column *out,
                                        rdd_err *err);

int64_t rdd_task_partition(const rdd_task *task);
int rdd_task_attempt(const rdd_task *task); /* 0 is the first */

/* Add to one of RDD_COUNTERS counters, summed over tasks that succeeded (Spark's accumulators). */
void rdd_task_count(rdd_task *task, int counter, int64_t n);

/* Leave a remark; the first one of the lowest partition is kept (see rdd_counters). */
void rdd_task_note(rdd_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Actions. Collective. ---- */

typedef struct rdd_run_opts {
  int slots;        /* tasks at a time on this rank, >= 1 */
  int max_failures; /* crashes of one task before the job ends; 0 means RDD_MAX_FAILURES */
  void (*progress)(void *arg, int64_t done, int64_t total); /* or NULL; this rank's, from 0 */
  void (*task_failed)(void *arg, const char *message);      /* or NULL; a crash that is retried */
  void *arg;
} rdd_run_opts;

typedef struct rdd_counters {
  int64_t value[RDD_COUNTERS]; /* sums over all ranks */
  char note[RDD_NOTE];         /* the remark of the lowest partition that left one, or "" */
} rdd_counters;

/* The partitions of one rank after an action. */
typedef struct rdd_parts {
  rdd_schema schema;
  int64_t first; /* number of the first one; rank r has [np * r / size, np * (r + 1) / size) */
  int64_t n;
  rdd_part *part; /* [n] */
} rdd_parts;

/* Compute every partition and keep each on the rank that computed it.
 *   parts_out     [out] free with rdd_parts_free(); untouched on failure
 *   counters_out  [out] may be NULL
 * Fails, on all ranks together, with the data error of the lowest partition that has one, or with
 * RDD_ETASK where a task crashed max_failures times: partition, lineage, attempt, signal, rank. */
RDD_MUST_CHECK rdd_status rdd_compute(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                      rdd_parts **parts_out, rdd_counters *counters_out,
                                      rdd_err *err);

/* Called on rank 0 with one partition; borrowed, gone when it returns. */
typedef rdd_status (*rdd_visit_fn)(void *arg, int64_t partition, const rdd_part *part,
                                   rdd_err *err);

/* Compute every partition and bring each to rank 0 in order of partition. Memory is bounded by a
 * few partitions for each slot; the next ones are computed while rank 0 visits. Fails as
 * rdd_compute() does, or with what visit returns. */
RDD_MUST_CHECK rdd_status rdd_visit(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                    rdd_visit_fn visit, void *arg, rdd_counters *counters_out,
                                    rdd_err *err);

/* Number of rows. */
RDD_MUST_CHECK rdd_status rdd_count(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                    int64_t *rows_out, rdd_err *err);

/* Release one partition early (the gang does so as it consumes them), or all. NULL is accepted. */
void rdd_parts_drop(rdd_parts *parts, int64_t i);
void rdd_parts_free(rdd_parts *parts);

#ifdef __cplusplus
}
#endif
#endif
