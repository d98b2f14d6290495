/* Functions of your own for `als import --map LIB.so:FUNCTION`: filters and rewrites of ratings.
 *
 * A function gets a batch of ratings as columns, and says which rows stay and what their ratings and
 * timestamps become. It is compiled into a shared library against this header alone:
 *
 *   static int stars(const gangplank_batch *b, const char *argument, char *error) {
 *     for (int64_t i = 0; i < b->rows; i++) b->new_rating[i] = roundf(b->rating[i]);
 *     return GANGPLANK_OK;
 *   }
 *   GANGPLANK_MAP(stars, GANGPLANK_ANY_ROWS, stars, NULL);
 *
 *   cc -shared -fPIC -O3 mine.c -o mine.so -lm
 *   als import ratings.csv -o ratings.h5 --map ./mine.so:stars
 *
 * It runs in tasks: forked processes, several at a time, any number of times. What it makes of rows may
 * depend on those rows and the argument alone, not on the batch they came in, on the partition, on
 * the clock or on what it did before. */
#ifndef GANGPLANK_MAP_H
#define GANGPLANK_MAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of all that is below. A library of another version is refused. */
enum { GANGPLANK_MAP_ABI = 1 };

/* What a function returns. After an error the job ends, with the function's message. */
enum {
  GANGPLANK_OK = 0,
  GANGPLANK_BAD_DATA = 1, /* these ratings cannot be what they should be */
  GANGPLANK_NO_MEMORY = 2
};

/* Bytes of the message, with its NUL. */
enum { GANGPLANK_ERROR_ROOM = 256 };

/* Which rows a function has to see together, in one call. In any call rows stand in the order of the
 * input; the result has the order of the input in any case. */
enum {
  GANGPLANK_ANY_ROWS = 0,  /* each row counts alone */
  GANGPLANK_SAME_USER = 1, /* all ratings by a user; a call has whole users, any number of them */
  GANGPLANK_SAME_ITEM = 2, /* all ratings of an item */
  GANGPLANK_SAME_PAIR = 3  /* all ratings of an item by a user */
};

/* Ids are numbers or text; the other pointers are NULL then. */
typedef struct gangplank_ids {
  const int64_t *number; /* [rows] */
  const char *text; /* UTF-8; id i is the bytes from offset[i] up to offset[i + 1], without NUL */
  const int32_t *offset; /* [rows + 1] the first may be above 0 */
} gangplank_ids;

/* A batch of ratings. All columns are the host's, and gone after the call. */
typedef struct gangplank_batch {
  int64_t rows;      /* >= 1 */
  int64_t partition; /* for messages */

  gangplank_ids user, item;
  const float *rating; /* [rows] finite */
  const int64_t
      *timestamp; /* [rows] seconds since 1970 UTC in most data sets; NULL: there are none */

  /* For the function to write. */
  uint8_t *keep;          /* [rows] 1 on entry; a row whose 0 it is made is dropped */
  float *new_rating;      /* [rows] a copy of rating on entry; what stays has to be finite */
  int64_t *new_timestamp; /* [rows] a copy of timestamp on entry; NULL: there are none */
} gangplank_batch;

/* One of the enum above.
 *   argument  [in]  what follows FUNCTION= on the command line, or NULL
 *   error     [out] [GANGPLANK_ERROR_ROOM] "" on entry; the message, for a status that is not OK */
typedef int (*gangplank_run)(const gangplank_batch *batch, const char *argument, char *error);

/* Is this a good argument (NULL: none is given)? Called once on each rank before anything is read, in
 * the rank itself and not in a task. Not GANGPLANK_OK: a usage error, with the message. */
typedef int (*gangplank_check)(const char *argument, char *error);

/* What the host looks for in a library: gangplank_map_FUNCTION. */
typedef struct gangplank_map {
  int32_t abi;      /* GANGPLANK_MAP_ABI */
  int32_t together; /* GANGPLANK_ANY_ROWS, ... */
  gangplank_run run;
  gangplank_check check; /* NULL: it takes no argument */
} gangplank_map;

#if defined(__GNUC__)
#define GANGPLANK_VISIBLE __attribute__((visibility("default")))
#else
#define GANGPLANK_VISIBLE
#endif
#ifdef __cplusplus
#define GANGPLANK_EXTERN extern "C" GANGPLANK_VISIBLE
#else
#define GANGPLANK_EXTERN extern GANGPLANK_VISIBLE
#endif

/* Offer a function under a name, at the top level of a file. */
#define GANGPLANK_MAP(name, together, run, check)                                                  \
  GANGPLANK_EXTERN const gangplank_map gangplank_map_##name;                                       \
  const gangplank_map gangplank_map_##name = {GANGPLANK_MAP_ABI, together, run, check}

#ifdef __cplusplus
}
#endif
#endif
