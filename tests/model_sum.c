/* model_sum MODEL...: one line for each file, with checksums of all that a model is made of. Two models
 * with the same line have the same bits. Reads HDF5 itself, to share nothing with what wrote it. */
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <hdf5.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Variable-length texts, each with its NUL, one after the other. */
static uint64_t sum_text(char *const *text, hsize_t n) {
  uint64_t sum = 0;
  for (hsize_t i = 0; i < n; i++)
    sum = rdd_mix64_2(sum, rdd_hash_bytes(text[i], strlen(text[i]) + 1));
  return sum;
}

/* Checksum of a dataset as it is stored; false where it cannot be read. */
static bool sum_dataset(hid_t dataset, uint64_t *sum, hsize_t dims[2]) {
  hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  dims[0] = dims[1] = 1;
  int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 1 || rank > 2 || H5Sget_simple_extent_dims(space, dims, NULL) < 0) return false;
  size_t n = (size_t)(dims[0] * dims[1]), size = H5Tget_size(type);
  void *values = rdd_calloc(n, size);
  bool good = values && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
  if (good && H5Tis_variable_str(type) > 0) {
    *sum = sum_text(values, dims[0]);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, values);
  } else if (good) {
    *sum = rdd_hash_bytes(values, n * size);
  }
  rdd_free(values);
  H5Sclose(space);
  H5Tclose(type);
  return good;
}

static bool print_dataset(hid_t file, const char *name) {
  uint64_t sum = 0;
  hsize_t dims[2];
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  bool good = dataset >= 0 && sum_dataset(dataset, &sum, dims);
  if (good)
    printf("%s[%" PRIu64 ",%" PRIu64 "]=%016" PRIx64 " ", name, (uint64_t)dims[0],
           (uint64_t)dims[1], sum);
  if (dataset >= 0) H5Dclose(dataset);
  return good;
}

static bool print_attribute(hid_t file, const char *name) {
  double value;
  hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  bool good = attribute >= 0 && H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) >= 0;
  if (good) printf("%s=%a ", name, value);
  if (attribute >= 0) H5Aclose(attribute);
  return good;
}

/* What depends on the machine or the moment is left out: seconds, ranks, command line, date. */
static bool print_model(const char *path) {
  static const char *const dataset[] = {"/users/id",
                                        "/users/factors",
                                        "/items/id",
                                        "/items/factors",
                                        "/history/rmse_train",
                                        "/history/rmse_test",
                                        "/history/rmse_validation",
                                        "/history/ndcg_validation",
                                        "/history/loss_ratings",
                                        "/history/loss_pairs",
                                        "/history/loss_reg",
                                        "/history/objective"};
  static const char *const bias[] = {"/users/bias", "/items/bias"};
  static const char *const attribute[] = {"rank", "mean", "rating_min", "rating_max", "iterations"};
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  bool good = file >= 0;
  for (size_t i = 0; i < sizeof attribute / sizeof *attribute && good; i++)
    good = print_attribute(file, attribute[i]);
  for (size_t i = 0; i < sizeof dataset / sizeof *dataset && good; i++)
    good = print_dataset(file, dataset[i]);
  for (size_t i = 0; i < sizeof bias / sizeof *bias && good; i++)
    if (H5Lexists(file, bias[i], H5P_DEFAULT) > 0) good = print_dataset(file, bias[i]);
  putchar('\n');
  if (file >= 0) H5Fclose(file);
  if (!good) fprintf(stderr, "model_sum: %s is not a whole model\n", path);
  return good;
}

int main(int argc, char **argv) {
  bool good = argc > 1;
  for (int i = 1; i < argc && good; i++) good = print_model(argv[i]);
  return good ? 0 : 1;
}
