/* Fuzz targets of the HDF5 files: ratings, models, checkpoints, blocks. See fuzz.h.
 *
 * An input is a list of changes to a well-formed file, of one of two kinds:
 *
 *   edits     made through HDF5: other types, shapes, values, attributes, links. The file is sound, and
 *             what is in it is not what the reader expects. Any crash is ours.
 *   patches   of the file's bytes, under a checksum that is then made right again. HDF5 itself may crash
 *             on those, so its
 *             death is contained and counted; see fuzz_contain.c. */
#include "jobs/block_store.h"
#include "jobs/h5.h"
#include "jobs/input_impl.h"
#include "jobs/model_file.h"
#include "rdd/memory.h"
#include "tests/fuzz.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY_ROWS = 100000, SEAL_BYTES = 16 };

/* ---- The well-formed file of a kind ---- */

typedef struct base {
  char *bytes;
  size_t size;
  bool sealed;                  /* what is made of it gets a checksum at its end */
  const char *const *dataset;   /* what edits change, NULL after the last */
  const char *const *attribute; /* of the root */
} base;

/* Model files tell where and when they were made; here always the same, so that patches hit the same
 * bytes everywhere. In front of the C library's. */
int gethostname(char *name, size_t room) {
  snprintf(name, room, "fuzz");
  return 0;
}

static void load(base *b, const char *path) {
  enum { MOST = 1 << 20 };
  b->bytes = malloc(MOST);
  FILE *file = fopen(path, "rb");
  FZ_CHECK(b->bytes && file, "cannot read %s", path);
  b->size = fread(b->bytes, 1, MOST, file);
  FZ_CHECK(b->size > SEAL_BYTES && b->size < MOST, "%s has %zu bytes", path, b->size);
  fclose(file);
  unlink(path);
  if (!memcmp(b->bytes + b->size - SEAL_BYTES, "gplkseal", 8)) b->size -= SEAL_BYTES;
}

static void unload(base *b) {
  free(b->bytes);
  b->bytes = NULL;
}

/* ---- Edits ---- */

static const uint64_t extents[] = {0,
                                   1,
                                   2,
                                   3,
                                   5,
                                   7,
                                   300,
                                   (uint64_t)1 << 31,
                                   ((uint64_t)1 << 32) + 1,
                                   (uint64_t)1 << 40,
                                   (uint64_t)1 << 61,
                                   ((uint64_t)1 << 63) - 1,
                                   (uint64_t)1 << 63,
                                   ((uint64_t)1 << 63) + 3};
enum { EXTENTS = sizeof extents / sizeof extents[0] };

/* A type of its own. Close it. */
static hid_t make_type(int which) {
  const hid_t number[] = {H5T_STD_I8LE,   H5T_STD_U8LE,   H5T_STD_I16BE,  H5T_STD_I32LE,
                          H5T_STD_U32LE,  H5T_STD_I64LE,  H5T_STD_U64LE,  H5T_STD_I64BE,
                          H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_IEEE_F64BE, H5T_STD_B8LE};
  enum { NUMBERS = sizeof number / sizeof number[0] };
  if (which < NUMBERS) return H5Tcopy(number[which]);
  hid_t type;
  switch (which - NUMBERS) {
  case 0:
    return job_h5_text_type();
  case 1:
    type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 5);
    return type;
  case 2:
    return H5Tcreate(H5T_OPAQUE, 8);
  case 3:
    return H5Tenum_create(H5T_STD_I64LE);
  case 4:
    return H5Tvlen_create(H5T_STD_I64LE);
  default:
    type = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(type, "x", 0, H5T_STD_I64LE);
    return type;
  }
}
enum { TYPES = 18 };

/* Where n values of a type come from the input. Strings of variable length point into `text`. */
enum { VALUES = 64, VALUE_BYTES = 16 };
typedef struct values {
  char bytes[VALUES * VALUE_BYTES];
  const char *string[VALUES];
  hvl_t list[VALUES];
  char text[VALUES][8];
} values;

