/* als split: ratings into a training and a test part, or into pairs of such parts. What is decided about a
 * rating is in split_rule.h; here the ratings are read, marked in tasks, and written in their order. */
#include "jobs/job.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/split_rule.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"train", 0, JOB_STRING, "FILE", NULL, 0, 0, true, "where the training part goes; .h5 or .csv"},
    {"test", 0, JOB_STRING, "FILE", NULL, 0, 0, true, "where the test part goes; .h5 or .csv"},
    JOB_SPLIT_OPTIONS,
    {"seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false, "another seed, another split"},
    JOB_INPUT_OPTIONS,
    {0},
};

/* Training rows first, then test rows, with a last column that says so: one pass over the input, and
 * rank 0 cuts each batch in two without copying. */
static rdd_status mark(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                       rdd_err *err) {
  const job_split_rule *rule = arg;
  int64_t n = in->rows, train = 0;
  int32_t *order = rdd_task_scratch(task, (size_t)n, sizeof *order);
  int32_t *is_test = rdd_task_scratch(task, (size_t)n, sizeof *is_test);
  int32_t *test_rows = rdd_task_scratch(task, (size_t)n, sizeof *test_rows);
  if (!order || !is_test || !test_rows)
    return rdd_set(err, RDD_ENOMEM, "out of memory while splitting a batch of %lld rows",
                   (long long)n);
  int64_t tests = 0;
  for (int64_t i = 0; i < n; i++) {
    if (job_split_is_test(rule, in, i))
      test_rows[tests++] = (int32_t)i;
    else
      order[train++] = (int32_t)i;
  }
  memcpy(order + train, test_rows, (size_t)tests * sizeof *order);
  for (int64_t i = 0; i < n; i++) is_test[i] = i >= train;
  rdd_status st = RDD_OK;
  for (int c = 0; c < rule->schema.columns && !st; c++)
    st = rdd_task_take(task, rule->schema.field[c].type, &in->column[c], order, n, &out->column[c],
                       err);
  out->column[rule->schema.columns].values = is_test;
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

/* A split on its way: the same for every pair of parts. */
typedef struct split {
  job *j;
  job_input *input;
  job_split_rule rule;
  const char *name[2]; /* training, test, as given */
  int pairs;           /* of parts: 1, or one a fold */
  double *rows[2];     /* [pairs] what each part came to; rank 0's */
  rdd_counters counters;
  double started;
} split;

/* The name of a part: as given, or with the number of its fold before the ending. */
static rdd_status part_name(const split *s, int part, int pair, char out[PATH_MAX], rdd_err *err) {
  const char *name = s->name[part], *slash = strrchr(name, '/');
  const char *ending = strrchr(slash ? slash : name, '.');
  int n, stem = ending ? (int)(ending - name) : (int)strlen(name);
  if (s->rule.kind != JOB_SPLIT_FOLD)
    n = snprintf(out, PATH_MAX, "%s", name);
  else
    n = snprintf(out, PATH_MAX, "%.*s-%d%s", stem, name, pair + 1, ending ? ending : "");
  if (n < PATH_MAX) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE, "%.200s...: the name is too long", name);
}

/* Rank 0. */
static rdd_status check_names(const split *s, const job_args *args, rdd_err *err) {
  char name[2][PATH_MAX];
  rdd_status st = RDD_OK;
  for (int pair = 0; pair < s->pairs && !st; pair++) {
    for (int part = 0; part < 2 && !st; part++) {
      st = part_name(s, part, pair, name[part], err);
      if (!st) st = job_output_check(name[part], ".h5|.hdf5|.csv|.tsv", err);
      if (!st) st = job_output_apart(name[part], job_positional(args), job_positionals(args), err);
    }
    if (!st && job_output_same(name[0], name[1]))
      st = rdd_set(err, RDD_EUSAGE, "--train and --test are the same file, %s", name[0]);
  }
  return st;
}

/* Both files are complete before either gets its name. Rank 0. */
static rdd_status commit(split *s, two_files *files, int pair, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int f = 0; f < 2; f++) s->rows[f][pair] = (double)job_table_file_rows(files->file[f]);
  if (s->rows[0][pair] + s->rows[1][pair] == 0)
    return rdd_set(err, RDD_EDATA, "the input holds no ratings");
  for (int f = 0; f < 2 && !st; f++) st = job_save_counts(files->file[f], err);
  for (int f = 0; f < 2 && !st; f++) {
    st = job_table_file_commit(files->file[f], err);
    files->file[f] = NULL;
  }
  return st;
}

