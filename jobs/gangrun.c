/* gangrun: run a gang again until its work is done.
 *
 * A gang of ranks cannot lose one: MPI ends all of it. So the whole gang is launched again, and the
 * checkpoints make that cheap. Whether the work is done is in the record that als keeps in the work
 * directory (record.h), and nowhere else: launchers end with status 0 although ranks are missing, and
 * with another one although all is well.
 *
 *   record says        what gangrun does
 *   done               ends with 0
 *   stopped            ends with 75
 *   failed 2, 65, 66   ends with that: usage, data and missing input will not get better
 *   failed otherwise   next attempt
 *   running, or none   next attempt: something died, hung or got lost
 */
#include "config.h"

#include "jobs/cli.h"
#include "jobs/gangrun_impl.h"
#include "jobs/json.h"
#include "jobs/leftovers.h"
#include "jobs/processes.h"
#include "jobs/ui.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  STATUS_USAGE = 2,
  STATUS_DATA = 65,
  STATUS_NO_INPUT = 66,
  STATUS_INTERNAL = 70,
  STATUS_IO = 74,
  STATUS_STOPPED = 75,
  TEXT = 1024
};

static const double longest_backoff = 60; /* s */

static const job_option options[] = {
    {"max-attempts", 0, JOB_INT, "N", "4", 1, 1e6, false, "launches of the command"},
    {"stall-timeout", 0, JOB_REAL, "S", "600", 0, 1e9, false,
     "seconds without progress after which an attempt is killed; 0: never"},
    {"work-dir", 0, JOB_STRING, "DIR", NULL, 0, 0, false,
     "record, event log, checkpoints and blocks; kept. Default: .gangrun-HASH, removed when done"},
    {"backoff", 0, JOB_REAL, "S", "1", 0, 3600, false,
     "seconds before the second attempt; doubled before each further one, up to 60"},
    {"version", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "print the version"},
    {"help", 'h', JOB_FLAG, NULL, NULL, 0, 0, false, "print this help"},
    {0},
};

void gangrun_say(const char *format, ...) {
  char text[2 * TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  fprintf(stderr, "gangrun: %s\n", text);
}

static void print_help(void) {
  printf("gangrun: run a gang of ranks again until its work is done\n\n"
         "usage: gangrun [OPTION]... [--] COMMAND [ARGUMENT]...\n\noptions:\n");
  job_options_print(stdout, options);
  printf("\nexample:\n  gangrun mpirun -n 8 als train ratings.h5 -o model.h5\n");
}

/* ---- The work directory ---- */

/* One name for one command in one folder, so that a requeued job finds what it had. */
static bool default_dir(char *const *command, char dir[PATH_MAX]) {
  char cwd[PATH_MAX];
  if (!getcwd(cwd, sizeof cwd)) return false;
  uint64_t hash = rdd_hash_bytes(cwd, strlen(cwd));
  for (; *command; command++) hash = rdd_mix64_2(hash, rdd_hash_bytes(*command, strlen(*command)));
  snprintf(dir, PATH_MAX, ".gangrun-%08x", (unsigned)(hash >> 32));
  return true;
}

/* Lock the directory for this process. Returns the descriptor, -1 with errno. */
static int lock_dir(const char *dir) {
  char path[PATH_MAX + 8];
  snprintf(path, sizeof path, "%s/lock", dir);
  for (;;) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    struct stat mine, there;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && (errno == EWOULDBLOCK || errno == EINTR)) {
      errno = EWOULDBLOCK;
      close(fd);
      return -1;
    }
    /* (a file system without locks is believed to have one user) */
    if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino) return fd;
    close(fd); /* somebody who was done removed it meanwhile */
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) return -1;
  }
}

/* What an attempt that was killed left half-written, and the record of the one before. */
static void sweep(const char *dir) {
  char path[2 * PATH_MAX];
  snprintf(path, sizeof path, "%s/record.json", dir);
  unlink(path);
  DIR *list = opendir(dir);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    if (strncmp(entry->d_name, ".record.json.tmp.", 17)) continue;
    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    unlink(path);
  }
  closedir(list);
}

/* Attempts are counted in the directory and not in the process, because a requeued job goes on where it
 * was. After an end for good counting begins anew, with an empty event log. If all of the last attempt was
 * killed, gangrun too, what it left is swept now. */
