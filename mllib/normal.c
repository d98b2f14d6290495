/* Normal equations of one row. See normal_impl.h. */
#include "mllib/normal_impl.h"

#include "rdd/memory.h"

#include <string.h>

rdd_status als_normal_init(als_normal *ne, int width, rdd_err *err) {
  size_t w = (size_t)als_kernels_width(ALS_DOUBLE, width);
  als_normal made = {.kernels = als_kernels_get(ALS_DOUBLE), .width = width, .w = (int)w};
  made.a = rdd_calloc(w * w, sizeof *made.a);
  made.b = rdd_calloc(w, sizeof *made.b);
  made.panel = rdd_calloc(ALS_PANEL_ROWS * w, sizeof *made.panel); /* padding stays 0 */
  made.scratch = rdd_alloc(als_kernels_scratch(made.kernels, (int)w), 1);
  if (!made.a || !made.b || !made.panel || !made.scratch) {
    als_normal_reset(&made);
    return rdd_set(err, RDD_ENOMEM, "out of memory for normal equations of %d unknowns", width);
  }
  *ne = made;
  return RDD_OK;
}

void als_normal_reset(als_normal *ne) {
  rdd_free(ne->a);
  rdd_free(ne->b);
  rdd_free(ne->panel);
  rdd_free(ne->scratch);
  *ne = (als_normal){0};
}

void als_normal_clear(als_normal *ne, const als_system *system) {
  size_t w = (size_t)ne->w;
  if (system->gram)
    memcpy(ne->a, system->gram, w * w * sizeof *ne->a);
  else
    memset(ne->a, 0, w * w * sizeof *ne->a);
  memset(ne->b, 0, w * sizeof *ne->b);
  ne->p = 0;
}

void als_normal_add(als_normal *ne, const als_system *system, const als_entry *entry, int64_t n) {
  for (int64_t done = 0; done < n; done += ALS_PANEL_ROWS) {
    int64_t left = n - done;
    int m = (int)(left < ALS_PANEL_ROWS ? left : ALS_PANEL_ROWS);
    ne->kernels->gather(system, entry + done, m, ne->panel, ne->w, ne->b, &ne->p);
    ne->kernels->update(ne->panel, m, ne->w, ne->a, NULL);
  }
}

int als_normal_solve(als_normal *ne, double ridge, double *x_out) {
  void *a = ne->a, *b = ne->b;
  int info;
  ne->kernels->add_ridge(a, ne->w, ne->width, ridge);
  ne->kernels->solve(1, &a, &b, ne->w, ne->scratch, &info);
  if (info == 0) memcpy(x_out, ne->b, (size_t)ne->width * sizeof *x_out);
  return info;
}
