/* See tune_grid.h. */
#include "jobs/tune_grid.h"

#include "jobs/input.h"
#include "jobs/settings.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const job_option job_grid_options[] = {JOB_PARAM_OPTIONS, JOB_START_OPTIONS, {0}};
static const job_option input_options[] = {JOB_INPUT_OPTIONS, {0}};

enum { WORDS = 64, WORD_BYTES = 400 };

const char *job_grid_value(const job_grid *grid, const job_point *point, int axis) {
  return grid->axis[axis].value[point->value[axis]];
}

void job_grid_reset(job_grid *grid) {
  for (int a = 0; a < grid->axes; a++) {
    rdd_free(grid->axis[a].text);
    rdd_free(grid->axis[a].value);
  }
  rdd_free(grid->point);
  *grid = (job_grid){0};
}

/* ---- Axes ---- */

static const job_option *find_option(const char *name, size_t length) {
  for (const job_option *o = job_grid_options; o->name; o++)
    if (strlen(o->name) == length && !strncmp(o->name, name, length)) return o;
  return NULL;
}

static rdd_status unknown_axis(const char *text, size_t length, rdd_err *err) {
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), text);
  const char *nearest = job_option_nearest(job_grid_options, name);
  return rdd_set(err, RDD_EUSAGE,
                 "--grid '%.100s': no such parameter; it is an option of als train that fits the "
                 "model, such as %s",
                 text, nearest ? nearest : "rank or reg-param");
}

/* Cut the values at commas. */
static rdd_status cut_values(job_axis *axis, const char *text, rdd_err *err) {
  int n = 1;
  for (const char *p = text; *p; p++) n += *p == ',';
  axis->text = rdd_strdup(text);
  axis->value = rdd_calloc((size_t)n, sizeof *axis->value);
  if (!axis->text || !axis->value) return rdd_set(err, RDD_ENOMEM, "out of memory for the grid");
  for (char *p = axis->text; p; axis->n++) {
    axis->value[axis->n] = p;
    p = strchr(p, ',');
    if (p) *p++ = '\0';
  }
  for (int i = 0; i < axis->n; i++) {
    const char *value = axis->value[i];
    if (!*value)
      return rdd_set(err, RDD_EUSAGE, "--grid %s: one of its values is empty", axis->option->name);
    if (strlen(value) > WORD_BYTES / 2)
      return rdd_set(err, RDD_EUSAGE, "--grid %s: '%.40s...' is too long", axis->option->name,
                     value);
    if (axis->option->kind == JOB_FLAG && strcmp(value, "yes") && strcmp(value, "no"))
      return rdd_set(err, RDD_EUSAGE, "--grid %s: '%s' is neither yes nor no", axis->option->name,
                     value);
    for (int k = 0; k < i; k++)
      if (!strcmp(value, axis->value[k]))
        return rdd_set(err, RDD_EUSAGE, "--grid %s: %s stands there twice", axis->option->name,
                       value);
  }
  return RDD_OK;
}

static rdd_status read_axis(const job_args *args, job_grid *grid, const char *text, rdd_err *err) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return rdd_set(err, RDD_EUSAGE, "--grid '%.100s': expected NAME=VALUE,VALUE...", text);
  const job_option *option = find_option(text, (size_t)(equals - text));
  if (!option) return unknown_axis(text, (size_t)(equals - text), err);
  if (grid->axes == JOB_GRID_AXES)
    return rdd_set(err, RDD_EUSAGE, "--grid is given more than %d times", JOB_GRID_AXES);
  for (int a = 0; a < grid->axes; a++)
    if (grid->axis[a].option == option)
      return rdd_set(err, RDD_EUSAGE, "--grid has %s twice", option->name);
  if (job_typed(args, option->name)) /* one of a settings file gives way */
    return rdd_set(err, RDD_EUSAGE, "--%s is given, and is in the grid too", option->name);
  grid->axis[grid->axes] = (job_axis){.option = option};
  return cut_values(&grid->axis[grid->axes++], equals + 1, err);
}

/* ---- Points ---- */

typedef struct words {
  char text[WORDS][WORD_BYTES];
  char *word[WORDS];
  int n;
} words;

static void add_word(words *w, const job_option *o, const char *value) {
  char *text = w->text[w->n];
  snprintf(text, WORD_BYTES, "--%s=%s", o->name, value);
  w->word[w->n++] = text;
}

/* What is fixed for all points, as words. */
static void add_fixed(words *w, const job_args *args) {
  for (const job_option *o = job_grid_options; o->name; o++)
    if (job_given(args, o->name))
      add_word(w, o, o->kind == JOB_FLAG ? "yes" : job_string(args, o->name));
}

