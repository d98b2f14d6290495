# The programs of docs/tour.md: `make tour` builds them; tour.sh runs the page.
tour_programs = \
  %D%/tour_00_first_rdd \
  %D%/tour_01_lineage \
  %D%/tour_02_lost_partition \
  %D%/tour_03_row_vector \
  %D%/tour_04_persist \
  %D%/tour_05_gang \
  %D%/tour_06_two_deaths \
  %D%/tour_07_normal_equations \
  %D%/tour_08_als
EXTRA_PROGRAMS += $(tour_programs)
EXTRA_DIST += %D%/tour.sh %D%/docs_lib.sh
TESTS += %D%/tour.sh

# What each is linked with is the least that it needs.
%C%_tour_00_first_rdd_SOURCES = %D%/tour_00_first_rdd.c %D%/tour.h
%C%_tour_00_first_rdd_LDADD = $(RDD_LIBS)
%C%_tour_01_lineage_SOURCES = %D%/tour_01_lineage.c %D%/tour.h
%C%_tour_01_lineage_LDADD = $(RDD_LIBS)
%C%_tour_02_lost_partition_SOURCES = %D%/tour_02_lost_partition.c %D%/tour.h
%C%_tour_02_lost_partition_LDADD = $(RDD_LIBS)
%C%_tour_03_row_vector_SOURCES = %D%/tour_03_row_vector.c %D%/tour.h
%C%_tour_03_row_vector_LDADD = $(RDD_LIBS)
%C%_tour_04_persist_SOURCES = %D%/tour_04_persist.c %D%/tour.h
%C%_tour_04_persist_LDADD = $(JOB_LIBS)
%C%_tour_05_gang_SOURCES = %D%/tour_05_gang.c %D%/tour.h
%C%_tour_05_gang_LDADD = $(MPI_BRIDGE_LIBS)
%C%_tour_06_two_deaths_SOURCES = %D%/tour_06_two_deaths.c %D%/tour.h
%C%_tour_06_two_deaths_LDADD = $(JOB_LIBS)
%C%_tour_07_normal_equations_SOURCES = %D%/tour_07_normal_equations.c %D%/tour.h
%C%_tour_07_normal_equations_LDADD = $(MLLIB_LIBS)
%C%_tour_08_als_SOURCES = %D%/tour_08_als.c %D%/tour.h
%C%_tour_08_als_LDADD = mllib/libmllib.a $(MPI_BRIDGE_LIBS) $(BLAS_LIBS) $(OPENMP_CFLAGS) -lm

tour: $(tour_programs) als$(EXEEXT) gangrun$(EXEEXT)
%D%/tour.log: $(tour_programs) als$(EXEEXT) gangrun$(EXEEXT)

.PHONY: tour
