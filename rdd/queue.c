/* Which partition next. A rank takes its own first, in order, then helps the rank of its node that
 * has the most left. And how long tasks take on the node, so that a rank can tell a straggler.
 *
 * One counter a rank, in memory that the ranks of a node share: whoever adds 1 to it has the item
 * of that number. Partitions that are fixed to their rank (it has their blocks in memory) are in a
 * list that nobody else takes from. Nothing moves between nodes. */
#include "rdd/rdd_impl.h"

#include "rdd/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A counter alone in its cache line. */
typedef struct counter {
  _Alignas(64) _Atomic int64_t taken;
} counter;

struct rdd_queue {
  rdd_comm *comm;
  rdd_table *table; /* counters, then times */
  counter *
      counter; /* [size + 2] the node's lowest rank plus 1, and how many tasks are done, are last */
  _Atomic int64_t *time; /* [n] ns that each took */
  int64_t *sorted;       /* [n] */
  int64_t n, node_n;     /* partitions, and those of this node */
  int *node_of;          /* [size] lowest rank of each rank's node */
  int64_t *begin;        /* [size + 1] each rank's run in `open`, */
  int64_t *open;         /* partitions that any rank of the node may take */
  int64_t *fixed;        /* [fixed_n] and those that only this one may */
  int64_t fixed_n, fixed_taken;
};

static rdd_status queue_fill(rdd_queue *q, const int64_t *item, const int *home, const bool *fixed,
                             int64_t n, rdd_err *err) {
  size_t size = (size_t)q->comm->size;
  q->node_of = rdd_alloc(size, sizeof *q->node_of);
  q->begin = rdd_calloc(size + 1, sizeof *q->begin);
  q->open = rdd_alloc((size_t)n, sizeof *q->open);
  q->fixed = rdd_alloc((size_t)n, sizeof *q->fixed);
  q->sorted = rdd_alloc((size_t)n, sizeof *q->sorted);
  int64_t *at = rdd_calloc(size, sizeof *at);
  bool ok = q->node_of && q->begin && q->open && q->fixed && q->sorted && at;
  for (int64_t i = 0; i < n && ok; i++) q->begin[home[i] + 1] += !(fixed && fixed[i]);
  for (size_t r = 0; r < size && ok; r++) {
    q->begin[r + 1] += q->begin[r];
    at[r] = q->begin[r];
  }
  for (int64_t i = 0; i < n && ok; i++) {
    if (!(fixed && fixed[i]))
      q->open[at[home[i]]++] = item[i];
    else if (home[i] == q->comm->rank)
      q->fixed[q->fixed_n++] = item[i];
  }
  rdd_free(at);
  return ok ? RDD_OK
            : rdd_set(err, RDD_ENOMEM, "no memory for a queue of %lld partitions", (long long)n);
}

rdd_status rdd_queue_open(rdd_queue **out, rdd_comm *comm, const int64_t *item, const int *home,
                          const bool *fixed, int64_t n, rdd_err *err) {
  rdd_queue *q = rdd_calloc(1, sizeof *q);
  rdd_status st = RDD_OK;
  if (!q) st = rdd_set(err, RDD_ENOMEM, "no memory for a queue");
  if (!st) q->comm = comm;
  if (!st) st = queue_fill(q, item, home, fixed, n, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  size_t counters = ((size_t)comm->size + 2) * sizeof(counter);
  st = rdd_table_new(comm, counters + (size_t)n * sizeof *q->time, &q->table, err);
  if (st) goto done;
  q->counter = rdd_table_data(q->table);
  q->time = (void *)((char *)q->counter + counters);
  q->n = n;

  /* the table is never synced, so what the node's first rank writes there is seen by its node
   * alone */
  if (comm->node_rank == 0) atomic_store(&q->counter[comm->size].taken, comm->rank + 1);
  rdd_barrier(comm);
  int node = (int)atomic_load(&q->counter[comm->size].taken) - 1;
  rdd_allgather(comm, &node, sizeof node, q->node_of);
  for (int64_t i = 0; i < n; i++) q->node_n += q->node_of[home[i]] == node;
  *out = q;
  q = NULL;
done:
  rdd_queue_close(q);
  return st;
}

static int64_t left_of(const rdd_queue *q, int r) {
  int64_t left = q->begin[r + 1] - q->begin[r] - atomic_load(&q->counter[r].taken);
  return left > 0 ? left : 0;
}

/* The rank to take from: this one, or who has the most left on the node; -1: nobody has any. */
static int whose(const rdd_queue *q) {
  int me = q->comm->rank, best = -1;
  int64_t most = 0;
  if (left_of(q, me) > 0) return me;
  for (int r = 0; r < q->comm->size; r++) {
    if (q->node_of[r] != q->node_of[me]) continue;
    int64_t left = left_of(q, r);
    if (left > most) most = left, best = r;
  }
  return best;
}

int64_t rdd_queue_next(rdd_queue *q) {
  if (q->fixed_taken < q->fixed_n) return q->fixed[q->fixed_taken++];
  for (int r; (r = whose(q)) >= 0;) {
    int64_t i = q->begin[r] + atomic_fetch_add(&q->counter[r].taken, 1);
    if (i < q->begin[r + 1]) return q->open[i]; /* else somebody was faster */
  }
  return -1;
}

int64_t rdd_queue_left(const rdd_queue *q) {
  return q->fixed_n - q->fixed_taken + left_of(q, q->comm->rank);
}

void rdd_queue_took(rdd_queue *q, double seconds) {
  int64_t i = atomic_fetch_add(&q->counter[q->comm->size + 1].taken, 1);
  if (i < q->n) atomic_store(&q->time[i], (int64_t)(seconds * 1e9) + 1); /* 0: not written yet */
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

double rdd_queue_median(rdd_queue *q, double *done_out) {
  int64_t done = 0;
  for (int64_t i = 0; i < q->n && done < q->node_n; i++) {
    int64_t time = atomic_load(&q->time[i]);
    if (time) q->sorted[done++] = time;
  }
  *done_out = q->node_n ? (double)done / (double)q->node_n : 0;
  qsort(q->sorted, (size_t)done, sizeof *q->sorted, ascending);
  return done ? 1e-9 * (double)q->sorted[done / 2] : 0;
}

void rdd_queue_close(rdd_queue *q) {
  if (!q) return;
  rdd_table_free(q->table);
  rdd_free(q->node_of);
  rdd_free(q->begin);
  rdd_free(q->open);
  rdd_free(q->fixed);
  rdd_free(q->sorted);
  rdd_free(q);
}
