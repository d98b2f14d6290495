/* Private to mllib: OpenMP's two questions, answered without OpenMP too. */
#ifndef ALS_THREADS_IMPL_H
#define ALS_THREADS_IMPL_H

#ifdef _OPENMP
#include <omp.h>
#endif

/* Threads that the next parallel region may have. */
static inline int als_threads(void) {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

/* Number of this thread in its region. */
static inline int als_thread(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

#endif
