/* The record of a run. See record.h. */
#include "jobs/record.h"

#include "jobs/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const state_names[] = {[JOB_RUNNING] = "running",
                                          [JOB_DONE] = "done",
                                          [JOB_FAILED] = "failed",
                                          [JOB_STOPPED] = "stopped"};
enum { STATES = sizeof state_names / sizeof state_names[0], RECORD_ROOM = 8192 };

const char *job_record_where(const char *phase, int iteration, const char *side, char *text,
                             size_t room) {
  if (!iteration)
    snprintf(text, room, "%s", phase);
  else if (!strcmp(phase, "iteration"))
    snprintf(text, room, "iteration %d%s%s", iteration, *side ? ", " : "", side);
  else
    snprintf(text, room, "%s of iteration %d", phase, iteration);
  return text;
}

/* ---- Writing ---- */

static job_json *as_json(const job_record *r) {
  job_json *json = job_json_new();
  if (!json) return NULL;
  job_json_string(json, "program", r->program);
  job_json_string(json, "version", r->version);
  job_json_string(json, "host", r->host);
  job_json_int(json, "pid", r->pid);
  job_json_int(json, "attempt", r->attempt);
  job_json_string(json, "phase", r->phase);
  job_json_int(json, "iteration", r->iteration);
  job_json_string(json, "side", r->side);
  job_json_int(json, "progress", r->progress);
  job_json_real(json, "started", r->started);
  job_json_real(json, "updated", r->updated);
  job_json_string(json, "state", state_names[r->state]);
  if (r->state != JOB_RUNNING) job_json_int(json, "exit_code", r->exit_code);
  job_json_string(json, "message", r->message);
  return json;
}

/* Write, and sync if asked; errno says why not. */
static bool write_file(const char *path, const job_json *json, bool sync) {
  FILE *file = fopen(path, "we");
  if (!file) return false;
  job_json_print(json, file);
  bool good = fflush(file) == 0 && !ferror(file) && (!sync || fsync(fileno(file)) == 0);
  int why = errno;
  fclose(file);
  errno = why;
  return good;
}

static void sync_folder(const char *dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd); /* some file systems cannot sync a folder */
  close(fd);
}

bool job_record_write(const char *dir, const job_record *record, bool final) {
  char path[PATH_MAX], temp[PATH_MAX];
  int n = snprintf(temp, sizeof temp, "%s/.record.json.tmp.%ld", dir, (long)getpid());
  snprintf(path, sizeof path, "%s/record.json", dir);
  errno = ENAMETOOLONG;
  if (n < 0 || n >= PATH_MAX) return false;
  job_json *json = as_json(record);
  errno = ENOMEM;
  if (!json) return false;
  bool good = write_file(temp, json, final) && rename(temp, path) == 0;
  int why = errno;
  job_json_free(json);
  if (!good)
    unlink(temp);
  else if (final)
    sync_folder(dir);
  errno = why;
  return good;
}

/* ---- Reading ---- */

/* Where the value of a key begins. Inside a string every quote has a backslash before it, so that a
 * key is never found in one. */
static const char *find_value(const char *line, const char *key) {
  char pattern[48];
  snprintf(pattern, sizeof pattern, "\"%s\": ", key);
  const char *at = strstr(line, pattern);
  return at ? at + strlen(pattern) : NULL;
}

bool job_json_find_string(const char *line, const char *key, char *out, size_t room) {
  const char *p = find_value(line, key);
  if (!p || *p++ != '"') return false;
  size_t n = 0;
  for (; *p && *p != '"'; p++) {
    char c = *p;
    if (c == '\\') {
      unsigned code = '?';
      c = *++p;
      if (!c) return false;
      if (c == 'u' && sscanf(p + 1, "%4x", &code) == 1) {
        c = code < 0x80 ? (char)code : '?';
        for (int i = 0; i < 4 && p[1]; i++) p++;
      }
    }
    if (n + 1 < room) out[n++] = c;
  }
  if (*p != '"') return false;
  out[n] = 0;
  return true;
}

bool job_json_find_real(const char *line, const char *key, double *out) {
  const char *p = find_value(line, key);
  char *end;
  if (!p) return false;
  double value = strtod(p, &end);
  if (end == p) return false;
  *out = value;
  return true;
}

bool job_json_find_int(const char *line, const char *key, int64_t *out) {
  const char *p = find_value(line, key);
  char *end;
  if (!p) return false;
  long long value = strtoll(p, &end, 10);
  if (end == p) return false;
  *out = value;
  return true;
}

bool job_record_read(const char *dir, job_record *out) {
  char path[PATH_MAX], text[RECORD_ROOM], state[16];
  snprintf(path, sizeof path, "%s/record.json", dir);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  if (n < 2 || text[0] != '{' || strcmp(text + n - 2, "}\n")) return false;

  job_record r = {.exit_code = -1};
  int64_t attempt, iteration, code;
  if (!job_json_find_string(text, "state", state, sizeof state)) return false;
  int known = STATES;
  while (--known >= 0 && strcmp(state_names[known], state)) continue;
  if (known < 0 || !job_json_find_int(text, "attempt", &attempt)) return false;
  r.state = (job_state)known;
  r.attempt = (int)attempt;
  (void)job_json_find_string(text, "program", r.program, sizeof r.program);
  (void)job_json_find_string(text, "version", r.version, sizeof r.version);
  (void)job_json_find_string(text, "host", r.host, sizeof r.host);
  (void)job_json_find_string(text, "phase", r.phase, sizeof r.phase);
  (void)job_json_find_string(text, "side", r.side, sizeof r.side);
  (void)job_json_find_string(text, "message", r.message, sizeof r.message);
  (void)job_json_find_int(text, "pid", &r.pid);
  (void)job_json_find_int(text, "progress", &r.progress);
  (void)job_json_find_real(text, "started", &r.started);
  (void)job_json_find_real(text, "updated", &r.updated);
  if (job_json_find_int(text, "iteration", &iteration)) r.iteration = (int)iteration;
  if (job_json_find_int(text, "exit_code", &code)) r.exit_code = (int)code;
  if (r.state != JOB_RUNNING && r.exit_code < 0) return false;
  *out = r;
  return true;
}
