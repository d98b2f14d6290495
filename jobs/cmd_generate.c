/* als generate: planted low-rank ratings with power-law popularity, of any number.
 *
 *   rating(u, i) = centre + spread * <x_u, y_i> + noise     rounded and clipped to the scale
 *
 * x and y are Gaussian with <x_u, y_i> of variance 1. An RDD: a partition is a run of users whose
 * ratings add up to about a million, so the partitions are a function of the parameters alone, and
 * everything random is keyed by (seed, purpose, id). What all tasks read (degrees, popularity, item
 * factors) is made before they are forked. Rank 0 writes the partitions in order as they come. */
#include "jobs/job.h"
#include "jobs/output.h"
#include "jobs/save.h"
#include "jobs/ui.h"
#include "rdd/clock.h"
#include "rdd/hash.h"
#include "rdd/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITION_RATINGS = 1000000, MAX_PLANTED = 1024 };

/* What a stream of random numbers is for. */
enum { FOR_USER_ORDER = 1, FOR_ITEM_ORDER, FOR_USER_FACTORS, FOR_ITEM_FACTORS, FOR_RATINGS };

typedef struct settings {
  int64_t users, items, ratings;
  int k;
  double noise; /* standard deviation, in ratings */
  bool scaled;  /* else raw products */
  float low, high;
  bool whole; /* round to integers */
  uint64_t seed;
} settings;

typedef struct world {
  settings set;
  int32_t *degree; /* [users] ratings of each user */
  int64_t partitions;
  int64_t *first_user; /* [partitions + 1] */
  double *weight;      /* [items] popularity */
  double *accept;      /* [items] alias table: take the item, or its alias */
  int32_t *alias;
  float *factor; /* [items][k] */
} world;

/* ---- Random numbers: a counter for each (seed, purpose, id) ---- */

typedef struct stream {
  uint64_t state;
  float spare; /* the second normal of a pair */
  bool has_spare;
} stream;

static stream stream_of(uint64_t seed, int purpose, int64_t id) {
  return (stream){.state = rdd_mix64_2(rdd_mix64_2(seed, (uint64_t)purpose), (uint64_t)id)};
}

static uint64_t next_bits(stream *s) {
  uint64_t bits = rdd_mix64(s->state);
  s->state += 0x9e3779b97f4a7c15u;
  return bits;
}

static double next_uniform(stream *s) {
  return rdd_uniform(next_bits(s));
}

/* 0 to n - 1, n < 2^32; the bias is below n / 2^32 of a part. */
static int64_t next_below(stream *s, int64_t n) {
  return (int64_t)(((next_bits(s) >> 32) * (uint64_t)n) >> 32);
}

/* Box and Muller 1958. */
static float next_normal(stream *s) {
  if (s->has_spare) {
    s->has_spare = false;
    return s->spare;
  }
  uint64_t bits = next_bits(s);
  float radius = sqrtf(-2 * logf(((float)(bits >> 40) + 1) * 0x1p-24f));
  float angle = (float)(bits & 0xffffff) * (0x1p-24f * 6.2831853f);
  float sine, cosine;
  sincosf(angle, &sine, &cosine);
  s->spare = radius * sine;
  s->has_spare = true;
  return radius * cosine;
}

/* A factor vector; two of them have a product of variance 1. */
static void draw_factors(const settings *set, int purpose, int64_t id, float *out) {
  stream s = stream_of(set->seed, purpose, id);
  float scale = powf((float)set->k, -0.25f);
  for (int f = 0; f < set->k; f++) out[f] = scale * next_normal(&s);
}

/* ---- Popularity: (place + shift)^-exponent, with places dealt out at random ---- */

/* A random permutation of 0..n - 1 (Fisher and Yates), so that popularity says nothing of the id. */
static void shuffle(int32_t *place, int64_t n, uint64_t seed, int purpose) {
  stream s = stream_of(seed, purpose, 0);
  for (int64_t i = 0; i < n; i++) place[i] = (int32_t)i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t other = next_below(&s, i + 1);
    int32_t kept = place[i];
    place[i] = place[other];
    place[other] = kept;
  }
}

static double popularity(int64_t place, double shift, double exponent) {
  return pow((double)place + shift, -exponent);
}

/* Degrees by place, most active first: at least `least` each, at most `most`, `total` in all. Shares
 * are in proportion to the weights; those at the cap give their excess to the rest; rounding is by
 * the running sum, and what floating point lets fall at the end goes to the first that have room. */
