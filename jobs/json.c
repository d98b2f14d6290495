/* A JSON object as one growing string. An allocation that fails marks the object; printing a marked
 * one prints null, so that a reader never takes half an object for a whole one. */
#include "jobs/json.h"

#include "jobs/utf8.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct job_json {
  char *text;
  size_t length, room;
  bool failed;
};

job_json *job_json_new(void) {
  return rdd_calloc(1, sizeof(job_json));
}

void job_json_free(job_json *json) {
  if (!json) return;
  rdd_free(json->text);
  rdd_free(json);
}

__attribute__((format(printf, 2, 3))) static void put(job_json *json, const char *format, ...) {
  char piece[400];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof piece) json->failed = true;
  if (json->failed) return;
  if (json->length + (size_t)n + 1 > json->room) {
    size_t room = 2 * json->room + (size_t)n + 256;
    char *grown = rdd_realloc(json->text, room, 1);
    if (!grown) {
      json->failed = true;
      return;
    }
    json->text = grown;
    json->room = room;
  }
  memcpy(json->text + json->length, piece, (size_t)n + 1);
  json->length += (size_t)n;
}

static void put_string(job_json *json, const char *s) {
  put(json, "\"");
  for (size_t left = strlen(s), length; left > 0; s += length, left -= length) {
    unsigned char c = (unsigned char)*s;
    length = job_utf8_length(s, left);
    if (c == '"' || c == '\\')
      put(json, "\\%c", c);
    else if (c < 0x20)
      put(json, "\\u%04x", c);
    else if (length)
      put(json, "%.*s", (int)length, s);
    else { /* JSON is UTF-8, file names need not be */
      put(json, "\\ufffd");
      length = 1;
    }
  }
  put(json, "\"");
}

static void put_key(job_json *json, const char *key) {
  put(json, json->length ? ", " : "{");
  put_string(json, key);
  put(json, ": ");
}

/* The fewest digits that read back as the same double. */
static void put_real(job_json *json, double value) {
  if (!isfinite(value)) {
    put(json, "null");
    return;
  }
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  put(json, "%s", text);
}

void job_json_int(job_json *json, const char *key, int64_t value) {
  if (!json) return;
  put_key(json, key);
  put(json, "%lld", (long long)value);
}

void job_json_real(job_json *json, const char *key, double value) {
  if (!json) return;
  put_key(json, key);
  put_real(json, value);
}

void job_json_bool(job_json *json, const char *key, bool value) {
  if (!json) return;
  put_key(json, key);
  put(json, value ? "true" : "false");
}

void job_json_string(job_json *json, const char *key, const char *value) {
  if (!json) return;
  put_key(json, key);
  put_string(json, value);
}

void job_json_reals(job_json *json, const char *key, const double *value, int64_t n) {
  if (!json) return;
  put_key(json, key);
  put(json, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i) put(json, ", ");
    put_real(json, value[i]);
  }
  put(json, "]");
}

void job_json_strings(job_json *json, const char *key, const char *const *value, int64_t n) {
  if (!json) return;
  put_key(json, key);
  put(json, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i) put(json, ", ");
    put_string(json, value[i]);
  }
  put(json, "]");
}

static void put_object(job_json *json, const job_json *object) {
  const char *text = job_json_inside(object);
  put(json, "{");
  for (size_t left = text ? strlen(text) : 0, piece; left > 0; text += piece, left -= piece) {
    piece = left < 256 ? left : 256;
    put(json, "%.*s", (int)piece, text);
  }
  if (object->failed) json->failed = true;
  put(json, "}");
}

void job_json_object(job_json *json, const char *key, const job_json *object) {
  if (!json) return;
  put_key(json, key);
  put_object(json, object);
}

void job_json_objects(job_json *json, const char *key, const job_json *const *object, int64_t n) {
  if (!json) return;
  put_key(json, key);
  put(json, "[");
  for (int64_t i = 0; i < n; i++) {
    if (i) put(json, ", ");
    put_object(json, object[i]);
  }
  put(json, "]");
}

void job_json_print(const job_json *json, FILE *out) {
  if (json->failed)
    fputs("null\n", out);
  else if (!json->length)
    fputs("{}\n", out);
  else
    fprintf(out, "%s}\n", json->text);
}

const char *job_json_inside(const job_json *json) {
  if (json->failed) return NULL;
  return json->length ? json->text + 1 : "";
}
