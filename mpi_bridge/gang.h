/* The gang: ranks that move as one, and the hand-off from independent tasks to them. */
#ifndef GANG_GANG_H
#define GANG_GANG_H

#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Join the gang.                                                          Collective.
 * Under a launcher (mpirun, srun) this initialises MPI, MPI_THREAD_FUNNELED; alone it is one rank
 * without MPI, from the same program. Leave with rdd_comm_close(), which finalises. */
RDD_MUST_CHECK rdd_status gang_open(int *argc, char ***argv, rdd_comm **out, rdd_err *err);

/* True where a launcher started this process as one of several ranks. Not collective. */
bool gang_launched(void);

/* True where a launcher started this process, be it as the only one: it has MPI then. Not collective. */
bool gang_under_launcher(void);

/* The MPI library's version in one line, for --version. Not collective. */
const char *gang_mpi_version(void);

/* ---- The gang ---- */

/* What every rank's body gets: Spark's BarrierTaskContext. */
typedef struct gang gang;

rdd_comm *gang_comm(const gang *g);
int gang_rank(const gang *g);
int gang_size(const gang *g);
int gang_attempt(const gang *g); /* 1 is the first; counts reruns in this MPI job */

typedef struct gang_task_info {
  int rank, node; /* node: lowest rank of the node */
  char host[64];
  int64_t partitions; /* handed to this rank */
} gang_task_info;

/* All ranks' infos, by rank; [size], owned by the gang. Not collective. */
const gang_task_info *gang_task_infos(const gang *g);

/* Wait for all.                                                           Collective.
 * Ranks that meet in different calls (one in barrier, one in allgather), or of which one comes
 * later than the time limit or has left the body, all fail with RDD_EINTERNAL: the message names
 * the ranks and what they were in. All further syncs of the attempt fail with the same. A rank that
 * never comes cannot be told, so that the ranks that wait for it print a line and end the job. */
RDD_MUST_CHECK rdd_status gang_barrier(gang *g, rdd_err *err);

/* Bring a message of up to 64 KiB from every rank to every rank.          Collective.
 *   message   [in]  bytes of this rank; RDD_EUSAGE on all ranks where one brings more
 *   all_out   [out] [size] pointers by rank, 16-byte aligned, with sizes in bytes_out; owned by the
 *                   gang, until its next sync
 * Fails as gang_barrier() does, and with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status gang_allgather(gang *g, const void *message, int64_t bytes,
                                         const void *const **all_out, const int64_t **bytes_out,
                                         rdd_err *err);

/* What every rank of the gang runs. parts[i] are this rank's partitions of rdd[i]; the body may
 * drop them as it consumes them, and does not free them. Collective inside. */
typedef rdd_status (*gang_body)(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err);

/* The same on all ranks. */
typedef struct gang_opts {
  int ranks;        /* that the body needs; 0: any. Another number is refused at once, with both */
  int max_attempts; /* of the body in this MPI job; 0 means GANG_MAX_ATTEMPTS, 1: no rerun */
  double sync_timeout; /* seconds that a sync waits for the last rank; 0: for ever */
  double
      sync_grace; /* seconds more for a late rank to come and be rerun with all others; one that has
                        * not come then ends the job. 0: as long again as sync_timeout */
  /* told on rank 0 before each attempt but the first: why it is rerun. Or NULL */
  void (*rerun)(void *arg, int attempt, const rdd_err *why);
  void *arg;
} gang_opts;

enum { GANG_MAX_ATTEMPTS = 4 };

/* Compute RDDs with independent tasks, fence, and hand them in memory to body on every rank:
 * Spark's rdd.barrier().mapPartitions(body). All tasks are forked before body starts, so before its
 * big tables exist. All ranks return the same status.                         Collective.
 *   n         [in]  how many RDDs, 0 to 4
 *   run       [in]  [n] one for each RDD
 *   opts      [in]  or NULL for zeros
 *   counters  [out] [n], or NULL; set before body runs
 * A body that fails softly (a status on some rank that may be different next time: RDD_ENOMEM,
 * RDD_EINTERNAL) is rerun as a whole: what it dropped is computed again from lineage, all ranks
 * start body anew with the next attempt number, at most max_attempts times. Usage and data errors,
 * singular rows and full disks are not retried: they would come again. Spark retries no gang that
 * produces the result, since it may have committed output; here a body commits once, by renaming,
 * as its last act. A body that cannot (it prints) asks for one attempt. What it allocated is its
 * own to free, however it ends; a sync that failed is a reason to end. The last error begins with
 * "after N attempts: ". A body in which a rank leaves alone, between two functions of rdd/comm.h
 * that the others call, leaves those waiting: no limit of time applies there, and what ends the job
 * is its supervisor. */
RDD_MUST_CHECK rdd_status gang_run(rdd_comm *comm, rdd *const *rdds, int n, const rdd_run_opts *run,
                                   rdd_counters *counters, const gang_opts *opts, gang_body body,
                                   void *arg, rdd_err *err);

#ifdef __cplusplus
}
#endif
#endif
