/* What the files of the RDD layer share. In the order in which to read them:
 *
 *   rdd.c        lineage: building, releasing
 *   transform.c  what one step does with a batch
 *   task.c       the child: one partition of a piece of lineage, batch by batch
 *   runner.c     the parent: fork, wait, seal, rerun what crashed
 *   seal.c       the memory file of a result becomes a partition
 *   queue.c      which partition next: own ones, then those of other ranks of the node
 *   blocks.c     partitions that are kept
 *   plan.c       all ranks: stages, and what to do when a block is lost
 *   place.c      all ranks: which partition on which rank
 *   wide.c       the stage of a wide dependency: all ranks exchange rows
 *   actions.c    all ranks: compute, count, visit; collect.c what is made of them */
#ifndef RDD_RDD_IMPL_H
#define RDD_RDD_IMPL_H

#include "rdd/rdd.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdd_step rdd_step;
typedef struct rdd_kept rdd_kept;

/* Which partitions of a parent does partition p need? Dependencies are data, so that whoever walks
 * the lineage can tell without calling anything. */
typedef enum rdd_dep_kind {
  RDD_DEP_ONE,   /* partition p */
  RDD_DEP_RANGE, /* partition p - first, where there is one (union) */
  RDD_DEP_MANY,  /* a run of neighbours (coalesce) */
  RDD_DEP_ALL,   /* all of them: wide, so the parent belongs to another stage */
} rdd_dep_kind;

typedef struct rdd_dep {
  rdd *parent; /* retained */
  rdd_dep_kind kind;
  int64_t first;
} rdd_dep;

/* Where a key is, if that is known. */
typedef struct rdd_partitioner {
  int64_t partitions; /* 0: not known */
  int column;         /* row's partition = hash of this column % partitions */
  bool direct;        /* no hash, but the column itself */
} rdd_partitioner;

/* One batch in, one batch out. */
typedef rdd_status (*rdd_step_fn)(rdd_step *step, rdd_task *task, const rdd_batch *in,
                                  rdd_batch *out, rdd_err *err);

enum { RDD_MAX_DEPS = 2 };

/* One node of the lineage. */
struct rdd {
  /* 1. Its partitions: numbers 0 to partitions - 1. */
  int64_t partitions;

  /* 2. A function that computes one of them. A leaf has source; parts takes whole partitions of all
   * parents; step takes the batches of one parent; with none of them rows are passed on (union,
   * coalesce, partition_by). */
  struct {
    rdd_source_fn source;
    rdd_parts_fn parts;
    rdd_step_fn step;
    rdd_batch_fn batch; /* what step calls: one of these */
    rdd_row_fn row;
    rdd_keep_fn keep;
    double fraction;
    uint64_t seed;
    void *arg; /* borrowed */
  } compute;

  /* 3. Its dependencies. */
  rdd_dep dep[RDD_MAX_DEPS];
  int deps;

  /* 4. Its partitioner. */
  rdd_partitioner partitioner;

  /* 5. Its preferred locations: rank r has the partitions from locate(np, r, size) up to
   * locate(np, r + 1, size), but where a block is in memory, its rank has it. */
  int64_t (*locate)(int64_t partitions, int rank, int size);

  /* And what every object has. */
  rdd_kept *kept; /* partitions that are kept, or NULL */
  int references; /* atomic */
  char *name;
  rdd_schema schema;
  rdd *next;     /* in the list of a walk */
  int64_t mark;  /* for walks that visit a node once: -1 between them */
  int64_t place; /* among the nodes of a plan */
};

/* The partitions [begin, end) of the dependency's parent that partition p needs. */
void rdd_dep_range(const rdd *r, const rdd_dep *dep, int64_t p, int64_t *begin, int64_t *end);

bool rdd_is_wide(const rdd *r);

/* Every node of the lineage once, a parent before its children, by a loop.
 *   list_out  [out] [return value]; free with rdd_free(); NULL when memory is out */