static int first_attempt(const char *dir) {
  char path[PATH_MAX + 16];
  int n = 0;
  job_record r;
  snprintf(path, sizeof path, "%s/attempts", dir);
  FILE *file = fopen(path, "re");
  if (file) {
    if (fscanf(file, "%d", &n) != 1 || n < 0) n = 0;
    fclose(file);
    job_leftovers_sweep(dir, n);
  }
  if (!job_record_read(dir, &r) || (r.state != JOB_DONE && r.state != JOB_FAILED)) return n + 1;
  snprintf(path, sizeof path, "%s/events", dir);
  job_remove_tree(path);
  return 1;
}

static bool save_attempt(const char *dir, int number) {
  char path[PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/attempts", dir);
  FILE *file = fopen(path, "we");
  if (!file) return false;
  bool good = fprintf(file, "%d\n", number) > 0;
  return fclose(file) == 0 && good;
}

/* ---- What the next attempt will find ---- */

/* The value of an option of als in the command, or NULL. */
static const char *command_option(char *const *command, const char *name) {
  size_t n = strlen(name);
  for (; *command; command++) {
    if (strncmp(*command, name, n)) continue;
    if ((*command)[n] == '=') return *command + n + 1;
    if (!(*command)[n]) return command[1];
  }
  return NULL;
}

/* Files in a folder: the highest I of checkpoint-I.h5, and how many that are not hidden. */
static void look(const char *dir, int *newest, int *files) {
  *newest = *files = 0;
  DIR *list = opendir(dir);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    int iteration, end = 0;
    if (entry->d_name[0] == '.') continue;
    ++*files;
    if (sscanf(entry->d_name, "checkpoint-%d.h5%n", &iteration, &end) == 1 && end &&
        !entry->d_name[end] && iteration > *newest)
      *newest = iteration;
  }
  closedir(list);
}

/* "resumes from iteration 4 and finds 8 blocks" */
static void tell_reuse(const supervisor *s, char *text, size_t room) {
  char dir[PATH_MAX + 16], blocks_text[40] = "";
  int newest, files, none, blocks;
  const char *given = command_option(s->command, "--checkpoint-dir");
  snprintf(dir, sizeof dir, "%s/checkpoint", s->dir);
  look(given ? given : dir, &newest, &files);
  snprintf(dir, sizeof dir, "%s/blocks", s->dir);
  look(dir, &none, &blocks);
  if (blocks) snprintf(blocks_text, sizeof blocks_text, " with %d parsed partitions", blocks);
  if (newest)
    snprintf(text, room, "resumes from iteration %d%s", newest, blocks_text);
  else
    snprintf(text, room, "starts from the beginning%s", blocks_text);
}

/* ---- The event log: what the ranks cannot know ---- */

/* One line of WORK_DIR/events/gangrun.jsonl. A log that cannot be written ends nothing. */
static void log_line(const supervisor *s, job_json *json) {
  char path[PATH_MAX + 24];
  const char *inside = json ? job_json_inside(json) : NULL;
  snprintf(path, sizeof path, "%s/events", s->dir);
  (void)mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/events/gangrun.jsonl", s->dir);
  FILE *file = inside ? fopen(path, "ae") : NULL;
  if (file) {
    fprintf(file, "{\"time\": %.6f, %s}\n", job_unix_time(), inside);
    fclose(file);
  }
  job_json_free(json);
}

static job_json *new_line(const char *event, int number) {
  job_json *json = job_json_new();
  job_json_string(json, "event", event);
  job_json_int(json, "attempt", number);
  return json;
}

static void log_launch(const supervisor *s, int number) {
  int words = 0;
  while (s->command[words]) words++;
  job_json *json = new_line("launch", number);
  job_json_strings(json, "command", (const char *const *)s->command, words);
  job_json_int(json, "max_attempts", s->max_attempts);
  log_line(s, json);
}

/* What an attempt came to: "done", "stopped", "again" or "given up"; next: what the next one finds, or "". */
static void log_verdict(const supervisor *s, const attempt *a, const char *verdict,
                        const char *next) {
  char cause[TEXT] = "";
  job_json *json = new_line("launch-ended", a->number);
  if (strcmp(verdict, "done")) gangrun_describe(s, a, cause, sizeof cause);
  job_json_string(json, "verdict", verdict);
  job_json_string(json, "cause", cause);
  if (a->who.rank >= 0) job_json_int(json, "rank", a->who.rank);
  if (a->who.signal) job_json_int(json, "signal", a->who.signal);
  job_json_string(json, "next", next);
  log_line(s, json);
}

/* ---- Deciding ---- */

typedef enum verdict { AGAIN, END } verdict;

