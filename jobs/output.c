/* Outputs that are whole or not there. See output.h.
 *
 * The temporary file is ".<name>.tmp.<pid>" in the folder of the final one, so that the rename stays
 * inside one file system. Who writes it holds a lock on it, so that what a killed process left can be
 * told from what is being written, by another host too. The registry is a fixed array of plain memory,
 * because a signal handler reads it: an entry counts once its `owner` is set, and a forked task, whose
 * pid is another, removes nothing of its parent's. */
#include "jobs/output.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OUTPUTS = 8 };

typedef struct temporary {
  volatile sig_atomic_t owner; /* pid that wrote it; 0: the entry is free */
  char path[PATH_MAX];
} temporary;

static temporary registry[MAX_OUTPUTS];

struct job_output {
  temporary *temp;
  int lock; /* descriptor that holds the lock, or -1 */
  char final[PATH_MAX];
  char folder[PATH_MAX];
};

/* ---- Paths ---- */

bool job_path_ends(const char *path, const char *ending) {
  size_t n = strlen(path), m = strlen(ending);
  return n >= m && strcasecmp(path + n - m, ending) == 0;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The folder of a path: "." where it has none. */
static void folder_name(const char *path, char folder[PATH_MAX]) {
  size_t n = (size_t)(base_name(path) - path);
  if (n == 0)
    snprintf(folder, PATH_MAX, ".");
  else
    snprintf(folder, PATH_MAX, "%.*s", n > 1 ? (int)n - 1 : 1, path);
}

static bool has_ending(const char *path, const char *endings) {
  char ending[32];
  for (const char *at = endings; *at;) {
    size_t n = strcspn(at, "|");
    snprintf(ending, sizeof(ending), "%.*s", (int)n, at);
    if (job_path_ends(path, ending)) return true;
    at += n + (at[n] == '|');
  }
  return false;
}

rdd_status job_output_check(const char *path, const char *endings, rdd_err *err) {
  char folder[PATH_MAX];
  struct stat s;
  if (!*base_name(path) || strlen(path) >= PATH_MAX)
    return rdd_set(err, RDD_EUSAGE, "%s: not a name for an output file",
                   *path ? path : "(empty name)");
  if (endings && !has_ending(path, endings))
    return rdd_set(err, RDD_EUSAGE,
                   "%s: the ending of an output chooses its format; expected one of %s", path,
                   endings);
  if (stat(path, &s) == 0 && !S_ISREG(s.st_mode))
    return rdd_set(err, RDD_EUSAGE, "%s: is %s; give the name of a file", path,
                   S_ISDIR(s.st_mode) ? "a folder" : "no regular file");
  folder_name(path, folder);
  if (stat(folder, &s) != 0)
    return rdd_set(err, RDD_EIO, "%s: cannot be written: folder %s: %s", path, folder,
                   strerror(errno));
  if (!S_ISDIR(s.st_mode))
    return rdd_set(err, RDD_EIO, "%s: cannot be written: %s is no folder", path, folder);
  if (access(folder, W_OK | X_OK) != 0)
    return rdd_set(err, RDD_EIO, "%s: cannot be written: folder %s: %s", path, folder,
                   strerror(errno));
  return RDD_OK;
}

rdd_status job_make_folder(const char *path, rdd_err *err) {
  char part[PATH_MAX];
  struct stat s;
  size_t n = strlen(path);
  if (n == 0 || n >= PATH_MAX)
    return rdd_set(err, RDD_EUSAGE, "'%.200s': no name of a folder", path);
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    snprintf(part, sizeof(part), "%.*s", (int)i, path);
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
      return rdd_set(err, RDD_EIO, "folder %s cannot be made: %s", path, strerror(errno));
  }
  if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode))
    return rdd_set(err, RDD_EIO, "%s is no folder", path);
  if (access(path, R_OK | W_OK | X_OK) != 0)
    return rdd_set(err, RDD_EIO, "folder %s cannot be used: %s", path, strerror(errno));
  return RDD_OK;
}

