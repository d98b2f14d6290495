/* Meetings: a small allgather that can be left waiting.
 *
 * Every rank sends what it brings to every other one, instead of using MPI_Iallgather, for two
 * reasons: a nonblocking collective that one rank never joins cannot be given up, and says nothing
 * of who is missing. Messages of a pair of ranks keep their order, so meetings need no numbers; and
 * their tag is their own, so that they pass by whatever the ranks exchange otherwise. */
#include "mpi_bridge/comm_mpi_impl.h"
#include "rdd/clock.h"

#include <string.h>

enum { TAG_MEET = 2 }; /* exchange.c has 1 */

/* Post all receives and sends of a meeting. */
static void open_meeting(gang_mpi *c, const void *send, int64_t bytes) {
  int size = c->base.size, me = c->base.rank;
  MPI_Request *from = c->meeting.requests, *to = from + size;
  memcpy(c->meeting.out, send, (size_t)bytes);
  memcpy(c->meeting.in + (int64_t)me * bytes, send, (size_t)bytes);
  from[me] = to[me] = MPI_REQUEST_NULL;
  for (int i = 1; i < size; i++) {
    int r = (me + size - i) % size;
    GANG_MUST(MPI_Irecv(c->meeting.in + r * bytes, (int)bytes, MPI_BYTE, r, TAG_MEET, c->world,
                        &from[r]));
  }
  for (int i = 1; i < size; i++) { /* not all of them to rank 0 at once */
    int r = (me + i) % size;
    GANG_MUST(MPI_Isend(c->meeting.out, (int)bytes, MPI_BYTE, r, TAG_MEET, c->world, &to[r]));
  }
  c->meeting.open = true;
}

/* True where nothing is on its way any more. What has come is no request any more either. */
static bool poll_meeting(gang_mpi *c) {
  int n;
  GANG_MUST(MPI_Testsome(2 * c->base.size, c->meeting.requests, &n, c->meeting.finished,
                         MPI_STATUSES_IGNORE));
  for (int i = 0; i < 2 * c->base.size && n != MPI_UNDEFINED; i++)
    if (c->meeting.requests[i] != MPI_REQUEST_NULL) return false;
  return true;
}

bool gang_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
               double seconds) {
  gang_mpi *c = (gang_mpi *)comm;
  double since = 0;
  double until = rdd_seconds() + seconds;
  if (!c->meeting.open) open_meeting(c, send, bytes);
  while (c->meeting.open && (seconds <= 0 || rdd_seconds() < until)) {
    c->meeting.open = !poll_meeting(c);
    if (c->meeting.open) gang_pause(&since, true);
  }
  for (int r = 0; r < comm->size; r++) came[r] = c->meeting.requests[r] == MPI_REQUEST_NULL;
  if (c->meeting.open) return false;
  memcpy(recv, c->meeting.in, (size_t)comm->size * (size_t)bytes);
  return true;
}
