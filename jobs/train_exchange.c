/* How new factors travel between nodes, and what `als train` tells of it. */
#include "jobs/train_impl.h"
#include "jobs/ui.h"
#include "rdd/memory.h"

#include <stdio.h>

enum { BYTES, NANOSECONDS, FIELDS };

rdd_status job_train_exchange_new(training *t, const rdd_comm *comm, rdd_err *err) {
  t->exchange_by_iteration = rdd_calloc((size_t)t->params.max_iter + 1, sizeof(int64_t));
  t->exchange_by_rank = rdd_calloc((size_t)comm->size, FIELDS * sizeof(int64_t));
  if (t->exchange_by_iteration && t->exchange_by_rank) return RDD_OK;
  return rdd_set(err, RDD_ENOMEM, "out of memory for what ranks exchange");
}

void job_train_exchange_free(training *t) {
  rdd_free(t->exchange_by_iteration);
  rdd_free(t->exchange_by_rank);
  t->exchange_by_iteration = t->exchange_by_rank = NULL;
}

void job_train_show_exchange(const training *t) {
  static const char *const name[2] = {"users", "items"};
  if (t->j->comm->nodes == 1) return;
  for (int side = 0; side < 2; side++) {
    const als_exchange_plan *plan = &t->problem.exchange[side];
    job_say("new factors of %s over %d nodes: %s to where they are needed, %s to all; %s it is",
            name[side], t->j->comm->nodes, job_size_text((double)plan->need_bytes),
            job_size_text((double)plan->all_bytes),
            plan->need_only ? "where they are needed" : "all");
  }
}

void job_train_gather_exchange(training *t, rdd_comm *comm) {
  int64_t own[FIELDS] = {0};
  for (int i = 0; i < t->iterations; i++) {
    const als_iteration *now = &t->history[i];
    t->exchange_by_iteration[i] = now->exchange_bytes;
    own[BYTES] += now->exchange_bytes;
    own[NANOSECONDS] += (int64_t)(1e9 * now->exchange_seconds);
  }
  rdd_allreduce(comm, t->exchange_by_iteration, t->iterations, RDD_SUM);
  rdd_allgather(comm, own, sizeof own, t->exchange_by_rank);
}

void job_train_report_exchange(const training *t, const rdd_comm *comm, double *scratch) {
  static const char *const key[2][3] = {
      {"exchange_users", "exchange_users_need_bytes", "exchange_users_all_bytes"},
      {"exchange_items", "exchange_items_need_bytes", "exchange_items_all_bytes"}};
  job_json *json = t->j->result;
  job_json_int(json, "nodes", comm->nodes);
  for (int side = 0; side < 2; side++) {
    const als_exchange_plan *plan = &t->problem.exchange[side];
    job_json_string(json, key[side][0], plan->need_only ? "need" : "all");
    job_json_int(json, key[side][1], plan->need_bytes);
    job_json_int(json, key[side][2], plan->all_bytes);
  }
  for (int i = 0; i < t->iterations; i++) scratch[i] = (double)t->exchange_by_iteration[i];
  job_json_reals(json, "exchange_bytes_by_iteration", scratch, t->iterations);
  for (int r = 0; r < comm->size; r++) scratch[r] = (double)t->exchange_by_rank[r * FIELDS + BYTES];
  job_json_reals(json, "exchange_bytes_by_rank", scratch, comm->size);
  for (int r = 0; r < comm->size; r++)
    scratch[r] = 1e-9 * (double)t->exchange_by_rank[r * FIELDS + NANOSECONDS];
  job_json_reals(json, "exchange_seconds_by_rank", scratch, comm->size);
}
