/* The kernels for x86-64 processors with AVX-512. */
#include "mllib/kernels_kinds_impl.h"

#if defined __x86_64__ && defined __GNUC__

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef __clang__
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#endif

#define KIND "avx512"

#define T          double
#define LANES      8
#define TILE       3
#define FN(name)   als_avx512_double_##name
#define ROOTS(v)   ((VEC)_mm512_sqrt_pd((__m512d)(v)))
#define WIDEN(v)   ((VEC)_mm512_cvtps_pd((__m256)(v)))
#define PART(p, n) ((FLOATS)_mm256_maskz_loadu_ps((__mmask8)((1u << (n)) - 1), p))
#include "mllib/kernels.inc"

#define T          float
#define LANES      16
#define TILE       3
#define FN(name)   als_avx512_single_##name
#define ROOTS(v)   ((VEC)_mm512_sqrt_ps((__m512)(v)))
#define WIDEN(v)   (v)
#define PART(p, n) ((FLOATS)_mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p))
#include "mllib/kernels.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const als_kernels *const als_kernels_avx512[2] = {
    [ALS_DOUBLE] = &als_avx512_double_kernels, [ALS_SINGLE] = &als_avx512_single_kernels};

#else

const als_kernels *const als_kernels_avx512[2];

#endif
