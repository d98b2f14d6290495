# jobs: argv, files, HDF5, main(): the only room with paths and programs.
bin_PROGRAMS += als gangrun
noinst_LIBRARIES += %D%/libjobs.a
%C%_libjobs_a_CPPFLAGS = $(AM_CPPFLAGS) $(HDF5_CFLAGS) $(ZLIB_CFLAGS) -DPKGLIBDIR='"$(pkglibdir)"'
%C%_libjobs_a_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
%C%_libjobs_a_SOURCES = \
  %D%/block_store.c %D%/block_store.h \
  %D%/checkpoint.c %D%/checkpoint.h \
  %D%/cli.c %D%/cli.h \
  %D%/cmd_evaluate.c \
  %D%/cmd_explain.c \
  %D%/cmd_fold_in.c \
  %D%/cmd_generate.c \
  %D%/cmd_import.c \
  %D%/cmd_info.c \
  %D%/cmd_plan.c \
  %D%/cmd_predict.c \
  %D%/cmd_recommend.c \
  %D%/cmd_report.c \
  %D%/cmd_similar.c \
  %D%/cmd_split.c \
  %D%/cmd_train.c \
  %D%/cmd_tune.c \
  %D%/dictionary.c %D%/dictionary.h \
  %D%/fault.c %D%/fault.h \
  %D%/h5.c %D%/h5.h \
  %D%/h5_child.c \
  %D%/h5_chunk.c %D%/h5_chunk.h \
  %D%/h5_disk.c %D%/h5_disk_impl.h \
  %D%/h5_seal.c \
  %D%/id_list.c %D%/id_list.h \
  %D%/input.c %D%/input.h %D%/input_impl.h \
  %D%/input_paths.c \
  %D%/input_sniff.c \
  %D%/job.c %D%/job.h \
  %D%/json.c %D%/json.h \
  %D%/json_check.c \
  %D%/leftovers.c %D%/leftovers.h \
  %D%/lines.c \
  %D%/lists.c %D%/lists.h \
  %D%/memory_use.c %D%/memory_use.h \
  %D%/model_digest.c \
  %D%/model_file.c %D%/model_file.h \
  %D%/model_origin.c %D%/model_origin.h \
  %D%/model_read.c \
  %D%/number.c %D%/number.h \
  %D%/output.c %D%/output.h \
  %D%/params.c %D%/params.h \
  %D%/params_file.c %D%/params_impl.h \
  %D%/plan_impl.h %D%/plan_input.c %D%/plan_text.c \
  %D%/plugin.c %D%/plugin.h \
  %D%/processes.c %D%/processes.h \
  %D%/read_h5.c \
  %D%/read_plain.c \
  %D%/read_text.c \
  %D%/record.c %D%/record.h \
  %D%/report.h %D%/report_log.c %D%/report_page.c %D%/report_trace.c \
  %D%/rows.c \
  %D%/run.c %D%/run.h %D%/run_impl.h %D%/run_log.c \
  %D%/save.c %D%/save.h \
  %D%/split_rule.c %D%/split_rule.h \
  %D%/settings.c %D%/settings.h \
  %D%/spool.c %D%/spool.h \
  %D%/table_file.c %D%/table_file.h \
  %D%/threads.c %D%/threads.h \
  %D%/train_impl.h %D%/train_exchange.c %D%/train_report.c \
  %D%/tune_copies.c %D%/tune_copies.h \
  %D%/tune_fold.c %D%/tune_fold.h \
  %D%/tune_grid.c %D%/tune_grid.h \
  %D%/ui.c %D%/ui.h \
  %D%/utf8.c %D%/utf8.h

# The page of `als report`, as strings of C.
report_parts = %D%/report/page.html %D%/report/style.css %D%/report/model.js %D%/report/draw.js \
  %D%/report/timeline.js %D%/report/sections.js
EXTRA_DIST += $(report_parts) %D%/report/embed.awk
CLEANFILES += %D%/report_page.inc
%D%/report_page.inc: $(report_parts) %D%/report/embed.awk
	$(AM_V_GEN)$(MKDIR_P) %D% && $(AWK) -v dir='$(srcdir)/%D%/report' \
	  -f '$(srcdir)/%D%/report/embed.awk' '$(srcdir)/%D%/report/page.html' >$@.tmp && mv $@.tmp $@
%D%/libjobs_a-report_page.$(OBJEXT): %D%/report_page.inc

als_SOURCES = %D%/main.c %D%/blas.h
als_CPPFLAGS = $(AM_CPPFLAGS)
als_LDADD = $(JOB_LIBS)

# The supervisor links neither MPI nor HDF5: it has to live where they do not.
gangrun_SOURCES = %D%/gangrun.c %D%/gangrun_attempt.c %D%/gangrun_impl.h
gangrun_LDADD = %D%/libjobs.a $(RDD_LIBS) -lm

# For functions of the user's own, and those that come along: a library that is only opened at run time,
# compiled as a user's would be, against the one header.
include_HEADERS = %D%/gangplank_map.h
mapsexecdir = $(pkglibdir)
mapsexec_PROGRAMS = %D%/maps/maps.so
%C%_maps_maps_so_SOURCES = %D%/maps/maps.c
%C%_maps_maps_so_CPPFLAGS = -I$(top_srcdir)/%D%
%C%_maps_maps_so_CFLAGS = $(AM_CFLAGS) -fPIC
%C%_maps_maps_so_LDFLAGS = $(AM_LDFLAGS) -shared
