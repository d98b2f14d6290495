/* The frame around every command: options, communicator, threads, and how it ends. */
#include "config.h"

#include "jobs/job.h"

#include "jobs/input.h"
#include "jobs/output.h"
#include "jobs/settings.h"
#include "jobs/ui.h"
#include "mllib/als.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only OpenBLAS has these; another BLAS is told by its own environment variables. */
extern void openblas_set_num_threads(int n) __attribute__((weak));
extern int openblas_get_parallel(void) __attribute__((weak));

enum { MAX_OPTIONS = 80 };
enum help { NO_HELP, HELP, ALL_HELP };

static const job_option common_options[] = {
    {"threads", 0, JOB_INT, "N", NULL, 1, 4096, false,
     "threads of each rank; default: the node's cores, shared fairly"},
    {"json", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "print one JSON object on stdout"},
    {"quiet", 'q', JOB_FLAG, NULL, NULL, 0, 0, false, "print errors and warnings only"},
    {"work-dir", 0, JOB_STRING, "DIR", NULL, 0, 0, false,
     "for log, checkpoints, blocks; gangrun sets its default"},
    {"config", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "options as lines of key = value, or those of a model; see als(1)"},
    {"fault", 0, JOB_STRINGS, "SPEC", NULL, 0, 0, false,
     "a fault on purpose, see als(1); may be given several times"},
    {"help", 'h', JOB_FLAG, NULL, NULL, 0, 0, false, "print the options of every day"},
    {"help-all", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "print all options"},
    {0},
};
static const job_option input_options[] = {JOB_INPUT_OPTIONS, {0}};

int job_exit_code(rdd_status status) {
  switch (status) {
  case RDD_OK:
    return 0;
  case RDD_EUSAGE:
    return 2;
  case RDD_EDATA:
  case RDD_ESINGULAR:
    return 65;
  case RDD_ENOINPUT:
    return 66;
  case RDD_EIO:
    return 74;
  case RDD_ESTOPPED:
    return 75;
  case RDD_ENOMEM:
  case RDD_ETASK:
  case RDD_EINTERNAL:
    break;
  }
  return 70;
}

static void print_help(const job_command *const *commands) {
  printf("als: recommenders by alternating least squares, on one machine or a cluster\n\n"
         "usage: [mpirun -n RANKS] als COMMAND [OPTION]...\n\ncommands:\n");
  for (const job_command *const *c = commands; *c; c++)
    printf("  %-10s  %s\n", (*c)->name, (*c)->summary);
  printf("\nals COMMAND --help tells the options of a command; als --version what this is.\n"
         "example:\n"
         "  als generate -o ratings.h5\n"
         "  mpirun -n 2 als train ratings.h5 -o model.h5 --rank 32\n"
         "  als recommend model.h5 --top 10 --users 1,2,3\n");
}

static bool in_table(const job_option *table, const char *name) {
  for (; table->name; table++)
    if (!strcmp(table->name, name)) return true;
  return false;
}

/* What fits a screen: the options that are typed every day. */
static bool is_daily(const job_command *command, const char *name) {
  char word[64];
  if (!command->daily) return in_table(command->options, name) && !in_table(input_options, name);
  snprintf(word, sizeof word, " %s ", name);
  return strstr(command->daily, word) != NULL;
}

static void print_command_help(const job_command *command, const job_option *options, bool all) {
  job_option shown[MAX_OPTIONS] = {{0}};
  int n = 0, left = 0;
  for (const job_option *o = options; o->name; o++)
    if (all || is_daily(command, o->name))
      shown[n++] = *o;
    else
      left++;
  printf("als %s: %s\n\nusage: als %s %s\n\n%s", command->name, command->summary, command->name,
         command->usage, n ? "options:\n" : "");
  job_options_print(stdout, shown);
  if (left) printf("%d more: als %s --help-all, or man als\n", left, command->name);
  printf("\nexample:\n  %s\n", command->example);
}

static void print_version(void) {
  printf("als (gangplank) %s, kernels for %s\n%s\n", PACKAGE_VERSION, als_kernels_name(),
         gang_mpi_version());
}

