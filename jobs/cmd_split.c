/* als split: a training and a test part, by a hash of (user, item, seed). */
#include "jobs/job.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "rdd/hash.h"

#include <string.h>

static const job_option options[] = {
    {"train", 0, JOB_STRING, "FILE", NULL, 0, 0, true, "where the training part goes; .h5 or .csv"},
    {"test", 0, JOB_STRING, "FILE", NULL, 0, 0, true, "where the test part goes; .h5 or .csv"},
    {"test-fraction", 0, JOB_REAL, "F", "0.2", 0, 1, false, "share of the test part, 0 to 1"},
    {"seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false, "another seed, another split"},
    JOB_INPUT_OPTIONS,
    {0},
};

typedef struct split {
  rdd_schema schema; /* of the ratings */
  double fraction;
  uint64_t seed;
} split;

static uint64_t hash_id(rdd_type type, const rdd_column *c, int64_t row) {
  if (type == RDD_INT64) return rdd_mix64((uint64_t)((const int64_t *)c->values)[row]);
  const char *text = c->values;
  int32_t begin = c->offsets[row], end = c->offsets[row + 1];
  return rdd_hash_bytes(text + begin, (size_t)(end - begin));
}

/* Training rows first, then test rows, with a last column that says so: one pass over the input, and
 * rank 0 cuts each batch in two without copying. */
static rdd_status mark(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                       rdd_err *err) {
  const split *s = arg;
  int64_t n = in->rows, train = 0;
  int32_t *order = rdd_task_scratch(task, (size_t)n, sizeof *order);
  int32_t *is_test = rdd_task_scratch(task, (size_t)n, sizeof *is_test);
  int32_t *test_rows = rdd_task_scratch(task, (size_t)n, sizeof *test_rows);
  if (!order || !is_test || !test_rows)
    return rdd_set(err, RDD_ENOMEM, "out of memory while splitting a batch of %lld rows",
                   (long long)n);
  int64_t tests = 0;
  for (int64_t i = 0; i < n; i++) {
    uint64_t user = hash_id(s->schema.field[0].type, &in->column[0], i);
    uint64_t item = hash_id(s->schema.field[1].type, &in->column[1], i);
    double u = rdd_uniform(rdd_mix64_2(rdd_mix64_2(user, item), s->seed));
    if (u < s->fraction)
      test_rows[tests++] = (int32_t)i;
    else
      order[train++] = (int32_t)i;
  }
  memcpy(order + train, test_rows, (size_t)tests * sizeof *order);
  for (int64_t i = 0; i < n; i++) is_test[i] = i >= train;
  rdd_status st = RDD_OK;
  for (int c = 0; c < s->schema.columns && !st; c++)
    st = rdd_task_take(task, s->schema.field[c].type, &in->column[c], order, n, &out->column[c],
                       err);
  out->column[s->schema.columns].values = is_test;
  out->rows = n;
  return st;
}

typedef struct two_files {
  const rdd_schema *schema; /* of the ratings */
  job_table_file *file[2];  /* training, test */
} two_files;

/* A view of rows [first, first + n) of a batch. */
static rdd_batch cut(const rdd_schema *schema, const rdd_batch *batch, int64_t first, int64_t n) {
  rdd_batch view = {.rows = n};
  for (int c = 0; c < schema->columns; c++) {
    view.column[c] = batch->column[c];
    if (schema->field[c].type == RDD_UTF8)
      view.column[c].offsets += first;
    else
      view.column[c].values = (const char *)view.column[c].values +
                              (size_t)first * rdd_type_size(schema->field[c].type);
  }
  return view;
}

static rdd_status write_both(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  (void)partition;
  two_files *files = arg;
  const rdd_schema *schema = files->schema;
  rdd_status st = RDD_OK;
  for (int64_t b = 0; b < part->batches && !st; b++) {
    const rdd_batch *batch = &part->batch[b];
    const int32_t *is_test = batch->column[schema->columns].values;
    int64_t train = 0;
    while (train < batch->rows && !is_test[train]) train++;
    rdd_batch first = cut(schema, batch, 0, train);
    rdd_batch second = cut(schema, batch, train, batch->rows - train);
    st = job_table_file_append(files->file[0], &first, err);
    if (!st) st = job_table_file_append(files->file[1], &second, err);
  }
  return st;
}

static rdd_status open_files(two_files *files, const char *const path[2], rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int f = 0; f < 2 && !st; f++)
    st = job_table_file_open(&files->file[f], path[f], files->schema, &job_ratings_spec, err);
  return st;
}

