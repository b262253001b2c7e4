#!/usr/bin/env python3
"""Installs Kokkos under a folder and says where; does nothing if it is there already.

    install_kokkos.py ROOT     Kokkos goes to ROOT/DEVICES-ARCH; which_kokkos.py lists what decides on these

Unless the environment names the user's own Kokkos, it is Kokkos 4.7.0 from the source archive of another
package, which pip fetches from wherever it is configured to look, or which the user puts into ROOT himself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from which_kokkos import HERE, Failure, Request, query, read_request, run

VERSION = "4.7.0"
PACKAGE = "pygenten==0.1.5"
ARCHIVE = "pygenten-0.1.5.tar.gz"
SHA256 = "e620f05c742905e2db705d875f1cac92ef0ed453f9e6734e9beda26cc0f9cce7"
INSIDE = "pygenten-0.1.5/tpls/kokkos/"


def settings(request: Request, root: Path, log) -> dict:
    """Returns the settings for a build against the requested Kokkos; installs it under root if necessary.

    They are a dict: prefix, version, devices and arch (as Kokkos names them), compiler, host_compiler,
    compile_flags, link_flags. The dict is kept in root/NAME/settings.json.
    """
    folder = (root / request.name).resolve()
    kept = folder / "settings.json"
    host_compiler = request.host_compiler()
    if kept.is_file():
        found = json.loads(kept.read_text())
        header = Path(found["config_header"])
        unchanged = header.is_file() and header.stat().st_mtime <= kept.stat().st_mtime
        if unchanged and found["folder"] == str(folder) and found["host_compiler"] == host_compiler:
            check_own(request, found)
            return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if request.installed:
            found = query(request.installed, folder / "flags", log)
            check_own(request, found)
            found["prefix"] = str(request.installed)
        else:
            with kokkos_source(request, root, log) as source:
                found = install(request, source, folder, log)
            found["prefix"] = str(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    found["folder"] = str(folder)
    found["host_compiler"] = host_compiler
    new = folder / "settings.new"
    new.write_text(json.dumps(found, indent=1) + "\n")
    new.replace(kept)
    return found


def check_own(request: Request, found: dict) -> None:
    """Raises Failure if the user's installed Kokkos cannot be used."""
    if not request.installed:
        return
    shared = any(re.search(r"libkokkoscore\.(so|dylib)", flag) for flag in found["link_flags"])
    if shared and "OPENMP" in found["devices"]:
        # It would call cctbx's OpenMP stubs (libomptbx) and return wrong numbers.
        raise Failure(
            f"the Kokkos in {request.installed} is a shared library with OpenMP: one built with "
            "-DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON is needed"
        )
    asked = {device.upper() for device in request.devices} if os.environ.get("KOKKOS_DEVICES") else set()
    lacking = asked - set(found["devices"])
    if lacking:
        raise Failure(
            f"the Kokkos in {request.installed} was built for {', '.join(found['devices'])}, "
            f"not for {', '.join(sorted(lacking))} as KOKKOS_DEVICES asks"
        )
    if os.environ.get("KOKKOS_ARCH"):
        check_arch(request, found["arch"])


def check_arch(request: Request, enabled: list[str]) -> None:
    """Raises Failure for an architecture that Kokkos has not enabled: CMake only warns of an unknown name."""
    lacking = [name for name in request.arch if name != "native" and name not in enabled]
    if lacking:
        raise Failure(
            f"KOKKOS_ARCH={','.join(lacking)}: not an architecture that Kokkos knows for "
            f"{', '.join(request.devices)}; expected native or, e.g., ZEN3, or HOPPER90 with Cuda"
        )


