/* Blocks in HDF5 files. See block_store.h and docs/formats.md.
 *
 *   block-<key>-<partition>.h5    key: a hash of the RDD's name, its fingerprint, its partitions
 *
 *   /batch_rows        int64, rows of each batch: a block comes back in the batches it had
 *   /columns/<name>    its values, one batch after the other; of text, the bytes
 *   /columns/<name>_length    of text: int32, bytes of each value
 *
 * Blocks are written and read in forked tasks. Several may write the same one at a time: each has a
 * temporary file of its own, and the last rename wins. */
#include "jobs/block_store.h"

#include "jobs/h5.h"
#include "jobs/output.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_ROWS = RDD_BATCH_ROWS, NAME = 64 };

typedef struct block_store {
  rdd_store base; /* has to be first */
  job_run *run;
  char dir[PATH_MAX];
} block_store;

static const char *path_of(const rdd_store *store, const rdd_block *block, char path[PATH_MAX]) {
  uint64_t key = rdd_hash_bytes(block->rdd, strlen(block->rdd));
  key = rdd_mix64_2(rdd_mix64_2(key, block->fingerprint), (uint64_t)block->partitions);
  snprintf(path, PATH_MAX, "%.*s/block-%016llx-%lld.h5", PATH_MAX - 60,
           ((const block_store *)store)->dir, (unsigned long long)key, (long long)block->partition);
  return path;
}

static const char *length_name(const char *column, char name[NAME]) {
  snprintf(name, NAME, "%.40s_length", column);
  return name;
}

/* Bytes of values of a column of one batch, in elements of its type. */
static int64_t elements(rdd_type type, const rdd_batch *batch, int c) {
  const int32_t *offsets = batch->column[c].offsets;
  return type == RDD_UTF8 ? (int64_t)offsets[batch->rows] - offsets[0] : batch->rows;
}

/* ---- put ---- */

static rdd_status write_values(hid_t group, const rdd_field *field, int c, const rdd_part *part,
                               rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  int64_t at = 0, all = 0;
  for (int64_t b = 0; b < part->batches; b++) all += elements(field->type, &part->batch[b], c);
  rdd_status st = job_h5_dataset_plain(&dataset, group, field->name, job_h5_file_type(field->type),
                                       all, 0, CHUNK_ROWS, "values of the column, all batches",
                                       NULL, err);
  for (int64_t b = 0; b < part->batches && !st; b++) {
    const rdd_batch *batch = &part->batch[b];
    const char *values = batch->column[c].values;
    int64_t n = elements(field->type, batch, c);
    if (field->type == RDD_UTF8) values += batch->column[c].offsets[0];
    st = job_h5_write_rows(dataset, job_h5_memory_type(field->type), at, n, values, err);
    at += n;
  }
  return job_h5_dataset_close(dataset, st, err);
}

static rdd_status write_lengths(hid_t group, const rdd_field *field, int c, const rdd_part *part,
                                rdd_err *err) {
  char name[NAME];
  hid_t dataset = H5I_INVALID_HID;
  int64_t at = 0;
  rdd_status st = job_h5_dataset_plain(&dataset, group, length_name(field->name, name),
                                       H5T_STD_I32LE, part->rows, 0, CHUNK_ROWS,
                                       "bytes of each text of the column", "byte", err);
  for (int64_t b = 0; b < part->batches && !st; b++) {
    const rdd_batch *batch = &part->batch[b];
    const int32_t *offsets = batch->column[c].offsets;
    int32_t length[1024];
    for (int64_t i = 0; i < batch->rows && !st;) {
      int64_t n = 0;
      for (; n < 1024 && i < batch->rows; n++, i++) length[n] = offsets[i + 1] - offsets[i];
      st = job_h5_write_rows(dataset, H5T_NATIVE_INT32, at, n, length, err);
      at += n;
    }
  }
  return job_h5_dataset_close(dataset, st, err);
}

