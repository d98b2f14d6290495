/* From a command line to als_params, and how a fit begins. See params.h. */
#include "jobs/params.h"

#include "jobs/ui.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static rdd_status read_scaling(const char *text, double *exponent_out, rdd_err *err) {
  char *end;
  if (!strcmp(text, "count")) {
    *exponent_out = 1;
    return RDD_OK;
  }
  if (!strcmp(text, "none")) {
    *exponent_out = 0;
    return RDD_OK;
  }
  double exponent = strtod(text, &end);
  if (end == text || *end || !(exponent >= 0 && isfinite(exponent)))
    return rdd_set(err, RDD_EUSAGE,
                   "--reg-scaling '%s' is neither count nor none nor an exponent of 0 or more",
                   text);
  *exponent_out = exponent;
  return RDD_OK;
}

static als_loss read_loss(const job_args *args) {
  als_loss loss = {.mode = ALS_EXPLICIT, .alpha = job_real(args, "alpha")};
  if (job_flag(args, "implicit-prefs")) loss.mode = ALS_IMPLICIT;
  if (job_given(args, "unobserved-weight")) {
    loss.mode = ALS_IALS;
    loss.unobserved = job_real(args, "unobserved-weight");
  }
  return loss;
}

static als_solver read_solver(const job_args *args) {
  const char *solver = job_string(args, "solver");
  return !strcmp(solver, "cg") ? ALS_CG : !strcmp(solver, "subspace") ? ALS_SUBSPACE : ALS_CHOLESKY;
}

static bool spark_starts(const job_args *args) {
  return strcmp(job_string(args, "init"), "random") != 0;
}

static double real_or(const job_args *args, const char *name, const char *otherwise) {
  return job_real(args, job_given(args, name) ? name : otherwise);
}

/* What options say against each other, in their words. */
static rdd_status check_together(const job_args *args, const als_params *p, rdd_err *err) {
  const char *biases = p->update_bias ? "--update-bias" : "--bias";
  const char *implicit = p->loss.mode == ALS_IALS ? "--unobserved-weight" : "--implicit-prefs";
  if (p->loss.mode != ALS_EXPLICIT && p->bias)
    return rdd_set(err, RDD_EUSAGE,
                   "%s does not go with %s: a mean and biases are of explicit ratings", biases,
                   implicit);
  if (p->nonnegative && p->solver != ALS_CHOLESKY)
    return rdd_set(err, RDD_EUSAGE,
                   "--nonnegative does not go with --solver %s: such factors are solved exactly",
                   job_string(args, "solver"));
  if (p->nonnegative && p->update_bias)
    return rdd_set(err, RDD_EUSAGE,
                   "--nonnegative does not go with --update-bias: biases have either sign");
  if (p->precision == ALS_SINGLE && (p->nonnegative || p->solver == ALS_SUBSPACE))
    return rdd_set(err, RDD_EUSAGE, "--precision single does not go with %s",
                   p->nonnegative ? "--nonnegative" : "--solver subspace");
  return RDD_OK;
}

void job_exchange_read(const job_args *args, als_params *params) {
  const char *exchange = job_string(args, "exchange"), *wire = job_string(args, "wire");
  params->exchange = !strcmp(exchange, "need")  ? ALS_EXCHANGE_NEED
                     : !strcmp(exchange, "all") ? ALS_EXCHANGE_ALL
                                                : ALS_EXCHANGE_AUTO;
  params->wire = !strcmp(wire, "float16")    ? ALS_WIRE_FLOAT16
                 : !strcmp(wire, "bfloat16") ? ALS_WIRE_BFLOAT16
                                             : ALS_WIRE_FLOAT32;
  params->no_overlap = job_flag(args, "no-overlap");
}