@contextlib.contextmanager
def kokkos_source(request: Request, root: Path, log):
    """Yields the folder of Kokkos's source: the user's, or that of the temporarily unpacked archive."""
    if request.source:
        yield request.source
        return
    archive = fetch(root, log)
    with tempfile.TemporaryDirectory(prefix="source-", dir=root) as folder:
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.name.startswith(INSIDE)]
            tar.extractall(folder, members, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        yield Path(folder) / INSIDE


def fetch(root: Path, log) -> Path:
    """Returns the archive in root after checking its SHA-256; fetches it with pip if it is missing."""
    archive = root / ARCHIVE
    if not archive.is_file():
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=root) as folder:
            requirement = Path(folder) / "requirement.txt"
            requirement.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
            # Only the file is wanted, but pip insists on the package's metadata, for which it would first
            # install a build system. The one in pip_without_build answers at once.
            # It leaves no byte code behind: bootstrap takes whatever is new in setup for a reason to build again.
            environment = dict(os.environ, PYTHONPATH=str(HERE / "pip_without_build"), PYTHONDONTWRITEBYTECODE="1")
            try:
                run(
                    [
                        sys.executable,
                        "-m",
                        "pip",
                        "download",
                        "--disable-pip-version-check",
                        "--no-deps",
                        "--no-binary=:all:",
                        "--no-build-isolation",
                        "--dest",
                        folder,
                        "-r",
                        str(requirement),
                    ],
                    log,
                    env=environment,
                )
                (Path(folder) / ARCHIVE).replace(archive)
            except (Failure, OSError):
                raise Failure(
                    f"the archive of Kokkos could not be fetched: let {sys.executable} -m pip reach a package"
                    f" index, or put {ARCHIVE} into {root}, or set KOKKOS_PATH to your own Kokkos"
                ) from None
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        archive.unlink()
        raise Failure(f"{archive} had the wrong checksum and was removed: try again")
    return archive


def install(request: Request, source: Path, prefix: Path, log) -> dict:
    """Builds and installs Kokkos; returns what query() finds out about it."""
    compiler = request.host_compiler()
    options = []
    build_flags = []
    if "Cuda" in request.devices:
        compiler, options, build_flags = prepare_cuda(request, source, prefix, log)
    elif "HIP" in request.devices:
        compiler = compiler if request.cxx else find_program("hipcc", "ROCm")
        # Kokkos would sort with it, which nothing here asks for, and not every ROCm comes with it.
        options = ["-DKokkos_ENABLE_ROCTHRUST=OFF"]
    elif "SYCL" in request.devices:
        compiler = compiler if request.cxx else find_program("icpx", "Intel's oneAPI")
    wrapper = (prefix / "bin/nvcc_wrapper").read_bytes() if "Cuda" in request.devices else None

    with tempfile.TemporaryDirectory(prefix="build-", dir=prefix) as build:
        run(
            [
                "cmake",
                "-S",
                str(source),
                "-B",
                build,
                "-G",
                "Unix Makefiles",
                f"-DCMAKE_INSTALL_PREFIX={prefix}",
                "-DCMAKE_INSTALL_LIBDIR=lib",
                f"-DCMAKE_CXX_COMPILER={compiler}",
                f"-DCMAKE_CXX_FLAGS={' '.join(build_flags)}",
                "-DCMAKE_BUILD_TYPE=Release",
                "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
                "-DBUILD_SHARED_LIBS=OFF",
                f"-DCMAKE_CXX_STANDARD={cxx_standard(source)}",
                "-DCMAKE_CXX_EXTENSIONS=OFF",
                *[f"-DKokkos_ENABLE_{device.upper()}=ON" for device in request.devices],
                *[f"-DKokkos_ARCH_{arch.upper()}=ON" for arch in request.arch],
                *options,
            ],
            log,
        )
        check_arch(request, configured_arch(Path(build)))
        run(["cmake", "--build", build, "--parallel", str(len(os.sched_getaffinity(0)))], log)
        run(["cmake", "--install", build], log)
    if wrapper:  # Kokkos has just installed its own in its place
        (prefix / "bin/nvcc_wrapper").write_bytes(wrapper)
    found = query(prefix, prefix / "flags", log, compiler=compiler, options=options)
    found["compile_flags"] += build_flags
    return found


def cxx_standard(source: Path) -> int:
    """The standard that a Kokkos is built for: 5 and later refuse C++17."""
    major = re.search(r"set\(Kokkos_VERSION_MAJOR (\d+)\)", (source / "CMakeLists.txt").read_text(), flags=re.I)
    return 20 if major and int(major[1]) >= 5 else 17


