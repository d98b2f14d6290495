/* Private to mllib: the kinds of kernels that were compiled in. NULL where this one is for other processors. */
#ifndef ALS_KERNELS_KINDS_IMPL_H
#define ALS_KERNELS_KINDS_IMPL_H

#include "mllib/kernels_impl.h"

/* [precision] */
extern const als_kernels *const als_kernels_avx512[2], *const als_kernels_avx2[2],
                                                           *const als_kernels_portable[2];

#endif
