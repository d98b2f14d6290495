#include "jobs/cli.h"

#include "rdd/memory.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct value {
  bool given; /* and, if it is a flag, yes */
  bool typed; /* on the command line */
  bool flag;
  int64_t integer;
  double real;
  const char *string;
  const char **strings; /* [n]; JOB_STRINGS only */
  int n;
} value;

struct job_args {
  const job_option *options;
  int n;
  value *values; /* [n] */
  int positionals;
  char **positional;
};

static int count_options(const job_option *options) {
  int n = 0;
  while (options[n].name) n++;
  return n;
}

int job_edit_distance(const char *a, const char *b) {
  enum { MAX = 32 };
  int row[MAX + 1], n = (int)strlen(a), m = (int)strlen(b);
  if (n > MAX || m > MAX) return MAX;
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      int best = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
      row[j] = best < change ? best : change;
    }
  }
  return row[m];
}

enum { WORD = 64 };

/* A word as it is compared: maxIter, max_iter and max-iter are one. */
static void fold(const char *word, char out[WORD]) {
  size_t n = 0;
  for (; *word && n + 1 < WORD; word++)
    if (*word != '-' && *word != '_') out[n++] = (char)tolower((unsigned char)*word);
  out[n] = '\0';
}

/* What other programs call it; folded. */
static const char *our_word(const char *theirs) {
  static const char *const pair[][2] = {
      {"iterations", "max-iter"}, {"niter", "max-iter"},
      {"epochs", "max-iter"},     {"factors", "rank"},
      {"numfactors", "rank"},     {"k", "rank"},
      {"lambda", "reg-param"},    {"regularization", "reg-param"},
      {"reg", "reg-param"},       {"implicit", "implicit-prefs"},
      {"biased", "bias"},
  };
  for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
    if (!strcmp(theirs, pair[i][0])) return pair[i][1];
  return NULL;
}

const char *job_option_nearest(const job_option *options, const char *word) {
  char folded[WORD], name[WORD];
  const char *best = NULL;
  int best_distance = 3;
  fold(word, folded);
  const char *ours = our_word(folded);
  for (const job_option *o = options; o->name; o++) {
    if (ours && !strcmp(ours, o->name)) return o->name;
    fold(o->name, name);
    int d = job_edit_distance(folded, name);
    if (d < best_distance) {
      best_distance = d;
      best = o->name;
    }
  }
  return best;
}

static rdd_status unknown_option(const job_option *options, const char *name, size_t length,
                                 rdd_err *err) {
  char word[WORD];
  snprintf(word, sizeof word, "%.*s", (int)length, name);
  const char *best = job_option_nearest(options, word);
  if (best) return rdd_set(err, RDD_EUSAGE, "unknown option --%s; did you mean --%s?", word, best);
  return rdd_set(err, RDD_EUSAGE, "unknown option --%s", word);
}

static bool is_choice(const char *choices, const char *text) {
  size_t length = strlen(text);
  for (const char *c = choices; *c;) {
    size_t n = strcspn(c, "|");
    if (n == length && strncmp(c, text, n) == 0) return true;
    c += n + (c[n] == '|');
  }
  return false;
}

static rdd_status parse_integer(const job_option *o, const char *text, int64_t *out, rdd_err *err) {
  char *end;
  errno = 0;
  long long integer = strtoll(text, &end, 10);
  if (end == text || *end || errno)
    return rdd_set(err, RDD_EUSAGE, "--%s '%s' is not a whole number", o->name, text);
  if ((o->min != 0 || o->max != 0) && ((double)integer < o->min || (double)integer > o->max))
    return rdd_set(err, RDD_EUSAGE, "--%s %s is out of range; expected %.0f to %.0f", o->name, text,
                   o->min, o->max);
  *out = integer;
  return RDD_OK;
}

static rdd_status parse_real(const job_option *o, const char *text, double *out, rdd_err *err) {
  char *end;
  double real = strtod(text, &end);
  if (end == text || *end || !isfinite(real))
    return rdd_set(err, RDD_EUSAGE, "--%s '%s' is not a number", o->name, text);
  if ((o->min != 0 || o->max != 0) && (real < o->min || real > o->max))
    return rdd_set(err, RDD_EUSAGE, "--%s %s is out of range; expected %g to %g", o->name, text,
                   o->min, o->max);
  *out = real;
  return RDD_OK;
}

