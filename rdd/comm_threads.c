/* Ranks as threads of one process, so that sanitizers and debuggers see all of a gang at once.
 *
 * Every exchange has one shape: each rank posts pointers to what it brings, a barrier, each rank
 * copies what it needs from the others' memory, a barrier (after which the posted memory is its
 * owner's again). */
#include "rdd/comm.h"
#include "rdd/memory.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { YIELDS = 200 };

/* What one rank brings to the exchange under way. */
typedef struct post {
  const char *send;
  const int64_t *counts, *displs; /* alltoallv: what goes to each rank */
  int64_t *values;                /* allreduce */
  void *table;
} post;

/* What one rank has brought to its last two meetings. Two, since a rank may come to the next one
 * while others still read this one; but not to the next but one. */
typedef struct visit {
  int64_t meetings; /* that this rank has come to */
  bool open;        /* it waits in the last of them */
  char bytes[2][RDD_MEET_BYTES];
} visit;

typedef struct team team;

typedef struct thread_comm {
  rdd_comm comm; /* first, so that one pointer is both */
  team *team;
} thread_comm;

struct team {
  atomic_int waiting; /* at the barrier */
  atomic_uint turn;   /* barriers that all have left */
  pthread_mutex_t asleep;
  pthread_cond_t woken;
  pthread_mutex_t lock; /* of the gate: nobody enters body before all threads are there */
  pthread_cond_t opened;
  enum { GATE_SHUT, GATE_OPEN, GATE_GO_HOME } gate;
  void (*body)(rdd_comm *comm, void *arg);
  void *arg;
  pthread_mutex_t door; /* of the meetings */
  pthread_cond_t arrived;
  visit *visits;      /* [size] */
  post *posts;        /* [size] */
  thread_comm *ranks; /* [size] */
  int node_size;      /* of each node but the last */
  int *node_of;       /* [size] */
  pthread_t *threads; /* [size] */
};

static team *team_of(rdd_comm *comm) {
  return ((thread_comm *)comm)->team;
}

static post *own_post(rdd_comm *comm) {
  return &team_of(comm)->posts[comm->rank];
}

/* Who waits gives way for a while before it sleeps: to put a thread to sleep and wake it takes far longer than
 * most waits, and more so in a virtual machine. */
static void threads_barrier(rdd_comm *comm) {
  team *t = team_of(comm);
  unsigned turn = atomic_load(&t->turn);
  if (atomic_fetch_add(&t->waiting, 1) == comm->size - 1) {
    atomic_store(&t->waiting, 0);
    pthread_mutex_lock(&t->asleep);
    atomic_store(&t->turn, turn + 1);
    pthread_cond_broadcast(&t->woken);
    pthread_mutex_unlock(&t->asleep);
    return;
  }
  for (int i = 0; i < YIELDS; i++) {
    if (atomic_load(&t->turn) != turn) return;
    sched_yield();
  }
  pthread_mutex_lock(&t->asleep);
  while (atomic_load(&t->turn) == turn) pthread_cond_wait(&t->woken, &t->asleep);
  pthread_mutex_unlock(&t->asleep);
}

static void copy(void *to, int64_t to_at, const char *from, int64_t from_at, int64_t bytes) {
  if (bytes > 0) memmove((char *)to + to_at, from + from_at, (size_t)bytes);
}

static void threads_allgatherv(rdd_comm *comm, const void *send, int64_t bytes, void *recv,
                               const int64_t *counts, const int64_t *displs) {
  (void)bytes;
  own_post(comm)->send = send;
  threads_barrier(comm);
  for (int r = 0; r < comm->size; r++)
    copy(recv, displs[r], team_of(comm)->posts[r].send, 0, counts[r]);
  threads_barrier(comm);
}

static void threads_alltoallv(rdd_comm *comm, const void *send, const int64_t *send_counts,
                              const int64_t *send_displs, void *recv, const int64_t *recv_counts,
                              const int64_t *recv_displs) {
  *own_post(comm) = (post){.send = send, .counts = send_counts, .displs = send_displs};
  threads_barrier(comm);
  for (int r = 0; r < comm->size; r++) {
    const post *from = &team_of(comm)->posts[r];
    int64_t bytes = from->counts[comm->rank];
    /* a sender and a receiver who disagree is a bug in the caller; MPI would cut or fail here */
    if (bytes > recv_counts[r]) bytes = recv_counts[r];
    if (bytes > 0) copy(recv, recv_displs[r], from->send, from->displs[comm->rank], bytes);
  }
  threads_barrier(comm);
}

/* Nothing moves before all have come to the second step. */
static void threads_alltoallv_start(rdd_comm *comm, const rdd_lanes *lanes) {
  (void)comm, (void)lanes;
}

