/* Outputs that are whole or not there: written under a temporary name beside the final one, synced,
 * then renamed. Rank 0 only. A signal that ends the program removes the temporary files first. */
#ifndef JOB_OUTPUT_H
#define JOB_OUTPUT_H

#include "rdd/status.h"

#include <stdbool.h>

typedef struct job_output job_output;

/* Check early that `path` can become a file: its folder exists and may be written, it is no folder,
 * and its ending is one of `endings` (".h5|.csv"; NULL: any).             Not collective.
 * Fails with RDD_EUSAGE or RDD_EIO. */
RDD_MUST_CHECK rdd_status job_output_check(const char *path, const char *endings, rdd_err *err);

/* True where two outputs would become the same file, however their paths are spelt. */
bool job_output_same(const char *a, const char *b);

/* Choose the temporary name, create it empty, and register it for removal. Where the path is a
 * symbolic link, what it points to is replaced. */
RDD_MUST_CHECK rdd_status job_output_open(job_output **out, const char *path, rdd_err *err);

/* Where to write meanwhile. */
const char *job_output_path(const job_output *output);

/* Sync and rename; the output is freed. On failure the temporary file is removed. */
RDD_MUST_CHECK rdd_status job_output_commit(job_output *output, rdd_err *err);

/* Remove the temporary file and free; NULL is accepted. */
void job_output_abandon(job_output *output);

/* Remove all registered temporary files on SIGINT, SIGTERM, SIGHUP, then die of the signal.
 * Ignores SIGXFSZ, so that writing past a limit on file sizes fails like writing to a full disk. */
void job_output_handle_signals(void);

/* True where the path ends so (".csv"), case-insensitive. */
bool job_path_ends(const char *path, const char *ending);

#endif
