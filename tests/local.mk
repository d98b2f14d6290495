# tests: three rings. *.unit one process or ranks as threads, *.mpi under mpirun, *.sh scripts.
# All of them speak TAP.
TEST_EXTENSIONS = .unit .mpi .sh
TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
UNIT_LOG_DRIVER = $(TAP_DRIVER)
MPI_LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)
MPI_LOG_COMPILER = $(SHELL) $(top_srcdir)/%D%/run_mpi.sh
SH_LOG_COMPILER = $(SHELL)
# Each test has a TMPDIR of its own: Open MPI's launchers share a folder in it, which one removes while
# another one makes it. What a test leaves there goes with it.
# Several run at a time, so threads that wait for others have to let go.
AM_TESTS_ENVIRONMENT = . $(top_srcdir)/build-aux/mpi-env.sh; \
  OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY; \
  TMPDIR=`mktemp -d "$${TMPDIR:-/tmp}/gp-XXXXXX"` && export TMPDIR && trap 'rm -rf "$$TMPDIR"' 0; \
  top_srcdir='$(top_srcdir)'; top_builddir='$(top_builddir)'; CC='$(CC)'; NM='$(NM)'; \
  MPIEXEC='$(MPIEXEC)'; HDF5_CFLAGS='$(HDF5_CFLAGS)'; MPI_CFLAGS='$(MPI_CFLAGS)'; AWK='$(AWK)'; \
  export top_srcdir top_builddir CC NM MPIEXEC HDF5_CFLAGS MPI_CFLAGS AWK;

# The kit knows ranks through the vtable alone, so one kit serves all rings.
RDD_TEST_LIBS = tests/libtestkit.a $(RDD_LIBS) $(CUNIT_LIBS) -lm
MLLIB_TEST_LIBS = tests/libtestkit.a $(MLLIB_LIBS) $(CUNIT_LIBS)
MPI_TEST_LIBS = tests/libtestkit.a $(MPI_BRIDGE_LIBS) $(CUNIT_LIBS) -lm
JOB_TEST_LIBS = tests/libtestkit.a $(JOB_LIBS) $(CUNIT_LIBS)

# Long ones before short ones, and those first that mostly wait (for SLURM, for a stalled gang, for mpirun to give
# up). make keeps to this, but that tests with rules that name programs come after all that have none.
include %D%/cluster.mk
include %D%/recovery.mk
include %D%/gangrun.mk
include %D%/cli.mk
include %D%/tour.mk

if HAVE_CUNIT
check_LIBRARIES += %D%/libtestkit.a
%C%_libtestkit_a_CPPFLAGS = $(AM_CPPFLAGS) $(CUNIT_CFLAGS)
%C%_libtestkit_a_SOURCES = %D%/testkit.c %D%/testkit.h

include %D%/rdd.mk
include %D%/mllib.mk
include %D%/bridge.mk
include %D%/jobs.mk
endif
include %D%/fuzz.mk
TESTS += $(check_PROGRAMS)

script_tests = %D%/headers.sh %D%/layering.sh %D%/outside.sh %D%/packaging.sh %D%/doxygen.sh
EXTRA_DIST += $(script_tests) %D%/run_mpi.sh
TESTS += $(script_tests)
include %D%/arrow.mk

# The scripts look at the archives, so those come first.
%D%/layering.log: $(noinst_LIBRARIES)

# Everything that `make check` builds, without running it.
# One after the other: `all` is a make of its own, and two of them would write the same archives.
check-build: all
	@$(MAKE) $(AM_MAKEFLAGS) check-programs
check-programs: $(check_LIBRARIES) $(check_PROGRAMS)

# The tests that need no mpirun: these are the ones that run under the address sanitizer, which makes some so
# slow that they had better begin first.
check-unit check-unit-build:
	+@units=; for t in $(TESTS); do case $$t in \
	  */jobs_input.unit|*/rdd_recovery_threads.unit) units="$$t $$units";; \
	  *.unit) units="$$units $$t";; esac; done; \
	$(check_some)

# Those in which ranks are threads: there is nothing for the thread sanitizer in the others.
check-threads check-threads-build:
	+@units=; for t in $(TESTS); do case $$t in \
	  */jobs_input.unit|*/mllib_modes_threads.unit) units="$$t $$units";; \
	  *_threads.unit|*/rdd_comm.unit) units="$$units $$t";; esac; done; \
	$(check_some)

# Nothing but these is built.
check_some = case $@ in *-build) goal=check-programs;; *) goal=check-TESTS;; esac; \
  $(MAKE) $(AM_MAKEFLAGS) check_PROGRAMS="$$units" TESTS="$$units" cli_helpers= $$goal

.PHONY: check-build check-programs check-unit check-unit-build check-threads check-threads-build
