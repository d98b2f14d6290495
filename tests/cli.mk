# Tests of the program als from outside: alone, under mpirun, and in the hands of an adversary.
cli_tests = \
  %D%/cli_same_bits.sh \
  %D%/cli_bad.sh \
  %D%/cli_resume.sh \
  %D%/cli_modes.sh \
  %D%/cli_exchange.sh \
  %D%/cli_pipeline.sh \
  %D%/cli_plan.sh \
  %D%/cli_signals.sh \
  %D%/cli_golden.sh \
  %D%/cli_recommend.sh \
  %D%/cli_map.sh \
  %D%/cli_tune.sh \
  %D%/cli_fold_in.sh \
  %D%/cli_config.sh \
  %D%/cli_split.sh \
  %D%/cli_formats.sh \
  %D%/cli_evaluate.sh \
  %D%/cli_report.sh \
  %D%/cli_movielens.sh \
  %D%/cli_quality.sh \
  %D%/report_browser.sh
EXTRA_DIST += $(cli_tests) %D%/cli_lib.sh %D%/maps_bad.c %D%/report_log.awk
TESTS += $(cli_tests)
cli_helpers =

if HAVE_CUNIT
check_PROGRAMS += %D%/jobs_cli.unit %D%/jobs_settings.unit
%C%_jobs_cli_unit_SOURCES = %D%/jobs_cli.c
%C%_jobs_cli_unit_LDADD = $(JOB_TEST_LIBS)
%C%_jobs_settings_unit_SOURCES = %D%/jobs_settings.c
%C%_jobs_settings_unit_LDADD = $(JOB_TEST_LIBS)

# A program that the scripts call, which is no test itself.
cli_helpers += %D%/model_sum
%C%_model_sum_SOURCES = %D%/model_sum.c
%C%_model_sum_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS)
%C%_model_sum_LDADD = $(JOB_LIBS)
endif
EXTRA_PROGRAMS += %D%/model_sum
CLEANFILES += $(EXTRA_PROGRAMS)

%D%/cli_bad.log %D%/cli_config.log %D%/cli_evaluate.log %D%/cli_exchange.log %D%/cli_fold_in.log %D%/cli_formats.log %D%/cli_golden.log %D%/cli_modes.log %D%/cli_movielens.log %D%/cli_quality.log \
%D%/cli_pipeline.log %D%/cli_plan.log %D%/cli_recommend.log %D%/cli_resume.log %D%/cli_same_bits.log %D%/cli_signals.log %D%/cli_split.log %D%/cli_tune.log: als$(EXEEXT) $(cli_helpers)
%D%/report_browser.log: als$(EXEEXT)
%D%/cli_report.log: als$(EXEEXT) gangrun$(EXEEXT)
%D%/cli_map.log: als$(EXEEXT) jobs/maps/maps.so$(EXEEXT)
check-programs: $(cli_helpers)
