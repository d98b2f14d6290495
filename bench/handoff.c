/* The hand-off alone, measured: from the partitions that tasks have made to both sides' compressed rows.
 *
 *   mpirun -n RANKS handoff RATINGS int|string
 *
 * The calls are those of `als train`, in its order, and a lookup of all dense indices between them,
 * which `als train` does as a part of by_user. Rank 0 prints one JSON object: seconds of each
 * stage (the slowest rank's), and for each rank the bytes of the partitions that it held, its ratings by
 * user and by item, and its memory after each stage. memcpy is measured in the same run, by all ranks at
 * once, each between two warm buffers of 64 MiB; after the memory, since it needs some. */
#include "jobs/input.h"
#include "jobs/memory_use.h"
#include "mllib/ids_impl.h"
#include "mllib/ratings.h"
#include "mpi_bridge/gang.h"
#include "rdd/memory.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { K = 64, COPY_BYTES = 64 << 20, COPIES = 9 };

/* After what the memory is looked at, and what the time before that was spent on. */
enum { READ, USER_IDS, ITEM_IDS, LOOKUP, BY_USER, BY_ITEM, STAGES };
static const char *const stage_name[STAGES] = {"read",   "user_ids", "item_ids",
                                               "lookup", "by_user",  "by_item"};

typedef struct measured {
  int64_t nanoseconds[STAGES];
  job_memory_use memory[STAGES];
  int64_t partitions, partition_bytes, id_bytes; /* id_bytes: of both columns of ids */
  int64_t rows, by_user, by_item;                /* ratings read, and in the rows that it owns */
  int64_t copy_nanoseconds;
  uint64_t sum; /* so that the lookup is not for nothing */
} measured;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* All ranks begin a stage together. */
static int64_t begin(rdd_comm *comm) {
  rdd_barrier(comm);
  return now_ns();
}

static void end(measured *m, int stage, int64_t began) {
  m->nanoseconds[stage] = now_ns() - began;
  m->memory[stage] = job_memory_now();
}

static void weigh(measured *m, const rdd_parts *parts) {
  m->partitions = parts->n;
  for (int64_t p = 0; p < parts->n; p++) {
    const rdd_part *part = &parts->part[p];
    m->partition_bytes += (int64_t)part->size;
    m->rows += part->rows;
    for (int64_t b = 0; b < part->batches; b++)
      for (int side = 0; side < 2; side++) {
        const rdd_column *c = &part->batch[b].column[side];
        int64_t rows = part->batch[b].rows;
        m->id_bytes += c->offsets ? 4 * (rows + 1) + c->offsets[rows] - c->offsets[0] : 8 * rows;
      }
  }
}

/* The median of several copies. */
static rdd_status copy(measured *m, rdd_comm *comm, rdd_err *err) {
  int64_t spent[COPIES];
  char *from = rdd_calloc(COPY_BYTES, 1), *to = rdd_calloc(COPY_BYTES, 1);
  rdd_status st = from && to ? RDD_OK : rdd_set(err, RDD_ENOMEM, "no memory for two buffers");
  st = rdd_agree(comm, st, err);
  for (int i = -1; i < COPIES && !st; i++) { /* the first one warms */
    memset(from, i + 1, COPY_BYTES);
    int64_t began = begin(comm);
    memcpy(to, from, COPY_BYTES);
    __asm__ volatile("" : : "r"(to) : "memory");
    if (i >= 0) spent[i] = now_ns() - began;
  }
  for (int i = 1; i < COPIES && !st; i++)
    for (int j = i; j > 0 && spent[j - 1] > spent[j]; j--) {
      int64_t swap = spent[j];
      spent[j] = spent[j - 1];
      spent[j - 1] = swap;
    }
  if (!st) m->copy_nanoseconds = spent[COPIES / 2];
  rdd_free(from);
  rdd_free(to);
  return st;
}

/* The dense index of each rating's user and item; als_side_build() will find them once more. */
static uint64_t look_up(const rdd_parts *parts, const als_ids *const ids[2]) {
  uint64_t sum = 0;
  for (int side = 0; side < 2; side++) {
    als_memo memo;
    als_memo_init(&memo, ids[side]);
    for (int64_t p = 0; p < parts->n; p++)
      for (int64_t b = 0; b < parts->part[p].batches; b++) {
        const rdd_batch *batch = &parts->part[p].batch[b];
        uint32_t dense[4096];
        for (int64_t first = 0, n; first < batch->rows; first += n) {
          n = batch->rows - first < 4096 ? batch->rows - first : 4096;
          als_memo_find(&memo, &batch->column[side], first, n, dense);
          sum += dense[n - 1];
        }
      }
    als_memo_reset(&memo);
  }
  return sum;
}

