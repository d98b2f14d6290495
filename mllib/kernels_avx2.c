/* The kernels for x86-64 processors with AVX2 and fused multiply-add. */
#include "mllib/kernels_kinds_impl.h"

#if defined __x86_64__ && defined __GNUC__

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define KIND "avx2"

#define T        double
#define LANES    4
#define TILE     1
#define FN(name) als_avx2_double_##name
#define ROOTS(v) ((VEC)_mm256_sqrt_pd((__m256d)(v)))
#define WIDEN(v) ((VEC)_mm256_cvtps_pd((__m128)(v)))
#define PART(p, n)                                                                                 \
  ((FLOATS)_mm_maskload_ps(p, _mm_cmpgt_epi32(_mm_set1_epi32(n), _mm_setr_epi32(0, 1, 2, 3))))
#include "mllib/kernels.inc"

#define T        float
#define LANES    8
#define TILE     1
#define FN(name) als_avx2_single_##name
#define ROOTS(v) ((VEC)_mm256_sqrt_ps((__m256)(v)))
#define WIDEN(v) ((VEC)(v))
#define PART(p, n)                                                                                 \
  ((FLOATS)_mm256_maskload_ps(                                                                     \
      p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))))
#include "mllib/kernels.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const als_kernels *const als_kernels_avx2[2] = {
    [ALS_DOUBLE] = &als_avx2_double_kernels, [ALS_SINGLE] = &als_avx2_single_kernels};

#else

const als_kernels *const als_kernels_avx2[2];

#endif
