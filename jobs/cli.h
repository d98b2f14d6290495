/* Command lines: a table of options gives the parser, the help, and the checks. */
#ifndef JOB_CLI_H
#define JOB_CLI_H

#include "jobs/json.h"
#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum job_kind {
  JOB_FLAG,    /* bool */
  JOB_INT,     /* int64_t, between min and max */
  JOB_REAL,    /* double, between min and max */
  JOB_STRING,  /* const char * */
  JOB_STRINGS, /* const char *, and the option may be given several times */
  JOB_CHOICE,  /* const char *, one of choices "nan|drop" */
} job_kind;

typedef struct job_option {
  const char *name; /* "max-iter"; given as --max-iter N or --max-iter=N */
  char letter;      /* 'o' for -o, or 0 */
  job_kind kind;
  const char *metavar; /* "N"; choices for JOB_CHOICE */
  const char *preset;  /* the default as text, parsed like an argument; NULL: none */
  double min, max;     /* JOB_INT, JOB_REAL: inclusive; both 0: no limits */
  bool required;
  const char *help; /* one line, with unit or range */
} job_option;

typedef struct job_args job_args;

/* Parse argv against a table. Not collective: every rank has the same argv.
 *   argv   [in]  borrowed, without the program and the command
 * Fails with RDD_EUSAGE: unknown option, missing or bad value, too few positionals. */
RDD_MUST_CHECK rdd_status job_args_parse(job_args **out, const job_option *options,
                                         int positional_min, int positional_max, int argc,
                                         char *const *argv, rdd_err *err);
void job_args_free(job_args *args);

/* Values by option name; the name must be in the table. */
bool job_flag(const job_args *args, const char *name);
int64_t job_int(const job_args *args, const char *name);
double job_real(const job_args *args, const char *name);
const char *job_string(const job_args *args, const char *name); /* NULL where absent */
const char *const *job_strings(const job_args *args, const char *name,
                               int *n_out);             /* all, in order */
bool job_given(const job_args *args, const char *name); /* on the command line */

int job_positionals(const job_args *args);
char *const *job_positional(const job_args *args);
char *job_positionals_joined(const job_args *args); /* with blanks between them; NULL: no memory */

/* All options that have a value, given or by default, as keys of an object; `arguments` is what is no
 * option. */
void job_args_tell(const job_args *args, job_json *out);

/* Distance of two words in single-letter edits, for "did you mean"; 32 for words longer than that. */
int job_edit_distance(const char *a, const char *b);

/* Print the options as aligned help lines with defaults. */
void job_options_print(FILE *out, const job_option *options);

#endif
