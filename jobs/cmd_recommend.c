/* als recommend: the best items for users, or the best users for items. */
#include "jobs/id_list.h"
#include "jobs/input.h"
#include "jobs/job.h"
#include "jobs/lists.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"top", 0, JOB_INT, "N", "10", 1, 1e6, false, "how many for each"},
    {"for", 0, JOB_CHOICE, "users|items", "users", 0, 0, false,
     "items for users, or users for items"},
    {"users", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false, "only for these users"},
    {"items", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "only for these items (with --for items)"},
    {"exclude-seen", 0, JOB_STRING, "RATINGS", NULL, 0, 0, false,
     "leave out the pairs of these ratings"},
    {"filter-items", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "never recommend these items"},
    {"only-items", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "recommend none but these items"},
    {"filter-users", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "never recommend these users (with --for items)"},
    {"only-users", 0, JOB_STRING, "FILE|ID,ID...", NULL, 0, 0, false,
     "recommend none but these users (with --for items)"},
    {"threshold", 0, JOB_REAL, "S", NULL, 0, 0, false, "no score below this"},
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false,
     "where to write, .csv or .h5; without: a table"},
    JOB_INPUT_OPTIONS,
    {0},
};

/* The options of lists of ids, for --for users and for --for items. */
enum { SERVE, ONLY, FILTER, ID_LISTS };
static const char *const list_option[2][ID_LISTS] = {{"users", "only-items", "filter-items"},
                                                     {"items", "only-users", "filter-users"}};

static const char *const side_name[2] = {"user", "item"};

static const char *const columns[] = {"id of whom the list is for",
                                      "place in the list, 1 is the best",
                                      "id of what is recommended", "predicted rating"};
static const job_table_spec spec = {
    .group = "/recommendations",
    .kind = "recommendations",
    .description = "the best of each list, best first",
    .column_description = columns,
    .id_columns = 1,
};

typedef struct recommendation {
  job_lists lists;
  const als_model *model;
  const job_input *seen_input; /* or NULL */
  rdd_counters counters;
  job_id_list given[ID_LISTS]; /* as the options have them */
  job_id_list chosen;          /* what may be recommended, if that is not everything */
  int64_t rows, seen_cold;
} recommendation;

static rdd_status serve(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  recommendation *r = arg;
  rdd_comm *comm = gang_comm(g);
  als_side seen = {0};
  const als_ids *const ids[2] = {r->model->side[ALS_USERS].ids, r->model->side[ALS_ITEMS].ids};
  rdd_status st = RDD_OK;
  if (r->seen_input) {
    st = job_input_check(r->seen_input, &r->counters, err);
    if (!st)
      st = als_side_build(comm, parts[0], r->lists.query.side, ids, NULL, r->model->k, 0, &seen,
                          &r->seen_cold, err);
    r->lists.seen = &seen;
  }
  if (!st) st = job_lists_write(&r->lists, comm, err);
  als_side_reset(&seen);
  return st;
}

/* Whom to serve, and what may be recommended. Not collective. */
static rdd_status choose(recommendation *r, const job_args *args, rdd_err *err) {
  als_topn_query *q = &r->lists.query;
  const als_ids *own = r->model->side[q->side].ids, *other = r->model->side[!q->side].ids;
  rdd_status st = RDD_OK;
  const char *text[ID_LISTS];
  for (int i = 0; i < ID_LISTS && !st; i++) {
    text[i] = job_string(args, list_option[q->side][i]);
    if (text[i]) st = job_id_list_add(&r->given[i], i == SERVE ? own : other, text[i], err);
    if (!st && text[i] && i != FILTER && !r->given[i].n)
      st = rdd_set(err, RDD_EDATA, "none of the ids of %s is in the model%s", text[i],
                   r->given[i].by_name ? ", and it is no file" : "");
  }
  if (st) return st;
  r->rows = own->n;
  if (text[SERVE]) {
    r->lists.rows = &r->given[SERVE];
    r->rows = r->given[SERVE].n;
  }
  q->columns = other->n;
  if (text[ONLY] || text[FILTER]) {
    st = job_id_list_choose(&r->chosen, other, text[ONLY] ? &r->given[ONLY] : NULL,
                            text[FILTER] ? &r->given[FILTER] : NULL, err);
    q->column = r->chosen.index;
    q->columns = r->chosen.n;
  }
  if (!st && !q->columns)
    st = rdd_set(err, RDD_EDATA, "there is no %s left that could be recommended",
                 side_name[!q->side]);
  if (q->top > q->columns) q->top = (int)q->columns; /* room is made for whole lists */
  return st;
}

