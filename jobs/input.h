/* Ratings from files: what they are, how they are cut into partitions, and the RDD that parses
 * them.
 *
 * Text is cut at byte ranges (a record belongs to the range its first byte is in), HDF5 at row
 * ranges, gzip not at all. Parsing happens in map tasks on all ranks. The batches of every format
 * have the same columns: user, item (int64 or utf8), rating (float32), and timestamp (int64)
 * where all files have one. */
#ifndef JOB_INPUT_H
#define JOB_INPUT_H

#include "rdd/comm.h"
#include "rdd/rdd.h"

#include <stdbool.h>
#include <stdint.h>

/* Counters of the reading tasks (see rdd_task_count); 2 is free for the caller's own functions. */
enum { JOB_COUNT_BAD = 0, JOB_COUNT_BYTES = 1, JOB_COUNT_ROWS = 3 };

typedef struct job_input_opts {
  const char *format;       /* "auto", "csv", "tsv", "movielens", "netflix", "mtx", "hdf5" */
  const char *columns;      /* "user,item,rating[,timestamp]" names in a header, or NULL */
  const char *id_type;      /* "auto", "int", "string" */
  int64_t max_bad_records;  /* skip up to so many malformed records, over all ranks; 0: none */
  int64_t num_partitions;   /* 0: by size, at least two for each slot of the gang */
  int slots;                /* of this rank */
  bool pairs;               /* the rating column may be missing, and reads as 1 */
  const rdd_type *id_types; /* [2] types of user and item ids to match, a model's; NULL: find out */
} job_input_opts;

typedef struct job_input job_input;

/* The options of every command that reads ratings, to be put into its table. */
#define JOB_INPUT_OPTIONS                                                                          \
  {"format", 0, JOB_CHOICE, "auto|csv|tsv|movielens|netflix|mtx|hdf5", "auto",                     \
   0,        0, false,      "input format; auto looks at the content"},                            \
      {"columns", 0,     JOB_STRING,                                                               \
       "NAMES",   NULL,  0,                                                                        \
       0,         false, "header names of user,item,rating[,timestamp] in a CSV file"},            \
      {"id-type",                                                                                  \
       0,                                                                                          \
       JOB_CHOICE,                                                                                 \
       "auto|int|string",                                                                          \
       "auto",                                                                                     \
       0,                                                                                          \
       0,                                                                                          \
       false,                                                                                      \
       "type of the ids; auto decides for each column by its first record"},                       \
      {"max-bad-records",                                                                          \
       0,                                                                                          \
       JOB_INT,                                                                                    \
       "N",                                                                                        \
       "0",                                                                                        \
       0,                                                                                          \
       9e15,                                                                                       \
       false,                                                                                      \
       "skip and count up to N malformed records"},                                                \
  {                                                                                                \
    "num-partitions", 0, JOB_INT, "N", "0", 0, 1e9, false,                                         \
        "partitions of the input; 0 decides by size; the result is the same"                       \
  }

/* Look at the inputs and plan the partitions.                             Collective.
 *   path   [in]  [n] files, directories or glob patterns; rank 0's view of the file system decides
 * Fails with RDD_ENOINPUT (missing, unreadable), RDD_EDATA (empty, unknown format, wrong schema,
 * formats or id types that do not go together), RDD_EUSAGE (columns that are not there, an
 * id_type that contradicts id_types). */
RDD_MUST_CHECK rdd_status job_input_open(rdd_comm *comm, char *const *path, int n,
                                         const job_input_opts *opts, job_input **out, rdd_err *err);
void job_input_close(job_input *input);

/* The RDD of ratings; owned by the input. */
rdd *job_input_rdd(const job_input *input);

/* One line: "MovieLens u.data, 1 file, 1.9 MiB, 8 partitions, integer ids". */
const char *job_input_describe(const job_input *input);

/* How many partitions it would be cut into by itself for so many slots of a gang.
 *   input  [in]  or NULL: an HDF5 file of so many rows                    Not collective. */
int64_t job_input_partitions(const job_input *input, int64_t rows, int64_t slots);

/* Keep the parsed partitions in a store, where a rerun of the job finds them if the files, how they are
 * parsed and how they are cut are the same. Not with --max-bad-records above 0: a block that is found
 * does not tell how many records were skipped when it was made. Not collective; all ranks do the same. */
RDD_MUST_CHECK rdd_status job_input_persist(job_input *input, rdd_store *store, rdd_err *err);

/* After an action: fail with RDD_EDATA where more records were bad than allowed, or where a Matrix
 * Market file has not as many entries as it declares.                     Not collective. */
RDD_MUST_CHECK rdd_status job_input_check(const job_input *input, const rdd_counters *counters,
                                          rdd_err *err);

#endif
