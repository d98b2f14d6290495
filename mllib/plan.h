/* What a fit will take, before there is one: memory, bytes between nodes, seconds.
 *
 * Arithmetic on the shape of a problem; docs/scaling.md has it as formulas. What the code does is known to
 * the byte (8 bytes a rating and side, 12 while it is handed over, a row once to each node that needs it);
 * what a machine does is measured (als_rates). Nothing here is collective. */
#ifndef ALS_PLAN_H
#define ALS_PLAN_H

#include "mllib/als.h"
#include "rdd/comm.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- How many ratings the rows of a side have ---- */

/* So many rows with so many ratings each. */
typedef struct als_degree {
  double ratings, rows;
} als_degree;

typedef struct als_degrees {
  int64_t rows; /* of the side */
  int64_t n;
  als_degree *of; /* [n] */
  bool drawn;     /* ratings are what a row has on the mean, as when it is drawn by popularity */
} als_degrees;

/* Those of counted ratings.
 *   count  [in]  [rows] ratings of each row, >= 1; sorted here */
RDD_MUST_CHECK rdd_status als_degrees_count(als_degrees *out, int64_t *count, int64_t rows,
                                            rdd_err *err);

/* Those that `als generate` makes: row number i of the most active has ratings in proportion to
 * (i + 1 + rows / 100)^-0.8 if it is a user, (i + 1 + rows / 200)^-1 if an item, no more than the other
 * side has rows. Rows are taken together in at most 2^13 groups.
 *   ratings  [in]  over all rows, at most rows x other_rows */
RDD_MUST_CHECK rdd_status als_degrees_model(als_degrees *out, int side, int64_t rows,
                                            int64_t other_rows, double ratings, rdd_err *err);
/* Free what it has; one that is all zeros is accepted. */
void als_degrees_reset(als_degrees *d);

/* ---- What a row costs on this machine ---- */

enum { ALS_RATE_POINTS = 13 };

typedef struct als_rates {
  double seconds[ALS_RATE_POINTS]; /* of one core, for a row of 2^i ratings */
  double gram;                     /* of one core, for a row of the other side in the Gram matrix */
} als_rates;

/* Time als_half_step() on made rows of 1 to 4096 ratings, with all of OpenMP's threads. The table that they
 * gather from has the real number of rows, or as many as 64 MB hold (16 with a Gram matrix), which is more
 * than caches keep; popular rows come as often as in als_degrees_model(). Takes about half a second.
 *   comm     [in]  of one rank
 *   side     [in]  whose rows are solved
 *   rows     [in]  of both sides, in the problem that is planned */
RDD_MUST_CHECK rdd_status als_rates_measure(rdd_comm *comm, const als_params *params, int side,
                                            const int64_t rows[2], als_rates *out, rdd_err *err);

/* Seconds of one core for a row of so many ratings: straight lines between what was measured. */
double als_rates_row(const als_rates *rates, double ratings);

/* ---- The plan ---- */

typedef struct als_plan_problem {
  als_params params;
  als_degrees side[2];
  double ratings;
  double partition_bytes; /* of a rating, in a sealed partition */
  double id_bytes[2];     /* of an id, in the table of ids */
  bool by_user;           /* ratings of a user are together in the file */
  /* of a process before it has any of this, bytes */
  double own_bytes;  /* its own */
  double code_bytes; /* program and libraries: a node has them once */
  double peer_bytes; /* of MPI, for each other rank of the node */
  als_rates rates[2];
  double hand_off;  /* seconds of one rank for a rating, from a partition to both sides */
  double reading;   /* seconds of one core for a rating, from the file to a sealed partition */
  double bandwidth; /* of a node's network, bytes/s each way */
  double message;   /* seconds that a rank spends on a message to another node */
  bool checkpoints; /* are made: rank 0 copies the tables */
} als_plan_problem;

typedef struct als_layout {
  int64_t ranks;
  int64_t ranks_per_node; /* at most; the last node may have fewer */
  int threads;            /* of each rank */
  int64_t partitions;     /* of the input */
} als_layout;

/* The phase in which a rank has most. */
typedef enum als_phase { ALS_IDS, ALS_BY_USER, ALS_BY_ITEM, ALS_ITERATIONS, ALS_PHASES } als_phase;

typedef struct als_plan {
  int64_t nodes;
  /* bytes */
  double phase[ALS_PHASES]; /* of a rank's own, without the process itself */
  als_phase peak;
  double own;             /* the most of them, and the process: what a rank has for itself */
  double shared;          /* ids and factors: once a node */
  double seen;            /* own, shared and code: what the kernel counts for a rank (VmHWM) */
  double node;            /* of a node with all its ranks */
  double first_node;      /* of that of rank 0, which keeps a checkpoint's copy */
  double need[2], all[2]; /* new rows of each side between nodes, an iteration */
  bool need_only[2];      /* which of them is sent */
  double rows_bytes;      /* what is sent of both sides, an iteration */
  double gram_bytes;      /* of Gram matrices, an iteration */
  double hand_off_bytes;  /* of ratings, once */
  double flops;           /* of an iteration, as the solver makes them */
  /* seconds */
  double solve, wire; /* an iteration: solving alone, and the network alone */
  double iteration;   /* both, one hidden behind the other */
  double begin;       /* reading and hand-off */
} als_plan;

/* Ratings are taken to come in no order but that of `by_user`. What is told of a rank is of the one that has
 * most: blocks of rows are dealt out whole, and a row stays on one rank. */
als_plan als_plan_make(const als_plan_problem *problem, const als_layout *layout);

#ifdef __cplusplus
}
#endif
#endif
