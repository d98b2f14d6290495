/* Rows of a table that go only where they are needed.
 *
 * A table is memory that the ranks of a node share, and every rank writes its own rows of it.
 * rdd_table_sync() brings each row to every node. Here each rank says once which rows it reads; from then
 * on a row goes only to those other nodes on which some rank does, once to each. On the others the table
 * keeps what it had.
 *
 *   rank r, node 0   own rows  r0 r1 r2 r3 | r4 r5 r6 r7 |       cut into groups
 *                               │     │  │         │             needed on node 1
 *                               ▼     ▼  ▼         ▼
 *   one rank of node 1 receives them, writes them into its node's table, and a barrier ends it
 *
 * Each owner has one rank of each other node that receives for all of that node; owners of one node have
 * different ones, as far as there are some. Groups bound the buffers, and let a rank send its first rows
 * while it makes the others. */
#ifndef RDD_NEED_H
#define RDD_NEED_H

#include "rdd/comm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdd_need rdd_need;

/* n numbers, into or out of the form in which they travel. */
typedef void rdd_convert_fn(const void *from, void *to, int64_t n);

/* A table, how many bytes a row of it has, and how many on the way. Rows travel as they are, or as what
 * `pack` makes of their numbers, until `unpack` makes rows of it again. */
typedef struct rdd_need_table {
  rdd_table *table;
  int64_t bytes;
  int64_t wire_bytes;
  int64_t numbers;               /* of a row, for both */
  rdd_convert_fn *pack, *unpack; /* or NULL */
} rdd_need_table;

/* Find out who needs what.                                                Collective.
 *   first   [in]  [size + 1] first row of each rank, rising, the same on all ranks
 *   align   [in]  groups are cut at whole multiples of so many own rows, >= 1
 *   groups  [in]  that are wanted, >= 1; fewer where they would be small, more where large
 *   needed  [in]  [(first[size] + 63) / 64] this rank's bitmap: bit r % 64 of word r / 64 is row r
 *   bytes   [in]  most that a row has on the way, over all the tables that are published together
 * Fails with RDD_ENOMEM. */
RDD_MUST_CHECK rdd_status rdd_need_new(rdd_comm *comm, const int64_t *first, int64_t align,
                                       int groups, const uint64_t *needed, int64_t bytes,
                                       rdd_need **out, rdd_err *err);

/* Not collective; NULL is accepted. */
void rdd_need_free(rdd_need *need);

/* Rows of this rank that leave its node, each as often as other nodes need it. Not collective. */
int64_t rdd_need_rows(const rdd_need *need);

/* Groups that the own rows of each rank are cut into, the same number on all ranks; and the first own row
 * of group g, 0 to groups; that of `groups` is the end. Not collective. */
int rdd_need_groups(const rdd_need *need);
int64_t rdd_need_first(const rdd_need *need, int g);

/* Publish the rows of a group, in two steps between which this rank may write rows of the next groups; as
 * rdd_alltoallv_start() and _finish(). Groups go one after the other, 0 first.
 *   table  [in]  [n] tables with the same rows, of no more bytes together than rdd_need_new() was told.
 * Ranks of the node read the rows after rdd_need_end(). */
void rdd_need_start(rdd_need *need, const rdd_need_table *table, int n, int g);
void rdd_need_poll(rdd_need *need); /* now and then between the two */
void rdd_need_finish(rdd_need *need, const rdd_need_table *table, int n, int g);

/* All groups of all ranks are where they are needed.                      Collective. */
void rdd_need_end(rdd_need *need);

/* All of that at once.                                                    Collective. */
void rdd_need_publish(rdd_need *need, const rdd_need_table *table, int n);

#ifdef __cplusplus
}
#endif
#endif
