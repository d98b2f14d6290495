/* A program of one's own: tasks make ratings, a gang of ranks fits a model to them, rank 0 asks it for lists.
 * Even users like even items and odd users odd ones. A third of the pairs is not rated, and of these the
 * lists are made: what comes out has the user's parity. */
#include <mllib/als.h>
#include <mllib/topn.h>
#include <mpi_bridge/gang.h>
#include <rdd/hash.h>
#include <rdd/memory.h>
#include <rdd/rdd.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { PARTS = 4, USERS_OF_PART = 50, ITEMS = 60, K = 4, ITERATIONS = 5, TOP = 4 };

static int rated(int64_t user, int64_t item) {
  return rdd_mix64_2((uint64_t)user, (uint64_t)item) % 3 != 0;
}

/* A task: the ratings of some users, as one batch. */
static rdd_status make_ratings(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  (void)arg;
  size_t room = USERS_OF_PART * ITEMS;
  int64_t *user = rdd_task_scratch(task, room, sizeof *user);
  int64_t *item = rdd_task_scratch(task, room, sizeof *item);
  float *value = rdd_task_scratch(task, room, sizeof *value);
  if (!user || !item || !value) return rdd_set(err, RDD_ENOMEM, "out of memory for ratings");
  rdd_batch batch = {.column = {{user, NULL}, {item, NULL}, {value, NULL}}};
  for (int64_t u = partition * USERS_OF_PART; u < (partition + 1) * USERS_OF_PART; u++)
    for (int64_t i = 0; i < ITEMS; i++) {
      if (!rated(u, i)) continue;
      user[batch.rows] = u;
      item[batch.rows] = i;
      value[batch.rows++] = u % 2 == i % 2 ? 5 : 1;
    }
  return rdd_task_emit(task, &batch, err);
}

/* The lists of two users, without what they have rated. */
static rdd_status print_lists(const als_model *model, rdd_err *err) {
  const als_ids *users = model->side[ALS_USERS].ids, *items = model->side[ALS_ITEMS].ids;
  for (int64_t id = 6; id <= 7; id++) {
    int64_t open[ITEMS], n = 0, row = als_ids_find_int64(users, id), best[TOP];
    float score[TOP];
    als_topn *topn = NULL;
    for (int64_t i = 0; i < items->n; i++)
      if (!rated(id, als_ids_int64(items, i))) open[n++] = i;
    const als_topn_query query = {.model = model,
                                  .side = ALS_USERS,
                                  .top = TOP,
                                  .threshold = -INFINITY,
                                  .column = open,
                                  .columns = n};
    rdd_status st = als_topn_open(&query, &topn, err);
    if (st) return st;
    als_topn_rows(topn, &row, 1, NULL, best, score);
    printf("user %" PRId64 ":", id);
    for (int t = 0; t < TOP && best[t] >= 0; t++)
      printf(" %" PRId64 " (%.2f)", als_ids_int64(items, best[t]), (double)score[t]);
    printf("\n");
    als_topn_close(topn);
  }
  return RDD_OK;
}

/* The gang: every rank runs this, with the partitions that its tasks have made. */
static rdd_status fit(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_comm *comm = gang_comm(g);
  als_ids *ids[2] = {NULL, NULL};
  als_model *model = NULL;
  als_problem problem = {.test = NULL};
  als_params params = als_params_default();
  als_iteration history[ITERATIONS];
  int64_t cold;
  int done = 0;
  (void)arg;
  params.rank = K;
  params.max_iter = ITERATIONS;
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = als_ids_build(comm, parts[0], side, &ids[side], err);
  if (!st) st = als_model_new(comm, ids, K, false, &model, err);
  if (st) { /* the ids are the model's from here on */
    for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
    return st;
  }
  for (int side = 0; side < 2 && !st; side++) st = als_model_init(model, comm, side, 1, err);
  if (!st)
    st = als_side_build(comm, parts[0], ALS_USERS, (const als_ids *const *)ids, NULL, K, 0,
                        &problem.side[ALS_USERS], &cold, err);
  if (!st)
    st = als_side_transpose(comm, &problem.side[ALS_USERS], ids[ALS_ITEMS]->n, K, 0,
                            &problem.side[ALS_ITEMS], err);
  if (!st) problem.ratings = als_side_count(&problem.side[ALS_USERS], comm);
  if (!st) st = als_fit(comm, &problem, &params, model, 0, NULL, history, &done, err);
  if (!st && comm->rank == 0) {
    printf("%" PRId64 " ratings, RMSE %.3f after %d iterations\n", problem.ratings,
           history[done - 1].rmse_train, done);
    st = print_lists(model, err);
  }
  st = rdd_agree(comm, st, err);
  for (int side = 0; side < 2; side++) als_side_reset(&problem.side[side]);
  als_model_free(model);
  return st;
}

int main(int argc, char **argv) {
  rdd_err err = {.code = RDD_OK};
  rdd_comm *comm = NULL;
  rdd *ratings = NULL;
  rdd_schema schema = {0};
  const rdd_run_opts run = {.slots = 2};
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_status st = gang_open(&argc, &argv, &comm, &err);
  if (!st) st = rdd_source(&ratings, "parity", PARTS, &schema, make_ratings, NULL, &err);
  if (!st) st = gang_run(comm, &ratings, 1, &run, NULL, NULL, fit, NULL, &err);
  if (st && (!comm || comm->rank == 0)) fprintf(stderr, "parity: %s\n", err.message);
  rdd_release(ratings);
  rdd_comm_close(comm);
  return st ? 1 : 0;
}
