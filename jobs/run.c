/* One run of a job. See run.h.
 *
 * Faults strike here: a rank dies, hangs or fails where it says how far it has come, so that the same
 * spec breaks the same run at the same place each time. */
#include "config.h"

#include "jobs/run.h"

#include "jobs/fault.h"
#include "jobs/json.h"
#include "jobs/output.h"
#include "jobs/run_impl.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FAULTS = 64, PATIENCE_SECONDS = 2 };

static const double heartbeat_seconds = 0.2;

/* Set by a signal, so they cannot be in a run. */
static volatile sig_atomic_t stop_allowed, stop_asked, stop_second;

static void set_phase(job_record *r, const char *phase, int iteration, const char *side) {
  snprintf(r->phase, sizeof r->phase, "%s", phase);
  snprintf(r->side, sizeof r->side, "%s", side);
  r->iteration = iteration;
}

/* ---- Opening ---- */

/* What rank 0 tells the others. */
typedef struct announcement {
  char dir[PATH_MAX];
  int attempt;
  int64_t fault_bytes; /* of GANGPLANK_FAULT, its NUL included; 0: none */
} announcement;

static rdd_status make_folder(const char *path, rdd_err *err) {
  if (mkdir(path, 0777) == 0 || errno == EEXIST) return RDD_OK;
  return rdd_set(err, RDD_EIO, "%s: cannot be made: %s", path, strerror(errno));
}

/* The work directory as rank 0 sees it, as an absolute path. */
static rdd_status find_dir(const char *dir, char out[PATH_MAX], rdd_err *err) {
  if (!dir) dir = getenv("GANGPLANK_WORK_DIR");
  if (!dir || !*dir) return RDD_OK;
  rdd_status st = make_folder(dir, err);
  if (st) return st;
  char path[PATH_MAX];
  if (!realpath(dir, path))
    return rdd_set(err, RDD_EIO, "%s: cannot be used as work directory: %s", dir, strerror(errno));
  snprintf(out, PATH_MAX, "%s", path);
  return RDD_OK;
}

static int attempt_of_environment(void) {
  const char *text = getenv("GANGPLANK_ATTEMPT");
  int attempt = text ? atoi(text) : 1;
  return attempt < 1 ? 1 : attempt;
}

static rdd_status add_fault(job_run *run, const char *spec, rdd_err *err) {
  if (run->faults == MAX_FAULTS) return rdd_set(err, RDD_EUSAGE, "more than %d faults", MAX_FAULTS);
  job_armed *grown = rdd_realloc(run->armed, (size_t)run->faults + 1, sizeof *grown);
  if (!grown) return rdd_set(err, RDD_ENOMEM, "out of memory for faults");
  run->armed = grown;
  grown[run->faults].struck = false;
  rdd_status st = job_fault_parse(spec, &grown[run->faults].fault, err);
  if (!st) run->faults++;
  return st;
}

/* Rank 0's environment, brought to all: it adds to the faults of the command line. */
static rdd_status add_faults(job_run *run, const char *const *faults, int n, int64_t bytes,
                             rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int i = 0; i < n && !st; i++) st = add_fault(run, faults[i], err);
  char *text = rdd_calloc((size_t)bytes + 1, 1);
  if (!st && !text) st = rdd_set(err, RDD_ENOMEM, "out of memory for faults");
  st = rdd_agree(run->comm, st, err); /* all have room, or nobody listens */
  if (st) goto done;
  if (bytes && run->comm->rank == 0) memcpy(text, getenv("GANGPLANK_FAULT"), (size_t)bytes);
  if (bytes) rdd_bcast(run->comm, text, bytes, 0);
  for (char *rest = text, *spec; !st && (spec = strsep(&rest, ";"));)
    if (*spec) st = add_fault(run, spec, err);
done:
  rdd_free(text);
  return rdd_agree(run->comm, st, err);
}

static rdd_status open_log(job_run *run, rdd_err *err) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/events", run->dir);
  rdd_status st = make_folder(path, err);
  if (st) return st;
  snprintf(path, sizeof path, "%s/events/attempt-%d.rank-%d.jsonl", run->dir, run->record.attempt,
           run->comm->rank);
  run->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (run->log < 0) return rdd_set(err, RDD_EIO, "%s: cannot be opened: %s", path, strerror(errno));
  return RDD_OK;
}

static void fill_record(job_record *r) {
  r->attempt = attempt_of_environment();
  r->exit_code = -1;
  r->pid = getpid();
  r->started = r->updated = job_unix_time();
  strcpy(r->program, "als");
  strcpy(r->version, PACKAGE_VERSION);
  strcpy(r->phase, "starting");
  gethostname(r->host, sizeof r->host - 1);
}

static bool is_writer(const job_run *run) {
  return *run->dir && run->comm->rank == 0 && run->pid == getpid();
}

static bool write_record(job_run *run, bool final) {
  if (!is_writer(run)) return true;
  run->written = rdd_seconds();
  run->record.updated = job_unix_time();
  return job_record_write(run->dir, &run->record, final);
}

