/* Outputs that are whole or not there: written under a temporary name beside the final one, synced,
 * then renamed. Rank 0 only. A signal that ends the program removes the temporary files first. */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include "rdd/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct job_output job_output;

/* Check early that `path` can become a file: its folder exists and may be written, it is no folder,
 * and its ending is one of `endings` (".h5|.csv"; NULL: any).             Not collective.
 * Fails with RDD_EUSAGE or RDD_EIO. */
RDD_MUST_CHECK rdd_status job_output_check(const char *path, const char *endings, rdd_err *err);

/* True where two outputs would become the same file, however their paths are spelt. */
bool job_output_same(const char *a, const char *b);

/* Check that an output takes the place of none of n inputs.              Not collective.
 * Fails with RDD_EUSAGE. */
RDD_MUST_CHECK rdd_status job_output_apart(const char *path, char *const *input, int n,
                                           rdd_err *err);

/* Choose the temporary name, create it empty, and register it for removal. Where the path is a
 * symbolic link, what it points to is replaced. */
RDD_MUST_CHECK rdd_status job_output_open(job_output **out, const char *path, rdd_err *err);

/* Where to write meanwhile. */
const char *job_output_path(const job_output *output);

/* It is written, and will be read by others who may ask for a lock as readers do (HDF5). Nobody sweeps it
 * away for that. */
void job_output_share(const job_output *output);

/* What a signal that ends this process writes to stderr, after "als: " and the signal's name: what is left and how
 * to go on. Cut at 400 bytes; NULL: nothing, as at first. Not collective. */
void job_output_farewell(const char *text);

/* Sync and rename; the output is freed. On failure the temporary file is removed. */
RDD_MUST_CHECK rdd_status job_output_commit(job_output *output, rdd_err *err);

/* Remove the temporary file and free; NULL is accepted. */
void job_output_abandon(job_output *output);

/* Remove the temporary files that killed processes left in a folder, of outputs whose names begin with
 * `prefix`. What somebody is writing stays. Opening an output does so for its own name. */
void job_output_sweep(const char *folder, const char *prefix);

/* Make a folder, and those above it, where it is missing; it has to be one that can be read and written.
 * Fails with RDD_EIO, RDD_EUSAGE.                                         Not collective. */
RDD_MUST_CHECK rdd_status job_make_folder(const char *path, rdd_err *err);

/* Faults on purpose. A finished file is damaged: it ends after `cut` bytes or, where cut < 0, has
 * other bits in its middle. */
void job_output_damage(const char *path, int64_t cut);

/* From now on this process is killed when a file that it writes grows past so many bytes, as if the
 * machine had failed at that moment. */
void job_output_die_past(int64_t bytes);

/* Remove all registered temporary files, then die of the signal: a handler, or called by one. Of several
 * ranks those that have none wait 0.3 s before they die. */
void job_output_die(int signal_number);

/* Let job_output_die() handle SIGINT, SIGTERM, SIGHUP and SIGUSR1.
 * Ignores SIGXFSZ, so that writing past a limit on file sizes fails like writing to a full disk. */
void job_output_handle_signals(void);

/* True where the path ends so (".csv"), case-insensitive. */
bool job_path_ends(const char *path, const char *ending);

#endif