def configured_arch(build: Path) -> list[str]:
    """Returns the architectures that Kokkos has enabled in a folder configured by CMake."""
    text = (build / "KokkosConfigCommon.cmake").read_text()
    match = re.search(r'^set\(Kokkos_ARCH "?([^")]*)"?\)$', text, flags=re.M | re.I)
    return match[1].split(";") if match else []


def find_program(name: str, product: str) -> str:
    path = shutil.which(name)
    if not path:
        raise Failure(f"{name} was not found: put {product} on PATH, or set CXX to its compiler")
    return path


def prepare_cuda(request: Request, source: Path, prefix: Path, log) -> tuple[str, list[str], list[str]]:
    """Lets Kokkos be built by a CUDA that is newer than it, and on machines without a GPU.

    Returns the compiler, options for CMake, and compiler flags for Kokkos and all that uses it.
    """
    nvcc = find_program("nvcc", "the CUDA toolkit")
    if re.search(r"\s", f"{prefix}{source}"):
        raise Failure(f"nvcc_wrapper cannot work in {prefix}: for Cuda, use a path without spaces")

    # nvcc_wrapper's own default may be an architecture that CUDA no longer knows, and CMake tries the
    # compiler before it hears of any other.
    wrapper = prefix / "bin/nvcc_wrapper"
    wrapper.parent.mkdir(parents=True)
    text = (source / "bin/nvcc_wrapper").read_text()
    default = f'default_arch="{cuda_architecture(request)}"'
    wrapper.write_text(re.sub(r"^default_arch=.*$", default, text, flags=re.M))
    wrapper.chmod(0o755)

    header = prefix / "include/nanobragg_cuda13.h"
    header.parent.mkdir(parents=True)
    shutil.copy(HERE / "cuda13.h", header)

    options = []
    if not has_driver_library(nvcc):
        stub = prefix / "lib/stubs/libcuda.so"
        stub.parent.mkdir(parents=True)
        run(
            [
                request.host_compiler(),
                "-shared",
                "-fPIC",
                "-x",
                "c",
                "-Wl,-soname,libcuda.so.1",
                "-o",
                str(stub),
                str(HERE / "cuda_stub.c"),
            ],
            log,
        )
        options.append(f"-DCUDA_cuda_driver_LIBRARY={stub}")
    return str(wrapper), options, ["-include", str(header)]


def cuda_architecture(request: Request) -> str:
    """Returns the sm_ number for nvcc, of the requested architecture or of the GPU in this machine."""
    for name in request.arch:
        if re.fullmatch(r"(KEPLER|MAXWELL|PASCAL|VOLTA|TURING|AMPERE|ADA|HOPPER|BLACKWELL)\d+", name):
            return "sm_" + re.search(r"\d+", name)[0]
    with contextlib.suppress(OSError, subprocess.CalledProcessError, IndexError):
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return "sm_" + answer.split()[0].replace(".", "")
    raise Failure("no GPU in this machine to tell the architecture: set KOKKOS_ARCH, for example to HOPPER90")


def has_driver_library(nvcc: str) -> bool:
    """Returns whether the driver or the toolkit has a libcuda.so to link with."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    if "libcuda.so " in known:
        return True
    toolkit = Path(nvcc_home(nvcc))
    return any(toolkit.glob("lib64/stubs/libcuda.so")) or any(toolkit.glob("targets/*/lib/stubs/libcuda.so"))


def nvcc_home(nvcc: str) -> str:
    """Returns the toolkit's folder according to nvcc, as the program on PATH may be a link or a script."""
    command = [nvcc, "--dryrun", "-E", "-x", "cu", "/dev/null"]
    answer = subprocess.run(command, capture_output=True, text=True).stderr
    match = re.search(r"^#\$ TOP=(.*)$", answer, flags=re.M)
    return match[1] if match else str(Path(nvcc).resolve().parent.parent)


def main(arguments: list[str]) -> None:
    root = Path(arguments[0]).resolve()
    root.mkdir(parents=True, exist_ok=True)
    found = settings(read_request(dict(os.environ)), root, sys.stdout)
    print(found["prefix"])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        sys.exit(f"Kokkos: {failure}")
