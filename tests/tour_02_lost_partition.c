/* Tour 02, a task dies: its partition is computed again from lineage, it alone.
 *   tour_02_lost_partition          the task of partition 2 is killed at its first attempt
 *   tour_02_lost_partition always   at each of them
 *   tour_02_lost_partition data     it says that its data are wrong */
#include "tests/tour.h"

#include <signal.h>

/* As it is, but in partition 2 something goes wrong, after the source has been read. */
static rdd_status stumble(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  const char *how = arg;
  if (rdd_task_partition(task) == 2) {
    if (!strcmp(how, "data")) return rdd_set(err, RDD_EDATA, "partition 2 has no numbers");
    if (!strcmp(how, "always") || rdd_task_attempt(task) == 0) raise(SIGKILL);
  }
  *out = *in;
  return RDD_OK;
}

int main(int argc, char **argv) {
  const rdd_schema schema = tour_schema();
  const rdd_run_opts opts = {.slots = 1, .event = tour_tell};
  rdd *source, *stumbling;
  rdd_comm *comm;
  rdd_err err;
  int64_t sum = 0;
  TRY(rdd_comm_single(&comm, &err));
  TRY(rdd_source(&source, "numbers", 4, &schema, tour_count_up, NULL, &err));
  TRY(rdd_map_batches(&stumbling, source, "stumbling", &schema, stumble,
                      argc > 1 ? argv[1] : "once", &err));

  rdd_status st = rdd_reduce(stumbling, comm, &opts, "n", tour_add, NULL, &sum, &err);
  if (st)
    printf("the action failed (%s): %s\n", rdd_status_name(st), err.message);
  else
    printf("sum %d\n", (int)sum);

  rdd_release(stumbling);
  rdd_release(source);
  rdd_comm_close(comm);
  return 0;
}