/* Both files are complete before either gets its name. */
static rdd_status finish(job *j, two_files *files, const char *const path[2],
                         const rdd_counters *counters, double started, rdd_err *err) {
  int64_t rows[2] = {job_table_file_rows(files->file[0]), job_table_file_rows(files->file[1])};
  if (rows[0] + rows[1] == 0) return rdd_set(err, RDD_EDATA, "the input holds no ratings");
  rdd_status st = RDD_OK;
  for (int f = 0; f < 2 && !st; f++) st = job_save_counts(files->file[f], err);
  for (int f = 0; f < 2 && !st; f++) {
    st = job_table_file_commit(files->file[f], err);
    files->file[f] = NULL;
  }
  if (st) return st;
  job_json_int(j->result, "train_ratings", rows[0]);
  job_json_int(j->result, "test_ratings", rows[1]);
  job_json_string(j->result, "train", path[0]);
  job_json_string(j->result, "test", path[1]);
  job_json_int(j->result, "bad_records", counters->value[JOB_COUNT_BAD]);
  job_json_real(j->result, "seconds", job_now() - started);
  job_say("split: %s ratings to %s, %s to %s in %s", job_count_text(rows[0]), path[0],
          job_count_text(rows[1]), path[1], job_seconds_text(job_now() - started));
  for (int f = 0; f < 2; f++)
    if (!rows[f]) job_warn("%s holds no ratings", path[f]);
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = job_now();
  const char *const path[2] = {job_string(args, "train"), job_string(args, "test")};
  job_input *input = NULL;
  rdd *marked = NULL;
  rdd_counters counters = {0};
  two_files files = {0};
  split s = {.fraction = job_real(args, "test-fraction"), .seed = (uint64_t)job_int(args, "seed")};
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0) {
    for (int f = 0; f < 2 && !st; f++) st = job_output_check(path[f], ".h5|.hdf5|.csv|.tsv", err);
    if (!st && job_output_same(path[0], path[1]))
      st = rdd_set(err, RDD_EUSAGE, "--train and --test are the same file, %s", path[0]);
  }
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  job_input_opts opts = job_input_options(j, args, false);
  st = job_input_open(j->comm, job_positional(args), job_positionals(args), &opts, &input, err);
  if (st) goto done;

  s.schema = *rdd_schema_of(job_input_rdd(input));
  rdd_schema with_mark = s.schema;
  rdd_schema_add(&with_mark, "test", RDD_INT32);
  files.schema = &s.schema;
  st = rdd_map_batches(&marked, job_input_rdd(input), "split", &with_mark, mark, &s, err);
  if (!st && j->comm->rank == 0) st = open_files(&files, path, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  rdd_run_opts run_opts = job_run_opts(j, "splitting");
  st = rdd_visit(marked, j->comm, &run_opts, write_both, &files, &counters, err);
  if (st) goto done;
  st = job_input_check(input, &counters, err);
  if (!st && j->comm->rank == 0) st = finish(j, &files, path, &counters, started, err);
  st = rdd_agree(j->comm, st, err);
done:
  for (int f = 0; f < 2; f++) job_table_file_abandon(files.file[f]);
  rdd_release(marked);
  job_input_close(input);
  return st;
}

const job_command job_split = {
    .name = "split",
    .summary = "split ratings into a training and a test part",
    .usage = "RATINGS... --train A --test B [OPTION]...",
    .example = "als split ratings.h5 --train train.h5 --test test.h5 --test-fraction 0.1",
    .options = options,
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
};
