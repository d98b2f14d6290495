# The supervisor: with launchers that only pretend, and with mpirun and faults on purpose.
gangrun_tests = %D%/gangrun_launchers.sh %D%/gangrun_recovery.sh %D%/man.sh
EXTRA_DIST += $(gangrun_tests)
TESTS += $(gangrun_tests)

if HAVE_CUNIT
check_PROGRAMS += %D%/jobs_fault.unit
%C%_jobs_fault_unit_SOURCES = %D%/jobs_fault.c
%C%_jobs_fault_unit_LDADD = $(JOB_TEST_LIBS)
endif

%D%/gangrun_launchers.log %D%/gangrun_recovery.log %D%/man.log: als$(EXEEXT) gangrun$(EXEEXT) $(cli_helpers)