static void threads_alltoallv_poll(rdd_comm *comm) {
  (void)comm;
}

static void threads_alltoallv_finish(rdd_comm *comm, const rdd_lanes *l) {
  threads_alltoallv(comm, l->send, l->send_counts, l->send_displs, l->recv, l->recv_counts,
                    l->recv_displs);
}

static int64_t combine(int64_t a, int64_t b, rdd_op op) {
  if (op == RDD_MIN) return a < b ? a : b;
  if (op == RDD_MAX) return a > b ? a : b;
  return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void threads_allreduce(rdd_comm *comm, int64_t *values, int64_t n, rdd_op op) {
  int64_t piece[512];
  const int64_t room = sizeof piece / sizeof piece[0];
  const post *posts = team_of(comm)->posts;
  own_post(comm)->values = values;
  threads_barrier(comm);
  for (int64_t at = 0; at < n; at += room) {
    int64_t take = n - at < room ? n - at : room;
    for (int64_t i = 0; i < take; i++) {
      piece[i] = posts[0].values[at + i];
      for (int r = 1; r < comm->size; r++)
        piece[i] = combine(piece[i], posts[r].values[at + i], op);
    }
    threads_barrier(comm); /* all have read this piece, so it may be written */
    memcpy(values + at, piece, (size_t)take * sizeof *piece);
  }
  threads_barrier(comm);
}

/* Which ranks have come to meeting number n; true if all have. */
static bool all_came(const team *t, int size, int64_t n, bool *came) {
  bool all = true;
  for (int r = 0; r < size; r++) {
    came[r] = t->visits[r].meetings >= n;
    all &= came[r];
  }
  return all;
}

/* The time `seconds` from now, on the clock of the condition; centuries are for ever. */
static struct timespec deadline_in(double seconds) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  if (!(seconds > 0 && seconds < 1e9)) seconds = 1e9;
  int64_t ns = at.tv_nsec + (int64_t)(seconds * 1e9);
  at.tv_sec += ns / 1000000000;
  at.tv_nsec = ns % 1000000000;
  return at;
}

static bool threads_meet(rdd_comm *comm, const void *send, int64_t bytes, void *recv, bool *came,
                         double seconds) {
  team *t = team_of(comm);
  visit *own = &t->visits[comm->rank];
  struct timespec deadline = deadline_in(seconds);
  int late = 0;
  pthread_mutex_lock(&t->door);
  if (!own->open) {
    own->meetings++;
    own->open = true;
    memcpy(own->bytes[own->meetings % 2], send, (size_t)bytes);
    pthread_cond_broadcast(&t->arrived);
  }
  while (!all_came(t, comm->size, own->meetings, came) && !late)
    late = pthread_cond_timedwait(&t->arrived, &t->door, &deadline) == ETIMEDOUT;
  bool all = all_came(t, comm->size, own->meetings, came);
  for (int r = 0; r < comm->size && all; r++)
    memcpy((char *)recv + r * bytes, t->visits[r].bytes[own->meetings % 2], (size_t)bytes);
  own->open = !all;
  pthread_mutex_unlock(&t->door);
  return all;
}

/* One memory a node, of its first rank. */
static void *threads_table_alloc(rdd_comm *comm, size_t bytes, void **handle) {
  const post *posts = team_of(comm)->posts;
  bool first = comm->node_rank == 0, all = true;
  if (first) own_post(comm)->table = rdd_calloc(bytes, 1);
  threads_barrier(comm);
  for (int r = 0; r < comm->size; r += team_of(comm)->node_size) all &= posts[r].table != NULL;
  void *table = posts[comm->rank - comm->node_rank].table;
  threads_barrier(comm);
  if (!all && first) rdd_free(table);
  return *handle = all ? table : NULL;
}

/* Inside a node to publish is to be done writing; then its first rank copies from the others' memory. */
static void threads_table_sync(rdd_comm *comm, void *handle, const int64_t *begin) {
  own_post(comm)->table = handle;
  threads_barrier(comm);
  if (comm->nodes == 1) return;
  for (int r = 0; r < comm->size && comm->node_rank == 0; r++)
    if (comm->node_of[r] != comm->node_of[comm->rank])
      copy(handle, begin[r], team_of(comm)->posts[r].table, begin[r], begin[r + 1] - begin[r]);
  threads_barrier(comm);
}

static void threads_table_free(rdd_comm *comm, void *handle) {
  threads_barrier(comm);
  if (comm->node_rank == 0) rdd_free(handle);
}

static void threads_close(rdd_comm *comm) {
  (void)comm; /* belongs to rdd_threads_run() */
}

