/* How fast ratings text is read, on one core of each rank, next to what limits it.
 *
 *   reading FILE FIELDS [ROUNDS]      FIELDS: one letter for each field of a line
 *     i  integer: strtoll      f  decimal: strtod      d  a date, YYYY-MM-DD[ HH:MM:SS]: strtoll
 *     s  text: memchr for what ends it
 *
 * Prints one JSON line of MB/s (10^6 bytes of unpacked text a second), medians over the rounds; a
 * round measures all of them, one after the other:
 *
 *   memcpy  of the text, into memory that was touched before
 *   wc      `wc -l` of the file, its start included; 0 for a gzip file
 *   strto   a plain loop over the text in memory that stores nothing: the C library's functions for
 *           numbers, and memchr for the rest
 *   gzread  zlib alone; 0 for a plain file
 *   parse   our reader in tasks, rows dropped when their batch is whole: file, lines, columns
 *   seal    our reader in tasks, as commands use it: into sealed partitions
 *
 * Under mpirun every rank has one slot, parse and seal are of all ranks together, and nothing else is
 * measured. The files are read once before, so they are in the page cache. */
#include "jobs/input.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { MAX_ROUNDS = 32 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* ---- The file ---- */

typedef struct text {
  const char *path;
  char *bytes; /* [n], then '\0' */
  char *copy;  /* [n] */
  size_t n;
  bool packed;
} text;

static void quit(const char *what) {
  fprintf(stderr, "reading: %s\n", what);
  exit(1);
}

/* Read it all, through zlib where it is packed. */
static size_t unpack(const text *t, char *to, size_t room) {
  static char piece[256 << 10];
  gzFile in = gzopen(t->path, "rb");
  size_t n = 0;
  if (!in) quit("cannot open the file");
  for (int got; (got = gzread(in, piece, sizeof piece)) > 0; n += (size_t)got)
    if (to && n + (size_t)got <= room) memcpy(to + n, piece, (size_t)got);
  gzclose(in);
  return n;
}

static void load(text *t, const char *path) {
  *t = (text){.path = path};
  gzFile in = gzopen(path, "rb");
  if (!in) quit("cannot open the file");
  char first;
  t->packed = gzread(in, &first, 1) == 1 && !gzdirect(in);
  gzclose(in);
  t->n = unpack(t, NULL, 0);
  t->bytes = rdd_calloc(t->n + 1, 1);
  t->copy = rdd_calloc(t->n + 1, 1);
  if (!t->bytes || !t->copy) quit("out of memory");
  unpack(t, t->bytes, t->n);
}

/* ---- What limits it ---- */

/* The end of a field of text; the closing quote where it is quoted. */
static const char *text_end(const char *p, const char *line_end, bool quoted, char delimiter) {
  const char *end = quoted      ? memchr(p, '"', (size_t)(line_end - p))
                    : delimiter ? memchr(p, delimiter, (size_t)(line_end - p))
                                : strpbrk(p, "\t,: \n");
  while (quoted && end && end[1] == '"') end = memchr(end + 2, '"', (size_t)(line_end - end - 2));
  return end ? end : line_end;
}

/* Parse a line's fields as the letters say; the next line. What is not so (a header, the size of a
 * matrix, the head of a section) is passed over. */
static const char *parse_line(const char *p, const char *end, const char *fields, double *sum) {
  const char *line_end = memchr(p, '\n', (size_t)(end - p));
  char delimiter = 0;
  if (!line_end) line_end = end;
  for (const char *f = fields; *f && p < line_end; f++) {
    bool quoted = *p == '"';
    p += quoted;
    char *after = (char *)(uintptr_t)p;
    switch (*f) {
    case 'i':
      *sum += (double)strtoll(p, &after, 10);
      break;
    case 'f':
      *sum += strtod(p, &after);
      break;
    case 'd':
      for (int i = 0; i < 6 && after < line_end && (i == 0 || *after++ != delimiter); i++)
        *sum += (double)strtoll(after, &after, 10);
      break;
    default:
      after = (char *)(uintptr_t)text_end(p, line_end, quoted, delimiter);
      *sum += (double)(after - p);
    }
    if (after == p) break;
    p = after + quoted;
    delimiter = *p;
    p += 1 + (delimiter == ':' && p[1] == ':');
  }
  return line_end + 1;
}

