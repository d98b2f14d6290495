/* What Open MPI leaves on a node when mpirun itself is killed: its session directory in TMPDIR and the
 * segments in /dev/shm through which the ranks of a node talk. Nobody else knows their names, so a rank
 * writes them down while it lives, and gangrun sweeps when all of the attempt is dead. */
#ifndef JOB_LEFTOVERS_H
#define JOB_LEFTOVERS_H

#include "jobs/json.h"

/* Add to a rank's "job-started" event where MPI keeps its files, after MPI has started:
 *   mpi_session   the directory of this launch
 *   mpi_segments  the name that all shared files of this launch begin with
 * Without a launcher of Open MPI's kind, nothing. */
void job_leftovers_note(job_json *json);

/* Remove what the events of an attempt in work directory `dir` say, on this host. For an attempt of which
 * no process lives; while one has the launcher's number, nothing is touched. */
void job_leftovers_sweep(const char *dir, int attempt);

/* Remove a directory with all that is in it, as far as that goes. */
void job_remove_tree(const char *dir);

#endif
