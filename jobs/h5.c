/* A thin layer over HDF5. See h5.h.
 *
 * Ids of HDF5 start as H5I_INVALID_HID, which is negative, and closing is skipped for those. The
 * message of a failure is taken (job_h5_why) before anything is closed, since every call of HDF5
 * clears the stack of errors. */
#include "jobs/h5.h"

#include "jobs/h5_disk_impl.h"
#include "rdd/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#else
#define PACKAGE_STRING "gangplank"
#endif

#if H5_VERSION_GE(1, 10, 2)
#define LIBVER_1_10 H5F_LIBVER_V110
#else
#define LIBVER_1_10 H5F_LIBVER_LATEST
#endif

enum { NAME_SIZE = 256, SLAB_BYTES = 16 << 20 };

/* ---- Why it failed ---- */

static herr_t take_innermost(unsigned n, const H5E_error2_t *entry, void *arg) {
  if (n > 0 || !entry->desc) return 0;
  char *text = arg;
  const char *quoted = strstr(entry->desc, "error message = '");
  if (quoted) {
    quoted += strlen("error message = '");
    snprintf(text, NAME_SIZE, "%.*s", (int)strcspn(quoted, "'"), quoted);
  } else {
    snprintf(text, NAME_SIZE, "%.*s", (int)strcspn(entry->desc, "\n"), entry->desc);
  }
  return 0;
}

const char *job_h5_why(void) {
  static _Thread_local char text[NAME_SIZE];
  snprintf(text, sizeof(text), "no reason given");
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, text);
  return text;
}

rdd_status job_h5_in_file(rdd_err *err, const char *path) {
  char message[sizeof(err->message)];
  memcpy(message, err->message, sizeof(message));
  snprintf(err->message, sizeof(err->message), "%.300s: %.390s", path, message);
  return err->code;
}

