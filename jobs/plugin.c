/* Map functions of the user's own: find and load them, and put them into the lineage.
 *
 * A function that takes rows one by one is a step of the task that reads them:
 *
 *   read ─► map a ─► map b
 *
 * One that has to see whole users or items needs all of their rows in one partition. Each row is
 * numbered where it was read, so that in the end it can go back to its place:
 *
 *   read ─► map a ─► number ─╫─► map b ─► map c ─╫─► put back           ╫ rows are exchanged
 *                         by user            by partition
 *
 * So the result has the order of the input, whatever the number of ranks and partitions. Functions
 * cannot change ids: what is by user stays by user, and several functions share one exchange. */
#include "jobs/plugin.h"

#include "jobs/gangplank_map.h"
#include "rdd/memory.h"

#include <ctype.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SYMBOL_ROOM = 160, PATH_ROOM = 4096 };

/* One --map. */
typedef struct plugin {
  const char *spec; /* as it was given */
  char name[64];    /* of the RDD: "map maps.so:binarise" */
  char *library;    /* LIB */
  char *function;   /* FUNCTION */
  const char *argument;
  void *handle; /* of the library */
  const gangplank_map *map;
  const rdd_schema *schema; /* of what it gets: plain or numbered */
} plugin;

struct job_maps {
  int n;
  plugin *plugin;        /* [n] */
  rdd_schema plain;      /* of the ratings */
  rdd_schema numbered;   /* and with the two columns that tell */
  int partition, number; /* where a row was read, and which one it was there */
  int64_t rows;          /* in a task: numbered so far */
};

/* ---- Finding and loading ---- */

/* The colon before FUNCTION: the first one that a C name follows, and then = or the end. So paths and
 * arguments may have colons. */
static const char *find_colon(const char *spec, size_t *length_out) {
  for (const char *colon = strchr(spec, ':'); colon; colon = strchr(colon + 1, ':')) {
    size_t n = 0;
    while (isalnum((unsigned char)colon[1 + n]) || colon[1 + n] == '_') n++;
    bool name = n > 0 && !isdigit((unsigned char)colon[1]);
    if (!name || colon == spec || (colon[1 + n] && colon[1 + n] != '=')) continue;
    *length_out = n;
    return colon;
  }
  return NULL;
}

static char *copy_part(const char *text, size_t n) {
  char *copy = rdd_alloc(n + 1, 1);
  if (!copy) return NULL;
  memcpy(copy, text, n);
  copy[n] = '\0';
  return copy;
}

static rdd_status parse(plugin *p, rdd_err *err) {
  size_t length = 0;
  const char *colon = find_colon(p->spec, &length);
  if (!colon)
    return rdd_set(err, RDD_EUSAGE,
                   "--map '%s': expected LIB.so:FUNCTION or LIB.so:FUNCTION=ARGUMENT", p->spec);
  p->library = copy_part(p->spec, (size_t)(colon - p->spec));
  p->function = copy_part(colon + 1, length);
  if (!p->library || !p->function) return rdd_set(err, RDD_ENOMEM, "out of memory for --map");
  p->argument = colon[1 + length] == '=' ? colon + length + 2 : NULL;
  const char *slash = strrchr(p->library, '/');
  snprintf(p->name, sizeof p->name, "map %.24s:%.30s", slash ? slash + 1 : p->library, p->function);
  return RDD_OK;
}

static bool is_file(char path[PATH_ROOM], const char *dir, size_t n, const char *base) {
  return n > 0 && snprintf(path, PATH_ROOM, "%.*s/%s", (int)n, dir, base) < PATH_ROOM &&
         access(path, F_OK) == 0;
}

