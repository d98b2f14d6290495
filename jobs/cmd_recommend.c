/* als recommend: the best items for users, or the best users for items. */
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/number.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mllib/topn.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const job_option options[] = {
    {"top", 0, JOB_INT, "N", "10", 1, 1e6, false, "how many for each"},
    {"for", 0, JOB_CHOICE, "users|items", "users", 0, 0, false,
     "items for users, or users for items"},
    {"users", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false, "only these users"},
    {"items", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "only these items (with --for items)"},
    {"exclude-seen", 0, JOB_STRING, "RATINGS", NULL, 0, 0, false,
     "leave out the pairs of these ratings"},
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false,
     "where to write, .csv or .h5; without: a table"},
    JOB_INPUT_OPTIONS,
    {0},
};

typedef struct recommendation {
  job *j;
  const als_model *model;
  const job_input *seen_input; /* or NULL */
  rdd_counters counters;
  const char *path; /* or NULL */
  int side, top;
  const char *subset; /* FILE or ID,ID..., or NULL */
  int64_t *row;       /* rows to serve, ascending dense indices */
  int64_t rows, unknown;
} recommendation;

/* ---- which rows ---- */

/* Dense index of an id written as text, or -1; RDD_EUSAGE where it cannot be an id of this model. */
static rdd_status find_id(const als_ids *ids, const char *text, size_t length, int64_t *out,
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

/* Ids separated by commas or line ends. Unknown ones are counted, repeated ones served once. */
static rdd_status parse_ids(recommendation *r, const als_ids *ids, const char *text, rdd_err *err) {
  size_t room = 1;
  for (const char *p = text; *p; p++) room += *p == ',' || *p == '\n';
  r->row = rdd_alloc(room, sizeof *r->row);
  if (!r->row) return rdd_set(err, RDD_ENOMEM, "out of memory for the list of ids");
  for (const char *p = text; *p;) {
    size_t length = strcspn(p, ",\r\n");
    const char *begin = p, *end = p + length;
    p = *end ? end + 1 : end;
    while (begin < end && (*begin == ' ' || *begin == '\t')) begin++;
    while (begin < end && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (begin == end) continue;
    int64_t i = -1;
    rdd_status st = find_id(ids, begin, (size_t)(end - begin), &i, err);
    if (st) return st;
    if (i < 0)
      r->unknown++;
    else
      r->row[r->rows++] = i;
  }
  qsort(r->row, (size_t)r->rows, sizeof *r->row, ascending);
  int64_t distinct = 0;
  for (int64_t i = 0; i < r->rows; i++)
    if (!i || r->row[i] != r->row[i - 1]) r->row[distinct++] = r->row[i];
  r->rows = distinct;
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

static rdd_status choose_rows(recommendation *r, rdd_err *err) {
  const als_ids *ids = r->model->side[r->side].ids;
  if (!r->subset) {
    r->row = rdd_alloc((size_t)ids->n, sizeof *r->row);
    if (!r->row) return rdd_set(err, RDD_ENOMEM, "out of memory for the list of ids");
    for (int64_t i = 0; i < ids->n; i++) r->row[i] = i;
    r->rows = ids->n;
    return RDD_OK;
  }
  struct stat info;
  char *text = NULL;
  rdd_status st = RDD_OK;
  bool is_file = stat(r->subset, &info) == 0 && S_ISREG(info.st_mode);
  if (is_file) st = read_text(r->subset, &text, err);
  if (!st) st = parse_ids(r, ids, is_file ? text : r->subset, err);
  if (!st && !r->rows)
    st = rdd_set(err, RDD_EDATA, "none of the ids of %s is in the model", r->subset);
  rdd_free(text);
  return st;
}

/* ---- output ---- */

static const char *const columns[] = {
    "id of whom the list is for", "place in the list, 1 is the best", "id of what is recommended",
    "predicted rating"};
static const job_table_spec spec = {
    .group = "/recommendations",
    .kind = "recommendations",
    .description = "the best of each list, best first",
    .column_description = columns,
    .id_columns = 1,
};

/* A column of ids by dense index, as a batch column. */
typedef struct id_column {
  int64_t *integer;
  int32_t *offsets;
  char *text;
} id_column;

static void id_column_free(id_column *c) {
  rdd_free(c->integer);
  rdd_free(c->offsets);
  rdd_free(c->text);
  *c = (id_column){0};
}

static rdd_status id_column_fill(id_column *c, const als_ids *ids, const int64_t *index, int64_t n,
                                 rdd_column *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (ids->type == RDD_INT64) {
    c->integer = rdd_alloc((size_t)n, sizeof *c->integer);
    if (!c->integer) goto nomem;
    for (int64_t i = 0; i < n; i++) c->integer[i] = als_ids_int64(ids, index[i]);
    out->values = c->integer;
    return RDD_OK;
  }
  size_t bytes = 0;
  int64_t length;
  for (int64_t i = 0; i < n; i++) {
    als_ids_utf8(ids, index[i], &length);
    bytes += (size_t)length;
  }
  c->offsets = rdd_alloc((size_t)n + 1, sizeof *c->offsets);
  c->text = rdd_alloc(bytes, 1);
  if (!c->offsets || !c->text) goto nomem;
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
nomem:
  st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld ids", (long long)n);
  id_column_free(c);
  return st;
}

/* Where lists go as they arrive on rank 0: a file, or people. */
typedef struct list_sink {
  const recommendation *r;
  job_table_file *file; /* or NULL: print */
  FILE *stream;         /* NULL: to nobody */
} list_sink;

static void print_list(const list_sink *s, int64_t row, const int64_t *column, const float *score) {
  const recommendation *r = s->r;
  if (!s->stream) return;
  char text[ALS_ID_TEXT];
  fprintf(s->stream, "%s %s\n", r->side == ALS_USERS ? "user" : "item",
          als_ids_text(r->model->side[r->side].ids, row, text));
  for (int t = 0; t < r->top && column[t] >= 0; t++)
    fprintf(s->stream, "  %3d  %-20s %9.4f\n", t + 1,
            als_ids_text(r->model->side[!r->side].ids, column[t], text), (double)score[t]);
}

/* Lists of rows[0..n) to the file: one row for each entry that is there. */
static rdd_status append_lists(const list_sink *s, const int64_t *row, int64_t n,
                               const int64_t *column, const float *score, rdd_err *err) {
  const recommendation *r = s->r;
  size_t most = (size_t)n * (size_t)r->top;
  id_column from = {0}, to = {0};
  rdd_status st = RDD_OK;
  int64_t *of = rdd_alloc(most, sizeof *of), *what = rdd_alloc(most, sizeof *what), m = 0;
  int32_t *place = rdd_alloc(most, sizeof *place);
  float *value = rdd_alloc(most, sizeof *value);
  if (!of || !what || !place || !value) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld recommendations", (long long)most);
    goto done;
  }
  for (int64_t i = 0; i < n; i++)
    for (int t = 0; t < r->top && column[i * r->top + t] >= 0; t++, m++) {
      of[m] = row[i];
      what[m] = column[i * r->top + t];
      place[m] = t + 1;
      value[m] = score[i * r->top + t];
    }
  rdd_batch batch = {.rows = m};
  batch.column[1].values = place;
  batch.column[3].values = value;
  st = id_column_fill(&from, r->model->side[r->side].ids, of, m, &batch.column[0], err);
  if (!st) st = id_column_fill(&to, r->model->side[!r->side].ids, what, m, &batch.column[2], err);
  if (!st) st = job_table_file_append(s->file, &batch, err);
done:
  id_column_free(&from);
  id_column_free(&to);
  rdd_free(of);
  rdd_free(what);
  rdd_free(place);
  rdd_free(value);
  return st;
}

enum { APPEND_ROWS = 1024 };

static rdd_status put_lists(const list_sink *s, const int64_t *row, int64_t n,
                            const int64_t *column, const float *score, rdd_err *err) {
  rdd_status st = RDD_OK;
  int top = s->r->top;
  for (int64_t i = 0; i < n && !st; i += APPEND_ROWS) {
    int64_t part = n - i < APPEND_ROWS ? n - i : APPEND_ROWS;
    if (s->file)
      st = append_lists(s, row + i, part, column + i * top, score + i * top, err);
    else
      for (int64_t k = i; k < i + part; k++)
        print_list(s, row[k], column + k * top, score + k * top);
  }
  return st;
}

/* Bring each rank's lists to rank 0 in the order of rows, one rank after the other. */
static rdd_status gather_lists(rdd_comm *comm, const list_sink *s, const int64_t *begin,
                               const int64_t *column, const float *score, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t top = s->r->top;
  int64_t *zero = rdd_calloc((size_t)comm->size * 4, sizeof *zero);
  if (!zero) st = rdd_set(err, RDD_ENOMEM, "out of memory for the exchange");
  st = rdd_agree(comm, st, err);
  for (int from = 0; from < comm->size && !st; from++) {
    int64_t n = begin[from + 1] - begin[from];
    int64_t *all_columns = NULL;
    float *all_scores = NULL;
    if (comm->rank == 0) {
      all_columns = rdd_alloc((size_t)(n * top), sizeof *all_columns);
      all_scores = rdd_alloc((size_t)(n * top), sizeof *all_scores);
      if (!all_columns || !all_scores)
        st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld lists", (long long)n);
    }
    st = rdd_agree(comm, st, err);
    if (!st) {
      int64_t *send = zero, *recv = zero + comm->size, *displs = zero + 2 * comm->size;
      send[0] = comm->rank == from ? n * top * (int64_t)sizeof *column : 0;
      recv[from] = comm->rank == 0 ? n * top * (int64_t)sizeof *column : 0;
      rdd_alltoallv(comm, column, send, displs, all_columns, recv, displs);
      send[0] /= 2;
      recv[from] /= 2;
      rdd_alltoallv(comm, score, send, displs, all_scores, recv, displs);
      send[0] = recv[from] = 0;
      if (comm->rank == 0)
        st = put_lists(s, s->r->row + begin[from], n, all_columns, all_scores, err);
      st = rdd_agree(comm, st, err);
    }
    rdd_free(all_columns);
    rdd_free(all_scores);
  }
  rdd_free(zero);
  return st;
}

/* ---- the gang ---- */

/* Ranks serve runs of rows: those that they own, so that a row's seen ratings are at hand. */
static void share_rows(const recommendation *r, const als_blocks *blocks, int64_t *begin) {
  int64_t at = 0;
  for (int rank = 0; rank < blocks->size; rank++) {
    begin[rank] = at;
    while (at < r->rows && r->row[at] < als_blocks_row(blocks, rank + 1)) at++;
  }
  begin[blocks->size] = r->rows;
}

static rdd_status write_lists(rdd_comm *comm, const recommendation *r, const int64_t *begin,
                              const int64_t *column, const float *score, rdd_err *err) {
  list_sink sink = {.r = r, .stream = !r->j->json ? stdout : r->j->quiet ? NULL : stderr};
  rdd_status st = RDD_OK;
  if (comm->rank == 0 && r->path) {
    rdd_schema schema = {0};
    rdd_schema_add(&schema, r->side == ALS_USERS ? "user" : "item",
                   r->model->side[r->side].ids->type);
    rdd_schema_add(&schema, "rank", RDD_INT32);
    rdd_schema_add(&schema, r->side == ALS_USERS ? "item" : "user",
                   r->model->side[!r->side].ids->type);
    rdd_schema_add(&schema, "score", RDD_FLOAT32);
    st = job_table_file_open(&sink.file, r->path, &schema, &spec, err);
  }
  st = rdd_agree(comm, st, err);
  if (!st) st = gather_lists(comm, &sink, begin, column, score, err);
  if (!st && sink.file) {
    st = job_table_file_commit(sink.file, err);
    sink.file = NULL;
  }
  job_table_file_abandon(sink.file);
  return rdd_agree(comm, st, err);
}

static rdd_status serve(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  recommendation *r = arg;
  rdd_comm *comm = gang_comm(g);
  als_blocks blocks = {0};
  als_side seen = {0};
  int64_t *begin = NULL, *column = NULL, cold;
  float *score = NULL;
  const als_ids *const ids[2] = {r->model->side[ALS_USERS].ids, r->model->side[ALS_ITEMS].ids};
  rdd_status st = RDD_OK;
  if (r->seen_input) st = job_input_check(r->seen_input, &r->counters, err);
  if (st) goto done;
  st = als_blocks_init(&blocks, ids[r->side]->n, NULL, r->model->k, comm->size, err);
  begin = rdd_alloc((size_t)comm->size + 1, sizeof *begin);
  if (!st && !begin) st = rdd_set(err, RDD_ENOMEM, "out of memory");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  share_rows(r, &blocks, begin);
  if (r->seen_input) {
    st = als_side_build(comm, parts[0], r->side, ids, &blocks, r->model->k, 0, &seen, &cold, err);
    if (st) goto done;
  }
  int64_t n = begin[comm->rank + 1] - begin[comm->rank];
  column = rdd_alloc((size_t)n * (size_t)r->top, sizeof *column);
  score = rdd_alloc((size_t)n * (size_t)r->top, sizeof *score);
  if (!column || !score)
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld lists of %d", (long long)n, r->top);
  else
    st = als_topn(r->model, r->side, r->row + begin[comm->rank], n, r->seen_input ? &seen : NULL, r->top,
                  column, score, err);
  st = rdd_agree(comm, st, err);
  if (!st) st = write_lists(comm, r, begin, column, score, err);
done:
  rdd_free(begin);
  rdd_free(column);
  rdd_free(score);
  als_side_reset(&seen);
  als_blocks_reset(&blocks);
  return st;
}

/* Whom to serve, from --for, --users and --items. */
static rdd_status read_options(recommendation *r, const job_args *args, rdd_err *err) {
  r->side = strcmp(job_string(args, "for"), "items") ? ALS_USERS : ALS_ITEMS;
  r->top = (int)job_int(args, "top");
  r->path = job_string(args, "output");
  r->subset = job_string(args, r->side == ALS_USERS ? "users" : "items");
  const char *other = r->side == ALS_USERS ? "items" : "users";
  if (job_given(args, other))
    return rdd_set(err, RDD_EUSAGE, "--%s goes with --for %s", other, other);
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = job_now();
  recommendation r = {.j = j};
  als_model *model = NULL;
  job_input *seen = NULL;
  rdd *seen_rdd = NULL;
  rdd_status st = read_options(&r, args, err);
  if (!st && j->comm->rank == 0 && r.path)
    st = job_output_check(r.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_model_read(j->comm, job_positional(args)[0], &model, err);
  if (st) goto done;
  r.model = model;
  int64_t most = model->side[!r.side].ids->n;
  if (r.top > most) r.top = (int)most; /* no list is longer, and room is made for whole ones */
  st = rdd_agree(j->comm, choose_rows(&r, err), err);
  if (st) goto done;
  const char *seen_path = job_string(args, "exclude-seen");
  if (seen_path) {
    const rdd_type types[2] = {model->side[ALS_USERS].ids->type, model->side[ALS_ITEMS].ids->type};
    job_input_opts in = job_input_options(j, args, true);
    in.id_types = types;
    st = job_input_open(j->comm, (char *const *)&seen_path, 1, &in, &seen, err);
    if (st) goto done;
    r.seen_input = seen;
    seen_rdd = job_input_rdd(seen);
  }
  rdd_run_opts run_opts = job_run_opts(j, "reading seen ratings");
  /* a file is committed at the end, so that the gang may be rerun; lines on stdout are out */
  gang_opts opts = {.max_attempts = r.path ? 0 : 1};
  st = gang_run(j->comm, &seen_rdd, seen ? 1 : 0, &run_opts, &r.counters, &opts, serve, &r, err);
  if (st) goto done;
  job_json_int(j->result, r.side == ALS_USERS ? "users" : "items", r.rows);
  job_json_int(j->result, "unknown", r.unknown);
  job_json_real(j->result, "seconds", job_now() - started);
  job_json_string(j->result, "out", r.path ? r.path : "-");
  if (r.path)
    job_say("%s lists of up to %d to %s in %s", job_count_text(r.rows), r.top, r.path,
            job_seconds_text(job_now() - started));
  if (r.unknown)
    job_warn("%s of the ids asked for are not in the model", job_count_text(r.unknown));
done:
  rdd_free(r.row);
  job_input_close(seen);
  als_model_free(model);
  return st;
}

const job_command job_recommend = {
    .name = "recommend",
    .summary = "the best items for users, or users for items",
    .usage = "MODEL [OPTION]...",
    .example = "als recommend model.h5 --top 10 --users 1,2,3 --exclude-seen ratings.h5",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
