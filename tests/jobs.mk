check_PROGRAMS += tests/jobs_input.unit
tests_jobs_input_unit_SOURCES = %D%/jobs_input.c
tests_jobs_input_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS) $(ZLIB_CFLAGS)
tests_jobs_input_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_number.unit
tests_jobs_number_unit_SOURCES = %D%/jobs_number.c
tests_jobs_number_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_files.unit
tests_jobs_files_unit_SOURCES = %D%/jobs_files.c
tests_jobs_files_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS) $(ZLIB_CFLAGS)
tests_jobs_files_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_chunks.unit
tests_jobs_chunks_unit_SOURCES = %D%/jobs_chunks.c
tests_jobs_chunks_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS)
tests_jobs_chunks_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_generate.unit
tests_jobs_generate_unit_SOURCES = %D%/jobs_generate.c
tests_jobs_generate_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_checkpoint.unit
tests_jobs_checkpoint_unit_SOURCES = %D%/jobs_checkpoint.c
tests_jobs_checkpoint_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS)
tests_jobs_checkpoint_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_blocks.unit
tests_jobs_blocks_unit_SOURCES = %D%/jobs_blocks.c
tests_jobs_blocks_unit_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS)
tests_jobs_blocks_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_plain.unit
tests_jobs_plain_unit_SOURCES = %D%/jobs_plain.c
tests_jobs_plain_unit_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=job_plain_init
tests_jobs_plain_unit_LDADD = $(JOB_TEST_LIBS)

check_PROGRAMS += tests/jobs_plugin.unit
tests_jobs_plugin_unit_SOURCES = %D%/jobs_plugin.c %D%/rdd_kit.h
tests_jobs_plugin_unit_LDADD = $(JOB_TEST_LIBS)
tests/jobs_plugin.log: jobs/maps/maps.so$(EXEEXT)
