/* Rows of a source: buffers that are filled, emitted and filled again; and the rule for bad
 * records. */
#include "jobs/input_impl.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static rdd_status no_memory(rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "out of memory for a batch of ratings");
}

rdd_status job_rows_init(job_rows *rows, const job_plan *plan, rdd_task *task, rdd_err *err) {
  rdd_status st = RDD_OK;
  memset(rows, 0, sizeof *rows);
  rows->plan = plan;
  rows->task = task;
  rows->rating = rdd_alloc(RDD_BATCH_ROWS, sizeof(float));
  if (plan->timestamp) rows->timestamp = rdd_alloc(RDD_BATCH_ROWS, sizeof(int64_t));
  if (!rows->rating || (plan->timestamp && !rows->timestamp)) st = no_memory(err);
  for (int side = 0; side < 2 && !st; side++) {
    job_ids *id = &rows->id[side];
    id->type = (rdd_type)plan->id_type[side];
    if (id->type == RDD_INT64) {
      id->value = rdd_alloc(RDD_BATCH_ROWS, sizeof(int64_t));
      if (!id->value) st = no_memory(err);
    } else {
      id->offset = rdd_calloc(RDD_BATCH_ROWS + 1, sizeof(int32_t));
      id->text = rdd_alloc(JOB_TEXT_FULL + JOB_ID_LENGTH + JOB_SLACK, 1);
      if (!id->offset || !id->text) st = no_memory(err);
    }
  }
  if (st) job_rows_reset(rows);
  return st;
}

void job_rows_reset(job_rows *rows) {
  for (int side = 0; side < 2; side++) {
    rdd_free(rows->id[side].value);
    rdd_free(rows->id[side].offset);
    rdd_free(rows->id[side].text);
  }
  rdd_free(rows->rating);
  rdd_free(rows->timestamp);
  memset(rows, 0, sizeof *rows);
}

rdd_status job_rows_flush(job_rows *rows, rdd_err *err) {
  if (rows->rows == 0) return RDD_OK;
  rdd_batch batch = {.rows = rows->rows};
  for (int side = 0; side < 2; side++) {
    const job_ids *id = &rows->id[side];
    batch.column[side].values = id->type == RDD_INT64 ? (const void *)id->value : id->text;
    batch.column[side].offsets = id->offset;
  }
  batch.column[JOB_RATING].values = rows->rating;
  batch.column[JOB_TIMESTAMP].values = rows->timestamp;
  rdd_task_count(rows->task, JOB_COUNT_ROWS, rows->rows);
  rows->rows = 0;
  return rdd_task_emit(rows->task, &batch, err);
}

void job_rows_text(job_rows *rows, int side, const job_span *span) {
  job_ids *id = &rows->id[side];
  char *to = id->text + id->offset[rows->rows];
  if (!span->doubled) {
    memcpy(to, span->text, span->n);
    to += span->n;
  } else {
    for (size_t i = 0; i < span->n; i++) {
      *to++ = span->text[i];
      if (span->text[i] == '"') i++; /* "" stands for " */
    }
  }
  id->offset[rows->rows + 1] = (int32_t)(to - id->text);
}

rdd_status job_rows_end(job_rows *rows, float rating, int64_t timestamp, rdd_err *err) {
  rows->rating[rows->rows] = rating;
  if (rows->timestamp) rows->timestamp[rows->rows] = timestamp;
  rows->rows++;
  return job_rows_full(rows) ? job_rows_flush(rows, err) : RDD_OK;
}

bool job_rows_tell(const job_rows *rows) {
  return rows->bad == 0;
}

rdd_status job_rows_bad(job_rows *rows, const char *message, rdd_err *err) {
  int64_t max = rows->plan->max_bad;
  if (max == 0)
    return rdd_set(err, RDD_EDATA, "%s (use --max-bad-records to skip bad lines)", message);
  if (rows->bad == 0) {
    snprintf(rows->first_bad, sizeof rows->first_bad, "%s", message);
    rdd_task_note(rows->task, "%s", message);
  }
  rows->bad++;
  rdd_task_count(rows->task, JOB_COUNT_BAD, 1);
  if (rows->bad <= max) return RDD_OK;
  return rdd_set(err, RDD_EDATA, "more than %lld bad records (--max-bad-records %lld); one is %s",
                 (long long)max, (long long)max, rows->first_bad);
}

bool job_rating(double value, float *out, const char **what_out) {
  float narrow = (float)value;
  if (!isfinite(value)) {
    *what_out = "is not finite";
    return false;
  }
  if (!isfinite(narrow)) {
    *what_out = "is out of the range of a 32-bit float";
    return false;
  }
  *out = narrow;
  return true;
}
