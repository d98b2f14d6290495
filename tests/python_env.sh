#!/bin/sh
# python_env.sh FOLDER: a virtual environment with pyarrow, numpy and h5py from PyPI, for the tests
# in which other people's programs read what is ours. It is made once for a build folder, and
# `make clean` removes it. FOLDER/ready tells the versions when it is there; where it cannot be had
# FOLDER/why says why, and the next run tries again.
set -u
folder=$1
rm -rf "$folder" && mkdir -p "$folder" || exit 1

# no REASON: what the tests will say when they skip.
no() {
  echo "$1: $(tail -n 1 "$folder/log")" >"$folder/why"
  exit 0
}

timeout 60 python3 -m venv "$folder/venv" >"$folder/log" 2>&1 ||
  no 'python3 -m venv does not work (on Debian, apt-get install python3-venv)'
timeout 120 "$folder/venv/bin/python" -m pip install --quiet --no-compile --only-binary=:all: \
  --disable-pip-version-check --timeout 15 --retries 1 pyarrow numpy h5py >>"$folder/log" 2>&1 ||
  no 'pip cannot install pyarrow, numpy and h5py'
"$folder/venv/bin/python" -c 'import h5py, numpy, pyarrow
print(*(m.__name__ + " " + m.__version__ for m in (pyarrow, numpy, h5py)), sep=", ")' \
  >"$folder/versions" 2>>"$folder/log" || no 'pyarrow, numpy and h5py cannot be imported'
mv "$folder/versions" "$folder/ready"
