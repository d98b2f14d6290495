/* A model's digest. Each rank sums its share of the rows; zlib joins the sums as if one had read all. */
#include "jobs/model_file.h"
#include "rdd/memory.h"

#include <stdio.h>
#include <zlib.h>

enum { IDS, FACTORS, BIASES, PARTS };

/* CRC-32 of some rows of each part of a side, and how many bytes that was. */
typedef struct sums {
  uint32_t crc[PARTS];
  int64_t bytes[PARTS];
} sums;

static void add(sums *s, int part, const void *from, int64_t bytes) {
  s->crc[part] = (uint32_t)crc32_z(s->crc[part], from, (size_t)bytes);
  s->bytes[part] += bytes;
}

static sums sum_rows(const als_factors *f, int k, int64_t first, int64_t end) {
  sums s = {{0}, {0}};
  const float *factors = rdd_table_data(f->factors),
              *bias = f->bias ? rdd_table_data(f->bias) : NULL;
  int64_t line = k * (int64_t)sizeof *factors;
  if (first == end) return s; /* zlib takes NULL for the beginning of a sum */
  if (f->ids->type == RDD_UTF8)
    for (int64_t i = first; i < end; i++) {
      int64_t length;
      const char *id = als_ids_utf8(f->ids, i, &length);
      if (length) add(&s, IDS, id, length);
      add(&s, IDS, "", 1);
    }
  else
    add(&s, IDS, (const int64_t *)rdd_table_data(f->ids->value) + first,
        (end - first) * (int64_t)sizeof(int64_t));
  add(&s, FACTORS, factors + first * k, (end - first) * line);
  if (bias) add(&s, BIASES, bias + first, (end - first) * (int64_t)sizeof *bias);
  return s;
}

/* All of a side: ids, then factors, then biases. */
static uint32_t join(const sums *of_rank, int ranks) {
  uLong crc = 0;
  for (int part = 0; part < PARTS; part++)
    for (int r = 0; r < ranks; r++)
      crc = crc32_combine(crc, of_rank[2 * r].crc[part], (z_off_t)of_rank[2 * r].bytes[part]);
  return (uint32_t)crc;
}

rdd_status job_model_digest(rdd_comm *comm, const als_model *model, char text[JOB_DIGEST_TEXT],
                            rdd_err *err) {
  sums own[2], *all = rdd_calloc((size_t)comm->size, sizeof own);
  rdd_status st = RDD_OK;
  if (!all) st = rdd_set(err, RDD_ENOMEM, "out of memory for the digest of a model");
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  for (int side = 0; side < 2; side++) {
    const als_factors *f = &model->side[side];
    int64_t n = f->ids->n, share = n / comm->size, more = n % comm->size, r = comm->rank;
    int64_t first = share * r + (r < more ? r : more);
    own[side] = sum_rows(f, model->k, first, first + share + (r < more));
  }
  rdd_allgather(comm, own, sizeof own, all);
  snprintf(text, JOB_DIGEST_TEXT, "%08x-%08x", join(all + ALS_USERS, comm->size),
           join(all + ALS_ITEMS, comm->size));
done:
  rdd_free(all);
  return st;
}
