/* The event log of a run: one JSON object a line. docs/events.md has the table. See run.h. */
#include "config.h"

#include "jobs/run_impl.h"

#include "jobs/leftovers.h"
#include "jobs/memory_use.h"
#include "jobs/ui.h"
#include "mllib/als.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_ROOM = 8192 };

/* ---- Lines ---- */

/* One write(2) on an O_APPEND descriptor: the lines of a rank and its children do not mix. */
static void put_line(const job_run *run, const char *inside) {
  char line[LINE_ROOM], *longer = NULL, *text = line;
  size_t room = strlen(inside) + 64;
  if (room > sizeof line) text = longer = rdd_alloc(room, 1);
  if (!text) return;
  int n = snprintf(text, room, "{\"time\": %.6f, %s}\n", job_unix_time(), inside);
  ssize_t written = write(run->log, text, (size_t)n);
  (void)written; /* a log that cannot be written ends no job */
  rdd_free(longer);
}

void job_run_log_json(job_run *run, job_json *json) {
  const char *inside = json ? job_json_inside(json) : NULL;
  if (run && run->log >= 0 && inside) put_line(run, inside);
  job_json_free(json);
}

void job_run_log(job_run *run, const char *format, ...) {
  if (!run || run->log < 0) return;
  char inside[LINE_ROOM - 64];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(inside, sizeof inside, format, args);
  va_end(args);
  if (n >= 0 && n < (int)sizeof inside) put_line(run, inside);
}

/* A line that is built key by key; NULL where there is no log. */
static job_json *new_line(const job_run *run, const char *event) {
  job_json *json = run && run->log >= 0 ? job_json_new() : NULL;
  job_json_string(json, "event", event);
  return json;
}

/* Microseconds are as good as it gets. */
static void add_seconds(job_json *json, const char *key, double seconds) {
  job_json_real(json, key, rint(1e6 * seconds) / 1e6);
}

/* What this rank has sent so far, and how long it was at that: differences are what a reader wants. */
static void add_traffic(const job_run *run, job_json *json) {
  const rdd_traffic *t = &run->comm->traffic;
  job_json_int(json, "sent", t->sent);
  job_json_int(json, "between_nodes", t->between_nodes);
  job_json_int(json, "messages", t->messages);
  add_seconds(json, "moving", t->moving);
  add_seconds(json, "waiting", t->waiting);
}

static void add_peak(job_json *json) {
  job_json_int(json, "peak", job_memory_now().peak);
}

/* ---- The run ---- */