static const void *take_values(fz_input *in, values *v, hid_t type, int n) {
  memset(v, 0, sizeof *v);
  size_t size = H5Tget_size(type);
  if (H5Tget_class(type) == H5T_VLEN) return v->list;
  if (H5Tis_variable_str(type) > 0) {
    for (int i = 0; i < n; i++) {
      for (int j = 0, length = fz_choose(in, 8); j < length; j++) v->text[i][j] = (char)fz_byte(in);
      v->string[i] = v->text[i];
    }
    return v->string;
  }
  for (size_t i = 0; i < (size_t)n * size && i < sizeof v->bytes && in->n > 0; i++)
    v->bytes[i] = (char)fz_byte(in);
  return v->bytes;
}

/* A space of 0 to 3 dimensions, or an empty one; how many elements, or more than VALUES. */
static hid_t take_space(fz_input *in, bool growing, int *rank_out, int *n_out) {
  int rank = fz_choose(in, 5);
  hsize_t dims[3], most[3];
  uint64_t n = 1;
  *rank_out = rank;
  *n_out = 1;
  if (rank == 4) return H5Screate(H5S_NULL);
  if (rank == 0) return H5Screate(H5S_SCALAR);
  for (int d = 0; d < rank; d++) {
    dims[d] = extents[fz_choose(in, EXTENTS)];
    most[d] = growing ? H5S_UNLIMITED : dims[d];
    n = dims[d] <= VALUES && n <= VALUES ? n * dims[d] : VALUES + 1;
  }
  *n_out = n <= VALUES ? (int)n : VALUES + 1;
  return H5Screate_simple(rank, dims, most);
}

/* Another dataset in the place of one. */
static void edit_dataset(hid_t file, const char *name, fz_input *in) {
  static const hsize_t chunk[3] = {4, 2, 2};
  static values v;
  int rank, n;
  bool chunked = fz_choose(in, 2);
  hid_t type = make_type(fz_choose(in, TYPES)), space = take_space(in, chunked, &rank, &n);
  hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_alloc_time(list, chunked ? H5D_ALLOC_TIME_INCR : H5D_ALLOC_TIME_LATE);
  if (chunked && rank >= 1 && rank <= 3) H5Pset_chunk(list, rank, chunk);
  H5Ldelete(file, name, H5P_DEFAULT);
  hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  if (dataset >= 0 && n <= VALUES)
    H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, take_values(in, &v, type, n));
  H5Dclose(dataset);
  H5Pclose(list);
  H5Sclose(space);
  H5Tclose(type);
}

/* One element of a dataset gets another value, of 8 bytes or 8 characters. */
static void edit_value(hid_t file, const char *name, fz_input *in) {
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  if (dataset < 0) return;
  hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  hid_t one = H5Screate(H5S_SCALAR);
  hsize_t at[3] = {0}, dims[3] = {0};
  int rank = H5Sget_simple_extent_ndims(space);
  uint64_t row = fz_byte(in), bits = fz_number(in, 8);
  char text[9] = "";
  const char *string = text;
  double real;
  memcpy(text, &bits, 8);
  memcpy(&real, &bits, 8);
  if (rank >= 1 && rank <= 2 && H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
      dims[0] > 0) {
    at[0] = row % dims[0];
    if (rank == 2 && dims[1] > 0) at[1] = row % dims[1];
    H5Sselect_elements(space, H5S_SELECT_SET, 1, at);
    if (H5Tget_class(type) == H5T_FLOAT)
      H5Dwrite(dataset, H5T_NATIVE_DOUBLE, one, space, H5P_DEFAULT, &real);
    else if (H5Tget_class(type) == H5T_INTEGER)
      H5Dwrite(dataset, H5T_NATIVE_INT64, one, space, H5P_DEFAULT, &bits);
    else if (H5Tis_variable_str(type) > 0)
      H5Dwrite(dataset, type, one, space, H5P_DEFAULT, &string);
  }
  H5Sclose(one);
  H5Sclose(space);
  H5Tclose(type);
  H5Dclose(dataset);
}

static void edit_extent(hid_t file, const char *name, fz_input *in) {
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  hsize_t dims[2] = {extents[fz_choose(in, EXTENTS)], 2};
  if (dataset < 0) return;
  H5Dset_extent(dataset, dims);
  H5Dclose(dataset);
}

static void edit_attribute(hid_t file, const char *name, fz_input *in) {
  static values v;
  int rank, n;
  hid_t type = make_type(fz_choose(in, TYPES)), space = take_space(in, false, &rank, &n);
  H5Adelete(file, name);
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute >= 0 && n <= VALUES) H5Awrite(attribute, type, take_values(in, &v, type, n));
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

