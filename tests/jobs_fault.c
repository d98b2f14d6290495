/* Faults on purpose, the record, the event log, and options that may be given several times. */
#include "jobs/cli.h"
#include "jobs/fault.h"
#include "jobs/record.h"
#include "jobs/run.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The grammar ---- */

static job_fault parsed(const char *spec) {
  job_fault f;
  rdd_err err;
  memset(&f, 0, sizeof f);
  TK_OK(job_fault_parse(spec, &f, &err), &err);
  return f;
}

static void specs(void) {
  job_fault f = parsed("task,stage=1,partition=3,attempt=2:kill=SEGV");
  TK_CHECK(f.where == JOB_FAULT_TASK && f.action == JOB_FAULT_KILL && f.number == SIGSEGV);
  TK_CHECK(f.key[JOB_FAULT_STAGE] == 1 && f.key[JOB_FAULT_PARTITION] == 3);
  TK_CHECK(f.key[JOB_FAULT_ATTEMPT] == 2 && f.key[JOB_FAULT_LAUNCH] == JOB_FAULT_ANY);
  f = parsed("gang,rank=last,iteration=5,side=items:exit=3");
  TK_CHECK(f.where == JOB_FAULT_GANG && f.action == JOB_FAULT_EXIT && f.number == 3);
  TK_CHECK(f.key[JOB_FAULT_RANK] == JOB_FAULT_LAST && f.key[JOB_FAULT_SIDE] == 1);
  TK_CHECK(!strcmp(f.phase, "iteration"));
  f = parsed("gang:hang");
  TK_CHECK(f.key[JOB_FAULT_RANK] == 0 && f.key[JOB_FAULT_RERUN] == 1 && !*f.phase);
  f = parsed("gang,rank=all,rerun=all,phase=hand-off:error");
  TK_CHECK(f.key[JOB_FAULT_RANK] == JOB_FAULT_ANY && f.key[JOB_FAULT_RERUN] == JOB_FAULT_ANY);
  TK_CHECK(!strcmp(f.phase, "hand-off") && f.action == JOB_FAULT_ERROR);
  f = parsed("checkpoint,iteration=4:cut=100");
  TK_CHECK(f.where == JOB_FAULT_CHECKPOINT && f.action == JOB_FAULT_CUT && f.number == 100);
  f = parsed("model:cut");
  TK_CHECK(f.number > 0);
  f = parsed("task,phase=reading test part:exit");
  TK_CHECK(!strcmp(f.phase, "reading test part") && f.number == 1);
}

static void signals_by_name(void) {
  TK_CHECK(job_signal_number("KILL") == SIGKILL && job_signal_number("SIGKILL") == SIGKILL);
  TK_CHECK(job_signal_number("segv") == SIGSEGV && job_signal_number("9") == 9);
  TK_CHECK(job_signal_number("BILL") == -1 && job_signal_number("0") == -1);
  TK_CHECK(job_signal_number("65") == -1 && job_signal_number("") == -1);
}

static void long_specs(void) {
  char spec[2 * JOB_FAULT_TEXT];
  job_fault f;
  rdd_err err;
  memset(spec, 'a', sizeof spec - 1);
  spec[sizeof spec - 1] = 0;
  TK_CHECK(job_fault_parse(spec, &f, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "is longer than 159 characters") != NULL);
}

/* ---- When it strikes ---- */

