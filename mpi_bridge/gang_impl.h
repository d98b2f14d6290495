/* Private to mpi_bridge: what gang.c, gang_sync.c and hand_off.c share. */
#ifndef GANG_GANG_IMPL_H
#define GANG_GANG_IMPL_H

#include "mpi_bridge/gang.h"

enum { GANG_MAX_MESSAGE = 65536 };

/* What a rank brings to a meeting: where it is. */
typedef struct gang_record {
  int32_t call;   /* see gang_sync.c */
  int32_t status; /* of what it did before */
  int64_t bytes;  /* of its message */
  double waited;  /* seconds, in the meeting before */
} gang_record;

struct gang {
  rdd_comm *comm;
  int attempt;
  gang_task_info *infos; /* [size] */
  double limit, grace;   /* seconds; limit 0: for ever */
  int64_t syncs;         /* begun in this attempt */

  gang_record *met; /* [size] the last meeting */
  bool *mark;       /* [size] who has come; then scratch */

  rdd_err broken;    /* code != RDD_OK: a sync has failed, on all ranks, and no other can succeed */
  bool left_failing; /* it did because a rank had left the body with an error of its own ... */
  bool own_failure;  /* ... and this is such a rank */

  char *messages;   /* of the last allgather */
  int64_t room;     /* bytes of it */
  const void **all; /* [size] into messages */
  int64_t *bytes;   /* [size] */
  int64_t *displs;  /* [size] */
};

/* The most RDDs that a gang takes. */
enum { GANG_MAX_RDDS = 4 };

/* Compute the partitions that are not there: all of them where parts[i] is NULL, else those that
 * were dropped. Ends in a fence: on success nothing is missing on any rank.    Collective.
 *   parts  [in,out] [n] free with rdd_parts_free(), on failure too */
RDD_MUST_CHECK rdd_status gang_hand_off(rdd_comm *comm, rdd *const *rdds, int n,
                                        const rdd_run_opts *run, rdd_counters *counters,
                                        rdd_parts **parts, rdd_err *err);

/* The end of the body. All ranks leave together, with the error of the lowest rank that failed by
 * itself, or with that of the sync that failed on all.                    Collective. */
RDD_MUST_CHECK rdd_status gang_leave(gang *g, rdd_status status, rdd_err *err);

#endif