/* What an attempt came to: END with *status set, or AGAIN. */
static verdict judge(const supervisor *s, const attempt *a, int *status) {
  char cause[TEXT];
  if (a->exec_errno) {
    gangrun_say("%s: cannot be executed: %s", s->command[0], strerror(a->exec_errno));
    *status = a->exec_errno == ENOENT ? 127 : 126;
    return END;
  }
  const job_record *r = &a->record;
  int code = WIFEXITED(a->status) ? WEXITSTATUS(a->status) : -1;
  if (!a->recorded && (code == 126 || code == 127)) {
    gangrun_say("the launcher ended with status %d before als started: it cannot be executed",
                code);
    *status = code;
    return END;
  }
  job_state state = a->recorded ? r->state : JOB_RUNNING;
  if (state == JOB_DONE) {
    if (code != 0) gangrun_say("the work is done, although the launcher did not end well");
    *status = 0;
    return END;
  }
  if (state == JOB_STOPPED && (s->asked || !a->stalled)) {
    gangrun_say("%s", r->message);
    *status = STATUS_STOPPED;
    return END;
  }
  gangrun_describe(s, a, cause, sizeof cause);
  if (state == JOB_FAILED && (r->exit_code == STATUS_USAGE || r->exit_code == STATUS_DATA ||
                              r->exit_code == STATUS_NO_INPUT)) {
    gangrun_say("%s; it would fail again, so there is no further attempt", cause);
    *status = r->exit_code;
    return END;
  }
  if (a->unkillable) {
    gangrun_say("%s; some of its processes cannot be killed, so there is no further attempt",
                cause);
    *status = STATUS_INTERNAL;
    return END;
  }
  if (s->asked) {
    gangrun_say("%s, after %s; no further attempt. The same command goes on with what is in %s",
                cause, strsignal(s->asked), s->dir);
    *status = s->asked == SIGUSR1 ? STATUS_STOPPED : 128 + s->asked;
    return END;
  }
  return AGAIN;
}

/* Sleep, unless a signal says that there is no further attempt. */
static bool wait_for_next(supervisor *s, double seconds) {
  for (int left = (int)(1000 * seconds); left > 0 && !s->asked; left -= 100) {
    (void)poll(&(struct pollfd){.fd = s->signals, .events = POLLIN}, 1, left < 100 ? left : 100);
    gangrun_take_signals(s, 0);
  }
  return !s->asked;
}

static int supervise(supervisor *s) {
  int status = STATUS_INTERNAL, number = first_attempt(s->dir);
  double delay = s->backoff;
  for (int i = 1; i <= s->max_attempts; i++, number++) {
    attempt a = {.number = number};
    char cause[TEXT], reuse[100], text[16];
    snprintf(text, sizeof text, "%d", number);
    setenv("GANGPLANK_ATTEMPT", text, 1);
    sweep(s->dir);
    if (!save_attempt(s->dir, number)) {
      gangrun_say("%s: cannot be written: %s", s->dir, strerror(errno));
      return STATUS_IO;
    }
    log_launch(s, number);
    gangrun_attempt(s, &a);
    if (!WIFEXITED(a.status)) job_leftovers_sweep(s->dir, number);
    if (judge(s, &a, &status) == END) {
      log_verdict(s, &a,
                  status == 0                ? "done"
                  : status == STATUS_STOPPED ? "stopped"
                                             : "given up",
                  "");
      if (!status && i > 1) gangrun_say("done in attempt %d of %d", i, s->max_attempts);
      return status;
    }
    gangrun_describe(s, &a, cause, sizeof cause);
    if (i == s->max_attempts) {
      log_verdict(s, &a, "given up", "");
      gangrun_say("attempt %d of %d: %s; giving up", i, i, cause);
      return STATUS_INTERNAL;
    }
    tell_reuse(s, reuse, sizeof reuse);
    log_verdict(s, &a, "again", reuse);
    gangrun_say("attempt %d of %d: %s; %g s to the next attempt, which %s", i, s->max_attempts,
                cause, delay, reuse);
    if (!wait_for_next(s, delay)) {
      gangrun_say("%s; no further attempt. The same command goes on with what is in %s",
                  strsignal(s->asked), s->dir);
      return s->asked == SIGUSR1 ? STATUS_STOPPED : 128 + s->asked;
    }
    delay = 2 * delay < longest_backoff ? 2 * delay : longest_backoff;
  }
  return status;
}

/* ---- Setting up ---- */

/* Open MPI hands no variables of ours to other nodes, where rank 0 may be, unless it is told to; and it
 * refuses to be told twice, here and by -x. */