static void moments(void) {
  job_fault_moment now = {.where = JOB_FAULT_GANG, .phase = "iteration", .ranks = 3};
  for (int key = 0; key < JOB_FAULT_KEYS; key++) now.key[key] = JOB_FAULT_ANY;
  now.key[JOB_FAULT_RANK] = 2;
  now.key[JOB_FAULT_ITERATION] = 5;
  now.key[JOB_FAULT_SIDE] = 1;
  now.key[JOB_FAULT_ATTEMPT] = now.key[JOB_FAULT_RERUN] = 1;
  static const struct {
    const char *spec;
    bool strikes;
  } cases[] = {
      {"gang,rank=2:kill", true},
      {"gang,rank=last:kill", true},
      {"gang,rank=all:kill", true},
      {"gang:kill", false},
      {"gang,rank=1:kill", false},
      {"gang,rank=2,iteration=5:kill", true},
      {"gang,rank=2,iteration=6:kill", false},
      {"gang,rank=2,side=items:kill", true},
      {"gang,rank=2,side=users:kill", false},
      {"gang,rank=2,phase=writing:kill", false},
      {"gang,rank=2,attempt=2:kill", false},
      {"gang,rank=2,attempt=all:kill", true},
      {"gang,rank=2,rerun=2:kill", false},
      {"checkpoint,iteration=5:cut", false},
      {"task:kill", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    job_fault f = parsed(cases[i].spec);
    if (!tk_check(job_fault_strikes(&f, &now) == cases[i].strikes, cases[i].spec, __FILE__,
                  __LINE__))
      break;
  }
}

/* ---- The record ---- */

static void record_round_trip(void) {
  const char *dir = tk_tmpdir();
  job_record r = {.program = "als",
                  .version = "1",
                  .host = "n17",
                  .pid = 77,
                  .attempt = 3,
                  .phase = "iteration",
                  .iteration = 5,
                  .side = "users",
                  .progress = 123456789012,
                  .started = 1.25,
                  .updated = 1795354215.083709,
                  .state = JOB_FAILED,
                  .exit_code = 70,
                  .message = "say \"state\": \"done\", \\ \n\t\xc3\xa9 \xff"};
  TK_CHECK(job_record_write(dir, &r, true));
  job_record got;
  if (!TK_CHECK(job_record_read(dir, &got))) return;
  TK_CHECK(got.state == JOB_FAILED && got.exit_code == 70 && got.attempt == 3 && got.pid == 77);
  TK_CHECK(got.iteration == 5 && got.progress == 123456789012 && got.updated == r.updated);
  TK_CHECK(!strcmp(got.phase, "iteration") && !strcmp(got.side, "users") &&
           !strcmp(got.host, "n17"));
  TK_CHECK(!strncmp(got.message, "say \"state\": \"done\", \\ \n\t\xc3\xa9", 25));
  r.state = JOB_RUNNING;
  TK_CHECK(job_record_write(dir, &r, false) && job_record_read(dir, &got));
  TK_CHECK(got.state == JOB_RUNNING && got.exit_code == -1);
}

static void write_text(const char *text) {
  char path[600];
  snprintf(path, sizeof path, "%s/record.json", tk_tmpdir());
  FILE *file = fopen(path, "w");
  if (!TK_CHECK(file != NULL)) return;
  fputs(text, file);
  fclose(file);
}

static void records_that_are_none(void) {
  static const char *const texts[] = {
      "",
      "{",
      "null\n",
      "{\"state\": \"done\", \"attempt\": 1, \"exit_code\": 0",
      "{\"state\": \"done\", \"attempt\": 1}\n", /* ended, but how? */
      "{\"state\": \"great\", \"attempt\": 1, \"exit_code\": 0}\n",
      "{\"state\": \"done\", \"exit_code\": 0}\n",
  };
  job_record r;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    write_text(texts[i]);
    if (!tk_check(!job_record_read(tk_tmpdir(), &r), texts[i], __FILE__, __LINE__)) break;
  }
  TK_CHECK(!job_record_read("/nonexistent", &r));
  write_text("{\"state\": \"done\", \"attempt\": 1, \"exit_code\": 0}\n");
  TK_CHECK(job_record_read(tk_tmpdir(), &r) && r.state == JOB_DONE);
}

static void places_in_words(void) {
  char text[80];
  TK_CHECK(
      !strcmp(job_record_where("iteration", 5, "users", text, sizeof text), "iteration 5, users"));
  TK_CHECK(!strcmp(job_record_where("checkpoint", 4, "", text, sizeof text),
                   "checkpoint of iteration 4"));
  TK_CHECK(!strcmp(job_record_where("hand-off", 0, "", text, sizeof text), "hand-off"));
}

/* ---- A run ---- */

/* How many lines of the event log of rank 0 have the text. */
static int logged(const char *text) {
  char path[600], line[9000];
  int n = 0;
  snprintf(path, sizeof path, "%s/run/events/attempt-2.rank-0.jsonl", tk_tmpdir());
  FILE *file = fopen(path, "r");
  if (!TK_CHECK(file != NULL)) return -1;
  while (fgets(line, sizeof line, file)) n += strstr(line, text) != NULL;
  fclose(file);
  return n;
}

