/* The clock that durations are measured with, in every room. */
#ifndef RDD_CLOCK_H
#define RDD_CLOCK_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Seconds since some fixed moment; only goes forward. A signal handler may call it. */
static inline double rdd_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __cplusplus
}
#endif
#endif
