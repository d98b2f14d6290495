/* Tour 03, row against vector: the same map, once row by row and once batch by batch. */
#include "rdd/row.h"
#include "tests/tour.h"

#include <time.h>

enum { BATCHES = 64 };

/* BATCHES batches of RDD_BATCH_ROWS numbers. */
static rdd_status many_numbers(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  static int64_t n[RDD_BATCH_ROWS];
  const rdd_batch batch = {.rows = RDD_BATCH_ROWS, .column = {{.values = n}}};
  rdd_status st = RDD_OK;
  (void)arg;
  for (int64_t b = BATCHES * partition; b < BATCHES * (partition + 1) && !st; b++) {
    for (int64_t i = 0; i < RDD_BATCH_ROWS; i++) n[i] = b * RDD_BATCH_ROWS + i;
    st = rdd_task_emit(task, &batch, err);
  }
  return st;
}

/* One row in, one row out: three calls for each number. */
static rdd_status by_row(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  (void)arg, (void)err;
  rdd_rows_set_int(out, 0, 3 * rdd_row_int(in, 0) + 1);
  return RDD_OK;
}

/* A batch in, a batch out: one call for 65536 numbers, and a loop that the compiler vectorises. */
static rdd_status by_batch(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                           rdd_err *err) {
  const int64_t *n = in->column[0].values;
  int64_t *m = rdd_task_scratch(task, (size_t)in->rows, sizeof *m);
  (void)arg;
  if (!m) return rdd_set(err, RDD_ENOMEM, "out of memory for a batch of %d rows", (int)in->rows);
  for (int64_t i = 0; i < in->rows; i++) m[i] = 3 * n[i] + 1;
  out->rows = in->rows;
  out->column[0].values = m;
  return RDD_OK;
}

static void add_batch(void *arg, void *state, const rdd_batch *batch) {
  const int64_t *n = batch->column[0].values;
  (void)arg;
  for (int64_t i = 0; i < batch->rows; i++) *(int64_t *)state += n[i];
}

/* Sum an RDD, and say how long that took. */
static double time_sum(const char *how, rdd *r, rdd_comm *comm) {
  const rdd_aggregate_fns sum = {add_batch, tour_add, NULL};
  const rdd_run_opts opts = {.slots = 1};
  struct timespec begin, end;
  int64_t total = 0;
  rdd_err err;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  TRY(rdd_aggregate(r, comm, &opts, &sum, &total, sizeof total, &err));
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - begin.tv_sec) +
                   1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
  printf("%s: sum %lld in %.3f s\n", how, (long long)total, seconds);
  return seconds;
}

int main(void) {
  const rdd_schema schema = tour_schema();
  rdd *source, *rows, *batches;
  rdd_comm *comm;
  rdd_err err;
  TRY(rdd_comm_single(&comm, &err));
  TRY(rdd_source(&source, "many numbers", 2, &schema, many_numbers, NULL, &err));
  TRY(rdd_map(&rows, source, "rows", &schema, by_row, NULL, &err));
  TRY(rdd_map_batches(&batches, source, "batches", &schema, by_batch, NULL, &err));

  double slow = time_sum("row by row    ", rows, comm);
  double fast = time_sum("batch by batch", batches, comm);
  printf("%.1f times as fast\n", slow / fast);

  rdd_release(batches);
  rdd_release(rows);
  rdd_release(source);
  rdd_comm_close(comm);
  return 0;
}
