/* What every communicator does in the same way, on top of the maker's few operations. Nothing here
 * allocates (tables apart), since a rank that ran out of memory between two messages would leave
 * the others waiting: counts are arrays on the stack, and small things travel in reductions. */
#include "rdd/comm.h"

#include "rdd/memory.h"
#include "rdd/clock.h"

#include <string.h>

struct rdd_table {
  rdd_comm *comm;
  void *handle; /* the maker's */
  void *data;
  size_t size;
};

/* ---- Counting ---- */

/* The same bytes to all other ranks. */
static void count_to_all(rdd_comm *comm, int64_t bytes) {
  if (bytes == 0) return;
  comm->traffic.sent += bytes * (comm->size - 1);
  comm->traffic.between_nodes += bytes * (comm->size - comm->node_size);
  comm->traffic.messages += comm->size - 1;
}

static void count_to_each(rdd_comm *comm, const int64_t *bytes) {
  for (int r = 0; r < comm->size; r++) {
    if (r == comm->rank || bytes[r] == 0) continue;
    comm->traffic.sent += bytes[r];
    if (comm->node_of[r] != comm->node_of[comm->rank]) comm->traffic.between_nodes += bytes[r];
    comm->traffic.messages++;
  }
}

/* Sums of a node may be made inside it. */
static void count_reduction(rdd_comm *comm, int64_t bytes) {
  if (bytes == 0 || comm->size == 1) return;
  comm->traffic.sent += bytes;
  if (comm->nodes > 1 && comm->node_rank == 0) comm->traffic.between_nodes += bytes;
  comm->traffic.messages++;
}

static void count_to_nodes(rdd_comm *comm, int64_t bytes) {
  if (bytes == 0) return;
  comm->traffic.sent += bytes * (comm->nodes - 1);
  comm->traffic.between_nodes += bytes * (comm->nodes - 1);
  comm->traffic.messages += comm->nodes - 1;
}

/* ---- Operations ---- */

void rdd_comm_close(rdd_comm *comm) {
  if (comm) comm->ops->close(comm);
}

void rdd_barrier(rdd_comm *comm) {
  double start = rdd_seconds();
  comm->ops->barrier(comm);
  comm->traffic.waiting += rdd_seconds() - start;
}

void rdd_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                    const int64_t *counts, const int64_t *displs) {
  count_to_all(comm, bytes);
  double start = rdd_seconds();
  comm->ops->allgatherv(comm, send, bytes, recv, counts, displs);
  comm->traffic.moving += rdd_seconds() - start;
}

void rdd_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                   const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                   const int64_t *recv_displs) {
  count_to_each(comm, send_counts);
  double start = rdd_seconds();
  comm->ops->alltoallv(comm, send, send_counts, send_displs, recv, recv_counts, recv_displs);
  comm->traffic.moving += rdd_seconds() - start;
}

void rdd_alltoallv_start(rdd_comm *comm, const rdd_lanes *lanes) {
  count_to_each(comm, lanes->send_counts);
  double start = rdd_seconds();
  comm->ops->alltoallv_start(comm, lanes);
  comm->traffic.moving += rdd_seconds() - start;
}

void rdd_alltoallv_poll(rdd_comm *comm) {
  comm->ops->alltoallv_poll(comm);
}

void rdd_alltoallv_finish(rdd_comm *comm, const rdd_lanes *lanes) {
  double start = rdd_seconds();
  comm->ops->alltoallv_finish(comm, lanes);
  comm->traffic.moving += rdd_seconds() - start;
}

void rdd_allreduce(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op) {
  count_reduction(comm, n * (int64_t)sizeof *values);
  double start = rdd_seconds();
  comm->ops->allreduce(comm, values, n, op);
  comm->traffic.waiting += rdd_seconds() - start;
}

bool rdd_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
              double seconds) {
  double start = rdd_seconds();
  bool all = comm->ops->meet(comm, send, bytes, recv, came, seconds);
  comm->traffic.waiting += rdd_seconds() - start;
  return all;
}