static void be_silent(void) {
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* ---- Files ---- */

/* Strong closing: the file goes with everything that is open in it, so that a failed write leaves
 * no descriptor behind. Locks are best effort: some parallel file systems have none. */
static hid_t access_list(void) {
  hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  if (list < 0) return list;
  H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(list, true, true);
#endif
  return list;
}

static hid_t create_file(const char *path, bool checked) {
  hid_t file = H5I_INVALID_HID;
  hid_t access_properties = access_list();
  hid_t create = H5Pcreate(H5P_FILE_CREATE);
  hid_t driver = job_h5_disk_register();
  if (access_properties >= 0 && create >= 0 && driver >= 0 &&
      H5Pset_driver(access_properties, driver, NULL) >= 0 &&
      H5Pset_obj_track_times(create, false) >= 0 &&
      (!checked || H5Pset_libver_bounds(access_properties, LIBVER_1_10, LIBVER_1_10) >= 0))
    file = H5Fcreate(path, H5F_ACC_TRUNC, create, access_properties);
  if (driver >= 0) H5FDunregister(driver); /* the file keeps its own reference */
  if (create >= 0) H5Pclose(create);
  if (access_properties >= 0) H5Pclose(access_properties);
  return file;
}

static rdd_status create_kind(hid_t *file_out, const char *path, const char *kind, bool checked,
                              rdd_err *err) {
  be_silent();
  job_h5_disk_error(true);
  hid_t file = create_file(path, checked);
  int why = job_h5_disk_error(false);
  if (file < 0)
    return rdd_set(err, why == ENOMEM ? RDD_ENOMEM : RDD_EIO, "cannot be created: %s",
                   why ? strerror(why) : "HDF5 gives no reason");
  rdd_status st = job_h5_set_int(file, "format_version", JOB_FORMAT_VERSION, err);
  if (!st) st = job_h5_set_string(file, "kind", kind, err);
  if (!st) st = job_h5_set_string(file, "creator", PACKAGE_STRING, err);
  if (st) {
    job_h5_drop(file);
    return st;
  }
  *file_out = file;
  return RDD_OK;
}

rdd_status job_h5_create(hid_t *file_out, const char *path, const char *kind, rdd_err *err) {
  return create_kind(file_out, path, kind, false, err);
}

rdd_status job_h5_create_checked(hid_t *file_out, const char *path, const char *kind,
                                 rdd_err *err) {
  return create_kind(file_out, path, kind, true, err);
}

/* Look at what is in an open file: ours, and of our version? */
static rdd_status check_version(hid_t file, const char *path, char kind[32], rdd_err *err) {
  int64_t version;
  if (!job_h5_get_int(file, "format_version", &version))
    return rdd_set(err, RDD_EDATA,
                   "%s: HDF5, but without the root attribute format_version that gangplank's "
                   "files have; docs/formats.md says what is expected",
                   path);
  if (version != JOB_FORMAT_VERSION)
    return rdd_set(err, RDD_EDATA, "%s: format_version is %lld, and this program reads %d", path,
                   (long long)version, JOB_FORMAT_VERSION);
  if (!job_h5_get_string(file, "kind", kind, 32))
    return rdd_set(err, RDD_EDATA, "%s: no root attribute kind (ratings, model, checkpoint, ...)",
                   path);
  return RDD_OK;
}

/* sealed: it has to have its checksum, before HDF5 sees it. */
static rdd_status open_kind(hid_t *file_out, const char *path, char kind_out[32], bool sealed,
                            rdd_err *err) {
  be_silent();
  if (access(path, R_OK) != 0)
    return rdd_set(err, RDD_ENOINPUT, "%s: cannot be read: %s", path, strerror(errno));
  char kind[32];
  bool has_seal;
  hid_t file = H5I_INVALID_HID;
  hid_t list = access_list();
  rdd_status st = job_h5_check_seal(path, &has_seal, err);
  if (st) goto done;
  if (sealed && !has_seal) {
    st = rdd_set(err, RDD_EDATA, "%s: damaged: it has no checksum at its end", path);
    goto done;
  }
  if (H5Fis_hdf5(path) <= 0) {
    st = rdd_set(err, RDD_EDATA, "%s: not an HDF5 file", path);
    goto done;
  }
  file = H5Fopen(path, H5F_ACC_RDONLY, list);
  if (file < 0) {
    st = rdd_set(err, RDD_EDATA, "%s: HDF5, but damaged or cut short (%s)", path, job_h5_why());
    goto done;
  }
  st = check_version(file, path, kind, err);
  if (st) goto done;
  if (!has_seal && (!strcmp(kind, "block") || !strcmp(kind, "checkpoint"))) {
    st = rdd_set(err, RDD_EDATA, "%s: damaged: a %s without its checksum", path, kind);
    goto done;
  }
  if (kind_out) memcpy(kind_out, kind, sizeof(kind));
  *file_out = file;
  file = H5I_INVALID_HID;
done:
  job_h5_drop(file);
  if (list >= 0) H5Pclose(list);
  return st;
}

rdd_status job_h5_open(hid_t *file_out, const char *path, char kind_out[32], rdd_err *err) {
  return open_kind(file_out, path, kind_out, false, err);
}

rdd_status job_h5_open_sealed(hid_t *file_out, const char *path, char kind_out[32], rdd_err *err) {
  return open_kind(file_out, path, kind_out, true, err);
}

rdd_status job_h5_close(hid_t file, const char *path, rdd_err *err) {
  job_h5_disk_error(true);
  if (H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 || H5Fclose(file) < 0) {
    rdd_status st = rdd_set(err, RDD_EIO, "%s: cannot be written: %s", path, job_h5_why());
    job_h5_drop(file);
    return st;
  }
  int why = job_h5_disk_error(false);
  if (why) return rdd_set(err, RDD_EIO, "%s: cannot be written: %s", path, strerror(why));
  return RDD_OK;
}

void job_h5_drop(hid_t file) {
  if (file >= 0) H5Fclose(file);
}

/* ---- Attributes ---- */

hid_t job_h5_text_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0) {
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
  }
  return type;
}