int64_t rdd_walk(const rdd *r, rdd ***list_out);

/* The lineage in a few words for messages: "parse <- u.data". */
void rdd_lineage_text(const rdd *r, char *text, size_t room);

/* ---- Steps ---- */

/* A step of a pipeline, at work on one partition. */
struct rdd_step {
  const rdd *node;
  int64_t partition;
  rdd_step *next; /* towards the result */
  int64_t rows;   /* that came in before this batch */
  rdd_rows *made; /* rows under construction, or NULL */
};

rdd_status rdd_step_batches(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                            rdd_err *err);
rdd_status rdd_step_map(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                        rdd_err *err);
rdd_status rdd_step_flat_map(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                             rdd_err *err);
rdd_status rdd_step_filter(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                           rdd_err *err);
rdd_status rdd_step_sample(rdd_step *step, rdd_task *task, const rdd_batch *in, rdd_batch *out,
                           rdd_err *err);

/* The named rows of a batch, in scratch. row[0 .. n) are their numbers. */
rdd_status rdd_take_rows(rdd_task *task, const rdd_schema *schema, const rdd_batch *in,
                         const int32_t *row, int64_t n, rdd_batch *out, rdd_err *err);

/* The row's partition by the key in a column of an integer or text type. */
int64_t rdd_partition_of(const rdd_partitioner *by, rdd_type type, const rdd_column *key,
                         int64_t row);

/* ---- Between a task and the rank that forked it ---- */

/* What a task is to do. */
typedef struct rdd_order {
  const rdd *target;
  const rdd *deal_to; /* a wide RDD: deal the rows to its partitions (wide.c); or NULL */
  int64_t partition;
  int attempt;
  bool store; /* put the result in target's store too */
  rdd_fault fault;
} rdd_order;

/* What a task leaves behind, in memory that it shares with its rank. A task that dies leaves
 * finished == 0; nothing else of it is believed then. */
typedef struct rdd_report {
  int finished;
  rdd_status status;
  rdd_err err;
  const rdd *inside; /* the node whose function runs, where it is not the source; or NULL */
  const rdd *lost;   /* a block of this RDD cannot be used, err says why; or NULL */
  int64_t lost_partition;
  bool reading;              /* it is being read: a task that dies now may have died of it */
  bool stored, store_failed; /* store_err says why */
  rdd_err store_err;
  int64_t counter[RDD_COUNTERS];
  char note[RDD_NOTE];
} rdd_report;

/* Compute one partition into a memory file and fill in the report. Runs in the child. */
void rdd_task_run(const rdd_order *order, int fd, rdd_report *report);

/* ---- The runner: the tasks of one rank. Nothing of it is collective. ---- */
typedef struct rdd_runner rdd_runner;

/* What the tasks of a stage have in common, and how they tell what came of them. */
typedef struct rdd_stage {
  const rdd *target, *deal_to;
  int64_t number;
  bool store; /* put results in target's store where they are not there yet */
  int rank;
  const rdd_run_opts *opts;
  /* The next partition to start, or -1; and how many more there are of the rank's own. */
  int64_t (*next)(void *arg);
  int64_t (*left)(void *arg);
  /* For speculation: a task took so long; the median of those done, and their part of all. */
  void (*took)(void *arg, double seconds);
  double (*median)(void *arg, double *done_out);
  /* The part is the callee's. `stored`: it is in the store now; if that failed, why is not NULL. */
  rdd_status (*done)(void *arg, int64_t partition, rdd_part *part, bool stored, const rdd_err *why,
                     rdd_err *err);
  /* A block that a task needs cannot be used; the task's partition is not done. */
  void (*lost)(void *arg, const rdd *r, int64_t partition, const char *message);
  void *arg;
} rdd_stage;

/* What the tasks that succeeded left, added up. */
typedef struct rdd_tally {
  int64_t rows;
  int64_t value[RDD_COUNTERS];
  int64_t note_partition; /* INT64_MAX: no note */
  char note[RDD_NOTE];
} rdd_tally;

