/* The grammar of faults. See fault.h; what a fault does when it strikes is in run.c. */
#include "jobs/fault.h"

#include "jobs/number.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BIT(x) (1u << (x))

/* What each place knows of: a key that it lacks would never match, so it is refused. */
static const struct place {
  const char *name;
  unsigned keys, actions;
  bool phase;
} places[] = {
    [JOB_FAULT_TASK] = {"task",
                        BIT(JOB_FAULT_STAGE) | BIT(JOB_FAULT_PARTITION) | BIT(JOB_FAULT_ATTEMPT) |
                            BIT(JOB_FAULT_LAUNCH),
                        BIT(JOB_FAULT_KILL) | BIT(JOB_FAULT_EXIT) | BIT(JOB_FAULT_HANG) |
                            BIT(JOB_FAULT_ERROR) | BIT(JOB_FAULT_CORRUPT),
                        true},
    [JOB_FAULT_GANG] = {"gang",
                        BIT(JOB_FAULT_RANK) | BIT(JOB_FAULT_ITERATION) | BIT(JOB_FAULT_SIDE) |
                            BIT(JOB_FAULT_ATTEMPT) | BIT(JOB_FAULT_RERUN),
                        BIT(JOB_FAULT_KILL) | BIT(JOB_FAULT_EXIT) | BIT(JOB_FAULT_HANG) |
                            BIT(JOB_FAULT_ERROR),
                        true},
    [JOB_FAULT_CHECKPOINT] = {"checkpoint", BIT(JOB_FAULT_ITERATION) | BIT(JOB_FAULT_ATTEMPT),
                              BIT(JOB_FAULT_CORRUPT) | BIT(JOB_FAULT_CUT), false},
    [JOB_FAULT_BLOCK] = {"block", BIT(JOB_FAULT_PARTITION) | BIT(JOB_FAULT_ATTEMPT),
                         BIT(JOB_FAULT_CORRUPT) | BIT(JOB_FAULT_CUT), false},
    [JOB_FAULT_MODEL] = {"model", BIT(JOB_FAULT_ATTEMPT),
                         BIT(JOB_FAULT_CORRUPT) | BIT(JOB_FAULT_CUT), false},
};

static const char *const key_names[JOB_FAULT_KEYS] = {
    [JOB_FAULT_STAGE] = "stage", [JOB_FAULT_PARTITION] = "partition",
    [JOB_FAULT_RANK] = "rank",   [JOB_FAULT_ITERATION] = "iteration",
    [JOB_FAULT_SIDE] = "side",   [JOB_FAULT_ATTEMPT] = "attempt",
    [JOB_FAULT_RERUN] = "rerun", [JOB_FAULT_LAUNCH] = "launch",
};

/* The lowest value of a key that counts. */
static const int key_least[JOB_FAULT_KEYS] = {[JOB_FAULT_ITERATION] = 1,
                                              [JOB_FAULT_ATTEMPT] = 1,
                                              [JOB_FAULT_RERUN] = 1,
                                              [JOB_FAULT_LAUNCH] = 1};

static const char *const action_names[] = {
    [JOB_FAULT_KILL] = "kill",   [JOB_FAULT_EXIT] = "exit",       [JOB_FAULT_HANG] = "hang",
    [JOB_FAULT_ERROR] = "error", [JOB_FAULT_CORRUPT] = "corrupt", [JOB_FAULT_CUT] = "cut",
};

static const char *const gang_phases[] = {"reading", "hand-off", "iteration", "checkpoint",
                                          "writing"};

enum {
  PLACES = sizeof places / sizeof places[0],
  ACTIONS = sizeof action_names / sizeof action_names[0],
  PHASES = sizeof gang_phases / sizeof gang_phases[0],
  DEFAULT_CUT = 4096, /* bytes: something is written, but no file of ours is whole */
};

/* ---- Signals by name ---- */

static const struct signal_name {
  int number;
  const char *name;
} signals[] = {
    {SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},   {SIGTRAP, "TRAP"},
    {SIGABRT, "ABRT"}, {SIGBUS, "BUS"},   {SIGFPE, "FPE"},   {SIGKILL, "KILL"}, {SIGUSR1, "USR1"},
    {SIGSEGV, "SEGV"}, {SIGUSR2, "USR2"}, {SIGPIPE, "PIPE"}, {SIGALRM, "ALRM"}, {SIGTERM, "TERM"},
    {SIGSTOP, "STOP"}, {SIGXCPU, "XCPU"}, {SIGSYS, "SYS"},
};
enum { SIGNALS = sizeof signals / sizeof signals[0], LAST_SIGNAL = 64 };

