# Recovery of the whole program: faults on purpose, kills at any moment, and what they leave.
recovery_tests = \
  %D%/recovery_chaos.sh \
  %D%/recovery_kill_anywhere.sh \
  %D%/recovery_matrix.sh \
  %D%/recovery_tasks.sh
EXTRA_DIST += $(recovery_tests) %D%/recovery_lib.sh %D%/chaos
TESTS += $(recovery_tests)

%D%/recovery_chaos.log %D%/recovery_kill_anywhere.log %D%/recovery_matrix.log %D%/recovery_tasks.log: \
  als$(EXEEXT) gangrun$(EXEEXT) $(cli_helpers)

# More of the same than make check has time for. SEED and ROUNDS, or POINTS, may be given.
recovery_run = $(AM_TESTS_ENVIRONMENT) $(SHELL) $(srcdir)/tests
chaos: als$(EXEEXT) gangrun$(EXEEXT) $(cli_helpers)
	@$(recovery_run)/chaos
kill-anywhere: als$(EXEEXT) gangrun$(EXEEXT) $(cli_helpers)
	@POINTS=$${POINTS:-200}; export POINTS; $(recovery_run)/recovery_kill_anywhere.sh

.PHONY: chaos kill-anywhere
