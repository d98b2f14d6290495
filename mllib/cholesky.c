/* The exact solver: normal equations and a Cholesky factorisation, row by row. */
#include "mllib/normal.h"
#include "rdd/memory.h"

static void close_cholesky(void *scratch) {
  als_normal *ne = scratch;
  if (ne) als_normal_reset(ne);
  rdd_free(ne);
}

static rdd_status open_cholesky(const als_system *system, void **scratch_out, rdd_err *err) {
  als_normal *ne = rdd_calloc(1, sizeof *ne);
  if (!ne) return rdd_set(err, RDD_ENOMEM, "out of memory for a solver");
  rdd_status st = als_normal_init(ne, system->width, err);
  if (st)
    rdd_free(ne);
  else
    *scratch_out = ne;
  return st;
}

/* A x = b, so that x'A x is x'b and costs nothing. */
static void solve_cholesky(void *scratch, const als_system *system, als_row *rows, int n) {
  als_normal *ne = scratch;
  for (als_row *row = rows; row < rows + n; row++) {
    als_normal_clear(ne, system);
    als_normal_add(ne, system, row->entry, row->n);
    row->singular = als_normal_solve(ne, row->ridge, row->x) != 0;
    if (row->singular) continue;
    row->p = ne->p;
    row->x_b = 0;
    for (int j = 0; j < system->width; j++) row->x_b += row->x[j] * ne->b[j];
    row->x_a_x = row->x_b;
  }
}

const als_solver_kind als_cholesky = {open_cholesky, solve_cholesky, close_cholesky};