/* Open a runner with `slots` places for tasks. Both structs are borrowed. */
RDD_MUST_CHECK rdd_status rdd_runner_open(rdd_runner **out, const rdd_stage *stage, int slots,
                                          rdd_tally *tally, rdd_err *err);

/* Start as many tasks as there are slots, and return. What fails is kept for
 * rdd_runner_finish(). */
void rdd_runner_start(rdd_runner *runner);

/* Wait until `next` has nothing more and all tasks are done, restarting what crashes.
 *   failed_out  [out] the lowest partition that failed, or INT64_MAX
 * Returns that partition's error. */
RDD_MUST_CHECK rdd_status rdd_runner_finish(rdd_runner *runner, int64_t *failed_out, rdd_err *err);

/* Kill and reap the tasks still running, and free; NULL is accepted. */
void rdd_runner_close(rdd_runner *runner);

/* A segment in a memory file becomes immutable, is mapped and opened; fd stays the caller's. */
RDD_MUST_CHECK rdd_status rdd_seal(int fd, const rdd_schema *schema, rdd_part *part, rdd_err *err);

/* The same without looking at what is in it: for what wide.c deals. */
RDD_MUST_CHECK rdd_status rdd_seal_raw(int fd, rdd_part *part, rdd_err *err);

/* A second mapping of a sealed part. */
RDD_MUST_CHECK rdd_status rdd_part_share(const rdd_part *part, const rdd_schema *schema,
                                         rdd_part *out, rdd_err *err);

void rdd_tell(const rdd_run_opts *opts, rdd_event event);

/* ---- The queue: which partition next ---- */
typedef struct rdd_queue rdd_queue;

/* Share out n partitions.                                                 Collective.
 *   item   [in]  [n] rising; borrowed; the same on all ranks, as is:
 *   home   [in]  [n] the rank of each
 *   fixed  [in]  [n] only its home may take it; NULL: none is fixed */
RDD_MUST_CHECK rdd_status rdd_queue_open(rdd_queue **out, rdd_comm *comm, const int64_t *item,
                                         const int *home, const bool *fixed, int64_t n,
                                         rdd_err *err);
int64_t rdd_queue_next(rdd_queue *queue); /* -1: nothing is left for this rank. Not collective */
int64_t rdd_queue_left(const rdd_queue *queue); /* of the rank's own. Not collective */

/* A task took so long; and the median of those that are done on this node, with what part of all of
 * the node's those are. Not collective. */
void rdd_queue_took(rdd_queue *queue, double seconds);
double rdd_queue_median(rdd_queue *queue, double *done_out);
void rdd_queue_close(rdd_queue *queue); /* Collective */

/* ---- Blocks: partitions that are kept ---- */
struct rdd_kept {
  rdd_level level;
  rdd_store *store;
  uint64_t fingerprint;
  bool checkpointed;
  rdd_part *part; /* [partitions] those that are in memory here; others are zeroed */
  int *holder;    /* [partitions] the rank that has it in memory, or -1; known to all ranks, */
  bool *stored;   /* [partitions] and whether the store has it, since rdd_kept_refresh() */
  bool *copy;     /* [partitions] part is a copy for this stage, of what another rank has */
  bool *lost;     /* [partitions] found to be lost by this rank */
  int64_t *wire;  /* [2 * partitions] for what ranks tell each other */
};

/* Room for what a node keeps. */
RDD_MUST_CHECK rdd_status rdd_kept_new(rdd *r, rdd_err *err);
void rdd_kept_free(rdd *r);

/* Does the level say so? */
bool rdd_kept_in_memory(const rdd *r);
bool rdd_kept_on_disk(const rdd *r);

/* Can a task of this rank use it without computing it? */
bool rdd_kept_here(const rdd *r, int64_t partition);

/* Does some rank, or the store, have it? The same answer on all ranks. */
bool rdd_kept_anywhere(const rdd *r, int64_t partition);

