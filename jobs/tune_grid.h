/* The points of a search: every combination of values for some of the options that fit a model. */
#ifndef JOB_TUNE_GRID_H
#define JOB_TUNE_GRID_H

#include "jobs/cli.h"
#include "jobs/params.h"

#include <stdint.h>

enum { JOB_GRID_AXES = 16, JOB_GRID_POINTS = 10000 };

typedef struct job_axis {
  const job_option *option;
  char *text;   /* the values as given, cut up; owned */
  char **value; /* [n] into text; owned */
  int n;
} job_axis;

typedef struct job_point {
  int64_t number;           /* in the whole grid; the last axis runs fastest */
  int value[JOB_GRID_AXES]; /* of each axis, which of its values */
  als_params params;
  job_start start;
} job_point;

typedef struct job_grid {
  int axes;
  job_axis axis[JOB_GRID_AXES];
  int64_t points;
  job_point *point; /* [points] by number; owned */
  job_idle idle;    /* what has an effect at no point */
} job_grid;

/* Options that an axis may be of, which are those of every command that fits; ends with a zeroed entry. */
extern const job_option job_grid_options[];

/* Read --grid NAME=VALUE,VALUE..., and the values that the other options fix.  Not collective.
 *   args    [in]  of a table with job_grid_options' options and --grid (JOB_STRINGS)
 *   sample  [in]  so many points, drawn by (seed, number); 0: all
 *   out     [in,out] zeroed; free it with job_grid_reset(), after a failure too
 * Each point is parsed as a command line of its own, so that it fails as `als train` would: RDD_EUSAGE. */
RDD_MUST_CHECK rdd_status job_grid_read(const job_args *args, int64_t sample, uint64_t seed,
                                        job_grid *out, rdd_err *err);
void job_grid_reset(job_grid *grid);

/* Settings with which als train fits a point to all ratings, as jobs/settings.h has them; free() them. NULL
 * where settings cannot say it, or memory is out.                              Not collective.
 *   args  [in]  of job_grid_read(), and of a table with JOB_INPUT_OPTIONS */
char *job_grid_settings(const job_args *args, const job_grid *grid, const job_point *point);

/* A point's value on an axis as given. */
const char *job_grid_value(const job_grid *grid, const job_point *point, int axis);

#endif
