"""Describes an installation: versions, backend, device, threads and build options."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

import libtbx.load_env

import nanobragg_kokkos


def build_record() -> dict:
    """Returns SConscript's record of the build: request, kokkos, compiler, host_compiler, core_flags, ext_flags.

    The record is empty if SConscript did not build this installation.
    """
    path = Path(libtbx.env.under_build("lib")) / "nanobragg_kokkos_build.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def version(name: str) -> str:
    """Returns the version of a Python module, or "not installed".

    If a Linux distribution has packaged the module, the version is that of the package: modules of the cctbx family
    report wrong versions there.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        return "not installed"
    if spec.origin and spec.origin.startswith("/usr/lib/python3/dist-packages/"):
        query = ["dpkg-query", "--show", "--showformat=${source:Upstream-Version}", f"python3-{name}"]
        try:
            answer = subprocess.run(query, capture_output=True, text=True).stdout
        except FileNotFoundError:
            answer = ""
        if answer:
            return answer.split("+")[0]
    if name == "cctbx":
        from libtbx.version import get_version

        return get_version() or "unknown"
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return getattr(importlib.import_module(name), "__version__", "unknown")


def information() -> dict[str, dict[str, str]]:
    """Returns all printed values by section and name; starts Kokkos."""
    backend = nanobragg_kokkos.backend()
    record = build_record()
    kokkos = record.get("kokkos", {})
    modules = ("cctbx", "dxtbx", "dials", "numpy", "h5py", "hdf5plugin", "mpi4py")
    return {
        "versions": {
            "nanobragg_kokkos": nanobragg_kokkos.__version__,
            "Kokkos": backend["kokkos"],
            **{name: version(name) for name in modules},
            "Python": f"{platform.python_version()} ({sys.executable})",
        },
        "backend": {
            "execution space": backend["backend"],
            "device": backend["device"],
            "threads": str(backend["threads"]),
        },
        "build": {
            "folder": abs(libtbx.env.build_path),
            "Kokkos from": kokkos.get("prefix", "unknown"),
            "devices": ", ".join(kokkos.get("devices", [])) or "unknown",
            "architecture": ", ".join(kokkos.get("arch", [])) or "unknown",
            "compiler of kernels": record.get("compiler", "unknown"),
            "host compiler": record.get("host_compiler", "unknown"),
            "flags of kernels": record.get("core_flags", "unknown"),
        },
    }


def as_text(sections: dict[str, dict[str, str]]) -> str:
    """Returns the values as text, one per line, in sections."""
    width = max(len(name) for section in sections.values() for name in section)
    lines = []
    for title, section in sections.items():
        lines += [title, *(f"  {name:<{width}}  {value}" for name, value in section.items())]
    return "\n".join(lines)
