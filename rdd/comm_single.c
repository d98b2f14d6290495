/* The communicator of one rank: every exchange is a copy, or nothing. */
#include "rdd/comm.h"
#include "rdd/memory.h"

#include <string.h>

static void copy(void *to, const void *from, int64_t bytes) {
  if (bytes > 0) memmove(to, from, (size_t)bytes); /* send and recv may be one buffer */
}

static void single_barrier(rdd_comm *comm) {
  (void)comm;
}

static void single_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                              const int64_t *counts, const int64_t *displs) {
  (void)comm, (void)counts;
  copy((char *)recv + displs[0], send, bytes);
}

static void single_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                             const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                             const int64_t *recv_displs) {
  (void)comm, (void)recv_counts;
  if (send_counts[0] == 0) return;
  copy((char *)recv + recv_displs[0], (const char *)send + send_displs[0], send_counts[0]);
}

static void single_alltoallv_start(rdd_comm *comm, const rdd_lanes *lanes) {
  (void)comm, (void)lanes;
}

static void single_alltoallv_poll(rdd_comm *comm) {
  (void)comm;
}

static void single_alltoallv_finish(rdd_comm *comm, const rdd_lanes *l) {
  single_alltoallv(comm, l->send, l->send_counts, l->send_displs, l->recv, l->recv_counts,
                   l->recv_displs);
}

static void single_allreduce(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op) {
  (void)comm, (void)values, (void)n, (void)op;
}

static bool single_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
                        double seconds) {
  (void)comm, (void)seconds;
  copy(recv, send, bytes);
  came[0] = true;
  return true;
}

static void *single_table_alloc(rdd_comm *comm, size_t bytes, void **handle) {
  (void)comm;
  return *handle = rdd_calloc(bytes, 1);
}

static void single_table_sync(rdd_comm *comm, void *handle, const int64_t *begin) {
  (void)comm, (void)handle, (void)begin;
}

static void single_table_free(rdd_comm *comm, void *handle) {
  (void)comm;
  rdd_free(handle);
}

static void single_close(rdd_comm *comm) {
  rdd_free(comm);
}

rdd_status rdd_comm_single(rdd_comm **out, rdd_err *err) {
  static const rdd_comm_ops ops = {
      .barrier = single_barrier,
      .allgatherv = single_allgatherv,
      .alltoallv = single_alltoallv,
      .alltoallv_start = single_alltoallv_start,
      .alltoallv_poll = single_alltoallv_poll,
      .alltoallv_finish = single_alltoallv_finish,
      .allreduce = single_allreduce,
      .meet = single_meet,
      .table_alloc = single_table_alloc,
      .table_sync = single_table_sync,
      .table_free = single_table_free,
      .close = single_close,
  };
  static const int node_of[1] = {0};
  rdd_comm *comm = rdd_alloc(1, sizeof *comm);
  if (!comm) return rdd_set(err, RDD_ENOMEM, "no memory for a communicator");
  *comm = (rdd_comm){.rank = 0,
                     .size = 1,
                     .node_rank = 0,
                     .node_size = 1,
                     .nodes = 1,
                     .node_of = node_of,
                     .ops = &ops};
  *out = comm;
  return RDD_OK;
}
