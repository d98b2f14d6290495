/* als similar: the items that are most like an item, or the users most like a user, by the cosine of their
 * factors. */
#include "jobs/id_list.h"
#include "jobs/job.h"
#include "jobs/lists.h"
#include "jobs/model_file.h"
#include "jobs/output.h"
#include "jobs/ui.h"
#include "mpi_bridge/gang.h"
#include "rdd/clock.h"
#include "rdd/memory.h"

#include <math.h>
#include <string.h>

static const job_option options[] = {
    {"items", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "items like these items; the default"},
    {"users", 0, JOB_FLAG, NULL, NULL, 0, 0, false, "users like these users"},
    {"top", 0, JOB_INT, "N", "10", 1, 1e6, false, "how many for each"},
    {"threshold", 0, JOB_REAL, "S", NULL, -1, 1, false, "no cosine below this"},
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, false,
     "where to write, .csv or .h5; without: a table"},
    {0},
};

static const char *const columns[2][4] = {
    {"id of the user", "place in the list, 1 is the most similar", "id of the similar user",
     "cosine of the angle between their factors"},
    {"id of the item", "place in the list, 1 is the most similar", "id of the similar item",
     "cosine of the angle between their factors"},
};
static const job_table_spec spec[2] = {
    {"/similar", "similar", "the most similar of each list, best first", columns[0], 1, 0},
    {"/similar", "similar", "the most similar of each list, best first", columns[1], 1, 0},
};
static const char *const name[2][2] = {{"user", "similar_user"}, {"item", "similar_item"}};

static rdd_status serve(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  (void)parts;
  return job_lists_write(arg, gang_comm(g), err);
}

static rdd_status read_options(job_lists *l, const job_args *args, rdd_err *err) {
  int side = job_flag(args, "users") ? ALS_USERS : ALS_ITEMS;
  if (job_flag(args, "users") && job_flag(args, "items"))
    return rdd_set(err, RDD_EUSAGE, "--users and --items exclude each other");
  l->query.side = side;
  l->query.cosine = true;
  l->query.top = (int)job_int(args, "top");
  l->query.threshold = job_given(args, "threshold") ? job_real(args, "threshold") : -HUGE_VAL;
  l->path = job_string(args, "output");
  l->spec = &spec[side];
  l->title = l->column[0] = name[side][0];
  l->column[1] = name[side][1];
  return RDD_OK;
}

/* The ids after the model. Not collective. */
static rdd_status choose(job_lists *l, const job_args *args, job_id_list *rows, rdd_err *err) {
  const als_ids *ids = l->query.model->side[l->query.side].ids;
  rdd_status st = RDD_OK;
  if (l->query.top > ids->n) l->query.top = (int)ids->n;
  for (int i = 1; i < job_positionals(args) && !st; i++)
    st = job_id_list_add(rows, ids, job_positional(args)[i], err);
  if (st || job_positionals(args) == 1) return st;
  if (!rows->n)
    return rdd_set(err, RDD_EDATA, "none of the %ss asked for is in the model: %s", l->title,
                   rows->first);
  l->rows = rows;
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  double started = rdd_seconds();
  job_lists lists = {.j = j};
  job_id_list rows = {0};
  als_model *model = NULL;
  rdd_status st = read_options(&lists, args, err);
  if (!st && j->comm->rank == 0 && lists.path)
    st = job_output_check(lists.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = job_model_read(j->comm, job_positional(args)[0], &model, err);
  if (st) goto done;
  lists.query.model = model;
  st = rdd_agree(j->comm, choose(&lists, args, &rows, err), err);
  if (st) goto done;
  rdd_run_opts run_opts = job_run_opts(j, "ranking");
  gang_opts opts = {.max_attempts = lists.path ? 0 : 1};
  st = gang_run(j->comm, NULL, 0, &run_opts, NULL, &opts, serve, &lists, err);
  if (st) goto done;
  int64_t n = lists.rows ? rows.n : model->side[lists.query.side].ids->n;
  job_json_int(j->result, lists.query.side == ALS_USERS ? "users" : "items", n);
  job_json_int(j->result, "unknown", rows.unknown);
  job_json_int(j->result, "empty", n - lists.lists);
  job_json_int(j->result, "similar", lists.entries);
  job_json_real(j->result, "seconds_ranking", lists.seconds);
  job_json_real(j->result, "seconds", rdd_seconds() - started);
  job_json_string(j->result, "out", lists.path ? lists.path : "-");
  if (lists.path)
    job_say("%s lists of up to %d to %s in %s", job_count_text(n), lists.query.top, lists.path,
            job_seconds_text(rdd_seconds() - started));
  job_id_list_warn(&rows, NULL);
done:
  job_id_list_reset(&rows);
  als_model_free(model);
  return st;
}

const job_command job_similar = {
    .name = "similar",
    .summary = "the items most like an item, or the users most like a user",
    .usage = "MODEL [ID|FILE]... [OPTION]...",
    .example = "als similar model.h5 --items 50 181 --top 5",
    .options = options,
    .positional_min = 1,
    .positional_max = -1,
    .run = run,
};