static rdd_status parse_value(const job_option *o, const char *text, value *v, rdd_err *err) {
  switch (o->kind) {
  case JOB_FLAG:
    if (strcmp(text, "yes") && strcmp(text, "no"))
      return rdd_set(err, RDD_EUSAGE, "--%s '%s' is neither yes nor no", o->name, text);
    v->flag = !strcmp(text, "yes");
    return RDD_OK;
  case JOB_INT:
    return parse_integer(o, text, &v->integer, err);
  case JOB_REAL:
    return parse_real(o, text, &v->real, err);
  case JOB_CHOICE:
    if (!is_choice(o->metavar, text))
      return rdd_set(err, RDD_EUSAGE, "--%s '%s' is none of %s", o->name, text, o->metavar);
    v->string = text;
    return RDD_OK;
  case JOB_STRING:
  case JOB_STRINGS:
    if (!*text) return rdd_set(err, RDD_EUSAGE, "--%s is empty", o->name);
    v->string = text;
    return RDD_OK;
  }
  return rdd_set(err, RDD_EINTERNAL, "option --%s has no kind", o->name);
}

/* Keep what was parsed last. */
static rdd_status add_string(value *v, rdd_err *err) {
  const char **grown = rdd_realloc(v->strings, (size_t)v->n + 1, sizeof *grown);
  if (!grown) return rdd_set(err, RDD_ENOMEM, "out of memory for the command line");
  grown[v->n++] = v->string;
  v->strings = grown;
  return RDD_OK;
}

/* A value that was given, after those that were given before. */
static rdd_status give(const job_option *option, const char *text, value *v, rdd_err *err) {
  rdd_status st = parse_value(option, text, v, err);
  v->given = option->kind != JOB_FLAG || v->flag;
  if (option->kind != JOB_FLAG) v->string = text;
  if (!st && option->kind == JOB_STRINGS) st = add_string(v, err);
  return st;
}

static int find_option(const job_option *options, const char *name, size_t length) {
  for (int o = 0; options[o].name; o++)
    if (strlen(options[o].name) == length && !strncmp(options[o].name, name, length)) return o;
  return -1;
}

static int find_letter(const job_option *options, char letter) {
  for (int o = 0; options[o].name; o++)
    if (options[o].letter == letter) return o;
  return -1;
}

/* Take the option at argv[*i], and its value where it has one; *i moves on to the last word used. */
static rdd_status take_option(job_args *args, int argc, char *const *argv, int *i, rdd_err *err) {
  const char *word = argv[*i];
  bool is_long = word[1] == '-';
  const char *name = word + (is_long ? 2 : 1);
  size_t length = is_long ? strcspn(name, "=") : 1;
  const char *attached = NULL;
  if (is_long)
    attached = name[length] == '=' ? name + length + 1 : NULL;
  else if (name[1])
    attached = name + 1 + (name[1] == '=');

  int which = is_long ? find_option(args->options, name, length)
                      : find_letter(args->options, name[0]);
  if (which < 0) {
    if (is_long) return unknown_option(args->options, name, length, err);
    return rdd_set(err, RDD_EUSAGE, "unknown option -%c", name[0]);
  }
  const job_option *option = &args->options[which];
  value *v = &args->values[which];
  if (option->kind == JOB_FLAG && !attached) attached = "yes";
  if (!attached) {
    if (*i + 1 >= argc)
      return rdd_set(err, RDD_EUSAGE, "--%s wants a value: %s", option->name, option->metavar);
    attached = argv[++*i];
  }
  v->typed = true;
  return give(option, attached, v, err);
}

rdd_status job_args_complete(const job_args *args, int minimum, int maximum, rdd_err *err) {
  for (int o = 0; o < args->n; o++)
    if (args->options[o].required && !args->values[o].given)
      return rdd_set(err, RDD_EUSAGE, "--%s is missing", args->options[o].name);
  if (args->positionals < minimum)
    return rdd_set(err, RDD_EUSAGE, "%d argument%s given; expected %s%d", args->positionals,
                   args->positionals == 1 ? "" : "s", maximum == minimum ? "" : "at least ",
                   minimum);
  if (maximum >= 0 && args->positionals > maximum)
    return rdd_set(err, RDD_EUSAGE, "unexpected argument '%s'", args->positional[maximum]);
  return RDD_OK;
}