static void a_run(void) {
  char dir[600];
  rdd_comm *comm = NULL;
  job_run *run = NULL;
  rdd_err err;
  job_record r;
  const char *const faults[] = {"gang,iteration=3,attempt=2:error",
                                "task,partition=1,attempt=2:exit=5",
                                "checkpoint,iteration=4,attempt=all:cut=77"};
  snprintf(dir, sizeof dir, "%s/run", tk_tmpdir());
  setenv("GANGPLANK_ATTEMPT", "2", 1);
  setenv("GANGPLANK_FAULT", ";block,partition=2,attempt=2:corrupt;", 1);
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  if (!TK_OK(job_run_open(&run, comm, "als \"x\"", dir, faults, 3, &err), &err)) return;
  TK_CHECK(job_run_attempt(run) == 2 && job_run_dir(run) && strstr(job_run_dir(run), "/run"));
  TK_CHECK(job_record_read(dir, &r) && r.state == JOB_RUNNING && r.attempt == 2);

  TK_OK(job_run_phase(run, "hand-off", 0, &err), &err);
  TK_OK(job_run_half_step(run, 2, 1, &err), &err);
  TK_CHECK(job_run_half_step(run, 3, 1, &err) == RDD_EINTERNAL);
  TK_CHECK(strstr(err.message, "a fault on purpose in iteration 3, items: gang,iteration=3") !=
           NULL);
  TK_CHECK(job_run_half_step(run, 3, 0, &err) == RDD_OK); /* once in a try */
  TK_OK(job_run_phase(run, "hand-off", 0, &err), &err);
  TK_CHECK(job_run_half_step(run, 3, 1, &err) == RDD_OK); /* and in the first try only */

  TK_CHECK(job_run_task_fault(run, "reading", 0, 1, 0).kind == RDD_FAULT_NONE);
  rdd_fault f = job_run_task_fault(run, "reading", 0, 1, 1);
  TK_CHECK(f.kind == RDD_FAULT_EXIT && f.number == 5);
  TK_CHECK(job_fault_cut(run, "checkpoint", 4) == 77 && job_fault_cut(run, "checkpoint", 5) == -1);
  TK_CHECK(job_fault_cut(run, "model", 0) == -1 && !job_fault_corrupt(run, "checkpoint", 4));
  TK_CHECK(job_fault_corrupt(run, "block", 2) && !job_fault_corrupt(run, "block", 1));

  rdd_event event = {.kind = RDD_TASK_CRASHED,
                     .rdd = "read \"f\"",
                     .partition = 1,
                     .slot = -1,
                     .message = "it \"died\""};
  job_run_log_event(run, "reading", &event);
  als_iteration iteration = {
      .iteration = 1, .rmse_train = 0.5, .rmse_test = 0.0 / 0.0, .objective = 10, .seconds = 0.1};
  job_run_log_iteration(run, &iteration);
  job_run_log(run, "\"event\": \"mine\", \"n\": %d", 7);
  (void)rdd_set(&err, RDD_EIO, "no \"room\"");
  TK_CHECK(job_run_close(run, 74, &err));
  TK_CHECK(job_record_read(dir, &r) && r.state == JOB_FAILED && r.exit_code == 74);
  TK_CHECK(!strcmp(r.message, "no \"room\""));

  TK_CHECK(logged("\"event\": \"job-started\", \"command\": \"als \\\"x\\\"\"") == 1);
  TK_CHECK(logged("\"event\": \"phase\"") == 6);
  TK_CHECK(logged("\"event\": \"fault\"") == 4);
  TK_CHECK(logged("\"event\": \"task-crashed\", \"what\": \"reading\"") == 1);
  TK_CHECK(logged("\"message\": \"it \\\"died\\\"\"") == 1);
  TK_CHECK(logged("\"event\": \"iteration\"") == 1 && logged("rmse_test") == 0);
  TK_CHECK(logged(", \"event\": \"mine\", \"n\": 7}") == 1);
  TK_CHECK(logged("\"event\": \"job-ended\", \"exit_code\": 74") == 1);
  unsetenv("GANGPLANK_ATTEMPT");
  unsetenv("GANGPLANK_FAULT");
  rdd_comm_close(comm);
}

