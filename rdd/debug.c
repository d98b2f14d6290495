/* Lineage as text, for people: in messages, as Spark's toDebugString, and for Graphviz. */
#include "rdd/memory.h"
#include "rdd/rdd_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct text {
  char *bytes; /* NULL after memory was out */
  size_t length, room;
} text;

static text text_new(void) {
  return (text){.bytes = rdd_alloc(1024, 1), .room = 1024};
}

__attribute__((format(printf, 2, 3))) static void text_add(text *t, const char *format, ...) {
  if (!t->bytes) return;
  char piece[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  size_t length = n < 0 ? 0 : (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1;
  if (t->length + length >= t->room) {
    char *larger = rdd_realloc(t->bytes, t->room * 2, 1); /* room always exceeds one piece */
    if (!larger) rdd_free(t->bytes);
    t->bytes = larger;
    t->room *= 2;
    if (!larger) return;
  }
  memcpy(t->bytes + t->length, piece, length + 1);
  t->length += length;
}

static void add_schema(text *t, const rdd_schema *schema) {
  for (int c = 0; c < schema->columns; c++)
    text_add(t, "%s%s:%s", c ? ", " : "", schema->field[c].name,
             rdd_type_name(schema->field[c].type));
}

/* What is kept of it: how many partitions, and the bytes of those in this rank's memory. */
typedef struct keepsake {
  int64_t cached, bytes;
  const char *how; /* NULL: nothing is to be kept */
} keepsake;

static keepsake look(const rdd *r) {
  keepsake k = {0};
  if (!r->kept) return k;
  if (r->kept->checkpointed)
    k.how = "checkpointed";
  else if (r->kept->level != RDD_LEVEL_NONE)
    k.how = rdd_level_name(r->kept->level);
  for (int64_t p = 0; p < r->partitions; p++) {
    k.cached += r->kept->holder[p] >= 0 || r->kept->part[p].bytes || r->kept->stored[p];
    k.bytes += (int64_t)r->kept->part[p].size;
  }
  return k;
}

/* ---- toDebugString ----
 *
 *   (4) joined [...]              one stage: its parents under its bar,
 *    |  counted [...]
 *    +-(8) parsed [...]           a wide dependency begins the bar of another,
 *       |  u.data [...]
 */

enum { DEEPEST = 160 }; /* bytes of bars; further in, nothing is indented more */

/* A node to be printed, and the bars before it. */
typedef struct line line;
struct line {
  line *next;
  const rdd *node;
  bool wide, last; /* how its child depends on it; whether it is the child's last parent */
  char bars[DEEPEST + 40];
};

static bool push_line(line **stack, const rdd *node, bool wide, bool last, const char *bars) {
  line *l = rdd_alloc(1, sizeof *l);
  if (!l) return false;
  *l = (line){.next = *stack, .node = node, .wide = wide, .last = last};
  snprintf(l->bars, sizeof l->bars, "%s", bars);
  *stack = l;
  return true;
}

/* "(4) " begins a stage; the bar under it stands below the middle of the number. */
static void begin_stage(char *bars, size_t room, const rdd *node) {
  char number[32];
  int length = snprintf(number, sizeof number, "(%lld)", (long long)node->partitions);
  size_t at = strlen(bars);
  if (at > DEEPEST) return;
  snprintf(bars + at, room - at, "%*s|%*s", (length - 1) / 2, "", length - (length - 1) / 2 - 1,
           "");
}

static void add_node(text *t, const rdd *node, const char *bars, bool seen) {
  keepsake kept = look(node);
  text_add(t, "%s [", node->name);
  add_schema(t, &node->schema);
  text_add(t, "]");
  if (kept.how) text_add(t, " [%s]", kept.how);
  if (seen && node->deps) text_add(t, " (as above)");
  if (kept.how && kept.cached > 0)
    text_add(t, "\n%s     CachedPartitions: %lld; MemorySize: %lld B", bars, (long long)kept.cached,
             (long long)kept.bytes);
}

/* Print one node, and put its parents on the stack. */
static bool print_line(text *t, line *l, line **stack) {
  rdd *node = (rdd *)(uintptr_t)l->node;
  bool seen = node->mark >= 0;
  if (t->length) text_add(t, "\n");
  if (l->wide || !t->length) {
    char *bars = l->bars;
    if (l->wide) { /* the bar of the child ends in the corner */
      char *bar = strrchr(bars, '|');
      if (bar) *bar = '\0';
      text_add(t, "%s+-(%lld) ", bars, (long long)node->partitions);
      size_t at = strlen(bars);
      snprintf(bars + at, sizeof l->bars - at, "%s", l->last ? "  " : "| ");
    } else {
      text_add(t, "(%lld) ", (long long)node->partitions);
    }
    begin_stage(bars, sizeof l->bars, node);
  } else {
    text_add(t, "%s ", l->bars);
  }
  add_node(t, node, l->bars, seen);
  if (seen) return true;
  node->mark = 0;
  for (int d = node->deps - 1; d >= 0; d--)
    if (!push_line(stack, node->dep[d].parent, node->dep[d].kind == RDD_DEP_ALL,
                   d == node->deps - 1, l->bars))
      return false;
  return true;
}

char *rdd_debug_string(const rdd *r) {
  text t = text_new();
  rdd **all;
  int64_t n = rdd_walk(r, &all); /* to unmark in the end */
  line *stack = NULL;
  bool ok = all && push_line(&stack, r, false, true, "");
  while (stack) {
    line *l = stack;
    stack = l->next;
    ok = ok && t.bytes && print_line(&t, l, &stack);
    rdd_free(l);
  }
  for (int64_t i = 0; i < n; i++) all[i]->mark = -1;
  rdd_free(all);
  if (!ok) {
    rdd_free(t.bytes);
    t.bytes = NULL;
  }
  return t.bytes;
}

/* ---- Graphviz ---- */

/* A name inside a quoted label. */
static void add_quoted(text *t, const char *s) {
  for (; *s; s++) {
    if (*s == '"' || *s == '\\')
      text_add(t, "\\%c", *s);
    else if ((unsigned char)*s >= ' ')
      text_add(t, "%c", *s);
  }
}

char *rdd_dot(const rdd *r) {
  text t = text_new();
  rdd **all;
  int64_t n = rdd_walk(r, &all);
  text_add(&t, "digraph lineage {\n  rankdir=BT;\n  node [shape=box];\n");
  for (int64_t i = 0; i < n; i++) {
    keepsake kept = look(all[i]);
    all[i]->mark = i;
    text_add(&t, "  n%lld [label=\"", (long long)i);
    add_quoted(&t, all[i]->name);
    text_add(&t, "\\n%lld partitions", (long long)all[i]->partitions);
    if (kept.how) text_add(&t, "\\n%s: %lld", kept.how, (long long)kept.cached);
    text_add(&t, "\"%s];\n", kept.how ? ", style=filled" : "");
  }
  for (int64_t i = 0; i < n; i++)
    for (int d = 0; d < all[i]->deps; d++)
      text_add(&t, "  n%lld -> n%lld%s;\n", (long long)i, (long long)all[i]->dep[d].parent->mark,
               all[i]->dep[d].kind == RDD_DEP_ALL ? " [style=bold]" : "");
  text_add(&t, "}\n");
  for (int64_t i = 0; i < n; i++) all[i]->mark = -1;
  if (!all) {
    rdd_free(t.bytes);
    t.bytes = NULL;
  }
  rdd_free(all);
  return t.bytes;
}

/* ---- Messages ---- */

/* Follows the first parent; that there are others is said. */
void rdd_lineage_text(const rdd *r, char *out, size_t room) {
  enum { SHOWN = 4 };
  size_t at = 0;
  int64_t steps = 0;
  for (; r && steps < SHOWN && at < room; steps++) {
    int n = snprintf(out + at, room - at, "%s%.60s%s", steps ? " <- " : "", r->name,
                     r->deps > 1 ? " (of several)" : "");
    at += n > 0 ? (size_t)n : 0;
    r = r->deps ? r->dep[0].parent : NULL;
  }
  int64_t more = 0;
  for (; r; r = r->deps ? r->dep[0].parent : NULL) more++;
  if (more && at < room) snprintf(out + at, room - at, " <- ... (%lld more)", (long long)more);
}