/* What to give to dlopen(), which would look elsewhere for a name without a slash. */
static rdd_status find_library(const plugin *p, char path[PATH_ROOM], rdd_err *err) {
  const char *folders = getenv("GANGPLANK_MAP_PATH");
  size_t n = strlen(p->library);
  bool ends = n > 3 && strcmp(p->library + n - 3, ".so") == 0;
  char base[PATH_ROOM];
  if (n >= sizeof base - 3)
    return rdd_set(err, RDD_EUSAGE, "--map: the name of the library is %zu bytes long", n);
  if (strchr(p->library, '/')) {
    memcpy(path, p->library, n + 1);
    return RDD_OK;
  }
  snprintf(base, sizeof base, "%s%s", p->library, ends ? "" : ".so");
  if (ends && is_file(path, ".", 1, base)) return RDD_OK;
  for (const char *f = folders; f && *f;) {
    size_t length = strcspn(f, ":");
    if (is_file(path, f, length, base)) return RDD_OK;
    f += length + (f[length] == ':');
  }
  if (is_file(path, PKGLIBDIR, strlen(PKGLIBDIR), base)) return RDD_OK;
  return rdd_set(err, RDD_EUSAGE, "--map %s: there is no %s in %s%s%s%s", p->spec, base,
                 ends ? "the current folder, " : "", folders ? folders : "",
                 folders && *folders ? ", " : "", PKGLIBDIR);
}

static rdd_status find_function(plugin *p, rdd_err *err) {
  char symbol[SYMBOL_ROOM];
  if (snprintf(symbol, sizeof symbol, "gangplank_map_%s", p->function) >= SYMBOL_ROOM)
    return rdd_set(err, RDD_EUSAGE, "--map %s: the name of the function is too long", p->spec);
  p->map = dlsym(p->handle, symbol);
  if (p->map) return RDD_OK;
  char why[300];
  const char *told = dlerror();
  snprintf(why, sizeof why, "%s", told ? told : "it is NULL");
  return rdd_set(err, RDD_EUSAGE, "--map %s: %s%s%s%s", p->spec, why,
                 dlsym(p->handle, p->function) ? "; the function is there, but no GANGPLANK_MAP("
                                               : "",
                 dlsym(p->handle, p->function) ? p->function : "",
                 dlsym(p->handle, p->function) ? ", ...)" : "");
}

/* Is it one that this host can call, so? */
static rdd_status check_function(const plugin *p, rdd_err *err) {
  const gangplank_map *map = p->map;
  char error[GANGPLANK_ERROR_ROOM] = "";
  if (map->abi != GANGPLANK_MAP_ABI)
    return rdd_set(err, RDD_EUSAGE,
                   "--map %s: it was compiled against version %d of gangplank_map.h, and this is "
                   "version %d: compile it again",
                   p->spec, (int)map->abi, GANGPLANK_MAP_ABI);
  if (!map->run || map->together < GANGPLANK_ANY_ROWS || map->together > GANGPLANK_SAME_PAIR)
    return rdd_set(err, RDD_EUSAGE,
                   "--map %s: its GANGPLANK_MAP is wrong: it has %s function, and %d for the rows "
                   "that it has to see together",
                   p->spec, map->run ? "a" : "no", (int)map->together);
  if (!map->check)
    return p->argument
               ? rdd_set(err, RDD_EUSAGE, "--map %s: %s takes no argument", p->spec, p->function)
               : RDD_OK;
  if (map->check(p->argument, error) == GANGPLANK_OK) return RDD_OK;
  error[sizeof error - 1] = '\0';
  return rdd_set(err, RDD_EUSAGE, "--map %s: %s", p->spec,
                 error[0] ? error : "the function does not take this argument");
}

static rdd_status load(plugin *p, rdd_err *err) {
  char path[PATH_ROOM];
  rdd_status st = parse(p, err);
  if (!st) st = find_library(p, path, err);
  if (st) return st;
  p->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!p->handle) {
    const char *why = dlerror();
    return rdd_set(err, RDD_EUSAGE, "--map %s: %s", p->spec, why ? why : "it cannot be loaded");
  }
  st = find_function(p, err);
  return st ? st : check_function(p, err);
}

rdd_status job_maps_open(job_maps **out, const char *const *spec, int n, rdd_err *err) {
  rdd_status st = RDD_OK;
  job_maps *maps = rdd_calloc(1, sizeof *maps);
  if (maps) maps->plugin = rdd_calloc((size_t)n, sizeof *maps->plugin);
  if (!maps || !maps->plugin) st = rdd_set(err, RDD_ENOMEM, "out of memory for --map");
  for (int i = 0; i < n && !st; i++) {
    maps->plugin[maps->n++].spec = spec[i];
    st = load(&maps->plugin[i], err);
  }
  if (st)
    job_maps_close(maps);
  else
    *out = maps;
  return st;
}

