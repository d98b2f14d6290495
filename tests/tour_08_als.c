/* Tour 08, ALS in fifty lines: tasks make ratings, a gang turns them into rows and fits a model. The same
 * bits on any number of ranks. */
#include "mllib/als.h"
#include "mpi_bridge/gang.h"
#include "rdd/hash.h"
#include "tests/tour.h"

#include <math.h>

enum { PARTITIONS = 8, USERS = 50, RATED = 40, ITEMS = 200, ITERATIONS = 6 };

/* What a user thinks of an item. */
static double planted(int64_t user, int64_t item) {
  return 3 + 2 * cos(0.1 * (double)user) * sin(0.3 * (double)item);
}

/* The USERS users of a partition rate RATED items each, drawn by a hash, with a little noise. */
static rdd_status people(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  static int64_t user[USERS * RATED], item[USERS * RATED];
  static float rating[USERS * RATED];
  (void)arg;
  for (int64_t n = 0; n < USERS * RATED; n++) {
    user[n] = partition * USERS + n / RATED;
    item[n] = (int64_t)(rdd_mix64_2((uint64_t)user[n], (uint64_t)n) % ITEMS);
    double noise = rdd_uniform(rdd_mix64_2((uint64_t)item[n], (uint64_t)n)) - 0.5;
    rating[n] = (float)(planted(user[n], item[n]) + 0.4 * noise);
  }
  const rdd_batch batch = {.rows = USERS * RATED,
                           .column = {{.values = user}, {.values = item}, {.values = rating}}};
  return rdd_task_emit(task, &batch, err);
}

/* A fingerprint of the items' factors, to the last bit. */
static uint64_t fingerprint(const als_model *model) {
  const rdd_table *items = model->side[ALS_ITEMS].factors;
  return rdd_hash_bytes(rdd_table_data(items), rdd_table_size(items));
}

/* The gang's part, on every rank. */
static rdd_status fit(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  const als_params *params = arg;
  rdd_comm *comm = gang_comm(g);
  als_ids *ids[2] = {NULL, NULL};
  als_problem problem = {0};
  als_model *model = NULL;
  als_iteration history[ITERATIONS];
  int64_t cold;
  int done;

  /* Who is there? Ids of all ranks, sorted: the place of an id is its row. */
  rdd_status st = als_ids_build(comm, parts[0], ALS_USERS, &ids[ALS_USERS], err);
  if (!st) st = als_ids_build(comm, parts[0], ALS_ITEMS, &ids[ALS_ITEMS], err);
  if (!st) st = als_model_new(comm, ids, params->rank, false, &model, err);
  if (st) {
    for (int side = 0; side < 2; side++) als_ids_free(ids[side]);
    return st;
  }
  for (int side = 0; side < 2 && !st; side++) st = als_model_init(model, comm, side, 1, err);

  /* Ratings go to the rank that owns their user; then to the one that owns their item. */
  const als_ids *const known[2] = {ids[0], ids[1]};
  als_side *by_user = &problem.side[ALS_USERS], *by_item = &problem.side[ALS_ITEMS];
  if (!st)
    st = als_side_build(comm, parts[0], ALS_USERS, known, NULL, params->rank, 0, by_user, &cold,
                        err);
  if (!st) st = als_side_transpose(comm, by_user, ids[ALS_ITEMS]->n, params->rank, 0, by_item, err);
  if (st) goto done;
  problem.ratings = als_side_count(by_user, comm);

  st = als_fit(comm, &problem, params, model, 0, NULL, history, &done, err);
  if (st || gang_rank(g) != 0) goto done;
  printf("%d ratings, %d users, %d items\n", (int)problem.ratings, (int)ids[ALS_USERS]->n,
         (int)ids[ALS_ITEMS]->n);
  for (int i = 0; i < done; i++)
    printf("iteration %d: RMSE %.4f, objective %.2f\n", history[i].iteration, history[i].rmse_train,
           history[i].objective);
  printf("user 7, item 35: predicted %.2f, planted %.2f\n",
         (double)als_model_predict(model, als_ids_find_int64(ids[ALS_USERS], 7),
                                   als_ids_find_int64(ids[ALS_ITEMS], 35)),
         planted(7, 35));
  printf("items' factors: %016llx\n", (unsigned long long)fingerprint(model));
done:
  for (int side = 0; side < 2; side++) als_side_reset(&problem.side[side]);
  als_model_free(model);
  return st;
}

int main(int argc, char **argv) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  const rdd_run_opts run = {.slots = 1};
  const gang_opts once = {.max_attempts = 1}; /* it prints */
  als_params params = als_params_default();
  params.rank = 4;
  params.max_iter = ITERATIONS;
  params.reg[ALS_USERS] = params.reg[ALS_ITEMS] = 0.02;
  rdd *source;
  rdd_comm *comm;
  rdd_err err;
  TRY(gang_open(&argc, &argv, &comm, &err));
  TRY(rdd_source(&source, "people", PARTITIONS, &schema, people, NULL, &err));
  TRY(gang_run(comm, &source, 1, &run, NULL, &once, fit, &params, &err));
  rdd_release(source);
  rdd_comm_close(comm);
  return 0;
}