rdd_status job_args_read(job_args **out, const job_option *options, int argc, char *const *argv,
                         rdd_err *err) {
  rdd_status st = RDD_OK;
  job_args *args = rdd_calloc(1, sizeof *args);
  if (!args) return rdd_set(err, RDD_ENOMEM, "out of memory for the command line");
  args->options = options;
  args->n = count_options(options);
  args->values = rdd_calloc((size_t)args->n + 1, sizeof *args->values);
  args->positional = rdd_calloc((size_t)argc + 1, sizeof *args->positional);
  if (!args->values || !args->positional) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for the command line");
    goto done;
  }
  for (int o = 0; o < args->n; o++)
    if (options[o].preset &&
        (st = parse_value(&options[o], options[o].preset, &args->values[o], err)))
      goto done;
  bool only_positionals = false;
  for (int i = 0; i < argc && !st; i++) {
    if (!only_positionals && !strcmp(argv[i], "--"))
      only_positionals = true;
    else if (!only_positionals && argv[i][0] == '-' && argv[i][1])
      st = take_option(args, argc, argv, &i, err);
    else
      args->positional[args->positionals++] = argv[i];
  }
done:
  if (st)
    job_args_free(args);
  else
    *out = args;
  return st;
}

rdd_status job_args_parse(job_args **out, const job_option *options, int positional_min,
                          int positional_max, int argc, char *const *argv, rdd_err *err) {
  job_args *args = NULL;
  rdd_status st = job_args_read(&args, options, argc, argv, err);
  if (!st) st = job_args_complete(args, positional_min, positional_max, err);
  if (st)
    job_args_free(args);
  else
    *out = args;
  return st;
}

/* ---- Settings ---- */