/* The path without links, dots or doubled slashes; as it is where its folder cannot be found. */
static void resolve(const char *path, char out[2 * PATH_MAX]) {
  char folder[PATH_MAX], real[PATH_MAX];
  folder_name(path, folder);
  if (realpath(path, real))
    snprintf(out, 2 * PATH_MAX, "%s", real);
  else if (realpath(folder, real))
    snprintf(out, 2 * PATH_MAX, "%s/%s", real, base_name(path));
  else
    snprintf(out, 2 * PATH_MAX, "%s", path);
}

bool job_output_same(const char *a, const char *b) {
  char real_a[2 * PATH_MAX], real_b[2 * PATH_MAX];
  resolve(a, real_a);
  resolve(b, real_b);
  return !strcmp(real_a, real_b);
}

rdd_status job_output_apart(const char *path, char *const *input, int n, rdd_err *err) {
  for (int i = 0; i < n; i++)
    if (job_output_same(path, input[i]))
      return rdd_set(err, RDD_EUSAGE, "%s is an input; give the output another name", path);
  return RDD_OK;
}

/* ---- One output ---- */

/* Take a free entry and fill in its path; the entry counts from here on. */
static temporary *register_temporary(const char *folder, const char *name) {
  for (int i = 0; i < MAX_OUTPUTS; i++) {
    temporary *t = &registry[i];
    if (t->owner) continue;
    int n = snprintf(t->path, PATH_MAX, "%s/.%.200s.tmp.%ld", folder, name, (long)getpid());
    if (n >= PATH_MAX) return NULL;
    t->owner = (sig_atomic_t)getpid();
    return t;
  }
  return NULL;
}

/* Is this the name of a temporary file of an output whose name begins so? */
static bool is_temporary(const char *name, const char *prefix) {
  size_t n = strlen(prefix);
  const char *tmp = strstr(name, ".tmp.");
  if (name[0] != '.' || strncmp(name + 1, prefix, n) != 0 || !tmp) return false;
  tmp += strlen(".tmp.");
  return *tmp && strspn(tmp, "0123456789") == strlen(tmp);
}

void job_output_sweep(const char *folder, const char *prefix) {
  char path[PATH_MAX];
  DIR *list = opendir(folder);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    if (!is_temporary(entry->d_name, prefix)) continue;
    if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= PATH_MAX) continue;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(path);
    close(fd);
  }
  closedir(list);
}

/* A new file that nobody sweeps: another process may sweep it between its making and its lock, and then it is
 * made again. Returns -1 with errno where it cannot be made. Without locks nothing is swept either. */
static int create_locked(const char *path) {
  for (;;) {
    struct stat own, there;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
      continue; /* a sweeper only has it to unlink */
    if (fstat(fd, &own) != 0 || (stat(path, &there) == 0 && there.st_ino == own.st_ino)) return fd;
    close(fd);
  }
}

rdd_status job_output_open(job_output **out, const char *path, rdd_err *err) {
  rdd_status st = job_output_check(path, NULL, err);
  if (st) return st;
  job_output *o = rdd_calloc(1, sizeof(*o));
  if (!o) return rdd_set(err, RDD_ENOMEM, "%s: out of memory", path);
  o->lock = -1;
  struct stat s;
  bool link = lstat(path, &s) == 0 && S_ISLNK(s.st_mode);
  if (!link || !realpath(path, o->final)) snprintf(o->final, PATH_MAX, "%s", path);
  folder_name(o->final, o->folder);
  o->temp = register_temporary(o->folder, base_name(o->final));
  if (!o->temp) {
    rdd_free(o);
    return rdd_set(err, RDD_EINTERNAL, "%s: more than %d outputs at a time, or a path too long",
                   path, MAX_OUTPUTS);
  }
  job_output_sweep(o->folder, base_name(o->final));
  unlink(o->temp->path); /* left by a process of the same number, where there are no locks */
  o->lock = create_locked(o->temp->path);
  if (o->lock < 0) {
    st = rdd_set(err, RDD_EIO, "%s: cannot be created: %s", path, strerror(errno));
    job_output_abandon(o);
    return st;
  }
  *out = o;
  return RDD_OK;
}

const char *job_output_path(const job_output *output) {
  return output->temp->path;
}

void job_output_share(const job_output *output) {
  (void)flock(output->lock, LOCK_SH | LOCK_NB);
}

/* fsync by path: true when it is on the disk, or on something that cannot be synced. */
static bool sync_path(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) return false;
  int failed = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
  close(fd);
  errno = failed;
  return !failed;
}

