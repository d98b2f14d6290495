/* spark_start MODEL OUT: the model with the initial factors that Spark 2.4 would draw (seed 0, 10 x 10
 * blocks), so that `als train --init-model OUT` has to give Spark's results. */
#include "jobs/model_file.h"
#include "tests/fixtures.h"

#include <stdio.h>

static rdd_status start_as_spark(rdd_comm *comm, const char *from, const char *to, rdd_err *err) {
  als_model *model = NULL;
  rdd_status st = job_model_read(comm, from, &model, err);
  if (st) return st;
  for (int side = 0; side < 2; side++) fx_spark_init(model, side, FX_XORSHIFT_2, 0, 10);
  job_provenance how = {
      .params = {.rank = model->k}, .inputs = "", .command_line = "spark_start", .ranks = 1};
  st = job_model_write(comm, to, model, &how, err);
  als_model_free(model);
  return st;
}

int main(int argc, char **argv) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  if (argc != 3) return 2;
  rdd_status st = rdd_comm_single(&comm, &err);
  if (!st) st = start_as_spark(comm, argv[1], argv[2], &err);
  if (st) fprintf(stderr, "spark_start: %s\n", err.message);
  rdd_comm_close(comm);
  return st ? 1 : 0;
}
