/* Lineage: built, printed, released and run by loops, so ten thousand steps are nothing special. */
#include "rdd/memory.h"
#include "rdd/rdd.h"
#include "tests/testkit.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { STEPS = 10000 };

static rdd_schema one_int(const char *name) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, name, RDD_INT64);
  return schema;
}

static rdd_status three_rows(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  (void)arg;
  const int64_t value[3] = {partition, partition + 10, partition + 20};
  rdd_batch batch = {.rows = 3, .column = {{.values = value}}};
  return rdd_task_emit(task, &batch, err);
}

static rdd_status add_one(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                          rdd_err *err) {
  (void)arg;
  const int64_t *from = in->column[0].values;
  int64_t *to = rdd_task_scratch(task, (size_t)in->rows, sizeof *to);
  if (!to) return rdd_set(err, RDD_ENOMEM, "no scratch");
  for (int64_t i = 0; i < in->rows; i++) to[i] = from[i] + 1;
  out->rows = in->rows;
  out->column[0].values = to;
  return RDD_OK;
}

/* Processor seconds of this process and of its tasks: a busy machine makes no difference. */
static double now(void) {
  double sum = 0;
  for (int children = 0; children < 2; children++) {
    struct rusage u;
    getrusage(children ? RUSAGE_CHILDREN : RUSAGE_SELF, &u);
    sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
  }
  return sum;
}

/* Two partitions, `steps` maps deep. */
static rdd *deep_chain(int steps) {
  rdd_schema schema = one_int("n");
  rdd_err err;
  rdd *r = NULL;
  TK_OK(rdd_source(&r, "rows", 2, &schema, three_rows, NULL, &err), &err);
  for (int i = 0; i < steps; i++) {
    rdd *next = NULL;
    if (!TK_OK(rdd_map_batches(&next, r, "add one", &schema, add_one, NULL, &err), &err)) break;
    rdd_release(r);
    r = next;
  }
  return r;
}

static void debug_string(void) {
  rdd_schema text = {0}, ratings = {0};
  rdd_schema_add(&text, "line", RDD_UTF8);
  rdd_schema_add(&ratings, "user", RDD_INT64);
  rdd_schema_add(&ratings, "rating", RDD_FLOAT32);
  rdd *source = NULL, *parsed = NULL, *kept = NULL;
  rdd_err err;
  TK_OK(rdd_source(&source, "u.data", 8, &text, three_rows, NULL, &err), &err);
  TK_OK(rdd_map_batches(&parsed, source, "parse", &ratings, add_one, NULL, &err), &err);
  TK_OK(rdd_map_batches(&kept, parsed, "filter", &ratings, add_one, NULL, &err), &err);
  char *s = rdd_debug_string(kept);
  TK_CHECK(s && strcmp(s, "(8) filter [user:int64, rating:float32]\n"
                          " |  parse [user:int64, rating:float32]\n"
                          " |  u.data [line:utf8]") == 0);
  rdd_free(s);
  s = rdd_debug_string(source);
  TK_CHECK(s && strcmp(s, "(8) u.data [line:utf8]") == 0);
  rdd_free(s);
  for (int n = 1; n < 3; n++) { /* the buffer, then its growth */
    rdd *deep = deep_chain(100);
    rdd_memory_fail_at(n);
    TK_CHECK(!rdd_debug_string(deep));
    rdd_memory_fail_at(0);
    rdd_release(deep);
  }
  rdd_release(kept), rdd_release(source), rdd_release(parsed);
}

static rdd_status pass_on(void *arg, const rdd_part *const *in, rdd_task *task, rdd_err *err) {
  (void)arg;
  return rdd_task_emit(task, &in[0]->batch[0], err);
}

/* both = (plus, dealt, joined with the source, dealt) and plus: two wide dependencies, one shared
 * parent. */
static void branches(void) {
  rdd_schema schema = one_int("n");
  rdd *source = NULL, *plus = NULL, *dealt = NULL, *other = NULL, *joined = NULL, *both = NULL;
  rdd_err err;
  TK_OK(rdd_source(&source, "a \"quoted\" name", 12, &schema, three_rows, NULL, &err), &err);
  TK_OK(rdd_map_batches(&plus, source, "plus", &schema, add_one, NULL, &err), &err);
  TK_OK(rdd_partition_by(&dealt, plus, "dealt", "n", 4, &err), &err);
  TK_OK(rdd_partition_by(&other, source, "other", "n", 4, &err), &err);
  TK_OK(rdd_zip_partitions(&joined, dealt, other, "joined", &schema, pass_on, NULL, &err), &err);
  TK_OK(rdd_union(&both, joined, plus, "both", &err), &err);
  TK_OK(rdd_persist(plus, RDD_LEVEL_MEMORY, NULL, 0, &err), &err);
  char *s = rdd_debug_string(both);
  TK_CHECK(s && strcmp(s, "(16) both [n:int64]\n"
                          " |   joined [n:int64]\n"
                          " |   dealt [n:int64]\n"
                          " +-(12) plus [n:int64] [memory]\n"
                          "    |   a \"quoted\" name [n:int64]\n"
                          " |   other [n:int64]\n"
                          " +-(12) a \"quoted\" name [n:int64]\n"
                          " |   plus [n:int64] [memory] (as above)") == 0);
  rdd_free(s);
  s = rdd_dot(both);
  TK_CHECK(s && strstr(s, "digraph lineage {") == s && s[strlen(s) - 2] == '}');
  TK_CHECK(s && strstr(s, "label=\"a \\\"quoted\\\" name\\n12 partitions\""));
  TK_CHECK(s && strstr(s, "plus\\n12 partitions\\nmemory: 0\", style=filled];"));
  int edges = 0, bold = 0;
  for (const char *c = s; c && (c = strstr(c, " -> ")); c++) edges++;
  for (const char *c = s; c && (c = strstr(c, "[style=bold]")); c++) bold++;
  TK_CHECK(edges == 7 && bold == 2);
  rdd_free(s);
  for (int n = 1; n < 8; n++) {
    rdd_memory_fail_at(n);
    s = n % 2 ? rdd_dot(both) : rdd_debug_string(both);
    rdd_memory_fail_at(0);
    rdd_free(s);
  }
  s = rdd_debug_string(both); /* no mark is left behind */
  TK_CHECK(s && strstr(s, "(as above)"));
  rdd_free(s);
  rdd_release(source), rdd_release(plus), rdd_release(dealt), rdd_release(other);
  rdd_release(joined), rdd_release(both);
}

