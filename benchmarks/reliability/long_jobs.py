"""Tests nanobragg_kokkos.simulate with kills, many images, full disks and damaged input. Run it with libtbx.python.

    build/bin/libtbx.python benchmarks/reliability.py [kills] [memory] [disk] [fuzz] [--small]

It prints the numbers of docs/reliability.md, and ends with exit code 1 if a test failed. `disk` fills a separate file
system if it may mount one; otherwise it limits the size of files.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
from dxtbx.model import Beam, DetectorFactory, Experiment, ExperimentList

from nanobragg_kokkos import protein
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main

COMMAND = Path(__file__).parents[1] / "command_line" / "simulate.py"

# One thread per rank, so that ranks wait for a processor and not for each other.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

TIME_LIMIT_S = 300


def small_detector(directory: Path, pixels: int) -> Path:
    """Writes a file with a small detector; returns its path."""
    half = 30.0
    size = 2 * half / pixels
    detector = DetectorFactory.simple("PAD", 80, (half, half), "+x", "-y", (size, size), (pixels, pixels))
    path = directory / f"small_{pixels}.expt"
    ExperimentList([Experiment(detector=detector, beam=Beam((0, 0, 1), 1.3))]).as_file(str(path))
    return path


def start(arguments: list[str], ranks: int = 1, before: Callable[[], None] | None = None) -> subprocess.Popen:
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [*launcher, sys.executable, str(COMMAND), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=before,
    )


def finish(process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=TIME_LIMIT_S)
    return said


def digests(directory: Path) -> dict[str, str]:
    """Returns digests of all files but the parameters, which name the directory, and the times."""
    paths = (path for path in directory.iterdir() if path.suffix not in (".phil", ".json"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def unreadable(directory: Path) -> list[str]:
    """Returns the names of data files without all of their images."""
    bad = []
    for path in directory.glob("shot_[0-9]*.h5"):
        try:
            with h5py.File(path) as file:
                file["entry/data/data"][()]
        except (OSError, KeyError):
            bad.append(path.name)
    return bad


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def kills(directory: Path, small: bool) -> bool:
    """Simulates images with several ranks, and kills one or all of them at random times."""
    n_images, n_ranks, n_kills = (60, 2, 3) if small else (500, 8, 20)
    chance = random.Random(1)
    out = directory / "killed"
    options = [
        f"n_images={n_images}", f"detector.reference={small_detector(directory, 300)}", "images_per_file=3",
        "crystal.mosaic_domains=50", "spectrum.nchannels=50", "engine=pixel", "output.reduce=sum+variance",
    ]  # fmt: skip
    begun, killed, damaged = time.monotonic(), {"one": 0, "all": 0}, []

    def finished() -> int:
        return len(list(out.glob("shot_[0-9]*.h5"))) if out.is_dir() else 0

    for lives_left in range(n_kills, 0, -1):
        job = start([*options, f"output.directory={out}"], n_ranks)
        # Leave some files for the other kills.
        enough = finished() + chance.randint(0, max(1, (n_images // 3 - finished()) // (lives_left + 1)))
        while job.poll() is None and not list(out.glob(".shot_*.part")):
            time.sleep(0.02)
        while job.poll() is None and finished() < enough:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))
        if job.poll() is not None:
            break
        workers = [pid for pid in descendants(job.pid) if b"simulate.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        which = chance.choice(["one", "all"])
        killed[which] += 1
        for pid in [chance.choice(workers)] if which == "one" else [job.pid, *workers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        finish(job)
        damaged += unreadable(out)
    job = start([*options, f"output.directory={out}"], n_ranks)
    said = finish(job)
    seconds = time.monotonic() - begun
    whole = directory / "undisturbed"
    finish(start([*options, f"output.directory={whole}"], 2))
    same = digests(out) == digests(whole)
    print(f"kills: {n_images} images, {n_ranks} ranks; kills of one rank: {killed['one']}, of all: {killed['all']}")
    print(f"  last exit code {job.returncode}, {len(damaged)} unreadable files, {seconds:.0f} s")
    print(f"  {len(digests(out))} files, {'identical to' if same else 'NOT those of'} an undisturbed run by 2 ranks")
    if job.returncode:
        print(said)
    return job.returncode == 0 and same and not damaged


def memory(directory: Path, small: bool) -> bool:
    """Simulates many images in one process, and checks the growth of its memory."""
    n_images = 500 if small else 10_000
    job = start(
        [f"n_images={n_images}", f"detector.reference={small_detector(directory, 60)}", "crystal.mosaic_domains=2",
         "spectrum.nchannels=2", "images_per_file=100", f"output.directory={directory / 'many'}"]
    )  # fmt: skip
    curve: dict[int, float] = {}
    while job.poll() is None:
        done = 100 * len(list((directory / "many").glob("shot_[0-9]*.h5")))
        with contextlib.suppress(OSError, AttributeError):
            status = Path(f"/proc/{job.pid}/status").read_text()
            if done and done % (n_images // 10) == 0 and done < n_images:
                curve.setdefault(done, int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1e3)
        time.sleep(0.02)
    said = finish(job)
    print(f"memory: {n_images} images in one process, exit code {job.returncode}")
    print("  images done        " + "".join(f"{done:8}" for done in curve))
    print("  resident memory, MB" + "".join(f"{size:8.1f}" for size in curve.values()))
    print("  " + next((line for line in said.splitlines() if " images in " in line), said))
    sizes = list(curve.values())
    return job.returncode == 0 and len(sizes) > 2 and sizes[-1] - sizes[1] < 20


def disk(directory: Path, small: bool) -> bool:
    """Fills the disk in the middle of a job, then makes room."""
    out = directory / "full"
    out.mkdir()
    options = [
        "n_images=40", f"detector.reference={small_detector(directory, 300)}", "crystal.mosaic_domains=2",
        "spectrum.nchannels=2", "images_per_file=4", f"output.directory={out}",
    ]  # fmt: skip
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(out)], capture_output=True)
    how = "a file system of 3 MB"
    limit = None
    if mounted.returncode:
        how = "files limited to 300 kB, as none could be mounted"

        def limit() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    try:
        begun = time.monotonic()
        job = start(options, 2, limit)
        said = finish(job)
        seconds = time.monotonic() - begun
        left = sorted(path.name for path in out.iterdir())
        damaged = unreadable(out)
        print(f"disk: {how}; exit code {job.returncode} after {seconds:.0f} s")
        print("  " + "\n  ".join(line for line in said.splitlines() if "Sorry" in line or "Image" in line))
        print(f"  {len(left)} files left, {len(damaged)} unreadable, {sum('.part' in x for x in left)} temporary")
        good = job.returncode == 1 and not damaged and "Traceback" not in said and not any(".part" in x for x in left)
        if not mounted.returncode:
            subprocess.run(["mount", "-o", "remount,size=100m", str(out)], check=True)
        again = start(options, 2)
        finish(again)
        whole = directory / "not_full"
        finish(start([*options, f"output.directory={whole}"]))
        same = digests(out) == digests(whole)
        print(f"  with room again: exit code {again.returncode}, {'identical' if same else 'NOT identical'} files")
        return good and again.returncode == 0 and same
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(out)], check=True)


NONSENSE = (
    "-1", "0", "nan", "inf", "-inf", "1e400", "", "None", "Auto", "abc", "3.7", '"', "'", "{", "}", "1 2 3", "True",
    "P 1", "1e-300", "99999999999999999999", "*", "a*b", "\\", "#", ";", "../..", "\x00", "é", "$HOME", "!", "=",
)  # fmt: skip


def fuzzed_text(text: str, chance: random.Random) -> bytes:
    """Returns a parameter file with nonsense as values or with damage."""
    lines = text.splitlines()
    for _ in range(chance.randint(1, 3)):
        k = chance.randrange(len(lines))
        kind = chance.randrange(5)
        if kind <= 1 and " = " in lines[k]:
            lines[k] = lines[k].split(" = ")[0] + " = " + chance.choice(NONSENSE)
        elif kind == 2:
            del lines[k]
        elif kind == 3:
            lines.insert(k, chance.choice([lines[k], "}", "{", "nonsense = 3", "beam.mean_enrgy = 9000"]))
        else:
            lines[k] = lines[k][: chance.randrange(len(lines[k]) + 1)]
    return damaged(("\n".join(lines) + "\n").encode(), chance) if chance.random() < 0.2 else "\n".join(lines).encode()


def damaged(contents: bytes, chance: random.Random) -> bytes:
    """Returns contents that are cut short, or with a part overwritten, doubled or lost."""
    a, b = sorted(chance.randrange(len(contents)) for _ in range(2))
    b = min(b, a + 400)
    return chance.choice(
        [
            contents[:a],
            contents[:a] + bytes(chance.randrange(256) for _ in range(b - a)) + contents[b:],
            contents[:b] + contents[a:],
            contents[:a] + contents[b:],
            contents[:a] + bytes(b - a) + contents[b:],
            b"",
        ]
    )


def outcome(arguments: list[str], directory: Path) -> tuple[str, str]:
    """Runs the command in a separate process; returns how it ended (done, refused, or an error) and its output."""
    said = directory / "said"
    child = os.fork()
    if child == 0:
        with open(said, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.alarm(60)
        code = 70
        try:
            code = main(arguments)
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    text = said.read_text(errors="replace")
    last = text.strip().splitlines()[-1] if text.strip() else ""
    if os.WIFSIGNALED(status):
        return f"ended by signal {os.WTERMSIG(status)}", text
    code = os.WEXITSTATUS(status)
    if code == 0:
        return "done", text
    if code == 1 and last.startswith("Sorry: ") and "Traceback" not in text:
        return "refused", text
    return f"exit code {code}", text


def fuzz(directory: Path, small: bool) -> bool:
    """Checks that parameters of nonsense and damaged files end with one message each."""
    os.environ["OMP_NUM_THREADS"] = "1"
    reference = small_detector(directory, 20)
    quick = [f"detector.reference={reference}", "crystal.mosaic_domains=1", "spectrum.nchannels=1", "n_images=1"]
    assert outcome([*quick, f"output.directory={directory / 'image'}"], directory)[0] == "done"
    spectra = directory / "spectra.txt"
    spectra.write_text("".join(f"{energy} {energy % 7} {energy % 5}\n" for energy in range(9480, 9520)))
    text = parameters.parse(quick).as_str()
    inputs = [
        ("crystal.pdb.file", Path(protein.default_coordinates())),
        ("crystal.structure_factors.file", directory / "image" / "shot_truth.mtz"),
        ("crystal.orientation.file", directory / "image" / "shot_truth.expt"),
        ("spectrum.file", spectra),
        ("detector.reference", reference),
        ("detector.reference", directory / "image" / "shot_master.h5"),
    ]
    cases = [("phil", None)] * 200 + [case for case in inputs for _ in range(50)]
    chance = random.Random(2)
    good = True
    counted: dict[str, dict[str, int]] = {}
    for k, (name, path) in enumerate(cases[::20] if small else cases):
        out = directory / "fuzzed"
        file = directory / ("fuzzed.phil" if path is None else f"fuzzed{path.suffix}")
        file.write_bytes(fuzzed_text(text, chance) if path is None else damaged(path.read_bytes(), chance))
        arguments = [*quick, str(file) if path is None else f"{name}={file}", f"output.directory={out}"]
        if name == "spectrum.file":
            arguments.append("spectrum.shape=file")
        how, said = outcome(arguments, directory)
        kind = "parameters" if path is None else f"{name} ({path.suffix})"
        counted.setdefault(kind, {}).setdefault(how, 0)
        counted[kind][how] += 1
        if how not in ("done", "refused"):
            good = False
            keep = directory.parent / f"reliability_fuzz_{k}{file.suffix}"
            shutil.copy(file, keep)
            print(f"  {keep}: {how}\n{said[-1500:]}")
        elif how == "refused" and out.exists() and any(out.iterdir()):
            good = False
            print(f"  {name}: refused, but {[path.name for path in out.iterdir()]} is there\n{said[-1500:]}")
        shutil.rmtree(out, ignore_errors=True)
    print("fuzz:")
    for kind, outcomes in counted.items():
        print(f"  {kind}: " + ", ".join(f"{n} {how}" for how, n in sorted(outcomes.items())))
    return good


MEASUREMENTS = {"kills": kills, "memory": memory, "disk": disk, "fuzz": fuzz}


def measure() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"tests to run: {', '.join(MEASUREMENTS)}; default: all")
    parser.add_argument("--small", action="store_true", help="run small versions, to try the program itself")
    options = parser.parse_args()
    if unknown := set(options.what) - set(MEASUREMENTS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(MEASUREMENTS)}")
    failed = []
    for name in options.what or MEASUREMENTS:
        directory = Path(tempfile.mkdtemp(prefix="reliability_"))
        try:
            if not MEASUREMENTS[name](directory, options.small):
                failed.append(name)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        sys.stdout.flush()
    print(f"FAILED: {', '.join(failed)}" if failed else "All passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(measure())