static rdd_status write_batch_rows(hid_t file, const rdd_part *part, rdd_err *err) {
  hid_t dataset = H5I_INVALID_HID;
  rdd_status st = job_h5_dataset_plain(&dataset, file, "batch_rows", H5T_STD_I64LE, part->batches,
                                       0, 1024, "rows of each batch", NULL, err);
  for (int64_t b = 0; b < part->batches && !st; b++)
    st = job_h5_write_rows(dataset, H5T_NATIVE_INT64, b, 1, &part->batch[b].rows, err);
  return job_h5_dataset_close(dataset, st, err);
}

static rdd_status write_block(hid_t file, const rdd_block *block, const rdd_schema *schema,
                              const rdd_part *part, rdd_err *err) {
  hid_t group = H5I_INVALID_HID;
  rdd_status st = job_h5_set_string(file, "rdd", block->rdd, err);
  if (!st) st = job_h5_set_int(file, "fingerprint", (int64_t)block->fingerprint, err);
  if (!st) st = job_h5_set_int(file, "partition", block->partition, err);
  if (!st) st = job_h5_set_int(file, "partitions", block->partitions, err);
  if (!st) st = job_h5_set_int(file, "rows", part->rows, err);
  if (!st) st = write_batch_rows(file, part, err);
  if (!st) st = job_h5_group(&group, file, "columns", "the columns of one partition", err);
  for (int c = 0; c < schema->columns && !st; c++) {
    const rdd_field *field = &schema->field[c];
    st = write_values(group, field, c, part, err);
    if (!st && field->type == RDD_UTF8) st = write_lengths(group, field, c, part, err);
  }
  if (group >= 0) H5Gclose(group);
  return st;
}

static rdd_status put(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                      const rdd_part *part, rdd_err *err) {
  char path[PATH_MAX];
  job_run *run = ((block_store *)store)->run;
  job_output *output = NULL;
  hid_t file = H5I_INVALID_HID;
  rdd_status st = job_output_open(&output, path_of(store, block, path), err);
  if (st) return st;
  st = job_h5_create_checked(&file, job_output_path(output), "block", err);
  if (!st) st = write_block(file, block, schema, part, err);
  if (st) {
    job_h5_in_file(err, path);
    goto done;
  }
  st = job_h5_close(file, path, err);
  file = H5I_INVALID_HID;
  if (!st) st = job_h5_seal(job_output_path(output), err);
  if (st) goto done;
  st = job_output_commit(output, err);
  output = NULL;
  int64_t cut = job_fault_cut(run, "block", block->partition);
  if (!st && (cut >= 0 || job_fault_corrupt(run, "block", block->partition)))
    job_output_damage(path, cut);
done:
  job_h5_drop(file);
  job_output_abandon(output);
  return st;
}

/* ---- get ---- */

/* Everything of a block in memory. */
typedef struct image {
  int64_t rows, batches;
  int64_t *batch_rows;               /* [batches] */
  void *values[RDD_MAX_COLUMNS];     /* all batches */
  int64_t n[RDD_MAX_COLUMNS];        /* elements of values */
  int32_t *length[RDD_MAX_COLUMNS];  /* utf8: [rows] */
  int32_t *offsets[RDD_MAX_COLUMNS]; /* utf8: of one batch */
} image;

static void image_reset(image *m) {
  rdd_free(m->batch_rows);
  for (int c = 0; c < RDD_MAX_COLUMNS; c++) {
    rdd_free(m->values[c]);
    rdd_free(m->length[c]);
    rdd_free(m->offsets[c]);
  }
}

/* A whole dataset of one dimension. */
static rdd_status read_all(hid_t where, const char *name, hid_t type, size_t size, void **out,
                           int64_t *n_out, rdd_err *err) {
  int64_t dims[2] = {0, 0};
  hid_t dataset = H5Dopen2(where, name, H5P_DEFAULT);
  rdd_status st = RDD_OK;
  if (dataset < 0 || !job_h5_shape(dataset, dims) || dims[1] != 0)
    st = rdd_set(err, RDD_EIO, "dataset %s is missing or damaged", name);
  if (!st) {
    *out = rdd_alloc((size_t)dims[0], size);
    if (!*out)
      st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld values of a block", (long long)dims[0]);
  }
  if (!st) st = job_h5_read_rows(dataset, type, 0, dims[0], *out, err);
  if (!st) *n_out = dims[0];
  if (dataset >= 0) H5Dclose(dataset);
  return st;
}