static rdd_status read_options(recommendation *r, const job_args *args, rdd_err *err) {
  job_lists *l = &r->lists;
  int side = strcmp(job_string(args, "for"), "items") ? ALS_USERS : ALS_ITEMS;
  l->query.side = side;
  l->query.top = (int)job_int(args, "top");
  l->query.threshold = job_given(args, "threshold") ? job_real(args, "threshold") : -HUGE_VAL;
  l->path = job_string(args, "output");
  l->spec = &spec;
  l->title = l->column[0] = side_name[side];
  l->column[1] = side_name[!side];
  for (int i = 0; i < ID_LISTS; i++)
    if (job_given(args, list_option[!side][i]))
      return rdd_set(err, RDD_EUSAGE, "--%s goes with --for %s", list_option[!side][i],
                     side == ALS_USERS ? "items" : "users");
  return RDD_OK;
}

/* Ratings whose pairs are left out. Collective. */
static rdd_status open_seen(recommendation *r, const job_args *args, job_input **out,
                            rdd_err *err) {
  job *j = r->lists.j;
  const char *path = job_string(args, "exclude-seen");
  if (!path) return RDD_OK;
  const rdd_type types[2] = {r->model->side[ALS_USERS].ids->type,
                             r->model->side[ALS_ITEMS].ids->type};
  job_input_opts in = job_input_options(j, args, true);
  in.id_types = types;
  return job_input_open(j->comm, (char *const *)&path, 1, &in, out, err);
}

static void report(const recommendation *r, double seconds) {
  const job_lists *l = &r->lists;
  job_json *json = l->j->result;
  int64_t unknown = 0;
  for (int i = 0; i < ID_LISTS; i++) unknown += r->given[i].unknown;
  job_json_int(json, l->query.side == ALS_USERS ? "users" : "items", r->rows);
  job_json_int(json, "unknown", unknown);
  job_json_int(json, "candidates", l->query.columns);
  job_json_int(json, "empty", r->rows - l->lists);
  job_json_int(json, "recommendations", l->entries);
  if (l->seen) job_json_int(json, "n_seen_cold", r->seen_cold);
  job_json_int(json, "ranks", l->j->comm->size);
  job_json_int(json, "threads", l->j->threads);
  job_json_real(json, "seconds_ranking", l->seconds);
  job_json_real(json, "seconds", seconds);
  job_json_string(json, "out", l->path ? l->path : "-");
  if (l->path)
    job_say("%s lists of up to %d to %s in %s", job_count_text(r->rows), l->query.top, l->path,
            job_seconds_text(seconds));
  for (int i = 0; i < ID_LISTS; i++) {
    char option[20];
    snprintf(option, sizeof option, "--%s", list_option[l->query.side][i]);
    job_id_list_warn(&r->given[i], option);
  }
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = rdd_seconds();
  recommendation r = {.lists = {.j = j}};
  als_model *model = NULL;
  job_input *seen = NULL;
  rdd *seen_rdd = NULL;
  rdd_status st = read_options(&r, args, err);
  if (!st && j->comm->rank == 0 && r.lists.path)
    st = job_output_check(r.lists.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_model_read(j->comm, job_positional(args)[0], &model, err);
  if (st) goto done;
  r.model = r.lists.query.model = model;
  st = rdd_agree(j->comm, choose(&r, args, err), err);
  if (!st) st = open_seen(&r, args, &seen, err);
  if (st) goto done;
  r.seen_input = seen;
  if (seen) seen_rdd = job_input_rdd(seen);
  rdd_run_opts run_opts = job_run_opts(j, "reading seen ratings");
  /* a file is committed at the end, so that the gang may be rerun; lines on stdout are out */
  gang_opts opts = {.max_attempts = r.lists.path ? 0 : 1};
  st = gang_run(j->comm, &seen_rdd, seen ? 1 : 0, &run_opts, &r.counters, &opts, serve, &r, err);
  if (!st) report(&r, rdd_seconds() - started);
done:
  for (int i = 0; i < ID_LISTS; i++) job_id_list_reset(&r.given[i]);
  job_id_list_reset(&r.chosen);
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
    .daily = " top for users items exclude-seen output ",
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