/* Set a scalar attribute. */
static rdd_status set_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                                const void *value, rdd_err *err) {
  rdd_status st = RDD_OK;
  hid_t attribute = H5I_INVALID_HID;
  hid_t space = H5Screate(H5S_SCALAR);
  if (space >= 0) attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
    st = rdd_set(err, RDD_EIO, "attribute %s cannot be written: %s", name, job_h5_why());
  if (attribute >= 0) H5Aclose(attribute);
  if (space >= 0) H5Sclose(space);
  return st;
}

rdd_status job_h5_set_string(hid_t object, const char *name, const char *value, rdd_err *err) {
  hid_t type = job_h5_text_type();
  const char *text = value ? value : "";
  rdd_status st = set_attribute(object, name, type, type, &text, err);
  if (type >= 0) H5Tclose(type);
  return st;
}

rdd_status job_h5_set_int(hid_t object, const char *name, int64_t value, rdd_err *err) {
  return set_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, err);
}

rdd_status job_h5_set_real(hid_t object, const char *name, double value, rdd_err *err) {
  return set_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, err);
}

/* Open the scalar attribute called name if its class is one of two; else negative. */
static hid_t open_attribute(hid_t object, const char *name, H5T_class_t class, H5T_class_t other) {
  if (H5Aexists(object, name) <= 0) return H5I_INVALID_HID;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) return attribute;
  hid_t type = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  H5T_class_t found = H5Tget_class(type);
  bool fits = (found == class || found == other) && H5Sget_simple_extent_npoints(space) == 1;
  H5Sclose(space);
  H5Tclose(type);
  if (fits) return attribute;
  H5Aclose(attribute);
  return H5I_INVALID_HID;
}

/* Text of fixed size, as other writers store it: padded with NUL or blanks, not terminated. */
static bool read_fixed_text(hid_t attribute, hid_t type, char *value, size_t size) {
  size_t n = H5Tget_size(type);
  char *text = rdd_calloc(n + 1, 1);
  bool good = text && H5Aread(attribute, type, text) >= 0;
  if (good) snprintf(value, size, "%s", text);
  rdd_free(text);
  return good;
}

bool job_h5_get_string(hid_t object, const char *name, char *value, size_t size) {
  hid_t attribute = open_attribute(object, name, H5T_STRING, H5T_STRING);
  if (attribute < 0) return false;
  bool good = false;
  hid_t type = H5Aget_type(attribute);
  if (H5Tis_variable_str(type) > 0) {
    char *text = NULL;
    good = H5Aread(attribute, type, &text) >= 0 && text;
    if (good) snprintf(value, size, "%s", text);
    if (text) H5free_memory(text);
  } else {
    good = read_fixed_text(attribute, type, value, size);
  }
  H5Tclose(type);
  H5Aclose(attribute);
  return good;
}

static bool get_number(hid_t object, const char *name, H5T_class_t class, hid_t memory_type,
                       void *value) {
  hid_t attribute = open_attribute(object, name, H5T_INTEGER, class);
  if (attribute < 0) return false;
  bool good = H5Aread(attribute, memory_type, value) >= 0;
  H5Aclose(attribute);
  return good;
}

