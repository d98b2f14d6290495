/* What a rating asks of its prediction s = x.y, and what it weighs. Three losses, one form:
 *
 *   sum over ratings of [ c (s^2) - 2 t s + p ]  +  w sum over all pairs of s^2
 *
 *   explicit   sum (r - s)^2                                                  c = 1, t = r, w = 0
 *   implicit   sum over all pairs of (1 + alpha |r|) (preference - s)^2       c = alpha |r|, w = 1,
 *              preference 1 where r > 0, else 0 (Hu, Koren, Volinsky 2008;    t = 1 + c or 0
 *              negative ratings as Spark has them)
 *   iALS       sum over ratings of (preference - s)^2 + w sum over all pairs  c = 1, t = 1 or 0
 *              of s^2, with a w of one's choice (Rendle et al. 2021)
 *
 * A rating of 0 is no observation in the last two; a row's count n for the regularisation is of ratings
 * above 0 there, and of all ratings in the first. */
#ifndef ALS_LOSS_H
#define ALS_LOSS_H

#include <math.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum als_mode { ALS_EXPLICIT, ALS_IMPLICIT, ALS_IALS } als_mode;

typedef struct als_loss {
  als_mode mode;
  double alpha;      /* implicit only, >= 0 */
  double unobserved; /* iALS only: w, >= 0 */
} als_loss;

/* The terms of one rating. */
typedef struct als_term {
  double c, t, p;
} als_term;

static inline als_term als_term_of(const als_loss *loss, double r) {
  double c;
  switch (loss->mode) {
  case ALS_IMPLICIT:
    c = loss->alpha * fabs(r);
    return r > 0 ? (als_term){c, 1 + c, 1 + c} : (als_term){c, 0, 0};
  case ALS_IALS:
    return r > 0 ? (als_term){1, 1, 1} : (als_term){r < 0 ? 1.0 : 0.0, 0, 0};
  default:
    return (als_term){1, r, r * r};
  }
}

/* w, the weight of all pairs. */
static inline double als_loss_of_all(const als_loss *loss) {
  return loss->mode == ALS_IMPLICIT ? 1 : loss->mode == ALS_IALS ? loss->unobserved : 0;
}

#ifdef __cplusplus
}
#endif
#endif