void job_run_log_start(job_run *run, const char *command_line) {
  job_json *json = new_line(run, "job-started");
  if (!json) return;
  const rdd_comm *comm = run->comm;
  job_json_string(json, "command", command_line);
  job_json_string(json, "version", PACKAGE_VERSION);
  job_json_int(json, "attempt", run->record.attempt);
  job_json_int(json, "rank", comm->rank);
  job_json_int(json, "ranks", comm->size);
  job_json_string(json, "host", run->record.host);
  job_json_int(json, "node", comm->node_of[comm->rank]);
  job_json_int(json, "nodes", comm->nodes);
  job_json_int(json, "cores", sysconf(_SC_NPROCESSORS_ONLN));
  job_json_int(json, "memory", (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
  job_json_string(json, "kernels", als_kernels_name());
  job_json_int(json, "pid", run->pid);
  job_leftovers_note(json);
  job_run_log_json(run, json);
}

void job_run_log_settings(job_run *run, const char *command, int threads, const job_args *args) {
  if (!run || run->comm->rank != 0) return;
  job_json *json = new_line(run, "settings"), *options = json ? job_json_new() : NULL;
  if (!options) {
    job_json_free(json);
    return;
  }
  job_args_tell(args, options);
  job_json_string(json, "command", command);
  job_json_int(json, "threads", threads);
  job_json_string(json, "mpi", gang_mpi_version());
  job_json_object(json, "options", options);
  job_json_free(options);
  job_run_log_json(run, json);
}

void job_run_log_result(job_run *run, const job_json *result) {
  if (!run || run->comm->rank != 0) return;
  job_json *json = new_line(run, "result");
  if (!json) return;
  job_json_object(json, "result", result);
  job_run_log_json(run, json);
}

void job_run_log_phase(job_run *run) {
  job_json *json = new_line(run, "phase");
  if (!json) return;
  job_json_string(json, "phase", run->record.phase);
  job_json_int(json, "iteration", run->record.iteration);
  job_json_string(json, "side", run->record.side);
  add_traffic(run, json);
  if (!*run->record.side) add_peak(json); /* half-steps may be short */
  job_run_log_json(run, json);
}

void job_run_log_end(job_run *run, int exit_code, const rdd_err *err) {
  job_json *json = new_line(run, "job-ended");
  if (!json) return;
  job_json_int(json, "exit_code", exit_code);
  add_traffic(run, json);
  add_peak(json);
  if (err) job_json_string(json, "message", err->message);
  job_run_log_json(run, json);
}

/* ---- The gang ---- */

/* NaN is not said. */
static void add_real(job_json *json, const char *key, double value) {
  if (value == value) job_json_real(json, key, value);
}

void job_run_log_iteration(job_run *run, const als_iteration *iteration) {
  job_run_heartbeat(run);
  if (!run || run->comm->rank != 0) return;
  job_json *json = new_line(run, "iteration");
  if (!json) return;
  job_json_int(json, "iteration", iteration->iteration);
  if (iteration->exact) job_json_bool(json, "exact", true);
  add_real(json, "rmse_train", iteration->rmse_train);
  add_real(json, "rmse_test", iteration->rmse_test);
  add_real(json, "rmse_validation", iteration->rmse_validation);
  add_real(json, "ndcg_validation", iteration->ndcg_validation);
  add_real(json, "loss_ratings", iteration->loss_ratings);
  add_real(json, "loss_pairs", iteration->loss_pairs);
  add_real(json, "loss_reg", iteration->loss_reg);
  add_real(json, "objective", iteration->objective);
  add_real(json, "seconds", iteration->seconds);
  job_run_log_json(run, json);
}

void job_run_log_spent(job_run *run, const als_iteration *iteration) {
  job_json *json = new_line(run, "spent");
  if (!json) return;
  job_json_int(json, "iteration", iteration->iteration);
  add_seconds(json, "seconds", iteration->seconds);
  add_seconds(json, "gram", iteration->gram_seconds);
  add_seconds(json, "solve", iteration->solve_seconds);
  add_seconds(json, "test", iteration->test_seconds);
  job_json_int(json, "exchange_bytes", iteration->exchange_bytes);
  add_seconds(json, "exchange", iteration->exchange_seconds);
  add_traffic(run, json);
  job_run_log_json(run, json);
}

void job_run_log_rerun(job_run *run, int try_number, const rdd_err *why) {
  job_run_heartbeat(run);
  job_json *json = new_line(run, "gang-rerun");
  if (!json) return;
  job_json_int(json, "try", try_number);
  job_json_int(json, "failed_rank", why->rank);
  job_json_string(json, "message", why->message);
  job_run_log_json(run, json);
}

/* ---- Tasks and blocks ---- */

/* The same on every rank, so rank 0 tells. */
static void log_lineage(job_run *run, const char *what, const rdd_event *event) {
  if (run->comm->rank != 0) return;
  double parent[2];
  int parents = 0;
  for (int i = 0; i < 2; i++)
    if (event->parent[i] >= 0) parent[parents++] = (double)event->parent[i];
  job_json *json = new_line(run, "lineage");
  if (!json) return;
  job_json_string(json, "what", what);
  job_json_string(json, "rdd", event->rdd);
  job_json_int(json, "node", event->node);
  job_json_int(json, "partitions", event->partition);
  job_json_reals(json, "parents", parent, parents);
  job_json_bool(json, "wide", event->wide);
  job_json_string(json, "kept", event->message);
  job_run_log_json(run, json);
}

void job_run_log_event(job_run *run, const char *what, const rdd_event *event) {
  if (!run) return;
  bool stage = event->kind == RDD_STAGE_STARTED;
  if (event->kind == RDD_LINEAGE) {
    log_lineage(run, what, event);
    return;
  }
  if (stage) snprintf(run->record.phase, sizeof run->record.phase, "%s", what);
  if (stage) run->record.iteration = 0, run->record.side[0] = 0;
  job_run_heartbeat(run);
  job_json *json = new_line(run, rdd_event_name(event->kind));
  if (!json) return;
  job_json_string(json, "what", what);
  job_json_string(json, "rdd", event->rdd ? event->rdd : "");
  job_json_int(json, "stage", event->stage);
  job_json_int(json, stage ? "partitions" : "partition", event->partition);
  if (!stage) {
    job_json_int(json, "attempt", event->attempt + 1);
    if (event->speculative) job_json_bool(json, "speculative", true);
    job_json_int(json, "slot", event->slot);
  }
  if (event->kind == RDD_TASK_FINISHED) job_json_int(json, "rows", event->rows);
  if (event->bytes) job_json_int(json, "bytes", event->bytes);
  if (event->seconds > 0) add_seconds(json, "seconds", event->seconds);
  if (event->message && *event->message) job_json_string(json, "message", event->message);
  job_run_log_json(run, json);
}

void job_run_log_memory(job_run *run, const char *after, int64_t partitions,
                        const job_memory_use *use) {
  job_json *json = new_line(run, "memory");
  if (!json) return;
  job_json_string(json, "after", after);
  job_json_int(json, "partitions", partitions);
  job_json_int(json, "peak", use->peak);
  job_json_int(json, "anonymous", use->anonymous);
  job_json_int(json, "shared", use->shared);
  job_run_log_json(run, json);
}