bool job_h5_get_int(hid_t object, const char *name, int64_t *value) {
  return get_number(object, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}

bool job_h5_get_real(hid_t object, const char *name, double *value) {
  return get_number(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value);
}

/* ---- Groups and datasets ---- */

rdd_status job_h5_group(hid_t *out, hid_t where, const char *name, const char *description,
                        rdd_err *err) {
  hid_t timeless = H5Pcreate(H5P_GROUP_CREATE), group = H5I_INVALID_HID;
  rdd_status st = RDD_OK;
  if (timeless >= 0 && H5Pset_obj_track_times(timeless, false) >= 0)
    group = H5Gcreate2(where, name, H5P_DEFAULT, timeless, H5P_DEFAULT);
  if (group < 0) st = rdd_set(err, RDD_EIO, "group %s cannot be created: %s", name, job_h5_why());
  if (timeless >= 0) H5Pclose(timeless);
  if (!st) st = job_h5_set_string(group, "description", description, err);
  if (!st)
    *out = group;
  else if (group >= 0)
    H5Gclose(group);
  return st;
}

/* How a dataset is laid out in the file; negative on failure. */
static hid_t layout_list(int rank, const hsize_t *chunk, bool deflate) {
  hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  if (list < 0) return list;
  bool good = H5Pset_obj_track_times(list, false) >= 0;
  if (good && chunk[0] > 0) {
    good = H5Pset_chunk(list, rank, chunk) >= 0;
    if (good && deflate)
      good = H5Pset_shuffle(list) >= 0 && H5Pset_deflate(list, JOB_DEFLATE_LEVEL) >= 0;
    good = good && H5Pset_fletcher32(list) >= 0;
  }
  if (good) return list;
  H5Pclose(list);
  return H5I_INVALID_HID;
}

static rdd_status make_dataset(hid_t *out, hid_t where, const char *name, hid_t type, int64_t rows,
                               int64_t columns, int64_t chunk_rows, bool deflate,
                               const char *description, const char *units, rdd_err *err) {
  rdd_status st = RDD_OK;
  int rank = columns > 0 ? 2 : 1;
  hsize_t dims[2] = {(hsize_t)rows, (hsize_t)columns};
  hsize_t max[2] = {chunk_rows > 0 ? H5S_UNLIMITED : (hsize_t)rows, (hsize_t)columns};
  int64_t least = rows > 0 && rows < chunk_rows ? rows : chunk_rows; /* a chunk is stored whole */
  hsize_t chunk[2] = {(hsize_t)least, (hsize_t)columns};
  hid_t dataset = H5I_INVALID_HID;
  hid_t space = H5Screate_simple(rank, dims, max);
  hid_t list = layout_list(rank, chunk, deflate);
  if (space >= 0 && list >= 0)
    dataset = H5Dcreate2(where, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  if (dataset < 0) {
    st = rdd_set(err, RDD_EIO, "dataset %s cannot be created: %s", name, job_h5_why());
    goto done;
  }
  st = job_h5_set_string(dataset, "description", description, err);
  if (!st && units) st = job_h5_set_string(dataset, "units", units, err);
  if (st) goto done;
  *out = dataset;
  dataset = H5I_INVALID_HID;
done:
  if (dataset >= 0) H5Dclose(dataset);
  if (list >= 0) H5Pclose(list);
  if (space >= 0) H5Sclose(space);
  return st;
}

rdd_status job_h5_dataset(hid_t *out, hid_t where, const char *name, hid_t type, int64_t rows,
                          int64_t columns, int64_t chunk_rows, const char *description,
                          const char *units, rdd_err *err) {
  return make_dataset(out, where, name, type, rows, columns, chunk_rows, true, description, units,
                      err);
}

rdd_status job_h5_dataset_plain(hid_t *out, hid_t where, const char *name, hid_t type, int64_t rows,
                                int64_t columns, int64_t chunk_rows, const char *description,
                                const char *units, rdd_err *err) {
  return make_dataset(out, where, name, type, rows, columns, chunk_rows, false, description, units,
                      err);
}

static const char *name_of(hid_t dataset, char name[NAME_SIZE]) {
  if (H5Iget_name(dataset, name, NAME_SIZE) <= 0) snprintf(name, NAME_SIZE, "a dataset");
  return name;
}

rdd_status job_h5_dataset_close(hid_t dataset, rdd_status so_far, rdd_err *err) {
  if (dataset < 0) return so_far;
  char name[NAME_SIZE];
  name_of(dataset, name);
  if (H5Dclose(dataset) >= 0 || so_far) return so_far;
  return rdd_set(err, RDD_EIO, "%s cannot be written: %s", name, job_h5_why());
}

bool job_h5_shape(hid_t dataset, int64_t dims_out[2]) {
  hsize_t dims[2] = {0, 0};
  hid_t space = H5Dget_space(dataset);
  int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
  bool good = (rank == 1 || rank == 2) && H5Sget_simple_extent_dims(space, dims, NULL) == rank;
  good = good && dims[0] <= INT64_MAX && dims[1] <= INT64_MAX;
  if (space >= 0) H5Sclose(space);
  if (!good) return false;
  dims_out[0] = (int64_t)dims[0];
  dims_out[1] = rank == 2 ? (int64_t)dims[1] : 0;
  return true;
}

/* ---- Rows ---- */

hid_t job_h5_file_type(rdd_type type) {
  switch (type) {
  case RDD_INT64:
    return H5T_STD_I64LE;
  case RDD_INT32:
    return H5T_STD_I32LE;
  case RDD_FLOAT32:
    return H5T_IEEE_F32LE;
  case RDD_FLOAT64:
    return H5T_IEEE_F64LE;
  case RDD_UTF8:
    break;
  }
  return H5T_STD_U8LE;
}

hid_t job_h5_memory_type(rdd_type type) {
  switch (type) {
  case RDD_INT64:
    return H5T_NATIVE_INT64;
  case RDD_INT32:
    return H5T_NATIVE_INT32;
  case RDD_FLOAT32:
    return H5T_NATIVE_FLOAT;
  case RDD_FLOAT64:
    return H5T_NATIVE_DOUBLE;
  case RDD_UTF8:
    break;
  }
  return H5T_NATIVE_UINT8;
}

/* Move one slab of rows to (source) or from (target) the file; false with the reason in why. */
static bool move_slab(hid_t dataset, hid_t type, int rank, const hsize_t *start,
                      const hsize_t *count, const void *source, void *target, char why[NAME_SIZE]) {
  herr_t result = -1;
  hid_t file_space = H5Dget_space(dataset);
  hid_t memory_space = H5Screate_simple(rank, count, NULL);
  if (file_space >= 0 && memory_space >= 0)
    result = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL);
  if (result >= 0)
    result = source ? H5Dwrite(dataset, type, memory_space, file_space, H5P_DEFAULT, source)
                    : H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, target);
  if (result < 0) snprintf(why, NAME_SIZE, "%s", job_h5_why());
  int failed = result >= 0 && source ? job_h5_disk_failure(dataset) : 0;
  if (failed) snprintf(why, NAME_SIZE, "%s", strerror(failed));
  if (memory_space >= 0) H5Sclose(memory_space);
  if (file_space >= 0) H5Sclose(file_space);
  return result >= 0 && !failed;
}

