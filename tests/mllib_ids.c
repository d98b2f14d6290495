/* Ids, blocks and sides on one rank, against straightforward answers. */
#include "mllib/blocks.h"
#include "mllib/ids.h"
#include "mllib/ratings.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rdd_comm *one(void) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

static void ids_are_sorted_and_distinct(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list list = {0};
  als_ids *ids = NULL;
  const int64_t in[] = {7, -3, 7, INT64_MAX, 0, INT64_MIN, -3, 7};
  const int64_t sorted[] = {INT64_MIN, -3, 0, 7, INT64_MAX};
  for (int i = 0; i < 8; i++) fx_add(&list, in[i], 1, 1);
  rdd_parts *parts = fx_parts(&list, 3, 2, false, comm);
  TK_OK(als_ids_build(comm, parts, ALS_USERS, &ids, &err), &err);
  TK_CHECK(ids->n == 5);
  for (int i = 0; i < 5; i++) {
    TK_CHECK(als_ids_int64(ids, i) == sorted[i]);
    TK_CHECK(als_ids_find_int64(ids, sorted[i]) == i);
  }
  TK_CHECK(als_ids_find_int64(ids, 1) == -1);
  TK_CHECK(als_ids_find_int64(ids, INT64_MIN + 1) == -1);
  TK_CHECK(als_ids_find(ids, &parts->part[0].batch[0].column[0], 1) == 1);
  als_ids_free(ids);
  rdd_parts_free(parts);
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* One batch of one text column in a partition of its own, its offsets not beginning at 0. */
static void text_ids_by_bytes_shorter_first(void) {
  static const char bytes[] = "??beeb\xc3\xa9"
                              "abB";
  static const int32_t offsets[] = {2, 3, 5, 5, 8, 10, 11}; /* b, ee, "", b + e acute, ab, B */
  static const char *const sorted[] = {"", "B", "ab", "b", "b\xc3\xa9", "ee"};
  rdd_err err = {0};
  rdd_comm *comm = one();
  rdd_batch batch = {.rows = 6, .column = {{bytes, offsets}}};
  rdd_part part = {.rows = 6, .batches = 1, .batch = &batch};
  rdd_parts parts = {.n = 1, .part = &part};
  als_ids *ids = NULL;
  char text[ALS_ID_TEXT];
  rdd_schema_add(&parts.schema, "user", RDD_UTF8);
  TK_OK(als_ids_build(comm, &parts, 0, &ids, &err), &err);
  TK_CHECK(ids->n == 6);
  for (int i = 0; i < 6; i++) {
    int64_t length = (int64_t)strlen(sorted[i]), found;
    const char *id = als_ids_utf8(ids, i, &found);
    TK_CHECK(found == length && memcmp(id, sorted[i], (size_t)length) == 0);
    TK_CHECK(als_ids_find_utf8(ids, sorted[i], length) == i);
    TK_CHECK(strcmp(als_ids_text(ids, i, text), sorted[i]) == 0);
  }
  TK_CHECK(als_ids_find_utf8(ids, "a", 1) == -1);
  TK_CHECK(als_ids_find_utf8(ids, "eee", 3) == -1);
  als_ids_free(ids);
  rdd_comm_close(comm);
}

static void ids_of_nothing_and_of_wrong_type(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list none = {0};
  als_ids *ids = NULL;
  rdd_parts *parts = fx_parts(&none, 2, 4, false, comm);
  TK_OK(als_ids_build(comm, parts, ALS_USERS, &ids, &err), &err);
  TK_CHECK(ids->n == 0 && als_ids_find_int64(ids, 0) == -1);
  als_ids_free(ids);
  TK_CHECK(als_ids_build(comm, parts, 2, &ids, &err) == RDD_EUSAGE);
  TK_CHECK(strstr(err.message, "rating is float32") != NULL);
  rdd_parts_free(parts);
  rdd_comm_close(comm);
}

static void long_ids_are_cut_in_messages(void) {
  static char bytes[200];
  static const int32_t offsets[] = {0, 200};
  rdd_err err = {0};
  rdd_comm *comm = one();
  rdd_batch batch = {.rows = 1, .column = {{bytes, offsets}}};
  rdd_part part = {.rows = 1, .batches = 1, .batch = &batch};
  rdd_parts parts = {.n = 1, .part = &part};
  als_ids *ids = NULL;
  char text[ALS_ID_TEXT];
  memset(bytes, 'x', sizeof bytes);
  rdd_schema_add(&parts.schema, "user", RDD_UTF8);
  TK_OK(als_ids_build(comm, &parts, 0, &ids, &err), &err);
  TK_CHECK(strlen(als_ids_text(ids, 0, text)) == ALS_ID_TEXT - 1);
  als_ids_free(ids);
  rdd_comm_close(comm);
}

static void blocks_depend_on_rows_alone(void) {
  const int64_t rows[] = {0, 1, 1024, 2047, 2048, 6040, 480189, 4194304, 50000000};
  const int64_t size[] = {1, 1, 1, 1, 2, 4, 256, 4096, 4096};
  for (int i = 0; i < 9; i++) {
    TK_CHECK(als_block_rows(rows[i]) == size[i]);
    TK_CHECK(als_block_count(rows[i]) == (rows[i] + size[i] - 1) / size[i]);
  }
}

/* Every block has one owner, the lookups agree, and no rank is far above its share. */
static void check_owners(int64_t rows, const int64_t *nnz, int k, int ranks) {
  rdd_err err = {0};
  als_blocks blocks = {0};
  TK_OK(als_blocks_init(&blocks, rows, nnz, k, ranks, &err), &err);
  TK_CHECK(blocks.owner[0] == 0 && blocks.owner[ranks] == blocks.blocks);
  double total = 0, most = 0;
  for (int r = 0; r < ranks; r++) {
    double cost = 0;
    TK_CHECK(blocks.owner[r] <= blocks.owner[r + 1]);
    for (int64_t b = blocks.owner[r]; b < blocks.owner[r + 1]; b++) {
      int64_t in_block = b + 1 < blocks.blocks ? blocks.block_rows : rows - b * blocks.block_rows;
      double one_block = (double)in_block * k * k / 3 + (nnz ? (double)nnz[b] * (k + 1) : 0);
      cost += one_block;
      if (one_block > most) most = one_block;
    }
    for (int64_t i = als_blocks_row(&blocks, r); i < als_blocks_row(&blocks, r + 1); i++)
      if (als_blocks_rank(&blocks, i) != r) TK_CHECK(!"the owner of a row is its rank");
    total += cost;
  }
  TK_CHECK(als_blocks_row(&blocks, 0) == 0 && als_blocks_row(&blocks, ranks) == rows);
  for (int r = 0; r < ranks; r++) {
    double cost = 0;
    for (int64_t b = blocks.owner[r]; b < blocks.owner[r + 1]; b++) {
      int64_t in_block = b + 1 < blocks.blocks ? blocks.block_rows : rows - b * blocks.block_rows;
      cost += (double)in_block * k * k / 3 + (nnz ? (double)nnz[b] * (k + 1) : 0);
    }
    TK_CHECK(cost <= total / ranks + most + 1);
  }
  als_blocks_reset(&blocks);
}

static void blocks_are_dealt_out_by_cost(void) {
  enum { ROWS = 5000 };
  int64_t nnz[ROWS];
  for (int i = 0; i < ROWS; i++) nnz[i] = i % 7 == 0 ? 900 : i / 100;
  for (int ranks = 1; ranks <= 9; ranks++) {
    check_owners(ROWS, nnz, 10, ranks);
    check_owners(ROWS, NULL, 10, ranks);
    check_owners(3, nnz, 10, ranks);
    check_owners(0, NULL, 1, ranks);
  }
  check_owners(ROWS, nnz, 4096, 3);
}

static int compare_ratings(const void *a, const void *b) {
  const fx_rating *x = a, *y = b;
  uint32_t x_bits, y_bits;
  memcpy(&x_bits, &x->value, sizeof x_bits);
  memcpy(&y_bits, &y->value, sizeof y_bits);
  if (x->user != y->user) return x->user > y->user ? 1 : -1;
  if (x->item != y->item) return x->item > y->item ? 1 : -1;
  return (x_bits > y_bits) - (x_bits < y_bits);
}

/* The side's own rows are the sorted list, whatever `by` is. */
static void check_side(const als_side *side, const fx_list *list, int by,
                       const als_ids *const ids[2]) {
  fx_list sorted = {0};
  for (int64_t r = 0; r < list->n; r++) {
    int64_t id[2] = {list->at[r].user, list->at[r].item};
    fx_add(&sorted, id[by], id[!by], list->at[r].value);
  }
  qsort(sorted.at, (size_t)sorted.n, sizeof *sorted.at, compare_ratings);
  int64_t at = 0;
  TK_CHECK(side->start[side->rows] == list->n);
  for (int64_t r = 0; r < side->rows; r++) {
    for (int64_t e = side->start[r]; e < side->start[r + 1] && at < sorted.n; e++, at++) {
      const fx_rating *want = &sorted.at[at];
      bool same = als_ids_int64(ids[by], side->first + r) == want->user &&
                  als_ids_int64(ids[!by], side->entry[e].column) == want->item &&
                  memcmp(&side->entry[e].value, &want->value, sizeof(float)) == 0;
      if (!same) TK_CHECK(!"an entry is the sorted list's");
    }
  }
  fx_reset(&sorted);
}

static void sides_hold_the_sorted_ratings(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(60, 30, 2, 90, 1, &list); /* rows of 90 (radix) and shorter ones (insertion) */
  fx_add(&list, -50, -1000, -0.0f);
  fx_add(&list, -50, -1000, 0.0f);
  fx_shuffle(&list, 3);
  for (int64_t round = 0; round <= 7; round += 7) {
    fx_setup setup = {.train = &list, .partitions = 5, .batch_rows = 100, .round = round};
    setup.params.rank = 4;
    fx_fit fit;
    if (fx_open(&fit, comm, &setup)) {
      const als_ids *const ids[2] = {fit.model->side[0].ids, fit.model->side[1].ids};
      check_side(&fit.problem.side[ALS_USERS], &list, ALS_USERS, ids);
      check_side(&fit.problem.side[ALS_ITEMS], &list, ALS_ITEMS, ids);
      TK_CHECK(fit.problem.ratings == list.n);
    }
    fx_close(&fit);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

static void unknown_ids_are_left_out_and_counted(void) {
  rdd_err err = {0};
  rdd_comm *comm = one();
  fx_list train = {0}, test = {0};
  for (int i = 0; i < 5; i++) fx_add(&train, i, 10 * i, 1);
  fx_add(&test, 1, 20, 2);
  fx_add(&test, 1, 25, 2); /* unknown item */
  fx_add(&test, 9, 20, 2); /* unknown user */
  fx_add(&test, 9, 25, 2); /* both: one rating */
  fx_setup setup = {.train = &train, .partitions = 1, .batch_rows = 64};
  setup.params.rank = 2;
  fx_fit fit;
  if (fx_open(&fit, comm, &setup)) {
    const als_ids *const ids[2] = {fit.model->side[0].ids, fit.model->side[1].ids};
    als_side side = {0};
    int64_t cold = 0;
    rdd_parts *parts = fx_parts(&test, 2, 64, false, comm);
    const als_blocks *blocks = &fit.problem.side[ALS_USERS].blocks;
    TK_OK(als_side_build(comm, parts, ALS_USERS, ids, blocks, 2, 0, &side, &cold, &err), &err);
    TK_CHECK(cold == 3);
    TK_CHECK(side.rows == 5 && side.start[5] == 1 && side.start[1] == 0 && side.start[2] == 1);
    TK_CHECK(side.entry[0].column == 2 && side.entry[0].value == 2);
    als_side_reset(&side);
    rdd_parts_free(parts);

    parts = fx_parts(&test, 1, 64, true, comm);
    TK_CHECK(als_side_build(comm, parts, ALS_USERS, ids, blocks, 2, 0, &side, &cold, &err) ==
             RDD_EDATA);
    TK_CHECK(strstr(err.message, "user ids of these ratings are utf8") != NULL);
    rdd_parts_free(parts);
  }
  fx_close(&fit);
  fx_reset(&train);
  fx_reset(&test);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"ids are sorted and distinct", ids_are_sorted_and_distinct},
      {"text ids are ordered by bytes, shorter first", text_ids_by_bytes_shorter_first},
      {"no ids, and a column that cannot be ids", ids_of_nothing_and_of_wrong_type},
      {"long ids are cut in messages", long_ids_are_cut_in_messages},
      {"blocks depend on the number of rows alone", blocks_depend_on_rows_alone},
      {"blocks are dealt out by cost", blocks_are_dealt_out_by_cost},
      {"sides hold the sorted ratings", sides_hold_the_sorted_ratings},
      {"unknown ids are left out and counted", unknown_ids_are_left_out_and_counted},
  };
  return tk_main("mllib ids", cases, sizeof cases / sizeof *cases);
}
