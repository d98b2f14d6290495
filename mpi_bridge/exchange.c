/* Moving bytes between all pairs of ranks: 64-bit counts above, messages of at most a chunk below.
 *
 * Round c moves the c-th chunk of every pair that has one. Both ends of a pair know its count, so
 * they agree on its chunks, and MPI keeps messages of a pair in order; no rank has to know of other
 * pairs. Memory in flight, and the number of requests, are bounded by one chunk a pair. */
#include "mpi_bridge/comm_mpi_impl.h"

#include <string.h>

enum { TAG = 1 };

/* One side of an exchange. displs NULL: everything at 0 (the same bytes to everybody). */
typedef struct lane {
  char *bytes;
  const int64_t *counts; /* NULL: `count` for every rank */
  const int64_t *displs;
  int64_t count;
} lane;

static int64_t lane_count(const lane *l, int r) {
  return l->counts ? l->counts[r] : l->count;
}

static char *lane_bytes(const lane *l, int r) {
  return l->bytes + (l->displs ? l->displs[r] : 0);
}

/* Bytes of round c with rank r, 0 where there are none left. */
static int chunk_of(const lane *l, int r, int64_t c) {
  int64_t left = lane_count(l, r) - c * gang_chunk();
  return left <= 0 ? 0 : (int)(left < gang_chunk() ? left : gang_chunk());
}

static int64_t rounds_of(const lane *l, const gang_mpi *c) {
  int64_t most = 0;
  for (int r = 0; r < c->base.size; r++)
    if (r != c->base.rank && lane_count(l, r) > most) most = lane_count(l, r);
  return (most + gang_chunk() - 1) / gang_chunk();
}

static void copy_own(const gang_mpi *c, const lane *send, const lane *recv) {
  int me = c->base.rank;
  int64_t n = lane_count(recv, me);
  if (n > 0 && lane_bytes(send, me) != lane_bytes(recv, me))
    memmove(lane_bytes(recv, me), lane_bytes(send, me), (size_t)n);
}

/* Post what round `round` receives; returns the number of requests. */
static int post_receives(gang_mpi *c, const lane *recv, int64_t round) {
  int n = 0;
  for (int i = 1; i < c->base.size; i++) {
    int r = (c->base.rank + c->base.size - i) % c->base.size;
    int bytes = chunk_of(recv, r, round);
    if (bytes == 0) continue;
    GANG_MUST(MPI_Irecv(lane_bytes(recv, r) + round * gang_chunk(), bytes, MPI_BYTE, r, TAG,
                        c->world, &c->requests[n++]));
  }
  return n;
}

/* The same for sends, after the first n requests. Each rank starts with its successor, so that not
 * all of them write to rank 0 at once. */
static int post_sends(gang_mpi *c, const lane *send, int64_t round, int n) {
  for (int i = 1; i < c->base.size; i++) {
    int r = (c->base.rank + i) % c->base.size;
    int bytes = chunk_of(send, r, round);
    if (bytes == 0) continue;
    GANG_MUST(MPI_Isend(lane_bytes(send, r) + round * gang_chunk(), bytes, MPI_BYTE, r, TAG,
                        c->world, &c->requests[n++]));
  }
  return n;
}

/* All rounds but the first. */
static void other_rounds(gang_mpi *c, const lane *send, const lane *recv) {
  int64_t send_rounds = rounds_of(send, c), recv_rounds = rounds_of(recv, c);
  int64_t rounds = send_rounds > recv_rounds ? send_rounds : recv_rounds;
  for (int64_t round = 1; round < rounds; round++) {
    int n = post_receives(c, recv, round);
    gang_finish(post_sends(c, send, round, n), c->requests);
  }
}

/* Receives are posted before the ranks assemble, so that data goes straight to its place. */
static void exchange(gang_mpi *c, const lane *send, const lane *recv) {
  int n = post_receives(c, recv, 0);
  copy_own(c, send, recv);
  gang_assemble(c->world);
  gang_finish(post_sends(c, send, 0, n), c->requests);
  other_rounds(c, send, recv);
}

void gang_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                    const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                    const int64_t *recv_displs) {
  lane from = {.bytes = (char *)send, .counts = send_counts, .displs = send_displs};
  lane to = {.bytes = recv, .counts = recv_counts, .displs = recv_displs};
  exchange((gang_mpi *)comm, &from, &to);
}

/* The first round is on its way when this returns; nobody is waited for. */
void gang_alltoallv_start(rdd_comm *comm, const rdd_lanes *l) {
  gang_mpi *c = (gang_mpi *)comm;
  lane from = {.bytes = (char *)l->send, .counts = l->send_counts, .displs = l->send_displs};
  lane to = {.bytes = l->recv, .counts = l->recv_counts, .displs = l->recv_displs};
  c->started = post_sends(c, &from, 0, post_receives(c, &to, 0));
  copy_own(c, &from, &to);
}

void gang_alltoallv_poll(rdd_comm *comm) {
  gang_mpi *c = (gang_mpi *)comm;
  int done = 1;
  if (c->started) GANG_MUST(MPI_Testall(c->started, c->requests, &done, MPI_STATUSES_IGNORE));
  if (done) c->started = 0;
}

void gang_alltoallv_finish(rdd_comm *comm, const rdd_lanes *l) {
  gang_mpi *c = (gang_mpi *)comm;
  lane from = {.bytes = (char *)l->send, .counts = l->send_counts, .displs = l->send_displs};
  lane to = {.bytes = l->recv, .counts = l->recv_counts, .displs = l->recv_displs};
  if (c->started) gang_await(c->started, c->requests);
  c->started = 0;
  other_rounds(c, &from, &to);
}

/* MPI's own allgather where one message could carry everything; counts and displacements are the same
 * on all ranks, so all decide alike. */
static bool fits_mpi(const rdd_comm *comm, const int64_t *counts, const int64_t *displs) {
  for (int r = 0; r < comm->size; r++)
    if (counts[r] > gang_chunk() || displs[r] > gang_chunk() - counts[r]) return false;
  return true;
}

void gang_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                     const int64_t *counts, const int64_t *displs) {
  gang_mpi *c = (gang_mpi *)comm;
  lane from = {.bytes = (char *)send, .count = bytes};
  lane to = {.bytes = recv, .counts = counts, .displs = displs};
  MPI_Request request;
  if (!fits_mpi(comm, counts, displs)) {
    exchange(c, &from, &to);
    return;
  }
  for (int r = 0; r < comm->size; r++) {
    c->counts[r] = (int)counts[r];
    c->displs[r] = (int)displs[r];
  }
  copy_own(c, &from, &to);
  gang_assemble(c->world);
  GANG_MUST(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, recv, c->counts, c->displs, MPI_BYTE,
                            c->world, &request));
  gang_finish(1, &request);
}
