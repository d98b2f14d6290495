/* The communicator: what a gang of ranks can do together.
 *
 * A vtable with three makers, so that numerics never see MPI and collective code can run under the
 * sanitizers: one rank (rdd_comm_single), n ranks as n threads (rdd_threads_run), and MPI
 * (gang_open in mpi_bridge/). Every function here is collective unless it says otherwise: all ranks
 * call it in the same order. A transport that fails does not return (MPI aborts the job, a
 * supervisor reruns it), so most of them return nothing. Counts are bytes, 64-bit. */
#ifndef RDD_COMM_H
#define RDD_COMM_H

#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most ranks of a communicator; makers refuse more with RDD_EUSAGE. It bounds the arrays of counts
 * that live on the stack, so that the functions below cannot fail. */
enum { RDD_MAX_RANKS = 16384 };

/* Most bytes that a rank brings to a meeting. */
enum { RDD_MEET_BYTES = 64 };

typedef enum rdd_op { RDD_SUM, RDD_MIN, RDD_MAX } rdd_op;

typedef struct rdd_comm rdd_comm;
typedef struct rdd_table rdd_table;

/* The arguments of an alltoallv, for one that is made in two steps. */
typedef struct rdd_lanes {
  const void *send;
  const int64_t *send_counts, *send_displs;
  void *recv;
  const int64_t *recv_counts, *recv_displs;
} rdd_lanes;

typedef struct rdd_comm_ops {
  void (*barrier)(rdd_comm *comm);
  void (*allgatherv)(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                     const int64_t *counts, const int64_t *displs);
  void (*alltoallv)(rdd_comm *comm, const void *send, const int64_t *send_counts,
                    const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                    const int64_t *recv_displs);
  void (*alltoallv_start)(rdd_comm *comm, const rdd_lanes *lanes);
  void (*alltoallv_poll)(rdd_comm *comm);
  void (*alltoallv_finish)(rdd_comm *comm, const rdd_lanes *lanes);
  void (*allreduce)(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op);
  bool (*meet)(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
               double seconds);
  /* allocate zeroed memory shared by the ranks of a node; NULL on every rank if any rank cannot */
  void *(*table_alloc)(rdd_comm *comm, size_t bytes, void **handle);
  void (*table_sync)(rdd_comm *comm, void *handle, const int64_t *begin);
  void (*table_free)(rdd_comm *comm, void *handle);
  void (*close)(rdd_comm *comm);
} rdd_comm_ops;

/* What a rank has sent so far: the bytes of its own that have to leave it, whatever the algorithm that
 * carries them, so the same with every maker. Nothing that stays inside a rank counts; what one rank
 * alone has to say is never less. With `others` ranks, `abroad` of them on other nodes:
 *
 *                             sent                    between_nodes         messages
 *   allgather(v)              own bytes x others      own bytes x abroad    others
 *   alltoall(v)               to other ranks          to other nodes        other ranks that get some
 *   bcast                     as the root's alltoallv, nothing from the others
 *   allreduce, agree          8 n                     8 n, of the first rank of a node alone
 *   table_sync                own range x (nodes - 1)                       nodes - 1
 *
 * Messages with no bytes do not count, nor do barriers and meetings. A table's range counts for the rank
 * that wrote it, though the first rank of its node may carry it. */
typedef struct rdd_traffic {
  int64_t sent;          /* bytes to other ranks */
  int64_t between_nodes; /* of these, to ranks of other nodes */
  int64_t messages;      /* pieces that they were */
  /* Seconds inside these operations, which nothing else is done in. Those that move data wait for others
   * too, and the others do hardly anything else. */
  double moving;  /* allgather(v), alltoall(v), bcast, and table_sync between nodes */
  double waiting; /* barrier, allreduce, agree, meetings, and table_sync on one node */
} rdd_traffic;

/* Makers embed this as their first member. */
struct rdd_comm {
  int rank, size;
  int node_rank,
      node_size; /* place among, and number of, the ranks that share this node's memory */
  int nodes;
  const int *node_of;  /* [size] which node each rank is on, 0 to nodes - 1 */
  rdd_traffic traffic; /* of this rank; not collective to read */
  const rdd_comm_ops *ops;
};

/* One rank, no MPI. Not collective. Close with rdd_comm_close(). */
RDD_MUST_CHECK rdd_status rdd_comm_single(rdd_comm **out, rdd_err *err);

