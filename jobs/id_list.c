/* Lists of ids from the command line or from a file. See id_list.h. */
#include "jobs/id_list.h"

#include "jobs/number.h"
#include "jobs/ui.h"
#include "rdd/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMES = 5, SHOWN_TEXT = 30 };

rdd_status job_id_find(const als_ids *ids, const char *text, size_t length, int64_t *out,
                       rdd_err *err) {
  if (ids->type == RDD_UTF8) {
    *out = als_ids_find_utf8(ids, text, (int64_t)length);
    return RDD_OK;
  }
  int64_t id;
  if (job_parse_int64(text, length, &id) != JOB_NUMBER_OK)
    return rdd_set(err, RDD_EUSAGE, "'%.*s' is no id of this model; its ids are 64-bit integers",
                   (int)(length > 60 ? 60 : length), text);
  *out = als_ids_find_int64(ids, id);
  return RDD_OK;
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* Count an id that the model lacks, and keep its name if it is one of the first. */
static void note_unknown(job_id_list *list, const char *text, size_t length) {
  size_t used = strlen(list->first), room = sizeof list->first - used;
  int shown = length > SHOWN_TEXT ? SHOWN_TEXT : (int)length;
  if (list->unknown < NAMES)
    snprintf(list->first + used, room, "%s%.*s", used ? ", " : "", shown, text);
  else if (list->unknown == NAMES)
    snprintf(list->first + used, room, ", ...");
  list->unknown++;
}

/* Ids separated by commas or line ends. */
static rdd_status parse(job_id_list *list, const als_ids *ids, const char *text, rdd_err *err) {
  size_t room = (size_t)list->n + 1;
  for (const char *p = text; *p; p++) room += *p == ',' || *p == '\n';
  int64_t *index = rdd_realloc(list->index, room, sizeof *index);
  if (!index) return rdd_set(err, RDD_ENOMEM, "out of memory for the list of ids");
  list->index = index;
  for (const char *p = text; *p;) {
    size_t length = strcspn(p, ",\r\n");
    const char *begin = p, *end = p + length;
    p = *end ? end + 1 : end;
    while (begin < end && (*begin == ' ' || *begin == '\t')) begin++;
    while (begin < end && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (begin == end) continue;
    int64_t i = -1;
    rdd_status st = job_id_find(ids, begin, (size_t)(end - begin), &i, err);
    if (st) return st;
    if (i < 0)
      note_unknown(list, begin, (size_t)(end - begin));
    else
      index[list->n++] = i;
  }
  qsort(index, (size_t)list->n, sizeof *index, ascending);
  int64_t distinct = 0;
  for (int64_t i = 0; i < list->n; i++)
    if (!i || index[i] != index[i - 1]) index[distinct++] = index[i];
  list->n = distinct;
  return RDD_OK;
}

/* The whole of a small file as a string. */
static rdd_status read_text(const char *path, char **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  char *text = NULL;
  FILE *file = fopen(path, "r");
  struct stat info;
  if (!file || fstat(fileno(file), &info)) {
    st = rdd_set(err, RDD_ENOINPUT, "%s: %s", path, strerror(errno));
    goto done;
  }
  text = rdd_calloc((size_t)info.st_size + 1, 1);
  if (!text) {
    st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for %lld bytes", path,
                 (long long)info.st_size);
    goto done;
  }
  if (fread(text, 1, (size_t)info.st_size, file) != (size_t)info.st_size)
    st = rdd_set(err, RDD_EIO, "%s: cannot read", path);
done:
  if (file) fclose(file);
  if (st)
    rdd_free(text);
  else
    *out = text;
  return st;
}

rdd_status job_id_list_add(job_id_list *list, const als_ids *ids, const char *text, rdd_err *err) {
  struct stat info;
  char *content = NULL;
  rdd_status st = RDD_OK;
  bool is_file = stat(text, &info) == 0 && S_ISREG(info.st_mode);
  if (is_file) st = read_text(text, &content, err);
  if (!st) st = parse(list, ids, is_file ? content : text, err);
  rdd_free(content);
  list->by_name = !is_file;
  if (st != RDD_EUSAGE || is_file || strchr(text, ',')) return st;
  const rdd_err why = *err;
  return rdd_set(err, st, "%s; nor is there such a file", why.message);
}

rdd_status job_id_list_choose(job_id_list *out, const als_ids *ids, const job_id_list *only,
                              const job_id_list *without, rdd_err *err) {
  int64_t n = only ? only->n : ids->n, at = 0;
  job_id_list list = {.index = rdd_alloc((size_t)n, sizeof(int64_t))};
  if (!list.index) return rdd_set(err, RDD_ENOMEM, "out of memory for %lld ids", (long long)n);
  for (int64_t i = 0; i < n; i++) {
    int64_t index = only ? only->index[i] : i;
    while (without && at < without->n && without->index[at] < index) at++;
    if (!without || at == without->n || without->index[at] != index) list.index[list.n++] = index;
  }
  *out = list;
  return RDD_OK;
}

void job_id_list_warn(const job_id_list *list, const char *option) {
  if (list->unknown)
    job_warn("%s of the ids asked for%s%s are not in the model: %s", job_count_text(list->unknown),
             option ? " with " : "", option ? option : "", list->first);
}

void job_id_list_reset(job_id_list *list) {
  rdd_free(list->index);
  *list = (job_id_list){0};
}
