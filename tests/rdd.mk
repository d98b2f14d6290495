# Tests of the rdd room: *_threads run ranks as threads (ring ii), the others one process (ring i).
check_PROGRAMS += \
  tests/rdd_batch.unit \
  tests/rdd_comm.unit \
  tests/rdd_lineage.unit \
  tests/rdd_memory.unit \
  tests/rdd_need_threads.unit \
  tests/rdd_ops_threads.unit \
  tests/rdd_recovery_threads.unit \
  tests/rdd_task.unit \
  tests/rdd_task_threads.unit
tests_rdd_batch_unit_SOURCES = %D%/rdd_batch.c
tests_rdd_batch_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_comm_unit_SOURCES = %D%/rdd_comm.c
tests_rdd_comm_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_lineage_unit_SOURCES = %D%/rdd_lineage.c
tests_rdd_lineage_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_memory_unit_SOURCES = %D%/rdd_memory.c
tests_rdd_memory_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_need_threads_unit_SOURCES = %D%/rdd_need_threads.c %D%/need_cases.c %D%/need_cases.h
tests_rdd_need_threads_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_task_unit_SOURCES = %D%/rdd_task.c
tests_rdd_task_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_task_threads_unit_SOURCES = %D%/rdd_task_threads.c
tests_rdd_task_threads_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_ops_threads_unit_SOURCES = %D%/rdd_ops_threads.c %D%/rdd_kit.c %D%/rdd_kit.h
tests_rdd_ops_threads_unit_LDADD = $(RDD_TEST_LIBS)
tests_rdd_recovery_threads_unit_SOURCES = %D%/rdd_recovery_threads.c %D%/rdd_kit.c %D%/rdd_kit.h
tests_rdd_recovery_threads_unit_LDADD = $(RDD_TEST_LIBS)
