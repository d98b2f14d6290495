/* The communicator over MPI: making and closing it, waiting, and reductions.
 *
 * Waiting is the odd part. A rank's cores belong to its own tasks, to other ranks on the node, and
 * sometimes to other programs, so a rank that waits must not poll at full speed, as MPI's blocking
 * calls do: all but making and closing is nonblocking, with one way to wait for it. An operation
 * assembles first (a nonblocking barrier, polled ever more slowly), and moves data when all ranks are
 * there and polling is short. */
#include "mpi_bridge/comm_mpi_impl.h"

#include "rdd/clock.h"
#include "rdd/memory.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EXIT_TRANSPORT = 70 };

static int64_t chunk_bytes = (int64_t)1 << 30;
static int pretended_node_size;

void gang_comm_set_chunk(int64_t bytes) {
  chunk_bytes = bytes < 1 ? 1 : bytes > INT_MAX ? INT_MAX : bytes;
}

int64_t gang_chunk(void) {
  return chunk_bytes;
}

void gang_comm_set_node_size(int ranks) {
  pretended_node_size = ranks;
}

void gang_must(int mpi_code, const char *call) {
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length, rank = -1;
  if (mpi_code == MPI_SUCCESS) return;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Error_string(mpi_code, text, &length);
  fprintf(stderr, "gangplank: rank %d: %s: %s; aborting the gang\n", rank, call, text);
  gang_abort();
}

void gang_abort(void) {
  int mpi = 0;
  if (MPI_Initialized(&mpi) == MPI_SUCCESS && mpi) MPI_Abort(MPI_COMM_WORLD, EXIT_TRANSPORT);
  abort(); /* MPI_Abort does not return, but is not declared so */
}

/* ---- Waiting ---- */

/* A nap takes a sixteenth of what was waited, 1 ms at most: a late answer costs 6 % of the wait.
 *
 * Where other programs compute on the same core, giving way costs a turn of each of them, and some
 * kernels (Linux 6.18) take that off one's own share besides: a rank that gives way a thousand times
 * waits seconds for what comes in a microsecond. One that sleeps is woken with its share intact. How
 * long the core was away tells, and is believed for eight times as long, since asking again costs as
 * much again. */
void gang_pause(double *since, bool idle) {
  const double us = 1e-6, ms = 1e-3;
  static double crowded_until;
  double now = rdd_seconds(), nap = 0;
  if (*since == 0) *since = now;
  double waited = now - *since;
  if (idle && waited >= ms)
    nap = waited / 16 < ms ? waited / 16 : ms;
  else if (now < crowded_until)
    nap = us;
  if (nap > 0) {
    nanosleep(&(struct timespec){0, (long)(nap * 1e9)}, NULL);
    return;
  }
  sched_yield();
  double back = rdd_seconds();
  if (back - now > ms) crowded_until = back + 8 * (back - now);
}

static void wait_all(int n, MPI_Request *requests, bool idle) {
  double since = 0;
  int done = 0;
  for (;;) {
    GANG_MUST(MPI_Testall(n, requests, &done, MPI_STATUSES_IGNORE));
    if (done) return;
    gang_pause(&since, idle);
  }
}

void gang_assemble(MPI_Comm comm) {
  MPI_Request request;
  atomic_thread_fence(memory_order_seq_cst); /* what this rank wrote is in memory */
  GANG_MUST(MPI_Ibarrier(comm, &request));
  wait_all(1, &request, true);
  atomic_thread_fence(memory_order_seq_cst); /* what others wrote is read from memory */
}

void gang_await(int n, MPI_Request *requests) {
  wait_all(n, requests, true);
}

void gang_finish(int n, MPI_Request *requests) {
  wait_all(n, requests, false);
}

/* ---- Operations ---- */

static void barrier(rdd_comm *comm) {
  gang_assemble(((gang_mpi *)comm)->world);
}

static void allreduce(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op) {
  gang_mpi *c = (gang_mpi *)comm;
  MPI_Op mpi_op = op == RDD_SUM ? MPI_SUM : op == RDD_MIN ? MPI_MIN : MPI_MAX;
  int64_t step = gang_chunk() / (int64_t)sizeof *values;
  MPI_Request request;
  if (step < 1) step = 1;
  gang_assemble(c->world);
  for (int64_t first = 0; first < n; first += step) {
    int count = (int)(n - first < step ? n - first : step);
    GANG_MUST(MPI_Iallreduce(MPI_IN_PLACE, values + first, count, MPI_INT64_T, mpi_op, c->world,
                             &request));
    gang_finish(1, &request);
  }
}

/* ---- Making and closing ---- */

static void free_comm(MPI_Comm *comm) {
  if (*comm != MPI_COMM_NULL) GANG_MUST(MPI_Comm_free(comm));
}

static void free_memory(gang_mpi *c) {
  rdd_free(c->meeting.requests);
  rdd_free(c->meeting.finished);
  rdd_free(c->meeting.in);
  rdd_free(c->node_of);
  rdd_free(c->counts);
  rdd_free(c->displs);
  rdd_free(c->requests);
  rdd_free(c);
}

static void close_mpi(rdd_comm *comm) {
  gang_mpi *c = (gang_mpi *)comm;
  gang_assemble(c->world); /* the early ones wait politely; MPI_Finalize would spin */
  free_comm(&c->leaders);
  free_comm(&c->node);
  free_comm(&c->world);
  GANG_MUST(MPI_Finalize());
  free_memory(c);
}

static const rdd_comm_ops mpi_ops = {
    .barrier = barrier,
    .allgatherv = gang_allgatherv,
    .alltoallv = gang_alltoallv,
    .alltoallv_start = gang_alltoallv_start,
    .alltoallv_poll = gang_alltoallv_poll,
    .alltoallv_finish = gang_alltoallv_finish,
    .allreduce = allreduce,
    .meet = gang_meet,
    .table_alloc = gang_table_alloc,
    .table_sync = gang_table_sync,
    .table_free = gang_table_free,
    .close = close_mpi,
};

