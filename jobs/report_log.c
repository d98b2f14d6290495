/* The files of an event log. See report.h. */
#include "jobs/report.h"

#include "jobs/json.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* All bytes of a file, and a NUL; what is written to it meanwhile may be missing. */
static rdd_status read_all(const char *path, char **out, size_t *n_out, rdd_err *err) {
  struct stat about;
  FILE *file = fopen(path, "re");
  if (!file || fstat(fileno(file), &about) != 0) {
    rdd_set(err, errno == ENOENT ? RDD_ENOINPUT : RDD_EIO, "%s: cannot be read: %s", path,
            strerror(errno));
    if (file) fclose(file);
    return err->code;
  }
  size_t room = (size_t)about.st_size;
  rdd_status st = RDD_OK;
  char *text = rdd_alloc(room + 1, 1);
  size_t n = text ? fread(text, 1, room, file) : 0;
  if (!text)
    st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for %zu bytes", path, room);
  else if (ferror(file))
    st = rdd_set(err, RDD_EIO, "%s: cannot be read", path);
  fclose(file);
  if (st) {
    rdd_free(text);
    return st;
  }
  text[n] = 0;
  *out = text;
  *n_out = n;
  return RDD_OK;
}

/* Find the lines; a NUL takes the place of each end. */
static rdd_status cut_lines(job_log_file *file, size_t n, rdd_err *err) {
  int64_t ends = 0;
  for (size_t i = 0; i < n; i++) ends += file->text[i] == '\n';
  file->line = rdd_alloc((size_t)ends + 1, sizeof *file->line);
  if (!file->line) return rdd_set(err, RDD_ENOMEM, "%s: out of memory for its lines", file->name);
  char *at = file->text, *end = file->text + n;
  for (char *stop; (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1) {
    *stop = 0;
    if (strlen(at) == (size_t)(stop - at) && job_json_valid(at))
      file->line[file->lines++] = at;
    else
      file->broken++;
  }
  file->cut = at < end;
  return RDD_OK;
}

/* Is it a file of the log, and whose? */
static bool parse_name(const char *name, job_log_file *out) {
  int end = 0;
  *out = (job_log_file){.rank = JOB_LOG_SUPERVISOR};
  if (strlen(name) >= sizeof out->name) return false;
  strcpy(out->name, name);
  if (!strcmp(name, "gangrun.jsonl")) return true;
  return sscanf(name, "attempt-%d.rank-%d.jsonl%n", &out->attempt, &out->rank, &end) == 2 && end &&
         !name[end] && out->attempt > 0 && out->rank >= 0;
}

static int by_attempt_and_rank(const void *a, const void *b) {
  const job_log_file *x = a, *y = b;
  if (x->attempt != y->attempt) return x->attempt < y->attempt ? -1 : 1;
  return (x->rank > y->rank) - (x->rank < y->rank);
}

static rdd_status list_files(job_log *log, rdd_err *err) {
  char path[PATH_MAX + 8];
  job_log_file file;
  int64_t room = 0;
  rdd_status st = RDD_OK;
  snprintf(path, sizeof path, "%s/events", log->dir);
  DIR *list = opendir(path);
  for (struct dirent *entry; list && !st && (entry = readdir(list));) {
    if (!parse_name(entry->d_name, &file)) continue;
    if (log->files == room) {
      room = 2 * room + 16;
      job_log_file *grown = rdd_realloc(log->file, (size_t)room, sizeof *grown);
      if (!grown) st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for its files", path);
      if (grown) log->file = grown;
    }
    if (!st) log->file[log->files++] = file;
  }
  if (list) closedir(list);
  if (!st && !log->files)
    st = rdd_set(err, RDD_ENOINPUT,
                 "%s: there is no event log in it; a run writes one where it has a --work-dir",
                 log->dir);
  if (!st) qsort(log->file, (size_t)log->files, sizeof *log->file, by_attempt_and_rank);
  return st;
}

static rdd_status read_file(const job_log *log, job_log_file *file, rdd_err *err) {
  char path[PATH_MAX + 80];
  size_t n;
  snprintf(path, sizeof path, "%s/events/%s", log->dir, file->name);
  rdd_status st = read_all(path, &file->text, &n, err);
  return st ? st : cut_lines(file, n, err);
}

/* A run that ended before rank 0 began has none. */
static void read_record(job_log *log) {
  char path[PATH_MAX + 16];
  size_t n;
  rdd_err ignored;
  snprintf(path, sizeof path, "%s/record.json", log->dir);
  if (read_all(path, &log->record, &n, &ignored) || job_json_valid(log->record)) return;
  rdd_free(log->record);
  log->record = NULL;
}

rdd_status job_log_read(job_log **out, const char *dir, rdd_err *err) {
  job_log *log = rdd_calloc(1, sizeof *log);
  if (!log) return rdd_set(err, RDD_ENOMEM, "out of memory for the event log");
  rdd_status st = RDD_OK;
  if (!realpath(dir, log->dir))
    st = rdd_set(err, RDD_ENOINPUT, "%s: cannot be read: %s", dir, strerror(errno));
  if (!st) st = list_files(log, err);
  for (int64_t i = 0; i < log->files && !st; i++) st = read_file(log, &log->file[i], err);
  if (!st) read_record(log);
  if (st)
    job_log_free(log);
  else
    *out = log;
  return st;
}

void job_log_free(job_log *log) {
  if (!log) return;
  for (int64_t i = 0; i < log->files; i++) {
    rdd_free(log->file[i].line);
    rdd_free(log->file[i].text);
  }
  rdd_free(log->file);
  rdd_free(log->record);
  rdd_free(log);
}
