/* Private to mllib: where the relevant items of a user stand among the candidates. */
#ifndef ALS_PLACE_IMPL_H
#define ALS_PLACE_IMPL_H

#include "mllib/heap_impl.h"
#include "mllib/metrics.h"

enum { ALS_PLACE_ROWS = 64 };

/* What is the same for all users. */
typedef struct als_placer {
  const als_held_out *h;
  double above;
  int64_t items;
  int64_t room;               /* length of the lists, at most `items` */
  const float *factor, *bias; /* of the items; bias may be NULL */
  double longest, steepest;   /* largest |y| and |bias| of an item */
} als_placer;

typedef struct als_relevant {
  float score;
  float high, low; /* a GEMM's score above `high` is surely better, one below `low` surely worse */
  uint32_t item;
  int64_t before; /* irrelevant candidates that are better */
} als_relevant;

typedef struct als_ranked {
  int64_t row, user;      /* of the test set and of the model */
  als_relevant *relevant; /* [relevants] best first */
  int64_t relevants;
  int64_t cold, seen; /* relevant, but not known to the model; in `seen` too */
  int64_t irrelevant; /* candidates that are not relevant */
  int64_t ties;       /* of an irrelevant and a relevant one: those lost by index minus those won */
  double constant;    /* mean and bias of the user: what the GEMM leaves out */
  double slack;       /* most that constant + GEMM's score is away from the prediction */
  bool exactly;       /* no GEMM for this user */
  als_candidate *list; /* [listed] the best of all candidates; the worker's, until its next batch */
  int64_t listed;
} als_ranked;

/* Scratch of one thread. */
typedef struct als_place_worker {
  float *x, *score;    /* [ALS_PLACE_ROWS][k], [ALS_PLACE_ROWS][a tile] */
  float *exact;        /* [a tile] */
  als_candidate *heap; /* [ALS_PLACE_ROWS][room] */
} als_place_worker;

/* None of these is collective. */
void als_placer_init(als_placer *p, const als_held_out *h, double above, int64_t longest_list);

/* The relevant items of one row, by themselves.
 *   room  [out]  for as many as the row has ratings; becomes u->relevant */
void als_placer_prepare(const als_placer *p, int64_t row, als_relevant *room, als_ranked *u);

/* Hold the candidates of up to ALS_PLACE_ROWS users against their relevant items. */
void als_placer_place(const als_placer *p, als_place_worker *w, als_ranked *const *users, int n);

RDD_MUST_CHECK rdd_status als_place_worker_new(const als_placer *p, als_place_worker *w,
                                               rdd_err *err);
void als_place_worker_reset(als_place_worker *w);

#endif
