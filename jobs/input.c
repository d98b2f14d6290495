/* Ratings from files: the plan, made by rank 0 and sent to all, and the RDD over it. */
#include "jobs/input_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
  TEXT_TARGET = 32 << 20, /* bytes of text that make a partition */
  TEXT_LEAST = 64 << 10,  /* fewer are not worth a task of their own */
  ROWS_TARGET = 2 << 20,  /* the same for rows of HDF5 */
  ROWS_LEAST = 16 << 10,
  SLOT_TASKS = 2, /* partitions for each slot, so that a slow one hurts less */
};

struct job_input {
  job_plan *plan;
  rdd *source;
  char name[120]; /* of the RDD */
  char describe[240];
};

/* ---- the plan; rank 0 ---- */

static const char *type_name(int64_t type) {
  return type == RDD_INT64 ? "integers" : "strings";
}

/* All files that have content have one layout, and ids of one type. */
static rdd_status merge_types(job_plan *plan, const job_input_opts *opts, rdd_err *err) {
  static const char *const side_name[2] = {"user", "item"};
  const job_file *lead = NULL;             /* the first with content */
  const job_file *typed[2] = {NULL, NULL}; /* the first that knows the type */
  plan->timestamp = 1;
  plan->entries = 0;
  for (int64_t i = 0; i < plan->files; i++) {
    const job_file *file = &plan->file[i];
    const char *path = job_path_text(job_plan_path(plan, file));
    if (!file->kind[0]) continue; /* blank */
    if (!lead) lead = file;
    if (file->layout != lead->layout || file->delimiter != lead->delimiter)
      return rdd_set(err, RDD_EDATA, "the inputs have different formats: %s is %s, %s is %s",
                     job_path_text(job_plan_path(plan, lead)), lead->kind, path, file->kind);
    if (file->column[JOB_TIMESTAMP] < 0) plan->timestamp = 0;
    if (file->layout == JOB_MTX) plan->entries += file->entries;
    for (int side = 0; side < 2 && plan->id_origin == JOB_BY_RECORD; side++) {
      if (file->id_type[side] == JOB_TYPE_UNKNOWN) continue;
      if (!typed[side]) typed[side] = file;
      if (typed[side]->id_type[side] != file->id_type[side])
        return rdd_set(
            err, RDD_EDATA,
            "mixed id types: by their first records the %s ids of %s are %s, those of %s "
            "are %s; --id-type string reads all as text",
            side_name[side], job_path_text(job_plan_path(plan, typed[side])),
            type_name(typed[side]->id_type[side]), path, type_name(file->id_type[side]));
    }
  }
  if (!lead)
    return rdd_set(err, RDD_EDATA, "%s%s empty: the input holds no ratings",
                   job_path_text(job_plan_path(plan, &plan->file[0])),
                   plan->files == 1 ? " is" : " and all other inputs are");
  if (lead->layout != JOB_MTX) plan->entries = -1;
  if (opts->columns && lead->layout != JOB_DELIMITED)
    return rdd_set(err, RDD_EUSAGE, "--columns names columns of text with a header; %s is %s",
                   job_path_text(job_plan_path(plan, lead)), lead->kind);
  for (int side = 0; side < 2; side++) {
    if (plan->id_origin != JOB_BY_RECORD) continue;
    plan->id_type[side] = typed[side] ? typed[side]->id_type[side] : RDD_INT64;
  }
  return RDD_OK;
}

/* Partitions of so many units of the axis. */
static int64_t partitions_of(int64_t weight, bool rows, int64_t slots) {
  int64_t target = rows ? ROWS_TARGET : TEXT_TARGET, least = rows ? ROWS_LEAST : TEXT_LEAST;
  int64_t n = weight / target + (weight % target > 0);
  int64_t wanted = slots * SLOT_TASKS, possible = weight / least;
  if (n < wanted) n = wanted < possible ? wanted : n > possible ? n : possible;
  return n > 0 ? n : 1;
}

int64_t job_input_partitions(const job_input *input, int64_t rows, int64_t slots) {
  if (!input) return partitions_of(rows, true, slots);
  const job_file *lead = input->plan->file;
  return partitions_of(input->plan->weight, lead->layout == JOB_HDF5, slots);
}

