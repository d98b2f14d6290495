/* From what stands on a command line to a list of files: directories and patterns are expanded, in
 * the order of bytes of the names, whatever the locale. */
#include "jobs/input_impl.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *job_path_text(const char *path) {
  size_t n = strlen(path);
  return n > 200 ? path + n - 200 : path;
}

const char *job_plan_path(const job_plan *plan, const job_file *file) {
  return (const char *)&plan->file[plan->files] + file->path;
}

void job_paths_reset(job_paths *paths) {
  for (int64_t i = 0; i < paths->n; i++) rdd_free(paths->path[i]);
  rdd_free(paths->path);
  memset(paths, 0, sizeof *paths);
}

/* Append folder/name, or name where folder is NULL. */
static rdd_status append(job_paths *paths, const char *folder, const char *name, rdd_err *err) {
  if (paths->n == paths->room) {
    int64_t room = paths->room ? 2 * paths->room : 16;
    char **grown = rdd_realloc(paths->path, (size_t)room, sizeof(char *));
    if (!grown) return rdd_set(err, RDD_ENOMEM, "out of memory for the names of the input files");
    paths->path = grown;
    paths->room = room;
  }
  size_t n = strlen(name) + (folder ? strlen(folder) + 1 : 0) + 1;
  char *text = rdd_alloc(n, 1);
  if (!text) return rdd_set(err, RDD_ENOMEM, "out of memory for the names of the input files");
  bool slash = folder && folder[0] && folder[strlen(folder) - 1] != '/';
  snprintf(text, n, "%s%s%s", folder ? folder : "", slash ? "/" : "", name);
  paths->path[paths->n++] = text;
  return RDD_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All regular files of a folder that are not hidden. */
static rdd_status append_folder(job_paths *paths, const char *folder, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t first = paths->n;
  struct dirent *entry;
  struct stat info;
  DIR *dir = opendir(folder);
  if (!dir)
    return rdd_set(err, RDD_ENOINPUT, "cannot open the directory %s: %s", job_path_text(folder),
                   strerror(errno));
  while (!st && (errno = 0, entry = readdir(dir))) {
    if (entry->d_name[0] == '.') continue;
    st = append(paths, folder, entry->d_name, err);
    if (st) break;
    if (stat(paths->path[paths->n - 1], &info) != 0 || !S_ISREG(info.st_mode))
      rdd_free(paths->path[--paths->n]);
  }
  if (!st && errno)
    st = rdd_set(err, RDD_ENOINPUT, "cannot read the directory %s: %s", job_path_text(folder),
                 strerror(errno));
  closedir(dir);
  if (st) return st;
  if (paths->n == first)
    return rdd_set(err, RDD_ENOINPUT, "the directory %s has no files to read",
                   job_path_text(folder));
  qsort(paths->path + first, (size_t)(paths->n - first), sizeof(char *), by_name);
  return RDD_OK;
}

/* A file or a folder that exists. */
static rdd_status append_path(job_paths *paths, const char *path, rdd_err *err) {
  struct stat info;
  if (stat(path, &info) != 0)
    return rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(path), strerror(errno));
  if (S_ISDIR(info.st_mode)) return append_folder(paths, path, err);
  if (!S_ISREG(info.st_mode))
    return rdd_set(err, RDD_ENOINPUT,
                   "%s is not a regular file; tasks read files at several places at once, so write "
                   "the data to a file first",
                   job_path_text(path));
  return append(paths, NULL, path, err);
}

static rdd_status append_pattern(job_paths *paths, const char *pattern, rdd_err *err) {
  rdd_status st = RDD_OK;
  glob_t found = {0};
  int code = glob(pattern, GLOB_NOSORT, NULL, &found);
  if (code == GLOB_NOMATCH)
    st = rdd_set(err, RDD_ENOINPUT, "cannot open %s: no file matches this pattern",
                 job_path_text(pattern));
  else if (code == GLOB_NOSPACE)
    st = rdd_set(err, RDD_ENOMEM, "out of memory to expand a pattern");
  else if (code)
    st = rdd_set(err, RDD_ENOINPUT, "cannot read the directories of the pattern %s",
                 job_path_text(pattern));
  if (!st) qsort(found.gl_pathv, found.gl_pathc, sizeof(char *), by_name);
  for (size_t i = 0; i < found.gl_pathc && !st; i++)
    st = append_path(paths, found.gl_pathv[i], err);
  globfree(&found);
  return st;
}

rdd_status job_paths_expand(job_paths *paths, char *const *path, int n, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int i = 0; i < n && !st; i++) {
    struct stat info;
    bool pattern = strpbrk(path[i], "*?[") && stat(path[i], &info) != 0 && errno == ENOENT;
    st = pattern ? append_pattern(paths, path[i], err) : append_path(paths, path[i], err);
  }
  return st;
}