/* Rows [first, first + n) in slabs, so that what HDF5 converts on the way stays small. */
static rdd_status move_rows(hid_t dataset, hid_t type, int64_t first, int64_t n,
                            const int64_t dims[2], const void *source, void *target, rdd_err *err) {
  char name[NAME_SIZE], why[NAME_SIZE];
  int rank = dims[1] > 0 ? 2 : 1;
  size_t row_bytes = H5Tget_size(type) * (size_t)(rank == 2 ? dims[1] : 1);
  int64_t slab = row_bytes < SLAB_BYTES ? (int64_t)(SLAB_BYTES / row_bytes) : 1;
  for (int64_t at = 0; at < n; at += slab) {
    hsize_t start[2] = {(hsize_t)(first + at), 0};
    hsize_t count[2] = {(hsize_t)(n - at < slab ? n - at : slab), (hsize_t)dims[1]};
    const char *from = source ? (const char *)source + (size_t)at * row_bytes : NULL;
    char *to = target ? (char *)target + (size_t)at * row_bytes : NULL;
    if (!move_slab(dataset, type, rank, start, count, from, to, why))
      return rdd_set(err, RDD_EIO, "%s cannot be %s: %s", name_of(dataset, name),
                     source ? "written" : "read", why);
  }
  return RDD_OK;
}

/* The shape, or RDD_EDATA with the dataset's name. */
static rdd_status shape_of(hid_t dataset, int64_t dims[2], rdd_err *err) {
  char name[NAME_SIZE];
  if (job_h5_shape(dataset, dims)) return RDD_OK;
  return rdd_set(err, RDD_EDATA, "%s: expected one or two dimensions", name_of(dataset, name));
}

