/* OpenBLAS with the kernels that fit this processor.
 *
 * An OpenBLAS that is older than the processor takes it for one of 2004, "Prescott", and multiplies matrices
 * several times slower than it could. What tells it better, OPENBLAS_CORETYPE, is read while the library is
 * loaded: so the program sets it and begins anew. */
#ifndef GANGPLANK_JOBS_BLAS_H
#define GANGPLANK_JOBS_BLAS_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char *openblas_get_corename(void) __attribute__((weak));

/* Call first in main(). Returns where OpenBLAS knows the processor, where the user has chosen, where the BLAS
 * is another one, and where the program cannot begin anew. */
static inline void blas_fit_processor(char **argv) {
#if defined __x86_64__ && defined __GNUC__
  if (!openblas_get_corename || strcmp(openblas_get_corename(), "Prescott") ||
      getenv("OPENBLAS_CORETYPE"))
    return;
  __builtin_cpu_init();
  const char *core = __builtin_cpu_supports("avx512vl") ? "SkylakeX"
                     : __builtin_cpu_supports("avx2")   ? "Haswell"
                                                        : NULL;
  char path[4096]; /* not /proc/self/exe, which would be the process's new name */
  ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  if (!core || n < 1 || setenv("OPENBLAS_CORETYPE", core, 1) != 0) return;
  path[n] = '\0';
  execv(path, argv);
#else
  (void)argv;
#endif
}

#endif
