#!/bin/sh
# pyarrow, a library that knows nothing of us, takes partitions and gives one back: see the .py.
set -u
env=${top_builddir:-.}/tests/python-env
if [ ! -e "$env/ready" ]; then
  echo "1..0 # SKIP $(cat "$env/why" 2>/dev/null || echo "make did not make $env")"
  exit 0
fi
echo "# $(cat "$env/ready")"
exec timeout --kill-after=5 120 "$env/venv/bin/python" "${top_srcdir:-.}/tests/arrow_pyarrow.py" \
  "${top_builddir:-.}/tests/arrow_library.so"