static void references(void) {
  int64_t before = rdd_memory_live();
  rdd_schema schema = one_int("n");
  rdd *source = NULL, *a = NULL, *b = NULL;
  rdd_err err;
  TK_OK(rdd_source(&source, "rows", 5, &schema, three_rows, NULL, &err), &err);
  TK_OK(rdd_map_batches(&a, source, "a", &schema, add_one, NULL, &err), &err);
  TK_OK(rdd_map_batches(&b, source, "b", &schema, add_one, NULL, &err), &err);
  int64_t all = rdd_memory_live();
  rdd_release(source); /* both children still hold it */
  TK_CHECK(rdd_memory_live() == all);
  rdd_release(a);
  TK_CHECK(rdd_memory_live() > before);
  TK_CHECK(rdd_partitions(b) == 5 && rdd_schema_find(rdd_schema_of(b), "n") == 0);
  TK_CHECK(rdd_retain(b) == b);
  rdd_release(b);
  TK_CHECK(rdd_partitions(b) == 5);
  rdd_release(b);
  rdd_release(NULL);
  TK_CHECK(rdd_memory_live() == before);
}

static void refusals(void) {
  rdd_schema none = {0}, schema = one_int("n");
  rdd *r = NULL;
  rdd_err err;
  TK_CHECK(rdd_source(&r, "x", -1, &schema, three_rows, NULL, &err) == RDD_EUSAGE && !r);
  TK_CHECK(rdd_source(&r, "x", 1, &none, three_rows, NULL, &err) == RDD_EUSAGE && !r);
  for (int n = 1; n <= 2; n++) {
    rdd_memory_fail_at(n);
    TK_CHECK(rdd_source(&r, "x", 1, &schema, three_rows, NULL, &err) == RDD_ENOMEM && !r);
  }
}

/* Seconds to build, run, print and release a chain, and its result checked. */
static double time_chain(int steps) {
  double begin = now();
  rdd *r = deep_chain(steps);
  rdd_comm *comm = NULL;
  rdd_parts *parts = NULL;
  rdd_err err;
  rdd_run_opts opts = {.slots = 2};
  TK_OK(rdd_comm_single(&comm, &err), &err);
  if (TK_OK(rdd_compute(r, comm, &opts, &parts, NULL, &err), &err)) {
    for (int64_t p = 0; p < 2; p++) {
      const int64_t *value = parts->part[p].batch[0].column[0].values;
      for (int i = 0; i < 3; i++) TK_CHECK(value[i] == p + 10 * i + steps);
    }
  }
  char *s = rdd_debug_string(r);
  int lines = 1;
  for (const char *c = s; c && *c; c++) lines += *c == '\n';
  TK_CHECK(lines == steps + 1);
  rdd_free(s);
  rdd_parts_free(parts);
  rdd_comm_close(comm);
  rdd_release(r);
  return now() - begin;
}

static void ten_thousand_steps(void) {
  double once = time_chain(STEPS), four_times = time_chain(4 * STEPS);
  /* linear would be 4, quadratic 16; a busy machine gets the benefit of a tenth of a second */
  TK_CHECK(four_times < 9 * once + .1);
  TK_CHECK(once < 5); /* hundredths in truth */
}

/* A crash deep in the lineage is described in a line and not in ten thousand. */
static rdd_status always_bad(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  (void)arg, (void)partition, (void)task, (void)err;
  __builtin_trap();
}

static void long_lineage_in_a_message(void) {
  rdd_schema schema = one_int("n");
  rdd *r = NULL;
  rdd_err err;
  TK_OK(rdd_source(&r, "bad rows", 1, &schema, always_bad, NULL, &err), &err);
  for (int i = 0; i < 100; i++) {
    rdd *next = NULL;
    TK_OK(rdd_map_batches(&next, r, "step", &schema, add_one, NULL, &err), &err);
    rdd_release(r);
    r = next;
  }
  rdd_comm *comm = NULL;
  rdd_parts *parts = NULL;
  rdd_run_opts opts = {.slots = 1, .max_failures = 1};
  TK_OK(rdd_comm_single(&comm, &err), &err);
  TK_CHECK(rdd_compute(r, comm, &opts, &parts, NULL, &err) == RDD_ETASK && !parts);
  TK_CHECK(strstr(err.message, "step <- step <- step <- step <- ... (97 more): attempt 1 of 1"));
  rdd_comm_close(comm);
  rdd_release(r);
}

int main(void) {
  static const tk_case cases[] = {
      {"the debug string", debug_string},
      {"branching lineage: the debug string and the graph", branches},
      {"references", references},
      {"refusals", refusals},
      {"ten thousand steps", ten_thousand_steps},
      {"a long lineage in a message", long_lineage_in_a_message},
  };
  return tk_main("rdd_lineage", cases, sizeof cases / sizeof cases[0]);
}
