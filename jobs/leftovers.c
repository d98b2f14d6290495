/* What a killed mpirun leaves. See leftovers.h. */
#include "jobs/leftovers.h"

#include "jobs/processes.h"
#include "jobs/record.h"

#include <ctype.h>
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- In a rank: where they are ---- */

/* The directory of this launch: Open MPI's word for it, or PMIx' (Open MPI 5). */
static const char *session_dir(void) {
  const char *dir = getenv("OMPI_MCA_orte_jobfam_session_dir");
  if (!dir) dir = getenv("PMIX_SERVER_TMPDIR");
  return dir && *dir == '/' ? dir : NULL;
}

/* The name of a file that this process shares with others, cut before the number of the rank. als shares
 * only memory files, which have no name; so it is one of MPI's. */
static bool find_segment(const char *session, char *prefix, size_t room) {
  char line[PATH_MAX + 128];
  bool found = false;
  FILE *maps = fopen("/proc/self/maps", "re");
  while (maps && !found && fgets(line, sizeof line, maps)) {
    char *path = strchr(line, '/'), *end = strchr(line, '\n');
    if (!path || !end || !strstr(line, " rw-s ") || !isdigit((unsigned char)end[-1])) continue;
    *end = 0;
    if (!strncmp(path, session, strlen(session)) || !strncmp(path, "/memfd:", 7)) continue;
    while (isdigit((unsigned char)end[-1])) *--end = 0;
    found = end[-1] == '.' && strlen(path) < room;
    if (found) strcpy(prefix, path);
  }
  if (maps) fclose(maps);
  return found;
}

void job_leftovers_note(job_json *json) {
  char prefix[PATH_MAX];
  const char *session = session_dir();
  if (!session) return;
  job_json_string(json, "mpi_session", session);
  if (find_segment(session, prefix, sizeof prefix)) job_json_string(json, "mpi_segments", prefix);
}

/* ---- In gangrun: away with them ---- */

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at) {
  (void)s, (void)type, (void)at;
  (void)remove(path);
  return 0;
}

void job_remove_tree(const char *dir) {
  (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_ours(const char *path, mode_t type) {
  struct stat s;
  return lstat(path, &s) == 0 && (s.st_mode & S_IFMT) == type && s.st_uid == geteuid();
}

/* Open MPI calls a session by its launcher: ".../pid.4711" (4), ".../prte.n17.4711" (5). Where a process
 * has that number again, the names may be those of another launch. */
static bool launcher_is_gone(const char *session) {
  const char *number = strrchr(session, '.');
  if (!number || !isdigit((unsigned char)number[1])) return false;
  return !job_process_lives((pid_t)atoi(number + 1));
}

/* Give each name in `dir` that begins with `prefix` to fn, until it says that this is enough. */
static void each_name(const char *dir, const char *prefix,
                      bool (*fn)(const char *path, const char *arg), const char *arg) {
  char path[2 * PATH_MAX];
  DIR *list = opendir(dir);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    if (strncmp(entry->d_name, prefix, strlen(prefix))) continue;
    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    if (fn(path, arg)) break;
  }
  closedir(list);
}

static bool remove_segment(const char *path, const char *prefix) {
  const char *p = path + strlen(prefix);
  while (isdigit((unsigned char)*p)) p++;
  if (!*p && is_ours(path, S_IFREG)) (void)unlink(path);
  return false;
}

/* All files that are called `prefix` and a number. */
static void remove_segments(char *prefix) {
  char dir[PATH_MAX];
  char *slash = strrchr(prefix, '/');
  if (!slash || slash == prefix || !slash[1]) return;
  snprintf(dir, sizeof dir, "%.*s", (int)(slash - prefix), prefix);
  each_name(dir, slash + 1, remove_segment, prefix);
}

/* True where the log is of a rank on this host: one of them is enough. */
static bool sweep_by(const char *path, const char *host) {
  char line[8192], text[PATH_MAX] = "";
  FILE *log = fopen(path, "re");
  if (!log) return false;
  bool here = fgets(line, sizeof line, log) &&
              job_json_find_string(line, "host", text, sizeof text) && !strcmp(text, host);
  fclose(log);
  if (!here || !job_json_find_string(line, "mpi_session", text, sizeof text)) return here;
  if (!launcher_is_gone(text)) return true;
  if (is_ours(text, S_IFDIR)) job_remove_tree(text);
  if (job_json_find_string(line, "mpi_segments", text, sizeof text)) remove_segments(text);
  return true;
}

void job_leftovers_sweep(const char *dir, int attempt) {
  char events[PATH_MAX + 8], prefix[40], host[64] = "";
  gethostname(host, sizeof host - 1);
  snprintf(events, sizeof events, "%s/events", dir);
  snprintf(prefix, sizeof prefix, "attempt-%d.rank-", attempt);
  each_name(events, prefix, sweep_by, host);
}