static void share_out(const double *weight, int64_t n, int64_t total, int64_t least, int64_t most,
                      int32_t *degree) {
  double rest = 0;
  int64_t capped = 0, left = total - n * least;
  for (int64_t i = n - 1; i >= 0; i--) rest += weight[i];
  while (capped < n && left > 0 && rest > 0 &&
         weight[capped] / rest * (double)left > (double)(most - least)) {
    left -= most - least;
    rest -= weight[capped];
    degree[capped++] = (int32_t)most;
  }
  double sum = 0;
  int64_t given = 0;
  for (int64_t i = capped; i < n; i++) {
    sum += weight[i];
    double share = sum < rest ? sum / rest : 1; /* rest may have shrunk to rounding errors */
    int64_t upto = llround(share * (double)left);
    int64_t extra = upto - given < most - least ? upto - given : most - least;
    degree[i] = (int32_t)(least + extra);
    given += extra;
  }
  for (int64_t i = capped; i < n && given < left; i++) {
    int64_t extra = most - degree[i] < left - given ? most - degree[i] : left - given;
    degree[i] += (int32_t)extra;
    given += extra;
  }
}

static rdd_status make_degrees(world *w, rdd_err *err) {
  const settings *set = &w->set;
  rdd_status st = RDD_OK;
  double *weight = rdd_alloc((size_t)set->users, sizeof(*weight));
  int32_t *by_place = rdd_alloc((size_t)set->users, sizeof(*by_place));
  int32_t *place = rdd_alloc((size_t)set->users, sizeof(*place));
  w->degree = rdd_alloc((size_t)set->users, sizeof(*w->degree));
  if (!weight || !by_place || !place || !w->degree) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld users", (long long)set->users);
    goto done;
  }
  for (int64_t i = 0; i < set->users; i++)
    weight[i] = popularity(i, 1 + (double)set->users / 100, 0.8);
  share_out(weight, set->users, set->ratings, set->ratings >= set->users, set->items, by_place);
  shuffle(place, set->users, set->seed, FOR_USER_ORDER);
  for (int64_t u = 0; u < set->users; u++) w->degree[u] = by_place[place[u]];
done:
  rdd_free(weight);
  rdd_free(by_place);
  rdd_free(place);
  return st;
}

/* Cut the users into partitions of about PARTITION_RATINGS ratings. */
static rdd_status make_partitions(world *w, rdd_err *err) {
  int64_t most = w->set.ratings / PARTITION_RATINGS + 2, n = 0, sum = 0;
  w->first_user = rdd_alloc((size_t)most + 1, sizeof(*w->first_user));
  if (!w->first_user) return rdd_set(err, RDD_ENOMEM, "out of memory for partitions");
  w->first_user[0] = 0;
  for (int64_t u = 0; u < w->set.users; u++) {
    sum += w->degree[u];
    if (sum < PARTITION_RATINGS && u + 1 < w->set.users) continue;
    w->first_user[++n] = u + 1;
    sum = 0;
  }
  w->partitions = n;
  return RDD_OK;
}

/* The alias method (Walker 1977; Vose 1991): an item by popularity in one draw. `todo` is scratch:
 * items below their fair share from the front, the others from the back. */
static void make_alias(world *w, int32_t *todo) {
  int64_t n = w->set.items, small = 0, large = n;
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += w->weight[i];
  for (int64_t i = 0; i < n; i++) {
    w->accept[i] = w->weight[i] / sum * (double)n;
    w->alias[i] = (int32_t)i;
    if (w->accept[i] < 1)
      todo[small++] = (int32_t)i;
    else
      todo[--large] = (int32_t)i;
  }
  while (small > 0 && large < n) {
    int32_t poor = todo[--small], rich = todo[large];
    w->alias[poor] = rich;
    w->accept[rich] -= 1 - w->accept[poor];
    if (w->accept[rich] >= 1) continue;
    large++;
    todo[small++] = rich;
  }
  while (small > 0) w->accept[todo[--small]] = 1; /* rounding left them over */
  while (large < n) w->accept[todo[large++]] = 1;
}

