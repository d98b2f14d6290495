/* The distinct values of a column. Each gets a code, 0, 1, 2, ... in order of first occurrence; integers can
 * be counted without. */
#ifndef JOB_DICTIONARY_H
#define JOB_DICTIONARY_H

#include "rdd/batch.h"

typedef struct job_dictionary job_dictionary;

/* An empty dictionary of int64 or utf8 values. Not collective. */
RDD_MUST_CHECK rdd_status job_dictionary_new(job_dictionary **out, rdd_type type, rdd_err *err);

/* Free; NULL is accepted. */
void job_dictionary_free(job_dictionary *d);

/* Look up a column's values and take in the new ones.
 *   column    [in]  [rows] of the dictionary's type
 *   code_out  [out] [rows] their codes; NULL: not wanted. For int64 the same choice in all calls, since those
 *                   that are only counted are kept in another way.
 * Fails with RDD_ENOMEM, and with RDD_EDATA for a text with a NUL byte in it. */
RDD_MUST_CHECK rdd_status job_dictionary_add(job_dictionary *d, const rdd_column *column,
                                             int64_t rows, int64_t *code_out, rdd_err *err);

/* Distinct values so far. */
int64_t job_dictionary_count(const job_dictionary *d);

/* Text of a code of a utf8 dictionary, NUL-terminated; valid until the next add. */
const char *job_dictionary_text(const job_dictionary *d, int64_t code);

#endif