rdd_status job_run_open(job_run **out, rdd_comm *comm, const char *command_line, const char *dir,
                        const char *const *faults, int n, rdd_err *err) {
  rdd_status st = RDD_OK;
  job_run *run = rdd_calloc(1, sizeof *run);
  announcement *word = rdd_calloc(1, sizeof *word);
  if (!run || !word) st = rdd_set(err, RDD_ENOMEM, "out of memory for the run");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  run->comm = comm;
  run->pid = getpid();
  run->log = -1;
  fill_record(&run->record);

  rdd_err dir_err;
  rdd_status dir_st = RDD_OK;
  if (comm->rank == 0) {
    const char *more = getenv("GANGPLANK_FAULT");
    dir_st = find_dir(dir, word->dir, &dir_err);
    word->attempt = run->record.attempt;
    word->fault_bytes = more ? (int64_t)strlen(more) + 1 : 0;
  }
  rdd_bcast(comm, word, sizeof *word, 0);
  run->record.attempt = word->attempt;
  memcpy(run->dir, word->dir, sizeof run->dir);
  st = add_faults(run, faults, n, word->fault_bytes, err);
  if (!st && dir_st) {
    st = dir_st;
    if (err) *err = dir_err;
  }
  if (!st && *run->dir) st = open_log(run, err);
  if (!st && !write_record(run, false))
    st = rdd_set(err, RDD_EIO, "%s/record.json: cannot be written: %s", run->dir, strerror(errno));
  st = rdd_agree(comm, st, err);
  if (!st) job_run_log_start(run, command_line);
done:
  rdd_free(word);
  if (run && !run->comm) {
    rdd_free(run);
    run = NULL;
  }
  *out = run;
  return st;
}

/* ---- Closing ---- */

static void finish_record(job_record *r, int exit_code, const rdd_err *err) {
  r->state = exit_code == 0 ? JOB_DONE : exit_code == 75 ? JOB_STOPPED : JOB_FAILED;
  r->exit_code = exit_code;
  snprintf(r->message, sizeof r->message, "%s", err ? err->message : "");
}

bool job_run_close(job_run *run, int exit_code, const rdd_err *err) {
  if (!run) return true;
  job_run_log_end(run, exit_code, err);
  finish_record(&run->record, exit_code, err);
  run->record.progress++;
  bool good = write_record(run, true);
  if (run->log >= 0) close(run->log);
  rdd_free(run->armed);
  rdd_free(run);
  return good;
}

void job_run_record_failure(int exit_code, const rdd_err *err) {
  const char *dir = getenv("GANGPLANK_WORK_DIR");
  if (!dir || !*dir) return;
  job_record r = {.progress = 1};
  fill_record(&r);
  finish_record(&r, exit_code, err);
  (void)mkdir(dir, 0777);
  (void)job_record_write(dir, &r, true);
}

const char *job_run_dir(const job_run *run) {
  return run && *run->dir ? run->dir : NULL;
}

int job_run_attempt(const job_run *run) {
  return run ? run->record.attempt : 1;
}

/* ---- Faults ---- */

static job_fault_moment this_moment(const job_run *run, job_fault_where where) {
  job_fault_moment now = {.where = where, .ranks = run->comm->size};
  for (int key = 0; key < JOB_FAULT_KEYS; key++) now.key[key] = JOB_FAULT_ANY;
  now.key[JOB_FAULT_RANK] = run->comm->rank;
  now.key[JOB_FAULT_ATTEMPT] = now.key[JOB_FAULT_LAUNCH] = run->record.attempt;
  now.key[JOB_FAULT_RERUN] = run->tries > 1 ? run->tries : 1;
  return now;
}

static void log_fault(job_run *run, const job_fault *fault) {
  job_json *json = job_json_new();
  if (!json) return;
  job_json_string(json, "event", "fault");
  job_json_string(json, "spec", fault->text);
  job_run_log_json(run, json);
}

/* Die, hang or fail; or go on, where the fault is a signal that this process handles. */
static rdd_status suffer(job_run *run, const job_fault *fault, rdd_err *err) {
  char where[80];
  job_record_where(run->record.phase, run->record.iteration, run->record.side, where, sizeof where);
  log_fault(run, fault);
  (void)write_record(run, false);
  fprintf(stderr, "als: rank %d: a fault on purpose in %s: %s\n", run->comm->rank, where,
          fault->text);
  switch (fault->action) {
  case JOB_FAULT_KILL:
    raise((int)fault->number);
    return RDD_OK;
  case JOB_FAULT_EXIT:
    _exit((int)fault->number);
  case JOB_FAULT_HANG:
    for (;;) pause();
  case JOB_FAULT_ERROR:
  case JOB_FAULT_CORRUPT:
  case JOB_FAULT_CUT:
    break;
  }
  return rdd_set(err, RDD_EINTERNAL, "a fault on purpose in %s: %s", where, fault->text);
}