/* Cores that this rank may use: those it is bound to, but no more than its share of the node. */
static int fair_threads(const rdd_comm *comm) {
  const char *omp = getenv("OMP_NUM_THREADS");
  if (omp && atoi(omp) > 0) return atoi(omp);
  cpu_set_t set;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  long bound = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : cores;
  long share = cores / comm->node_size;
  long threads = bound < share ? bound : share;
  return threads < 1 ? 1 : (int)threads;
}

/* Threads are over blocks of rows, and each calls a BLAS that has one. A serial OpenBLAS must not be
 * called from two threads at once: its buffers are not locked, and results are silently wrong. The
 * order matters too: OpenBLAS built on OpenMP sets OpenMP's number as well. Returns the threads. */
static int set_threads(int threads) {
  if (threads > 1 && openblas_get_parallel && openblas_get_parallel() == 0) {
    job_warn(
        "this OpenBLAS is the serial one, which threads cannot share: 1 thread a rank, not %d; "
        "start one rank a core, or install libopenblas-dev",
        threads);
    threads = 1;
  }
  if (openblas_set_num_threads) openblas_set_num_threads(1);
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
  return threads;
}

/* A kind of kernels that was asked for in vain. */
static void check_kernels(void) {
  const char *wanted = getenv("GANGPLANK_KERNELS");
  if (wanted && strcmp(wanted, als_kernels_name()))
    job_warn("GANGPLANK_KERNELS is '%s', which is not avx512, avx2 or portable, or not for this "
             "processor; computing with those for %s",
             wanted, als_kernels_name());
}

static void show_partitions(void *arg, int64_t done, int64_t total) {
  const job_stage *stage = arg;
  job_progress(stage->what, done, total, "partitions");
}

/* A crash is said by the rank that saw it, since rank 0 does not know. */
static void note_event(void *arg, const rdd_event *event) {
  const job_stage *stage = arg;
  job_run_log_event(stage->j->run, stage->what, event);
  if (event->kind == RDD_TASK_CRASHED || event->kind == RDD_BLOCK_LOST)
    fprintf(stderr, "als: %s: %s\n", stage->what, event->message);
}

static rdd_fault task_fault(void *arg, int64_t stage_number, int64_t partition, int attempt) {
  const job_stage *stage = arg;
  return job_run_task_fault(stage->j->run, stage->what, stage_number, partition, attempt);
}

rdd_run_opts job_run_opts(job *j, const char *what) {
  job_stage *stage = &j->stage[j->stages++ % JOB_STAGES];
  *stage = (job_stage){j, what};
  return (rdd_run_opts){
      .slots = j->threads,
      .time_limit = j->task_time_limit,
      .progress = show_partitions,
      .event = note_event,
      .fault = task_fault,
      .arg = stage,
  };
}

/* argv as one line that a shell reads back. */
static char *join_command_line(int argc, char *const *argv) {
  size_t length = 1;
  for (int i = 0; i < argc; i++) length += strlen(argv[i]) + 3;
  char *line = rdd_alloc(length, 1);
  if (!line) return NULL;
  char *p = line;
  for (int i = 0; i < argc; i++) {
    bool plain = *argv[i] && !strpbrk(argv[i], " \t\n'\"$*?[]|&;<>()\\`");
    p += sprintf(p, plain ? "%s%s" : "%s'%s'", i ? " " : "", argv[i]);
  }
  return line;
}

static const job_command *find_command(const job_command *const *commands, const char *name) {
  for (; *commands; commands++)
    if (!strcmp((*commands)->name, name)) return *commands;
  return NULL;
}

/* A command that is not there; perhaps one that is spelt like it. */
static rdd_status unknown_command(const job_command *const *commands, const char *word,
                                  rdd_err *err) {
  const char *best = NULL;
  int best_distance = 3;
  for (; *commands; commands++) {
    int d = job_edit_distance(word, (*commands)->name);
    if (d >= best_distance) continue;
    best_distance = d;
    best = (*commands)->name;
  }
  return rdd_set(err, RDD_EUSAGE, "unknown command '%s'%s%s; als --help lists them", word,
                 best ? "; did you mean " : "", best ? best : "");
}

