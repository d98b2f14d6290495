# Other people's programs read what is ours: Arrow in memory (pyarrow), HDF5 on disk (h5py).
if HAVE_CUNIT
check_PROGRAMS += tests/rdd_arrow.unit
tests_rdd_arrow_unit_SOURCES = %D%/rdd_arrow.c
tests_rdd_arrow_unit_LDADD = $(RDD_TEST_LIBS)
endif

python_tests = %D%/arrow_pyarrow.sh %D%/h5py.sh
EXTRA_DIST += $(python_tests) %D%/arrow_pyarrow.py %D%/h5py.py %D%/python_env.sh
TESTS += $(python_tests)

# A shared library, and so compiled anew, in one go; without sanitizers, for Python has none.
EXTRA_DIST += %D%/arrow_library.c
CLEANFILES += tests/arrow_library.so
%D%/arrow_library.so: %D%/arrow_library.c $(rdd_librdd_a_SOURCES)
	$(AM_V_at)$(MKDIR_P) %D%
	$(AM_V_CCLD)$(CC) -std=gnu11 -pthread -D_GNU_SOURCE -I$(top_srcdir) $(WARN_CFLAGS) $(CFLAGS) -O1 \
	  -fPIC -shared $(LDFLAGS) -o $@ $(srcdir)/%D%/arrow_library.c $(srcdir)/rdd/*.c

# Where PyPI cannot be reached this is never there, so each run tries.
%D%/python-env/ready:
	$(AM_V_GEN)$(SHELL) $(srcdir)/%D%/python_env.sh %D%/python-env
clean-local: clean-python-env
clean-python-env:
	rm -rf %D%/python-env

%D%/arrow_pyarrow.log: %D%/python-env/ready %D%/arrow_library.so
%D%/h5py.log: %D%/python-env/ready als$(EXEEXT)

.PHONY: clean-python-env
