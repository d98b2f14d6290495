#include "jobs/save.h"

#include <sched.h>

static const char *const ratings_columns[] = {"id of the user", "id of the item", "rating",
                                              "time of the rating"};
const job_table_spec job_ratings_spec = {
    .group = "/ratings",
    .kind = "ratings",
    .description = "one row for each rating",
    .column_description = ratings_columns,
    .id_columns = 2,
};

job_input_opts job_input_options(const job *j, const job_args *args, bool pairs) {
  return (job_input_opts){
      .format = job_string(args, "format"),
      .columns = job_string(args, "columns"),
      .id_type = job_string(args, "id-type"),
      .max_bad_records = job_int(args, "max-bad-records"),
      .num_partitions = job_int(args, "num-partitions"),
      .slots = j->threads,
      .pairs = pairs,
  };
}

/* The other ranks of the node have little to do while rank 0 writes, so it takes their threads, too, if it
 * is not bound to fewer cores. */
static job_table_spec with_threads(const job *j, const job_table_spec *spec) {
  job_table_spec out = *spec;
  cpu_set_t set;
  out.threads = j->threads * j->comm->node_size;
  int bound = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : out.threads;
  if (bound < out.threads) out.threads = bound;
  return out;
}

rdd_status job_save_open(const job *j, job_table_file **out, const char *path,
                         const rdd_schema *schema, const job_table_spec *spec, rdd_err *err) {
  job_table_spec threaded = with_threads(j, spec);
  return job_table_file_open(out, path, schema, &threaded, err);
}

static rdd_status append_partition(void *arg, int64_t partition, const rdd_part *part,
                                   rdd_err *err) {
  (void)partition;
  rdd_status st = RDD_OK;
  for (int64_t b = 0; b < part->batches && !st; b++)
    st = job_table_file_append(arg, &part->batch[b], err);
  return st;
}

rdd_status job_save(job *j, rdd *r, const char *what, const char *path, const job_table_spec *spec,
                    const job_input *input, job_save_fn finish, void *arg, rdd_err *err) {
  rdd_status st = RDD_OK;
  rdd_counters counters;
  job_table_file *file = NULL;
  bool first = j->comm->rank == 0;
  if (first) st = job_save_open(j, &file, path, rdd_schema_of(r), spec, err);
  st = rdd_agree(j->comm, st, err);
  if (st) goto done;
  rdd_run_opts opts = job_run_opts(j, what);
  st = rdd_visit(r, j->comm, &opts, append_partition, file, &counters, err);
  if (!st && input) st = job_input_check(input, &counters, err);
  if (st) goto done; /* on all ranks */
  if (first) st = finish(arg, file, &counters, err);
  if (first && !st) {
    st = job_table_file_commit(file, err);
    file = NULL;
  }
  st = rdd_agree(j->comm, st, err);
done:
  job_table_file_abandon(file);
  return st;
}

rdd_status job_save_counts(job_table_file *file, rdd_err *err) {
  rdd_status st = job_table_file_attribute(file, "users", job_table_file_distinct(file, 0), err);
  if (!st) st = job_table_file_attribute(file, "items", job_table_file_distinct(file, 1), err);
  if (!st) st = job_table_file_attribute(file, "ratings", job_table_file_rows(file), err);
  return st;
}
