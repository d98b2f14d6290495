/* The kernels of every kind that this processor can run, in both precisions: against plain loops in double,
 * and against each other, bit for bit where that is promised. */
#include "mllib/kernels_impl.h"
#include "rdd/hash.h"
#include "rdd/memory.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 50, MOST_WIDTH = 144, MOST_LINES = 200 };

static const int widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 65, 100, 129};
enum { WIDTHS = sizeof widths / sizeof *widths };

static fx_random dice;

static double draw(void) {
  return fx_double(&dice) * 2 - 1;
}

static double epsilon(const als_kernels *kernels) {
  return kernels->size == sizeof(float) ? FLT_EPSILON : DBL_EPSILON;
}

/* n reals, aligned; free with drop(). */
static void *reals(const als_kernels *kernels, size_t n) {
  return rdd_calloc(n, kernels->size);
}

static double get(const als_kernels *kernels, const void *x, size_t i) {
  return kernels->size == sizeof(float) ? ((const float *)x)[i] : ((const double *)x)[i];
}

static void put(const als_kernels *kernels, void *x, size_t i, double value) {
  if (kernels->size == sizeof(float))
    ((float *)x)[i] = (float)value;
  else
    ((double *)x)[i] = value;
}

/* Lines of `width` numbers and padding of 0. */
static void fill(const als_kernels *kernels, void *x, int lines, int width, int w) {
  for (int i = 0; i < lines; i++)
    for (int j = 0; j < width; j++) put(kernels, x, (size_t)i * (size_t)w + (size_t)j, draw());
}

/* Run a case for every kind and precision. */
static void each_kind(void (*run)(const als_kernels *kernels, int width, int w), int width) {
  const als_kernels *kernels;
  for (int precision = 0; precision < 2; precision++)
    for (int i = 0; (kernels = als_kernels_kind(i, (als_precision)precision)); i++) {
      fx_seed(&dice, width);
      run(kernels, width, als_kernels_width((als_precision)precision, width));
    }
}

/* And for every width. */
static void each(void (*run)(const als_kernels *kernels, int width, int w)) {
  for (int at = 0; at < WIDTHS; at++) each_kind(run, widths[at]);
}

/* ---- Gathering ---- */

static void gather_as(const als_kernels *kernels, const als_system *s, int w) {
  enum { M = 37 };
  als_entry entry[M];
  size_t n = (size_t)w;
  void *panel = reals(kernels, M * n), *b = reals(kernels, n), *c = reals(kernels, M),
       *b2 = reals(kernels, n);
  float *floats = rdd_calloc(M * n, sizeof *floats);
  double p = 0, p2 = 0, want_p = 0, want_b[MOST_WIDTH] = {0}, tolerance = 50 * epsilon(kernels);
  for (int e = 0; e < M; e++)
    entry[e] = (als_entry){(uint32_t)fx_below(&dice, COLUMNS), (float)(draw() * 3)};
  kernels->gather(s, entry, M, panel, w, b, &p);
  kernels->gather_floats(s, entry, M, floats, w, c, b2, &p2);
  for (int e = 0; e < M; e++) {
    als_term term = als_system_term(s, &entry[e]);
    want_p += term.p;
    TK_NEAR(get(kernels, c, (size_t)e), term.c, tolerance);
    for (int j = 0; j < w; j++) {
      double f = j < s->k       ? (double)s->factors[entry[e].column * (size_t)s->k + (size_t)j]
                 : j < s->width ? 1
                                : 0;
      size_t at = (size_t)e * n + (size_t)j;
      TK_NEAR(get(kernels, panel, at), sqrt(term.c) * f, tolerance);
      TK_CHECK(floats[at] == (float)f);
      want_b[j] += term.t * f;
    }
  }
  TK_NEAR(p, want_p, 1e-12);
  TK_CHECK(p == p2);
  for (int j = 0; j < w; j++) TK_NEAR(get(kernels, b, (size_t)j), want_b[j], 3 * tolerance);
  TK_CHECK(memcmp(b, b2, n * kernels->size) == 0);
  rdd_free(panel), rdd_free(b), rdd_free(c), rdd_free(b2), rdd_free(floats);
}

