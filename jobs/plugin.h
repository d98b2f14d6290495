/* Map functions of the user's own, from shared libraries: als import --map LIB:FUNCTION[=ARGUMENT].
 * What a library offers is declared in jobs/gangplank_map.h, the only header it needs. */
#ifndef JOB_PLUGIN_H
#define JOB_PLUGIN_H

#include "rdd/rdd.h"

typedef struct job_maps job_maps;

/* Load the functions, before any task is forked.                          Not collective.
 *   spec  [in]  [n] borrowed; "LIB:FUNCTION" or "LIB:FUNCTION=ARGUMENT". A LIB with a slash is a
 *               file. One without is looked for, as LIB.so where it does not end so: if it does, in
 *               the current folder; then in the folders of GANGPLANK_MAP_PATH (with colons between
 *               them), then where `make install` puts maps.so.
 * Fails with RDD_EUSAGE: no such library or function, another version of the header, an argument
 * that the function does not take. */
RDD_MUST_CHECK rdd_status job_maps_open(job_maps **out, const char *const *spec, int n,
                                        rdd_err *err);

/* The ratings after all functions, in order; rows stand in the order of the input. Not collective;
 * every rank builds the same.
 *   ratings  [in]  columns user, item, rating[, timestamp]; maps has to outlive the result
 *   out      [out] release it; with no functions it is ratings, retained
 * In its tasks, RDD_EDATA where a function says so or makes a rating that is not finite. */
RDD_MUST_CHECK rdd_status job_maps_apply(job_maps *maps, rdd *ratings, rdd **out, rdd_err *err);

/* Unload; NULL is accepted. */
void job_maps_close(job_maps *maps);

#endif
