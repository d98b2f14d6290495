/* The kernels in 16-byte vectors, which any processor has or can do without. */
#include "mllib/kernels_kinds_impl.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define KIND "portable"

#define T          double
#define LANES      2
#define TILE       1
#define FN(name)   als_portable_double_##name
#define ROOTS(v)   ((VEC){sqrt((v)[0]), sqrt((v)[1])})
#define WIDEN(v)   ((VEC){(v)[0], (v)[1]})
#define PART(p, n) ((FLOATS){(p)[0], (n) > 1 ? (p)[1] : 0})
#include "mllib/kernels.inc"

#define T        float
#define LANES    4
#define TILE     1
#define FN(name) als_portable_single_##name
#define ROOTS(v) ((VEC){sqrtf((v)[0]), sqrtf((v)[1]), sqrtf((v)[2]), sqrtf((v)[3])})
#define WIDEN(v) ((VEC)(v))
#define PART(p, n)                                                                                 \
  ((FLOATS){(p)[0], (n) > 1 ? (p)[1] : 0, (n) > 2 ? (p)[2] : 0, (n) > 3 ? (p)[3] : 0})
#include "mllib/kernels.inc"

const als_kernels *const als_kernels_portable[2] = {
    [ALS_DOUBLE] = &als_portable_double_kernels, [ALS_SINGLE] = &als_portable_single_kernels};