/* A point as if it had been typed; borrows the words. */
static rdd_status point_args(const job_args *args, const job_grid *grid, const job_point *point,
                             words *w, job_args **out, rdd_err *err) {
  w->n = 0;
  add_fixed(w, args);
  for (int a = 0; a < grid->axes; a++)
    add_word(w, grid->axis[a].option, job_grid_value(grid, point, a));
  return job_args_parse(out, job_grid_options, 0, 0, w->n, w->word, err);
}

static rdd_status read_point(const job_args *args, job_grid *grid, job_point *point, words *w,
                             rdd_err *err) {
  job_args *own = NULL;
  rdd_status st = point_args(args, grid, point, w, &own, err);
  if (st) return st;
  st = job_params_read(own, &point->params, err);
  point->start = job_start_read(own);
  job_idle idle = job_params_idle(own);
  for (int i = 0; i < JOB_IDLE && point > grid->point; i++)
    if (!grid->idle.why[i]) idle.why[i] = NULL;
  grid->idle = idle;
  job_args_free(own);
  return st;
}

char *job_grid_settings(const job_args *args, const job_grid *grid, const job_point *point) {
  job_args *own = NULL;
  rdd_err unused;
  char *text = NULL;
  size_t size = 0;
  bool good = false;
  words *w = rdd_alloc(1, sizeof *w);
  FILE *out = open_memstream(&text, &size);
  if (!w || !out || point_args(args, grid, point, w, &own, &unused)) goto done;
  good = job_settings_put_inputs(out, args) && job_settings_put(out, input_options, args) &&
         job_settings_put(out, job_grid_options, own);
done:
  if (out) good = fclose(out) == 0 && good;
  job_args_free(own);
  rdd_free(w);
  if (good) return text;
  free(text);
  return NULL;
}

static int by_number(const void *a, const void *b) {
  const job_point *x = a, *y = b;
  return (x->number > y->number) - (x->number < y->number);
}

/* A hash of the number while points are being drawn. */
typedef struct draw {
  uint64_t hash;
  int64_t number;
} draw;

static int by_hash(const void *a, const void *b) {
  const draw *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return (x->number > y->number) - (x->number < y->number);
}

/* The numbers of the points: all, or `sample` of them. */
static rdd_status choose(job_grid *grid, int64_t all, int64_t sample, uint64_t seed, rdd_err *err) {
  rdd_status st = RDD_OK;
  grid->points = sample > 0 && sample < all ? sample : all;
  grid->point = rdd_calloc((size_t)grid->points, sizeof *grid->point);
  draw *drawn = rdd_alloc((size_t)all, sizeof *drawn);
  if (!grid->point || !drawn) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " points", all);
    goto done;
  }
  for (int64_t i = 0; i < all; i++) drawn[i] = (draw){rdd_mix64_2(seed, (uint64_t)i), i};
  if (grid->points < all) qsort(drawn, (size_t)all, sizeof *drawn, by_hash);
  for (int64_t i = 0; i < grid->points; i++) grid->point[i].number = drawn[i].number;
  qsort(grid->point, (size_t)grid->points, sizeof *grid->point, by_number);
done:
  rdd_free(drawn);
  return st;
}

rdd_status job_grid_read(const job_args *args, int64_t sample, uint64_t seed, job_grid *out,
                         rdd_err *err) {
  int given = 0;
  const char *const *text = job_strings(args, "grid", &given);
  int64_t all = 1;
  rdd_status st = RDD_OK;
  for (int i = 0; i < given && !st; i++) st = read_axis(args, out, text[i], err);
  for (int a = 0; a < out->axes && !st; a++) {
    if (all > JOB_GRID_POINTS / out->axis[a].n)
      st = rdd_set(err, RDD_EUSAGE, "the grid has more than %d points", JOB_GRID_POINTS);
    all *= out->axis[a].n;
  }
  if (!st) st = choose(out, all, sample, seed, err);
  if (st) return st;
  words *w = rdd_alloc(1, sizeof *w);
  if (!w) return rdd_set(err, RDD_ENOMEM, "out of memory for the grid");
  for (int64_t i = 0; i < out->points && !st; i++) {
    int64_t rest = out->point[i].number;
    for (int a = out->axes - 1; a >= 0; a--) {
      out->point[i].value[a] = (int)(rest % out->axis[a].n);
      rest /= out->axis[a].n;
    }
    st = read_point(args, out, &out->point[i], w, err);
  }
  rdd_free(w);
  return st;
}
