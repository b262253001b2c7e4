"""Says in one line each what an environment lacks and how to get it; the exit code is 1 if it lacks anything.

    python check_environment.py building|testing

For conda and libtbx environments; on Debian and Ubuntu, bootstrap asks the package system instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

# What is looked for, and the conda-forge package that has it.
MODULES = {
    "building": {
        "libtbx": "cctbx-base",
        "cctbx": "cctbx-base",
        "dxtbx": "dxtbx",
        "SCons": "scons",
        "numpy": "numpy",
        "h5py": "h5py",
        "hdf5plugin": "hdf5plugin",
        "mpi4py": "mpi4py",
        "tqdm": "tqdm",
        "matplotlib": "matplotlib-base",
        "PIL": "pillow",
        "scipy": "scipy",
        "setuptools": "setuptools",
        "future": "future",
    },
    "testing": {"pytest": "pytest", "hypothesis": "hypothesis", "dials": "dials"},
}
HEADERS = {
    "boost/python.hpp": "libboost-python-devel",
    "cctbx/miller.h": "cctbx-base",
    "dxtbx/model/detector.h": "dxtbx",
}
PROGRAMS = {"cmake": "cmake", "make": "make"}


def include_folders() -> list[Path]:
    return [Path(sys.prefix) / "include", Path(sysconfig.get_paths()["include"]), Path("/usr/include")]


def lacking(purpose: str) -> dict[str, str]:
    """What is missing, with the package that has it."""
    missing = {}
    for name, package in MODULES[purpose].items():
        if importlib.util.find_spec(name) is None:
            missing[f"Python module {name}"] = package
    if purpose == "building":
        for name, package in HEADERS.items():
            if not any((folder / name).is_file() for folder in include_folders()):
                missing[f"header {name}"] = package
        for name, package in PROGRAMS.items():
            if not shutil.which(name):
                missing[f"program {name}"] = package
        if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "g++", "c++", "clang++")):
            missing["C++ compiler"] = "cxx-compiler"
    return missing


if __name__ == "__main__":
    missing = lacking(sys.argv[1])
    for what, package in missing.items():
        print(f"missing: {what}: conda install -c conda-forge {package}")
    sys.exit(bool(missing))
