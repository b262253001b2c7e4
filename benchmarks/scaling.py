"""Measures nanobragg_kokkos.simulate with several MPI ranks, and models large jobs. Run it with libtbx.python.

    build/bin/libtbx.python benchmarks/scaling.py [--ranks 1,2] [--images 40] [--threads 1] [name=value ...]
    build/bin/libtbx.python benchmarks/scaling.py --model [--simulate_ms 1] [--write_ms 33] [--image_MB 20] ...

The first form runs the command with every number of ranks and prints the table of docs/scaling.md: images/s, and the
seconds that ranks simulate, write and wait, from the command's summary. Several ranks on one GPU share it. The second
form prints the model of docs/scaling.md. Further arguments are parameters of the command.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = Path(__file__).parents[1] / "command_line" / "simulate.py"

COLUMNS = ("ranks", "images/s", "speed-up", "efficiency", "simulate s", "write s", "wait s", "start-up s")


def run(
    ranks: int, threads: int, n_images: int, directory: Path, arguments: list[str]
) -> tuple[float, dict[str, float]]:
    """Returns the seconds of the whole command, and images/s and mean seconds per step from its summary."""
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [*launcher, sys.executable, str(COMMAND), f"n_images={n_images}", f"output.directory={directory}"]
    begun = time.monotonic()
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    rate = re.search(r"images? in .*: (\S+) images/s;", done.stdout)
    line = re.search(rf"^{'mean' if ranks > 1 else 'rank 0'}\s+(.*)$", done.stdout, re.MULTILINE)
    simulate, read_out, reduce, write, wait = map(float, line.group(1).split()[:5])
    return seconds, {
        "images/s": float(rate.group(1)), "simulate s": simulate, "write s": read_out + reduce + write, "wait s": wait,
    }  # fmt: skip


def measure(options: argparse.Namespace) -> None:
    """Prints the table with the best of some runs for each number of ranks."""
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    base = None
    for ranks in options.ranks:
        best = None
        for _ in range(options.repeats):
            directory = Path(tempfile.mkdtemp(prefix="scaling_", dir=options.directory))
            try:
                seconds, found = run(ranks, options.threads, options.images, directory, options.parameters)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            if best is None or found["images/s"] > best["images/s"]:
                best = {**found, "start-up s": seconds - options.images / found["images/s"]}
        base = base or (best["images/s"] / ranks)
        speed_up = best["images/s"] / base
        row = {**best, "ranks": ranks, "speed-up": speed_up, "efficiency": speed_up / ranks}
        print("| " + " | ".join(f"{row[name]:.3g}" for name in COLUMNS) + " |", flush=True)


def model(options: argparse.Namespace) -> None:
    """Prints the time of a job for each number of ranks on a GPU.

    G GPUs have r ranks each. An image takes s seconds on a GPU and w seconds in a rank's writing thread; simulating and
    writing overlap, so the ranks make min(G / s, r G / w) images/s. The file system takes F bytes/s, which is F / b
    images of b bytes. The slowest of the three limits the job. In addition come start-up, the last data file of n_f
    images, which takes at most n_f max(r s, w) seconds, and the conclusion, in which the first rank writes true models
    and master file at c images/s.
    """
    gpus = options.nodes * options.gpus
    print("| ranks per GPU | GPUs, images/s | writing, images/s | file system, images/s | job | bound by |")
    print("| --- | --- | --- | --- | --- | --- |")
    for ranks in options.ranks_a_gpu:
        rates = {
            "GPUs": 1e3 * gpus / options.simulate_ms,
            "writing": 1e3 * gpus * ranks / options.write_ms,
            "file system": 1e3 * options.file_system_GB_s / options.image_MB,
        }
        bound = min(rates, key=rates.get)
        last = options.images_per_file * max(ranks * options.simulate_ms, options.write_ms) / 1e3
        seconds = options.start_s + options.images / rates[bound] + last + options.images / options.conclude_per_s
        minutes, rest = divmod(math.ceil(seconds), 60)
        cells = [str(ranks), *(f"{rates[name]:.4g}" for name in rates), f"{minutes} min {rest} s", bound]
        print("| " + " | ".join(cells) + " |")


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=numbers, default=[1, 2], help="numbers of ranks, separated by commas")
    parser.add_argument("--threads", type=int, default=1, help="OpenMP threads per rank")
    parser.add_argument("--images", type=int, default=None, help="images of a job (measured: 40; model: 100000)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--directory", default=None, help="directory to write to, on the file system to measure")
    parser.add_argument("--model", action="store_true", help="calculate instead of measuring")
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--gpus", type=int, default=4, help="GPUs per node")
    parser.add_argument("--ranks_a_gpu", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--simulate_ms", type=float, default=1.0, help="time of a GPU per image")
    parser.add_argument("--write_ms", type=float, default=33.0, help="time of a rank's writing thread per image")
    parser.add_argument("--image_MB", type=float, default=20.0, help="compressed, 10^6 bytes")
    parser.add_argument("--file_system_GB_s", type=float, default=100.0, help="10^9 bytes/s, assumed")
    parser.add_argument("--images_per_file", type=int, default=100)
    parser.add_argument("--start_s", type=float, default=30.0)
    parser.add_argument(
        "--conclude_per_s", type=float, default=570.0, help="images per second for true models and master file"
    )
    options, options.parameters = parser.parse_known_args()
    options.images = options.images or (100_000 if options.model else 40)
    (model if options.model else measure)(options)


if __name__ == "__main__":
    main()
