/* Ids and dense indices.
 *
 * A user or item is known outside by its id, a 64-bit integer or a string, and inside by its dense
 * index: its position in ascending order of the distinct ids (strings by bytes, shorter first).
 * The sorted ids are kept once per node, in a shared table. */
#ifndef ALS_IDS_H
#define ALS_IDS_H

#include "rdd/batch.h"
#include "rdd/comm.h"
#include "rdd/rdd.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct als_ids {
  int64_t n;
  rdd_type type;    /* RDD_INT64 or RDD_UTF8 */
  rdd_table *value; /* int64: int64_t[n]; utf8: int64_t offsets[n + 1] */
  rdd_table *bytes; /* utf8: the text; else NULL */
} als_ids;

enum { ALS_ID_TEXT = 64 };

/* The distinct ids of one column over all ranks' partitions.              Collective.
 *   parts     [in]  this rank's partitions
 *   column    [in]  which column; int64 or utf8
 *   ids_out   [out] free with als_ids_free()
 * Memory: the table; besides, a rank holds about two shares of all distinct ids (their number over
 * that of ranks), and the 2^18 ids of a round. Fails with RDD_ENOMEM, and with RDD_EUSAGE at 2^32 - 1
 * distinct ids. */
RDD_MUST_CHECK rdd_status als_ids_build(rdd_comm *comm, const rdd_parts *parts, int column,
                                        als_ids **ids_out, rdd_err *err);

/* Room for n ids (and n_bytes of text) that the caller fills and syncs.   Collective. */
RDD_MUST_CHECK rdd_status als_ids_new(rdd_comm *comm, rdd_type type, int64_t n, int64_t n_bytes,
                                      als_ids **ids_out, rdd_err *err);

/* Collective; NULL on all ranks is accepted. */
void als_ids_free(als_ids *ids);

/* Dense index of one id, or -1.                                           Not collective. */
int64_t als_ids_find_int64(const als_ids *ids, int64_t id);
int64_t als_ids_find_utf8(const als_ids *ids, const char *text, int64_t length);

/* Dense index of row `row` of a column of the ids' type, or -1.           Not collective. */
int64_t als_ids_find(const als_ids *ids, const rdd_column *column, int64_t row);

/* Id number i as text, cut to ALS_ID_TEXT - 1 bytes: for messages.        Not collective. */
const char *als_ids_text(const als_ids *ids, int64_t i, char text[ALS_ID_TEXT]);

/* Id number i: the integer, or the bytes and their count (not terminated). Not collective. */
int64_t als_ids_int64(const als_ids *ids, int64_t i);
const char *als_ids_utf8(const als_ids *ids, int64_t i, int64_t *length_out);

/* A hash of id number i that depends on the id alone: keys its initial factors. */
uint64_t als_ids_hash(const als_ids *ids, int64_t i);

#ifdef __cplusplus
}
#endif
#endif