/* Lay the files out on the axis, and cut it. */
static void cut(job_plan *plan, const job_input_opts *opts, int64_t slots) {
  bool rows = false;
  for (int64_t i = 0; i < plan->files; i++) {
    job_file *file = &plan->file[i];
    file->at = plan->weight;
    plan->weight += file->weight;
    plan->size += file->size;
    if (file->layout == JOB_HDF5) rows = true;
  }
  int64_t n = partitions_of(plan->weight, rows, slots);
  if (opts->num_partitions > 0) n = opts->num_partitions;
  if (n > plan->weight) n = plan->weight; /* more would be empty */
  plan->partitions = n > 0 ? n : 1;
}

int32_t job_wanted_type(const job_input_opts *opts, int side) {
  if (opts->id_types) return (int32_t)opts->id_types[side];
  if (strcmp(opts->id_type, "auto") == 0) return JOB_TYPE_UNKNOWN;
  return strcmp(opts->id_type, "string") == 0 ? RDD_UTF8 : RDD_INT64;
}

/* --id-type does not contradict the ids that are to be matched. */
static rdd_status check_types(const job_input_opts *opts, rdd_err *err) {
  if (!opts->id_types || strcmp(opts->id_type, "auto") == 0) return RDD_OK;
  rdd_type asked = strcmp(opts->id_type, "string") == 0 ? RDD_UTF8 : RDD_INT64;
  for (int side = 0; side < 2; side++)
    if (opts->id_types[side] != asked)
      return rdd_set(
          err, RDD_EUSAGE, "--id-type %s does not go with the %s ids to match, which are %s",
          opts->id_type, side == JOB_USER ? "user" : "item", type_name(opts->id_types[side]));
  return RDD_OK;
}

static rdd_status make_plan(char *const *path, int n, const job_input_opts *opts, int64_t slots,
                            job_plan **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  job_paths paths = {0};
  job_plan *plan = NULL;
  size_t text = 0, bytes;
  st = check_types(opts, err);
  if (!st) st = job_paths_expand(&paths, path, n, err);
  if (st) goto done;
  if (paths.n == 0) {
    st = rdd_set(err, RDD_EUSAGE, "no input file is given");
    goto done;
  }
  for (int64_t i = 0; i < paths.n; i++) text += strlen(paths.path[i]) + 1;
  bytes = sizeof *plan + (size_t)paths.n * sizeof(job_file) + text;
  plan = rdd_calloc(bytes, 1);
  if (!plan) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory to plan the reading of %lld files",
                 (long long)paths.n);
    goto done;
  }
  plan->bytes = (int64_t)bytes;
  plan->files = paths.n;
  plan->max_bad = opts->max_bad_records;
  plan->pairs = opts->pairs;
  plan->id_origin = opts->id_types                                 ? JOB_BY_MODEL
                    : job_wanted_type(opts, 0) != JOB_TYPE_UNKNOWN ? JOB_BY_OPTION
                                                                   : JOB_BY_RECORD;
  for (int side = 0; side < 2; side++) plan->id_type[side] = job_wanted_type(opts, side);
  char *name = (char *)&plan->file[plan->files];
  text = 0;
  for (int64_t i = 0; i < paths.n && !st; i++) {
    plan->file[i].path = (int64_t)text;
    memcpy(name + text, paths.path[i], strlen(paths.path[i]) + 1);
    text += strlen(paths.path[i]) + 1;
    st = job_sniff(&plan->file[i], paths.path[i], opts, err);
  }
  if (!st) st = merge_types(plan, opts, err);
  if (st) goto done;
  cut(plan, opts, slots);
  *out = plan;
  plan = NULL;
done:
  rdd_free(plan);
  job_paths_reset(&paths);
  return st;
}

/* Rank 0's plan to every rank. Collective. */
static rdd_status share_plan(rdd_comm *comm, job_plan **plan, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t bytes = *plan ? (*plan)->bytes : 0;
  rdd_bcast(comm, &bytes, sizeof bytes, 0);
  if (comm->rank != 0) {
    *plan = rdd_alloc((size_t)bytes, 1);
    if (!*plan) st = rdd_set(err, RDD_ENOMEM, "out of memory for the plan of the input");
  }
  st = rdd_agree(comm, st, err);
  if (st) return st;
  rdd_bcast(comm, *plan, bytes, 0);
  return RDD_OK;
}

