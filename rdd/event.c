/* Names of events. */
#include "rdd/event.h"

#include <stddef.h>

const char *rdd_event_name(rdd_event_kind kind) {
  static const char *const name[] = {
      [RDD_LINEAGE] = "lineage",
      [RDD_STAGE_STARTED] = "stage-started",
      [RDD_TASK_STARTED] = "task-started",
      [RDD_TASK_FINISHED] = "task-finished",
      [RDD_TASK_CRASHED] = "task-crashed",
      [RDD_TASK_FAILED] = "task-failed",
      [RDD_TASK_ABANDONED] = "task-abandoned",
      [RDD_BLOCK_STORED] = "block-stored",
      [RDD_BLOCK_FOUND] = "block-found",
      [RDD_BLOCK_LOST] = "block-lost",
  };
  size_t i = (size_t)kind;
  return i < sizeof name / sizeof name[0] ? name[i] : "unknown-event";
}
