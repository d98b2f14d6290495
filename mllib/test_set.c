/* Held-out ratings under ids of their own: users and items that the model lacks are part of the picture,
 * and users that are not held out cost nothing. */
#include "mllib/metrics.h"

#include "rdd/memory.h"

#include <inttypes.h>

/* The model's dense index of id number i of other ids of the same type. */
static int64_t find(const als_ids *model, const als_ids *ids, int64_t i) {
  if (ids->type == RDD_INT64) return als_ids_find_int64(model, als_ids_int64(ids, i));
  int64_t length;
  const char *text = als_ids_utf8(ids, i, &length);
  return als_ids_find_utf8(model, text, length);
}

static rdd_status find_all(als_test_set *set, int side, const als_ids *model, rdd_err *err) {
  const als_ids *ids = set->ids[side];
  set->index[side] = rdd_alloc((size_t)ids->n, sizeof(int64_t));
  if (!set->index[side])
    return rdd_set(err, RDD_ENOMEM, "out of memory for %" PRId64 " ids", ids->n);
  set->cold[side] = 0;
  for (int64_t i = 0; i < ids->n; i++) {
    set->index[side][i] = find(model, ids, i);
    set->cold[side] += set->index[side][i] < 0;
  }
  return RDD_OK;
}

rdd_status als_test_set_build(rdd_comm *comm, const als_model *model, rdd_parts *parts,
                              als_test_set *out, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t none;
  for (int s = 0; s < 2; s++) {
    st = als_ids_build(comm, parts, s, &out->ids[s], err);
    if (st) return st;
    st = rdd_agree(comm, find_all(out, s, model->side[s].ids, err), err);
    if (st) return st;
  }
  const als_ids *const ids[2] = {out->ids[ALS_USERS], out->ids[ALS_ITEMS]};
  return als_side_build(comm, parts, ALS_USERS, ids, NULL, model->k, 0, &out->by_user, &none, err);
}

rdd_status als_test_set_match(rdd_comm *comm, const als_test_set *set, const als_model *model,
                              rdd_parts *parts, als_side *out, int64_t *unused_out, rdd_err *err) {
  const als_ids *const ids[2] = {set->ids[ALS_USERS], model->side[ALS_ITEMS].ids};
  return als_side_build(comm, parts, ALS_USERS, ids, &set->by_user.blocks, model->k, 0, out,
                        unused_out, err);
}

void als_test_set_reset(als_test_set *set) {
  als_side_reset(&set->by_user);
  for (int s = 0; s < 2; s++) {
    als_ids_free(set->ids[s]);
    rdd_free(set->index[s]);
  }
  *set = (als_test_set){0};
}

als_held_out als_test_set_view(const als_test_set *set, const als_model *model) {
  return (als_held_out){.model = model,
                        .test = &set->by_user,
                        .user = set->index[ALS_USERS],
                        .item = set->index[ALS_ITEMS]};
}
