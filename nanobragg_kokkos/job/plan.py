"""What is left to do of a job after earlier runs of it, which may have been killed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from nanobragg_kokkos.job.directory import is_complete
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.reduction import Reduction, images_in
from nanobragg_kokkos.mpi import ranks


@dataclass(frozen=True)
class Task:
    """Work on the images of one data file.

    Args:
        number: of the data file, counted from 0.
        images: the images that belong into it, counted from 0.
        write: whether to write it.
        read: whether it exists and is complete, so that its images can be read.
        add: images to add to the sums.
    """

    number: int
    images: range
    write: bool
    read: bool
    add: tuple[int, ...]

    @property
    def needed(self) -> range | tuple[int, ...]:
        """The images to simulate or read."""
        return self.images if self.write else self.add

    @property
    def simulated(self) -> range | tuple[int, ...]:
        """The images to simulate."""
        return () if self.read and not self.write else self.needed


def tasks(
    comm: Any, files: FileNames, n_images: int, write: bool, reduction: Reduction | None
) -> tuple[list[Task], list[Path]]:
    """Returns the tasks of all ranks, and the files of sums that this rank has taken over.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        files: names of the files.
        n_images: of the job.
        write: whether images are written.
        reduction: the sums of this rank, which takes over its share of those that were saved; None: no sums.

    Raises:
        Failed: on all ranks.
    """
    complete = _complete_files(comm, files, n_images)
    added: set[int] = set()
    taken_over: list[Path] = []
    if reduction is not None:
        chosen = ranks.on_first(comm, lambda: _usable_sums(files, n_images, reduction))
        taken_over = [path for path in chosen[comm.rank :: comm.size] if reduction.load(path)]
        added = set().union(*comm.allgather(reduction.images))

    def task(number: int) -> Task:
        images = files.images(number, n_images)
        read = number in complete
        add = () if reduction is None else tuple(image for image in images if image not in added)
        return Task(number, images, write and not read, read, add)

    everything = (task(number) for number in range(files.n_data(n_images)))
    return [task for task in everything if task.write or task.add], taken_over


def _complete_files(comm: Any, files: FileNames, n_images: int) -> set[int]:
    """Returns the numbers of the data files that are complete; each rank looks at some."""

    def complete(number: int) -> bool:
        return is_complete(files.data(number), len(files.images(number, n_images)))

    numbers = ranks.on_first(comm, files.numbers_of_data)
    wanted = [number for number in numbers if number < files.n_data(n_images)]
    found = [number for number in wanted[comm.rank :: comm.size] if complete(number)]
    return set().union(*comm.allgather(found))


def _usable_sums(files: FileNames, n_images: int, reduction: Reduction) -> list[Path]:
    """Returns files of sums of different images. Of two with an image in common, one has taken over the other."""
    found = []
    for path in [files.reduced, *map(files.partial_sums, files.numbers_of_partial_sums())]:
        try:
            with h5py.File(path, "r") as file:
                images = images_in(file)
                usable = reduction.can_use(file) and images <= set(range(n_images))
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
