/* Private to input*.c, lines.c, rows.c and read_*.c: the plan that rank 0 makes and every rank
 * gets, and what the readers share inside a task.
 *
 * Partitions are cut from one axis on which the files lie one after the other:
 *
 *   0 ......... at[1] ..... at[2] ................ weight
 *   |  file 0    |  file 1   |  file 2               |
 *   |   p0   |   p1    |   p2   |   p3   |   p4       |     cut(p) = weight * p / partitions
 *
 * A unit is a byte of text, a row of HDF5, a quarter of a byte of gzip. A record belongs to the
 * partition that its first byte lies in; a gzip file is one record in this sense. So rows come in
 * the order of the files whatever the number of partitions, and many small files share one. */
#ifndef JOB_INPUT_IMPL_H
#define JOB_INPUT_IMPL_H

#include "jobs/input.h"
#include "rdd/rdd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOB_USER, JOB_ITEM, JOB_RATING, JOB_TIMESTAMP, JOB_ROLES };
enum { JOB_DELIMITED, JOB_NETFLIX, JOB_MTX, JOB_HDF5 }; /* layouts */
enum { JOB_COLONS = ':', JOB_BLANKS = ' ' };            /* delimiters: "::", runs of blanks */
enum {
  JOB_TYPE_UNKNOWN = -1, /* no record has decided the type of the ids */
  JOB_ID_LENGTH = 65535, /* bytes of the longest id */
  JOB_GZIP_WEIGHT = 4,   /* a guess at how well text is compressed */
  JOB_EXCERPT = 280,     /* room for job_excerpt() */
  JOB_SLACK = 64,        /* bytes after the end of a buffer that may be touched: words at a time */
  JOB_TEXT_FULL = 8 << 20, /* bytes of ids that make a batch full before it has all its rows */
};

enum { JOB_BY_RECORD, JOB_BY_OPTION, JOB_BY_MODEL }; /* who decides the types of ids */

/* One input file; plain data. */
typedef struct job_file {
  int64_t path;    /* where its name starts in the plan's text */
  int64_t size;    /* bytes */
  int64_t changed; /* ns since 1970, as rank 0 sees it */
  int64_t at;      /* where it starts on the axis */
  int64_t weight;  /* its length there */
  int64_t body;    /* text: offset of the line after the header, uncompressed */
  int64_t entries; /* mtx: declared entries; hdf5: rows */
  int64_t dims[2]; /* mtx: the largest row and column */
  int32_t layout;
  int32_t delimiter; /* a character, JOB_COLONS or JOB_BLANKS */
  int32_t gzip;
  int32_t header;            /* there is a header line */
  int32_t fields;            /* in each line */
  int32_t column[JOB_ROLES]; /* position of each role, or -1; hdf5: 0 where it is there */
  int32_t id_type[2];        /* RDD_INT64, RDD_UTF8 or JOB_TYPE_UNKNOWN */
  char kind[32];             /* for people: "MovieLens u.data" */
} job_file;

/* Everything a rank has to know, in one allocation that is sent as it is. */
typedef struct job_plan {
  int64_t bytes; /* of the plan */
  int64_t files;
  int64_t partitions;
  int64_t weight;  /* length of the axis */
  int64_t size;    /* bytes of all files */
  int64_t entries; /* mtx: declared entries of all files; else -1 */
  int64_t max_bad;
  int32_t id_type[2];
  int32_t id_origin; /* JOB_BY_... */
  int32_t timestamp; /* there is a column of timestamps */
  int32_t pairs;     /* the rating may be missing */
  job_file file[];   /* [files], then the text of the names */
} job_plan;

/* ---- names (input_paths.c) ---- */

typedef struct job_paths {
  int64_t n, room;
  char **path; /* [n] */
} job_paths;

