/* Syncs: how ranks of a gang meet, and how they notice that they do not.
 *
 * A rank that is in another call, or has left the body, must be found out by those that wait, and a
 * collective of MPI cannot do that: it would match the wrong call, or never end. So every sync, and
 * the end of the body, is a meeting (rdd_meet) to which each rank brings which call it is in. All
 * ranks come to all meetings, in the same order; what differs is only what they say there, and all
 * of them see all of it. So all come to the same verdict, without another message:
 *
 *   meeting 1   every rank: barrier | allgather | left the body, with its status
 *                 -> all alike, or the sync fails on all ranks
 *   meeting 2   every rank: how long it waited in meeting 1, and if it has room for the messages
 *                 -> nobody was late, or the sync fails on all ranks
 *
 * Lateness is so told without comparing the clocks of nodes: a rank is late if it waited so much
 * less than another. After a failed sync all others fail at once, without a meeting, until each
 * rank has left the body; the last meeting is for that.
 *
 * A rank that comes in the end, though late, learns of it in meeting 2, and the gang is rerun in
 * this job. One that never comes cannot be told anything: those that wait end the job, and the
 * supervisor reruns it. */
#include "mpi_bridge/comm_mpi_impl.h"
#include "mpi_bridge/gang_impl.h"

#include "rdd/clock.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT = 120, ALIGNMENT = 16, MAX_RUNS = 6 };

typedef enum gang_call { BARRIER, ALLGATHER, LEFT, FAILED, CALLS, FOUND, OUT } gang_call;

/* Where a rank is, for messages. */
static const char *const place[] = {
    [BARRIER] = "in barrier",           [ALLGATHER] = "in allgather",
    [LEFT] = "gone from the body",      [FAILED] = "gone from the body with an error",
    [FOUND] = "at the end of the sync", [OUT] = "gone from the body after a failed sync",
};

/* ---- Words ---- */

/* "rank 2", "ranks 0, 3 to 5": the marked ones. */
static const char *ranks_text(const bool *mark, int size, char text[TEXT]) {
  int marked = 0, runs = 0;
  for (int r = 0; r < size; r++) marked += mark[r];
  int at = snprintf(text, TEXT, marked == 1 ? "rank" : "ranks");
  for (int r = 0, end; r < size; r = end) {
    end = r + 1;
    if (!mark[r]) continue;
    while (end < size && mark[end]) end++;
    if (runs == MAX_RUNS) {
      snprintf(text + at, (size_t)(TEXT - at), " and more");
      break;
    }
    at += snprintf(text + at, (size_t)(TEXT - at), "%s %d", runs++ ? "," : "", r);
    if (end - r > 1) at += snprintf(text + at, (size_t)(TEXT - at), " to %d", end - 1);
  }
  return text;
}

/* ---- Meetings ---- */

/* A rank did not come within all the time there is. The lowest of those that wait says so and ends
 * the job; the others leave it a second for that. */
static void give_up(gang *g, gang_call call) {
  const struct timespec second = {1, 0};
  char text[TEXT];
  bool lowest = true;
  for (int r = 0; r < g->comm->rank; r++) lowest &= !g->mark[r];
  for (int r = 0; r < g->comm->size; r++) g->mark[r] = !g->mark[r];
  if (lowest)
    fprintf(
        stderr,
        "gangplank: rank %d: %s, sync %lld, attempt %d: waited %g s for %s; aborting the gang\n",
        g->comm->rank, place[call], (long long)g->syncs, g->attempt, g->limit + g->grace,
        ranks_text(g->mark, g->comm->size, text));
  else
    nanosleep(&second, NULL);
  gang_abort();
}

/* Meet all ranks; returns how long that took. A rank that is done, and well, waits for as long as
 * the others need; any other ends the job when time is up. */
static double meet(gang *g, gang_record own) {
  double start = rdd_seconds();
  bool bounded = g->limit > 0 && own.call != LEFT;
  if (!rdd_meet(g->comm, &own, sizeof own, g->met, g->mark, bounded ? g->limit : 0) &&
      !rdd_meet(g->comm, &own, sizeof own, g->met, g->mark, g->grace))
    give_up(g, (gang_call)own.call);
  return rdd_seconds() - start;
}

/* ---- Verdicts: from what all ranks see, so the same on all of them ---- */

/* Groups of ranks by where they are: "rank 0 in barrier, ranks 1 to 3 gone from the body". */
static void places_text(gang *g, char *text, size_t room) {
  char ranks[TEXT];
  size_t at = 0;
  text[0] = '\0';
  for (int call = 0; call < CALLS; call++) {
    bool any = false;
    for (int r = 0; r < g->comm->size; r++) any |= g->mark[r] = g->met[r].call == call;
    if (!any || at >= room) continue;
    int n = snprintf(text + at, room - at, "%s%s %s", at ? ", " : "",
                     ranks_text(g->mark, g->comm->size, ranks), place[call]);
    at += (size_t)n;
  }
}