rdd_status job_output_commit(job_output *output, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (!sync_path(output->temp->path, 0)) {
    st = rdd_set(err, RDD_EIO, "%s: cannot be written: %s", output->final, strerror(errno));
    goto done;
  }
  if (rename(output->temp->path, output->final) != 0) {
    st = rdd_set(err, RDD_EIO, "%s: cannot be renamed to its final name: %s", output->final,
                 strerror(errno));
    goto done;
  }
  output->temp->owner = 0;
  output->temp = NULL;
  if (!sync_path(output->folder, O_DIRECTORY))
    st = rdd_set(err, RDD_EIO, "%s: written, but its folder cannot be synced: %s", output->final,
                 strerror(errno));
done:
  job_output_abandon(output);
  return st;
}

void job_output_abandon(job_output *output) {
  if (!output) return;
  if (output->temp) {
    unlink(output->temp->path);
    output->temp->owner = 0;
  }
  if (output->lock >= 0) close(output->lock);
  rdd_free(output);
}

/* ---- Signals ---- */

static volatile sig_atomic_t launched; /* there are other ranks */

/* Two texts, of which one is complete at any moment, and whose process they are of: not of its tasks. */
static char farewell[2][400];
static volatile sig_atomic_t farewell_turn, farewell_owner;

void job_output_farewell(const char *text) {
  int other = !farewell_turn;
  farewell_owner = 0;
  if (!text) return;
  snprintf(farewell[other], sizeof(farewell[other]), "%s", text);
  farewell_turn = other;
  farewell_owner = (sig_atomic_t)getpid();
}

/* Only what a signal handler may call. */
static void say_farewell(int signal_number) {
  const char *name = signal_number == SIGINT    ? "\nals: interrupted (SIGINT): "
                     : signal_number == SIGTERM ? "\nals: told to end (SIGTERM): "
                                                : "\nals: ended by a signal: ";
  const char *text = farewell[farewell_turn];
  if (farewell_owner != (sig_atomic_t)getpid()) return;
  farewell_owner = 0;
  if (write(STDERR_FILENO, name, strlen(name)) < 0 ||
      write(STDERR_FILENO, text, strlen(text)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
    return; /* nobody listens */
}

/* Open MPI asks all ranks to go (SIGTERM), and kills those that are left as soon as the first is gone. So
 * ranks that have nothing to remove give the one that has a moment. */
void job_output_die(int signal_number) {
  bool writes = false;
  for (int i = 0; i < MAX_OUTPUTS; i++) {
    if (registry[i].owner != (sig_atomic_t)getpid()) continue;
    unlink(registry[i].path);
    writes = true;
  }
  say_farewell(signal_number);
  if (launched && !writes) nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  signal(signal_number, SIG_DFL);
  raise(signal_number); /* delivered when the handler returns */
}

void job_output_handle_signals(void) {
  static const int fatal[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
  struct sigaction action = {.sa_handler = job_output_die};
  sigemptyset(&action.sa_mask);
  launched = gang_launched();
  for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
    struct sigaction before;
    /* a signal that was ignored on purpose (nohup) stays ignored */
    if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(fatal[i], &action, NULL);
  }
  signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write(), like a full disk */
}

/* ---- Faults on purpose ---- */

void job_output_damage(const char *path, int64_t cut) {
  struct stat s;
  unsigned char bytes[16];
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &s) != 0) goto done;
  if (cut >= 0) {
    if (cut < (int64_t)s.st_size && ftruncate(fd, (off_t)cut) != 0) goto done;
  } else if (pread(fd, bytes, sizeof(bytes), s.st_size / 2) > 0) {
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] ^= 0x55;
    if (pwrite(fd, bytes, sizeof(bytes), s.st_size / 2) < 0) goto done;
  }
done:
  if (fd >= 0) close(fd);
}

static void die_as_killed(int signal_number) {
  (void)signal_number;
  raise(SIGKILL);
}

void job_output_die_past(int64_t bytes) {
  struct rlimit limit;
  struct sigaction action = {.sa_handler = die_as_killed};
  sigemptyset(&action.sa_mask);
  sigaction(SIGXFSZ, &action, NULL);
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0) return;
  limit.rlim_cur = (rlim_t)bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}