/* Without a work directory nothing is recorded, and faults strike all the same. */
static void a_run_without_a_folder(void) {
  rdd_comm *comm = NULL;
  job_run *run = NULL;
  rdd_err err;
  const char *const fault = "gang,phase=writing:error";
  unsetenv("GANGPLANK_WORK_DIR");
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  if (!TK_OK(job_run_open(&run, comm, "als", NULL, &fault, 1, &err), &err)) return;
  TK_CHECK(!job_run_dir(run) && job_run_attempt(run) == 1);
  TK_OK(job_run_phase(run, "reading", 0, &err), &err);
  TK_CHECK(job_run_phase(run, "writing", 9, &err) == RDD_EINTERNAL);
  TK_CHECK(job_run_close(run, 70, &err));
  TK_CHECK(job_run_close(NULL, 0, NULL) && !job_run_dir(NULL));
  TK_OK(job_run_phase(NULL, "reading", 0, &err), &err);
  rdd_comm_close(comm);
}

/* A run that could not begin is recorded too. */
static void a_run_with_a_bad_fault(void) {
  char dir[600];
  rdd_comm *comm = NULL;
  job_run *run = NULL;
  rdd_err err;
  job_record r;
  const char *const fault = "gang,iteration=no:kill";
  snprintf(dir, sizeof dir, "%s/bad", tk_tmpdir());
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  TK_CHECK(job_run_open(&run, comm, "als", dir, &fault, 1, &err) == RDD_EUSAGE);
  TK_CHECK(run && job_run_close(run, 2, &err));
  TK_CHECK(job_record_read(dir, &r) && r.state == JOB_FAILED && r.exit_code == 2);
  TK_CHECK(strstr(r.message, "iteration 'no'") != NULL);
  rdd_comm_close(comm);
}

/* ---- Stopping ---- */

static void stopping(void) {
  rdd_comm *comm = NULL;
  job_run *run = NULL;
  rdd_err err;
  if (!TK_OK(rdd_comm_single(&comm, &err), &err)) return;
  if (!TK_OK(job_run_open(&run, comm, "als", NULL, NULL, 0, &err), &err)) return;
  job_run_allow_stop(run, true);
  TK_CHECK(!job_run_stop_asked(run));
  raise(SIGUSR1);
  TK_CHECK(job_run_stop_asked(run));
  raise(SIGTERM); /* at once: the same wish, passed on twice */
  TK_CHECK(job_run_stop_asked(run) && !job_run_stop_asked(NULL));
  TK_CHECK(job_run_close(run, 75, NULL));
  signal(SIGUSR1, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  rdd_comm_close(comm);
}

/* ---- --fault A --fault B ---- */

static void repeated_options(void) {
  static const job_option options[] = {
      {"fault", 0, JOB_STRINGS, "SPEC", NULL, 0, 0, false, "a fault"},
      {"rank", 0, JOB_INT, "K", "3", 1, 9, false, "rank"},
      {0}};
  char *argv[] = {(char *)"--fault", (char *)"a", (char *)"--rank", (char *)"4",
                  (char *)"--fault=b=c"};
  job_args *args = NULL;
  rdd_err err;
  int n = -1;
  if (!TK_OK(job_args_parse(&args, options, 0, 0, 5, argv, &err), &err)) return;
  const char *const *all = job_strings(args, "fault", &n);
  TK_CHECK(n == 2 && !strcmp(all[0], "a") && !strcmp(all[1], "b=c") && job_int(args, "rank") == 4);
  job_args_free(args);
  if (!TK_OK(job_args_parse(&args, options, 0, 0, 0, argv, &err), &err)) return;
  (void)job_strings(args, "fault", &n);
  TK_CHECK(n == 0);
  job_args_free(args);
}

int main(void) {
  static const tk_case cases[] = {
      {"what a spec says", specs},
      {"signals by name", signals_by_name},
      {"a spec that is too long", long_specs},
      {"when a fault strikes", moments},
      {"a record is read as it was written", record_round_trip},
      {"records that are none", records_that_are_none},
      {"places in words", places_in_words},
      {"a run: record, event log, faults", a_run},
      {"a run without a work directory", a_run_without_a_folder},
      {"a run that could not begin", a_run_with_a_bad_fault},
      {"the wish to stop", stopping},
      {"options that may be given several times", repeated_options},
  };
  return tk_main("jobs_fault", cases, sizeof cases / sizeof cases[0]);
}