/* Ranks that share memory, ordered by world rank. */
static void find_node(gang_mpi *c) {
  GANG_MUST(
      MPI_Comm_split_type(c->world, MPI_COMM_TYPE_SHARED, c->base.rank, MPI_INFO_NULL, &c->node));
  GANG_MUST(MPI_Comm_rank(c->node, &c->base.node_rank));
  if (pretended_node_size > 0) {
    MPI_Comm whole = c->node;
    int part = c->base.node_rank / pretended_node_size;
    GANG_MUST(MPI_Comm_split(whole, part, c->base.rank, &c->node));
    GANG_MUST(MPI_Comm_free(&whole));
  }
  GANG_MUST(MPI_Comm_rank(c->node, &c->base.node_rank));
  GANG_MUST(MPI_Comm_size(c->node, &c->base.node_size));
}

/* The first rank of each node, and for every rank which of them is its own. */
static void find_leaders(gang_mpi *c) {
  int color = c->base.node_rank == 0 ? 0 : MPI_UNDEFINED;
  int node = 0;
  GANG_MUST(MPI_Comm_split(c->world, color, c->base.rank, &c->leaders));
  if (c->leaders != MPI_COMM_NULL) GANG_MUST(MPI_Comm_rank(c->leaders, &node));
  GANG_MUST(MPI_Bcast(&node, 1, MPI_INT, 0, c->node));
  GANG_MUST(MPI_Allgather(&node, 1, MPI_INT, c->node_of, 1, MPI_INT, c->world));
  for (int r = 0; r < c->base.size; r++)
    if (c->node_of[r] >= c->base.nodes) c->base.nodes = c->node_of[r] + 1;
  c->base.node_of = c->node_of;
}

/* Memory of the communicator; NULL where this rank has none. */
static gang_mpi *alloc_comm(int rank, int size) {
  gang_mpi *c = rdd_calloc(1, sizeof *c);
  if (!c) return NULL;
  size_t n = (size_t)size;
  c->base = (rdd_comm){.rank = rank, .size = size, .ops = &mpi_ops};
  c->world = c->node = c->leaders = MPI_COMM_NULL;
  c->node_of = rdd_alloc(n, sizeof *c->node_of);
  c->counts = rdd_alloc(n, sizeof *c->counts);
  c->displs = rdd_alloc(n, sizeof *c->displs);
  c->requests = rdd_alloc(2 * n > GANG_BCASTS ? 2 * n : GANG_BCASTS, sizeof *c->requests);
  c->meeting.requests = rdd_alloc(2 * n, sizeof *c->meeting.requests);
  c->meeting.finished = rdd_alloc(2 * n, sizeof *c->meeting.finished);
  c->meeting.in = rdd_alloc(n, RDD_MEET_BYTES);
  if (c->node_of && c->counts && c->displs && c->requests && c->meeting.requests &&
      c->meeting.finished && c->meeting.in)
    return c;
  free_memory(c);
  return NULL;
}

/* How many ranks the launcher says it started; 0 where it does not say. A launcher whose protocol
 * MPI does not speak gives n worlds of one rank, which would all write the same outputs. */
static int launched_ranks(void) {
  static const char *const said[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    const char *value = getenv(said[i]);
    if (value) return atoi(value);
  }
  return 0;
}

int gang_node_first(const rdd_comm *comm, int rank) {
  int r = 0;
  while (comm->node_of[r] != comm->node_of[rank]) r++;
  return r;
}

rdd_status gang_comm_mpi(int *argc, char ***argv, rdd_comm **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  gang_mpi *c = NULL;
  int provided, rank, size, failed;
  /* Open MPI with more ranks than cores would give way inside each poll, where gang_pause() cannot see it. */
  (void)setenv("OMPI_MCA_mpi_yield_when_idle", "0", 0);
  GANG_MUST(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
  GANG_MUST(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  GANG_MUST(MPI_Comm_size(MPI_COMM_WORLD, &size));
  if (provided < MPI_THREAD_FUNNELED) {
    st = rdd_set(err, RDD_EINTERNAL,
                 "this MPI gives thread level %d, and at least MPI_THREAD_FUNNELED (%d) is needed: "
                 "use an MPI that was built with threads",
                 provided, MPI_THREAD_FUNNELED);
    goto done;
  }
  if (size == 1 && launched_ranks() > 1) {
    st = rdd_set(
        err, RDD_EUSAGE,
        "the launcher started %d ranks, but each is a world of its own to MPI: use mpirun, "
        "or srun --mpi=pmix, of the MPI that this program is linked with",
        launched_ranks());
    goto done;
  }

  if (size > RDD_MAX_RANKS) {
    st = rdd_set(err, RDD_EUSAGE, "%d ranks are more than the %d that are allowed", size,
                 RDD_MAX_RANKS);
    goto done;
  }

  c = alloc_comm(rank, size);
  failed = c == NULL;
  GANG_MUST(MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD));
  if (failed) {
    st = rdd_set(err, RDD_ENOMEM, "no memory for a communicator of %d ranks", size);
    goto done;
  }
  GANG_MUST(MPI_Comm_dup(MPI_COMM_WORLD, &c->world));
  /* So that GANG_MUST sees failures, and says them in one line. */
  GANG_MUST(MPI_Comm_set_errhandler(c->world, MPI_ERRORS_RETURN));
  find_node(c);
  find_leaders(c);
  *out = &c->base;
done:
  if (st) GANG_MUST(MPI_Finalize());
  return st;
}
