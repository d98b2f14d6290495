/* Fuzz targets: each reads bytes that somebody else made up, and aborts where a promise is broken.
 *
 *   make fuzz                 libFuzzer drives one target after the other (fuzz.sh)
 *   tests/fuzz_corpus.unit    replays corpus/<target>/, what was found and what covers the code
 *
 * A target begins with the well-formed and mutates that, or reads its input as text; the first bytes of
 * an input choose options. Files are memory files or lie in one folder of the process. */
#ifndef FUZZ_H
#define FUZZ_H

#include "jobs/input_impl.h"
#include "rdd/batch.h"
#include "rdd/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Input: bytes are taken from the front; after the last one there are zeros ---- */
typedef struct fz_input {
  const uint8_t *at;
  size_t n;
} fz_input;

uint8_t fz_byte(fz_input *in);

/* One of n by the next byte: '0' is the first, so that an input can be written by hand. */
int fz_choose(fz_input *in, int n);

/* Little-endian, so many bytes, 1 to 8. */
uint64_t fz_number(fz_input *in, int bytes);

/* ---- Targets ---- */
typedef struct fz_target {
  const char *name;
  void (*open)(void); /* once, before the first run; or NULL */
  void (*run)(fz_input *in);
  void (*close)(void); /* or NULL */
  bool contained;      /* runs in a child, see fz_contain() */
} fz_target;

void fz_run(const fz_target *target, const uint8_t *bytes, size_t n);

extern const fz_target fz_number_target, fz_time_target, fz_text_target, fz_gzip_target;
extern const fz_target fz_ratings_target, fz_model_target, fz_checkpoint_target, fz_block_target;
extern const fz_target fz_record_target, fz_fault_target, fz_part_target, fz_table_target;

/* ---- Findings ---- */

/* A promise that is broken ends the process. */
#define FZ_CHECK(condition, ...)                                                                   \
  ((condition) ? (void)0 : fz_fail(#condition, __FILE__, __LINE__, __VA_ARGS__))
__attribute__((noreturn)) void fz_fail(const char *condition, const char *file, int line,
                                       const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What fz_fail() says it happened with. */
void fz_note_file(const char *path);

/* ---- Children: for targets that call code which may crash and is not ours ---- */

/* Run a target on an input in a child. It is a finding that the child dies after fz_made(), unless that
 * was HDF5's fault: then it is contained, and counted. */
void fz_contain(const fz_target *target, const fz_input *in);

/* Wait for the child's end, before another target runs. */
void fz_contain_end(void);

/* How many inputs a child runs before there is a new one. One, where this is not called. */
void fz_contain_most(int runs);

/* In the child: the file is made, what follows reads it. Before, death is no finding, for HDF5 may crash
 * when it writes, too.
 *   sound  [in]  HDF5 made the file, so that every death of its reader is a finding */
void fz_made(bool sound);

bool fz_in_child(void);
int64_t fz_contained(int64_t *hangs_out);

/* ---- Files ---- */

/* A memory file with these contents, whose path is written to `path`. Made once for each `slot`, 0 to
 * 3, and overwritten by the next. */
enum { FZ_PATH = 200 };
const char *fz_file(int slot, const void *bytes, size_t n, char path[FZ_PATH]);

/* A folder that is removed at the end of the process; and a file in it, or anywhere. */
const char *fz_folder(void);
void fz_write(const char *path, const void *bytes, size_t n);

/* ---- Reading ratings in this process ---- */

/* What an input of ratings came to. */
typedef struct fz_ratings {
  rdd_status status;
  rdd_err err;
  int64_t rows;
  char *text; /* a line for each row: user, item, bits of the rating, timestamp */
  size_t n, room;
} fz_ratings;

/* Plan, read all partitions one after the other, and check: up to the first failure. */
void fz_read(fz_ratings *out, const char *path, const job_input_opts *opts);
void fz_ratings_reset(fz_ratings *r);

/* The same for an HDF5 file that was looked at in this process, by job_look_h5(). */
void fz_read_h5(fz_ratings *out, const char *path, const job_file *file,
                const job_input_opts *opts);

/* One more value of a line, as fz_read() writes it: what an oracle expects. */
void fz_ratings_int(fz_ratings *r, int64_t value);
void fz_ratings_float(fz_ratings *r, float value);
void fz_ratings_text(fz_ratings *r, const char *text, size_t n);
void fz_ratings_end(fz_ratings *r);

/* The rows are the same; `what` says of whom. */
void fz_same_rows(const fz_ratings *a, const fz_ratings *b, const char *what);

#endif
