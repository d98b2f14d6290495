/* Rows one at a time, for rdd_map() and rdd_flat_map(). Everything here runs in a task.
 *
 * A column of the wrong type, or that is not there, is remembered and ends the task with an error
 * after the row; so these functions need no status, and code that uses them stays short. */
#ifndef RDD_ROW_H
#define RDD_ROW_H

#include "rdd/rdd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values of the row that came in: of int64 and int32 columns, of float32 and float64, of utf8 (not
 * terminated; borrowed until the row is done). */
int64_t rdd_row_int(const rdd_row *row, int column);
double rdd_row_float(const rdd_row *row, int column);
const char *rdd_row_text(const rdd_row *row, int column, int32_t *length_out);

/* Values of the row that is made; a column that is not set is 0 or "". */
void rdd_rows_set_int(rdd_rows *rows, int column, int64_t value);
void rdd_rows_set_float(rdd_rows *rows, int column, double value);
void rdd_rows_set_text(rdd_rows *rows, int column, const char *text, int32_t length);

/* The row is made; begin the next. rdd_map() does it after each call of fn. */
void rdd_rows_next(rdd_rows *rows);

#ifdef __cplusplus
}
#endif
#endif