static void *rank_main(void *arg) {
  thread_comm *self = arg;
  team *t = self->team;
  pthread_mutex_lock(&t->lock);
  while (t->gate == GATE_SHUT) pthread_cond_wait(&t->opened, &t->lock);
  int go = t->gate == GATE_OPEN;
  pthread_mutex_unlock(&t->lock);
  if (go) t->body(&self->comm, t->arg);
  return NULL;
}

static void open_gate(team *t, int whole) {
  pthread_mutex_lock(&t->lock);
  t->gate = whole ? GATE_OPEN : GATE_GO_HOME;
  pthread_cond_broadcast(&t->opened);
  pthread_mutex_unlock(&t->lock);
}

/* A condition whose deadlines no change of the date moves. */
static void init_arrived(team *t) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&t->arrived, &attr);
  pthread_condattr_destroy(&attr);
}

/* Start all threads, run, join. A thread that cannot be started sends the others home. */
static rdd_status run_team(team *t, int size, rdd_err *err) {
  int started = 0, why = 0;
  pthread_mutex_init(&t->asleep, NULL);
  pthread_cond_init(&t->woken, NULL);
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->opened, NULL);
  pthread_mutex_init(&t->door, NULL);
  init_arrived(t);
  for (; started < size && !why; started += !why)
    why = pthread_create(&t->threads[started], NULL, rank_main, &t->ranks[started]);
  open_gate(t, started == size);
  for (int r = 0; r < started; r++) pthread_join(t->threads[r], NULL);
  pthread_cond_destroy(&t->arrived);
  pthread_mutex_destroy(&t->door);
  pthread_cond_destroy(&t->opened);
  pthread_mutex_destroy(&t->lock);
  pthread_cond_destroy(&t->woken);
  pthread_mutex_destroy(&t->asleep);
  if (why)
    return rdd_set(err, RDD_ENOMEM, "cannot start thread %d of %d: %s", started, size,
                   strerror(why));
  return RDD_OK;
}

/* The ranks of a team, with their places. */
static void seat(team *t, int size, const rdd_comm_ops *ops) {
  for (int r = 0; r < size; r++) {
    int first = r - r % t->node_size, left = size - first;
    t->node_of[r] = r / t->node_size;
    t->ranks[r] = (thread_comm){.comm = {.rank = r,
                                         .size = size,
                                         .node_rank = r - first,
                                         .node_size = left < t->node_size ? left : t->node_size,
                                         .nodes = (size - 1) / t->node_size + 1,
                                         .node_of = t->node_of,
                                         .ops = ops},
                                .team = t};
  }
}

rdd_status rdd_threads_run_on_nodes(int size, int node_size,
                                    void (*body)(rdd_comm *comm, void *arg), void *arg,
                                    rdd_err *err) {
  static const rdd_comm_ops ops = {
      .barrier = threads_barrier,
      .allgatherv = threads_allgatherv,
      .alltoallv = threads_alltoallv,
      .alltoallv_start = threads_alltoallv_start,
      .alltoallv_poll = threads_alltoallv_poll,
      .alltoallv_finish = threads_alltoallv_finish,
      .allreduce = threads_allreduce,
      .meet = threads_meet,
      .table_alloc = threads_table_alloc,
      .table_sync = threads_table_sync,
      .table_free = threads_table_free,
      .close = threads_close,
  };
  if (size < 1 || size > RDD_MAX_RANKS)
    return rdd_set(err, RDD_EUSAGE, "%d ranks: expected 1 to %d", size, RDD_MAX_RANKS);
  team t = {.body = body, .arg = arg, .node_size = node_size > 0 ? node_size : size};
  rdd_status st = RDD_OK;
  t.visits = rdd_calloc((size_t)size, sizeof *t.visits);
  t.posts = rdd_calloc((size_t)size, sizeof *t.posts);
  t.ranks = rdd_calloc((size_t)size, sizeof *t.ranks);
  t.threads = rdd_calloc((size_t)size, sizeof *t.threads);
  t.node_of = rdd_calloc((size_t)size, sizeof *t.node_of);
  if (!t.visits || !t.posts || !t.ranks || !t.threads || !t.node_of) {
    st = rdd_set(err, RDD_ENOMEM, "no memory for %d ranks", size);
    goto done;
  }
  seat(&t, size, &ops);
  st = run_team(&t, size, err);
done:
  rdd_free(t.node_of);
  rdd_free(t.threads);
  rdd_free(t.ranks);
  rdd_free(t.posts);
  rdd_free(t.visits);
  return st;
}

rdd_status rdd_threads_run(int size, void (*body)(rdd_comm *comm, void *arg), void *arg,
                           rdd_err *err) {
  return rdd_threads_run_on_nodes(size, 0, body, arg, err);
}
