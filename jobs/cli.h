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
  JOB_FLAG,    /* bool; given as --bias, --bias=yes or --bias=no */
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

/* The same in steps, with what a file sets between them. */
RDD_MUST_CHECK rdd_status job_args_read(job_args **out, const job_option *options, int argc,
                                        char *const *argv, rdd_err *err);
RDD_MUST_CHECK rdd_status job_args_complete(const job_args *args, int positional_min,
                                            int positional_max, rdd_err *err);

/* A line of a settings file: an option by its name, with its value as it would be typed ("yes" or "no" for
 * a flag), or JOB_INPUT_KEY with a positional argument. */
typedef struct job_setting {
  const char *key;
  char *value;
  int line; /* 1 is the first */
} job_setting;

#define JOB_INPUT_KEY "input"

/* Take what the command line has left open from settings. What is typed wins: an option, and all positional
 * arguments together.                                                     Not collective.
 *   file     [in]  its name, for messages
 *   list     [in]  [n] borrowed as long as the args live
 *   lenient  [in]  keys that are not in the table are passed over
 * Fails with RDD_EUSAGE, naming file and line: unknown key, bad value, a key that comes twice. */
RDD_MUST_CHECK rdd_status job_args_add_settings(job_args *args, const char *file,
                                                const job_setting *list, int n, bool lenient,
                                                rdd_err *err);

/* Values by option name; the name must be in the table. */
bool job_flag(const job_args *args, const char *name);
int64_t job_int(const job_args *args, const char *name);
double job_real(const job_args *args, const char *name);
/* NULL where absent; of a number that was given: as it was written. */
const char *job_string(const job_args *args, const char *name);
const char *const *job_strings(const job_args *args, const char *name,
                               int *n_out); /* all, in order */
/* On the command line or in settings; a flag: with yes. */
bool job_given(const job_args *args, const char *name);
bool job_typed(const job_args *args,
               const char *name); /* on the command line, a flag with no too */

int job_positionals(const job_args *args);
char *const *job_positional(const job_args *args);
char *job_positionals_joined(const job_args *args); /* with blanks between them; NULL: no memory */

/* All options that have a value, given or by default, as keys of an object; `arguments` is what is no
 * option. */
void job_args_tell(const job_args *args, job_json *out);

/* Distance of two words in single-letter edits, for "did you mean"; 32 for words longer than that. */
int job_edit_distance(const char *a, const char *b);

/* Name of the option that is spelt most like a word, or that other programs call so; borrowed from the table.
 * NULL: none is near. */
const char *job_option_nearest(const job_option *options, const char *word);

/* Print the options as aligned help lines with defaults, 80 columns wide. */
void job_options_print(FILE *out, const job_option *options);

#endif