static rdd_status make_items(world *w, rdd_err *err) {
  const settings *set = &w->set;
  size_t n = (size_t)set->items;
  rdd_status st = RDD_OK;
  int32_t *place = rdd_alloc(n, sizeof(*place));
  w->weight = rdd_alloc(n, sizeof(*w->weight));
  w->accept = rdd_alloc(n, sizeof(*w->accept));
  w->alias = rdd_alloc(n, sizeof(*w->alias));
  w->factor = rdd_alloc(n * (size_t)set->k, sizeof(*w->factor));
  if (!place || !w->weight || !w->accept || !w->alias || !w->factor) {
    st = rdd_set(err, RDD_ENOMEM, "out of memory for %lld items", (long long)set->items);
    goto done;
  }
  shuffle(place, set->items, set->seed, FOR_ITEM_ORDER);
  for (int64_t i = 0; i < set->items; i++) {
    w->weight[i] = popularity(place[i], 1 + (double)set->items / 200, 1.0);
    draw_factors(set, FOR_ITEM_FACTORS, i, w->factor + i * set->k);
  }
  make_alias(w, place);
done:
  rdd_free(place);
  return st;
}

static void world_reset(world *w) {
  rdd_free(w->degree);
  rdd_free(w->first_user);
  rdd_free(w->weight);
  rdd_free(w->accept);
  rdd_free(w->alias);
  rdd_free(w->factor);
  *w = (world){0};
}

/* ---- One task: the ratings of a run of users ---- */

/* A set of items in two levels of bits, so that walking it in order costs what is in it. */
typedef struct item_set {
  int64_t words;
  uint64_t *bit;  /* [words] */
  uint64_t *some; /* [words / 64 + 1] which words are not 0 */
} item_set;

static bool item_set_add(item_set *s, int64_t i) {
  uint64_t mask = (uint64_t)1 << (i & 63);
  if (s->bit[i >> 6] & mask) return false;
  s->bit[i >> 6] |= mask;
  s->some[i >> 12] |= (uint64_t)1 << (i >> 6 & 63);
  return true;
}

/* Take all items out, ascending; returns how many. */
static int64_t item_set_drain(item_set *s, int32_t *out) {
  int64_t n = 0;
  for (int64_t top = 0; top <= s->words / 64; top++) {
    for (; s->some[top]; s->some[top] &= s->some[top] - 1) {
      int64_t word = top * 64 + __builtin_ctzll(s->some[top]);
      for (; s->bit[word]; s->bit[word] &= s->bit[word] - 1)
        out[n++] = (int32_t)(word * 64 + __builtin_ctzll(s->bit[word]));
    }
  }
  return n;
}

typedef struct keyed {
  double key;
  int32_t item;
} keyed;

typedef struct scratch {
  item_set set;
  int32_t *chosen;      /* [items] */
  keyed *keyed;         /* [items] */
  float *x;             /* [k] */
  int64_t *user, *item; /* [RDD_BATCH_ROWS] the batch */
  float *rating;
  int64_t rows;
} scratch;

static void scratch_free(scratch *s) {
  rdd_free(s->set.bit);
  rdd_free(s->set.some);
  rdd_free(s->chosen);
  rdd_free(s->keyed);
  rdd_free(s->x);
  rdd_free(s->user);
  rdd_free(s->item);
  rdd_free(s->rating);
}

static rdd_status scratch_new(scratch *s, const settings *set, rdd_err *err) {
  size_t items = (size_t)set->items;
  *s = (scratch){.set.words = set->items / 64 + 1};
  s->set.bit = rdd_calloc((size_t)s->set.words, sizeof(uint64_t));
  s->set.some = rdd_calloc((size_t)s->set.words / 64 + 1, sizeof(uint64_t));
  s->chosen = rdd_alloc(items, sizeof(*s->chosen));
  s->keyed = rdd_alloc(items, sizeof(*s->keyed));
  s->x = rdd_alloc((size_t)set->k, sizeof(*s->x));
  s->user = rdd_alloc(RDD_BATCH_ROWS, sizeof(*s->user));
  s->item = rdd_alloc(RDD_BATCH_ROWS, sizeof(*s->item));
  s->rating = rdd_alloc(RDD_BATCH_ROWS, sizeof(*s->rating));
  if (s->set.bit && s->set.some && s->chosen && s->keyed && s->x && s->user && s->item && s->rating)
    return RDD_OK;
  scratch_free(s);
  return rdd_set(err, RDD_ENOMEM, "out of memory for a task over %lld items",
                 (long long)set->items);
}