rdd_status job_params_read(const job_args *args, als_params *out, rdd_err *err) {
  als_params p = als_params_default();
  const char *exact = job_string(args, "final-exact"), *balance = job_string(args, "balance");
  p.rank = (int)job_int(args, "rank");
  p.max_iter = (int)job_int(args, "max-iter");
  p.loss = read_loss(args);
  p.reg[ALS_USERS] = real_or(args, "reg-user", "reg-param");
  p.reg[ALS_ITEMS] = real_or(args, "reg-item", "reg-param");
  p.min_ridge = job_real(args, "min-ridge");
  p.solver = read_solver(args);
  p.precision = strcmp(job_string(args, "precision"), "single") ? ALS_DOUBLE : ALS_SINGLE;
  p.cg_steps = (int)job_int(args, "cg-steps");
  p.block = (int)job_int(args, "subspace-block");
  p.nonnegative = job_flag(args, "nonnegative");
  p.update_bias = job_flag(args, "update-bias");
  p.bias = p.update_bias || job_flag(args, "bias");
  p.tol = job_real(args, "tol");
  p.final_exact = p.solver == ALS_CG;
  if (exact) p.final_exact = !strcmp(exact, "yes") && p.solver != ALS_CHOLESKY;
  p.balance = balance ? !strcmp(balance, "yes") : !spark_starts(args);
  rdd_status st = read_scaling(job_string(args, "reg-scaling"), &p.reg_exponent, err);
  if (!st) st = check_together(args, &p, err);
  if (!st) st = als_params_check(&p, err);
  if (!st) *out = p;
  return st;
}

job_idle job_params_idle(const job_args *args) {
  als_mode mode = read_loss(args).mode;
  als_solver solver = read_solver(args);
  bool spark = spark_starts(args);
  bool sides = job_given(args, "reg-user") && job_given(args, "reg-item");
  const struct {
    const char *name;
    bool fits;
    const char *why;
  } row[JOB_IDLE] = {
      {"alpha", mode == ALS_IMPLICIT,
       mode == ALS_IALS ? "with --unobserved-weight: all ratings above 0 weigh the same"
                        : "without --implicit-prefs"},
      {"cg-steps", solver == ALS_CG, "without --solver cg"},
      {"subspace-block", solver == ALS_SUBSPACE, "without --solver subspace"},
      {"final-exact", solver != ALS_CHOLESKY, "with --solver cholesky: all iterations are exact"},
      {"reg-param", !sides, "beside --reg-user and --reg-item"},
      {"num-user-blocks", spark, "without --init spark3 or spark2"},
      {"num-item-blocks", spark, "without --init spark3 or spark2"},
  };
  job_idle idle = {{NULL}, {NULL}};
  for (int i = 0; i < JOB_IDLE; i++) {
    idle.name[i] = row[i].name;
    if (!row[i].fits && job_given(args, row[i].name)) idle.why[i] = row[i].why;
  }
  return idle;
}

void job_idle_warn(const job_idle *idle) {
  for (int i = 0; i < JOB_IDLE; i++)
    if (idle->why[i]) job_warn("--%s has no effect %s", idle->name[i], idle->why[i]);
}

job_start job_start_read(const job_args *args) {
  const char *init = job_string(args, "init");
  return (job_start){
      .seed = job_int(args, "seed"),
      .spark = !strcmp(init, "spark3")   ? ALS_SPARK_3
               : !strcmp(init, "spark2") ? ALS_SPARK_2
                                         : 0,
      .blocks = {(int)job_int(args, "num-user-blocks"), (int)job_int(args, "num-item-blocks")},
  };
}

rdd_status job_start_draw(const job_start *start, rdd_comm *comm, als_model *model, rdd_err *err) {
  rdd_status st = RDD_OK;
  for (int side = 0; side < 2 && !st; side++)
    st = start->spark ? als_model_init_spark(model, comm, side, (als_spark)start->spark,
                                             start->seed, start->blocks[side], err)
                      : als_model_init(model, comm, side, (uint64_t)start->seed, err);
  return st;
}
