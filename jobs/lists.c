/* Lists of the best, in rounds. See lists.h. */
#include "jobs/lists.h"

#include "jobs/output.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Rows of a rank in one round: so many, or fewer where lists are long. Some blocks for each thread. */
enum { ROUND_ROWS = 8192, ROUND_ENTRIES = 1 << 18, APPEND_ENTRIES = 1 << 14 };

typedef struct writer {
  job_lists *plan;
  rdd_comm *comm;
  als_topn *topn;
  int64_t rows, chunk, top; /* rows in all, of a rank in a round; length of a list */
  int64_t *row, *begin;     /* [size][chunk] of a round; [size + 1] who computes which of them */
  int64_t *column;          /* [chunk][top] computed here */
  float *score;
  int64_t *all_columns; /* the same, of another rank; rank 0 */
  float *all_scores;
  int64_t *counts;      /* [size] zeros, and what is sent and received */
  job_table_file *file; /* rank 0, or NULL */
  FILE *stream;         /* rank 0: for people; NULL: to nobody */
} writer;

/* ---- A file ---- */

/* Ids by dense index, as a column. */
typedef struct id_column {
  int64_t *integer;
  int32_t *offsets;
  char *text;
} id_column;

static void id_column_reset(id_column *c) {
  rdd_free(c->integer);
  rdd_free(c->offsets);
  rdd_free(c->text);
  *c = (id_column){0};
}

static rdd_status fill_integers(id_column *c, const als_ids *ids, const int64_t *index, int64_t n,
                                rdd_column *out, rdd_err *err) {
  c->integer = rdd_alloc((size_t)n, sizeof *c->integer);
  if (!c->integer) return rdd_set(err, RDD_ENOMEM, "out of memory for %lld ids", (long long)n);
  for (int64_t i = 0; i < n; i++) c->integer[i] = als_ids_int64(ids, index[i]);
  out->values = c->integer;
  return RDD_OK;
}

static rdd_status fill_text(id_column *c, const als_ids *ids, const int64_t *index, int64_t n,
                            rdd_column *out, rdd_err *err) {
  int64_t bytes = 0, length;
  for (int64_t i = 0; i < n; i++) {
    als_ids_utf8(ids, index[i], &length);
    bytes += length;
  }
  if (bytes > INT32_MAX)
    return rdd_set(err, RDD_EDATA, "ids of %lld bytes in %lld rows are too long for a table",
                   (long long)bytes, (long long)n);
  c->offsets = rdd_alloc((size_t)n + 1, sizeof *c->offsets);
  c->text = rdd_alloc((size_t)bytes, 1);
  if (!c->offsets || !c->text)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %lld ids", (long long)n);
  int32_t at = 0;
  for (int64_t i = 0; i < n; i++) {
    const char *id = als_ids_utf8(ids, index[i], &length);
    memcpy(c->text + at, id, (size_t)length);
    c->offsets[i] = at;
    at += (int32_t)length;
  }
  c->offsets[n] = at;
  *out = (rdd_column){c->text, c->offsets};
  return RDD_OK;
}

static rdd_status fill(id_column *c, const als_ids *ids, const int64_t *index, int64_t n,
                       rdd_column *out, rdd_err *err) {
  return ids->type == RDD_INT64 ? fill_integers(c, ids, index, n, out, err)
                                : fill_text(c, ids, index, n, out, err);
}

/* The ids of the rows, and of what is in their lists. */
static const als_ids *own_ids(const writer *w) {
  return w->plan->query.model->side[w->plan->query.side].ids;
}

static const als_ids *other_ids(const writer *w) {
  const als_topn_query *q = &w->plan->query;
  return q->model->side[q->cosine ? q->side : !q->side].ids;
}

static rdd_status open_file(writer *w, rdd_err *err) {
  const job_lists *plan = w->plan;
  job_table_spec spec = *plan->spec;
  rdd_schema schema = {0};
  rdd_schema_add(&schema, plan->column[0], own_ids(w)->type);
  rdd_schema_add(&schema, "rank", RDD_INT32);
  rdd_schema_add(&schema, plan->column[1], other_ids(w)->type);
  rdd_schema_add(&schema, "score", RDD_FLOAT32);
  /* text does not tell how many ids are distinct, so they need not be counted */
  if (job_path_ends(plan->path, ".csv") || job_path_ends(plan->path, ".tsv")) spec.id_columns = 0;
  return job_table_file_open(&w->file, plan->path, &schema, &spec, err);
}

