/* Map functions in the lineage, on ranks as threads and under the sanitizers: those that come along.
 * What functions of the user's own do, well or badly, is in cli_map.sh. */
#include "jobs/plugin.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/rdd_kit.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  PARTITIONS = 5,
  BATCHES = 3,
  ROWS = 40,
  ALL = PARTITIONS * BATCHES * ROWS,
  USERS = 9,
  ITEMS = 11
};

/* ---- Ratings that are known: row i of all ---- */

static int64_t user_of(int64_t i) {
  return (int64_t)(rdd_mix64((uint64_t)i) % USERS) - 4;
}
static int item_of(int64_t i, char text[8]) {
  return snprintf(text, 8, "%.*s", (int)(rdd_mix64((uint64_t)i + ALL) % ITEMS), "abcdefg");
}
static float rating_of(int64_t i) {
  return (float)(i % 10) / 2;
}
static int64_t time_of(int64_t i) {
  return (int64_t)(rdd_mix64((uint64_t)i + 2 * ALL) % 20);
}

static rdd_status read_rows(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  int64_t user[ROWS], when[ROWS];
  int32_t offset[ROWS + 1] = {0};
  float rating[ROWS];
  char text[8 * ROWS];
  rdd_status st = RDD_OK;
  (void)arg;
  for (int64_t b = 0; b < BATCHES && !st; b++) {
    for (int64_t i = 0; i < ROWS; i++) {
      int64_t row = (partition * BATCHES + b) * ROWS + i;
      user[i] = user_of(row), rating[i] = rating_of(row), when[i] = time_of(row);
      offset[i + 1] = offset[i] + item_of(row, text + offset[i]);
    }
    rdd_batch batch = {
        .rows = ROWS,
        .column = {{.values = user}, {text, offset}, {.values = rating}, {.values = when}}};
    st = rdd_task_emit(task, &batch, err);
  }
  return st;
}

static rdd *source(int64_t partitions) {
  rdd_schema schema = {0};
  rdd *r = NULL;
  rdd_err err;
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_UTF8);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_schema_add(&schema, "timestamp", RDD_INT64);
  TK_OK(rdd_source(&r, "ratings", partitions, &schema, read_rows, NULL, &err), &err);
  return r;
}

/* No row of the same pair is newer, or as new and behind. */
static bool is_last(int64_t i) {
  char item[8], other[8];
  item_of(i, item);
  for (int64_t j = 0; j < ALL; j++) {
    item_of(j, other);
    if (user_of(j) != user_of(i) || strcmp(item, other) != 0) continue;
    if (time_of(j) > time_of(i) || (time_of(j) == time_of(i) && j > i)) return false;
  }
  return true;
}

/* ---- Cases ---- */

static void last_wins_everywhere(rdd_comm *comm) {
  if (!KIT_FORKS) return;
  static const char *const specs[] = {"maps:last_wins", "maps:binarise=2.5", "maps.so:last_wins"};
  job_maps *maps = NULL;
  rdd *ratings = source(PARTITIONS), *r = NULL;
  rdd_part part = {0};
  rdd_run_opts opts = {.slots = 2};
  rdd_err err;
  int64_t at = 0;
  TK_OK(job_maps_open(&maps, specs, 3, &err), &err);
  TK_OK(job_maps_apply(maps, ratings, &r, &err), &err);
  TK_CHECK(rdd_schema_of(r)->columns == 4);
  TK_OK(rdd_collect(r, comm, &opts, &part, &err), &err);
  for (int64_t b = 0; b < part.batches; b++) {
    const rdd_column *c = part.batch[b].column;
    for (int64_t i = 0; i < part.batch[b].rows; i++, at++) {
      char item[8];
      while (at < ALL && !is_last(at)) at++;
      int length = item_of(at, item);
      TK_CHECK(((const int64_t *)c[0].values)[i] == user_of(at));
      TK_CHECK(c[1].offsets[i + 1] - c[1].offsets[i] == length &&
               memcmp((const char *)c[1].values + c[1].offsets[i], item, (size_t)length) == 0);
      TK_CHECK(((const float *)c[2].values)[i] == (rating_of(at) >= 2.5F ? 1 : 0));
      TK_CHECK(((const int64_t *)c[3].values)[i] == time_of(at));
    }
  }
  while (at < ALL && !is_last(at)) at++;
  TK_CHECK(at == ALL && part.rows > USERS && part.rows < ALL / 2);
  rdd_part_close(&part);
  rdd_release(r), rdd_release(ratings);
  job_maps_close(maps);
}

