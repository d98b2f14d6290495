/* als generate: what was asked for, whatever the number of slots, and a planted model underneath. */
#include "jobs/job.h"
#include "jobs/ui.h"
#include "rdd/memory.h"
#include "tests/testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 512, MAX_ARGS = 24 };

/* Run `als generate -o path OPTIONS` with so many slots; options are separated by blanks. */
static rdd_status generate(const char *path, const char *options, int slots, rdd_err *err) {
  char text[1024], *argv[MAX_ARGS], *rest = text, *word;
  int argc = 0;
  rdd_comm *comm = NULL;
  job_args *args = NULL;
  snprintf(text, sizeof(text), "-o %s %s", path, options);
  while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
    if (*word) argv[argc++] = word;
  rdd_status st = rdd_comm_single(&comm, err);
  if (!st) st = job_args_parse(&args, job_generate.options, 0, 0, argc, argv, err);
  if (!st) {
    job j = {.comm = comm, .command = "generate", .quiet = true, .threads = slots};
    j.result = job_json_new();
    job_ui_init(false, true);
    st = job_generate.run(&j, args, err);
    job_json_free(j.result);
  }
  job_args_free(args);
  rdd_comm_close(comm);
  return st;
}

typedef struct found {
  int64_t rows, duplicates, outside; /* outside: ids out of range */
  int64_t users, items;              /* with at least one rating */
  int64_t most;                      /* ratings of one user */
  int64_t fractions;                 /* ratings that are no integers */
  float min, max;
} found;

/* Read a generated CSV file of a small world; value, if not NULL, is [users][items]. */
static found read_back(const char *path, int64_t users, int64_t items, float *value) {
  found f = {.min = INFINITY, .max = -INFINITY};
  long long user, item;
  float rating;
  int64_t *degree = rdd_calloc((size_t)users, sizeof(*degree));
  char *seen = rdd_calloc((size_t)(users * items), 1), *rated = rdd_calloc((size_t)items, 1);
  FILE *file = fopen(path, "r");
  if (file && fscanf(file, "user,item,rating") == 0 && degree && seen && rated)
    while (fscanf(file, "%lld,%lld,%f", &user, &item, &rating) == 3) {
      f.rows++;
      if (user < 1 || user > users || item < 1 || item > items) {
        f.outside++;
        continue;
      }
      int64_t cell = (user - 1) * items + item - 1;
      f.duplicates += seen[cell];
      f.users += degree[user - 1] == 0;
      f.items += !rated[item - 1];
      seen[cell] = rated[item - 1] = 1;
      if (++degree[user - 1] > f.most) f.most = degree[user - 1];
      f.fractions += rating != rintf(rating);
      f.min = fminf(f.min, rating);
      f.max = fmaxf(f.max, rating);
      if (value) value[cell] = rating;
    }
  if (file) fclose(file);
  rdd_free(degree);
  rdd_free(seen);
  rdd_free(rated);
  return f;
}

static void test_counts(void) {
  static const struct {
    int64_t users, items, ratings;
  } worlds[] = {{300, 100, 9000}, {50, 40, 2000}, {50, 40, 1999},  {50, 40, 50},
                {50, 40, 7},      {1, 1, 1},      {5, 4000, 9000}, {3000, 2, 5000}};
  char path[PATH], options[256];
  rdd_err err = {0};
  snprintf(path, sizeof(path), "%s/counts.csv", tk_tmpdir());
  for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
    int64_t users = worlds[i].users, items = worlds[i].items, ratings = worlds[i].ratings;
    snprintf(options, sizeof(options), "--users %d --items %d --ratings %d --scale 1:10",
             (int)users, (int)items, (int)ratings);
    if (!TK_OK(generate(path, options, 2, &err), &err)) continue;
    found f = read_back(path, users, items, NULL);
    bool good = TK_CHECK(f.rows == ratings) && TK_CHECK(f.duplicates == 0) &&
                TK_CHECK(f.outside == 0) && TK_CHECK(f.most <= items) &&
                TK_CHECK(f.users == (ratings < users ? f.users : users)) &&
                TK_CHECK(f.fractions == 0 && f.min >= 1 && f.max <= 10);
    if (!good) printf("# with %s\n", options);
  }
}

static bool same_files(const char *a, const char *b) {
  FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
  bool same = x && y;
  while (same) {
    int c = fgetc(x);
    same = c == fgetc(y);
    if (c == EOF) break;
  }
  if (x) fclose(x);
  if (y) fclose(y);
  return same;
}

