/* Ids and sides over ranks: what one rank builds alone is what many build together. */
#include "tests/ids_cases.h"

#include "mllib/ids_impl.h"
#include "mllib/ratings.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"

#include <stdio.h>
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

/* All ratings are of one user, so all go to one rank, more than a rank takes at a time; and each of
 * the ratings of one item is there many times with other values, so that values decide the order. */
static void one_row_has_all(rdd_comm *comm) {
  fx_list list = {0};
  for (int i = 0; i < 900; i++) fx_add(&list, 5, i % 3 ? 7 : i, (float)(i * 7 % 100));
  check_against_one(comm, &list, 6, 0, false, 13);
  check_against_one(comm, &list, 6, 40, true, 14);
  fx_reset(&list);
}

/* ---- Texts and rounds ---- */

enum { TEXTS = 1500, TEXT_MOST = 48 };

/* Text number i, one of several shapes: short ones, ones that begin alike, ones that differ behind byte
 * 8 or 16 or in their length alone, zeros inside. Returns the length; some texts come twice. */
static int shape(int i, char text[TEXT_MOST]) {
  memset(text, 0, TEXT_MOST);
  int n = i / 6 % 211;
  switch (i % 6) {
  case 0:
    return sprintf(text, "%d", n);
  case 1:
    return sprintf(text, "customer-%04d", n);
  case 2:
    return sprintf(text, "%d-a-long-name-that-is-shared-%d", n % 3, n);
  case 3:
    return n % 24; /* zeros only */
  case 4:
    memset(text, 0xff, 20);
    return n % 20;
  default:
    return 6 + sprintf(text + 6, "%d", n); /* six zeros first */
  }
}

/* This rank's texts as one partition, whose batches have `batch_rows` rows. */
static rdd_status texts_part(const rdd_comm *comm, int64_t batch_rows, rdd_part *part_out,
                             rdd_err *err) {
  static const rdd_schema schema = {1, {{"user", RDD_UTF8}}};
  int32_t offsets[TEXTS + 1];
  char *bytes = rdd_alloc(TEXTS, TEXT_MOST);
  rdd_segment *segment = NULL;
  void *made = NULL;
  size_t size = 0;
  rdd_status st = rdd_segment_new(&segment, &schema, -1, err);
  for (int64_t i = comm->rank; i < TEXTS && !st;) {
    rdd_batch batch = {.column = {{bytes, offsets}}};
    for (offsets[0] = 0; batch.rows < batch_rows && i < TEXTS; i += comm->size, batch.rows++)
      offsets[batch.rows + 1] = offsets[batch.rows] + shape((int)i, bytes + offsets[batch.rows]);
    st = rdd_segment_append(segment, &batch, err);
  }
  if (!st) st = rdd_segment_finish(segment, &made, &size, err);
  if (!st) st = rdd_part_open(part_out, &schema, made, size, (void (*)(void *, size_t))NULL, err);
  rdd_segment_free(segment);
  rdd_free(bytes);
  return st;
}

static int compare_texts(const char *a, int64_t a_length, const char *b, int64_t b_length) {
  int order = memcmp(a, b, (size_t)(a_length < b_length ? a_length : b_length));
  return order ? order : (a_length > b_length) - (a_length < b_length);
}

/* Every text is there, in order, once, and is found; whatever a round is. */
static void texts_of_all_shapes(rdd_comm *comm) {
  static const int64_t most[] = {1, 200, 1 << 20};
  for (int m = 0; m < 3; m++) {
    rdd_err err = {0};
    rdd_part part = {0};
    als_ids *ids = NULL;
    bool ok = TK_OK(texts_part(comm, m ? 400 : 33, &part, &err), &err);
    rdd_parts parts = {.schema = {1, {{"user", RDD_UTF8}}}, .n = 1, .part = &part};
    ok = ok && TK_OK(als_ids_build_rounds(comm, &parts, 0, most[m], &ids, &err), &err);
    uint8_t seen[TEXTS] = {0};
    for (int i = 0; ok && i < TEXTS; i++) {
      char text[TEXT_MOST];
      int64_t length = shape(i, text), found = als_ids_find_utf8(ids, text, length);
      if (found < 0) TK_CHECK(!"a text is found");
      if (found >= 0 && found < TEXTS) seen[found] = 1;
    }
    for (int64_t i = 0; ok && i < ids->n; i++) {
      int64_t length, before;
      const char *text = als_ids_utf8(ids, i, &length);
      if (i >= TEXTS || !seen[i]) TK_CHECK(!"an id is one of the texts");
      if (i == 0) continue;
      const char *last = als_ids_utf8(ids, i - 1, &before);
      if (compare_texts(last, before, text, length) >= 0) TK_CHECK(!"ids rise");
    }
    als_memo memo;
    if (ok) als_memo_init(&memo, ids);
    for (int64_t b = 0; ok && b < part.batches; b++) {
      uint32_t dense[TEXTS];
      als_memo_find(&memo, &part.batch[b].column[0], 0, part.batch[b].rows, dense);
      for (int64_t i = 0; i < part.batch[b].rows; i++)
        if (dense[i] != als_ids_find(ids, &part.batch[b].column[0], i)) TK_CHECK(!"memo agrees");
    }
    if (ok) als_memo_reset(&memo);
    als_ids_free(ids);
    void *bytes = (void *)(uintptr_t)part.bytes;
    rdd_part_close(&part);
    rdd_free(bytes);
  }
}

const tk_comm_case ids_cases[IDS_CASES] = {
    {"integer ids", integers},
    {"string ids", strings},
    {"many small rounds", many_small_rounds},
    {"blocks of several rows", wide_blocks},
    {"ranks without data", ranks_without_data},
    {"large columns are sorted", large_columns_are_sorted},
    {"one row has all", one_row_has_all},
    {"texts of all shapes, rounds of all sizes", texts_of_all_shapes},
};