static rdd_status read_column(hid_t group, const rdd_field *field, int c, image *m, rdd_err *err) {
  char name[NAME];
  int64_t lengths = 0, bytes = 0;
  rdd_status st = read_all(group, field->name, job_h5_memory_type(field->type),
                           rdd_type_size(field->type), &m->values[c], &m->n[c], err);
  if (st) return st;
  if (field->type != RDD_UTF8)
    return m->n[c] == m->rows ? RDD_OK
                              : rdd_set(err, RDD_EIO, "column %s has %lld values, expected %lld",
                                        field->name, (long long)m->n[c], (long long)m->rows);
  st = read_all(group, length_name(field->name, name), H5T_NATIVE_INT32, sizeof(int32_t),
                (void **)&m->length[c], &lengths, err);
  if (st) return st;
  bool good = lengths == m->rows;
  for (int64_t i = 0; i < lengths && good; i++) {
    good = m->length[c][i] >= 0;
    bytes += m->length[c][i];
  }
  if (!good || bytes != m->n[c])
    return rdd_set(err, RDD_EIO, "the texts of column %s do not fit their lengths", field->name);
  m->offsets[c] = rdd_alloc((size_t)m->rows + 1, sizeof *m->offsets[c]);
  return m->offsets[c] ? RDD_OK : rdd_set(err, RDD_ENOMEM, "out of memory for a block");
}

/* Is it the block that its name says? */
static rdd_status check_identity(hid_t file, const rdd_block *block, rdd_err *err) {
  const char *const name[3] = {"fingerprint", "partition", "partitions"};
  const int64_t expected[3] = {(int64_t)block->fingerprint, block->partition, block->partitions};
  for (int i = 0; i < 3; i++) {
    int64_t found;
    if (!job_h5_get_int(file, name[i], &found) || found != expected[i])
      return rdd_set(err, RDD_EIO, "is not the block that it is named after: %s is another",
                     name[i]);
  }
  return RDD_OK;
}

static rdd_status read_block(hid_t file, const rdd_block *block, const rdd_schema *schema, image *m,
                             rdd_err *err) {
  int64_t rows = 0;
  hid_t group = H5I_INVALID_HID;
  rdd_status st = check_identity(file, block, err);
  if (!st)
    st = read_all(file, "batch_rows", H5T_NATIVE_INT64, sizeof(int64_t), (void **)&m->batch_rows,
                  &m->batches, err);
  if (st) return st;
  bool good = job_h5_get_int(file, "rows", &m->rows);
  for (int64_t b = 0; b < m->batches && good; b++) {
    good = m->batch_rows[b] >= 1 && m->batch_rows[b] <= m->rows - rows; /* no sum overflows */
    rows += good ? m->batch_rows[b] : 0;
  }
  if (!good || m->rows != rows)
    return rdd_set(err, RDD_EIO, "the rows of its batches are not those that it has in all");
  group = H5Gopen2(file, "columns", H5P_DEFAULT);
  if (group < 0) return rdd_set(err, RDD_EIO, "group columns is missing");
  for (int c = 0; c < schema->columns && !st; c++)
    st = read_column(group, &schema->field[c], c, m, err);
  H5Gclose(group);
  return st;
}

/* The columns of the next batch: views into the image. first: its first row; at: [columns] elements
 * before it, moved on. */
static rdd_batch view_batch(const rdd_schema *schema, const image *m, int64_t first, int64_t rows,
                            int64_t *at) {
  rdd_batch batch = {.rows = rows};
  for (int c = 0; c < schema->columns; c++) {
    rdd_type type = schema->field[c].type;
    rdd_column *column = &batch.column[c];
    column->values = (const char *)m->values[c] + (size_t)at[c] * rdd_type_size(type);
    if (type == RDD_UTF8) {
      int32_t *offsets = m->offsets[c];
      offsets[0] = 0;
      for (int64_t i = 0; i < rows; i++) offsets[i + 1] = offsets[i] + m->length[c][first + i];
      column->offsets = offsets;
      at[c] += offsets[rows];
    } else {
      at[c] += rows;
    }
  }
  return batch;
}

