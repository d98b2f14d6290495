/* The gang: from independent tasks to ranks that move as one, and once more where they could
 * not. */
#include "mpi_bridge/gang_impl.h"

#include "mpi_bridge/comm_mpi.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- What the body may ask ---- */

rdd_comm *gang_comm(const gang *g) {
  return g->comm;
}

int gang_rank(const gang *g) {
  return g->comm->rank;
}

int gang_size(const gang *g) {
  return g->comm->size;
}

int gang_attempt(const gang *g) {
  return g->attempt;
}

const gang_task_info *gang_task_infos(const gang *g) {
  return g->infos;
}

/* ---- Making ---- */

static void reset(gang *g) {
  rdd_free(g->infos);
  rdd_free(g->met);
  rdd_free(g->mark);
  rdd_free(g->messages);
  rdd_free(g->all);
  rdd_free(g->bytes);
  rdd_free(g->displs);
}

/* Collective. */
static rdd_status init(gang *g, rdd_comm *comm, const gang_opts *opts, rdd_err *err) {
  size_t size = (size_t)comm->size;
  *g = (gang){.comm = comm, .limit = opts->sync_timeout};
  g->grace = opts->sync_grace > 0 ? opts->sync_grace : opts->sync_timeout;
  g->infos = rdd_calloc(size, sizeof *g->infos);
  g->met = rdd_calloc(size, sizeof *g->met);
  g->mark = rdd_calloc(size, sizeof *g->mark);
  g->all = rdd_calloc(size, sizeof *g->all);
  g->bytes = rdd_calloc(size, sizeof *g->bytes);
  g->displs = rdd_calloc(size, sizeof *g->displs);
  rdd_status st = RDD_OK;
  if (!g->infos || !g->met || !g->mark || !g->all || !g->bytes || !g->displs)
    st = rdd_set(err, RDD_ENOMEM, "no memory for a gang of %d ranks", comm->size);
  return rdd_agree(comm, st, err);
}

/* All or nothing: a gang that cannot be whole does not start. The same on all ranks. */
static rdd_status admit(const rdd_comm *comm, int rdds, const gang_opts *opts, rdd_err *err) {
  if (rdds < 0 || rdds > GANG_MAX_RDDS)
    return rdd_set(err, RDD_EUSAGE, "a gang takes 0 to %d rdds, not %d", GANG_MAX_RDDS, rdds);
  if (opts->ranks != 0 && opts->ranks != comm->size)
    return rdd_set(
        err, RDD_EUSAGE,
        "the gang needs %d ranks at the same time, and this job has %d: it starts with all "
        "of them or not at all; launch the job with as many (mpirun -n %d), or ask for %d",
        opts->ranks, comm->size, opts->ranks, comm->size);
  return RDD_OK;
}

/* ---- Attempts ---- */

/* Who has been given what, and where. Collective. */
static void exchange_infos(gang *g, rdd_parts *const *parts, int n) {
  gang_task_info own = {.rank = g->comm->rank, .node = gang_node_first(g->comm, g->comm->rank)};
  if (gethostname(own.host, sizeof own.host - 1)) snprintf(own.host, sizeof own.host, "unknown");
  for (int i = 0; i < n; i++) own.partitions += parts[i]->n;
  rdd_allgather(g->comm, &own, sizeof own, g->infos);
}

/* Errors that may not come again. Spark reruns a gang after any error; but bad data stay bad, and a
 * disk that is full stays full until somebody has seen to it. */
static bool is_retried(rdd_status status) {
  return status == RDD_ENOMEM || status == RDD_EINTERNAL;
}

static void start_attempt(gang *g, int attempt) {
  g->attempt = attempt;
  g->syncs = 0;
  memset(&g->broken, 0, sizeof g->broken);
  g->left_failing = g->own_failure = false;
}

/* Put "after N attempts: " before the message; the end of a long one is cut. */
static void tell_attempts(int attempts, rdd_err *err) {
  char words[40];
  size_t n = (size_t)snprintf(words, sizeof words, "after %d attempts: ", attempts);
  memmove(err->message + n, err->message, sizeof err->message - n);
  memcpy(err->message, words, n);
  err->message[sizeof err->message - 1] = '\0';
}

rdd_status gang_run(rdd_comm *comm, rdd *const *rdds, int n, const rdd_run_opts *run,
                    rdd_counters *counters, const gang_opts *opts, gang_body body, void *arg,
                    rdd_err *err) {
  static const gang_opts defaults = {0};
  rdd_parts *parts[GANG_MAX_RDDS] = {NULL};
  gang g = {0};
  if (!opts) opts = &defaults;
  int most = opts->max_attempts > 0 ? opts->max_attempts : GANG_MAX_ATTEMPTS;
  rdd_status st = admit(comm, n, opts, err);
  if (!st) st = init(&g, comm, opts, err);
  if (st) goto done;
  for (int attempt = 1;; attempt++) {
    start_attempt(&g, attempt);
    st = gang_hand_off(comm, rdds, n, run, counters, parts, err);
    if (st) break;
    exchange_infos(&g, parts, n);
    *err = (rdd_err){.code = RDD_OK}; /* of the attempt before */
    st = body(&g, parts, arg, err);
    st = gang_leave(&g, st, err);
    if (!is_retried(st)) break;
    if (attempt == most) {
      if (most > 1) tell_attempts(most, err);
      break;
    }
    if (comm->rank == 0 && opts->rerun) opts->rerun(opts->arg, attempt + 1, err);
  }
done:
  for (int i = 0; i < GANG_MAX_RDDS; i++) rdd_parts_free(parts[i]);
  reset(&g);
  return st;
}
