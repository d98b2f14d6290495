/* Private to mllib: the loops that a fit spends its time in, once for each kind of processor and precision.
 *
 * A row's system is built from gathered factors, a panel of ratings at a time, and solved by Cholesky, or by
 * conjugate gradients, which never build it:
 *
 *          w                        w
 *    ┌───────────┐            ┌───────────┐
 *  m │   panel   │   update   │ ▔▔▔▔▔▔▔▔▔ │  A += panel' panel, in tiles of 8 rows that stay in registers;
 *    │           │  ───────►  │   ▔▔▔▔▔▔▔ │  the upper triangle, by blocks of 8: what is left of the
 *    └───────────┘            │     ▔▔▔▔▔ │  diagonal blocks means nothing
 *                             └───────────┘
 *
 * w is the number of unknowns, rounded up to a multiple of 8 doubles or 16 floats. Unknowns beyond the real ones have
 * factors of 0, and 1 on the diagonal of A.
 *
 * Every sum is made in an order that is written down here or there, element by element with fused
 * multiply-adds: over the ratings of a panel in their order, then over panels (which also keeps the error
 * of long sums in single precision small); over unknowns in 8 or 16 strands of fixed shape. So the result
 * knows nothing of the width of vectors or the tiles, and processors with AVX2 and with AVX-512 get the same
 * bits. (Those without fused multiply-adds get others.) */
#ifndef ALS_KERNELS_IMPL_H
#define ALS_KERNELS_IMPL_H

#include "mllib/solver_impl.h"

/* Floats of the widest vector; most systems that are solved side by side; ratings of a panel, and the most
 * that are gathered at once. */
enum { ALS_LANES = 16, ALS_GROUP = 16, ALS_PANEL_ROWS = 64, ALS_DUAL_ROWS = 512 };

/* Ratings whose factors will be gathered next. To gather them takes as long as memory takes, and an update
 * leaves memory alone: so lines are asked for bit by bit while an update runs. */
typedef struct als_fetch {
  const als_system *system;
  const als_entry *at, *end; /* from the first that was not asked for */
  int every, wait;           /* an update's: steps from one to the next, and still to go */
} als_fetch;

/* Fetch what will be gathered after `next`, at most so many of the `ahead` ratings that are in memory there, but
 * for what was fetched already. */
static inline void als_fetch_next(als_fetch *fetch, const als_entry *next, int64_t ahead,
                                  int64_t most) {
  const als_entry *end = next + (ahead < most ? ahead : most);
  if (fetch->at < next || fetch->at > end) fetch->at = next;
  fetch->end = end;
}

/* The loops in one precision: a `real` below is double or float. Pointers to reals are aligned to 64 bytes,
 * and lines of a matrix begin at multiples of w. Nothing here is collective, nothing fails. */
typedef struct als_kernels {
  const char *name; /* of the processors that it is for */
  size_t size;      /* of a real, bytes */
  int lanes;        /* systems that solve() takes side by side, at most ALS_GROUP */

  /* Gather m ratings, at most ALS_DUAL_ROWS: their factors, each line times the root of its weight, go to panel[m][w]; b[w] and *p
   * get theirs added. Padding has to be 0, or becomes it. */
  void (*gather)(const als_system *system, const als_entry *entry, int m, void *panel, int w,
                 void *b, double *p);

  /* a[w][w] += panel' panel, the sum over the panel first. Lines that `fetch` asks for are on their way to the cache then; or NULL. */
  void (*update)(const void *panel, int m, int w, void *a, als_fetch *fetch);

  /* Add to the diagonal of the first so many unknowns; the others, which are padding, get 1 there. */
  void (*add_ridge)(void *a, int w, int unknowns, double ridge);

  /* The other way round: panel[m][w] becomes out[w][padded], with padded >= m a multiple of 16. */
  void (*transpose)(const void *panel, int m, int w, void *out, int padded);

  /* x[w] = sum over m of weight * line. */
  void (*combine)(const void *panel, int m, int w, const void *weight, void *x);

  /* Solve n systems a x = b by Cholesky, 1 <= n <= lanes; x goes to b, and a is used up.
   *   scratch   als_kernels_scratch() bytes
   *   info      [out] [n] 0, or i > 0 where the leading minor of order i is not positive */
  void (*solve)(int n, void *const *a, void *const *b, int w, void *scratch, int *info);

  /* As gather(), without weights: lines stay floats, and c[m] gets the weights. */
  void (*gather_floats)(const als_system *system, const als_entry *entry, int m, float *panel,
                        int w, void *c, void *b, double *p);

  /* out[w] += sum over m of c (line . v) line. Fetches a line for each. */
  void (*pass)(const float *panel, int m, int w, const void *c, const void *v, void *out,
               als_fetch *fetch);

  /* out[8][w] += v[8][w] matrix[w][w] */
  void (*multiply)(const void *v, const void *matrix, int w, void *out);

  double (*dot)(const void *x, const void *y, int w);
  void (*axpy)(double a, const void *x, void *y, int w);  /* y += a x */
  void (*xpay)(const void *x, double a, void *y, int w);  /* y = x + a y */
  void (*scale)(double a, const void *x, void *y, int w); /* y = a x */
  void (*from_double)(const double *x, void *y, int n);
  void (*to_double)(const void *x, double *y, int n);
} als_kernels;

/* Those of this processor, or of the kind that the environment variable GANGPLANK_KERNELS asks for
 * ("avx512", "avx2", "portable"), where it can run them. The same ones in the whole life of a process. */
const als_kernels *als_kernels_get(als_precision precision);

/* Kind i of those that this processor can run, the best first; NULL past the last. For tests. */
const als_kernels *als_kernels_kind(int i, als_precision precision);

/* w for so many unknowns: whole vectors of 64 bytes. */
static inline int als_kernels_width(als_precision precision, int unknowns) {
  int lanes = precision == ALS_SINGLE ? ALS_LANES : ALS_LANES / 2;
  return (unknowns + lanes - 1) / lanes * lanes;
}

/* A matrix of so many unknowns in double, [w][w] with w of ALS_DOUBLE and padded by 0, to out[w][w] of these kernels'
 * reals and w, padded by 0. They must not overlap. Not collective, cannot fail. */
void als_kernels_copy(const als_kernels *kernels, const double *matrix, int unknowns, void *out);

/* Bytes of solve()'s scratch. */
size_t als_kernels_scratch(const als_kernels *kernels, int w);

#endif