static void free_segment(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

static rdd_status make_part(const rdd_schema *schema, const image *m, rdd_part *part,
                            rdd_err *err) {
  rdd_segment *segment = NULL;
  void *bytes = NULL;
  size_t size = 0;
  int64_t at[RDD_MAX_COLUMNS] = {0}, first = 0;
  rdd_status st = rdd_segment_new(&segment, schema, -1, err);
  for (int64_t b = 0; b < m->batches && !st; b++) {
    rdd_batch batch = view_batch(schema, m, first, m->batch_rows[b], at);
    st = rdd_segment_append(segment, &batch, err);
    first += m->batch_rows[b];
  }
  if (!st) st = rdd_segment_finish(segment, &bytes, &size, err);
  if (!st) st = rdd_part_open(part, schema, bytes, size, free_segment, err);
  if (st) rdd_free(bytes);
  rdd_segment_free(segment);
  return st;
}

static rdd_status get(rdd_store *store, const rdd_block *block, const rdd_schema *schema,
                      rdd_part *part_out, rdd_err *err) {
  char path[PATH_MAX], kind[32] = "";
  image m = {0};
  hid_t file = H5I_INVALID_HID;
  rdd_status st = job_h5_open_sealed(&file, path_of(store, block, path), kind, err);
  if (!st && strcmp(kind, "block"))
    st = rdd_set(err, RDD_EIO, "%s: holds %s, expected a block", path, kind);
  if (!st) {
    st = read_block(file, block, schema, &m, err);
    if (st) job_h5_in_file(err, path);
  }
  job_h5_drop(file);
  if (!st) st = make_part(schema, &m, part_out, err);
  image_reset(&m);
  if (st == RDD_EDATA) st = err->code = RDD_EIO; /* damaged: nothing is wrong with the job's data */
  return st;
}

/* ---- The rest ---- */

static bool has(rdd_store *store, const rdd_block *block) {
  char path[PATH_MAX];
  return access(path_of(store, block, path), R_OK) == 0;
}

static void drop(rdd_store *store, const rdd_block *block) {
  char path[PATH_MAX];
  unlink(path_of(store, block, path));
}

rdd_status job_block_store_open(rdd_store **out, const char *dir, bool sweep, job_run *run,
                                rdd_err *err) {
  if (H5open() < 0) return rdd_set(err, RDD_EINTERNAL, "HDF5 does not start");
  rdd_status st = job_make_folder(dir, err);
  if (st) return st;
  block_store *store = rdd_calloc(1, sizeof *store);
  if (!store) return rdd_set(err, RDD_ENOMEM, "out of memory for a store of blocks");
  store->base = (rdd_store){.put = put, .get = get, .has = has, .drop = drop};
  store->run = run;
  snprintf(store->dir, sizeof store->dir, "%s", dir);
  if (sweep) job_output_sweep(dir, "block-");
  *out = &store->base;
  return RDD_OK;
}

/* block-<16 hexadecimal digits>-<number>.h5 */
static bool is_block(const char *name) {
  int end = 0;
  return sscanf(name, "block-%*16[0-9a-f]-%*[0-9].h5%n", &end) == 0 && end > 0 && !name[end];
}

void job_block_store_remove(rdd_store *store) {
  const char *dir = ((block_store *)store)->dir;
  char path[PATH_MAX];
  DIR *list = opendir(dir);
  if (!list) return;
  for (struct dirent *entry; (entry = readdir(list));) {
    if (!is_block(entry->d_name)) continue;
    if (snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) < PATH_MAX) unlink(path);
  }
  closedir(list);
  rmdir(dir); /* where it is empty */
}

void job_block_store_close(rdd_store *store) {
  rdd_free(store);
}
