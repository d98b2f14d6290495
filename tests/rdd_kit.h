/* What the tests of RDDs share: a source of rows that may be told to misbehave, a log of events,
 * and a store of blocks in files. */
#ifndef RDD_KIT_H
#define RDD_KIT_H

#include "rdd/rdd.h"

enum { KIT_EVENTS = 2000, KIT_KINDS = RDD_BLOCK_LOST + 1, KIT_FAULTS = 8 };

/* ThreadSanitizer does not follow a fork from one of several threads. */
#if defined(__SANITIZE_THREAD__)
#define KIT_FORKS 0
#else
#define KIT_FORKS 1
#endif

/* A fault for the attempts below `attempts` of one partition of one stage; -1: of any. */
typedef struct kit_fault {
  int64_t stage, partition;
  int attempts;
  rdd_fault fault;
} kit_fault;

/* One rank's view of a run: what is to go wrong, and what happened. */
typedef struct kit {
  rdd_comm *comm;
  kit_fault fault[KIT_FAULTS];
  int faults;
  int64_t rows;        /* of each partition of the source */
  double slow_seconds; /* that each partition below `slow_below` takes */
  int64_t slow_below;
  int *runs; /* [64] shared with the tasks: how often the source ran a partition */
  int n;     /* events */
  rdd_event event[KIT_EVENTS];
  char text[KIT_EVENTS][200]; /* the end of their messages */
  char name[KIT_EVENTS][24];
} kit;

kit *kit_new(rdd_comm *comm); /* comm NULL: one rank of its own */
void kit_free(kit *k);

/* Events forgotten, counts of the source zeroed, faults gone. Collective. */
void kit_reset(kit *k);

void kit_strike(kit *k, int64_t stage, int64_t partition, int attempts, rdd_fault_kind kind,
                int number);

rdd_run_opts kit_opts(kit *k, int slots);

/* Rows of partition p: n = 1000 p + i, key = n % 17 - 8, x = 0.1 n, word = "w<key>", in batches of
 * 5. */
rdd *kit_rows(kit *k, int64_t partitions);

/* Only n. */
rdd_schema kit_schema_n(void);

/* Events of a kind, about a partition (-1: any), over all ranks. Collective. */
int64_t kit_count(kit *k, rdd_event_kind kind, int64_t partition);

/* Runs of the source's partition (-1: all), over all ranks. Collective. */
int64_t kit_runs(kit *k, int64_t partition);

/* Does a message of a kind have this in it, on any rank? Collective. */
bool kit_said(kit *k, rdd_event_kind kind, const char *what);

/* Values of the int64 column n of all rows, in order; a hash, and how many. */
uint64_t kit_digest(const rdd_part *part, int64_t *rows_out);

/* rdd_collect() and kit_digest(); checks that it succeeds. Collective. */
uint64_t kit_collect(kit *k, rdd *r, int slots);

/* A store of blocks as files in a directory. */
rdd_store *kit_store_new(const char *dir);
void kit_store_free(rdd_store *store);
void kit_store_damage(rdd_store *store, const rdd_block *block); /* change a byte */
void kit_store_poison(rdd_store *store, const rdd_block *block); /* reading it is deadly */
int kit_store_files(rdd_store *store);
void kit_store_break(rdd_store *store, bool broken); /* puts fail */

#endif