/* 1.2 million ratings are more than one partition. */
static void test_slots_do_not_matter(void) {
  static const char options[] = "--users 3000 --items 900 --ratings 1200000 --scale none";
  char a[PATH], b[PATH];
  rdd_err err = {0};
  snprintf(a, sizeof(a), "%s/a.h5", tk_tmpdir());
  snprintf(b, sizeof(b), "%s/b.h5", tk_tmpdir());
  TK_OK(generate(a, options, 1, &err), &err);
  TK_OK(generate(b, options, 3, &err), &err);
  TK_CHECK(same_files(a, b));
  char other[128];
  snprintf(other, sizeof(other), "%s --seed 1", options);
  TK_OK(generate(b, other, 3, &err), &err);
  TK_CHECK(!same_files(a, b));
}

static double minor3(const float *v, int64_t width, const int r[3], const int c[3]) {
#define AT(i, j) ((double)v[r[i] * width + c[j]])
  return AT(0, 0) * (AT(1, 1) * AT(2, 2) - AT(1, 2) * AT(2, 1)) -
         AT(0, 1) * (AT(1, 0) * AT(2, 2) - AT(1, 2) * AT(2, 0)) +
         AT(0, 2) * (AT(1, 0) * AT(2, 1) - AT(1, 1) * AT(2, 0));
#undef AT
}

/* Raw and without noise, the whole matrix has the planted rank: with 2, all 3 x 3 minors vanish; with
 * 3 they do not. */
static void test_planted_rank(void) {
  enum { USERS = 9, ITEMS = 8 };
  static const char *const options[] = {
      "--users 9 --items 8 --ratings 72 --scale none --noise 0 --planted-rank 2",
      "--users 9 --items 8 --ratings 72 --scale none --noise 0 --planted-rank 3"};
  char path[PATH];
  float value[USERS * ITEMS];
  double largest[2] = {0, 0};
  rdd_err err = {0};
  snprintf(path, sizeof(path), "%s/planted.csv", tk_tmpdir());
  for (int p = 0; p < 2; p++) {
    TK_OK(generate(path, options[p], 1, &err), &err);
    found f = read_back(path, USERS, ITEMS, value);
    if (!TK_CHECK(f.rows == USERS * ITEMS && f.duplicates == 0)) return;
    for (int i = 0; i + 2 < USERS; i++)
      for (int j = 0; j + 2 < ITEMS; j++) {
        const int r[3] = {i, i + 1, i + 2}, c[3] = {j, j + 1, j + 2};
        largest[p] = fmax(largest[p], fabs(minor3(value, ITEMS, r, c)));
      }
  }
  TK_CHECK(largest[0] < 1e-5);
  TK_CHECK(largest[1] > 1e-2);
}

static void test_popularity(void) {
  enum { USERS = 2000, ITEMS = 500, RATINGS = 40000 };
  char path[PATH];
  rdd_err err = {0};
  int64_t rows[ITEMS + 1] = {0}, top = 0;
  long long user, item;
  float rating;
  snprintf(path, sizeof(path), "%s/popular.csv", tk_tmpdir());
  TK_OK(generate(path, "--users 2000 --items 500 --ratings 40000", 2, &err), &err);
  FILE *file = fopen(path, "r");
  if (!TK_CHECK(file && fscanf(file, "user,item,rating") == 0)) return;
  while (fscanf(file, "%lld,%lld,%f", &user, &item, &rating) == 3) rows[item]++;
  fclose(file);
  for (int i = 1; i <= ITEMS; i++)
    if (rows[i] > top) top = rows[i];
  TK_CHECK(top > 5 * RATINGS / ITEMS); /* far above the mean, */
  TK_CHECK(rows[1] < top);             /* and not by the order of the ids */
}

static void test_refusals(void) {
  char path[PATH];
  rdd_err err = {0};
  snprintf(path, sizeof(path), "%s/refused.csv", tk_tmpdir());
  TK_CHECK(generate(path, "--users 4 --items 5 --ratings 21", 1, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "21") && strstr(err.message, "4 users"));
  static const char *const scale[] = {"5:1", "1", "1:", ":5", "1:5:", "a:b", "1:inf", "1:1", ""};
  for (size_t i = 0; i < sizeof(scale) / sizeof(scale[0]); i++) {
    char options[64];
    snprintf(options, sizeof(options), "--ratings 10 --scale=%s", scale[i]);
    TK_CHECK(generate(path, options, 1, &err) == RDD_EUSAGE);
  }
  TK_CHECK(access(path, F_OK) != 0);
}

static const tk_case cases[] = {
    {"as many ratings as asked for, no pair twice", test_counts},
    {"slots do not matter, the seed does", test_slots_do_not_matter},
    {"the planted rank is there", test_planted_rank},
    {"popularity is uneven and not by id", test_popularity},
    {"refusals", test_refusals},
};

int main(void) {
  return tk_main("generate", cases, sizeof(cases) / sizeof(cases[0]));
}