void job_maps_close(job_maps *maps) {
  if (!maps) return;
  for (int i = 0; i < maps->n; i++) {
    plugin *p = &maps->plugin[i];
    if (p->handle) dlclose(p->handle);
    rdd_free(p->library);
    rdd_free(p->function);
  }
  rdd_free(maps->plugin);
  rdd_free(maps);
}

/* ---- In a task ---- */

static rdd_status no_memory(int64_t rows, rdd_err *err) {
  return rdd_set(err, RDD_ENOMEM, "out of memory for --map on %lld ratings", (long long)rows);
}

static rdd_status call(const plugin *p, const gangplank_batch *batch, rdd_err *err) {
  char error[GANGPLANK_ERROR_ROOM] = "";
  int status = p->map->run(batch, p->argument, error);
  error[sizeof error - 1] = '\0';
  if (status == GANGPLANK_OK) return RDD_OK;
  return rdd_set(err, status == GANGPLANK_NO_MEMORY ? RDD_ENOMEM : RDD_EDATA,
                 "--map %s, partition %lld: %s", p->spec, (long long)batch->partition,
                 error[0] ? error : "the function failed, without a message");
}

/* Numbers of the rows that stay. Ratings have to be finite, everywhere in this program. */
static rdd_status choose(const plugin *p, const gangplank_batch *b, int32_t *row, int64_t *n_out,
                         rdd_err *err) {
  int64_t n = 0;
  for (int64_t i = 0; i < b->rows; i++) {
    row[n] = (int32_t)i;
    n += b->keep[i] != 0;
  }
  *n_out = n;
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(b->new_rating[row[i]]))
      return rdd_set(err, RDD_EDATA, "--map %s, partition %lld: it made %g of the rating %g",
                     p->spec, (long long)b->partition, (double)b->new_rating[row[i]],
                     (double)b->rating[row[i]]);
  return RDD_OK;
}

static gangplank_ids ids_of(const rdd_schema *schema, const rdd_batch *in, int column) {
  const rdd_column *c = &in->column[column];
  if (schema->field[column].type == RDD_UTF8)
    return (gangplank_ids){.text = c->values, .offset = c->offsets};
  return (gangplank_ids){.number = c->values};
}

/* The function on a batch: all columns but rating and timestamp pass it by. */
static rdd_status apply(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                        rdd_err *err) {
  const plugin *p = arg;
  size_t rows = (size_t)in->rows;
  int when = rdd_schema_find(p->schema, "timestamp");
  gangplank_batch b = {.rows = in->rows,
                       .partition = rdd_task_partition(task),
                       .user = ids_of(p->schema, in, 0),
                       .item = ids_of(p->schema, in, 1),
                       .rating = in->column[2].values,
                       .keep = rdd_task_scratch(task, rows, 1),
                       .new_rating = rdd_task_scratch(task, rows, sizeof(float))};
  int32_t *row = rdd_task_scratch(task, rows, sizeof *row);
  if (!b.keep || !b.new_rating || !row) return no_memory(in->rows, err);
  memset(b.keep, 1, rows);
  memcpy(b.new_rating, b.rating, rows * sizeof(float));
  if (when >= 0) {
    b.timestamp = in->column[when].values;
    b.new_timestamp = rdd_task_scratch(task, rows, sizeof(int64_t));
    if (!b.new_timestamp) return no_memory(in->rows, err);
    memcpy(b.new_timestamp, b.timestamp, rows * sizeof(int64_t));
  }
  const gangplank_batch mine = b; /* what the function gets, it could change by a cast */
  int64_t n = 0;
  rdd_status st = call(p, &b, err);
  if (!st) st = choose(p, &mine, row, &n, err);
  if (st) return st;
  *out = *in;
  out->rows = n;
  out->column[2].values = mine.new_rating;
  if (when >= 0) out->column[when].values = mine.new_timestamp;
  for (int c = 0; c < p->schema->columns && n < in->rows && !st; c++) {
    rdd_column whole = out->column[c];
    st = rdd_task_take(task, p->schema->field[c].type, &whole, row, n, &out->column[c], err);
  }
  return st;
}

