/* Users and items scaled against each other before each iteration: what that is, and what it is good for. */
#include "mllib/als.h"
#include "tests/fixtures.h"
#include "tests/testkit.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

static rdd_comm *one(void) {
  rdd_err err = {0};
  rdd_comm *comm = NULL;
  TK_OK(rdd_comm_single(&comm, &err), &err);
  return comm;
}

static void scale_side(const als_model *m, int side, float scale) {
  float *x = rdd_table_data(m->side[side].factors);
  int64_t n = m->side[side].ids->n * m->k;
  for (int64_t i = 0; i < n; i++) x[i] *= scale;
}

static bool same_factors(const als_model *a, const als_model *b) {
  bool same = true;
  for (int side = 0; side < 2; side++)
    same &= memcmp(rdd_table_data(a->side[side].factors), rdd_table_data(b->side[side].factors),
                   rdd_table_size(a->side[side].factors)) == 0;
  return same;
}

/* The regularisation of a side's factors, from what als_fit() says it is made of. */
static double reg_of(const fx_fit *fit, const als_params *params, int side) {
  const als_side *ratings = &fit->problem.side[side];
  double sum = 0;
  for (int64_t i = 0; i < ratings->rows; i++) {
    const float *x = als_model_row(fit->model, side, i);
    double norm = 0;
    for (int j = 0; j < fit->model->k; j++) norm += (double)x[j] * x[j];
    sum += params->reg[side] * (double)(ratings->start[i + 1] - ratings->start[i]) * norm;
  }
  return sum;
}

static void balance_by_hand(rdd_comm *comm, fx_fit *fit, const als_params *params) {
  double reg[2];
  rdd_err err = {0};
  TK_OK(als_regularisation(comm, &fit->problem, params, fit->model, reg, &err), &err);
  for (int side = 0; side < 2; side++)
    TK_NEAR(reg[side], reg_of(fit, params, side), 1e-12 * reg[side]);
  TK_CHECK(reg[ALS_USERS] != reg[ALS_ITEMS]);
  double c = sqrt(sqrt(reg[ALS_ITEMS] / reg[ALS_USERS]));
  scale_side(fit->model, ALS_USERS, (float)c);
  scale_side(fit->model, ALS_ITEMS, (float)(1 / c));
  TK_NEAR(reg_of(fit, params, ALS_USERS), reg_of(fit, params, ALS_ITEMS), 1e-5 * reg[ALS_USERS]);
}

/* Two iterations, balanced before each by the fit or by hand: the same bits. */
static void balance_is_what_it_says(void) {
  static const als_params modes[] = {
      {.rank = 5, .max_iter = 2, .reg = {0.3, 0.02}, .reg_exponent = 1},
      {.rank = 5,
       .max_iter = 2,
       .reg = {0.3, 0.02},
       .reg_exponent = 1,
       .bias = true,
       .update_bias = true,
       .bias_reg = 5},
      {.rank = 5,
       .max_iter = 2,
       .reg = {0.3, 0.02},
       .reg_exponent = 1,
       .solver = ALS_CG,
       .cg_steps = 2},
  };
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(60, 40, 3, 12, 0.3, &list);
  for (size_t t = 0; t < sizeof modes / sizeof *modes; t++) {
    fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 99, .params = modes[t]};
    fx_fit fit, hand;
    setup.params.balance = true;
    if (fx_open(&fit, comm, &setup)) (void)fx_run(&fit, comm, &setup);
    setup.params.balance = false;
    if (fx_open(&hand, comm, &setup)) {
      rdd_err err = {0};
      for (int i = 0; i < 2; i++) {
        balance_by_hand(comm, &hand, &setup.params);
        setup.params.max_iter = i + 1;
        TK_OK(als_fit(comm, &hand.problem, &setup.params, hand.model, i, NULL, hand.history,
                      &hand.iterations, &err),
              &err);
      }
      TK_CHECK(same_factors(fit.model, hand.model));
      TK_CHECK(fit.history[1].objective == hand.history[1].objective);
    }
    fx_close(&fit);
    fx_close(&hand);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* The objective after some iterations from initial factors that are `length` long. */
static double objective_from(rdd_comm *comm, const fx_setup *setup, float length) {
  fx_fit fit;
  double objective = NAN;
  if (fx_open(&fit, comm, setup)) {
    for (int side = 0; side < 2; side++) scale_side(fit.model, side, length);
    if (fx_run(&fit, comm, setup)) objective = fit.history[fit.iterations - 1].objective;
  }
  fx_close(&fit);
  return objective;
}

/* Without it the regularisation of one side alone takes dozens of iterations to come down. */
static void balance_forgets_the_length(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(300, 120, 3, 30, 0.3, &list);
  fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 999};
  setup.params = als_params_default();
  setup.params.rank = 8;
  setup.params.max_iter = 60;
  double least = objective_from(comm, &setup, 1);
  setup.params.max_iter = 6;
  for (int t = 0; t < 4; t++) {
    static const float length[4] = {0.1f, 1, 10, 100};
    setup.params.balance = true;
    double with = objective_from(comm, &setup, length[t]);
    setup.params.balance = false;
    double without = objective_from(comm, &setup, length[t]);
    TK_CHECK(with < 1.001 * least);
    TK_CHECK(without > 1.04 * least);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

/* No c is best where a side has no regularisation: nothing is scaled. */
static void balance_needs_both_sides(void) {
  rdd_comm *comm = one();
  fx_list list = {0};
  fx_planted(60, 40, 3, 12, 0.3, &list);
  for (int side = 0; side < 2; side++) {
    fx_setup setup = {.train = &list, .partitions = 2, .batch_rows = 99};
    fx_fit fit[2];
    setup.params = (als_params){.rank = 3, .max_iter = 3, .reg_exponent = 1};
    setup.params.reg[side] = 0.1;
    for (int b = 0; b < 2; b++) {
      setup.params.balance = b;
      if (fx_open(&fit[b], comm, &setup)) (void)fx_run(&fit[b], comm, &setup);
    }
    TK_CHECK(same_factors(fit[0].model, fit[1].model));
    for (int b = 0; b < 2; b++) fx_close(&fit[b]);
  }
  fx_reset(&list);
  rdd_comm_close(comm);
}

int main(void) {
  static const tk_case cases[] = {
      {"balanced by the fit is balanced by hand", balance_is_what_it_says},
      {"balanced, the length of the initial factors is forgotten", balance_forgets_the_length},
      {"a side without regularisation is not scaled", balance_needs_both_sides},
  };
  openblas_set_num_threads(1);
  return tk_main("mllib balance", cases, sizeof cases / sizeof *cases);
}
