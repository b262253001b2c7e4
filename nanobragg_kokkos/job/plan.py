"""The work that earlier runs of a job, which may have been killed, have left."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.reduction import Reduction, images_in
from nanobragg_kokkos.mpi import ranks


@dataclass(frozen=True)
class Task:
    """Work on the images of one data file.

    Args:
        number: number of the data file, counted from 0.
        images: images of the file, counted from 0.
        write: whether to write it.
        read: whether it exists and is complete, so that its images can be read.
        add: images to add to the sums.
    """

    number: int
    images: range
    write: bool
    read: bool
    add: Collection[int]

    @property
    def needed(self) -> Collection[int]:
        """The images to simulate or read."""
        return self.images if self.write else self.add

    @property
    def simulated(self) -> Collection[int]:
        """The images to simulate."""
        return () if self.read and not self.write else self.needed


class Plan:
    """The tasks of a job, in the order of its data files; each is made on demand.

    It uses memory for the work of earlier runs, not for the remaining work.

    Args:
        files: names of the files.
        n_images: number of images of the job.
        write: whether images are written.
        complete: numbers of the data files that exist and are complete.
        added: images that are in the sums already; None: no sums.
    """

    def __init__(
        self, files: FileNames, n_images: int, write: bool, complete: Set[int], added: Set[int] | None
    ) -> None:
        self._files = files
        self._n_images = n_images
        self._write = write
        self._complete = complete
        self._added = added
        touched = set(complete) | {image // files.images_per_file for image in added or ()}
        tasks = [self._task(number) for number in sorted(touched) if number < files.n_data(n_images)]
        self._idle = [task.number for task in tasks if not task.needed]
        # Of data files that no run has begun, all images are needed and simulated.
        untouched = n_images - sum(len(task.images) for task in tasks)
        self.n_needed = untouched + sum(len(task.needed) for task in tasks)
        self.n_simulated = untouched + sum(len(task.simulated) for task in tasks)

    def __len__(self) -> int:
        return self._files.n_data(self._n_images) - len(self._idle)

    def __getitem__(self, index: int) -> Task:
        """Returns a task, counted from 0."""
        # Data file number is preceded by as many tasks as its number less the idle files before it.
        low, high = index, index + len(self._idle)
        while low < high:
            middle = (low + high) // 2
            if middle + 1 - bisect_right(self._idle, middle) > index:
                high = middle
            else:
                low = middle + 1
        return self._task(low)

    def first_simulated(self) -> int | None:
        """Returns the first image to simulate; None: there is none."""
        tasks = (self[index] for index in range(len(self)))
        return next((image for task in tasks for image in task.simulated), None)

    def _task(self, number: int) -> Task:
        images = self._files.images(number, self._n_images)
        read = number in self._complete
        add: Collection[int] = ()
        if self._added is not None:
            add = [image for image in images if image not in self._added] if self._added else images
        return Task(number, images, self._write and not read, read, add)


def plan(
    comm: Any, files: FileNames, n_images: int, write: bool, reduction: Reduction | None, sound: Set[str], job: str
) -> tuple[Plan, list[Path]]:
    """Returns the tasks of all ranks, and the files of sums that this rank has taken over.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        files: names of the files.
        n_images: number of images of the job.
        write: whether images are written.
        reduction: the sums of this rank, which takes over its share of those that were saved; None: no sums.
        sound: names of the files that match their checksums.
        job: identifies the job in files of partial sums.

    Raises:
        Failed: on all ranks.
    """
    complete = _complete_files(comm, files, n_images, sound)
    added: set[int] | None = None
    taken_over: list[Path] = []
    if reduction is not None:
        chosen = ranks.on_first(comm, lambda: _usable_sums(files, n_images, reduction, sound, job))
        taken_over = [path for path in chosen[comm.rank :: comm.size] if reduction.load(path)]
        added = set().union(*comm.allgather(reduction.images))
    return Plan(files, n_images, write, complete, added), taken_over


def _complete_files(comm: Any, files: FileNames, n_images: int, sound: Set[str]) -> set[int]:
    """Returns the numbers of the data files that are complete; each rank looks at some."""
    numbers = sorted(number for name in sound if (number := files.number_of_data(name)) is not None)
    wanted = [number for number in numbers if number < files.n_data(n_images)]
    found = [n for n in wanted[comm.rank :: comm.size] if _is_complete(files.data(n), len(files.images(n, n_images)))]
    return set().union(*comm.allgather(found))


def _is_complete(path: Path, n_images: int) -> bool:
    """Returns whether a data file can be read and holds the first n_images of its images."""
    try:
        n_found, missing = nxmx.images_of(path)
    except OSError:
        return False
    return n_found >= n_images and all(image >= n_images for image in missing)


def _usable_sums(files: FileNames, n_images: int, reduction: Reduction, sound: Set[str], job: str) -> list[Path]:
    """Returns files of sums of different images. Of two with an image in common, one has taken over the other."""
    found = []
    saved = [files.reduced] if files.reduced.name in sound else []
    for path in [*saved, *map(files.partial_sums, files.numbers_of_partial_sums())]:
        try:
            with h5py.File(path, "r") as file:
                images = images_in(file)
                usable = reduction.can_use(file) and max(images, default=0) < n_images
                usable = usable and (path == files.reduced or file.attrs["job"] == job)
        except (OSError, KeyError, TypeError, ValueError):
            continue
        if usable and images:
            found.append((images, path))
    chosen: list[Path] = []
    taken: set[int] = set()
    for images, path in sorted(found, key=lambda each: (-len(each[0]), each[1])):
        if not images & taken:
            chosen.append(path)
            taken |= images
    return chosen
