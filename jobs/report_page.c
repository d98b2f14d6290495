/* The page. What it looks like and draws is in report/; here the log is put into it. */
#include "config.h"

#include "jobs/report.h"

#include "jobs/json.h"
#include "jobs/ui.h"

#include <string.h>

/* The lines of report/page.html and what it includes; the one line that is NULL stands for the log. */
static const char *const page[] = {
#include "jobs/report_page.inc"
};

/* JSON inside a script element of HTML: a "</script>" in it would be the end of that. '<' is only ever
 * inside strings, and there it may be written in another way. */
static void put_json(const char *text, FILE *out) {
  for (const char *stop; (stop = strchr(text, '<')); text = stop + 1) {
    fwrite(text, 1, (size_t)(stop - text), out);
    fputs("\\u003c", out);
  }
  fputs(text, out);
}

/* The keys of an object so far, and freed: {"name": ..., */
static void put_keys(job_json *json, FILE *out) {
  const char *inside = json ? job_json_inside(json) : NULL;
  putc('{', out);
  if (inside) put_json(inside, out);
  job_json_free(json);
}

static void put_file(const job_log_file *file, FILE *out) {
  job_json *json = job_json_new();
  job_json_string(json, "name", file->name);
  job_json_int(json, "attempt", file->attempt);
  job_json_int(json, "rank", file->rank);
  job_json_bool(json, "cut", file->cut);
  job_json_int(json, "broken", file->broken);
  put_keys(json, out);
  fputs(", \"events\": [", out);
  for (int64_t i = 0; i < file->lines; i++) {
    fputs(i ? ",\n" : "\n", out);
    put_json(file->line[i], out);
  }
  fputs("\n]}", out); /* so each event has a line of its own */
}

static void put_log(const job_log *log, FILE *out) {
  job_json *json = job_json_new();
  job_json_int(json, "format", 1);
  job_json_string(json, "version", PACKAGE_VERSION);
  job_json_real(json, "made", job_unix_time());
  job_json_string(json, "directory", log->dir);
  put_keys(json, out);
  fputs(", \"record\": ", out);
  put_json(log->record ? log->record : "null", out);
  fputs(", \"files\": [", out);
  for (int64_t i = 0; i < log->files; i++) {
    if (i) fputs(", ", out);
    put_file(&log->file[i], out);
  }
  fputs("]}\n", out);
}

void job_report_page(const job_log *log, FILE *out) {
  for (size_t i = 0; i < sizeof page / sizeof *page; i++) {
    if (page[i])
      fputs(page[i], out);
    else
      put_log(log, out);
  }
}