static void gathers(const als_kernels *kernels, int width, int w) {
  static float factors[COLUMNS * MOST_WIDTH], bias[COLUMNS];
  for (int i = 0; i < COLUMNS * width; i++) factors[i] = (float)draw();
  for (int i = 0; i < COLUMNS; i++) bias[i] = (float)draw();
  const als_system plain = {.k = width, .width = width, .factors = factors};
  als_system implicit = plain, biased = plain;
  implicit.loss = (als_loss){ALS_IMPLICIT, .alpha = 1.5};
  biased.bias = bias;
  biased.mean = 0.3;
  biased.k = width - 1;
  gather_as(kernels, &plain, w);
  gather_as(kernels, &implicit, w);
  if (width > 1) gather_as(kernels, &biased, w);
}

static void gathered_as_they_are(void) {
  each(gathers);
}

/* ---- Products ---- */

static void products(const als_kernels *kernels, int width, int w) {
  static const int lines[] = {1, 2, 5, 17, 64, 65};
  size_t n = (size_t)w;
  void *panel = reals(kernels, MOST_LINES * n), *a = reals(kernels, n * n);
  for (size_t l = 0; l < sizeof lines / sizeof *lines; l++) {
    int m = lines[l];
    double tolerance = 2 * (m + 1) * epsilon(kernels);
    fill(kernels, panel, m, width, w);
    for (size_t i = 0; i < n * n; i++) put(kernels, a, i, 0.5);
    kernels->update(panel, m, w, a, NULL);
    for (size_t i = 0; i < n; i++)
      for (size_t j = i; j < n; j++) {
        double want = 0.5;
        for (size_t e = 0; e < (size_t)m; e++)
          want += get(kernels, panel, e * n + i) * get(kernels, panel, e * n + j);
        TK_NEAR(get(kernels, a, i * n + j), want, tolerance);
      }
  }
  rdd_free(panel), rdd_free(a);
}

static void updates_are_sums_of_products(void) {
  each(products);
}

static void vectors(const als_kernels *kernels, int width, int w) {
  enum { M = 21, PADDED = 32 };
  size_t n = (size_t)w;
  double tolerance = 4 * (width + M) * epsilon(kernels);
  void *panel = reals(kernels, M * n), *turned = reals(kernels, n * PADDED),
       *weight = reals(kernels, M), *x = reals(kernels, n), *y = reals(kernels, n),
       *eight = reals(kernels, 8 * n), *matrix = reals(kernels, n * n),
       *out = reals(kernels, 8 * n);
  float *floats = rdd_calloc(M * n, sizeof *floats);
  als_fetch none = {0};
  fill(kernels, panel, M, width, w);
  fill(kernels, weight, 1, M, M);
  fill(kernels, y, 1, width, w);
  fill(kernels, eight, 8, width, w);
  fill(kernels, matrix, width, width, w);
  for (size_t i = 0; i < M * n; i++) floats[i] = (float)get(kernels, panel, i);

  kernels->transpose(panel, M, w, turned, PADDED);
  for (size_t j = 0; j < n; j++)
    for (size_t e = 0; e < PADDED; e++)
      TK_CHECK(get(kernels, turned, j * PADDED + e) ==
               (e < M ? get(kernels, panel, e * n + j) : 0));

  kernels->combine(panel, M, w, weight, x);
  for (size_t j = 0; j < n; j++) {
    double want = 0;
    for (size_t e = 0; e < M; e++) want += get(kernels, weight, e) * get(kernels, panel, e * n + j);
    TK_NEAR(get(kernels, x, j), want, tolerance);
  }

  memset(x, 0, n * kernels->size);
  kernels->pass(floats, M, w, weight, y, x, &none);
  for (size_t j = 0; j < n; j++) {
    double want = 0;
    for (size_t e = 0; e < M; e++) {
      double along = 0;
      for (size_t i = 0; i < n; i++) along += floats[e * n + i] * get(kernels, y, i);
      want += get(kernels, weight, e) * along * floats[e * n + j];
    }
    TK_NEAR(get(kernels, x, j), want, 20 * tolerance);
  }

  kernels->multiply(eight, matrix, w, out);
  for (size_t r = 0; r < 8; r++)
    for (size_t j = 0; j < n; j++) {
      double want = 0;
      for (size_t i = 0; i < n; i++)
        want += get(kernels, eight, r * n + i) * get(kernels, matrix, i * n + j);
      TK_NEAR(get(kernels, out, r * n + j), want, tolerance);
    }

  double along = 0;
  for (size_t j = 0; j < n; j++) along += get(kernels, y, j) * get(kernels, eight, j);
  TK_NEAR(kernels->dot(y, eight, w), along, tolerance);
  kernels->scale(3, eight, x, w);
  kernels->axpy(-2, y, x, w);
  kernels->xpay(y, 0.5, x, w);
  for (size_t j = 0; j < n; j++)
    TK_NEAR(get(kernels, x, j),
            get(kernels, y, j) + 0.5 * (3 * get(kernels, eight, j) - 2 * get(kernels, y, j)),
            tolerance);
  rdd_free(panel), rdd_free(turned), rdd_free(weight), rdd_free(x), rdd_free(y), rdd_free(eight);
  rdd_free(matrix), rdd_free(out), rdd_free(floats);
}

