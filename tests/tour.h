/* What the programs of docs/tour.md share: the source that the first of them makes, how they fail, and
 * how they tell what happens to tasks. */
#ifndef TOUR_H
#define TOUR_H

#include "rdd/rdd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOUR_ROWS = 5 };

/* In main(): a call that fails ends the program with its message. All ranks of a collective call have the
 * same status, so they end together. */
#define TRY(call) tour_try((call), &err)
static inline void tour_try(rdd_status st, const rdd_err *err) {
  if (!st) return;
  fprintf(stderr, "%s\n", err->message);
  exit(EXIT_FAILURE);
}

/* Partition p of the source: the numbers 5 p to 5 p + 4, in one batch. */
static inline rdd_status tour_count_up(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  int64_t n[TOUR_ROWS];
  rdd_batch batch;
  (void)arg;
  memset(&batch, 0, sizeof batch);
  for (int i = 0; i < TOUR_ROWS; i++) n[i] = TOUR_ROWS * partition + i;
  batch.rows = TOUR_ROWS;
  batch.column[0].values = n;
  return rdd_task_emit(task, &batch, err);
}

/* The schema of one integer column n. */
static inline rdd_schema tour_schema(void) {
  rdd_schema schema;
  memset(&schema, 0, sizeof schema);
  rdd_schema_add(&schema, "n", RDD_INT64);
  return schema;
}

/* An event hook that tells of tasks and kept partitions, a line each. */
static inline void tour_tell(void *arg, const rdd_event *e) {
  (void)arg;
  if (e->kind == RDD_LINEAGE || e->kind == RDD_STAGE_STARTED || e->kind == RDD_TASK_STARTED) return;
  printf("  %-13s ", rdd_event_name(e->kind));
  if (*e->message)
    printf("%s\n", e->message);
  else
    printf("%s, partition %d, attempt %d\n", e->rdd, (int)e->partition, e->attempt);
}

/* A fold for rdd_reduce(). */
static inline void tour_add(void *arg, void *acc, const void *value) {
  (void)arg;
  *(int64_t *)acc += *(const int64_t *)value;
}

#endif