/* Lists of rows[0..n) to the file: one row for each entry that is there. */
static rdd_status append(writer *w, const int64_t *row, int64_t n, const int64_t *column,
                         const float *score, rdd_err *err) {
  size_t most = (size_t)n * (size_t)w->top;
  id_column from = {0}, to = {0};
  rdd_status st = RDD_OK;
  int64_t *of = rdd_alloc(most, sizeof *of), *what = rdd_alloc(most, sizeof *what), m = 0;
  int32_t *place = rdd_alloc(most, sizeof *place);
  float *value = rdd_alloc(most, sizeof *value);
  if (!of || !what || !place || !value) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld entries of lists", (long long)most);
    goto done;
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t t = 0; t < w->top && column[i * w->top + t] >= 0; t++, m++) {
      of[m] = row[i];
      what[m] = column[i * w->top + t];
      place[m] = (int32_t)t + 1;
      value[m] = score[i * w->top + t];
    }
  rdd_batch batch = {.rows = m};
  batch.column[1].values = place;
  batch.column[3].values = value;
  st = fill(&from, own_ids(w), of, m, &batch.column[0], err);
  if (!st) st = fill(&to, other_ids(w), what, m, &batch.column[2], err);
  if (!st) st = job_table_file_append(w->file, &batch, err);
done:
  id_column_reset(&from);
  id_column_reset(&to);
  rdd_free(of);
  rdd_free(what);
  rdd_free(place);
  rdd_free(value);
  return st;
}

/* ---- People ---- */

static void print_list(const writer *w, int64_t row, const int64_t *column, const float *score) {
  char text[ALS_ID_TEXT];
  if (!w->stream) return;
  fprintf(w->stream, "%s %s\n", w->plan->title, als_ids_text(own_ids(w), row, text));
  for (int64_t t = 0; t < w->top && column[t] >= 0; t++)
    fprintf(w->stream, "  %3lld  %-20s %9.4f\n", (long long)t + 1,
            als_ids_text(other_ids(w), column[t], text), (double)score[t]);
}

/* A row of zeros has no direction, so nothing is similar to it. */
static void name_zeros(const writer *w, int64_t row, const int64_t *column) {
  char text[ALS_ID_TEXT];
  if (!w->plan->query.cosine || column[0] >= 0 || !w->plan->rows) return;
  if (isnan(als_model_cosine(w->plan->query.model, w->plan->query.side, row, row)))
    job_warn("the factors of %s %s are all 0: nothing is similar to it", w->plan->title,
             als_ids_text(own_ids(w), row, text));
}

/* ---- Rounds ---- */

/* Rank 0: n lists to where they belong. */
static rdd_status put(writer *w, const int64_t *row, int64_t n, const int64_t *column,
                      const float *score, rdd_err *err) {
  job_lists *plan = w->plan;
  rdd_status st = RDD_OK;
  int64_t step = APPEND_ENTRIES / w->top > 0 ? APPEND_ENTRIES / w->top : 1;
  for (int64_t i = 0; i < n; i++) {
    int64_t length = 0;
    while (length < w->top && column[i * w->top + length] >= 0) length++;
    plan->lists += length > 0;
    plan->entries += length;
    name_zeros(w, row[i], column + i * w->top);
    if (!w->file) print_list(w, row[i], column + i * w->top, score + i * w->top);
  }
  for (int64_t i = 0; w->file && i < n && !st; i += step)
    st = append(w, row + i, n - i < step ? n - i : step, column + i * w->top, score + i * w->top,
                err);
  return st;
}

/* Which rows this round is about, beginning with row number `first`; returns how many. */
static int64_t begin_round(writer *w, int64_t first) {
  int size = w->comm->size;
  int64_t left = w->rows - first, share = (left + size - 1) / size;
  if (share > w->chunk) share = w->chunk;
  for (int r = 0; r <= size; r++) w->begin[r] = r * share < left ? r * share : left;
  for (int64_t i = 0; i < w->begin[size]; i++)
    w->row[i] = w->plan->rows ? w->plan->rows->index[first + i] : first + i;
  return w->begin[size];
}

/* Compute own rows of the round.                                          Collective.
 *   so_far  [in] how writing the last round went, which only rank 0 knows: the others did not wait for it */
static rdd_status compute(writer *w, rdd_status so_far, rdd_err *err) {
  als_seen seen = {0};
  rdd_status st = RDD_OK;
  const int64_t *own = w->row + w->begin[w->comm->rank];
  int64_t n = w->begin[w->comm->rank + 1] - w->begin[w->comm->rank];
  rdd_err of_fetch;
  if (w->plan->seen)
    st = als_seen_fetch(w->comm, w->plan->seen, w->row, w->begin, &seen, &of_fetch);
  if (!st && !so_far)
    als_topn_rows(w->topn, own, n, w->plan->seen ? &seen : NULL, w->column, w->score);
  als_seen_reset(&seen);
  if (st && !so_far) {
    *err = of_fetch;
    so_far = st;
  }
  return rdd_agree(w->comm, so_far, err);
}

