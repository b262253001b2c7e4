"""Says what an environment lacks and how to get it; the exit code is 1 if it lacks anything.

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
    },
    "testing": {"pytest": "pytest", "hypothesis": "hypothesis", "sphinx": "sphinx", "dials": "dials"},
}
HEADERS = {
    "boost/python.hpp": "libboost-python-devel",
    "cctbx/miller.h": "cctbx-base",
    "scitbx/array_family/operator_traits_builtin.h": "cctbx-base",
    "dxtbx/model/detector.h": "dxtbx",
}
PROGRAMS = {"cmake": "cmake", "make": "make"}


def include_folders() -> list[Path]:
    """Returns the folders with headers of this environment.

    conda-forge's cctbx has those that its build has written in include, all others beside its Python files.
    """
    paths = sysconfig.get_paths()
    return [Path(sys.prefix) / "include", Path(paths["include"]), Path(paths["platlib"])]


def lacking(purpose: str) -> dict[str, str]:
    """Returns what is missing, with the package that has it."""
    missing = {}
    for name, package in MODULES[purpose].items():
        if importlib.util.find_spec(name) is None:
            missing[f"Python module {name}"] = package
    if purpose == "building":
        # Debian's headers of cctbx serve Debian's cctbx alone.
        for name, package in HEADERS.items():
            if not any((folder / name).is_file() for folder in include_folders()):
                missing[f"header {name}"] = package
        for name, package in PROGRAMS.items():
            if not shutil.which(name):
                missing[f"program {name}"] = package
        if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "g++", "c++", "clang++")):
            missing["C++ compiler"] = "cxx-compiler"
    return missing


def advice(missing: dict[str, str]) -> str:
    """Returns how to get what is missing."""
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda install -c conda-forge " + " ".join(dict.fromkeys(missing.values()))
    return (
        f"{sys.prefix} is no conda environment. PyPI's cctbx-base is not enough: it has neither Boost's headers nor "
        "dxtbx. Deactivate this environment to use the packages of Debian or Ubuntu, or use a conda environment made "
        "of environment.yml"
    )


if __name__ == "__main__":
    missing = lacking(sys.argv[1])
    for what in missing:
        print(f"missing: {what}")
    if missing:
        sys.exit(advice(missing))
