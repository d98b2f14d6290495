/* Tour 05, a gang: tasks compute partitions, then all ranks move as one over what the tasks have left in
 * their memory. Run it under mpirun with any number of ranks. */
#include "mpi_bridge/gang.h"
#include "tests/tour.h"

/* What each rank runs, with its own partitions. */
static rdd_status body(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  rdd_comm *comm = gang_comm(g);
  int64_t sum[2] = {0, parts[0]->n}; /* of the numbers; partitions */
  const void *const *all;
  const int64_t *bytes;
  char message[40];
  (void)arg;
  for (int64_t p = 0; p < parts[0]->n; p++)
    for (int64_t b = 0; b < parts[0]->part[p].batches; b++) {
      const rdd_batch *batch = &parts[0]->part[p].batch[b];
      for (int64_t i = 0; i < batch->rows; i++)
        sum[0] += ((const int64_t *)batch->column[0].values)[i];
    }

  /* Nobody goes on before all have come. */
  rdd_status st = gang_barrier(g, err);
  if (st) return st;

  /* Everybody's words to everybody. */
  int length = snprintf(message, sizeof message, "rank %d of %d is here", gang_rank(g),
                        gang_size(g));
  st = gang_allgather(g, message, length, &all, &bytes, err);
  if (st) return st;
  for (int r = 0; r < gang_size(g) && gang_rank(g) == 0; r++)
    printf("%.*s\n", (int)bytes[r], (const char *)all[r]);

  /* Sums over ranks are the communicator's. */
  rdd_allreduce(comm, sum, 2, RDD_SUM);
  if (gang_rank(g) == 0) printf("%d partitions, sum %d\n", (int)sum[1], (int)sum[0]);
  return RDD_OK;
}

int main(int argc, char **argv) {
  const rdd_schema schema = tour_schema();
  const rdd_run_opts run = {.slots = 1};
  const gang_opts once = {.max_attempts = 1}; /* a body that prints cannot take it back */
  rdd *source;
  rdd_comm *comm;
  rdd_err err;
  TRY(gang_open(&argc, &argv, &comm, &err));
  TRY(rdd_source(&source, "numbers", 6, &schema, tour_count_up, NULL, &err));
  TRY(gang_run(comm, &source, 1, &run, NULL, &once, body, NULL, &err));
  rdd_release(source);
  rdd_comm_close(comm);
  return 0;
}