static rdd_status strike(job_run *run, rdd_err *err) {
  job_fault_moment now = this_moment(run, JOB_FAULT_GANG);
  const job_record *r = &run->record;
  now.phase = r->phase;
  if (r->iteration) now.key[JOB_FAULT_ITERATION] = r->iteration;
  if (*r->side) now.key[JOB_FAULT_SIDE] = !strcmp(r->side, "items");
  rdd_status st = RDD_OK;
  for (int i = 0; i < run->faults && !st; i++) {
    job_armed *a = &run->armed[i];
    if (a->struck || !job_fault_strikes(&a->fault, &now)) continue;
    a->struck = true;
    st = suffer(run, &a->fault, err);
  }
  return st;
}

/* The fault that strikes a task or a file, if any. */
static const job_fault *find_fault(const job_run *run, const job_fault_moment *now) {
  for (int i = 0; i < run->faults; i++)
    if (job_fault_strikes(&run->armed[i].fault, now)) return &run->armed[i].fault;
  return NULL;
}

rdd_fault job_run_task_fault(job_run *run, const char *what, int64_t stage, int64_t partition,
                             int attempt) {
  static const rdd_fault_kind kinds[] = {
      [JOB_FAULT_KILL] = RDD_FAULT_SIGNAL,     [JOB_FAULT_EXIT] = RDD_FAULT_EXIT,
      [JOB_FAULT_HANG] = RDD_FAULT_HANG,       [JOB_FAULT_ERROR] = RDD_FAULT_ERROR,
      [JOB_FAULT_CORRUPT] = RDD_FAULT_CORRUPT,
  };
  rdd_fault none = {RDD_FAULT_NONE, 0};
  if (!run || !run->faults) return none;
  job_fault_moment now = this_moment(run, JOB_FAULT_TASK);
  now.phase = what;
  now.key[JOB_FAULT_STAGE] = stage;
  now.key[JOB_FAULT_PARTITION] = partition;
  now.key[JOB_FAULT_ATTEMPT] = attempt + 1;
  const job_fault *fault = find_fault(run, &now);
  if (!fault) return none;
  log_fault(run, fault);
  return (rdd_fault){kinds[fault->action], (int)fault->number};
}

static const job_fault *file_fault(job_run *run, const char *where, int64_t number,
                                   job_fault_action action) {
  if (!run) return NULL;
  bool block = !strcmp(where, "block"), model = !strcmp(where, "model");
  job_fault_moment now = this_moment(run, block   ? JOB_FAULT_BLOCK
                                          : model ? JOB_FAULT_MODEL
                                                  : JOB_FAULT_CHECKPOINT);
  if (!model) now.key[block ? JOB_FAULT_PARTITION : JOB_FAULT_ITERATION] = number;
  for (int i = 0; i < run->faults; i++) {
    const job_fault *fault = &run->armed[i].fault;
    if (fault->action != action || !job_fault_strikes(fault, &now)) continue;
    log_fault(run, fault);
    return fault;
  }
  return NULL;
}

int64_t job_fault_cut(job_run *run, const char *where, int64_t number) {
  const job_fault *fault = file_fault(run, where, number, JOB_FAULT_CUT);
  return fault ? fault->number : -1;
}

bool job_fault_corrupt(job_run *run, const char *where, int64_t number) {
  return file_fault(run, where, number, JOB_FAULT_CORRUPT) != NULL;
}

/* ---- Phases ---- */

void job_run_heartbeat(job_run *run) {
  if (!run || !is_writer(run)) return;
  run->record.progress++;
  if (rdd_seconds() - run->written >= heartbeat_seconds) (void)write_record(run, false);
}

static rdd_status enter(job_run *run, const char *phase, int iteration, const char *side,
                        rdd_err *err) {
  if (!run || run->pid != getpid()) return RDD_OK;
  if (!strcmp(phase, "hand-off")) {
    run->tries++;
    for (int i = 0; i < run->faults; i++) run->armed[i].struck = false;
  }
  set_phase(&run->record, phase, iteration, side);
  job_run_log_phase(run);
  job_run_heartbeat(run);
  return run->faults ? strike(run, err) : RDD_OK;
}

rdd_status job_run_phase(job_run *run, const char *phase, int iteration, rdd_err *err) {
  return enter(run, phase, iteration, "", err);
}

rdd_status job_run_half_step(job_run *run, int iteration, int side, rdd_err *err) {
  return enter(run, "iteration", iteration, side ? "items" : "users", err);
}

/* ---- Stopping ---- */

/* The first signal is a wish. A SIGTERM that comes later is an order; one that comes at once is the same
 * wish, since a launcher and a scheduler may both have passed it on. */
static void ask_to_stop(int signal_number) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  bool again = stop_asked && now.tv_sec - stop_second >= PATIENCE_SECONDS;
  if (!stop_allowed || (again && signal_number == SIGTERM)) job_output_die(signal_number);
  if (!stop_asked) stop_second = (sig_atomic_t)now.tv_sec;
  stop_asked = 1;
}

void job_run_allow_stop(job_run *run, bool allowed) {
  if (!run) return;
  stop_allowed = allowed;
  if (!allowed) return;
  struct sigaction action = {.sa_handler = ask_to_stop, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGUSR1, &action, NULL);
}

bool job_run_stop_asked(const job_run *run) {
  return run && stop_asked;
}