/* `bytes` from rank `from` to rank 0.                                     Collective. */
static void send_to_first(writer *w, int from, int64_t bytes, const void *data, void *all) {
  int size = w->comm->size;
  int64_t *zero = w->counts, *send = zero + size, *receive = send + size;
  send[0] = w->comm->rank == from ? bytes : 0;
  receive[from] = w->comm->rank == 0 ? bytes : 0;
  rdd_alltoallv(w->comm, data, send, zero, all, receive, zero);
  send[0] = receive[from] = 0;
}

/* All runs of the round to rank 0, which writes them in order. The status is rank 0's; the others learn of
 * it at the next fence.                                                   Collective. */
static rdd_status gather(writer *w, rdd_err *err) {
  rdd_status st = RDD_OK;
  bool writes = w->comm->rank == 0;
  if (writes) st = put(w, w->row, w->begin[1], w->column, w->score, err);
  for (int from = 1; from < w->comm->size; from++) {
    int64_t first = w->begin[from], n = w->begin[from + 1] - first;
    send_to_first(w, from, n * w->top * (int64_t)sizeof(int64_t), w->column, w->all_columns);
    send_to_first(w, from, n * w->top * (int64_t)sizeof(float), w->score, w->all_scores);
    if (writes && !st) st = put(w, w->row + first, n, w->all_columns, w->all_scores, err);
  }
  return st;
}

static void writer_reset(writer *w) {
  als_topn_close(w->topn);
  rdd_free(w->row);
  rdd_free(w->begin);
  rdd_free(w->column);
  rdd_free(w->score);
  rdd_free(w->all_columns);
  rdd_free(w->all_scores);
  rdd_free(w->counts);
  job_table_file_abandon(w->file);
}

/* Not collective. */
static rdd_status prepare(writer *w, rdd_err *err) {
  const job_lists *plan = w->plan;
  size_t size = (size_t)w->comm->size, entries;
  bool gathers = w->comm->rank == 0 && size > 1;
  w->rows = plan->rows ? plan->rows->n : own_ids(w)->n;
  w->top = plan->query.top;
  w->chunk = ROUND_ENTRIES / w->top;
  if (w->chunk > ROUND_ROWS) w->chunk = ROUND_ROWS;
  if (w->chunk < 1) w->chunk = 1;
  if (w->chunk > w->rows) w->chunk = w->rows;
  entries = (size_t)w->chunk * (size_t)w->top;
  w->row = rdd_alloc(size * (size_t)w->chunk, sizeof *w->row);
  w->begin = rdd_alloc(size + 1, sizeof *w->begin);
  w->column = rdd_alloc(entries, sizeof *w->column);
  w->score = rdd_alloc(entries, sizeof *w->score);
  w->all_columns = rdd_alloc(gathers ? entries : 0, sizeof *w->all_columns);
  w->all_scores = rdd_alloc(gathers ? entries : 0, sizeof *w->all_scores);
  w->counts = rdd_calloc(size, 3 * sizeof *w->counts);
  if (!w->row || !w->begin || !w->column || !w->score || !w->all_columns || !w->all_scores ||
      !w->counts)
    return rdd_set(err, RDD_ENOMEM, "out of memory for %lld lists of %lld", (long long)w->chunk,
                   (long long)w->top);
  rdd_status st = als_topn_open(&plan->query, &w->topn, err);
  if (st || w->comm->rank != 0) return st;
  if (plan->path) return open_file(w, err);
  w->stream = !plan->j->json ? stdout : plan->j->quiet ? NULL : stderr;
  return RDD_OK;
}

rdd_status job_lists_write(job_lists *lists, rdd_comm *comm, rdd_err *err) {
  writer w = {.plan = lists, .comm = comm};
  double started = rdd_seconds();
  lists->lists = lists->entries = 0;
  rdd_status written = RDD_OK, st = rdd_agree(comm, prepare(&w, err), err);
  for (int64_t at = 0, n; at < w.rows && !st; at += n) {
    n = begin_round(&w, at);
    st = compute(&w, written, err);
    if (!st) written = gather(&w, err);
    if (!st && w.rows > n) job_progress("ranking", at + n, w.rows, "lists");
  }
  if (!st) st = written;
  if (!st && w.file) {
    st = job_table_file_commit(w.file, err);
    w.file = NULL;
  }
  lists->seconds = rdd_seconds() - started;
  st = rdd_agree(comm, st, err);
  writer_reset(&w);
  return st;
}
