/* Which kernels this processor gets. */
#include "mllib/kernels_kinds_impl.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 3 };

/* The best first. */
static const als_kernels *const *kind_of(int i) {
  static const als_kernels *const *const kinds[KINDS] = {als_kernels_avx512, als_kernels_avx2,
                                                         als_kernels_portable};
  return kinds[i];
}

static bool runs_here(int i) {
#if defined __x86_64__ && defined __GNUC__
  __builtin_cpu_init();
  switch (i) {
  case 0:
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("fma");
  case 1:
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
#endif
  return kind_of(i)[ALS_DOUBLE] != NULL;
}

const als_kernels *als_kernels_kind(int i, als_precision precision) {
  for (int kind = 0; kind < KINDS; kind++)
    if (runs_here(kind) && i-- == 0) return kind_of(kind)[precision];
  return NULL;
}

const als_kernels *als_kernels_get(als_precision precision) {
  const char *wanted = getenv("GANGPLANK_KERNELS");
  const als_kernels *found;
  for (int i = 0; wanted && (found = als_kernels_kind(i, precision)); i++)
    if (strcmp(found->name, wanted) == 0) return found;
  return als_kernels_kind(0, precision);
}

const char *als_kernels_name(void) {
  return als_kernels_get(ALS_DOUBLE)->name;
}

size_t als_kernels_scratch(const als_kernels *kernels, int w) {
  /* diagonal blocks and the inverses of their diagonals, in lanes */
  return (size_t)w / 8 * (8 * 8 + 8) * (size_t)kernels->lanes * kernels->size;
}

void als_kernels_copy(const als_kernels *kernels, const double *matrix, int unknowns, void *out) {
  als_precision precision = kernels->size == sizeof(float) ? ALS_SINGLE : ALS_DOUBLE;
  size_t from = (size_t)als_kernels_width(ALS_DOUBLE, unknowns);
  size_t w = (size_t)als_kernels_width(precision, unknowns);
  memset(out, 0, w * w * kernels->size);
  for (size_t i = 0; i < from; i++)
    kernels->from_double(matrix + i * from, (char *)out + i * w * kernels->size, (int)from);
}
