/* Tour 00, a first RDD: the numbers 0 to 19 in four partitions, the squares of the odd ones among them,
 * and three questions. One process, no MPI. */
#include "rdd/row.h"
#include "tests/tour.h"

/* A source computes one partition of its data, and emits it in batches of columns. */
static rdd_status numbers(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  int64_t n[5];
  (void)arg;
  for (int i = 0; i < 5; i++) n[i] = 5 * partition + i;
  const rdd_batch batch = {.rows = 5, .column = {{.values = n}}};
  return rdd_task_emit(task, &batch, err);
}

/* A filter marks the rows that stay. */
static rdd_status is_odd(void *arg, const rdd_batch *in, rdd_task *task, uint8_t *keep,
                         rdd_err *err) {
  const int64_t *n = in->column[0].values;
  (void)arg, (void)task, (void)err;
  for (int64_t i = 0; i < in->rows; i++) keep[i] = n[i] % 2;
  return RDD_OK;
}

/* A map makes one row of each. */
static rdd_status square(void *arg, const rdd_row *in, rdd_rows *out, rdd_err *err) {
  int64_t n = rdd_row_int(in, 0);
  (void)arg, (void)err;
  rdd_rows_set_int(out, 0, n * n);
  return RDD_OK;
}

/* Called with each partition, in order. */
static rdd_status show(void *arg, int64_t partition, const rdd_part *part, rdd_err *err) {
  (void)arg, (void)err;
  printf("partition %d:", (int)partition);
  for (int64_t b = 0; b < part->batches; b++)
    for (int64_t i = 0; i < part->batch[b].rows; i++)
      printf(" %d", (int)((const int64_t *)part->batch[b].column[0].values)[i]);
  printf("\n");
  return RDD_OK;
}

int main(void) {
  const rdd_schema schema = {1, {{"n", RDD_INT64}}};
  const rdd_run_opts opts = {.slots = 2}; /* two tasks at a time */
  rdd *source, *odd, *squares;
  rdd_comm *comm;
  rdd_err err;
  int64_t rows, sum;
  TRY(rdd_comm_single(&comm, &err));

  /* Lineage: nothing runs yet. */
  TRY(rdd_source(&source, "numbers", 4, &schema, numbers, NULL, &err));
  TRY(rdd_filter(&odd, source, "odd", is_odd, NULL, &err));
  TRY(rdd_map(&squares, odd, "squares", &schema, square, NULL, &err));

  /* Actions: each forks a task for every partition, which computes its chain from the source. */
  TRY(rdd_visit(squares, comm, &opts, show, NULL, NULL, &err));
  TRY(rdd_count(squares, comm, &opts, &rows, &err));
  TRY(rdd_reduce(squares, comm, &opts, "n", tour_add, NULL, &sum, &err));
  printf("%d rows, sum %d\n", (int)rows, (int)sum);

  rdd_release(squares);
  rdd_release(odd);
  rdd_release(source);
  rdd_comm_close(comm);
  return 0;
}
