# bench: what is measured. Nothing here is part of make check.
EXTRA_PROGRAMS += bench/peak
bench_peak_SOURCES = %D%/peak.c
bench_peak_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
bench_peak_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
bench_peak_LDADD = $(BLAS_LIBS)
EXTRA_DIST += %D%/README.md %D%/train.sh %D%/checkpoint.sh %D%/recovery.sh
CLEANFILES += bench/peak

.PHONY: bench
bench: als bench/peak
	BUILD=$(abs_top_builddir) $(srcdir)/bench/train.sh
