/* Taking rows of a column: the one gather that filters, splits and drops share. */
#include "rdd/rdd.h"

#include <string.h>

static rdd_status out_of_memory(int64_t n, rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "out of memory while taking %lld rows of a batch", (long long)n);
}

static rdd_status take_utf8(rdd_task *task, const rdd_column *in, const int32_t *row, int64_t n,
                            rdd_column *out, rdd_err *err) {
  size_t bytes = 0;
  for (int64_t i = 0; i < n; i++) bytes += (size_t)(in->offsets[row[i] + 1] - in->offsets[row[i]]);
  int32_t *offsets = rdd_task_scratch(task, (size_t)n + 1, sizeof *offsets);
  char *text = rdd_task_scratch(task, bytes, 1);
  if (!offsets || !text) return out_of_memory(n, err);
  int32_t at = 0;
  for (int64_t i = 0; i < n; i++) {
    int32_t begin = in->offsets[row[i]], length = in->offsets[row[i] + 1] - begin;
    memcpy(text + at, (const char *)in->values + begin, (size_t)length);
    offsets[i] = at;
    at += length;
  }
  offsets[n] = at;
  *out = (rdd_column){.values = text, .offsets = offsets};
  return RDD_OK;
}

rdd_status rdd_task_take(rdd_task *task, rdd_type type, const rdd_column *in, const int32_t *row,
                         int64_t n, rdd_column *out, rdd_err *err) {
  if (type == RDD_UTF8) return take_utf8(task, in, row, n, out, err);
  size_t size = rdd_type_size(type);
  char *values = rdd_task_scratch(task, (size_t)n, size);
  if (!values) return out_of_memory(n, err);
  const char *from = in->values;
  if (size == 8)
    for (int64_t i = 0; i < n; i++) memcpy(values + 8 * i, from + 8 * (int64_t)row[i], 8);
  else
    for (int64_t i = 0; i < n; i++) memcpy(values + 4 * i, from + 4 * (int64_t)row[i], 4);
  *out = (rdd_column){.values = values};
  return RDD_OK;
}