static void vectors_are_what_plain_loops_make(void) {
  each(vectors);
  each_kind(vectors, 530); /* too wide for what passes keep */
}

/* ---- Systems ---- */

typedef struct systems {
  const als_kernels *kernels;
  int n, w;
  void *a[ALS_GROUP], *b[ALS_GROUP], *scratch;
  int info[ALS_GROUP];
} systems;

static void open_systems(systems *s, const als_kernels *kernels, int n, int w) {
  *s = (systems){.kernels = kernels, .n = n, .w = w};
  s->scratch = rdd_alloc(als_kernels_scratch(kernels, w), 1);
  for (int i = 0; i < n; i++) {
    s->a[i] = reals(kernels, (size_t)w * (size_t)w);
    s->b[i] = reals(kernels, (size_t)w);
  }
}

static void close_systems(systems *s) {
  for (int i = 0; i < s->n; i++) rdd_free(s->a[i]), rdd_free(s->b[i]);
  rdd_free(s->scratch);
}

/* Positive definite, with both triangles. */
static void draw_system(systems *s, int i, int width) {
  size_t n = (size_t)s->w;
  void *panel = reals(s->kernels, 2 * n * n);
  fill(s->kernels, panel, width + 3, width, s->w);
  s->kernels->update(panel, width + 3, s->w, s->a[i], NULL);
  s->kernels->add_ridge(s->a[i], s->w, width, 0.5);
  fill(s->kernels, s->b[i], 1, width, s->w);
  rdd_free(panel);
}

static void copy_system(systems *to, int j, const systems *from, int i) {
  size_t n = (size_t)from->w, size = from->kernels->size;
  memcpy(to->a[j], from->a[i], n * n * size);
  memcpy(to->b[j], from->b[i], n * size);
}

static void solve_systems(systems *s, int n) {
  s->kernels->solve(n, s->a, s->b, s->w, s->scratch, s->info);
}

/* A x is b, and x is 0 where there is padding. */
static void check_solution(const systems *before, const systems *after, int i, int width) {
  const als_kernels *kernels = before->kernels;
  size_t n = (size_t)before->w;
  for (size_t r = 0; r < n; r++) {
    double sum = 0, size = 1;
    for (size_t c = 0; c < n; c++) {
      double term = get(kernels, before->a[i], (r < c ? r : c) * n + (r < c ? c : r)) *
                    get(kernels, after->b[i], c);
      sum += term;
      size += fabs(term);
    }
    TK_NEAR(sum, get(kernels, before->b[i], r), 8 * epsilon(kernels) * size);
    if (r >= (size_t)width) TK_CHECK(get(kernels, after->b[i], r) == 0);
  }
}

static void solutions(const als_kernels *kernels, int width, int w) {
  systems all, now, one;
  int n = kernels->lanes;
  open_systems(&all, kernels, n, w);
  open_systems(&now, kernels, n, w);
  open_systems(&one, kernels, 1, w);
  for (int i = 0; i < n; i++) {
    draw_system(&all, i, width);
    copy_system(&now, i, &all, i);
  }
  solve_systems(&now, n);
  for (int i = 0; i < n; i++) {
    TK_CHECK(now.info[i] == 0);
    check_solution(&all, &now, i, width);
    copy_system(&one, 0, &all, i);
    solve_systems(&one, 1); /* alone it has the same bits */
    TK_CHECK(memcmp(one.b[0], now.b[i], (size_t)w * kernels->size) == 0);
  }
  /* one that is not positive definite says where, and the others do not mind */
  int bad = n / 2, order = width / 2 + 1;
  for (int i = 0; i < n; i++) copy_system(&now, i, &all, i);
  put(kernels, now.a[bad], (size_t)(order - 1) * (size_t)(w + 1), -1);
  solve_systems(&now, n);
  for (int i = 0; i < n; i++) {
    TK_CHECK(now.info[i] == (i == bad ? order : 0));
    if (i != bad) check_solution(&all, &now, i, width);
  }
  close_systems(&all), close_systems(&now), close_systems(&one);
}

