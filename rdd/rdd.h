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
#include "rdd/event.h"
#include "rdd/status.h"
#include "rdd/store.h"

#include <stdbool.h>

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

/* A vectorised map: one batch in, one batch of `schema` out. Retains the parent, as all that
 * follow. */
RDD_MUST_CHECK rdd_status rdd_map_batches(rdd **out, rdd *parent, const char *name,
                                          const rdd_schema *schema, rdd_batch_fn fn, void *arg,
                                          rdd_err *err);

/* One row in, one row of `schema` out: simpler to write than rdd_map_batches(), and several times
 * as slow. See rdd/row.h for rows. */
typedef struct rdd_row rdd_row;
typedef struct rdd_rows rdd_rows;
typedef rdd_status (*rdd_row_fn)(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_map(rdd **out, rdd *parent, const char *name,
                                  const rdd_schema *schema, rdd_row_fn fn, void *arg, rdd_err *err);

/* One row in, any number of rows out: fn ends each with rdd_rows_next(). */
RDD_MUST_CHECK rdd_status rdd_flat_map(rdd **out, rdd *parent, const char *name,
                                       const rdd_schema *schema, rdd_row_fn fn, void *arg,
                                       rdd_err *err);

/* Keep some rows. fn sets keep[i] to nonzero where row i stays; all are 0 on entry. */
typedef rdd_status (*rdd_keep_fn)(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                                  rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_filter(rdd **out, rdd *parent, const char *name, rdd_keep_fn fn,
                                     void *arg, rdd_err *err);

/* Keep each row with probability `fraction`, 0 to 1. Which ones is decided by seed, partition and
 * the row's number in it alone, so a rerun keeps the same rows. */
RDD_MUST_CHECK rdd_status rdd_sample(rdd **out, rdd *parent, const char *name, double fraction,
                                     uint64_t seed, rdd_err *err);

/* Whole partitions: fn gets `parents` parts, those with the task's partition number, and emits any
 * number of batches with rdd_task_emit(). Parts that are not kept blocks are held in the task's
 * memory. */
typedef rdd_status (*rdd_parts_fn)(void *arg, const rdd_part *const *in, rdd_task *task,
                                   rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_map_partitions(rdd **out, rdd *parent, const char *name,
                                             const rdd_schema *schema, rdd_parts_fn fn, void *arg,
                                             rdd_err *err);

/* Fails with RDD_EUSAGE where the two have different numbers of partitions. */
RDD_MUST_CHECK rdd_status rdd_zip_partitions(rdd **out, rdd *left, rdd *right, const char *name,
                                             const rdd_schema *schema, rdd_parts_fn fn, void *arg,
                                             rdd_err *err);

/* The partitions of left, then those of right. Fails with RDD_EUSAGE where their columns differ. */
RDD_MUST_CHECK rdd_status rdd_union(rdd **out, rdd *left, rdd *right, const char *name,
                                    rdd_err *err);

/* Fewer partitions: each is a run of neighbours, end to end. partitions >= 1; more than the parent
 * has are as many as it has. */
RDD_MUST_CHECK rdd_status rdd_coalesce(rdd **out, rdd *parent, const char *name, int64_t partitions,
                                       rdd_err *err);

/* The one wide transformation: row by row to partition hash(key) % partitions, by the hash of an
 * integer or text column. It is a stage of its own, whose rows all ranks exchange; the order in a
 * partition is by the parent's partition, then row. A parent that is already partitioned so is
 * returned as it is. */
RDD_MUST_CHECK rdd_status rdd_partition_by(rdd **out, rdd *parent, const char *name,
                                           const char *key, int64_t partitions, rdd_err *err);

/* The same without the hash: to partition where % partitions, by an integer column (a negative one
 * counts as unsigned). So rows can be sent to a partition of one's choice. */
RDD_MUST_CHECK rdd_status rdd_partition_at(rdd **out, rdd *parent, const char *name,
                                           const char *where, int64_t partitions, rdd_err *err);

rdd *rdd_retain(rdd *r);

/* Drop a reference; NULL is accepted. A freed RDD releases its parents, in a loop. */
void rdd_release(rdd *r);

int64_t rdd_partitions(const rdd *r);
const rdd_schema *rdd_schema_of(const rdd *r);

/* The lineage as text, as Spark's toDebugString: "(8) parse [user:int64] ...", a wide dependency
 * starts with "+-". An ancestor that was shown already is not unfolded again. What is cached is
 * told as this rank knows it. The caller frees it with rdd_free(); NULL when memory is out. Not
 * collective. */
char *rdd_debug_string(const rdd *r);

/* The lineage as a graph for Graphviz: filled nodes are persisted, bold edges wide. As above. */
char *rdd_dot(const rdd *r);

/* ---- Keeping partitions ---- */

typedef enum rdd_level {
  RDD_LEVEL_NONE,
  RDD_LEVEL_MEMORY, /* sealed, on the rank that computed it */
  RDD_LEVEL_DISK,   /* in the store, from where later runs have it too */
  RDD_LEVEL_MEMORY_AND_DISK,
} rdd_level;

/* Keep the partitions that later actions compute, and use them instead of computing them. Not
 * collective; all ranks do the same.
 *   store        [in]  for the levels with DISK; borrowed, and has to outlive the RDD
 *   fingerprint  [in]  of all that decides what is in the partitions (inputs, parameters)
 * A block that is damaged or gone is computed again from lineage, it alone.
 * Fails with RDD_EUSAGE where the RDD has another level already: unpersist it first. */
RDD_MUST_CHECK rdd_status rdd_persist(rdd *r, rdd_level level, rdd_store *store,
                                      uint64_t fingerprint, rdd_err *err);

/* Forget what is kept, in memory and in the store. Collective. */
void rdd_unpersist(rdd *r, rdd_comm *comm);

rdd_level rdd_level_of(const rdd *r);

/* "memory and disk", ... */
const char *rdd_level_name(rdd_level level);

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
  int slots;         /* tasks at a time on this rank, >= 1 */
  int max_failures;  /* crashes of one task before the job ends; 0 means RDD_MAX_FAILURES */
  double time_limit; /* seconds that a task may take before it counts as crashed; 0: no limit */
  bool speculation;  /* run a second copy of a task that takes 1.5 x the median (and 0.1 s) once 3/4
                      * of the node's tasks are done and this rank has a slot free; not in
                      * rdd_visit() and what is made of it, where partitions come in order */
  void (*progress)(void *arg, int64_t done, int64_t total); /* or NULL; this rank's, from 0 */
  void (*event)(void *arg, const rdd_event *event);         /* or NULL; of this rank */
  rdd_fault (*fault)(void *arg, int64_t stage, int64_t partition, int attempt); /* or NULL */
  void *arg;
} rdd_run_opts;

typedef struct rdd_counters {
  int64_t value[RDD_COUNTERS]; /* sums over all ranks; of tasks that ran: what a kept block was
                                * once counted with is not counted again */
  char note[RDD_NOTE];         /* the remark of the lowest partition that left one, or "" */
} rdd_counters;

/* How partitions come to ranks. A rank has a run of neighbours (or those whose blocks it has in
 * memory) and works through it; a rank that is done takes the next partitions of the other ranks of
 * its node. Between nodes nothing moves: who is done waits. */

/* The partitions of one rank after an action, ascending by number. Which rank has which is up to
 * the scheduling, and may be different each time: nothing that a job computes may depend on it. */
typedef struct rdd_parts {
  rdd_schema schema;
  int64_t n;
  int64_t *number; /* [n] of the partitions in the RDD */
  rdd_part *part;  /* [n] */
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

/* The same for some partitions.
 *   wanted  [in]  [n] their numbers, rising, the same on all ranks
 * Fails with RDD_EUSAGE where there is no such partition. */
RDD_MUST_CHECK rdd_status rdd_compute_some(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                           const int64_t *wanted, int64_t n, rdd_parts **parts_out,
                                           rdd_counters *counters_out, rdd_err *err);

/* Number of rows. */
RDD_MUST_CHECK rdd_status rdd_count(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                    int64_t *rows_out, rdd_err *err);

/* All rows, in order of partition, on every rank.
 *   part_out  [out] close with rdd_part_close(); untouched on failure */
RDD_MUST_CHECK rdd_status rdd_collect(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                      rdd_part *part_out, rdd_err *err);

/* The first n rows, or all where there are fewer, on every rank. Computes the first partition, then
 * four times as many, and so on until there are enough. */
RDD_MUST_CHECK rdd_status rdd_take(rdd *r, rdd_comm *comm, const rdd_run_opts *opts, int64_t n,
                                   rdd_part *part_out, rdd_err *err);

typedef void (*rdd_combine_fn)(void *arg, void *acc, const void *value);

/* Fold the values of a column of numbers: combine(arg, acc, value) makes *acc of both. Inside a
 * partition by row, in its task; then partition by partition: the result never depends on ranks.
 *   acc_out  [out] one value of the column's type, on every rank; untouched on failure
 * Fails with RDD_EUSAGE where there are no rows. */
RDD_MUST_CHECK rdd_status rdd_reduce(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                     const char *column, rdd_combine_fn combine, void *arg,
                                     void *acc_out, rdd_err *err);

/* Fold rows into a state of `bytes` plain bytes: add() a batch in a task, merge() the states of
 * partitions in order of partition.
 *   state  [in/out] the empty state; on every rank the result, untouched on failure */
typedef struct rdd_aggregate_fns {
  void (*add)(void *arg, void *state, const rdd_batch *batch);
  void (*merge)(void *arg, void *state, const void *other);
  void *arg;
} rdd_aggregate_fns;
RDD_MUST_CHECK rdd_status rdd_aggregate(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                        const rdd_aggregate_fns *fns, void *state, size_t bytes,
                                        rdd_err *err);

/* Call fn on each partition, in its task, for what it does outside: a rerun may call it twice. */
RDD_MUST_CHECK rdd_status rdd_foreach_partition(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                                rdd_parts_fn fn, void *arg, rdd_err *err);

/* Cut the lineage: compute what the store has not, keep it there, and drop the parents. A block
 * that is lost later is an error, since nothing is left to compute it from. On failure the lineage
 * is as it was. */
RDD_MUST_CHECK rdd_status rdd_checkpoint(rdd *r, rdd_comm *comm, const rdd_run_opts *opts,
                                         rdd_store *store, uint64_t fingerprint, rdd_err *err);

/* Release one partition early (the gang does so as it consumes them), or all. NULL is accepted. */
void rdd_parts_drop(rdd_parts *parts, int64_t i);
void rdd_parts_free(rdd_parts *parts);

#ifdef __cplusplus
}
#endif
#endif
