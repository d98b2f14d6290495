/* als explain: why a user is predicted to rate an item so: the share of each of the user's own ratings. */
#include "jobs/id_list.h"
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/params.h"
#include "jobs/save.h"
#include "jobs/table_file.h"
#include "jobs/ui.h"
#include "mllib/explain.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"top", 0, JOB_INT, "N", "0", 0, 1e9, false, "only the N largest contributions; 0: all"},
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false,
     "where to write, .csv or .h5; without: a table"},
    JOB_INPUT_OPTIONS,
    {0},
};

enum { MODEL, RATINGS, USER, ITEM, WORDS };

static const char *const columns[] = {"id of an item that the user has rated", "the user's rating",
                                      "what the rating weighs beside the others",
                                      "its share of the prediction"};
static const job_table_spec spec = {
    .group = "/explanation",
    .kind = "explanation",
    .description = "one row for each rating of the user, the largest contribution first",
    .column_description = columns,
};

typedef struct explaining {
  job *j;
  const als_model *model;
  als_params params;
  const job_input *input;
  rdd_counters counters;
  int64_t top, index[2]; /* dense index of user and item */
  const char *path;
  int64_t cold;
  als_explanation found; /* on rank 0 */
} explaining;

/* Only the ratings of one user are of interest. */
static rdd_status is_of_user(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                             rdd_err *err) {
  const explaining *x = arg;
  (void)task;
  (void)err;
  for (int64_t row = 0; row < in->rows; row++)
    keep[row] = als_ids_find(x->model->side[ALS_USERS].ids, &in->column[0], row) ==
                x->index[ALS_USERS];
  return RDD_OK;
}

/* Everything is rank 0's. */
static rdd_status own_blocks(const explaining *x, int ranks, als_blocks *out, rdd_err *err) {
  rdd_status st = als_blocks_init(out, x->model->side[ALS_USERS].ids->n, NULL, x->model->k, ranks,
                                  err);
  for (int r = 1; r <= ranks && !st; r++) out->owner[r] = out->blocks;
  return st;
}

static rdd_status explain(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  explaining *x = arg;
  rdd_comm *comm = gang_comm(g);
  als_blocks blocks = {0};
  als_side side = {0};
  const als_entry *entry = NULL;
  int64_t n = 0, user = x->index[ALS_USERS];
  char text[ALS_ID_TEXT];
  const als_ids *const ids[2] = {x->model->side[ALS_USERS].ids, x->model->side[ALS_ITEMS].ids};
  rdd_status st = job_input_check(x->input, &x->counters, err);
  if (!st) st = own_blocks(x, comm->size, &blocks, err);
  st = rdd_agree(comm, st, err);
  if (!st)
    st = als_side_build(comm, parts[0], ALS_USERS, ids, &blocks, x->model->k, 0, &side, &x->cold,
                        err);
  if (st) goto done;
  if (comm->rank == 0) {
    n = side.start[user + 1] - side.start[user];
    entry = side.entry + side.start[user];
    if (n == 0)
      st = rdd_set(err, RDD_EDATA, "%s: user %s has no ratings there of items that the model knows",
                   job_input_describe(x->input), als_ids_text(ids[ALS_USERS], user, text));
  }
  st = rdd_agree(comm, st, err);
  rdd_free(x->found.share); /* of an attempt before */
  x->found.share = NULL;
  if (!st)
    st = als_explain(comm, x->model, &x->params, user, x->index[ALS_ITEMS], entry, n, &x->found,
                     err);
done:
  als_side_reset(&side);
  als_blocks_reset(&blocks);
  return st;
}

/* ---- What comes out; rank 0 ---- */

static void print_table(const explaining *x, int64_t shown) {
  const als_explanation *e = &x->found;
  const als_ids *items = x->model->side[ALS_ITEMS].ids;
  char text[ALS_ID_TEXT], user[ALS_ID_TEXT];
  als_ids_text(x->model->side[ALS_USERS].ids, x->index[ALS_USERS], user);
  printf("user %s, item %s: %.6f\n", user, als_ids_text(items, x->index[ALS_ITEMS], text),
         e->total);
  printf("  %-24s %10s %10s %13s\n", "item", "rating", "weight", "contribution");
  double rest = 0;
  for (int64_t i = 0; i < e->n; i++) {
    const als_share *s = &e->share[i];
    if (i >= shown)
      rest += s->contribution;
    else
      printf("  %-24s %10g %10g %13.6f\n", als_ids_text(items, s->item, text), (double)s->rating,
             s->weight, s->contribution);
  }
  if (shown < e->n) printf("  and %-42s %13.6f\n", job_count_text(e->n - shown), rest);
  printf("  %-46s %13.6f\n", "mean and biases", e->base);
  printf("  %-46s %13.6f\n", "sum", e->total);
  printf("with the factors that the model has for the user it is %.6f, %.1e from that\n",
         (double)e->stored, fabs((double)e->stored - e->total));
}

