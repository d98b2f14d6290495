/* See threads.h. */
#include "jobs/threads.h"

#include "rdd/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct loop {
  atomic_int_fast64_t next;
  int64_t n;
  job_loop_fn body;
  void *arg;
} loop;

typedef struct worker {
  loop *all;
  int thread;
  bool started;
  pthread_t id;
  int64_t failed; /* item, and with what; then this thread takes no more */
  rdd_status status;
  rdd_err error;
} worker;

static void *work(void *arg) {
  worker *w = arg;
  loop *all = w->all;
  int64_t i;
  while (!w->status && (i = atomic_fetch_add(&all->next, 1)) < all->n) {
    w->status = all->body(all->arg, w->thread, i, &w->error);
    w->failed = i;
  }
  return NULL;
}

rdd_status job_in_threads(int threads, int64_t n, job_loop_fn body, void *arg, rdd_err *err) {
  loop all = {.n = n, .body = body, .arg = arg};
  if (threads > n) threads = (int)n;
  if (n <= 0) return RDD_OK;
  worker *w = rdd_calloc((size_t)threads, sizeof *w);
  if (!w) return rdd_set(err, RDD_ENOMEM, "no memory for %d threads", threads);
  for (int t = 0; t < threads; t++) {
    w[t].all = &all;
    w[t].thread = t;
    w[t].started = t > 0 && pthread_create(&w[t].id, NULL, work, &w[t]) == 0;
  }
  (void)work(&w[0]);
  const worker *first = NULL;
  for (int t = 0; t < threads; t++) {
    if (w[t].started) pthread_join(w[t].id, NULL);
    if (w[t].status && (!first || w[t].failed < first->failed)) first = &w[t];
  }
  rdd_status st = first ? first->status : RDD_OK;
  if (first) *err = first->error;
  rdd_free(w);
  return st;
}