/* Its key in the store. */
rdd_block rdd_kept_block(const rdd *r, int64_t partition);

/* Tell all ranks what each has; forget what is lost. Collective. */
void rdd_kept_refresh(rdd *r, rdd_comm *comm, const rdd_run_opts *opts);

/* Drop copies, and what the level does not keep. Not collective. */
void rdd_kept_trim(rdd *r);

/* Keep a part that was computed as its level says; it stays the caller's. Not collective. */
RDD_MUST_CHECK rdd_status rdd_kept_put(rdd *r, const rdd_part *part, int64_t partition, bool stored,
                                       rdd_err *err);

/* A block in memory here, as a part of its own. Fails with RDD_EIO where it is damaged. */
RDD_MUST_CHECK rdd_status rdd_kept_get(const rdd *r, int64_t partition, rdd_part *out,
                                       rdd_err *err);

/* ---- The plan: what has to be there before an action's own stage, and where that runs ---- */
typedef struct rdd_plan {
  rdd *target;
  rdd_comm *comm;
  const rdd_run_opts *opts;
  int64_t stages; /* begun so far */
  rdd **node;     /* [nodes] of the lineage, those that keep partitions; parents first */
  int64_t nodes;
  uint8_t **need; /* [nodes][partitions] whether it is needed, and whether that was told */
  bool *want;     /* [target's partitions] what the action is to compute still */
  int64_t *wire;  /* [target's partitions] for what ranks tell each other */
  bool deal;      /* homes are dealt round: p % size, and not runs of neighbours */
  bool lost;      /* this rank has found a lost block */
  int resubmits;
  rdd_tally tally;
} rdd_plan;

/* Some partitions of one node, and the rank of each. */
typedef struct rdd_items {
  int64_t n;
  int64_t *partition; /* [n] rising */
  int *home;          /* [n] */
  bool *fixed;        /* [n] since a block that it needs is in that rank's memory */
} rdd_items;

RDD_MUST_CHECK rdd_status rdd_items_new(rdd_items *items, int64_t room, rdd_err *err);
void rdd_items_free(rdd_items *items);

/* Partitions of nodes, on a stack: how lineage is walked back from a partition. */
typedef struct rdd_spot {
  const rdd *node;
  int64_t partition;
} rdd_spot;

typedef struct rdd_spots {
  rdd_spot *at;
  int64_t n, room;
} rdd_spots;

/* False when memory is out. */
bool rdd_spots_push(rdd_spots *s, const rdd *node, int64_t partition);
bool rdd_spots_push_parents(rdd_spots *s, const rdd *node,
                            int64_t partition); /* the first on top */

/* The rank whose range of r's partitions has p in it. */
int rdd_range_owner(const rdd *r, int64_t p, int size);

/* Give each item its home, and bring blocks to homes that miss them.     Collective. */
RDD_MUST_CHECK rdd_status rdd_plan_assign(rdd_plan *plan, const rdd *r, rdd_items *items,
                                          rdd_err *err);

/* Open a plan that wants all partitions. Collective. Close it in any case. */
RDD_MUST_CHECK rdd_status rdd_plan_open(rdd_plan *plan, rdd *target, rdd_comm *comm,
                                        const rdd_run_opts *opts, rdd_err *err);

/* Compute the blocks that the wanted partitions need and that are not there. Collective. */
RDD_MUST_CHECK rdd_status rdd_plan_prepare(rdd_plan *plan, rdd_err *err);

/* Was a block lost since, and so prepare again? The same on all ranks, who then agree on what is
 * wanted still. Collective. */
RDD_MUST_CHECK rdd_status rdd_plan_lost(rdd_plan *plan, bool *again_out, rdd_err *err);

/* Begin a stage of n partitions: number it and tell. */
rdd_stage rdd_plan_stage(rdd_plan *plan, const rdd *target, const rdd *deal_to, int64_t n);

