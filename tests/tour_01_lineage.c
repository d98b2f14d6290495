/* Tour 01, lineage printed and drawn: which stages an action will have, and what it is made of.
 *   tour_01_lineage        as text
 *   tour_01_lineage dot    for Graphviz */
#include "rdd/memory.h"
#include "tests/tour.h"

/* Whole partitions: of each, how many rows it has. */
static rdd_status count_rows(void *arg, const rdd_part *const *in, rdd_task *task, rdd_err *err) {
  const rdd_batch batch = {.rows = 1, .column = {{.values = &in[0]->rows}}};
  (void)arg;
  return rdd_task_emit(task, &batch, err);
}

int main(int argc, char **argv) {
  const rdd_schema schema = tour_schema();
  const rdd_run_opts opts = {.slots = 2};
  rdd *monday, *tuesday, *both, *half, *dealt, *sizes;
  rdd_comm *comm;
  rdd_part result;
  rdd_err err;
  (void)argv;
  TRY(rdd_comm_single(&comm, &err));
  TRY(rdd_source(&monday, "monday", 2, &schema, tour_count_up, NULL, &err));
  TRY(rdd_source(&tuesday, "tuesday", 3, &schema, tour_count_up, NULL, &err));
  TRY(rdd_union(&both, monday, tuesday, "both", &err));
  TRY(rdd_sample(&half, both, "half", 0.5, 1, &err));
  TRY(rdd_partition_by(&dealt, half, "dealt by n", "n", 2, &err)); /* rows change places here */
  TRY(rdd_map_partitions(&sizes, dealt, "sizes", &schema, count_rows, NULL, &err));
  TRY(rdd_persist(dealt, RDD_LEVEL_MEMORY, NULL, 0, &err));

  char *text = argc > 1 ? rdd_dot(sizes) : rdd_debug_string(sizes);
  printf("%s%s", text ? text : "out of memory", argc > 1 ? "" : "\n");
  rdd_free(text);

  if (argc == 1) {
    TRY(rdd_collect(sizes, comm, &opts, &result, &err));
    rdd_part_close(&result);
    text = rdd_debug_string(sizes); /* and now that it has been computed */
    printf("\nafter an action:\n%s\n", text ? text : "out of memory");
    rdd_free(text);
  }
  rdd *const all[] = {sizes, dealt, half, both, tuesday, monday};
  for (int i = 0; i < 6; i++) rdd_release(all[i]);
  rdd_comm_close(comm);
  return 0;
}