/* Move the n smallest keys to the front (Hoare's quickselect, median of three). */
static void select_smallest(keyed *a, int64_t size, int64_t n) {
  int64_t low = 0, high = size - 1;
  while (low < high) {
    double x = a[low].key, y = a[low + (high - low) / 2].key, z = a[high].key;
    double pivot = fmax(fmin(x, y), fmin(fmax(x, y), z));
    int64_t i = low, j = high;
    while (i <= j) {
      while (a[i].key < pivot) i++;
      while (a[j].key > pivot) j--;
      if (i > j) break;
      keyed kept = a[i];
      a[i++] = a[j];
      a[j--] = kept;
    }
    if (n - 1 <= j)
      high = j;
    else if (n - 1 >= i)
      low = i;
    else
      return;
  }
}

/* Draw `degree` distinct items by popularity into s->chosen, ascending. Few: draw again what is there
 * already. Many: the smallest of exponential clocks that tick as fast as the items are popular, which
 * is the same distribution (Efraimidis and Spirakis 2006). */
static void choose_items(const world *w, scratch *s, stream *random, int64_t degree) {
  int64_t items = w->set.items;
  if (degree <= items / 4) {
    for (int64_t n = 0; n < degree;) {
      int64_t i = next_below(random, items);
      if (next_uniform(random) >= w->accept[i]) i = w->alias[i];
      n += item_set_add(&s->set, i);
    }
  } else {
    for (int64_t i = 0; i < items; i++)
      s->keyed[i] = (keyed){-log1p(-next_uniform(random)) / w->weight[i], (int32_t)i};
    select_smallest(s->keyed, items, degree);
    for (int64_t i = 0; i < degree; i++) (void)item_set_add(&s->set, s->keyed[i].item);
  }
  (void)item_set_drain(&s->set, s->chosen);
}

static float make_rating(const settings *set, const float *x, const float *y, stream *random) {
  float product = 0;
  for (int f = 0; f < set->k; f++) product += x[f] * y[f];
  float noise = (float)set->noise * next_normal(random);
  if (!set->scaled) return product + noise;
  float value = (set->low + set->high) / 2 + (set->high - set->low) / 4 * product + noise;
  if (set->whole) value = rintf(value);
  return fminf(fmaxf(value, set->low), set->high);
}

static rdd_status emit(scratch *s, rdd_task *task, rdd_err *err) {
  rdd_batch batch = {.rows = s->rows};
  batch.column[0].values = s->user;
  batch.column[1].values = s->item;
  batch.column[2].values = s->rating;
  s->rows = 0;
  return rdd_task_emit(task, &batch, err);
}

static rdd_status generate_user(const world *w, scratch *s, int64_t u, rdd_task *task,
                                rdd_err *err) {
  const settings *set = &w->set;
  stream random = stream_of(set->seed, FOR_RATINGS, u);
  rdd_status st = RDD_OK;
  draw_factors(set, FOR_USER_FACTORS, u, s->x);
  choose_items(w, s, &random, w->degree[u]);
  for (int64_t n = 0; n < w->degree[u] && !st; n++) {
    int64_t i = s->chosen[n];
    s->user[s->rows] = u + 1;
    s->item[s->rows] = i + 1;
    s->rating[s->rows++] = make_rating(set, s->x, w->factor + i * set->k, &random);
    if (s->rows == RDD_BATCH_ROWS) st = emit(s, task, err);
  }
  return st;
}

static rdd_status generate(void *arg, int64_t partition, rdd_task *task, rdd_err *err) {
  const world *w = arg;
  scratch s;
  rdd_status st = scratch_new(&s, &w->set, err);
  if (st) return st;
  int64_t end = w->first_user[partition + 1];
  for (int64_t u = w->first_user[partition]; u < end && !st; u++)
    if (w->degree[u] > 0) st = generate_user(w, &s, u, task, err);
  if (!st && s.rows > 0) st = emit(&s, task, err);
  scratch_free(&s);
  return st;
}

/* ---- The command ---- */

static const job_option options[] = {
    {"output", 'o', JOB_STRING, "OUT", NULL, 0, 0, true, "where to write; .h5 or .csv"},
    {"users", 0, JOB_INT, "N", "20000", 1, 2e9, false, "number of users; ids are 1 to N"},
    {"items", 0, JOB_INT, "N", "5000", 1, 2e9, false, "number of items; ids are 1 to N"},
    {"ratings", 0, JOB_INT, "N", "2000000", 1, 9e15, false,
     "number of ratings, at most users x items"},
    {"planted-rank", 0, JOB_INT, "K", "8", 1, MAX_PLANTED, false, "factors of the planted model"},
    {"noise", 0, JOB_REAL, "S", "0.25", 0, 1e6, false,
     "standard deviation of the noise, in ratings"},
    {"scale", 0, JOB_STRING, "LO:HI", "1:5", 0, 0, false,
     "range of ratings, rounded where LO and HI are integers; or none"},
    {"seed", 0, JOB_INT, "S", "0", -9e15, 9e15, false, "another seed, another data set"},
    {0},
};