/* Run body(comm, arg) on `size` ranks, each a thread of this process; returns when all have. */
RDD_MUST_CHECK rdd_status rdd_threads_run(int size, void (*body)(rdd_comm *comm, void *arg),
                                          void *arg, rdd_err *err);

/* The same on pretended nodes of at most `node_size` ranks: tables are shared inside a node alone, and
 * copied from one to the other. 0: all are on one. */
RDD_MUST_CHECK rdd_status rdd_threads_run_on_nodes(int size, int node_size,
                                                   void (*body)(rdd_comm *comm, void *arg),
                                                   void *arg, rdd_err *err);

/* Free the communicator; NULL is accepted. */
void rdd_comm_close(rdd_comm *comm);

/* Wait for all ranks. What any of them wrote before, to a table too, is seen by all after.   Collective. */
void rdd_barrier(rdd_comm *comm);

/* Rank r's `bytes` land at recv + r * bytes on every rank. */
void rdd_allgather(rdd_comm *comm, const void *send, int64_t bytes, void *recv);

/* Rank r's counts[r] bytes land at recv + displs[r] on every rank; bytes == counts[rank]. */
void rdd_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                    const int64_t *counts, const int64_t *displs);

/* Root's `bytes` bytes to every rank. */
void rdd_bcast(rdd_comm *comm, void *buffer, int64_t bytes, int root);

/* send_counts[r] bytes at send + send_displs[r] go to rank r; what rank r sends here lands at
 * recv + recv_displs[r]. A gather to one rank is this with zeros elsewhere. */
void rdd_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                   const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                   const int64_t *recv_displs);

/* rdd_alltoallv() in two steps, between which a rank may compute: what is sent must not change then, and
 * what is received means nothing yet. One at a time, and no other operation in between. `lanes` is
 * borrowed until the finish, which gets the same. To poll now and then keeps it moving; it is not
 * collective, and nothing happens where nothing was started. All three on the same thread. */
void rdd_alltoallv_start(rdd_comm *comm, const rdd_lanes *lanes);
void rdd_alltoallv_poll(rdd_comm *comm);
void rdd_alltoallv_finish(rdd_comm *comm, const rdd_lanes *lanes);

/* One int64 to each rank and from each rank: send[r] goes to r, recv[r] came from r. */
void rdd_alltoall(rdd_comm *comm, const int64_t *send, int64_t *recv);

/* Element-wise over ranks, in place. Integers only: sums of floats go through fixed blocks. */
void rdd_allreduce(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op);

/* The fence. Every rank brings its local status; if any is not RDD_OK, all ranks return the code
 * and the error of the lowest failing rank, with err->rank set. */
RDD_MUST_CHECK rdd_status rdd_agree(rdd_comm *comm, rdd_status status, rdd_err *err);

/* A small allgather with an end to waiting, on a channel of its own: it does not meet the other
 * functions here, whatever those are doing. So it is how ranks that may have gone separate ways
 * find out about each other. Waits for all ranks, but no longer than `seconds` (0: for ever); false
 * when the time is up, and the meeting is open still: the same call again waits on.
 *   send, bytes  [in]  at most RDD_MEET_BYTES, the same number on all ranks; read by the first call
 *                      of a meeting only
 *   recv         [out] [size][bytes] by rank, when it returns true
 *   came         [out] [size] which ranks have come so far */
RDD_MUST_CHECK bool rdd_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                             bool *came, double seconds);

/* ---- Tables: memory that the ranks of one node share ----
 * Every rank writes its own byte range; after rdd_table_sync() every rank reads all of it. Between
 * one sync and the next a rank writes only its own range, and reads what was synced before; or all ranks
 * write their node's copy, each a part that nobody else touches, between two barriers. */

/* Allocate a zeroed table of `bytes` bytes (the same on all ranks; 0 is allowed).
 * Fails with RDD_ENOMEM on all ranks together. */
RDD_MUST_CHECK rdd_status rdd_table_new(rdd_comm *comm, size_t bytes, rdd_table **out,
                                        rdd_err *err);

/* The bytes; 64-byte aligned. Not collective. */
void *rdd_table_data(const rdd_table *table);

/* Bytes of the table. Not collective. */
size_t rdd_table_size(const rdd_table *table);

/* Publish: rank r has written bytes [begin[r], begin[r + 1]); begin has size + 1 entries, the same
 * on all ranks, rising. */
void rdd_table_sync(rdd_table *table, const int64_t *begin);

/* Free; NULL on all ranks is accepted. */
void rdd_table_free(rdd_table *table);

#ifdef __cplusplus
}
#endif
#endif
