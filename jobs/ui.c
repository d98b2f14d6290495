#include "jobs/ui.h"
#include "rdd/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What main decided once, and the progress line that stands on the terminal. */
static struct {
  bool speaks, quiet, terminal;
  bool line_open;   /* a progress line is on the terminal */
  const char *what; /* the current progress, and when it began */
  double started;
  double last; /* when it was last printed */
  int64_t last_done;
} ui;

void job_ui_init(bool speaks, bool quiet) {
  ui.speaks = speaks;
  ui.quiet = quiet;
  const char *kind = getenv("TERM");
  ui.terminal = isatty(STDERR_FILENO) == 1 && kind && strcmp(kind, "dumb") != 0;
}

double job_unix_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void clear_line(void) {
  if (ui.line_open) fputs("\r\033[K", stderr);
  ui.line_open = false;
}

static void print_line(const char *prefix, const char *format, va_list args) {
  clear_line();
  fputs(prefix, stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

void job_say(const char *format, ...) {
  if (!ui.speaks || ui.quiet) return;
  va_list args;
  va_start(args, format);
  print_line("", format, args);
  va_end(args);
}

void job_warn(const char *format, ...) {
  if (!ui.speaks) return;
  va_list args;
  va_start(args, format);
  print_line("als: warning: ", format, args);
  va_end(args);
}

void job_progress(const char *what, int64_t done, int64_t total, const char *unit) {
  if (!ui.speaks || ui.quiet || total <= 0) return;
  double now = rdd_seconds();
  if (done == 0 || what != ui.what || done < ui.last_done) {
    ui.what = what;
    ui.started = now;
    ui.last = ui.terminal ? 0 : now;
  }
  ui.last_done = done;
  bool last = done >= total;
  double since = now - ui.started, wait = ui.terminal ? 0.1 : 10;
  if (!last && now - ui.last < wait) return;
  /* A batch log need not hear of what was over at once. */
  if (last && !ui.terminal && since < wait) return;
  ui.last = now;
  double share = (double)done / (double)total;
  double left = share > 0 ? since * (1 - share) / share : 0;
  if (!ui.terminal) {
    fprintf(stderr, "%s: %3.0f %%, %" PRId64 " of %" PRId64 " %s, %s left\n", what, 100 * share,
            done, total, unit, job_seconds_text(left));
    return;
  }
  char bar[31];
  int filled = (int)(share * 30);
  memset(bar, '#', (size_t)filled);
  memset(bar + filled, '.', 30 - (size_t)filled);
  bar[30] = 0;
  clear_line();
  if (last) return;
  fprintf(stderr, "%s [%s] %3.0f %%  %" PRId64 "/%" PRId64 " %s, %s left", what, bar, 100 * share,
          done, total, unit, job_seconds_text(left));
  fflush(stderr);
  ui.line_open = true;
}

/* Texts for one printf call. */
static char *ring(size_t *room) {
  static char text[4][40];
  static unsigned turn;
  *room = sizeof text[0];
  return text[turn++ % 4];
}

const char *job_count_text(int64_t n) {
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%" PRId64, n < 0 ? -n : n);
  size_t room;
  char *text = ring(&room), *p = text;
  if (n < 0) *p++ = '-';
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) *p++ = ',';
    *p++ = digits[i];
  }
  *p = 0;
  return text;
}

const char *job_size_text(double bytes) {
  static const char *const unit[] = {"kB", "MB", "GB", "TB", "PB"};
  size_t room;
  char *text = ring(&room);
  int u = 0;
  for (bytes *= 1e-3; bytes >= 1000 && u < 4; u++) bytes *= 1e-3;
  snprintf(text, room, "%.4g %s", bytes, unit[u]);
  return text;
}

const char *job_seconds_text(double seconds) {
  size_t room;
  char *text = ring(&room);
  long long s = (long long)(seconds + 0.5);
  if (seconds < 10)
    snprintf(text, room, "%.2f s", seconds);
  else if (s < 60)
    snprintf(text, room, "%lld s", s);
  else if (s < 3600)
    snprintf(text, room, "%lld min %02lld s", s / 60, s % 60);
  else
    snprintf(text, room, "%lld h %02lld min", s / 3600, s / 60 % 60);
  return text;
}
