/* The event log in the Trace Event Format of Chrome, which Perfetto and chrome://tracing open. */
#include "jobs/report.h"

#include "jobs/json.h"
#include "jobs/record.h"

#include <math.h>
#include <string.h>

enum { GANG = 0, SLOTS = 1, MOST_SLOTS = 4096, LANES = 2 * MOST_SLOTS, ROOM = 400 };

/* Something that has begun. */
typedef struct span {
  double began; /* 0: nothing has */
  char name[ROOM];
} span;

typedef struct trace {
  FILE *out;
  double zero; /* seconds since 1970 of the first event */
  bool any;

  /* one file */
  int rank;
  double last; /* time of the event before */
  span phase;
  double began[MOST_SLOTS]; /* of the task in each slot; 0: none */
  bool named[MOST_SLOTS];   /* the lane of the slot */
} trace;

/* ---- Entries ---- */

static double microseconds(const trace *t, double time) {
  return rint(1e6 * (time - t->zero));
}

/* gangrun is process 1 and rank r is r + 2. To Perfetto a thread's number is the node's, not its process's, and
 * 0 is nobody's. */
static job_json *new_entry(const trace *t, const char *phase, const char *name, int thread) {
  job_json *json = job_json_new();
  int64_t process = t->rank < 0 ? 1 : t->rank + 2;
  job_json_string(json, "ph", phase);
  job_json_string(json, "name", name);
  job_json_int(json, "pid", process);
  job_json_int(json, "tid", process * LANES + thread);
  return json;
}

/* Print, and free both. */
static void put(trace *t, job_json *json, job_json *args) {
  if (args) job_json_object(json, "args", args);
  const char *inside = json ? job_json_inside(json) : NULL;
  if (inside) fprintf(t->out, "%s\n{%s}", t->any ? "," : "", inside);
  t->any |= inside != NULL;
  job_json_free(args);
  job_json_free(json);
}

static void put_span(trace *t, const char *name, const char *category, int thread, double from,
                     double to, const char *colour, job_json *args) {
  job_json *json = new_entry(t, "X", name, thread);
  job_json_string(json, "cat", category);
  job_json_real(json, "ts", microseconds(t, from));
  job_json_real(json, "dur", fmax(0, microseconds(t, to) - microseconds(t, from)));
  if (colour) job_json_string(json, "cname", colour);
  put(t, json, args);
}

static void put_name(trace *t, const char *what, const char *name, int thread) {
  job_json *args = job_json_new();
  job_json_string(args, "name", name);
  put(t, new_entry(t, "M", what, thread), args);
}

static void put_instant(trace *t, double time, const char *name, const char *line) {
  char text[ROOM] = "";
  job_json *json = new_entry(t, "i", name, GANG), *args = job_json_new();
  job_json_real(json, "ts", microseconds(t, time));
  job_json_string(json, "s", "p");
  if (job_json_find_string(line, "message", text, sizeof text) ||
      job_json_find_string(line, "spec", text, sizeof text))
    job_json_string(args, "text", text);
  put(t, json, args);
}

static void put_counter(trace *t, double time, const char *name, const char *line,
                        const char *key) {
  double value;
  if (!job_json_find_real(line, key, &value)) return;
  job_json *json = new_entry(t, "C", name, GANG), *args = job_json_new();
  job_json_real(json, "ts", microseconds(t, time));
  job_json_real(args, key, value);
  put(t, json, args);
}

/* ---- What a line says ---- */

/* What ended badly says so in its name, too: Perfetto has no colours for that. */
static void end_phase(trace *t, double time, bool whole) {
  char name[ROOM + 16];
  if (!t->phase.began) return;
  snprintf(name, sizeof name, "%s%s", t->phase.name, whole ? "" : " (aborted)");
  put_span(t, name, "gang", GANG, t->phase.began, time, whole ? NULL : "terrible", NULL);
  t->phase.began = 0;
}

static void begin_phase(trace *t, double time, const char *line) {
  char phase[40] = "", side[8] = "";
  int64_t iteration = 0;
  end_phase(t, time, true);
  (void)job_json_find_string(line, "phase", phase, sizeof phase);
  (void)job_json_find_string(line, "side", side, sizeof side);
  (void)job_json_find_int(line, "iteration", &iteration);
  t->phase.began = time;
  job_record_where(phase, (int)iteration, side, t->phase.name, sizeof t->phase.name);
}

/* Everything that has begun ends here, and not of itself: the rank died, or the log was cut. */
static void end_all(trace *t) {
  end_phase(t, t->last, false);
  for (int s = 0; s < MOST_SLOTS; s++) {
    if (t->began[s])
      put_span(t, "task that did not end", "task", SLOTS + s, t->began[s], t->last, "terrible",
               NULL);
    t->began[s] = 0;
  }
}