/* One pass over the input makes one pair of parts. Collective. */
static rdd_status make_pair(split *s, rdd *marked, int pair, rdd_err *err) {
  rdd_comm *comm = s->j->comm;
  two_files files = {.schema = &s->rule.schema};
  char name[2][PATH_MAX];
  rdd_status st = RDD_OK;
  s->rule.fold = pair; /* tasks see it as it is when they are forked */
  for (int f = 0; f < 2 && !st && comm->rank == 0; f++) {
    st = part_name(s, f, pair, name[f], err);
    if (!st)
      st = job_save_open(s->j, &files.file[f], name[f], files.schema, &job_ratings_spec, err);
  }
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_run_opts opts = job_run_opts(s->j, "splitting");
  st = rdd_visit(marked, comm, &opts, write_both, &files, &s->counters, err);
  if (st) goto done;
  st = job_input_check(s->input, &s->counters, err);
  if (!st && comm->rank == 0) st = commit(s, &files, pair, err);
  st = rdd_agree(comm, st, err);
  if (st || comm->rank != 0) goto done;
  job_say("split: %s ratings to %s, %s to %s", job_count_text((int64_t)s->rows[0][pair]), name[0],
          job_count_text((int64_t)s->rows[1][pair]), name[1]);
  for (int f = 0; f < 2; f++)
    if (s->rows[f][pair] == 0) job_warn("%s holds no ratings", name[f]);
done:
  for (int f = 0; f < 2; f++) job_table_file_abandon(files.file[f]);
  return st;
}

static void report(const split *s) {
  static const char *const key[2] = {"train_ratings", "test_ratings"};
  job_json *json = s->j->result;
  bool folds = s->rule.kind == JOB_SPLIT_FOLD;
  for (int f = 0; f < 2; f++) {
    if (folds)
      job_json_reals(json, key[f], s->rows[f], s->pairs);
    else
      job_json_int(json, key[f], (int64_t)s->rows[f][0]);
  }
  if (folds) job_json_int(json, "folds", s->pairs);
  if (s->rule.kind == JOB_SPLIT_TIME) job_json_int(json, "last_train_time", s->rule.last);
  if (s->rule.kind == JOB_SPLIT_LEAVE_OUT)
    job_json_int(json, "users_without_test", s->rule.users_whole);
  job_json_string(json, "train", s->name[0]);
  job_json_string(json, "test", s->name[1]);
  job_json_int(json, "bad_records", s->counters.value[JOB_COUNT_BAD]);
  job_json_real(json, "seconds", rdd_seconds() - s->started);
  if (s->rule.users_whole)
    job_say("%s users have too few ratings to leave one out; all of theirs are training",
            job_count_text(s->rule.users_whole));
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  split s = {.j = j, .name = {job_string(args, "train"), job_string(args, "test")}, .pairs = 1};
  rdd *marked = NULL;
  s.started = rdd_seconds();
  rdd_status st = job_split_read(args, &s.rule, err);
  if (st) return st;
  if (s.rule.kind == JOB_SPLIT_FOLD) s.pairs = s.rule.folds;
  for (int f = 0; f < 2; f++) s.rows[f] = rdd_calloc((size_t)s.pairs, sizeof *s.rows[f]);
  if (!s.rows[0] || !s.rows[1]) st = rdd_set(err, RDD_ENOMEM, "out of memory for the counts");
  if (!st && j->comm->rank == 0) st = check_names(&s, args, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  job_input_opts opts = job_input_options(j, args, false);
  st = job_input_open(j->comm, job_positional(args), job_positionals(args), &opts, &s.input, err);
  if (st) goto done;
  rdd *ratings = job_input_rdd(s.input);
  s.rule.schema = *rdd_schema_of(ratings);
  rdd_schema with_mark = s.rule.schema;
  rdd_schema_add(&with_mark, "test", RDD_INT32);
  st = job_split_prepare(&s.rule, j, ratings, err);
  if (st) goto done;
  st = rdd_map_batches(&marked, ratings, "split", &with_mark, mark, &s.rule, err);
  st = rdd_agree(j->comm, st, err);
  for (int pair = 0; pair < s.pairs && !st; pair++) st = make_pair(&s, marked, pair, err);
  if (!st && j->comm->rank == 0) report(&s);
done:
  rdd_release(marked);
  job_split_reset(&s.rule);
  job_input_close(s.input);
  for (int f = 0; f < 2; f++) rdd_free(s.rows[f]);
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
