/* als: the commands. */
#include "jobs/blas.h"
#include "jobs/job.h"

int main(int argc, char **argv) {
  static const job_command *const commands[] = {
      &job_generate, &job_import,   &job_split,   &job_train,  &job_evaluate,
      &job_predict,  &job_plan_fit, &job_fold_in, &job_tune,   &job_recommend,
      &job_similar,  &job_explain,  &job_info,    &job_report, NULL,
  };
  blas_fit_processor(argv);
  return job_main(argc, argv, commands);
}