static void systems_are_solved_side_by_side(void) {
  each(solutions);
}

/* ---- The same bits ---- */

/* A hash of what every kernel makes of the same numbers. */
static uint64_t everything(const als_kernels *kernels, int width, int w) {
  enum { M = 70 };
  static float factors[COLUMNS * MOST_WIDTH];
  als_entry entry[M];
  size_t n = (size_t)w;
  uint64_t hash = 0;
  double p = 0;
  systems s;
  fx_seed(&dice, width);
  for (int i = 0; i < COLUMNS * width; i++) factors[i] = (float)draw();
  for (int e = 0; e < M; e++)
    entry[e] = (als_entry){(uint32_t)fx_below(&dice, COLUMNS), (float)draw()};
  const als_system system = {
      .k = width, .width = width, .factors = factors, .loss = {ALS_IMPLICIT, .alpha = 0.7}};
  void *panel = reals(kernels, M * n), *c = reals(kernels, M), *v = reals(kernels, 8 * n);
  float *floats = rdd_calloc(M * n, sizeof *floats);
  als_fetch none = {0};
  open_systems(&s, kernels, 1, w);
  kernels->gather(&system, entry, M, panel, w, s.b[0], &p);
  kernels->update(panel, M, w, s.a[0], NULL);
  kernels->add_ridge(s.a[0], w, width, 0.3);
  kernels->multiply(panel, s.a[0], w, v);
  solve_systems(&s, 1);
  kernels->gather_floats(&system, entry, M, floats, w, c, v, &p);
  kernels->pass(floats, M, w, c, s.b[0], v, &none);
  kernels->axpy(kernels->dot(v, s.b[0], w), s.b[0], v, w);
  kernels->xpay(s.b[0], 0.1, v, w);
  for (size_t i = 0; i < n; i++) {
    double both[2] = {get(kernels, v, i), get(kernels, s.b[0], i)};
    uint64_t bits[2];
    memcpy(bits, both, sizeof bits);
    hash = rdd_mix64_2(rdd_mix64_2(hash, bits[0]), bits[1]);
  }
  close_systems(&s);
  rdd_free(panel), rdd_free(c), rdd_free(v), rdd_free(floats);
  return hash;
}

static void processors_with_fma_agree(void) {
  for (int precision = 0; precision < 2; precision++)
    for (int at = 0; at < WIDTHS; at++) {
      const als_kernels *first = als_kernels_kind(0, (als_precision)precision), *other;
      int w = als_kernels_width((als_precision)precision, widths[at]);
      for (int i = 1; (other = als_kernels_kind(i, (als_precision)precision)); i++)
        if (strcmp(other->name, "portable"))
          TK_CHECK(everything(first, widths[at], w) == everything(other, widths[at], w));
    }
}

static void kinds_can_be_chosen(void) {
  const als_kernels *kind;
  for (int i = 0; (kind = als_kernels_kind(i, ALS_DOUBLE)); i++) {
    setenv("GANGPLANK_KERNELS", kind->name, 1);
    TK_CHECK(als_kernels_get(ALS_DOUBLE) == kind);
    TK_CHECK(als_kernels_get(ALS_SINGLE) == als_kernels_kind(i, ALS_SINGLE));
  }
  setenv("GANGPLANK_KERNELS", "abacus", 1);
  TK_CHECK(als_kernels_get(ALS_DOUBLE) == als_kernels_kind(0, ALS_DOUBLE));
  unsetenv("GANGPLANK_KERNELS");
}

int main(void) {
  static const tk_case cases[] = {
      {"ratings are gathered as they are", gathered_as_they_are},
      {"updates are sums of products", updates_are_sums_of_products},
      {"vectors are what plain loops make", vectors_are_what_plain_loops_make},
      {"systems are solved side by side", systems_are_solved_side_by_side},
      {"processors with fused multiply-add agree to the last bit", processors_with_fma_agree},
      {"kinds can be chosen", kinds_can_be_chosen},
  };
  return tk_main("mllib kernels", cases, sizeof cases / sizeof *cases);
}
