/* The record of a run: one JSON object in one file, replaced by rename, so a reader sees a whole one.
 *
 * Rank 0 of als writes it and gangrun reads it: how far the attempt came, that it is still moving, and
 * how it ended. A launcher's exit status says none of that reliably. */
#ifndef JOB_RECORD_H
#define JOB_RECORD_H

#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_STOPPED } job_state;

typedef struct job_record {
  char program[32]; /* "als" */
  char version[32];
  char host[64];
  int64_t pid;
  int attempt;      /* that gangrun counts, 1 is the first */
  char phase[40];   /* "starting", "reading", "hand-off", "iteration", "checkpoint", "writing" */
  int iteration;    /* 0: none */
  char side[8];     /* "users", "items" or "" */
  int64_t progress; /* rises as long as the job moves */
  double started, updated; /* seconds since 1970 */
  job_state state;
  int exit_code; /* -1 while running */
  char message[700];
} job_record;

/* Replace WORK_DIR/record.json. final: it is synced, too. False with errno where it cannot be written.
 * Not collective. */
bool job_record_write(const char *dir, const job_record *record, bool final);

/* Read it; false where there is none, or one that is not whole. */
bool job_record_read(const char *dir, job_record *out);

/* "iteration 5, users", "checkpoint of iteration 4", "hand-off". */
const char *job_record_where(const char *phase, int iteration, const char *side, char *text,
                             size_t room);

/* The value of a key in one line of JSON without nested objects; false where it has none. */
bool job_json_find_string(const char *line, const char *key, char *out, size_t room);
bool job_json_find_real(const char *line, const char *key, double *out);
bool job_json_find_int(const char *line, const char *key, int64_t *out);

#endif