/* ---- tasks ---- */

static int64_t cut_at(const job_plan *plan, int64_t partition) {
  return (int64_t)((__int128)plan->weight * partition / plan->partitions);
}

/* The last file that starts at or before a place on the axis. */
static int64_t file_at(const job_plan *plan, int64_t place) {
  int64_t low = 0, high = plan->files; /* the answer is in [low, high) */
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (plan->file[middle].at <= place)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* The file is as long as it was when the plan was made. */
static rdd_status check_size(const job_file *file, const char *path, rdd_err *err) {
  struct stat info;
  if (stat(path, &info) != 0)
    return rdd_set(err, RDD_ENOINPUT, "cannot open %s: %s", job_path_text(path), strerror(errno));
  if ((int64_t)info.st_size != file->size)
    return rdd_set(err, RDD_EIO,
                   "%s has changed since the job started: it had %lld bytes, now %lld",
                   job_path_text(path), (long long)file->size, (long long)info.st_size);
  return RDD_OK;
}

/* Read the part [begin, end) of one file, in units of the axis. */
static rdd_status read_part(job_rows *rows, const job_file *file, int64_t begin, int64_t end,
                            rdd_err *err) {
  int64_t bytes = end - begin;
  rdd_status st = check_size(file, job_plan_path(rows->plan, file), err);
  if (st) return st;
  if (file->layout == JOB_HDF5) {
    bytes = (int64_t)((__int128)file->size * end / file->weight -
                      (__int128)file->size * begin / file->weight);
    st = job_read_h5(rows, file, begin, end, err);
  } else if (!file->gzip) {
    st = job_read_text(rows, file, begin, end, err);
  } else if (begin == 0) {
    bytes = file->size;
    st = job_read_text(rows, file, 0, file->size, err);
  } else {
    bytes = 0; /* the partition before has read it */
  }
  rdd_task_count(rows->task, JOB_COUNT_BYTES, bytes);
  return st;
}

static rdd_status read_partition(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const job_plan *plan = ((const job_input *)arg)->plan;
  int64_t begin = cut_at(plan, partition), end = cut_at(plan, partition + 1);
  job_rows rows;
  rdd_status st = job_rows_init(&rows, plan, task, err);
  if (st) return st;
  for (int64_t i = file_at(plan, begin); i < plan->files && plan->file[i].at < end && !st; i++) {
    const job_file *file = &plan->file[i];
    int64_t from = begin > file->at ? begin - file->at : 0, to = end - file->at;
    if (to > file->weight) to = file->weight;
    if (from < to) st = read_part(&rows, file, from, to, err);
  }
  if (!st) st = job_rows_flush(&rows, err);
  job_rows_reset(&rows);
  return st;
}

/* ---- the input ---- */

static const char *size_text(char out[32], int64_t bytes) {
  static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  int u = 0;
  for (; value >= 1024 && u < 4; u++) value /= 1024;
  snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", value, unit[u]);
  return out;
}

/* File name without its folder. */
static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return job_path_text(slash ? slash + 1 : path);
}

static void describe(job_input *input) {
  static const char *const ids[2][2] = {{"string ids", "string users, integer items"},
                                        {"integer users, string items", "integer ids"}};
  const job_plan *plan = input->plan;
  const job_file *lead = plan->file;
  char size[32];
  while (!lead->kind[0]) lead++; /* there is one with content */
  const char *first = base_name(job_plan_path(plan, plan->file));
  if (plan->files == 1)
    snprintf(input->name, sizeof input->name, "read %.100s", first);
  else
    snprintf(input->name, sizeof input->name, "read %.70s and %lld more", first,
             (long long)plan->files - 1);
  snprintf(input->describe, sizeof input->describe, "%s, %lld file%s, %s, %lld partition%s, %s",
           lead->kind, (long long)plan->files, plan->files == 1 ? "" : "s",
           size_text(size, plan->size), (long long)plan->partitions,
           plan->partitions == 1 ? "" : "s",
           ids[plan->id_type[0] == RDD_INT64][plan->id_type[1] == RDD_INT64]);
}

