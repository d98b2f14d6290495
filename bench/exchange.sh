#!/bin/bash
# Row against vector: rows per second through pipes, callbacks, vectorised tasks and memcpy, in one run
# (bench/exchange --help says what each is). Prints Markdown. From the build directory:
#   make bench-exchange
# Environment: MEGABYTES, PARTITIONS, ROUNDS, SLOTS (words: a run for each, tasks at a time).
set -euo pipefail
build=${BUILD:-$PWD}
read -ra slots <<<"${SLOTS:-1 $(nproc)}"

first_line() { sed -n 1p "$1" 2>/dev/null || echo unknown; }

echo "machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; Linux $(uname -r);" \
  "large pages for memory files: $(first_line /sys/kernel/mm/transparent_hugepage/shmem_enabled); $(date -u +%F)"
for n in "${slots[@]}"; do
  echo
  "$build/bench/exchange" --slots "$n" --rounds "${ROUNDS:-5}" \
    --megabytes "${MEGABYTES:-512}" --partitions "${PARTITIONS:-8}"
done
