"""Finds the Kokkos to build this module with, and the compiler and flags that it requests.

The environment chooses it with the variables that simtbx reads:

KOKKOS_DEVICES   OpenMP (default), Serial, Threads, Cuda, HIP or SYCL; several with commas or semicolons
KOKKOS_ARCH      native (default) or Kokkos's own names, e.g. HOPPER90 or ZEN3,AMPERE80; upper or lower case
KOKKOS_PATH      the user's Kokkos: its source tree (built here) or the folder where it is installed
Kokkos_ROOT      the folder where the user's Kokkos is installed, in CMake's sense
CXX              the host compiler to build Kokkos with (default g++)

Without KOKKOS_PATH and Kokkos_ROOT, Kokkos comes from a pinned archive (see install_kokkos).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEVICES = {name.lower(): name for name in ("OpenMP", "Serial", "Threads", "Cuda", "HIP", "SYCL")}
DEVICES["pthread"] = "Threads"  # its name in Kokkos 3 and in simtbx
GPU_DEVICES = {"Cuda", "HIP", "SYCL"}


class Failure(Exception):
    """An error, explained to the user in one or two lines."""


@dataclasses.dataclass(frozen=True)
class Request:
    """The Kokkos that the environment requests."""

    devices: tuple[str, ...]
    arch: tuple[str, ...]
    source: Path | None = None
    installed: Path | None = None
    cxx: str = dataclasses.field(default="", compare=False)  # not part of the name: one build a configuration

    @property
    def name(self) -> str:
        """Name of the folder that keeps this configuration apart from the others."""
        name = "_".join(self.devices) + "-" + "_".join(self.arch)
        if self.source:
            name += "-" + short_hash(self.source)
        return "own-" + short_hash(self.installed) if self.installed else name

    @property
    def is_default(self) -> bool:
        return self == Request(("OpenMP",), ("native",))

    def environment(self) -> dict[str, str]:
        """The variables that lead to the same request."""
        return {
            "KOKKOS_DEVICES": ",".join(self.devices),
            "KOKKOS_ARCH": ",".join(self.arch),
            "KOKKOS_PATH": str(self.source or self.installed or ""),
            "CXX": self.cxx,
        }

    def host_compiler(self) -> str:
        """Path of the C++ compiler for everything that is not a kernel."""
        for name in [self.cxx] if self.cxx else ["g++", "c++", "clang++"]:
            path = shutil.which(name)
            if path:
                return path
        raise Failure(
            f"CXX={self.cxx}: expected one program that exists"
            if self.cxx
            else "no C++ compiler: install g++, or set CXX"
        )


def short_hash(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:8]


def words(text: str) -> list[str]:
    return [word for word in re.split(r"[,;\s]+", text) if word]


def read_request(environment: dict[str, str]) -> Request:
    """Returns the request of the variables; raises Failure if it is invalid."""
    devices = []
    for word in words(environment.get("KOKKOS_DEVICES", "")) or ["OpenMP"]:
        if word.lower() not in DEVICES:
            known = ", ".join(sorted(set(DEVICES.values())))
            raise Failure(f"KOKKOS_DEVICES={word}: expected one or more of {known}")
        devices.append(DEVICES[word.lower()])
    if len(GPU_DEVICES.intersection(devices)) > 1:
        raise Failure(f"KOKKOS_DEVICES={','.join(devices)}: Kokkos serves one kind of GPU at a time")
    arch = [word.upper() for word in words(environment.get("KOKKOS_ARCH", ""))] or ["NATIVE"]
    arch = ["native" if word == "NATIVE" else word for word in arch]
    for word in arch:  # whether Kokkos knows it, only Kokkos can tell (see check_arch in install_kokkos)
        if not re.fullmatch(r"[A-Za-z0-9_]+", word):
            raise Failure(f"KOKKOS_ARCH={word}: expected native or Kokkos's names, e.g. HOPPER90")

    source = installed = None
    if environment.get("KOKKOS_PATH"):
        path = Path(environment["KOKKOS_PATH"]).expanduser().resolve()
        if (path / "core/src/Kokkos_Core.hpp").is_file() and (path / "CMakeLists.txt").is_file():
            source = path
        elif path.is_dir():
            installed = path
        else:
            raise Failure(f"KOKKOS_PATH={path}: no such folder")
    elif environment.get("Kokkos_ROOT"):
        installed = Path(environment["Kokkos_ROOT"]).expanduser().resolve()
        if not installed.is_dir():
            raise Failure(f"Kokkos_ROOT={installed}: no such folder")
    request = Request(tuple(devices), tuple(arch), source, installed, environment.get("CXX", "").strip())
    if request.cxx:
        request.host_compiler()
    return request


def run(command: list[str], log, **keywords) -> None:
    """Runs a command with its output in the log; raises Failure naming the program if it fails."""
    print("$", shlex.join(map(str, command)), file=log, flush=True)
    try:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=True, **keywords)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        raise Failure(f"{Path(command[0]).name} failed with exit code {error.returncode}") from None


def query(prefix: Path, folder: Path, log, compiler: str | None = None, options: list[str] = ()) -> dict:
    """Compiler, version and flags of an installed Kokkos.

    A CMake project of one empty file that uses Kokkos says how CMake would compile and link it: that is right
    for every backend, version and way of installing, which reading Kokkos's own files would not be.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [
        "cmake",
        "-S",
        str(HERE / "kokkos_flags"),
        "-B",
        str(folder),
        "-G",
        "Unix Makefiles",
        f"-DKokkos_ROOT={prefix}",
        *options,
    ]
    if compiler is None:
        run([*command, "-DWHICH_COMPILER=ON"], log)
        compiler = (folder / "compiler.txt").read_text().strip()
        shutil.rmtree(folder)
    run([*command, f"-DCMAKE_CXX_COMPILER={compiler}"], log)

    found = json.loads((folder / "kokkos.json").read_text())
    compile_words = shlex.split(json.loads((folder / "compile_commands.json").read_text())[0]["command"])
    link_words = shlex.split((folder / "CMakeFiles/probe.dir/link.txt").read_text())
    found["compiler"] = compiler
    found["compile_flags"] = without(compile_words[1:], "probe")
    found["link_flags"] = with_library_folders(without(link_words[1:], "probe"))
    return found


def without(flags: list[str], program: str) -> list[str]:
    """Returns the flags without the names of the probe's own files."""
    kept = []
    for flag in flags:
        if flag in ("-o", "-c") or Path(flag).name.startswith(program):
            continue
        kept.append(flag)
    return kept


def with_library_folders(flags: list[str]) -> list[str]:
    """Returns the flags with the folders where the dynamic linker finds their libraries.

    CMake leaves out those which the compiler searches by itself, though the dynamic linker may not know them.
    """
    kept = [flag for flag in flags if not flag.startswith("-Wl,-rpath")]
    folders = [str(Path(flag).parent) for flag in flags if re.search(r"^/.*\.so(\.\d+)*$", flag)]
    for folder in dict.fromkeys(folders):
        if not re.match(r"/(usr/)?lib", folder) and not folder.endswith("/stubs"):
            kept.append(f"-Wl,-rpath,{folder}")
    return kept


if __name__ == "__main__":
    try:
        asked = read_request(dict(os.environ))
        print(asked.name, "default" if asked.is_default else "other")
    except Failure as failure:
        sys.exit(f"{failure}")
