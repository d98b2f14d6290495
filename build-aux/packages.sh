# shellcheck shell=bash
# What gangplank needs to be built, and how to get it: sourced by ./check and ./demo (bash).

# Each line: a Debian package, and a command that succeeds where something like it is there already.
packages_table() {
  cat <<'TABLE'
autoconf             command -v autoreconf
automake             command -v automake
pkg-config           command -v pkg-config
gcc                  command -v gcc
libc6-dev            test -e /usr/include/stdio.h
make                 command -v make
openmpi-bin          command -v mpirun
libopenmpi-dev       pkg-config --exists mpi-c
libhdf5-openmpi-dev  pkg-config --exists hdf5-openmpi || pkg-config --exists hdf5
libopenblas-dev      pkg-config --exists openblas
zlib1g-dev           pkg-config --exists zlib
libcunit1-dev        pkg-config --exists cunit
TABLE
}

# What only some tests need: those on a cluster SLURM, and the network that they make for it; those
# in which Python reads what is ours a virtual environment.
packages_optional_table() {
  cat <<'TABLE'
slurm-wlm            command -v slurmctld && command -v slurmd && command -v sbatch
munge                command -v munged
iproute2             command -v ip
python3-venv         python3 -c 'import ensurepip, venv'
TABLE
}

# packages_missing TABLE: those of a table that are not there.
packages_missing() {
  local PATH=$PATH:/usr/sbin:/sbin
  "$1" | while read -r package probe; do
    eval "$probe" >/dev/null 2>&1 || printf '%s ' "$package"
  done
}

# packages_install SUDO PACKAGES: with apt-get; SUDO is the words before it, or "".
packages_install() {
  # shellcheck disable=SC2086 # both are words
  $1 env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/dev/null' \
    apt-get $2
}

# Install what is missing with apt-get, as root or through a sudo that asks nothing; else say what to
# do and return 1.
packages_ensure() {
  local missing sudo=
  missing=$(packages_missing packages_table)
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "missing, by their Debian names: $missing" >&2
    echo "install what your system calls them (or load your cluster's modules) and run this again" >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "missing packages: $missing" >&2
      echo "ask somebody with root to run: apt-get install $missing" >&2
      return 1
    fi
    sudo='sudo -n'
  fi
  echo "installing: $missing"
  packages_install "$sudo" "$missing" || {
    echo "apt-get could not install: $missing" >&2
    return 1
  }
  missing=$(packages_missing packages_table)
  [ -z "$missing" ] || { echo "still missing after apt-get: $missing" >&2 && return 1; }
}

# The same for tests that are skipped where it does not work: so this never fails. Most of them run as
# root only, so nothing is installed for anybody else.
packages_ensure_optional() {
  local missing
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  missing=$(packages_missing packages_optional_table)
  [ -n "$missing" ] || return 0
  echo "installing, for some of the tests: $missing"
  packages_install '' "$missing" || echo "apt-get could not install them; those tests will be skipped"
}
