#!/bin/sh
# Make configure from configure.ac. Needed once after a clone; a release tarball has it already.
set -e
cd "$(dirname "$0")"

# The TAP driver comes with automake, but automake does not install it by itself.
libdir=$(automake --print-libdir) || {
  echo "autogen.sh: automake is missing: on Debian, apt-get install autoconf automake pkg-config" >&2
  exit 1
}
cp "$libdir/tap-driver.sh" build-aux/
exec autoreconf --install --force