/* The batches of a partition end to end, in scratch. */
static rdd_status join_column(const rdd_part *part, int column, rdd_type type, rdd_task *task,
                              rdd_column *out, rdd_err *err) {
  size_t size = rdd_type_size(type), bytes = 0, at = 0;
  int64_t rows = 0;
  for (int64_t b = 0; b < part->batches; b++) {
    const rdd_batch *batch = &part->batch[b];
    const int32_t *offsets = batch->column[column].offsets;
    bytes += type == RDD_UTF8 ? (size_t)(offsets[batch->rows] - offsets[0])
                              : (size_t)batch->rows * size;
  }
  if (type == RDD_UTF8 && bytes > INT32_MAX)
    return rdd_set(err, RDD_EDATA,
                   "--map: %zu bytes of ids in one partition, expected at most %d; raise "
                   "--num-partitions",
                   bytes, INT32_MAX);
  char *values = rdd_task_scratch(task, bytes, 1);
  int32_t *joined = type == RDD_UTF8
                        ? rdd_task_scratch(task, (size_t)part->rows + 1, sizeof *joined)
                        : NULL;
  if (!values || (type == RDD_UTF8 && !joined)) return no_memory(part->rows, err);
  if (joined) joined[0] = 0;
  for (int64_t b = 0; b < part->batches; b++) {
    const rdd_batch *batch = &part->batch[b];
    const rdd_column *c = &batch->column[column];
    const int32_t *offsets = c->offsets;
    size_t from = joined ? (size_t)offsets[0] : 0;
    size_t n = joined ? (size_t)(offsets[batch->rows] - offsets[0]) : (size_t)batch->rows * size;
    memcpy(values + at, (const char *)c->values + from, n);
    for (int64_t i = 1; joined && i <= batch->rows; i++)
      joined[rows + i] = (int32_t)at + (offsets[i] - offsets[0]);
    rows += batch->rows;
    at += n;
  }
  *out = (rdd_column){.values = values, .offsets = joined};
  return RDD_OK;
}

static rdd_status join(const rdd_part *part, const rdd_schema *schema, rdd_task *task,
                       rdd_batch *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  if (part->rows > INT32_MAX) /* row numbers have 32 bits here */
    return rdd_set(err, RDD_EDATA,
                   "--map: %lld ratings in one partition, expected at most %d; raise "
                   "--num-partitions",
                   (long long)part->rows, INT32_MAX);
  *out = (rdd_batch){.rows = part->rows};
  if (part->batches == 1) {
    *out = part->batch[0];
    return RDD_OK;
  }
  for (int c = 0; c < schema->columns && !st; c++)
    st = join_column(part, c, schema->field[c].type, task, &out->column[c], err);
  return st;
}

/* The function on a whole partition. */
static rdd_status apply_to_part(void *arg, const rdd_part *const *in, rdd_task *task,
                                rdd_err *err) {
  const plugin *p = arg;
  rdd_batch whole, out = {0};
  if (in[0]->rows == 0) return RDD_OK;
  rdd_status st = join(in[0], p->schema, task, &whole, err);
  if (!st) st = apply(arg, &whole, task, &out, err);
  return st ? st : rdd_task_emit(task, &out, err);
}

/* Tell each row where it is from. The task has a copy of maps of its own. */
static rdd_status number_rows(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                              rdd_err *err) {
  job_maps *maps = arg;
  int32_t *partition = rdd_task_scratch(task, (size_t)in->rows, sizeof *partition);
  int64_t *number = rdd_task_scratch(task, (size_t)in->rows, sizeof *number);
  if (!partition || !number) return no_memory(in->rows, err);
  for (int64_t i = 0; i < in->rows; i++) {
    partition[i] = (int32_t)rdd_task_partition(task);
    number[i] = maps->rows++;
  }
  *out = *in;
  out->column[maps->partition].values = partition;
  out->column[maps->number].values = number;
  return RDD_OK;
}

