# bench: what is measured. Nothing here is part of make check.
EXTRA_PROGRAMS += bench/peak
bench_peak_SOURCES = %D%/peak.c
bench_peak_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
bench_peak_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
bench_peak_LDADD = $(BLAS_LIBS)
EXTRA_PROGRAMS += bench/exchange
bench_exchange_SOURCES = %D%/exchange.c
bench_exchange_LDADD = $(RDD_LIBS)
EXTRA_DIST += %D%/README.md %D%/lib.sh %D%/train.sh %D%/checkpoint.sh %D%/recommend.sh %D%/recovery.sh %D%/exchange.sh %D%/nodes.sh %D%/plan.sh
CLEANFILES += bench/peak bench/exchange

.PHONY: bench
bench: als bench/peak
	BUILD=$(abs_top_builddir) $(srcdir)/bench/train.sh

# What is around the iterations, in units of one.
EXTRA_DIST += %D%/pipeline.sh

.PHONY: bench-pipeline
bench-pipeline: als
	BUILD=$(abs_top_builddir) $(srcdir)/bench/pipeline.sh

# The hand-off from partitions to compressed rows: memory and speed at 1, 2 and 4 ranks.
EXTRA_PROGRAMS += bench/handoff
bench_handoff_SOURCES = %D%/handoff.c
bench_handoff_LDADD = $(JOB_LIBS)
EXTRA_DIST += %D%/handoff.sh
CLEANFILES += bench/handoff

.PHONY: bench-handoff
bench-handoff: als bench/handoff
	BUILD=$(abs_top_builddir) $(srcdir)/bench/handoff.sh

.PHONY: bench-exchange
bench-exchange: bench/exchange
	BUILD=$(abs_top_builddir) $(srcdir)/bench/exchange.sh

# Reading text: each format against memcpy, wc -l and the C library.
EXTRA_PROGRAMS += bench/reading
bench_reading_SOURCES = %D%/reading.c
bench_reading_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
bench_reading_LDADD = $(JOB_LIBS)
EXTRA_DIST += %D%/reading.sh
CLEANFILES += bench/reading

.PHONY: bench-reading
bench-reading: als bench/reading
	BUILD=$(abs_top_builddir) $(srcdir)/bench/reading.sh

# The kernels of a fit one by one, against BLAS.
EXTRA_PROGRAMS += bench/kernels
bench_kernels_SOURCES = %D%/kernels.c
bench_kernels_CPPFLAGS = $(AM_CPPFLAGS) $(BLAS_CFLAGS)
bench_kernels_LDADD = $(MLLIB_LIBS)
CLEANFILES += bench/kernels

.PHONY: bench-kernels
bench-kernels: bench/kernels
	@bench/kernels

# The same in whole rows.
EXTRA_PROGRAMS += bench/rows
bench_rows_SOURCES = %D%/rows.c
bench_rows_LDADD = $(MLLIB_LIBS)
CLEANFILES += bench/rows

.PHONY: bench-rows
bench-rows: bench/rows
	@bench/rows

# Other people's ALS, from PyPI, beside ours.
EXTRA_DIST += %D%/peers.sh %D%/peers/fit.py %D%/peers/prepare.py %D%/peers/problems.py %D%/peers/report.py \
  %D%/peers/score.py %D%/peers/versions.txt

.PHONY: bench-peers
bench-peers: als
	BUILD=$(abs_top_builddir) $(srcdir)/bench/peers.sh

.PHONY: bench-plan
bench-plan: als
	BUILD=$(abs_top_builddir) $(srcdir)/bench/plan.sh