static const char *take_name(fz_input *in, const char *const *name) {
  int n = 0;
  while (name[n]) n++;
  return name[fz_choose(in, n)];
}

static void edit(hid_t file, const base *b, fz_input *in) {
  int what = fz_choose(in, 8);
  const char *name = take_name(in, what == 2 || what == 3 ? b->attribute : b->dataset);
  switch (what) {
  case 0:
    edit_dataset(file, name, in);
    break;
  case 1:
    edit_value(file, name, in);
    break;
  case 2:
    edit_attribute(file, name, in);
    break;
  case 3:
    H5Adelete(file, name);
    break;
  case 4:
    H5Ldelete(file, name, H5P_DEFAULT);
    break;
  case 5:
    edit_extent(file, name, in);
    break;
  case 6: /* one dataset by two names */
    H5Ldelete(file, name, H5P_DEFAULT);
    H5Lcreate_hard(file, take_name(in, b->dataset), file, name, H5P_DEFAULT, H5P_DEFAULT);
    break;
  default: /* a link to nowhere, to itself, or a group */
    H5Ldelete(file, name, H5P_DEFAULT);
    if (fz_choose(in, 2))
      H5Lcreate_soft(name, file, name, H5P_DEFAULT, H5P_DEFAULT);
    else
      H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
}

/* The base with all edits of the input. */
static void make_edited(const base *b, fz_input *in, const char *path) {
  rdd_err err = {0};
  fz_write(path, b->bytes, b->size);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  FZ_CHECK(file >= 0, "the base does not open: %s", job_h5_why());
  while (in->n > 0) edit(file, b, in);
  H5Fclose(file);
  if (b->sealed) FZ_CHECK(!job_h5_seal(path, &err), "%s", err.message);
}

/* ---- Patches ---- */

static void make_patched(const base *b, fz_input *in, const char *path) {
  static const int width[] = {1, 2, 4, 8, 0};
  rdd_err err = {0};
  size_t size = b->size;
  char *bytes = malloc(size);
  FZ_CHECK(bytes, "no memory");
  memcpy(bytes, b->bytes, size);
  while (in->n > 0) {
    int n = width[fz_choose(in, 5)];
    size_t at = fz_number(in, 2) % b->size;
    if (n == 0 && at < size) size = at; /* cut */
    uint64_t value = fz_number(in, n);
    if (at + (size_t)n <= size) memcpy(bytes + at, &value, (size_t)n);
  }
  fz_write(path, bytes, size);
  free(bytes);
  if (b->sealed) FZ_CHECK(!job_h5_seal(path, &err), "%s", err.message);
}

/* ---- A run of any of the targets ---- */

/* Handles of HDF5 that are open. */
static int64_t open_handles(void) {
  static const H5I_type_t type[] = {H5I_FILE,    H5I_GROUP, H5I_DATATYPE,    H5I_DATASPACE,
                                    H5I_DATASET, H5I_ATTR,  H5I_GENPROP_LST, H5I_VFL};
  hsize_t all = 0, n;
  for (size_t i = 0; i < sizeof type / sizeof type[0]; i++) {
    n = 0;
    if (H5Inmembers(type[i], &n) >= 0) all += n;
  }
  return (int64_t)all;
}

/* The first byte: edits or patches; the next two: options of the reader. */
static void run(const base *b, fz_input *in, void (*read)(const char *path, fz_input *in)) {
  char path[FZ_PATH];
  bool patched = fz_choose(in, 2);
  fz_input options = {in->at, in->n < 2 ? in->n : 2};
  for (int i = 0; i < 2; i++) (void)fz_byte(in);
  snprintf(path, sizeof path, "%s/changed.h5", fz_folder()); /* HDF5 opens no memory file */
  unlink(path);
  if (patched)
    make_patched(b, in, path);
  else
    make_edited(b, in, path);
  int64_t live = rdd_memory_live(), handles = open_handles();
  fz_made(!patched);
  read(path, &options);
  FZ_CHECK(rdd_memory_live() == live, "%lld allocations are left",
           (long long)(rdd_memory_live() - live));
  FZ_CHECK(patched || open_handles() == handles, "%lld handles are left",
           (long long)(open_handles() - handles));
}

static void start(void) {
  H5open();
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* ---- Ratings ---- */

static const char *const ratings_datasets[] = {"/ratings/user",
                                               "/ratings/item",
                                               "/ratings/value",
                                               "/ratings/timestamp",
                                               "/ratings/user_dictionary",
                                               "/ratings/item_dictionary",
                                               "/ratings",
                                               NULL};
static const char *const ratings_attributes[] = {"format_version", "kind", NULL};
static base ratings = {.dataset = ratings_datasets, .attribute = ratings_attributes};

static void put_column(hid_t group, const char *name, hid_t type, hid_t memory, int64_t rows,
                       bool text, const void *value) {
  hid_t dataset = H5I_INVALID_HID;
  rdd_err err = {0};
  rdd_status st = job_h5_dataset(&dataset, group, name, type, rows, 0, text ? 0 : rows,
                                 "description", NULL, &err);
  if (!st) st = job_h5_write_rows(dataset, memory, 0, rows, value, &err);
  FZ_CHECK(!job_h5_dataset_close(dataset, st, &err), "%s", err.message);
}

/* Chunks as short as the columns: those of table_file.c would make every run slow. */
static void open_ratings(void) {
  enum { N = 5 };
  static const int64_t user[N] = {0, 0, 1, 2, 1}, item[N] = {-1, 5, 1 << 20, 5, 7};
  static const int64_t timestamp[N] = {881250949, 0, 1, 2, 3};
  static const float value[N] = {1, 2.5F, -3, 4, 0.1F};
  static const char *const names[] = {"ann", "bob", "carol"};
  char path[FZ_PATH];
  hid_t file = H5I_INVALID_HID, group = H5I_INVALID_HID, text = job_h5_text_type();
  rdd_err err = {0};
  start();
  snprintf(path, sizeof path, "%s/ratings.h5", fz_folder());
  rdd_status st = job_h5_create(&file, path, "ratings", &err);
  if (!st) st = job_h5_group(&group, file, "/ratings", "ratings", &err);
  FZ_CHECK(!st, "%s", err.message);
  put_column(group, "user", H5T_STD_I64LE, H5T_NATIVE_INT64, N, false, user);
  put_column(group, "item", H5T_STD_I64LE, H5T_NATIVE_INT64, N, false, item);
  put_column(group, "value", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, N, false, value);
  put_column(group, "timestamp", H5T_STD_I64LE, H5T_NATIVE_INT64, N, false, timestamp);
  put_column(group, "user_dictionary", text, text, 3, true, names);
  H5Tclose(text);
  H5Gclose(group);
  FZ_CHECK(!job_h5_close(file, path, &err), "%s", err.message);
  load(&ratings, path);
}

/* Whole and cut give the same rows. */
static void read_ratings(const char *path, fz_input *in) {
  static const char *const id_type[] = {"auto", "int", "string"};
  job_input_opts opts = {.format = "hdf5", .slots = 1, .num_partitions = 1};
  int others = fz_choose(in, 4);
  opts.id_type = id_type[fz_choose(in, 3)];
  opts.pairs = others % 2;
  opts.max_bad_records = others / 2 * 1000;
  job_file file = {0};
  rdd_err err = {0};
  rdd_status st = job_look_h5(&file, path, &opts, &err);
  FZ_CHECK(!st || err.message[0], "no message");
  FZ_CHECK(st || (file.weight >= 0 && file.weight <= (int64_t)1 << 44), "%lld rows",
           (long long)file.weight);          /* many such files are added up */
  if (st || file.weight > MANY_ROWS) return; /* as many as it says: true, perhaps, but not here */
  fz_ratings whole, cut;
  fz_read_h5(&whole, path, &file, &opts);
  opts.num_partitions = 3;
  fz_read_h5(&cut, path, &file, &opts);
  FZ_CHECK(whole.status == cut.status, "%s, and %s", whole.err.message, cut.err.message);
  if (!whole.status) fz_same_rows(&whole, &cut, "whole and cut");
  fz_ratings_reset(&whole);
  fz_ratings_reset(&cut);
}

static void run_ratings(fz_input *in) {
  run(&ratings, in, read_ratings);
}

static void close_ratings(void) {
  unload(&ratings);
}

const fz_target fz_ratings_target = {.name = "ratings",
                                     .open = open_ratings,
                                     .run = run_ratings,
                                     .close = close_ratings,
                                     .contained = true};

/* ---- Models and checkpoints ---- */

enum { USERS = 3, ITEMS = 2, K = 2, ITERATIONS = 2 };

static const char *const model_datasets[] = {
    "/users/id",          "/users/factors",   "/users/bias",
    "/items/id",          "/items/factors",   "/items/bias",
    "/history/objective", "/history/seconds", "/history/rmse_train",
    "/history/rmse_test", "/users",           NULL};
static const char *const model_attributes[] = {"format_version",
                                               "kind",
                                               "rank",
                                               "mean",
                                               "rating_min",
                                               "rating_max",
                                               "bias",
                                               "iteration",
                                               "fingerprint",
                                               "test_fingerprint",
                                               NULL};
/* Sealed, too, so that it is not looked at in one more child. */
static base model = {.sealed = true, .dataset = model_datasets, .attribute = model_attributes};
static base checkpoint = {.sealed = true, .dataset = model_datasets, .attribute = model_attributes};

static als_model *make_model(rdd_comm *comm) {
  static const char names[] = "annbobcarol";
  static const int64_t offset[USERS + 1] = {0, 3, 6, 11}, item[ITEMS] = {-7, 1 << 20};
  als_ids *ids[2] = {NULL, NULL};
  als_model *m = NULL;
  rdd_err err = {0};
  rdd_status st = als_ids_new(comm, RDD_UTF8, USERS, sizeof names - 1, &ids[0], &err);
  if (!st) st = als_ids_new(comm, RDD_INT64, ITEMS, 0, &ids[1], &err);
  FZ_CHECK(!st, "%s", err.message);
  memcpy(rdd_table_data(ids[0]->value), offset, sizeof offset);
  memcpy(rdd_table_data(ids[0]->bytes), names, sizeof names - 1);
  memcpy(rdd_table_data(ids[1]->value), item, sizeof item);
  FZ_CHECK(!als_model_new(comm, ids, K, true, &m, &err), "%s", err.message);
  for (int side = 0; side < 2; side++) {
    float *factor = rdd_table_data(m->side[side].factors);
    float *bias = rdd_table_data(m->side[side].bias);
    for (int64_t i = 0; i < m->side[side].ids->n * K; i++) factor[i] = (float)i / 4;
    for (int64_t i = 0; i < m->side[side].ids->n; i++) bias[i] = (float)side;
  }
  m->rating_max = 5;
  return m;
}

static void make_model_file(base *b, const job_mark *mark) {
  static const als_iteration history[ITERATIONS] = {
      {.iteration = 1, .rmse_train = 1, .rmse_test = 2, .objective = 30, .seconds = 0.5},
      {.iteration = 2, .rmse_train = 0.9, .rmse_test = 1.9, .objective = 20, .seconds = 0.5}};
  job_provenance how = {.params = {.rank = K, .max_iter = ITERATIONS, .bias = true},
                        .ratings = 5,
                        .ranks = 1,
                        .iterations = ITERATIONS,
                        .history = history,
                        .inputs = "a.csv",
                        .command_line = "als train a.csv"};
  char path[FZ_PATH];
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  start();
  snprintf(path, sizeof path, "%s/model.h5", fz_folder());
  FZ_CHECK(!rdd_comm_single(&comm, &err), "%s", err.message);
  als_model *m = make_model(comm);
  const job_model_image image = job_model_image_of(m);
  FZ_CHECK(!job_model_save(path, &image, &how, mark, &err), "%s", err.message);
  als_model_free(m);
  rdd_comm_close(comm);
  load(b, path);
}

static bool is_ascending(const als_ids *ids, int64_t i) {
  if (ids->type == RDD_INT64) return als_ids_int64(ids, i - 1) < als_ids_int64(ids, i);
  int64_t n, m;
  const char *a = als_ids_utf8(ids, i - 1, &n), *b = als_ids_utf8(ids, i, &m);
  int order = memcmp(a, b, (size_t)(n < m ? n : m));
  return order < 0 || (order == 0 && n < m);
}

/* What can be computed with: ids can be found, numbers are finite. */
static void check_model(const als_model *m) {
  for (int side = 0; side < 2; side++) {
    const als_factors *f = &m->side[side];
    const float *factor = rdd_table_data(f->factors);
    const float *bias = f->bias ? rdd_table_data(f->bias) : NULL;
    for (int64_t i = 1; i < f->ids->n; i++)
      FZ_CHECK(is_ascending(f->ids, i), "id %lld", (long long)i);
    for (int64_t i = 0; i < f->ids->n * m->k; i++)
      FZ_CHECK(isfinite(factor[i]), "%lld", (long long)i);
    for (int64_t i = 0; bias && i < f->ids->n; i++)
      FZ_CHECK(isfinite(bias[i]), "%lld", (long long)i);
  }
  FZ_CHECK(isfinite(m->mean) && isfinite(m->rating_min) && isfinite(m->rating_max), "%g %g %g",
           m->mean, (double)m->rating_min, (double)m->rating_max);
}

static void read_model(const char *path, fz_input *in) {
  rdd_comm *comm = NULL;
  als_model *m = NULL;
  rdd_err err = {0};
  (void)in;
  FZ_CHECK(!rdd_comm_single(&comm, &err), "%s", err.message);
  rdd_status st = job_model_read(comm, path, &m, &err);
  FZ_CHECK(!st || err.message[0], "no message");
  if (!st) check_model(m);
  als_model_free(m);
  rdd_comm_close(comm);
}

/* The steps of a resuming run; a model into which a checkpoint does not load stays as it was. */
static void read_saved(rdd_comm *comm, const job_saved *saved) {
  rdd_err err = {0};
  int n = job_saved_iteration(saved);
  FZ_CHECK(n >= 0, "iteration %d", n);
  if (n > MANY_ROWS) return;
  als_iteration *history = calloc((size_t)n + 1, sizeof *history);
  als_model *m = make_model(comm), *before = make_model(comm);
  FZ_CHECK(history, "no memory");
  (void)!job_saved_history(saved, history, &err);
  if (!job_saved_load(saved, true, m, NULL, &err)) {
    check_model(m);
  } else {
    for (int side = 0; side < 2; side++) {
      const rdd_table *a = m->side[side].factors, *b = before->side[side].factors;
      FZ_CHECK(!memcmp(rdd_table_data(a), rdd_table_data(b), rdd_table_size(a)), "%s", err.message);
    }
  }
  als_model_free(m);
  als_model_free(before);
  free(history);
}

static void read_checkpoint(const char *path, fz_input *in) {
  rdd_comm *comm = NULL;
  job_saved *saved = NULL;
  job_mark mark;
  rdd_err err = {0};
  FZ_CHECK(!rdd_comm_single(&comm, &err), "%s", err.message);
  bool peeks = job_saved_peek(path, &mark);
  rdd_status st = job_saved_open(&saved, comm, path, &err);
  FZ_CHECK(st || peeks, "opens, but does not peek");
  if (!st) read_saved(comm, saved);
  job_saved_close(saved);
  rdd_comm_close(comm);
  read_model(path, in);
}

static void open_model(void) {
  make_model_file(&model, NULL);
}

static void open_checkpoint(void) {
  make_model_file(&checkpoint, &(job_mark){0x8123456789abcdef, 3});
}

static void run_model(fz_input *in) {
  run(&model, in, read_model);
}

static void run_checkpoint(fz_input *in) {
  run(&checkpoint, in, read_checkpoint);
}

static void close_model(void) {
  unload(&model);
}

static void close_checkpoint(void) {
  unload(&checkpoint);
}

const fz_target fz_model_target = {
    .name = "model", .open = open_model, .run = run_model, .close = close_model, .contained = true};
const fz_target fz_checkpoint_target = {.name = "checkpoint",
                                        .open = open_checkpoint,
                                        .run = run_checkpoint,
                                        .close = close_checkpoint,
                                        .contained = true};

/* ---- Blocks ---- */

static const char *const block_datasets[] = {"/batch_rows",
                                             "/columns/user",
                                             "/columns/item",
                                             "/columns/item_length",
                                             "/columns/rating",
                                             "/columns",
                                             NULL};
static const char *const block_attributes[] = {"format_version", "kind", "fingerprint", "partition",
                                               "partitions",     "rows", "rdd",         NULL};
static base block = {.sealed = true, .dataset = block_datasets, .attribute = block_attributes};
static const rdd_block block_key = {"read u.data", 77, 3, 8};

static struct {
  rdd_store *store;
  rdd_schema schema;
  char path[300]; /* of the block's file */
} blocks;

static void free_heap(void *bytes, size_t size) {
  (void)size;
  rdd_free(bytes);
}

static void put_block(void) {
  static const int64_t user[] = {-1, 5, INT64_MAX};
  static const float rating[] = {1, 2.5F, -3};
  static const int32_t offset[] = {0, 3, 3, 10};
  rdd_segment *writer = NULL;
  rdd_part part = {0};
  rdd_err err = {0};
  void *bytes = NULL;
  size_t size = 0;
  rdd_status st = rdd_segment_new(&writer, &blocks.schema, -1, &err);
  for (int rows = 3; rows > 0 && !st; rows--) {
    rdd_batch batch = {.rows = rows,
                       .column = {{user, NULL}, {"abcdefghij", offset}, {rating, NULL}}};
    st = rdd_segment_append(writer, &batch, &err);
  }
  if (!st) st = rdd_segment_finish(writer, &bytes, &size, &err);
  if (!st) st = rdd_part_open(&part, &blocks.schema, bytes, size, free_heap, &err);
  if (!st) st = blocks.store->put(blocks.store, &block_key, &blocks.schema, &part, &err);
  FZ_CHECK(!st, "%s", err.message);
  rdd_part_close(&part);
  rdd_segment_free(writer);
}

static void open_block(void) {
  char dir[FZ_PATH];
  rdd_err err = {0};
  start();
  snprintf(dir, sizeof dir, "%s/blocks", fz_folder());
  rdd_schema_add(&blocks.schema, "user", RDD_INT64);
  rdd_schema_add(&blocks.schema, "item", RDD_UTF8);
  rdd_schema_add(&blocks.schema, "rating", RDD_FLOAT32);
  FZ_CHECK(!job_block_store_open(&blocks.store, dir, true, NULL, &err), "%s", err.message);
  put_block();
  DIR *list = opendir(dir);
  FZ_CHECK(list, "no %s", dir);
  for (struct dirent *entry; (entry = readdir(list));)
    if (!strncmp(entry->d_name, "block-", 6))
      snprintf(blocks.path, sizeof blocks.path, "%s/%.80s", dir, entry->d_name);
  closedir(list);
  load(&block, blocks.path);
}

/* The store finds the block by its name: a link. */
static void read_block(const char *path, fz_input *in) {
  rdd_part part = {0};
  rdd_err err = {0};
  (void)in;
  unlink(blocks.path);
  FZ_CHECK(symlink(path, blocks.path) == 0, "no link %s", blocks.path);
  rdd_status st = blocks.store->get(blocks.store, &block_key, &blocks.schema, &part, &err);
  FZ_CHECK(!st || st == RDD_EIO || st == RDD_ENOINPUT || st == RDD_ENOMEM, "%d %s", st,
           err.message);
  if (st) return;
  FZ_CHECK(!rdd_part_verify(&part, &err), "%s", err.message);
  uint64_t sum = 0;
  for (int64_t b = 0; b < part.batches; b++) {
    const rdd_batch *batch = &part.batch[b];
    const int32_t *offsets = batch->column[1].offsets;
    const char *text = batch->column[1].values;
    for (int64_t i = 0; i < batch->rows; i++) {
      FZ_CHECK(offsets[i] <= offsets[i + 1], "row %lld", (long long)i);
      for (int32_t j = offsets[i]; j < offsets[i + 1]; j++) sum += (uint64_t)text[j];
      sum += ((const uint64_t *)batch->column[0].values)[i];
    }
  }
  FZ_CHECK(part.rows >= 0, "of sum %llu", (unsigned long long)sum); /* every value is read */
  rdd_part_close(&part);
}

static void run_block(fz_input *in) {
  run(&block, in, read_block);
}

static void close_block(void) {
  job_block_store_close(blocks.store);
  unlink(blocks.path);
  blocks = (typeof(blocks)){.store = NULL};
  unload(&block);
}

const fz_target fz_block_target = {
    .name = "block", .open = open_block, .run = run_block, .close = close_block, .contained = true};