/* What start_model() and build_problem() of `als train` do, and the lookup. */
static rdd_status hand_off(gang *g, rdd_parts *const *parts, void *arg, rdd_err *err) {
  measured *m = arg;
  rdd_comm *comm = gang_comm(g);
  als_ids *ids[2] = {NULL, NULL};
  als_side side[2] = {{.rows = 0}, {.rows = 0}};
  int64_t cold, began = begin(comm);
  rdd_status st = RDD_OK;
  weigh(m, parts[0]);
  end(m, READ, began);
  for (int s = 0; s < 2 && !st; s++) {
    began = begin(comm);
    st = als_ids_build(comm, parts[0], s, &ids[s], err);
    end(m, USER_IDS + s, began);
  }
  if (st) goto done;
  const als_ids *const known[2] = {ids[0], ids[1]};
  began = begin(comm);
  m->sum = look_up(parts[0], known);
  end(m, LOOKUP, began);
  began = begin(comm);
  st = als_side_build(comm, parts[0], ALS_USERS, known, NULL, K, 0, &side[0], &cold, err);
  if (st) goto done;
  end(m, BY_USER, began);
  began = begin(comm);
  st = als_side_transpose(comm, &side[0], ids[1]->n, K, 0, &side[1], err);
  if (st) goto done;
  end(m, BY_ITEM, began);
  m->by_user = side[0].start[side[0].rows];
  m->by_item = side[1].start[side[1].rows];
done:
  for (int s = 0; s < 2; s++) als_side_reset(&side[s]);
  for (int s = 0; s < 2; s++) als_ids_free(ids[s]);
  return st ? st : copy(m, comm, err);
}

static int64_t value_at(const measured *m, size_t at) {
  int64_t value;
  memcpy(&value, (const char *)m + at, sizeof value);
  return value;
}

/* "name": [one of each rank], and a comma. */
static void print_by_rank(const char *name, const measured *all, int n, size_t at) {
  printf("\"%s\": ", name);
  for (int r = 0; r < n; r++) printf("%s%" PRId64, r ? ", " : "[", value_at(&all[r], at));
  printf("], ");
}

static double slowest(const measured *all, int n, size_t at) {
  int64_t most = 0;
  for (int r = 0; r < n; r++)
    if (value_at(&all[r], at) > most) most = value_at(&all[r], at);
  return 1e-9 * (double)most;
}

static void print(const measured *all, int n) {
  printf("{\"ranks\": %d, ", n);
  print_by_rank("partitions", all, n, offsetof(measured, partitions));
  print_by_rank("partition_bytes", all, n, offsetof(measured, partition_bytes));
  print_by_rank("id_bytes", all, n, offsetof(measured, id_bytes));
  print_by_rank("rows", all, n, offsetof(measured, rows));
  print_by_rank("by_user", all, n, offsetof(measured, by_user));
  print_by_rank("by_item", all, n, offsetof(measured, by_item));
  for (int s = 0; s < STAGES; s++) {
    size_t memory = offsetof(measured, memory) + (size_t)s * sizeof(job_memory_use);
    size_t time = offsetof(measured, nanoseconds) + (size_t)s * sizeof(int64_t);
    printf("%s\"%s\": {", s ? ", " : "\"stages\": {", stage_name[s]);
    print_by_rank("peak", all, n, memory + offsetof(job_memory_use, peak));
    print_by_rank("anonymous", all, n, memory + offsetof(job_memory_use, anonymous));
    print_by_rank("shared", all, n, memory + offsetof(job_memory_use, shared));
    print_by_rank("files", all, n, memory + offsetof(job_memory_use, files));
    printf("\"seconds\": %.6f}", slowest(all, n, time));
  }
  printf("}, \"memcpy\": %.4e}\n",
         n * (double)COPY_BYTES / slowest(all, n, offsetof(measured, copy_nanoseconds)));
}

static rdd_status measure(rdd_comm *comm, char *path, const char *id_type, rdd_err *err) {
  const job_input_opts opts = {.format = "auto", .id_type = id_type, .slots = 1};
  const rdd_run_opts run = {.slots = 1};
  job_input *input = NULL;
  measured own = {.rows = 0}, *all = rdd_alloc((size_t)comm->size, sizeof *all);
  rdd_status st = all ? RDD_OK : rdd_set(err, RDD_ENOMEM, "no memory for the figures");
  st = rdd_agree(comm, st, err);
  if (!st) st = job_input_open(comm, &path, 1, &opts, &input, err);
  if (st) goto done;
  rdd *const ratings = job_input_rdd(input);
  st = gang_run(comm, &ratings, 1, &run, NULL, NULL, hand_off, &own, err);
  if (st) goto done;
  rdd_allgather(comm, &own, sizeof own, all);
  if (comm->rank == 0) print(all, comm->size);
done:
  job_input_close(input);
  rdd_free(all);
  return st;
}

int main(int argc, char **argv) {
  rdd_comm *comm = NULL;
  rdd_err err = {0};
  rdd_status st = gang_open(&argc, &argv, &comm, &err);
  if (!st && argc != 3) st = rdd_set(&err, RDD_EUSAGE, "usage: handoff RATINGS int|string");
  if (!st) st = measure(comm, argv[1], argv[2], &err);
  if (st && (!comm || comm->rank == 0)) fprintf(stderr, "handoff: %s\n", err.message);
  rdd_comm_close(comm);
  return st ? 70 : 0;
}
