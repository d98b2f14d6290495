/* See settings.h. */
#include "jobs/settings.h"

#include "jobs/h5.h"
#include "rdd/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

static const char blanks[] = " \t\r\n";

/* ---- Lines ---- */

/* Cut blanks off both ends, in place. */
static char *trim(char *text) {
  text += strspn(text, blanks);
  size_t n = strlen(text);
  while (n > 0 && strchr(blanks, text[n - 1])) n--;
  text[n] = '\0';
  return text;
}

/* A quoted value, in place; NULL where the quotes do not end, or something follows them. */
static char *unquote(char *text) {
  char *out = text, *in = text + 1;
  while (*in && (*in != '"' || in[1] == '"')) {
    in += *in == '"';
    *out++ = *in++;
  }
  if (!*in) return NULL;
  const char *rest = in + 1 + strspn(in + 1, blanks);
  if (*rest && *rest != '#') return NULL;
  *out = '\0';
  return text;
}

/* A comment begins at a # that stands after a blank. */
static char *plain(char *text) {
  for (char *p = text; *p; p++)
    if (*p == '#' && (p == text || strchr(blanks, p[-1]))) {
      *p = '\0';
      break;
    }
  return trim(text);
}

/* One line, in place; s->key is NULL where it says nothing. */
static rdd_status read_line(const char *name, char *line, job_setting *s, rdd_err *err) {
  char *key = trim(line);
  s->key = NULL;
  if (!*key || *key == '#') return RDD_OK;
  char *equals = strchr(key, '=');
  if (!equals || equals == key)
    return rdd_set(err, RDD_EUSAGE, "%s:%d: '%.80s' is no setting; expected key = value", name,
                   s->line, key);
  *equals = '\0';
  s->key = trim(key);
  char *value = trim(equals + 1);
  s->value = *value == '"' ? unquote(value) : plain(value);
  if (!s->value)
    return rdd_set(err, RDD_EUSAGE, "%s:%d: the quotes of %.64s do not end its value", name,
                   s->line, s->key);
  if (!*s->value)
    return rdd_set(err, RDD_EUSAGE, "%s:%d: %.64s has no value", name, s->line, s->key);
  return RDD_OK;
}

rdd_status job_settings_parse(const char *name, const char *text, job_settings **out,
                              rdd_err *err) {
  rdd_status st = RDD_OK;
  size_t lines = 1;
  for (const char *p = text; *p; p++) lines += *p == '\n';
  job_settings *s = rdd_calloc(1, sizeof *s);
  if (s) s->text = rdd_strdup(text);
  if (s) s->list = rdd_calloc(lines, sizeof *s->list);
  if (!s || !s->text || !s->list) {
    st = rdd_set(err, RDD_ENOMEM, "%s: out of memory for its settings", name);
    goto done;
  }
  int number = 0;
  for (char *line = s->text, *next; line && !st; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = '\0';
    s->list[s->n] = (job_setting){.line = ++number};
    st = read_line(name, line, &s->list[s->n], err);
    if (!st && s->list[s->n].key) s->n++;
  }
done:
  if (st)
    job_settings_free(s);
  else
    *out = s;
  return st;
}

void job_settings_free(job_settings *settings) {
  if (!settings) return;
  rdd_free(settings->list);
  rdd_free(settings->text);
  rdd_free(settings);
}

/* ---- Files ---- */

/* The settings that a run has recorded. */
static rdd_status text_of_model(const char *path, char *text, rdd_err *err) {
  hid_t file = H5I_INVALID_HID;
  char kind[32];
  rdd_status st = job_h5_open(&file, path, kind, err);
  if (!st && strcmp(kind, "model") && strcmp(kind, "checkpoint"))
    st = rdd_set(err, RDD_EDATA, "%s: holds %s, expected a settings file or a model", path, kind);
  if (!st && !job_h5_get_string(file, "settings", text, MOST_BYTES))
    st = rdd_set(err, RDD_EDATA,
                 "%s: this model has no settings recorded; als train and als tune record them",
                 path);
  job_h5_drop(file);
  return st;
}

static rdd_status text_of_file(const char *path, char *text, bool *of_model_out, rdd_err *err) {
  static const char hdf5[8] = "\211HDF\r\n\032\n";
  FILE *file = fopen(path, "r");
  if (!file) return rdd_set(err, RDD_ENOINPUT, "%s: cannot be read: %s", path, strerror(errno));
  size_t n = fread(text, 1, MOST_BYTES, file);
  int why = ferror(file) ? errno : 0;
  fclose(file);
  if (why) return rdd_set(err, RDD_ENOINPUT, "%s: cannot be read: %s", path, strerror(why));
  *of_model_out = n >= sizeof hdf5 && !memcmp(text, hdf5, sizeof hdf5);
  if (*of_model_out) return text_of_model(path, text, err);
  if (n == MOST_BYTES)
    return rdd_set(err, RDD_EUSAGE, "%s: 1 MiB or more; a settings file is a few lines", path);
  if (memchr(text, '\0', n))
    return rdd_set(err, RDD_EUSAGE, "%s: not text; expected lines of key = value, or a model",
                   path);
  text[n] = '\0';
  return RDD_OK;
}

rdd_status job_settings_read(rdd_comm *comm, const char *path, job_settings **out, rdd_err *err) {
  bool of_model = false;
  char *text = rdd_alloc(MOST_BYTES, 1);
  rdd_status st = text ? RDD_OK
                       : rdd_set(err, RDD_ENOMEM, "%s: out of memory for its settings", path);
  if (!st && comm->rank == 0) st = text_of_file(path, text, &of_model, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  rdd_bcast(comm, &of_model, sizeof of_model, 0);
  rdd_bcast(comm, text, MOST_BYTES, 0);
  st = rdd_agree(comm, job_settings_parse(path, text, out, err), err);
  if (!st) (*out)->of_model = of_model;
done:
  rdd_free(text);
  return st;
}

/* ---- What was given, as settings ---- */

static bool put(FILE *out, const char *key, const char *value) {
  size_t n = strlen(value);
  if (n == 0 || strpbrk(value, "\r\n")) return false;
  bool bare = *value != '"' && !strchr(value, '#') && !strchr(blanks, *value) &&
              !strchr(blanks, value[n - 1]);
  fprintf(out, "%s = ", key);
  if (!bare) fputc('"', out);
  for (const char *p = value; *p; p++) fputs(!bare && *p == '"' ? "\"\"" : (char[]){*p, 0}, out);
  fputs(bare ? "\n" : "\"\n", out);
  return true;
}

static bool of_one_run(const char *name) {
  static const char *const names[] = {"output", "checkpoint-dir", "plan"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!strcmp(name, names[i])) return true;
  return false;
}

bool job_settings_put(FILE *out, const job_option *table, const job_args *args) {
  bool good = true;
  for (const job_option *o = table; o->name && good; o++) {
    if (!job_given(args, o->name) || of_one_run(o->name)) continue;
    if (o->kind != JOB_STRINGS) {
      good = put(out, o->name, o->kind == JOB_FLAG ? "yes" : job_string(args, o->name));
      continue;
    }
    int n;
    const char *const *text = job_strings(args, o->name, &n);
    for (int i = 0; i < n && good; i++) good = put(out, o->name, text[i]);
  }
  return good;
}

bool job_settings_put_inputs(FILE *out, const job_args *args) {
  bool good = true;
  for (int i = 0; i < job_positionals(args) && good; i++)
    good = put(out, JOB_INPUT_KEY, job_positional(args)[i]);
  return good;
}