/* ---- Our reader ---- */

static rdd_status drop(void *arg, const rdd_batch *in, rdd_task *task, rdd_batch *out,
                       rdd_err *err) {
  (void)arg, (void)task, (void)err;
  *out = *in;
  out->rows = 0;
  return RDD_OK;
}

static double read_ratings(rdd_comm *comm, const char *path, bool keep, int64_t *rows_out) {
  rdd_err err;
  job_input *input = NULL;
  rdd *dropped = NULL;
  char *paths[1] = {(char *)(uintptr_t)path};
  job_input_opts opts = {.format = "auto", .id_type = "auto", .slots = 1};
  rdd_run_opts run = {.slots = 1};
  int64_t rows = 0;
  rdd_barrier(comm);
  double start = now();
  rdd_status st = job_input_open(comm, paths, 1, &opts, &input, &err);
  rdd *ratings = st ? NULL : job_input_rdd(input);
  if (!st && !keep)
    st = rdd_map_batches(&dropped, ratings, "drop", rdd_schema_of(ratings), drop, NULL, &err);
  if (!st) st = rdd_count(keep ? ratings : dropped, comm, &run, &rows, &err);
  rdd_barrier(comm);
  double seconds = now() - start;
  if (st) quit(err.message);
  if (keep) *rows_out = rows;
  rdd_release(dropped);
  job_input_close(input);
  return seconds;
}

/* ---- One round ---- */

enum { MEMCPY, WC, STRTO, GZREAD, PARSE, SEAL, WHATS };

static double measure(rdd_comm *comm, const text *t, const char *fields, int what, int64_t *rows) {
  static volatile double sink;
  double start = now(), sum = 0;
  switch (what) {
  case MEMCPY:
    memcpy(t->copy, t->bytes, t->n);
    sink = t->copy[t->n / 2];
    break;
  case WC:
    if (t->packed || system("wc -l <\"$READING_FILE\" >/dev/null")) return 0;
    break;
  case STRTO:
    for (const char *p = t->bytes, *end = p + t->n; p < end;) p = parse_line(p, end, fields, &sum);
    sink = sum;
    break;
  case GZREAD:
    if (!t->packed) return 0;
    unpack(t, NULL, 0);
    break;
  default:
    return read_ratings(comm, t->path, what == SEAL, rows);
  }
  (void)sink;
  return now() - start;
}

int main(int argc, char **argv) {
  static const char *const name[WHATS] = {"memcpy", "wc", "strto", "gzread", "parse", "seal"};
  static double seconds[WHATS][MAX_ROUNDS];
  rdd_comm *comm = NULL;
  rdd_err err;
  text t;
  int64_t rows = 0;
  if (gang_open(&argc, &argv, &comm, &err)) quit(err.message);
  if (argc < 3 || setenv("READING_FILE", argv[1], 1)) quit("expected FILE FIELDS [ROUNDS]");
  int rounds = argc > 3 ? atoi(argv[3]) : 5;
  if (rounds < 1 || rounds > MAX_ROUNDS) quit("expected 1 to 32 rounds");
  load(&t, argv[1]);
  for (int round = 0; round < rounds; round++)
    for (int what = comm->size > 1 ? PARSE : 0; what < WHATS; what++)
      seconds[what][round] = measure(comm, &t, argv[2], what, &rows);
  if (comm->rank == 0) {
    printf("{\"bytes\": %zu, \"rows\": %lld, \"ranks\": %d", t.n, (long long)rows, comm->size);
    for (int what = 0; what < WHATS; what++) {
      qsort(seconds[what], (size_t)rounds, sizeof(double), ascending);
      double median = seconds[what][rounds / 2];
      printf(", \"%s\": %.0f", name[what], median > 0 ? 1e-6 * (double)t.n / median : 0);
    }
    printf("}\n");
  }
  rdd_free(t.bytes);
  rdd_free(t.copy);
  rdd_comm_close(comm);
  return 0;
}