static rdd_status check_places(gang *g) {
  char text[CALLS * TEXT];
  bool alike = true;
  for (int r = 0; r < g->comm->size; r++) {
    alike &= g->met[r].call == g->met[0].call;
    g->left_failing |= g->met[r].call == FAILED;
  }
  if (alike) return RDD_OK;
  g->own_failure = g->met[g->comm->rank].call == FAILED;
  places_text(g, text, sizeof text);
  return rdd_set(
      &g->broken, RDD_EINTERNAL,
      "ranks met in different calls in sync %lld of attempt %d of the gang: %s; every rank "
      "has to make the same calls in the same order",
      (long long)g->syncs, g->attempt, text);
}

static rdd_status check_sizes(gang *g) {
  for (int r = 0; r < g->comm->size; r++)
    if (g->met[r].bytes < 0 || g->met[r].bytes > GANG_MAX_MESSAGE) {
      rdd_set(&g->broken, RDD_EUSAGE,
              "rank %d brings a message of %lld bytes to allgather; it has to be 0 to %d", r,
              (long long)g->met[r].bytes, GANG_MAX_MESSAGE);
      g->broken.rank = r;
      return RDD_EUSAGE;
    }
  return RDD_OK;
}

/* Late is who came more than the limit after the first: who waited so much less. */
static rdd_status check_lateness(gang *g, gang_call call) {
  char text[TEXT];
  double most = g->met[0].waited, least = most;
  int size = g->comm->size;
  for (int r = 1; r < size; r++) {
    if (g->met[r].waited > most) most = g->met[r].waited;
    if (g->met[r].waited < least) least = g->met[r].waited;
  }
  if (g->limit <= 0 || most <= g->limit) return RDD_OK;
  for (int r = 0; r < size; r++)
    g->mark[r] = g->met[r].waited < most - g->limit || g->met[r].waited <= least;
  return rdd_set(
      &g->broken, RDD_EINTERNAL,
      "%s, sync %lld of attempt %d of the gang: %s came %.3g s after the first, and the limit "
      "is %g s",
      place[call], (long long)g->syncs, g->attempt, ranks_text(g->mark, size, text), most,
      g->limit);
}

static rdd_status check_room(gang *g) {
  for (int r = 0; r < g->comm->size; r++)
    if (g->met[r].status) {
      rdd_set(&g->broken, RDD_ENOMEM, "rank %d has no memory for the messages of %d ranks", r,
              g->comm->size);
      g->broken.rank = r;
      return RDD_ENOMEM;
    }
  return RDD_OK;
}

/* ---- Syncs ---- */

/* Places for the messages that are announced. Not collective. */
static rdd_status make_room(gang *g) {
  int64_t total = 0;
  for (int r = 0; r < g->comm->size; r++) {
    g->bytes[r] = g->met[r].bytes;
    g->displs[r] = total;
    total += (g->bytes[r] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
  if (total > g->room) {
    rdd_free(g->messages);
    g->room = 0;
    g->messages = rdd_alloc((size_t)total, 1);
    if (!g->messages) return RDD_ENOMEM;
    g->room = total;
  }
  for (int r = 0; r < g->comm->size; r++)
    g->all[r] = g->room ? g->messages + g->displs[r] : (const char *)g->all;
  return RDD_OK;
}

/* The two meetings; g->broken tells how it went. */
static void hold_sync(gang *g, gang_call call, int64_t bytes) {
  gang_record found = {.call = FOUND};
  g->syncs++;
  found.waited = meet(g, (gang_record){.call = (int32_t)call, .bytes = bytes});
  if (check_places(g) || check_sizes(g)) return;
  if (call == ALLGATHER) found.status = (int32_t)make_room(g);
  meet(g, found);
  if (!check_lateness(g, call)) check_room(g);
}

static rdd_status sync_all(gang *g, gang_call call, int64_t bytes, rdd_err *err) {
  if (!g->broken.code) hold_sync(g, call, bytes);
  if (g->broken.code) *err = g->broken;
  return g->broken.code;
}

rdd_status gang_barrier(gang *g, rdd_err *err) {
  return sync_all(g, BARRIER, 0, err);
}

rdd_status gang_allgather(gang *g, const void *message, int64_t bytes, const void *const **all_out,
                          const int64_t **bytes_out, rdd_err *err) {
  rdd_status st = sync_all(g, ALLGATHER, bytes, err);
  if (st) return st;
  rdd_allgatherv(g->comm, message, bytes, g->messages, g->bytes, g->displs);
  *all_out = g->all;
  *bytes_out = g->bytes;
  return RDD_OK;
}

/* ---- The end ---- */

rdd_status gang_leave(gang *g, rdd_status status, rdd_err *err) {
  if (!g->broken.code) {
    g->syncs++; /* others may be in one */
    meet(g, (gang_record){.call = status ? FAILED : LEFT});
    bool all_left = true;
    for (int r = 0; r < g->comm->size; r++)
      all_left &= g->met[r].call == LEFT || g->met[r].call == FAILED;
    if (all_left) return rdd_agree(g->comm, status, err);
    check_places(g); /* they are not alike, so this breaks the gang */
  }
  meet(g, (gang_record){.call = OUT});
  /* a sync that failed because of an error is not the cause */
  if (g->left_failing) return rdd_agree(g->comm, g->own_failure ? status : RDD_OK, err);
  *err = g->broken;
  return err->code;
}
