/* A loop over threads that live no longer than the loop: none is there when a task is forked. */
#ifndef JOB_THREADS_H
#define JOB_THREADS_H

#include "rdd/status.h"

/* Item i of a loop, 0 <= i < n, on thread 0 <= thread < threads. */
typedef rdd_status (*job_loop_fn)(void *arg, int thread, int64_t i, rdd_err *err);

/* Call body for each i below n, in any order, on at most `threads` >= 1 threads, of which the caller is
 * one (fewer where the system gives no more).                                 Not collective.
 * Fails with what the lowest i failed with; some of those above it may not have been called. */
RDD_MUST_CHECK rdd_status job_in_threads(int threads, int64_t n, job_loop_fn body, void *arg,
                                         rdd_err *err);

#endif