static rdd_status grow(hid_t dataset, const hsize_t dims[2], rdd_err *err) {
  char name[NAME_SIZE], why[NAME_SIZE];
  if (H5Dset_extent(dataset, dims) >= 0) return RDD_OK;
  snprintf(why, sizeof(why), "%s", job_h5_why());
  return rdd_set(err, RDD_EIO, "%s cannot grow: %s", name_of(dataset, name), why);
}

rdd_status job_h5_write_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n,
                             const void *data, rdd_err *err) {
  int64_t dims[2];
  rdd_status st = shape_of(dataset, dims, err);
  if (st || n <= 0) return st;
  const hsize_t grown[2] = {(hsize_t)(first + n), (hsize_t)dims[1]};
  if (dims[0] < first + n) st = grow(dataset, grown, err);
  return st ? st : move_rows(dataset, memory_type, first, n, dims, data, NULL, err);
}

rdd_status job_h5_write_chunk(hid_t dataset, int64_t first, int64_t rows, uint32_t left_out,
                              const void *bytes, size_t size, rdd_err *err) {
  char name[NAME_SIZE], why[NAME_SIZE];
  const hsize_t place = (hsize_t)first, grown[2] = {(hsize_t)(first + rows), 0};
  rdd_status st = grow(dataset, grown, err);
  if (st) return st;
  bool good = H5Dwrite_chunk(dataset, H5P_DEFAULT, left_out, &place, size, bytes) >= 0;
  if (!good) snprintf(why, sizeof(why), "%s", job_h5_why());
  int failed = good ? job_h5_disk_failure(dataset) : 0;
  if (failed) snprintf(why, sizeof(why), "%s", strerror(failed));
  if (good && !failed) return RDD_OK;
  return rdd_set(err, RDD_EIO, "%s cannot be written: %s", name_of(dataset, name), why);
}

/* Do two runs of bits overlap? */
static bool overlap(size_t a, size_t a_bits, size_t b, size_t b_bits) {
  return a < b + b_bits && b < a + a_bits;
}

/* Has a number its bits inside its bytes, and a float's parts apart? HDF5 1.10 converts any other type,
 * too, by way of memory that is not the value's. */
static bool is_sound(hid_t dataset) {
  size_t sign, exponent, e_bits, mantissa, m_bits;
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return false;
  H5T_class_t kind = H5Tget_class(type);
  bool sound = true;
  if (kind == H5T_INTEGER || kind == H5T_FLOAT) {
    size_t bits = H5Tget_precision(type), bytes = H5Tget_size(type);
    int offset = H5Tget_offset(type);
    sound = bits > 0 && offset >= 0 && bits <= 8 * bytes && (size_t)offset <= 8 * bytes - bits;
  }
  if (sound && kind == H5T_FLOAT) {
    size_t end = H5Tget_precision(type);
    sound = H5Tget_fields(type, &sign, &exponent, &e_bits, &mantissa, &m_bits) >= 0 && sign < end &&
            e_bits > 0 && e_bits <= end && exponent <= end - e_bits && m_bits > 0 &&
            m_bits <= end && mantissa <= end - m_bits &&
            !overlap(exponent, e_bits, mantissa, m_bits) && !overlap(sign, 1, exponent, e_bits) &&
            !overlap(sign, 1, mantissa, m_bits);
  }
  H5Tclose(type);
  return sound;
}

rdd_status job_h5_read_rows(hid_t dataset, hid_t memory_type, int64_t first, int64_t n, void *data,
                            rdd_err *err) {
  int64_t dims[2];
  char name[NAME_SIZE];
  rdd_status st = shape_of(dataset, dims, err);
  if (st || n <= 0) return st;
  if (dims[0] < first + n)
    return rdd_set(err, RDD_EDATA, "%s has %lld rows, expected at least %lld",
                   name_of(dataset, name), (long long)dims[0], (long long)(first + n));
  if (!is_sound(dataset))
    return rdd_set(err, RDD_EDATA, "%s has a damaged type", name_of(dataset, name));
  return move_rows(dataset, memory_type, first, n, dims, NULL, data, err);
}

void job_h5_free_text(char **text, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (text[i]) H5free_memory(text[i]);
    text[i] = NULL;
  }
}