static rdd_status unknown_setting(const job_args *args, const char *file, const job_setting *s,
                                  rdd_err *err) {
  const char *best = job_option_nearest(args->options, s->key);
  if (best && !strcmp(best, s->key)) best = NULL; /* an option, but none for a file */
  return rdd_set(err, RDD_EUSAGE, "%s:%d: unknown setting '%.64s'%s%s%s", file, s->line, s->key,
                 best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static rdd_status add_setting(job_args *args, const char *file, const job_setting *s, int which,
                              rdd_err *err) {
  const job_option *option = &args->options[which];
  value *v = &args->values[which];
  value unused = {0}; /* one that was typed wins, but a mistake is a mistake */
  rdd_err why;
  if (v->given && !v->typed && option->kind != JOB_STRINGS)
    return rdd_set(err, RDD_EUSAGE, "%s:%d: %s is set a second time", file, s->line, option->name);
  rdd_status st = give(option, s->value, v->typed ? &unused : v, &why);
  rdd_free(unused.strings);
  if (st == RDD_EUSAGE)
    return rdd_set(err, st, "%s:%d: %s", file, s->line, why.message + strspn(why.message, "-"));
  if (st) *err = why;
  return st;
}

rdd_status job_args_add_settings(job_args *args, const char *file, const job_setting *list, int n,
                                 bool lenient, rdd_err *err) {
  rdd_status st = RDD_OK;
  char **positional = rdd_calloc((size_t)n + 1, sizeof *positional);
  if (!positional) return rdd_set(err, RDD_ENOMEM, "%s: out of memory for its settings", file);
  int positionals = 0;
  for (int i = 0; i < n && !st; i++) {
    int which = find_option(args->options, list[i].key, strlen(list[i].key));
    /* no settings in settings, and help is not a setting */
    if (!strcmp(list[i].key, "config") || !strcmp(list[i].key, "help")) which = -1;
    if (!strcmp(list[i].key, JOB_INPUT_KEY))
      positional[positionals++] = list[i].value;
    else if (which >= 0)
      st = add_setting(args, file, &list[i], which, err);
    else if (!lenient)
      st = unknown_setting(args, file, &list[i], err);
  }
  if (!st && args->positionals == 0) {
    rdd_free(args->positional);
    args->positional = positional;
    args->positionals = positionals;
    return RDD_OK;
  }
  rdd_free(positional);
  return st;
}

void job_args_free(job_args *args) {
  if (!args) return;
  for (int o = 0; args->values && o < args->n; o++) rdd_free(args->values[o].strings);
  rdd_free(args->values);
  rdd_free(args->positional);
  rdd_free(args);
}

static const value *find(const job_args *args, const char *name) {
  for (int o = 0; o < args->n; o++)
    if (!strcmp(args->options[o].name, name)) return &args->values[o];
  static const value nothing; /* a name that is not in the table is a bug; the tests ask for all */
  return &nothing;
}

bool job_flag(const job_args *args, const char *name) {
  return find(args, name)->flag;
}
int64_t job_int(const job_args *args, const char *name) {
  return find(args, name)->integer;
}
double job_real(const job_args *args, const char *name) {
  return find(args, name)->real;
}
const char *job_string(const job_args *args, const char *name) {
  return find(args, name)->string;
}
const char *const *job_strings(const job_args *args, const char *name, int *n_out) {
  const value *v = find(args, name);
  *n_out = v->n;
  return v->strings;
}
bool job_given(const job_args *args, const char *name) {
  return find(args, name)->given;
}
bool job_typed(const job_args *args, const char *name) {
  return find(args, name)->typed;
}
int job_positionals(const job_args *args) {
  return args->positionals;
}
char *const *job_positional(const job_args *args) {
  return args->positional;
}

char *job_positionals_joined(const job_args *args) {
  size_t length = 1;
  for (int i = 0; i < args->positionals; i++) length += strlen(args->positional[i]) + 1;
  char *line = rdd_calloc(length, 1), *at = line;
  for (int i = 0; line && i < args->positionals; i++)
    at += sprintf(at, "%s%s", i ? " " : "", args->positional[i]);
  return line;
}

enum { HELP_COLUMN = 28, HELP_WIDTH = 80 };

/* Words from the help's column on, in as many lines as they need. */
static void print_wrapped(FILE *out, const char *text) {
  size_t at = HELP_COLUMN;
  while (*text) {
    size_t n = strcspn(text, " ");
    if (at > HELP_COLUMN && at + 1 + n > HELP_WIDTH) {
      fprintf(out, "\n%*s", HELP_COLUMN, "");
      at = HELP_COLUMN;
    } else if (at > HELP_COLUMN) {
      fputc(' ', out);
      at++;
    }
    fprintf(out, "%.*s", (int)n, text);
    at += n;
    text += n + (text[n] == ' ');
  }
}

static void tell_value(const job_option *o, const value *v, job_json *out) {
  switch (o->kind) {
  case JOB_FLAG:
    job_json_bool(out, o->name, v->flag);
    break;
  case JOB_INT:
    job_json_int(out, o->name, v->integer);
    break;
  case JOB_REAL:
    job_json_real(out, o->name, v->real);
    break;
  case JOB_STRING:
  case JOB_CHOICE:
    job_json_string(out, o->name, v->string);
    break;
  case JOB_STRINGS:
    job_json_strings(out, o->name, v->strings, v->n);
    break;
  }
}

void job_args_tell(const job_args *args, job_json *out) {
  for (int o = 0; o < args->n; o++)
    if (args->values[o].given || args->options[o].preset)
      tell_value(&args->options[o], &args->values[o], out);
  job_json_strings(out, "arguments", (const char *const *)args->positional, args->positionals);
}

void job_options_print(FILE *out, const job_option *options) {
  for (const job_option *o = options; o->name; o++) {
    char left[96], help[300];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->kind != JOB_FLAG) snprintf(left + n, sizeof left - (size_t)n, " %s", o->metavar);
    if (strlen(left) > HELP_COLUMN - 1)
      fprintf(out, "%s\n%-*s", left, HELP_COLUMN, "");
    else
      fprintf(out, "%-*s", HELP_COLUMN, left);
    n = snprintf(help, sizeof help, "%s", o->help);
    if (o->required)
      snprintf(help + n, sizeof help - (size_t)n, " (required)");
    else if (o->preset && o->kind != JOB_FLAG)
      snprintf(help + n, sizeof help - (size_t)n, " [%s]", o->preset);
    print_wrapped(out, help);
    fputc('\n', out);
  }
}