/* How often a word is in the lineage. */
static int mentions(const rdd *r, const char *word) {
  char *text = rdd_debug_string(r);
  int n = 0;
  for (const char *at = text; at && (at = strstr(at, word)); at++) n++;
  rdd_free(text);
  return n;
}

static void exchanges_are_shared(rdd_comm *comm) {
  static const char *const specs[] = {"maps:binarise=1", "maps:last_wins", "maps:binarise=1",
                                      "maps:last_wins"};
  (void)comm;
  for (int n = 0; n <= 4; n++) {
    job_maps *maps = NULL;
    rdd *many = source(PARTITIONS), *one = source(1), *r = NULL;
    rdd_err err;
    TK_OK(job_maps_open(&maps, specs, n, &err), &err);
    TK_OK(job_maps_apply(maps, many, &r, &err), &err);
    TK_CHECK((r == many) == (n == 0));
    TK_CHECK(mentions(r, "map maps:") == n && mentions(r, "by user") == (n >= 2) &&
             mentions(r, "put back") == (n >= 2));
    rdd_release(r), r = NULL;
    TK_OK(job_maps_apply(maps, one, &r, &err), &err); /* all rows are together already */
    TK_CHECK(mentions(r, "map maps:") == n && mentions(r, "by user") == 0);
    rdd_release(r), rdd_release(many), rdd_release(one);
    job_maps_close(maps);
  }
}

static void wrong_specs(rdd_comm *comm) {
  static const char *const specs[] = {"maps",
                                      "maps:",
                                      ":binarise",
                                      "maps:2",
                                      "maps:binarise",
                                      "maps:last_wins=1",
                                      "nowhere:binarise",
                                      "./nowhere.so:binarise",
                                      "maps:nothing",
                                      "a:b:c/d"};
  char path[200] = "maps:";
  (void)comm;
  for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
    const char *two[] = {"maps:binarise=1e3", specs[i]};
    job_maps *maps = NULL;
    rdd_err err;
    TK_CHECK(job_maps_open(&maps, two, 2, &err) == RDD_EUSAGE && !maps);
    TK_CHECK(strstr(err.message, specs[i]) != NULL);
  }
  memset(path + 5, 'x', sizeof path - 6); /* a name that is too long */
  const char *lengthy = path;
  job_maps *maps = NULL;
  rdd_err err;
  TK_CHECK(job_maps_open(&maps, &lengthy, 1, &err) == RDD_EUSAGE && !maps);
}

static void memory_runs_out(rdd_comm *comm) {
  static const char *const specs[] = {"maps:last_wins", "maps:binarise=1"};
  rdd_status st = RDD_ENOMEM;
  int64_t n = 0;
  if (comm->size > 1) return;
  rdd *ratings = source(PARTITIONS);
  for (; st && n < 200;) {
    job_maps *maps = NULL;
    rdd *r = NULL;
    rdd_err err;
    rdd_memory_fail_at(++n);
    st = job_maps_open(&maps, specs, 2, &err);
    if (!st) st = job_maps_apply(maps, ratings, &r, &err);
    rdd_memory_fail_at(0);
    TK_CHECK(st == RDD_OK || (st == RDD_ENOMEM && !r));
    rdd_release(r);
    job_maps_close(maps);
  }
  TK_CHECK(n > 10 && n < 200);
  rdd_release(ratings);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"the last rating wins, wherever the others are", last_wins_everywhere},
      {"functions share an exchange, and one partition needs none", exchanges_are_shared},
      {"what is no function is refused", wrong_specs},
      {"out of memory", memory_runs_out},
  };
  const char *build = getenv("top_builddir");
  char path[4096];
  snprintf(path, sizeof path, "%s/jobs/maps", build ? build : ".");
  setenv("GANGPLANK_MAP_PATH", path, 1);
  return tk_threads_main("plugin", cases, sizeof cases / sizeof cases[0]);
}
