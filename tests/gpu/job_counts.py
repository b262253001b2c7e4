"""What the images of nanobragg_kokkos.simulate count, on one machine and again on another.

job_counts.py write DIRECTORY FILE         keeps the counts of a job without noise
job_counts.py compare DIRECTORY FILE       exit code 1 if those of another job differ
job_counts.py write-sums DIRECTORY FILE    keeps the sum of each image
job_counts.py compare-sums DIRECTORY FILE  exit code 1 if sums differ by more than noise lets them
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401
import numpy as np

# An expectation within rounding of one half may go to either side.
MOST_DIFFERING = 1e-5  # of all pixels, by one count
SIGMAS = 6.0


def images(directory: Path) -> list[np.ndarray]:
    """The counts of all images, which the master leads to."""
    (master,) = directory.glob("*_master.h5")
    with h5py.File(master) as file:
        data = file["entry/data/data"]
        return [data[i] for i in range(len(data))]


def write(directory: Path, path: Path) -> int:
    counts = np.array(images(directory))
    if not counts.max() > 10:
        raise ValueError(f"{directory}: the images are dark")
    np.savez_compressed(path, counts)
    return 0


def compare(directory: Path, path: Path) -> int:
    with np.load(path) as file:
        want = file["arr_0"]
    got = np.array(images(directory))
    if got.shape != want.shape:
        print(f"counts of the shape {got.shape}, expected {want.shape}  FAILED")
        return 1
    difference = np.abs(got.astype(np.int64) - want)
    differing = int((difference > 0).sum())
    good = difference.max() <= 1 and differing <= MOST_DIFFERING * want.size
    print(
        f"{len(got)} images: {differing} of {want.size} pixels differ, by at most {difference.max()};"
        f" brightest {want.max()}, sum {want.sum()}{'' if good else '  FAILED'}"
    )
    return 0 if good else 1


def write_sums(directory: Path, path: Path) -> int:
    np.savetxt(path, [image.sum(dtype=float) for image in images(directory)], fmt="%.0f")
    return 0


def compare_sums(directory: Path, path: Path) -> int:
    """Of as many images as the file has sums for; a job may have more."""
    failed = 0
    got = [image.sum(dtype=float) for image in images(directory)]
    for i, want in enumerate(np.loadtxt(path, ndmin=1)):
        good = abs(got[i] - want) <= SIGMAS * math.sqrt(2 * want)
        failed += not good
        print(f"image {i + 1} of {len(got)}: sum {got[i]:.0f}, expected {want:.0f}{'' if good else '  FAILED'}")
    return 1 if failed else 0


ACTIONS = {"write": write, "compare": compare, "write-sums": write_sums, "compare-sums": compare_sums}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ACTIONS:
        sys.exit(__doc__)
    sys.exit(ACTIONS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])))
