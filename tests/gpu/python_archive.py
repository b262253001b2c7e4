"""Writes a tar archive, to standard output, of the files that traced programs have opened: a Python that runs elsewhere.

    python_archive.py BLAS TRACE ... > archive.tar

BLAS is a folder with Debian's libblas3 and liblapack3, which take the place of the optimized libraries: those are a
quarter of all, and next to nothing here uses them.

TRACE is what `strace -f -e trace=open,openat,execve` has written of programs run by /usr/bin/python3. What belongs to
the machine (the C and C++ libraries, the GPU's driver and toolkit, MPI) is left out: the archive is for one with newer
ones. The standard library is taken whole, for the error messages that no trace has seen. Byte code is left out, too.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
import tarfile
from pathlib import Path

OPENED = re.compile(r'"(/(?:usr|lib)[^"]*)".* = \d+$')
BYTE_CODE = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-\d+\.pyc")
OF_THE_MACHINE = re.compile(
    r"""/usr/local/ | /locale/ | /gconv | /usr/share/fonts/ | /openmpi/ | /pmix | /usr/lib/ssl/
    | /fonts/(?!ttf/DejaVuSans\.ttf)
    | /usr/bin/(?!python)
    | /(ld-linux|libc|libm|libmvec|libdl|libpthread|librt|libutil|libresolv|libanl|libnss_\w+|libstdc\+\+|libgcc_s
        |libopenblas|libcuda|libnvidia\w*|libmpi|libopen-\w+)[-.\d]*(\.so|-x86)
    """,
    re.VERBOSE,
)
# Python's own packages that nothing here imports, and that are large.
NOT_NEEDED = {"test", "idlelib", "tkinter", "lib2to3", "turtledemo", "ensurepip", "pydoc_data", "__pycache__"}


def opened(trace: str) -> set[str]:
    """The files in /usr that the traced programs have read; of byte code, the source."""
    found = set()
    with open(trace, errors="replace") as lines:
        for line in lines:
            match = OPENED.search(line)
            if match:
                path = os.path.normpath(match[1])
                byte_code = BYTE_CODE.fullmatch(path)
                path = f"{byte_code[1]}/{byte_code[2]}.py" if byte_code else path
                found.add(path if path.startswith("/usr") else "/usr" + path)
    return {path for path in found if os.path.isfile(path) and not OF_THE_MACHINE.search(path)}


def standard_library() -> set[str]:
    top = Path(sysconfig.get_paths()["stdlib"])
    return {
        str(path)
        for path in top.rglob("*.py")
        if path.is_file() and not NOT_NEEDED.intersection(path.relative_to(top).parts)
    }


def mpi4py() -> set[str]:
    """Not traced: with it would come all that its MPI loads."""
    (top,) = importlib.util.find_spec("mpi4py").submodule_search_locations
    return {str(path) for pattern in ("*.py", "MPI.*.so") for path in Path(top).glob(pattern)}


def place(path: str) -> str:
    """Where a file goes in the archive."""
    # matplotlib looks beside itself first, then in /usr/share of the machine.
    return path.replace("/usr/share/matplotlib/mpl-data", "/usr/lib/python3/dist-packages/matplotlib/mpl-data")[1:]


def main(blas: Path, traces: list[str]) -> None:
    plain = {name: next(blas.rglob(name)).resolve() for name in ("libblas.so.3", "liblapack.so.3")}
    paths = standard_library().union(mpi4py(), *map(opened, traces))
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", dereference=True) as archive:
        for path in sorted(paths):
            source = plain.get(os.path.basename(path), path)
            entry = archive.gettarinfo(source, place(path))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            with open(source, "rb") as file:
                archive.addfile(entry, file)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