/* The command's table, then the options that all commands have. */
static void merge_options(const job_command *command, job_option out[MAX_OPTIONS]) {
  int n = 0;
  for (const job_option *o = command->options;
       o->name && n < MAX_OPTIONS - (int)(sizeof common_options / sizeof *common_options); o++)
    out[n++] = *o;
  for (const job_option *o = common_options; o->name; o++) out[n++] = *o;
  memset(&out[n], 0, sizeof out[n]);
}

static enum help wants_help(int argc, char *const *argv) {
  enum help help = NO_HELP;
  for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
    if (!strcmp(argv[i], "--help-all")) return ALL_HELP;
    if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) help = HELP;
  }
  return help;
}

/* Tell what went wrong, once. A --json caller gets an object even then. */
static void report_error(const job *j, const rdd_err *err, rdd_status st) {
  if (j->comm && j->comm->rank != 0) return;
  if (st == RDD_EUSAGE && j->command)
    fprintf(stderr, "als %s: %s\ntry: als %s --help\n", j->command, err->message, j->command);
  else
    fprintf(stderr, "als%s%s: %s\n", j->command ? " " : "", j->command ? j->command : "",
            err->message);
  if (!j->json) return;
  job_json *object = job_json_new();
  if (!object) return;
  job_json_string(object, "error", err->message);
  job_json_int(object, "exit_code", job_exit_code(st));
  job_json_print(object, stdout);
  job_json_free(object);
}

/* Begin the run, so that how it ends is on record whatever that is: a command line that could not be
 * parsed (`so_far`, without args) too. */
static rdd_status begin_run(job *j, const job_args *args, rdd_status so_far, rdd_err *err) {
  int n = 0;
  const char *dir = args ? job_string(args, "work-dir") : NULL;
  const char *const *faults = args ? job_strings(args, "fault", &n) : NULL;
  rdd_err run_err;
  rdd_status st = job_run_open(&j->run, j->comm, j->command_line, dir, faults, n, &run_err);
  if (so_far || !st) return so_far;
  *err = run_err;
  return st;
}

/* Inputs are not lost to a slip of the keyboard. Collective. */
static rdd_status keep_inputs(const job *j, const job_command *command, const job_args *args,
                              rdd_err *err) {
  int first = command->in_place;
  const char *config = job_string(args, "config");
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0 && job_given(args, "output")) {
    st = job_output_apart(job_string(args, "output"), job_positional(args) + first,
                          job_positionals(args) - first, err);
    if (!st && config)
      st = job_output_apart(job_string(args, "output"), (char *const *)&config, 1, err);
  }
  return rdd_agree(j->comm, st, err);
}

/* What the file says that --config names, for what the command line has left open. Collective. */
static rdd_status add_settings(const job *j, const job_command *command, job_args *args,
                               job_settings **settings_out, rdd_err *err) {
  const char *path = job_string(args, "config");
  if (!path) return RDD_OK;
  rdd_status st = job_settings_read(j->comm, path, settings_out, err);
  if (st) return st;
  const job_settings *s = *settings_out;
  if (s->of_model && command == &job_train && !job_given(args, "output"))
    return rdd_set(err, RDD_EUSAGE,
                   "--output is missing: --config %s repeats what made that model, and does not "
                   "write over it",
                   path);
  if (s->of_model && !command->fits)
    return rdd_set(err, RDD_EUSAGE,
                   "--config %s is a model, whose settings are for als train, plan and tune", path);
  return job_args_add_settings(args, path, s->list, s->n, s->of_model, err);
}

/* The command line, and settings.
 *   settings_out  [out] what the args point to; set on failure too. Collective. */
static rdd_status read_args(const job *j, const job_command *command, const job_option *options,
                            int argc, char *const *argv, job_args **out,
                            job_settings **settings_out, rdd_err *err) {
  job_args *args = NULL;
  rdd_status st = job_args_read(&args, options, argc, argv, err);
  if (!st) st = add_settings(j, command, args, settings_out, err);
  if (!st) st = job_args_complete(args, command->positional_min, command->positional_max, err);
  if (st)
    job_args_free(args);
  else
    *out = args;
  return st;
}

