#!/bin/sh
# The law of the rooms, read from the archives themselves: who may call whom, and who owns which names.
#
#            jobs            HDF5, files, main()
#           /    \
#   mpi_bridge    mllib       MPI        BLAS, OpenMP
#           \    /
#            rdd              libc and pthreads only
set -u
src=${top_srcdir:-.}
build=${top_builddir:-.}
failed=0
i=0

MPI='P?MPI_|[Oo]?mpi_|ompi_'
HDF5='H5'
BLAS='cblas_|openblas_|[sd]potr[fs]_'
OPENMP='omp_|GOMP_|__kmpc_'
ZLIB='gz|inflate|deflate'
TALK='(printf|vprintf|puts|putchar|perror|exit|abort|stdout|stderr)$'

# result TEXT OFFENDERS: a TAP line; there must be no offenders.
result() {
  i=$((i + 1))
  if [ -n "$2" ]; then
    printf '%s\n' "$2" | sed 's/^/# /'
    echo "not ok $i - $1"
    failed=1
  else
    echo "ok $i - $1"
  fi
}

# Symbols that an archive wants from elsewhere, and those it offers; one "object: symbol" a line.
wanted() { "${NM:-nm}" -A -P -u "$1" | awk '{ sub(/.*\[/, "", $1); sub(/\]:$/, "", $1); print $1 ": " $2 }'; }
offered() {
  "${NM:-nm}" -A -P -g --defined-only "$1" |
    awk '{ sub(/.*\[/, "", $1); sub(/\]:$/, "", $1); print $1 ": " $2 }'
}

# archive FILE PREFIX DENIED: it calls nothing that is denied to it, and defines only its own names.
# (Names that begin with __ or .gomp_ are the compiler's: sanitizers, coverage.)
archive() {
  name=${1##*/}
  if [ ! -s "$build/$1" ]; then
    result "$name is there" "$build/$1 is missing"
    result "$name has symbols" "$build/$1 is missing"
    return
  fi
  result "$name calls nothing that is denied to it" "$(wanted "$build/$1" | grep -E ": ($3)")"
  result "$name defines only ${2}_ names" "$(offered "$build/$1" | grep -vE ": (${2}_|__|\.gomp_)")"
}

# includes HEADER ROOM...: only these rooms include it.
includes() {
  header=$1
  shift
  pattern=$(printf '%s|' "$@")
  result "only $* may include $header" \
    "$(cd "$src" && grep -nE "^ *# *include *[<\"]${header}[>\"]" rdd/*.[ch] mllib/*.[ch] \
      mpi_bridge/*.[ch] jobs/*.[ch] tests/*.[ch] | grep -vE "^(${pattern%|})/")"
}

echo 1..12
archive rdd/librdd.a rdd "$MPI|$HDF5|$BLAS|$OPENMP|$ZLIB|als_|gang_|job_|$TALK"
archive mllib/libmllib.a als "$MPI|$HDF5|$ZLIB|gang_|job_|$TALK"
archive mpi_bridge/libmpi_bridge.a gang "$HDF5|$BLAS|$OPENMP|$ZLIB|als_|job_"
archive jobs/libjobs.a job "$MPI"
includes mpi.h mpi_bridge
includes hdf5.h jobs tests
includes '(cblas|lapacke).h' mllib tests
includes 'jobs/.*' jobs tests
exit $failed