int job_signal_number(const char *name) {
  int64_t number;
  if (job_parse_int64(name, strlen(name), &number) == JOB_NUMBER_OK)
    return number >= 1 && number <= LAST_SIGNAL ? (int)number : -1;
  if (!strncasecmp(name, "SIG", 3)) name += 3;
  for (int i = 0; i < SIGNALS; i++)
    if (!strcasecmp(signals[i].name, name)) return signals[i].number;
  return -1;
}

/* ---- Parsing ---- */

/* The names whose bits are set, as "a, b or c". */
static const char *list_names(const char *const *names, int n, unsigned bits, char *text,
                              size_t room) {
  size_t length = 0;
  text[0] = 0;
  for (int i = 0; i < n; i++) {
    if (!(bits & BIT(i))) continue;
    bool last = !(bits >> (i + 1));
    length += (size_t)snprintf(text + length, room - length, "%s%s",
                               !length ? ""
                               : last  ? " or "
                                       : ", ",
                               names[i]);
    if (length >= room) break;
  }
  return text;
}

static int find_name(const char *const *names, int n, const char *word) {
  for (int i = 0; i < n; i++)
    if (!strcmp(names[i], word)) return i;
  return -1;
}

static rdd_status parse_where(const char *word, job_fault *f, rdd_err *err) {
  for (int i = 0; i < PLACES; i++) {
    if (strcmp(places[i].name, word)) continue;
    f->where = (job_fault_where)i;
    return RDD_OK;
  }
  return rdd_set(
      err, RDD_EUSAGE,
      "fault '%s': '%s' is no place for a fault; expected task, gang, checkpoint, block or "
      "model",
      f->text, word);
}

static rdd_status parse_phase(const char *value, job_fault *f, rdd_err *err) {
  char all[100];
  bool fits = *value && strlen(value) < sizeof f->phase;
  if (f->where == JOB_FAULT_GANG) fits = find_name(gang_phases, PHASES, value) >= 0;
  if (!fits)
    return rdd_set(err, RDD_EUSAGE, "fault '%s': unknown phase '%s'; expected %s", f->text, value,
                   list_names(gang_phases, PHASES, BIT(PHASES) - 1, all, sizeof all));
  snprintf(f->phase, sizeof f->phase, "%s", value);
  return RDD_OK;
}

static rdd_status parse_number(int key, const char *value, job_fault *f, rdd_err *err) {
  int64_t *out = &f->key[key];
  if (!strcmp(value, "all"))
    *out = JOB_FAULT_ANY;
  else if (key == JOB_FAULT_RANK && !strcmp(value, "last"))
    *out = JOB_FAULT_LAST;
  else if (key == JOB_FAULT_SIDE && !strcmp(value, "users"))
    *out = 0;
  else if (key == JOB_FAULT_SIDE && !strcmp(value, "items"))
    *out = 1;
  else if (key == JOB_FAULT_SIDE)
    return rdd_set(err, RDD_EUSAGE, "fault '%s': side '%s' is none of users, items and all",
                   f->text, value);
  else if (job_parse_int64(value, strlen(value), out) != JOB_NUMBER_OK || *out < key_least[key])
    return rdd_set(err, RDD_EUSAGE,
                   "fault '%s': %s '%s' is not a number from %d on%s, nor the word all", f->text,
                   key_names[key], value, key_least[key],
                   key == JOB_FAULT_RANK ? ", nor the word last" : "");
  return RDD_OK;
}

static rdd_status parse_key(char *word, job_fault *f, rdd_err *err) {
  const struct place *place = &places[f->where];
  char all[100];
  char *value = strchr(word, '=');
  if (!value)
    return rdd_set(err, RDD_EUSAGE, "fault '%s': '%s' has no value; expected KEY=VALUE", f->text,
                   word);
  *value++ = 0;
  if (place->phase && !strcmp(word, "phase")) return parse_phase(value, f, err);
  int key = find_name(key_names, JOB_FAULT_KEYS, word);
  if (key < 0 || !(place->keys & BIT(key)))
    return rdd_set(err, RDD_EUSAGE, "fault '%s': a fault of %s %s has no %s; expected %s%s",
                   f->text, strchr("aeiou", *place->name) ? "an" : "a", place->name, word,
                   place->phase ? "phase, " : "",
                   list_names(key_names, JOB_FAULT_KEYS, place->keys, all, sizeof all));
  return parse_number(key, value, f, err);
}

