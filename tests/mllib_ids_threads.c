/* Ids and sides over ranks: what one rank builds alone is what many build together. */
#include "mllib/ids.h"
#include "mllib/ratings.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <string.h>

static bool same_ids(const als_ids *a, const als_ids *b) {
  if (a->n != b->n || a->type != b->type) return false;
  if (rdd_table_size(a->value) != rdd_table_size(b->value)) return false;
  if (memcmp(rdd_table_data(a->value), rdd_table_data(b->value), rdd_table_size(a->value)) != 0)
    return false;
  if (a->type != RDD_UTF8) return true;
  return rdd_table_size(a->bytes) == rdd_table_size(b->bytes) &&
         memcmp(rdd_table_data(a->bytes), rdd_table_data(b->bytes), rdd_table_size(a->bytes)) == 0;
}

/* This rank's rows of `part` are those rows of the whole. */
static bool same_rows(const als_side *part, const als_side *whole) {
  for (int64_t r = 0; r < part->rows; r++) {
    int64_t n = part->start[r + 1] - part->start[r], from = whole->start[part->first + r];
    if (whole->start[part->first + r + 1] - from != n) return false;
    if (memcmp(part->entry + part->start[r], whole->entry + from, (size_t)n * sizeof(als_entry)))
      return false;
  }
  return true;
}

typedef struct built {
  als_ids *ids[2];
  als_side side[2]; /* items' by transposition */
  als_side direct;  /* items' from partitions */
} built;

static bool build(rdd_comm *comm, const fx_list *list, int64_t partitions, int64_t round, bool text,
                  built *b) {
  rdd_err err = {0};
  int64_t cold[2] = {-1, -1};
  bool ok = true;
  memset(b, 0, sizeof *b);
  rdd_parts *parts = fx_parts(list, partitions, 16, text, comm);
  for (int s = 0; ok && s < 2; s++)
    ok = TK_OK(als_ids_build(comm, parts, s, &b->ids[s], &err), &err);
  const als_ids *const ids[2] = {b->ids[0], b->ids[1]};
  ok = ok && TK_OK(als_side_build(comm, parts, ALS_USERS, ids, NULL, 8, round, &b->side[ALS_USERS],
                                  &cold[0], &err),
                   &err);
  rdd_parts_free(parts);
  parts = fx_parts(list, partitions, 5, text, comm);
  ok = ok && TK_OK(als_side_transpose(comm, &b->side[ALS_USERS], ids[ALS_ITEMS]->n, 8, round,
                                      &b->side[ALS_ITEMS], &err),
                   &err);
  ok = ok && TK_OK(als_side_build(comm, parts, ALS_ITEMS, ids, &b->side[ALS_ITEMS].blocks, 8, round,
                                  &b->direct, &cold[1], &err),
                   &err);
  rdd_parts_free(parts);
  TK_CHECK(cold[0] == 0 && cold[1] == 0);
  return ok;
}

static void built_reset(built *b) {
  for (int s = 0; s < 2; s++) als_side_reset(&b->side[s]);
  als_side_reset(&b->direct);
  for (int s = 0; s < 2; s++) als_ids_free(b->ids[s]);
}

static void check_against_one(rdd_comm *comm, const fx_list *list, int64_t partitions,
                              int64_t round, bool text, int64_t shuffle) {
  rdd_err err = {0};
  rdd_comm *one = NULL;
  built alone, together;
  fx_list mixed = {0};
  TK_OK(rdd_comm_single(&one, &err), &err);
  for (int64_t i = 0; i < list->n; i++)
    fx_add(&mixed, list->at[i].user, list->at[i].item, list->at[i].value);
  fx_shuffle(&mixed, shuffle);
  bool ok = build(comm, &mixed, partitions, round, text, &together);
  ok &= build(one, list, 1, 0, text, &alone);
  for (int s = 0; ok && s < 2; s++) {
    TK_CHECK(same_ids(together.ids[s], alone.ids[s]));
    TK_CHECK(same_rows(&together.side[s], &alone.side[s]));
    TK_CHECK(als_side_count(&together.side[s], comm) == list->n);
  }
  if (ok) {
    const als_side *a = &together.side[ALS_ITEMS], *b = &together.direct;
    TK_CHECK(a->first == b->first && a->rows == b->rows && same_rows(b, &alone.side[ALS_ITEMS]));
  }
  built_reset(&together);
  built_reset(&alone);
  fx_reset(&mixed);
  rdd_comm_close(one);
}

static void integers(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(90, 70, 2, 12, 1, &list);
  check_against_one(comm, &list, 8, 0, false, 1);
  check_against_one(comm, &list, 3, 0, false, 2);
  fx_reset(&list);
}

static void strings(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(90, 70, 2, 12, 1, &list);
  check_against_one(comm, &list, 8, 0, true, 3);
  fx_reset(&list);
}

static void many_small_rounds(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(40, 50, 2, 9, 1, &list);
  check_against_one(comm, &list, 5, 7, false, 4);
  check_against_one(comm, &list, 5, 1, true, 5);
  fx_reset(&list);
}

/* More rows than blocks' smallest size, so that blocks hold several rows. */
static void wide_blocks(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(5000, 300, 1, 3, 1, &list);
  check_against_one(comm, &list, 4, 1000, false, 6);
  fx_reset(&list);
}

/* One partition: it is the last rank's, the others have none. One rating, and none at all. */
static void ranks_without_data(rdd_comm *comm) {
  fx_list list = {0};
  fx_planted(20, 10, 2, 5, 1, &list);
  check_against_one(comm, &list, 1, 0, false, 7);
  check_against_one(comm, &list, 1, 0, true, 8);
  list.n = 1;
  check_against_one(comm, &list, 1, 0, false, 9);
  check_against_one(comm, &list, 2, 0, true, 10);
  list.n = 0;
  check_against_one(comm, &list, 2, 0, false, 11);
  check_against_one(comm, &list, 2, 0, true, 12);
  fx_reset(&list);
}

/* Columns on both sides of 2^24 that arrive out of order: lower ranks send the higher ones. The sides
 * are made by hand, as nobody has so many ids in a test. */
static void large_columns_are_sorted(rdd_comm *comm) {
  enum { ROWS = 100 };
  rdd_err err = {0};
  als_entry entry[ROWS];
  int64_t start[ROWS + 1];
  als_side side = {.rows = ROWS, .start = start, .entry = entry}, other = {0};
  side.first = (1 << 24) - comm->size * ROWS / 2 + (comm->size - 1 - comm->rank) * ROWS;
  for (int r = 0; r <= ROWS; r++) start[r] = r;
  for (int r = 0; r < ROWS; r++) entry[r] = (als_entry){0, (float)r};
  if (TK_OK(als_side_transpose(comm, &side, 1, 1, 0, &other, &err), &err)) {
    int64_t n = other.start[other.rows];
    TK_CHECK(als_side_count(&other, comm) == (int64_t)comm->size * ROWS);
    TK_CHECK(n == 0 || n == (int64_t)comm->size * ROWS);
    for (int64_t e = 1; e < n; e++)
      if (other.entry[e].column != other.entry[e - 1].column + 1) TK_CHECK(!"columns are sorted");
  }
  als_side_reset(&other);
}

int main(void) {
  static const tk_comm_case cases[] = {
      {"integer ids", integers},
      {"string ids", strings},
      {"many small rounds", many_small_rounds},
      {"blocks of several rows", wide_blocks},
      {"ranks without data", ranks_without_data},
      {"large columns are sorted", large_columns_are_sorted},
  };
  return tk_threads_main("mllib ids over ranks", cases, sizeof cases / sizeof *cases);
}
