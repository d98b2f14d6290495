/* Parameters as attributes of a model file. See params.h and docs/formats.md. */
#include "jobs/h5.h"
#include "jobs/params_impl.h"

#include <math.h>
#include <string.h>

static const char *const solver_name[] = {"cholesky", "cg", "subspace"};

/* In the order of a value list, below. */
const job_param_name job_param_names[JOB_PARAM_NAMES] = {
    {"max_iter", "max-iter", JOB_PARAM_INT},
    {"implicit_prefs", "implicit-prefs", JOB_PARAM_INT},
    {"alpha", "alpha", JOB_PARAM_REAL},
    {"unobserved_weight", "unobserved-weight", JOB_PARAM_REAL},
    {"reg_user", "reg-user", JOB_PARAM_REAL},
    {"reg_item", "reg-item", JOB_PARAM_REAL},
    {"reg_exponent", "reg-scaling", JOB_PARAM_REAL},
    {"min_ridge", "min-ridge", JOB_PARAM_REAL},
    {"nonnegative", "nonnegative", JOB_PARAM_INT},
    {"bias", "biases", JOB_PARAM_INT},
    {"bias_reg", "bias-reg", JOB_PARAM_REAL},
    {"update_bias", "update-bias", JOB_PARAM_INT},
    {"solver", "solver", JOB_PARAM_TEXT},
    {"precision", "precision", JOB_PARAM_TEXT},
    {"cg_steps", "cg-steps", JOB_PARAM_INT},
    {"subspace_block", "subspace-block", JOB_PARAM_INT},
    {"final_exact", "final-exact", JOB_PARAM_INT},
    {"balance", "balance", JOB_PARAM_INT},
    {"tol", "tol", JOB_PARAM_REAL},
    {"seed", "seed", JOB_PARAM_INT},
    {"init", "init", JOB_PARAM_TEXT},
    {"num_user_blocks", "num-user-blocks", JOB_PARAM_INT},
    {"num_item_blocks", "num-item-blocks", JOB_PARAM_INT},
};

typedef struct value {
  bool written;
  int64_t number;
  double real;
  const char *text;
} value;

rdd_status job_params_save(hid_t file, const als_params *p, const job_start *start, rdd_err *err) {
  als_mode mode = p->loss.mode;
  const value list[JOB_PARAM_NAMES] = {
      {true, .number = p->max_iter},
      {true, .number = mode != ALS_EXPLICIT},
      {mode == ALS_IMPLICIT, .real = p->loss.alpha},
      {mode == ALS_IALS, .real = p->loss.unobserved},
      {true, .real = p->reg[ALS_USERS]},
      {true, .real = p->reg[ALS_ITEMS]},
      {true, .real = p->reg_exponent},
      {true, .real = p->min_ridge},
      {true, .number = p->nonnegative},
      {true, .number = p->bias},
      {p->bias, .real = p->bias_reg},
      {true, .number = p->update_bias},
      {true, .text = solver_name[p->solver]},
      {true, .text = p->precision == ALS_SINGLE ? "single" : "double"},
      {p->solver == ALS_CG, .number = p->cg_steps},
      {p->solver == ALS_SUBSPACE, .number = p->block},
      {true, .number = p->final_exact},
      {true, .number = p->balance},
      {true, .real = p->tol},
      {true, .number = start->seed},
      {true, .text = start->spark == ALS_SPARK_3   ? "spark3"
                     : start->spark == ALS_SPARK_2 ? "spark2"
                                                   : "random"},
      {start->spark != 0, .number = start->blocks[ALS_USERS]},
      {start->spark != 0, .number = start->blocks[ALS_ITEMS]},
  };
  rdd_status st = RDD_OK;
  for (int i = 0; i < JOB_PARAM_NAMES && !st; i++) {
    const job_param_name *name = &job_param_names[i];
    if (!list[i].written) continue;
    if (name->kind == JOB_PARAM_INT) st = job_h5_set_int(file, name->key, list[i].number, err);
    if (name->kind == JOB_PARAM_REAL) st = job_h5_set_real(file, name->key, list[i].real, err);
    if (name->kind == JOB_PARAM_TEXT) st = job_h5_set_string(file, name->key, list[i].text, err);
  }
  return st;
}