/* Expand files, directories and patterns. Fails with RDD_ENOINPUT. Reset even after a failure. */
RDD_MUST_CHECK rdd_status job_paths_expand(job_paths *paths, char *const *path, int n,
                                           rdd_err *err);
void job_paths_reset(job_paths *paths);

/* A name for a message: cut at its front where it is very long. */
const char *job_path_text(const char *path);

/* Name of a file of the plan. */
const char *job_plan_path(const job_plan *plan, const job_file *file);

/* ---- content (input_sniff.c, read_h5.c); rank 0 ---- */

/* Look at a file's first bytes: fills in all of `file` but path and at. A file without any line is
 * left with weight 0. */
RDD_MUST_CHECK rdd_status job_sniff(job_file *file, const char *path, const job_input_opts *opts,
                                    rdd_err *err);
/* The type that --id-type or a model wants for the ids of a side, or JOB_TYPE_UNKNOWN. */
int32_t job_wanted_type(const job_input_opts *opts, int side);

/* In a child, for rank 0 has to live: what a damaged file does to HDF5 is an error then. And in this
 * process. */
RDD_MUST_CHECK rdd_status job_sniff_h5(job_file *file, const char *path, const job_input_opts *opts,
                                       rdd_err *err);
RDD_MUST_CHECK rdd_status job_look_h5(job_file *file, const char *path, const job_input_opts *opts,
                                      rdd_err *err);

/* Start HDF5 before tasks are forked, so that none of them has to.       Not collective. */
RDD_MUST_CHECK rdd_status job_prepare_h5(rdd_err *err);

/* ---- text (read_text.c) ---- */

typedef struct job_span {
  const char *text;
  size_t n;
  bool doubled; /* a quoted field with "" in it */
} job_span;

/* Cut the next field off [p, end): blanks around it and quotes are taken off.
 *   why  [out] what is wrong; set where the result is NULL and out->text is NULL
 * Returns where the next field starts, or NULL after the last. */
const char *job_field(job_span *out, const char *p, const char *end, int delimiter,
                      const char **why);

/* "17:" in [p, end), perhaps with blanks around: the head of a Netflix section. */
bool job_netflix_head(job_span *out, const char *p, const char *end);

bool job_blank_line(const char *p, const char *end);

/* The text for a message: at most 60 bytes, control characters and what is
 * not UTF-8 escaped. Returns `out`. */
const char *job_excerpt(char out[JOB_EXCERPT], const char *text, size_t n);

/* ---- lines (lines.c) ---- */

typedef struct job_lines job_lines;

/* Read the lines of a text file, plain or gzip, that start in [begin, end).
 *   begin  [in] where to start, uncompressed
 *   end    [in] lines start before; INT64_MAX: all
 *   whole  [in] a line starts at begin; else the first one that starts at or after it is sought */
RDD_MUST_CHECK rdd_status job_lines_open(job_lines **out, const char *path, bool gzip,
                                         int64_t begin, int64_t end, bool whole, rdd_err *err);

/* The next block of whole lines, each ended by '\n', also the last of the file.
 *   offset_out  [out] place of the block in the (uncompressed) file
 * *begin == *end after the last. The block is valid until the next call, and JOB_SLACK bytes
 * after it may be read. */
RDD_MUST_CHECK rdd_status job_lines_next(job_lines *lines, const char **begin, const char **end,
                                         int64_t *offset_out, rdd_err *err);
void job_lines_close(job_lines *lines);

/* The number of the line, from 1, that holds byte `offset`. 0 where the file cannot be read. */
int64_t job_line_number(const char *path, bool gzip, int64_t offset);

/* ---- rows (rows.c) ---- */

typedef struct job_ids {
  rdd_type type;
  int64_t *value;  /* int64: [RDD_BATCH_ROWS] */
  int32_t *offset; /* utf8: [RDD_BATCH_ROWS + 1] */
  char *text; /* [JOB_TEXT_FULL + JOB_ID_LENGTH + JOB_SLACK]: whole pages that are touched late */
} job_ids;

