# Copyright the gangplank authors
# SPDX-License-Identifier: Apache-2.0
"""A recipe to build a checkout with Spack (docs/install.md):

    spack repo add packaging/spack/spack_repo/gangplank
    spack dev-build gangplank@0.1.0
"""

from spack.package import *

try:
    from spack_repo.builtin.build_systems.autotools import AutotoolsPackage
except ImportError:
    pass  # before Spack 1.0 it came with spack.package


class Gangplank(AutotoolsPackage):
    """Recommenders by alternating least squares, over a small RDD layer and MPI: independent tasks
    that are rerun one by one, and a gang of ranks that is rerun as one."""

    license("Apache-2.0")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("autoconf", type="build")
    depends_on("automake@1.14:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi@3:", type=("build", "link", "run"))
    depends_on("hdf5@1.10.2:")
    depends_on("openblas")
    # Threads solve rows side by side, each with a call of its own.
    requires("^openblas threads=pthreads", "^openblas threads=openmp", policy="any_of")
    depends_on("zlib-api")
    depends_on("cunit", type="test")

    def autoreconf(self, spec, prefix):
        Executable("./autogen.sh")()

    def configure_args(self):
        spec = self.spec
        return [
            "--with-mpi=" + spec["mpi"].prefix,
            "--with-hdf5=" + spec["hdf5"].prefix,
            "--with-blas=" + spec["openblas"].prefix,
        ]