/* A user's ratings are few: each is a batch of its own. */
static rdd_status write_rows(const explaining *x, job_table_file *file, int64_t shown,
                             rdd_err *err) {
  const als_ids *items = x->model->side[ALS_ITEMS].ids;
  rdd_status st = RDD_OK;
  for (int64_t i = 0; i < shown && !st; i++) {
    const als_share *s = &x->found.share[i];
    rdd_batch row = {.rows = 1};
    int64_t id = 0, length = 0;
    int32_t offsets[2] = {0, 0};
    if (items->type == RDD_INT64) {
      id = als_ids_int64(items, s->item);
      row.column[0].values = &id;
    } else {
      const char *text = als_ids_utf8(items, s->item, &length);
      offsets[1] = (int32_t)length;
      row.column[0] = (rdd_column){text, offsets};
    }
    row.column[1].values = &s->rating;
    row.column[2].values = &s->weight;
    row.column[3].values = &s->contribution;
    st = job_table_file_append(file, &row, err);
  }
  return st;
}

static rdd_status write_table(const explaining *x, int64_t shown, rdd_err *err) {
  job_table_file *file = NULL;
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "item", x->model->side[ALS_ITEMS].ids->type);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_schema_add(&schema, "weight", RDD_FLOAT64);
  rdd_schema_add(&schema, "contribution", RDD_FLOAT64);
  rdd_status st = job_table_file_open(&file, x->path, &schema, &spec, err);
  if (st) return st;
  st = write_rows(x, file, shown, err);
  if (!st) {
    st = job_table_file_commit(file, err);
    file = NULL;
  }
  job_table_file_abandon(file);
  return st;
}

static rdd_status report(const explaining *x, rdd_err *err) {
  const als_explanation *e = &x->found;
  job_json *json = x->j->result;
  int64_t shown = x->top && x->top < e->n ? x->top : e->n;
  double *value = rdd_alloc((size_t)shown, sizeof *value);
  if (!value) return rdd_set(err, RDD_ENOMEM, "out of memory for the report");
  for (int64_t i = 0; i < shown; i++) value[i] = e->share[i].contribution;
  job_json_real(json, "explained", e->total);
  job_json_real(json, "prediction", (double)e->stored);
  job_json_real(json, "difference", (double)e->stored - e->total);
  job_json_real(json, "base", e->base);
  job_json_reals(json, "contributions", value, shown);
  job_json_int(json, "ratings", e->n);
  job_json_int(json, "n_cold", x->cold);
  job_json_string(json, "out", x->path ? x->path : "-");
  rdd_free(value);
  if (x->cold)
    job_warn("%s ratings of the user are of items that the model lacks; left out",
             job_count_text(x->cold));
  if (x->path) return write_table(x, shown, err);
  if (!x->j->json) print_table(x, shown);
  return RDD_OK;
}

/* User and item by their ids. Not collective. */
static rdd_status find_pair(explaining *x, char *const *word, rdd_err *err) {
  static const char *const what[2] = {"user", "item"};
  for (int side = 0; side < 2; side++) {
    const char *text = word[USER + side];
    rdd_status st = job_id_find(x->model->side[side].ids, text, strlen(text), &x->index[side], err);
    if (st) return st;
    if (x->index[side] < 0)
      return rdd_set(err, RDD_EDATA, "%s %.60s is not in the model", what[side], text);
  }
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  char *const *word = job_positional(args);
  explaining x = {.j = j, .top = job_int(args, "top"), .path = job_string(args, "output")};
  als_model *model = NULL;
  job_input *input = NULL;
  rdd *of_user = NULL;
  rdd_status st = RDD_OK;
  if (j->comm->rank == 0 && x.path) st = job_output_check(x.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_params_of_model(j->comm, word[MODEL], &x.params, err);
  if (!st) st = job_model_read(j->comm, word[MODEL], &model, err);
  if (st) goto done;
  x.model = model;
  st = rdd_agree(j->comm, find_pair(&x, word, err), err);
  if (st) goto done;
  const rdd_type types[2] = {model->side[ALS_USERS].ids->type, model->side[ALS_ITEMS].ids->type};
  job_input_opts in = job_input_options(j, args, false);
  in.id_types = types;
  st = job_input_open(j->comm, word + RATINGS, 1, &in, &input, err);
  if (st) goto done;
  x.input = input;
  st = rdd_filter(&of_user, job_input_rdd(input), "of the user", is_of_user, &x, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  rdd_run_opts opts = job_run_opts(j, "reading");
  rdd *const rdds[1] = {of_user};
  st = gang_run(j->comm, rdds, 1, &opts, &x.counters, NULL, explain, &x, err);
  if (st) goto done;
  if (j->comm->rank == 0) st = report(&x, err);
  st = rdd_agree(j->comm, st, err);
done:
  rdd_free(x.found.share);
  rdd_release(of_user);
  job_input_close(input);
  als_model_free(model);
  return st;
}

const job_command job_explain = {
    .name = "explain",
    .summary = "what each of a user's ratings contributes to a prediction",
    .usage = "MODEL RATINGS USER ITEM [OPTION]...",
    .example = "als explain model.h5 ratings.h5 196 242 --top 10",
    .options = options,
    .positional_min = WORDS,
    .positional_max = WORDS,
    .run = run,
};