/* Rows of one partition of the input, in the order of their numbers. */
static rdd_status put_back(void *arg, const rdd_part *const *in, rdd_task *task, rdd_err *err) {
  const job_maps *maps = arg;
  rdd_batch whole, out = {0};
  int64_t rows = in[0]->rows, highest = 0, n = 0;
  if (rows == 0) return RDD_OK;
  rdd_status st = join(in[0], &maps->numbered, task, &whole, err);
  if (st) return st;
  const int64_t *number = whole.column[maps->number].values;
  for (int64_t i = 0; i < rows; i++)
    if (number[i] > highest) highest = number[i];
  int32_t *row = rdd_task_scratch(task, (size_t)highest + 1, sizeof *row);
  if (!row) return no_memory(rows, err);
  memset(row, -1, ((size_t)highest + 1) * sizeof *row);
  for (int64_t i = 0; i < rows; i++) row[number[i]] = (int32_t)i;
  for (int64_t i = 0; i <= highest; i++)
    if (row[i] >= 0) row[n++] = row[i];
  for (int c = 0; c < maps->plain.columns && !st; c++)
    st = rdd_task_take(task, maps->plain.field[c].type, &whole.column[c], row, n, &out.column[c],
                       err);
  out.rows = n;
  return st ? st : rdd_task_emit(task, &out, err);
}

/* ---- Lineage ---- */

/* r becomes what was made of it. */
static void move_on(rdd **r, rdd *next) {
  rdd_release(*r);
  *r = next;
}

/* After an exchange: rows go back to where they were read. */
static rdd_status add_put_back(job_maps *maps, rdd **r, rdd_err *err) {
  rdd *next = NULL;
  rdd_status st = rdd_partition_at(&next, *r, "by partition", "partition", rdd_partitions(*r), err);
  if (st) return st;
  move_on(r, next);
  st = rdd_map_partitions(&next, *r, "put back", &maps->plain, put_back, maps, err);
  if (!st) move_on(r, next);
  return st;
}

/* Bring the rows of a user, or of an item, together; in a partition they stand in the order of the
 * input. `by` is the column by which they are together, or -1. */
static rdd_status add_exchange(job_maps *maps, rdd **r, int *by, int column, rdd_err *err) {
  rdd *next = NULL;
  rdd_status st = RDD_OK;
  if (*by >= 0) st = add_put_back(maps, r, err); /* by another column: their order is another one */
  if (!st) st = rdd_map_batches(&next, *r, "number", &maps->numbered, number_rows, maps, err);
  if (st) return st;
  move_on(r, next);
  st = rdd_partition_by(&next, *r, column ? "by item" : "by user", maps->plain.field[column].name,
                        rdd_partitions(*r), err);
  if (st) return st;
  move_on(r, next);
  *by = column;
  return RDD_OK;
}

static rdd_status add_map(job_maps *maps, plugin *p, rdd **r, int *by, rdd_err *err) {
  int together = p->map->together;
  int column = together == GANGPLANK_SAME_ITEM ? 1 : 0;
  if (together == GANGPLANK_SAME_PAIR && *by >= 0) column = *by; /* either will do */
  rdd *next = NULL;
  rdd_status st = RDD_OK;
  if (together != GANGPLANK_ANY_ROWS && *by != column && rdd_partitions(*r) > 1)
    st = add_exchange(maps, r, by, column, err);
  if (st) return st;
  p->schema = *by >= 0 ? &maps->numbered : &maps->plain;
  if (together == GANGPLANK_ANY_ROWS)
    st = rdd_map_batches(&next, *r, p->name, p->schema, apply, p, err);
  else
    st = rdd_map_partitions(&next, *r, p->name, p->schema, apply_to_part, p, err);
  if (!st) move_on(r, next);
  return st;
}

rdd_status job_maps_apply(job_maps *maps, rdd *ratings, rdd **out, rdd_err *err) {
  rdd *r = rdd_retain(ratings);
  int by = -1;
  rdd_status st = RDD_OK;
  maps->plain = maps->numbered = *rdd_schema_of(ratings);
  maps->partition = maps->plain.columns;
  maps->number = maps->plain.columns + 1;
  rdd_schema_add(&maps->numbered, "partition", RDD_INT32);
  rdd_schema_add(&maps->numbered, "number", RDD_INT64);
  for (int i = 0; i < maps->n && !st; i++) st = add_map(maps, &maps->plugin[i], &r, &by, err);
  if (!st && by >= 0) st = add_put_back(maps, &r, err);
  if (st)
    rdd_release(r);
  else
    *out = r;
  return st;
}
