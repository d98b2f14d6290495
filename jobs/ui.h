/* What people see while a job runs: rank 0 speaks, on stderr; the other ranks are silent.
 *
 * On a terminal a progress line is redrawn in place; in a batch log it becomes a few plain lines. */
#ifndef JOB_UI_H
#define JOB_UI_H

#include <stdbool.h>
#include <stdint.h>

/* Set once by main. speaks: this is rank 0; quiet: only errors. */
void job_ui_init(bool speaks, bool quiet);

/* One line of news (a newline is added). */
void job_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line that is printed even with --quiet: a warning. */
void job_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of `what`: done of total `unit`s. Ends its line when done == total. */
void job_progress(const char *what, int64_t done, int64_t total, const char *unit);

/* Seconds since 1970. */
double job_unix_time(void);

/* 1234567 as "1,234,567"; into a small ring of static buffers, so four may stand in one call. */
const char *job_count_text(int64_t n);

/* Seconds as "0.42 s", "1 min 05 s", "2 h 10 min"; same ring. */
const char *job_seconds_text(double seconds);

/* Bytes as "0.5 kB", "12.2 MB", "1.5 TB", counted in thousands; same ring. */
const char *job_size_text(double bytes);

#endif
