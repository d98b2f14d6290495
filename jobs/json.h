/* A JSON object, built key by key and printed once. Numbers round-trip; NaN becomes null. */
#ifndef JOB_JSON_H
#define JOB_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct job_json job_json;

job_json *job_json_new(void); /* NULL when memory is out */
void job_json_free(job_json *json);
void job_json_int(job_json *json, const char *key, int64_t value);
void job_json_real(job_json *json, const char *key, double value);
void job_json_bool(job_json *json, const char *key, bool value);
void job_json_string(job_json *json, const char *key, const char *value);
void job_json_reals(job_json *json, const char *key, const double *value, int64_t n);
void job_json_strings(job_json *json, const char *key, const char *const *value, int64_t n);
/* Objects inside an object, and lists of them: copied. */
void job_json_object(job_json *json, const char *key, const job_json *object);
void job_json_objects(job_json *json, const char *key, const job_json *const *object, int64_t n);
void job_json_print(const job_json *json, FILE *out); /* one line */

/* Is the text one JSON object, and nothing else? Nested 16 deep at most. */
bool job_json_valid(const char *text);

/* What is inside the braces so far, NULL where an allocation failed; valid until the next key. */
const char *job_json_inside(const job_json *json);

#endif