/* The same number of bytes for each rank, end to end. */
static void even_counts(const rdd_comm *comm, int64_t bytes, int64_t *counts, int64_t *displs) {
  for (int r = 0; r < comm->size; r++) {
    counts[r] = bytes;
    displs[r] = r * bytes;
  }
}

void rdd_allgather(rdd_comm *comm, const void *send, int64_t bytes, void *recv) {
  int64_t counts[RDD_MAX_RANKS], displs[RDD_MAX_RANKS];
  even_counts(comm, bytes, counts, displs);
  rdd_allgatherv(comm, send, bytes, recv, counts, displs);
}

void rdd_alltoall(rdd_comm *comm, const int64_t *send, int64_t *recv) {
  int64_t counts[RDD_MAX_RANKS], displs[RDD_MAX_RANKS];
  even_counts(comm, sizeof *send, counts, displs);
  rdd_alltoallv(comm, send, counts, displs, recv, counts, displs);
}

/* The root sends to all others. */
void rdd_bcast(rdd_comm *comm, void *buffer, int64_t bytes, int root) {
  int64_t send[RDD_MAX_RANKS], recv[RDD_MAX_RANKS], displs[RDD_MAX_RANKS];
  if (comm->size == 1) return;
  even_counts(comm, 0, send, displs);
  even_counts(comm, 0, recv, displs);
  if (comm->rank != root) recv[root] = bytes;
  for (int r = 0; r < comm->size && comm->rank == root; r++) send[r] = r == root ? 0 : bytes;
  rdd_alltoallv(comm, buffer, send, displs, buffer, recv, displs);
}

rdd_status rdd_agree(rdd_comm *comm, rdd_status status, rdd_err *err) {
  int64_t lowest = status == RDD_OK ? comm->size : comm->rank;
  if (comm->size > 1) rdd_allreduce(comm, &lowest, 1, RDD_MIN);
  if (lowest == comm->size) return RDD_OK;
  if (lowest == comm->rank) {
    if (err->code != status) /* somebody forgot rdd_set(): do not send what lay in memory */
      rdd_set(err, status, "%s, without a message", rdd_status_name(status));
    if (err->rank < 0) err->rank = comm->rank; /* agreed on before: the rank stands */
  }
  rdd_bcast(comm, err, sizeof *err, (int)lowest);
  return err->code;
}

rdd_status rdd_table_new(rdd_comm *comm, size_t bytes, rdd_table **out, rdd_err *err) {
  void *handle = NULL;
  void *data = comm->ops->table_alloc(comm, bytes ? bytes : 1, &handle);
  rdd_table *table = data ? rdd_alloc(1, sizeof *table) : NULL;
  rdd_status st = RDD_OK;
  if (!table) st = rdd_set(err, RDD_ENOMEM, "no memory for a shared table of %zu bytes", bytes);
  st = rdd_agree(comm, st, err);
  if (st) {
    if (data) comm->ops->table_free(comm, handle);
    rdd_free(table);
    return st;
  }
  rdd_memory_huge(data, bytes);
  *table = (rdd_table){.comm = comm, .handle = handle, .data = data, .size = bytes};
  *out = table;
  return RDD_OK;
}

void *rdd_table_data(const rdd_table *table) {
  return table->data;
}

size_t rdd_table_size(const rdd_table *table) {
  return table->size;
}

void rdd_table_sync(rdd_table *table, const int64_t *begin) {
  rdd_comm *comm = table->comm;
  count_to_nodes(comm, begin[comm->rank + 1] - begin[comm->rank]);
  double start = rdd_seconds();
  comm->ops->table_sync(comm, table->handle, begin);
  *(comm->nodes > 1 ? &comm->traffic.moving : &comm->traffic.waiting) += rdd_seconds() - start;
}

void rdd_table_free(rdd_table *table) {
  if (!table) return;
  table->comm->ops->table_free(table->comm, table->handle);
  rdd_free(table);
}