/* "1:5" or "none". */
static rdd_status parse_scale(const char *text, settings *set, rdd_err *err) {
  if (!strcmp(text, "none")) return RDD_OK;
  char *middle = NULL, *end = NULL;
  float low = strtof(text, &middle);
  float high = *middle == ':' ? strtof(middle + 1, &end) : 0;
  if (middle == text || !end || end == middle + 1 || *end || !isfinite(low) || !isfinite(high) ||
      !(low < high))
    return rdd_set(err, RDD_EUSAGE,
                   "--scale %s: expected LO:HI with LO below HI, such as 1:5, or none", text);
  set->scaled = true;
  set->low = low;
  set->high = high;
  set->whole = low == rintf(low) && high == rintf(high);
  return RDD_OK;
}

static rdd_status read_settings(const job_args *args, settings *set, rdd_err *err) {
  set->users = job_int(args, "users");
  set->items = job_int(args, "items");
  set->ratings = job_int(args, "ratings");
  set->k = (int)job_int(args, "planted-rank");
  set->noise = job_real(args, "noise");
  set->seed = (uint64_t)job_int(args, "seed");
  if ((double)set->ratings > (double)set->users * (double)set->items)
    return rdd_set(
        err, RDD_EUSAGE,
        "--ratings %lld is more than %lld users x %lld items; nobody rates an item twice",
        (long long)set->ratings, (long long)set->users, (long long)set->items);
  return parse_scale(job_string(args, "scale"), set, err);
}

/* Everything that the tasks read; the same on every rank. Not collective. */
static rdd_status make_world(world *w, rdd **out, rdd_err *err) {
  rdd_schema schema = {0};
  rdd_schema_add(&schema, "user", RDD_INT64);
  rdd_schema_add(&schema, "item", RDD_INT64);
  rdd_schema_add(&schema, "rating", RDD_FLOAT32);
  rdd_status st = make_degrees(w, err);
  if (!st) st = make_partitions(w, err);
  if (!st) st = make_items(w, err);
  return st ? st : rdd_source(out, "generate", w->partitions, &schema, generate, w, err);
}

typedef struct made {
  job *j;
  const char *path;
  double started;
} made;

static rdd_status finish(void *arg, job_table_file *file, const rdd_counters *counters,
                         rdd_err *err) {
  const made *m = arg;
  job_json *json = m->j->result;
  (void)counters;
  int64_t users = job_table_file_distinct(file, 0), items = job_table_file_distinct(file, 1);
  int64_t rows = job_table_file_rows(file);
  rdd_status st = job_save_counts(file, err);
  if (st) return st;
  double seconds = rdd_seconds() - m->started;
  job_json_int(json, "users", users);
  job_json_int(json, "items", items);
  job_json_int(json, "ratings", rows);
  job_json_real(json, "seconds", seconds);
  job_json_string(json, "out", m->path);
  job_say("%s: %s ratings of %s items by %s users in %s", m->path, job_count_text(rows),
          job_count_text(items), job_count_text(users), job_seconds_text(seconds));
  return RDD_OK;
}

static rdd_status run(job *j, const job_args *args, rdd_err *err) {
  made m = {.j = j, .path = job_string(args, "output"), .started = rdd_seconds()};
  world w = {0};
  rdd *ratings = NULL;
  rdd_status st = read_settings(args, &w.set, err);
  if (!st && j->comm->rank == 0) st = job_output_check(m.path, ".h5|.hdf5|.csv|.tsv", err);
  st = rdd_agree(j->comm, st, err);
  if (!st) st = rdd_agree(j->comm, make_world(&w, &ratings, err), err);
  if (!st)
    st = job_save(j, ratings, "generating", m.path, &job_ratings_spec, NULL, finish, &m, err);
  rdd_release(ratings);
  world_reset(&w);
  return st;
}

const job_command job_generate = {
    .name = "generate",
    .summary = "make ratings with a planted model and power-law popularity",
    .usage = "-o OUT [OPTION]...",
    .example = "als generate -o ratings.h5 --users 138000 --items 27000 --ratings 20000000",
    .options = options,
    .positional_min = 0,
    .positional_max = 0,
    .run = run,
};
