/* Tour 07, one row's normal equations: what a half-step of ALS solves for one user, written out for two
 * factors and three ratings, and held against the library. */
#include "mllib/als.h"
#include "rdd/memory.h"
#include "tests/tour.h"

#include <math.h>

enum { RATINGS = 7, K = 2 };
static const double lambda = 0.1;

/* One partition: who rated what, and how. User 1 has three ratings. */
static const int64_t users[RATINGS] = {1, 1, 1, 2, 2, 3, 3};
static const int64_t items[RATINGS] = {10, 20, 30, 10, 30, 20, 30};
static const float stars[RATINGS] = {5, 3, 1, 4, 2, 5, 4};

static rdd_status table(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const rdd_batch batch = {.rows = RATINGS,
                           .column = {{.values = users}, {.values = items}, {.values = stars}}};
  (void)arg, (void)partition;
  return rdd_task_emit(task, &batch, err);
}

/* (sum of y y' + lambda n I) x = sum of r y, over the items that the user has rated. */
static void by_hand(const als_model *model, int64_t u, double x[K]) {
  double a[K][K] = {{0}}, b[K] = {0};
  int64_t n = 0;
  for (int r = 0; r < RATINGS; r++) {
    if (als_ids_find_int64(model->side[ALS_USERS].ids, users[r]) != u) continue;
    int64_t i = als_ids_find_int64(model->side[ALS_ITEMS].ids, items[r]);
    const float *y = als_model_row(model, ALS_ITEMS, i);
    printf("  item %d: y = (%8.5f, %8.5f), rated %g\n", (int)items[r], (double)y[0], (double)y[1],
           (double)stars[r]);
    for (int p = 0; p < K; p++) {
      for (int q = 0; q < K; q++) a[p][q] += (double)y[p] * (double)y[q];
      b[p] += (double)stars[r] * (double)y[p];
    }
    n++;
  }
  for (int p = 0; p < K; p++) a[p][p] += lambda * (double)n;
  for (int p = 0; p < K; p++) printf("  A = [%8.5f %8.5f]  b = [%8.5f]\n", a[p][0], a[p][1], b[p]);
  double det = a[0][0] * a[1][1] - a[0][1] * a[1][0]; /* two unknowns: Cramer's rule will do */
  x[0] = (b[0] * a[1][1] - b[1] * a[0][1]) / det;
  x[1] = (b[1] * a[0][0] - b[0] * a[1][0]) / det;
}

int main(void) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  const rdd_run_opts opts = {.slots = 1};
  als_params params = als_params_default();
  als_ids *ids[2];
  als_side by_user;
  als_model *model;
  rdd *source;
  rdd_parts *parts;
  rdd_comm *comm;
  rdd_err err;
  int64_t cold;
  double x[K], error = 0;
  params.rank = K;
  params.reg[ALS_USERS] = params.reg[ALS_ITEMS] = lambda;

  TRY(rdd_comm_single(&comm, &err));
  TRY(rdd_source(&source, "ratings", 1, &schema, table, NULL, &err));
  TRY(rdd_compute(source, comm, &opts, &parts, NULL, &err));
  for (int side = 0; side < 2; side++) TRY(als_ids_build(comm, parts, side, &ids[side], &err));
  TRY(als_model_new(comm, ids, K, false, &model, &err)); /* it owns the ids now */
  TRY(als_model_init(model, comm, ALS_ITEMS, 1, &err));
  const als_ids *const known[2] = {ids[0], ids[1]};
  TRY(als_side_build(comm, parts, ALS_USERS, known, NULL, K, 0, &by_user, &cold, &err));

  int64_t u = als_ids_find_int64(ids[ALS_USERS], 1);
  printf("user 1 is row %d\n", (int)u);
  by_hand(model, u, x);
  printf("by hand      x = (%8.5f, %8.5f)\n", x[0], x[1]);

  TRY(als_half_step(comm, &by_user, ALS_USERS, &params, model, NULL, &err));
  const float *row = als_model_row(model, ALS_USERS, u);
  printf("a half-step  x = (%8.5f, %8.5f)\n", (double)row[0], (double)row[1]);
  for (int p = 0; p < K; p++) error = fmax(error, fabs((double)row[p] - x[p]));

  als_side_reset(&by_user);
  als_model_free(model);
  rdd_parts_free(parts);
  rdd_release(source);
  rdd_comm_close(comm);
  return error > 1e-5; /* rows are kept as float32 */
}