static rdd_status run_command(job *j, const job_command *command, int argc, char **argv,
                              rdd_err *err) {
  job_option options[MAX_OPTIONS];
  merge_options(command, options);
  enum help help = wants_help(argc, argv);
  if (help) {
    rdd_status st = begin_run(j, NULL, RDD_OK, err);
    if (!st && j->comm->rank == 0) print_command_help(command, options, help == ALL_HELP);
    return st;
  }
  /* Known before the rest is parsed, so that even a usage error can be told as JSON. */
  for (int i = 0; i < argc; i++) j->json |= !strcmp(argv[i], "--json");
  job_args *args = NULL;
  job_settings *settings = NULL;
  rdd_status st = read_args(j, command, options, argc, argv, &args, &settings, err);
  st = begin_run(j, args, st, err);
  if (st) goto done;
  j->json = job_flag(args, "json");
  j->quiet = job_flag(args, "quiet");
  job_ui_init(j->comm->rank == 0, j->quiet);
  j->threads = job_given(args, "threads") ? (int)job_int(args, "threads") : fair_threads(j->comm);
  j->threads = set_threads(j->threads);
  check_kernels();
  job_output_handle_signals();
  if (j->comm->rank == 0)
    job_output_farewell("nothing is left half-written; the same command begins anew");
  j->result = job_json_new();
  job_run_log_settings(j->run, command->name, j->threads, args);
  st = keep_inputs(j, command, args, err);
  if (!st) st = command->run(j, args, err);
  if (!st && j->result) job_run_log_result(j->run, j->result);
  if (!st && j->json && j->comm->rank == 0 && j->result) job_json_print(j->result, stdout);
done:
  job_output_farewell(NULL);
  job_json_free(j->result);
  job_args_free(args);
  job_settings_free(settings);
  return st;
}

/* Output that could not be written (a closed pipe, a full disk) is a failure too. */
static rdd_status flush_stdout(rdd_err *err) {
  if (fflush(stdout) || ferror(stdout))
    return rdd_set(err, RDD_EIO, "cannot write to standard output");
  return RDD_OK;
}

/* What the first word asks for. */
static rdd_status dispatch(job *j, const job_command *const *commands, int argc, char **argv,
                           rdd_err *err) {
  const char *word = argc > 1 ? argv[1] : "--help";
  const job_command *command = find_command(commands, word);
  if (command) {
    j->command = command->name;
    return run_command(j, command, argc - 2, argv + 2, err);
  }
  bool version = !strcmp(word, "--version");
  bool help = !strcmp(word, "--help") || !strcmp(word, "--help-all") || !strcmp(word, "-h") ||
              !strcmp(word, "help");
  rdd_status st = RDD_OK;
  if (argc < 2)
    st = rdd_set(err, RDD_EUSAGE, "no command given");
  else if (!version && !help)
    st = unknown_command(commands, word, err);
  if (j->comm->rank == 0 && version) print_version();
  if (j->comm->rank == 0 && help) print_help(commands);
  return begin_run(j, NULL, st, err);
}

/* Done is said last, when the output is where it belongs. */
static void end_run(job *j, rdd_status st, const rdd_err *err) {
  if (!job_run_close(j->run, job_exit_code(st), st ? err : NULL))
    fprintf(stderr,
            "als: the record of this run cannot be written: a supervisor will run it again\n");
}

int job_main(int argc, char **argv, const job_command *const *commands) {
  job j = {0};
  rdd_err err = {0};
  rdd_status st = gang_open(&argc, &argv, &j.comm, &err);
  char *line = NULL;
  if (st) {
    job_run_record_failure(job_exit_code(st), &err);
    goto done;
  }
  line = join_command_line(argc, argv);
  j.command_line = line ? line : "als";
  st = dispatch(&j, commands, argc, argv, &err);
  if (!st) st = flush_stdout(&err);
  end_run(&j, st, &err);
done:
  if (st) report_error(&j, &err, st);
  rdd_free(line);
  rdd_comm_close(j.comm);
  if (!st && getenv("GANGPLANK_CHECK_LEAKS") && rdd_memory_live()) {
    fprintf(stderr, "als: %lld allocations were not freed\n", (long long)rdd_memory_live());
    return job_exit_code(RDD_EINTERNAL);
  }
  return job_exit_code(st);
}