/* Run it; idle ranks help. Fills in next, left, lost and arg.              Collective. */
typedef rdd_status (*rdd_result_fn)(void *arg, int64_t partition, rdd_part *part, bool stored,
                                    const rdd_err *why, rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_plan_run_stage(rdd_plan *plan, rdd_stage stage,
                                             const rdd_items *items, rdd_result_fn done, void *arg,
                                             rdd_tally *tally, rdd_err *err);

/* Counters and notes of an earlier stage; its rows are not the action's. */
void rdd_plan_count(rdd_plan *plan, const rdd_tally *tally);

/* What becomes of a result of a node that keeps partitions: its block, and the events of it.
 * `must`: it is an error where it could not be stored, and not only a block less. */
RDD_MUST_CHECK rdd_status rdd_plan_keep(rdd_plan *plan, rdd *r, int64_t partition,
                                        const rdd_part *part, bool stored, const rdd_err *why,
                                        bool must, rdd_err *err);

/* For rdd_stage.lost. */
void rdd_plan_lose(rdd_plan *plan, const rdd *r, int64_t partition, const char *message);

/* Of the errors of all ranks that of the lowest partition. Collective. */
RDD_MUST_CHECK rdd_status rdd_plan_agree(rdd_plan *plan, rdd_status status, int64_t failed,
                                         rdd_err *err);

/* Prepare, and compute the wanted partitions; `done` gets each, on the rank that has it.
 * Collective. */
typedef rdd_status (*rdd_done_fn)(void *arg, int64_t partition, rdd_part *part, rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_plan_run(rdd_plan *plan, rdd_done_fn done, void *arg, rdd_err *err);

/* Prepare, and put what is missing of the target in its store. Collective. */
RDD_MUST_CHECK rdd_status rdd_plan_checkpoint(rdd_plan *plan, rdd_err *err);

/* The end of an action that succeeded: all ranks know what is kept of the target now.
 * Collective. */
void rdd_plan_settle(rdd_plan *plan);

void rdd_plan_close(rdd_plan *plan);

/* Compute all that is missing of a wide node, unless a block is lost on the way. Collective. */
RDD_MUST_CHECK rdd_status rdd_wide_run(rdd_plan *plan, rdd *wide, rdd_err *err);

/* In a task: deal rows to the partitions of a wide node, and write the deal to its memory file. */
typedef struct rdd_deal rdd_deal;
RDD_MUST_CHECK rdd_status rdd_deal_new(rdd_deal **out, const rdd *wide, rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_deal_add(rdd_deal *deal, rdd_task *task, const rdd_batch *batch,
                                       rdd_err *err);
RDD_MUST_CHECK rdd_status rdd_deal_finish(rdd_deal *deal, int fd, rdd_err *err);

/* Is a sealed deal whole? */
RDD_MUST_CHECK rdd_status rdd_deal_verify(const rdd *wide, const rdd_part *raw, int64_t *rows_out,
                                          rdd_err *err);

/* ---- Pieces of memory, from any rank to any ---- */
typedef struct rdd_piece {
  const void *bytes;
  int64_t size;
  int64_t key; /* the sender's word for it */
  int rank;    /* where it goes, or came from */
} rdd_piece;

/* Send pieces; those that come are one after the other in one buffer.     Collective.
 *   out       [in]  [n] ascending by rank
 *   in_out    [out] [n_out] ascending by rank, then as sent; free with rdd_free(); 64-byte aligned
 *   room_out  [out] the buffer; free with rdd_free() */
RDD_MUST_CHECK rdd_status rdd_ship(rdd_comm *comm, const rdd_piece *out, int64_t n,
                                   rdd_piece **in_out, int64_t *n_out, void **room_out,
                                   rdd_err *err);

/* Visit of the partitions from `begin` up to `end`. */
RDD_MUST_CHECK rdd_status rdd_visit_range(rdd *r, int64_t begin, int64_t end, rdd_comm *comm,
                                          const rdd_run_opts *opts, rdd_visit_fn visit, void *arg,
                                          rdd_counters *counters_out, rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