/* Attributes that are missing leave what is there. */
static void get_int(hid_t file, const char *key, int *out) {
  int64_t n;
  if (job_h5_get_int(file, key, &n)) *out = n < INT32_MIN || n > INT32_MAX ? -1 : (int)n;
}

static void get_bool(hid_t file, const char *key, bool *out) {
  int64_t n;
  if (job_h5_get_int(file, key, &n)) *out = n != 0;
}

static void get_real(hid_t file, const char *key, double *out) {
  (void)job_h5_get_real(file, key, out);
}

static bool get_solver(hid_t file, als_solver *out) {
  char text[16];
  if (!job_h5_get_string(file, "solver", text, sizeof text)) return true;
  for (int i = 0; i < 3; i++)
    if (!strcmp(text, solver_name[i])) {
      *out = (als_solver)i;
      return true;
    }
  return false;
}

rdd_status job_params_load(hid_t file, const char *path, als_params *out, rdd_err *err) {
  als_params p = als_params_default();
  bool implicit = false;
  char precision[16];
  rdd_err why;
  p.rank = 0;
  get_int(file, "rank", &p.rank);
  get_int(file, "max_iter", &p.max_iter);
  get_bool(file, "implicit_prefs", &implicit);
  if (implicit) p.loss.mode = ALS_IMPLICIT;
  get_real(file, "alpha", &p.loss.alpha);
  if (implicit && job_h5_get_real(file, "unobserved_weight", &p.loss.unobserved))
    p.loss.mode = ALS_IALS;
  for (int side = 0; side < 2; side++) {
    get_real(file, "reg_param", &p.reg[side]); /* of files before there were two */
    get_real(file, side == ALS_USERS ? "reg_user" : "reg_item", &p.reg[side]);
  }
  get_real(file, "reg_exponent", &p.reg_exponent);
  get_real(file, "min_ridge", &p.min_ridge);
  get_bool(file, "nonnegative", &p.nonnegative);
  get_bool(file, "bias", &p.bias);
  get_real(file, "bias_reg", &p.bias_reg);
  get_bool(file, "update_bias", &p.update_bias);
  p.precision = job_h5_get_string(file, "precision", precision, sizeof precision) &&
                        !strcmp(precision, "single")
                    ? ALS_SINGLE
                    : ALS_DOUBLE;
  get_int(file, "cg_steps", &p.cg_steps);
  get_int(file, "subspace_block", &p.block);
  get_bool(file, "final_exact", &p.final_exact);
  p.balance = false; /* as in files of before */
  get_bool(file, "balance", &p.balance);
  get_real(file, "tol", &p.tol);
  if (!get_solver(file, &p.solver))
    return rdd_set(err, RDD_EDATA, "%s: its solver is not one that this version has", path);
  if (als_params_check(&p, &why))
    return rdd_set(err, RDD_EDATA, "%s: its parameters cannot be: %s", path, why.message);
  *out = p;
  return RDD_OK;
}

rdd_status job_params_of_model(rdd_comm *comm, const char *path, als_params *out, rdd_err *err) {
  hid_t file = H5I_INVALID_HID;
  char kind[32];
  rdd_status st = RDD_OK;
  als_params p = als_params_default();
  if (comm->rank == 0) {
    st = job_h5_open(&file, path, kind, err);
    if (!st && strcmp(kind, "model") && strcmp(kind, "checkpoint"))
      st = rdd_set(err, RDD_EDATA, "%s: holds %s, expected a model (see als train)", path, kind);
    if (!st) st = job_params_load(file, path, &p, err);
    job_h5_drop(file);
  }
  st = rdd_agree(comm, st, err);
  if (st) return st;
  rdd_bcast(comm, &p, sizeof p, 0);
  *out = p;
  return RDD_OK;
}