static void hand_on_environment(char *const *command) {
  static const char name[] = "OMPI_MCA_mca_base_env_list";
  const char *slash = strrchr(command[0], '/'), *base = slash ? slash + 1 : command[0];
  const char *before = getenv(name);
  char list[4096];
  if (strncmp(base, "mpirun", 6) && strncmp(base, "mpiexec", 7) && strncmp(base, "orterun", 7))
    return;
  for (char *const *word = command; *word; word++)
    if (!strcmp(*word, "-x") || !strcmp(*word, "--x")) return;
  int n = snprintf(list, sizeof list, "%s%sGANGPLANK_WORK_DIR;GANGPLANK_ATTEMPT%s",
                   before ? before : "", before && *before ? ";" : "",
                   getenv("GANGPLANK_FAULT") ? ";GANGPLANK_FAULT" : "");
  if (n > 0 && n < (int)sizeof list) setenv(name, list, 1);
}

/* Signals are read, not handled; one that was ignored from the start (nohup) stays so. */
static int open_signals(sigset_t *before) {
  static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    struct sigaction now;
    bool ignored = sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN;
    if (numbers[i] == SIGCHLD && ignored) signal(SIGCHLD, SIG_DFL);
    if (numbers[i] == SIGCHLD || !ignored) sigaddset(&set, numbers[i]);
  }
  sigprocmask(SIG_BLOCK, &set, before);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Make and lock the work directory; 0, or the status to end with. */
static int open_dir(supervisor *s, const char *given) {
  char name[PATH_MAX] = "";
  if (given)
    snprintf(name, sizeof name, "%s", given);
  else if (!default_dir(s->command, name))
    snprintf(name, sizeof name, ".gangrun");
  if ((mkdir(name, 0777) != 0 && errno != EEXIST) || !realpath(name, s->dir)) {
    gangrun_say("%s: cannot be used as work directory: %s", name, strerror(errno));
    return STATUS_IO;
  }
  if (lock_dir(s->dir) >= 0) return 0;
  if (errno == EWOULDBLOCK)
    gangrun_say("%s: another gangrun works in this directory; give --work-dir for a second one",
                name);
  else
    gangrun_say("%s: cannot be locked: %s", name, strerror(errno));
  return STATUS_IO;
}

static int run(const job_args *args, char *const *command) {
  supervisor s = {.command = command,
                  .max_attempts = (int)job_int(args, "max-attempts"),
                  .stall_timeout = job_real(args, "stall-timeout"),
                  .backoff = job_real(args, "backoff")};
  const char *given = job_string(args, "work-dir");
  if (command_option(command, "--work-dir")) {
    gangrun_say("give --work-dir to gangrun, which hands it on to als");
    return STATUS_USAGE;
  }
  int status = open_dir(&s, given);
  if (status) return status;
  setenv("GANGPLANK_WORK_DIR", s.dir, 1);
  hand_on_environment(command);
  s.signals = open_signals(&s.mask);
  if (s.signals < 0 || !job_processes_adopt()) {
    gangrun_say("cannot supervise processes: %s", strerror(errno));
    return STATUS_INTERNAL;
  }
  status = supervise(&s);
  /* what a rerun could use stays */
  bool useless = status == 0 || status == STATUS_USAGE || status == STATUS_DATA ||
                 status == STATUS_NO_INPUT || status == 126 || status == 127;
  if (useless && !given) job_remove_tree(s.dir);
  return status;
}

/* How many words from argv[1] on are options of ours: the command's own ones come after. */
static int count_own(int argc, char **argv) {
  int n = 1;
  while (n < argc && argv[n][0] == '-' && argv[n][1] && strcmp(argv[n], "--")) {
    bool alone = strchr(argv[n], '=') || !strcmp(argv[n], "--help") || !strcmp(argv[n], "-h") ||
                 !strcmp(argv[n], "--version");
    n += alone || n + 1 == argc ? 1 : 2;
  }
  return n - 1;
}

int main(int argc, char **argv) {
  rdd_err err;
  job_args *args = NULL;
  int own = count_own(argc, argv), status = 0;
  if (job_args_parse(&args, options, 0, 0, own, argv + 1, &err)) {
    gangrun_say("%s\ntry: gangrun --help", err.message);
    return STATUS_USAGE;
  }
  char **command = argv + 1 + own;
  if (*command && !strcmp(*command, "--")) command++;
  if (job_flag(args, "help"))
    print_help();
  else if (job_flag(args, "version"))
    printf("gangrun (gangplank) %s\n", PACKAGE_VERSION);
  else if (*command)
    status = run(args, command);
  else {
    gangrun_say("no command given\ntry: gangrun --help");
    status = STATUS_USAGE;
  }
  job_args_free(args);
  return status;
}
