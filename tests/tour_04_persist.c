/* Tour 04, persist and checkpoint: partitions that are kept are not computed again; one that is lost comes
 * back from lineage, as long as there is one. The argument is a folder for them. */
#include "jobs/block_store.h"
#include "rdd/memory.h"
#include "tests/tour.h"

static rdd_status negate(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                         rdd_err *err) {
  const int64_t *n = in->column[0].values;
  int64_t *m = rdd_task_scratch(task, (size_t)in->rows, sizeof *m);
  (void)arg;
  if (!m) return rdd_set(err, RDD_ENOMEM, "out of memory for a batch of %d rows", (int)in->rows);
  for (int64_t i = 0; i < in->rows; i++) m[i] = -n[i];
  out->rows = in->rows;
  out->column[0].values = m;
  return RDD_OK;
}

static rdd_status sum_up(rdd *r, rdd_comm *comm, rdd_err *err) {
  const rdd_run_opts opts = {.slots = 1, .event = tour_tell};
  int64_t sum;
  rdd_status st = rdd_reduce(r, comm, &opts, "n", tour_add, NULL, &sum, err);
  if (st)
    printf("  the action failed: %s\n", err->message);
  else
    printf("  sum %d\n", (int)sum);
  return st;
}

static void show_lineage(const rdd *r) {
  char *text = rdd_debug_string(r);
  printf("%s\n", text ? text : "out of memory");
  rdd_free(text);
}

int main(int argc, char **argv) {
  enum { PARTITIONS = 3, FINGERPRINT = 1 };
  const char *dir = argc > 1 ? argv[1] : "tour-blocks";
  const rdd_schema schema = tour_schema();
  const rdd_run_opts opts = {.slots = 1, .event = tour_tell};
  const rdd_block block = {"negative", FINGERPRINT, 1, PARTITIONS};
  rdd *source, *negative;
  rdd_store *store;
  rdd_comm *comm;
  rdd_err err;
  TRY(rdd_comm_single(&comm, &err));
  TRY(job_block_store_open(&store, dir, true, NULL, &err));
  TRY(rdd_source(&source, "numbers", PARTITIONS, &schema, tour_count_up, NULL, &err));
  TRY(rdd_map_batches(&negative, source, "negative", &schema, negate, NULL, &err));
  TRY(rdd_persist(negative, RDD_LEVEL_DISK, store, FINGERPRINT, &err));

  printf("the first action computes and keeps\n");
  TRY(sum_up(negative, comm, &err));
  printf("the second one finds\n");
  TRY(sum_up(negative, comm, &err));
  printf("partition 1 is lost, and computed again\n");
  store->drop(store, &block);
  TRY(sum_up(negative, comm, &err));

  printf("before the checkpoint\n");
  show_lineage(negative);
  TRY(rdd_checkpoint(negative, comm, &opts, store, FINGERPRINT, &err));
  printf("after it: no parents\n");
  show_lineage(negative);
  printf("partition 1 is lost again, and there is nothing to compute it from\n");
  store->drop(store, &block);
  rdd_status st = sum_up(negative, comm, &err);

  job_block_store_remove(store);
  rdd_release(negative);
  rdd_release(source);
  job_block_store_close(store);
  rdd_comm_close(comm);
  return st == RDD_OK; /* it has to fail */
}
