/* als report: a page about a run, of its event log. */
#include "jobs/job.h"
#include "jobs/output.h"
#include "jobs/report.h"
#include "jobs/ui.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "FILE", NULL, 0, 0, true, "where the page goes; .html"},
    {"trace", 0, JOB_STRING, "FILE", NULL, 0, 0, false,
     "the same for trace viewers, such as Perfetto: Chrome's trace format; .json"},
    {0},
};

typedef void (*writer)(const job_log *log, FILE *out);

/* Write a file, whole or not at all. */
static rdd_status write_file(const char *path, const job_log *log, writer write, rdd_err *err) {
  job_output *output = NULL;
  rdd_status st = job_output_open(&output, path, err);
  if (st) return st;
  FILE *file = fopen(job_output_path(output), "we");
  bool good = file != NULL;
  if (file) {
    write(log, file);
    good = !ferror(file);
    good = fclose(file) == 0 && good;
  }
  if (good) return job_output_commit(output, err);
  st = rdd_set(err, RDD_EIO, "%s: cannot be written: %s", path, strerror(errno));
  job_output_abandon(output);
  return st;
}

static rdd_status check_outputs(const char *page, const char *trace, rdd_err *err) {
  rdd_status st = job_output_check(page, ".html|.htm", err);
  if (!st && trace) st = job_output_check(trace, ".json", err);
  if (!st && trace && job_output_same(page, trace))
    st = rdd_set(err, RDD_EUSAGE, "--output and --trace are the same file: %s", page);
  return st;
}

/* What was found, and what of it could not be read. */
static void tell(job *j, const job_log *log, const char *page) {
  int64_t events = 0, broken = 0, cut = 0, attempts = 0;
  for (int64_t i = 0; i < log->files; i++) {
    const job_log_file *file = &log->file[i];
    events += file->lines;
    broken += file->broken;
    cut += file->cut;
    attempts += file->rank >= 0 && (i == 0 || file->attempt != log->file[i - 1].attempt);
  }
  if (broken)
    job_warn("%s line%s of the log %s no JSON, and left out", job_count_text(broken),
             broken == 1 ? "" : "s", broken == 1 ? "is" : "are");
  job_json_string(j->result, "report", page);
  job_json_int(j->result, "attempts", attempts);
  job_json_int(j->result, "events", events);
  job_json_int(j->result, "broken_lines", broken);
  job_json_int(j->result, "cut_lines", cut);
  job_say("%s: %s events of %s attempt%s", page, job_count_text(events), job_count_text(attempts),
          attempts == 1 ? "" : "s");
}

static rdd_status report(job *j, const job_args *args, rdd_err *err) {
  const char *page = job_string(args, "output"), *trace = job_string(args, "trace");
  job_log *log = NULL;
  rdd_status st = check_outputs(page, trace, err);
  if (!st) st = job_log_read(&log, job_positional(args)[0], err);
  if (!st) st = write_file(page, log, job_report_page, err);
  if (!st && trace) st = write_file(trace, log, job_report_trace, err);
  if (!st) tell(j, log, page);
  job_log_free(log);
  return st;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  rdd_status st = j->comm->rank == 0 ? report(j, args, err) : RDD_OK;
  return rdd_agree(j->comm, st, err);
}

const job_command job_report = {
    .name = "report",
    .summary = "draw what happened in a run: one page of HTML, of its event log",
    .usage = "RUN_DIR -o report.html [OPTION]...",
    .example = "als report work -o report.html",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