/* A batch that is filled row by row and emitted, and what becomes of bad records. In a task.
 * Between calls it is not full: there is room for one row with two of the longest ids. */
typedef struct job_rows {
  const job_plan *plan;
  rdd_task *task;
  int64_t rows;
  job_ids id[2];
  float *rating;
  int64_t *timestamp; /* NULL without */
  int64_t bad;
  char first_bad[RDD_NOTE];
} job_rows;

RDD_MUST_CHECK rdd_status job_rows_init(job_rows *rows, const job_plan *plan, rdd_task *task,
                                        rdd_err *err);
void job_rows_reset(job_rows *rows);

/* Emit what is there. */
RDD_MUST_CHECK rdd_status job_rows_flush(job_rows *rows, rdd_err *err);

/* Put an id into the row that is being made. */
static inline void job_rows_int(job_rows *rows, int side, int64_t id) {
  rows->id[side].value[rows->rows] = id;
}
void job_rows_text(job_rows *rows, int side, const job_span *id);

static inline bool job_rows_full(const job_rows *rows) {
  bool full = rows->rows == RDD_BATCH_ROWS;
  for (int side = 0; side < 2; side++)
    if (rows->id[side].offset && rows->id[side].offset[rows->rows] >= JOB_TEXT_FULL) full = true;
  return full;
}

/* The row is whole; emits the batch when it is full. */
RDD_MUST_CHECK rdd_status job_rows_end(job_rows *rows, float rating, int64_t timestamp,
                                       rdd_err *err);

/* True where the next bad record's message will be shown to somebody. */
bool job_rows_tell(const job_rows *rows);

/* A record is bad: skip and count it, or fail.
 *   message  [in] what is wrong, with its place; read where job_rows_tell() */
RDD_MUST_CHECK rdd_status job_rows_bad(job_rows *rows, const char *message, rdd_err *err);

/* Check a rating and narrow it. what_out: "is not finite" and the like, where the result is
 * false. */
bool job_rating(double value, float *out, const char **what_out);

/* ---- lines that need no judgement (read_plain.c) ---- */

enum { JOB_PLAIN_FIELDS = 256 };

/* How the fields of a file's lines are taken. Made once for a file, not changed by reading. */
typedef struct job_plain {
  int fields;
  int delimiter;
  uint8_t take[JOB_PLAIN_FIELDS]; /* what each field is */
  int section;                    /* the side that a Netflix section gives, or -1 */
  bool unrated;                   /* there is no rating, which is a rating of 1 */
  uint64_t least[2], range[2];    /* integer ids are least + 0..range; elsewhere they are bad */
} job_plain;

/* False where the lines of this file have to be judged one by one. */
bool job_plain_init(job_plain *plain, const job_plan *plan, const job_file *file);

/* Read lines of [p, end) into rows while they are plain and the batch is not full.
 *   end          [in] a newline stands before it, and JOB_SLACK bytes that may be read after it
 *   section      [in] id of the Netflix section; elsewhere not looked at
 *   section_int  [in] the same, where it is an integer
 * Returns the line where it stopped. Whatever it takes, job_read_text() would take with the same
 * values; what is out of the ordinary is left to that, to be judged and named. */
const char *job_read_plain(const job_plain *plain, job_rows *rows, const job_span *section,
                           int64_t section_int, const char *p, const char *end);

/* ---- readers; in a task ---- */

/* Read the records of a text file that start in bytes [begin, end) of it. */
RDD_MUST_CHECK rdd_status job_read_text(job_rows *rows, const job_file *file, int64_t begin,
                                        int64_t end, rdd_err *err);

/* Read rows [begin, end) of an HDF5 file. */
RDD_MUST_CHECK rdd_status job_read_h5(job_rows *rows, const job_file *file, int64_t begin,
                                      int64_t end, rdd_err *err);

#endif