/* The number behind kill, exit or cut, or its default. */
static rdd_status parse_action_value(const char *value, job_fault *f, rdd_err *err) {
  const char *name = action_names[f->action];
  bool good = false;
  switch (f->action) {
  case JOB_FAULT_KILL:
    f->number = value ? job_signal_number(value) : SIGKILL;
    if (f->number < 0)
      return rdd_set(err, RDD_EUSAGE,
                     "fault '%s': '%s' is no signal; expected a name as SEGV or a "
                     "number",
                     f->text, value);
    return RDD_OK;
  case JOB_FAULT_EXIT:
  case JOB_FAULT_CUT:
    f->number = f->action == JOB_FAULT_CUT ? DEFAULT_CUT : 1;
    good = !value || (job_parse_int64(value, strlen(value), &f->number) == JOB_NUMBER_OK &&
                      f->number >= 0 && (f->action == JOB_FAULT_CUT || f->number <= 255));
    if (!good)
      return rdd_set(err, RDD_EUSAGE, "fault '%s': %s '%s' is not a number%s", f->text, name, value,
                     f->action == JOB_FAULT_CUT ? " of bytes" : " from 0 to 255");
    return RDD_OK;
  case JOB_FAULT_HANG:
  case JOB_FAULT_ERROR:
  case JOB_FAULT_CORRUPT:
    break;
  }
  if (value) return rdd_set(err, RDD_EUSAGE, "fault '%s': %s takes no value", f->text, name);
  return RDD_OK;
}

static rdd_status parse_action(char *word, job_fault *f, rdd_err *err) {
  const struct place *place = &places[f->where];
  char all[100];
  char *value = strchr(word, '=');
  if (value) *value++ = 0;
  int action = find_name(action_names, ACTIONS, word);
  if (action < 0 || !(place->actions & BIT(action)))
    return rdd_set(err, RDD_EUSAGE, "fault '%s': a %s cannot '%s'; expected %s", f->text,
                   place->name, word,
                   list_names(action_names, ACTIONS, place->actions, all, sizeof all));
  f->action = (job_fault_action)action;
  return parse_action_value(value, f, err);
}

/* Keys that were left out match everything, but a fault strikes one rank, and the first attempt. */
static void set_defaults(job_fault *f) {
  for (int key = 0; key < JOB_FAULT_KEYS; key++) f->key[key] = JOB_FAULT_ANY;
  f->key[JOB_FAULT_ATTEMPT] = 1;
  if (f->where != JOB_FAULT_GANG) return;
  f->key[JOB_FAULT_RANK] = 0;
  f->key[JOB_FAULT_RERUN] = 1;
}

rdd_status job_fault_parse(const char *spec, job_fault *out, rdd_err *err) {
  job_fault f = {.number = 0};
  char text[JOB_FAULT_TEXT];
  if (strlen(spec) >= sizeof text)
    return rdd_set(err, RDD_EUSAGE, "fault '%.40s...' is longer than %zu characters", spec,
                   sizeof text - 1);
  strcpy(text, spec);
  strcpy(f.text, spec);
  char *action = strrchr(text, ':');
  if (!action)
    return rdd_set(err, RDD_EUSAGE,
                   "fault '%s' has no action; expected WHERE[,KEY=VALUE]...:ACTION", spec);
  *action++ = 0;
  char *rest = text, *word = strsep(&rest, ",");
  rdd_status st = parse_where(word, &f, err);
  if (st) return st;
  set_defaults(&f);
  while (!st && (word = strsep(&rest, ","))) st = parse_key(word, &f, err);
  if (!st) st = parse_action(action, &f, err);
  if (st) return st;
  bool in_iteration = f.key[JOB_FAULT_ITERATION] != JOB_FAULT_ANY ||
                      f.key[JOB_FAULT_SIDE] != JOB_FAULT_ANY;
  if (f.where == JOB_FAULT_GANG && !*f.phase && in_iteration) strcpy(f.phase, "iteration");
  *out = f;
  return RDD_OK;
}

bool job_fault_strikes(const job_fault *fault, const job_fault_moment *now) {
  if (fault->where != now->where) return false;
  if (*fault->phase && strcmp(fault->phase, now->phase ? now->phase : "")) return false;
  for (int key = 0; key < JOB_FAULT_KEYS; key++) {
    int64_t wanted = fault->key[key];
    if (key == JOB_FAULT_RANK && wanted == JOB_FAULT_LAST) wanted = now->ranks - 1;
    if (wanted != JOB_FAULT_ANY && wanted != now->key[key]) return false;
  }
  return true;
}