/* The RDD over the plan. Local. */
static rdd_status make_source(job_input *input, rdd_err *err) {
  const job_plan *plan = input->plan;
  rdd_schema schema = {0};
  describe(input);
  rdd_schema_add(&schema, "user", (rdd_type)plan->id_type[0]);
  rdd_schema_add(&schema, "item", (rdd_type)plan->id_type[1]);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  if (plan->timestamp) rdd_schema_add(&schema, "timestamp", RDD_INT64);
  for (int64_t i = 0; i < plan->files; i++)
    if (plan->file[i].layout == JOB_HDF5) {
      rdd_status st = job_prepare_h5(err);
      if (st) return st;
      break;
    }
  return rdd_source(&input->source, input->name, plan->partitions, &schema, read_partition, input,
                    err);
}

rdd_status job_input_open(rdd_comm *comm, char *const *path, int n, const job_input_opts *opts,
                          job_input **out, rdd_err *err) {
  rdd_status st = RDD_OK;
  int64_t slots = opts->slots;
  job_input *input = rdd_calloc(1, sizeof *input);
  if (!input) st = rdd_set(err, RDD_ENOMEM, "out of memory for the input");
  rdd_allreduce(comm, &slots, 1, RDD_SUM);
  if (!st && comm->rank == 0) st = make_plan(path, n, opts, slots, &input->plan, err);
  st = rdd_agree(comm, st, err);
  if (st) goto done;
  st = share_plan(comm, &input->plan, err);
  if (st) goto done;
  st = rdd_agree(comm, make_source(input, err), err);
  if (st) goto done;
  *out = input;
  input = NULL;
done:
  job_input_close(input);
  return st;
}

void job_input_close(job_input *input) {
  if (!input) return;
  rdd_release(input->source);
  rdd_free(input->plan);
  rdd_free(input);
}

rdd *job_input_rdd(const job_input *input) {
  return input->source;
}

const char *job_input_describe(const job_input *input) {
  return input->describe;
}

/* Of the plan's fields one by one, not of its bytes, for there is padding between them. */
static uint64_t fingerprint(const job_plan *plan) {
  const int64_t of_all[] = {plan->files,      plan->partitions, plan->weight,    plan->entries,
                            plan->id_type[0], plan->id_type[1], plan->timestamp, plan->pairs};
  uint64_t hash = rdd_hash_bytes(of_all, sizeof of_all);
  for (int64_t i = 0; i < plan->files; i++) {
    const job_file *file = &plan->file[i];
    const char *path = job_plan_path(plan, file);
    const int64_t of_file[] = {file->size,   file->changed, file->at,        file->weight,
                               file->body,   file->layout,  file->delimiter, file->gzip,
                               file->header, file->fields};
    hash = rdd_mix64_2(hash, rdd_hash_bytes(path, strlen(path)));
    hash = rdd_mix64_2(hash, rdd_hash_bytes(of_file, sizeof of_file));
    hash = rdd_mix64_2(hash, rdd_hash_bytes(file->column, sizeof file->column));
  }
  return hash;
}

rdd_status job_input_persist(job_input *input, rdd_store *store, rdd_err *err) {
  if (input->plan->max_bad > 0) return RDD_OK;
  return rdd_persist(input->source, RDD_LEVEL_DISK, store, fingerprint(input->plan), err);
}

rdd_status job_input_check(const job_input *input, const rdd_counters *counters, rdd_err *err) {
  const job_plan *plan = input->plan;
  int64_t bad = counters->value[JOB_COUNT_BAD], rows = counters->value[JOB_COUNT_ROWS];
  if (bad > plan->max_bad)
    return rdd_set(err, RDD_EDATA,
                   "%lld records are bad, more than --max-bad-records %lld; one is %s",
                   (long long)bad, (long long)plan->max_bad, counters->note);
  if (plan->entries >= 0 && rows + bad != plan->entries)
    return rdd_set(
        err, RDD_EDATA,
        "%s: %lld entries found where the Matrix Market header declares %lld; is the file "
        "cut off?",
        job_path_text(job_plan_path(plan, plan->file)), (long long)(rows + bad),
        (long long)plan->entries);
  return RDD_OK;
}
