# Fuzz targets: `make fuzz` drives them with libFuzzer (clang), make check replays their corpus.
fuzz_sources = %D%/fuzz.c %D%/fuzz.h %D%/fuzz_contain.c %D%/fuzz_h5.c %D%/fuzz_small.c %D%/fuzz_text.c
EXTRA_DIST += %D%/fuzz.sh %D%/corpus

if HAVE_CUNIT
check_PROGRAMS += %D%/fuzz_child.unit %D%/fuzz_corpus.unit
%C%_fuzz_child_unit_SOURCES = %D%/fuzz_child.c
%C%_fuzz_child_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS)
%C%_fuzz_child_unit_LDADD = $(JOB_TEST_LIBS)
%C%_fuzz_corpus_unit_SOURCES = %D%/fuzz_replay.c $(fuzz_sources)
%C%_fuzz_corpus_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS) $(ZLIB_CFLAGS)
%C%_fuzz_corpus_unit_LDADD = $(JOB_TEST_LIBS)
endif

# Made by fuzz.sh alone, in a build folder of its own, with FUZZ_LDFLAGS: libFuzzer has the main().
EXTRA_PROGRAMS += %D%/fuzz
%C%_fuzz_SOURCES = $(fuzz_sources)
%C%_fuzz_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS) $(ZLIB_CFLAGS)
%C%_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
%C%_fuzz_LDADD = $(JOB_LIBS)

# FUZZ_SECONDS for each of FUZZ_TARGETS; see fuzz.sh.
fuzz:
	@$(SHELL) $(srcdir)/%D%/fuzz.sh '$(abs_srcdir)'

.PHONY: fuzz