static void put_task(trace *t, double time, const char *line, const char *event) {
  static const char *const number[] = {"partition", "attempt", "rows", "bytes"};
  char name[ROOM], rdd[200] = "", message[ROOM];
  int64_t slot = -1, n = 0;
  double seconds = 0;
  if (!job_json_find_int(line, "slot", &slot) || slot < 0 || slot >= MOST_SLOTS) return;
  if (!t->named[slot]) {
    snprintf(name, sizeof name, "tasks %d", (int)slot + 1);
    put_name(t, "thread_name", name, (int)(SLOTS + slot));
    t->named[slot] = true;
  }
  if (!strcmp(event, "task-started")) {
    t->began[slot] = time;
    return;
  }
  (void)job_json_find_real(line, "seconds", &seconds);
  (void)job_json_find_string(line, "rdd", rdd, sizeof rdd);
  (void)job_json_find_int(line, "partition", &n);
  bool bad = !strcmp(event, "task-crashed") || !strcmp(event, "task-failed");
  snprintf(name, sizeof name, "%lld of %s%s", (long long)n, rdd,
           !bad                            ? ""
           : !strcmp(event, "task-failed") ? " (failed)"
                                           : " (crashed)");
  job_json *args = job_json_new();
  job_json_string(args, "result", event);
  for (size_t i = 0; i < sizeof number / sizeof *number; i++)
    if (job_json_find_int(line, number[i], &n)) job_json_int(args, number[i], n);
  if (job_json_find_string(line, "message", message, sizeof message))
    job_json_string(args, "message", message);
  double from = t->began[slot] ? t->began[slot] : time - seconds;
  put_span(t, name, "task", (int)(SLOTS + slot), from, time, bad ? "terrible" : NULL, args);
  t->began[slot] = 0;
}

/* A new process: names of what is seen. */
static void begin_rank(trace *t, const char *line) {
  char host[64] = "", name[100];
  end_all(t);
  (void)job_json_find_string(line, "host", host, sizeof host);
  snprintf(name, sizeof name, "rank %d on %s", t->rank, host);
  put_name(t, "process_name", name, GANG);
  put_name(t, "thread_name", "gang", GANG);
}

static void put_line(trace *t, double time, const char *line) {
  static const char *const instant[] = {"fault",       "gang-rerun", "block-lost",
                                        "block-found", "resumed",    "checkpoint-written",
                                        "job-ended"};
  char event[40] = "";
  (void)job_json_find_string(line, "event", event, sizeof event);
  if (!strcmp(event, "job-started")) begin_rank(t, line);
  if (!strcmp(event, "phase")) begin_phase(t, time, line);
  if (!strcmp(event, "gang-rerun")) end_phase(t, time, false);
  if (!strcmp(event, "spent") || !strcmp(event, "job-ended")) end_phase(t, time, true);
  if (!strncmp(event, "task-", 5)) put_task(t, time, line, event);
  if (!strcmp(event, "iteration")) put_counter(t, time, "objective", line, "objective");
  if (!strcmp(event, "iteration")) put_counter(t, time, "rmse_train", line, "rmse_train");
  if (!strcmp(event, "memory")) put_counter(t, time, "memory", line, "peak");
  for (size_t i = 0; i < sizeof instant / sizeof *instant; i++)
    if (!strcmp(event, instant[i])) put_instant(t, time, event, line);
}

/* gangrun's: how attempts began and ended. */
static void put_launch(trace *t, double time, const char *line) {
  char event[40] = "", text[ROOM];
  int64_t attempt = 0;
  (void)job_json_find_string(line, "event", event, sizeof event);
  (void)job_json_find_int(line, "attempt", &attempt);
  if (!strcmp(event, "launch")) {
    t->phase.began = time;
    snprintf(t->phase.name, sizeof t->phase.name, "attempt %lld", (long long)attempt);
  }
  if (strcmp(event, "launch-ended") != 0 || !t->phase.began) return;
  job_json *args = job_json_new();
  if (job_json_find_string(line, "verdict", text, sizeof text))
    job_json_string(args, "verdict", text);
  if (job_json_find_string(line, "cause", text, sizeof text)) job_json_string(args, "cause", text);
  put_span(t, t->phase.name, "launch", GANG, t->phase.began, time, NULL, args);
  t->phase.began = 0;
}

static void put_file(trace *t, const job_log_file *file) {
  t->rank = file->rank;
  t->last = 0;
  memset(t->named, 0, sizeof t->named);
  if (t->rank < 0) put_name(t, "process_name", "gangrun", GANG);
  for (int64_t i = 0; i < file->lines; i++) {
    double time;
    if (!job_json_find_real(file->line[i], "time", &time)) continue;
    if (t->rank < 0)
      put_launch(t, time, file->line[i]);
    else
      put_line(t, time, file->line[i]);
    t->last = time;
  }
  end_all(t);
}

static double first_time(const job_log *log) {
  double first = INFINITY, time;
  for (int64_t f = 0; f < log->files; f++)
    for (int64_t i = 0; i < log->file[f].lines; i++)
      if (job_json_find_real(log->file[f].line[i], "time", &time)) first = fmin(first, time);
  return first;
}

void job_report_trace(const job_log *log, FILE *out) {
  trace t = {.out = out, .zero = first_time(log)};
  fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [", out);
  for (int64_t f = 0; f < log->files; f++) put_file(&t, &log->file[f]);
  fputs("\n]}\n", out);
}
