"""What a job has to do, as far as an earlier run of it, which was perhaps killed, has not done it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.job.file_names import Files
from nanobragg_kokkos.job.reduction import Reduction, images_in
from nanobragg_kokkos.mpi import ranks


@dataclass(frozen=True)
class Task:
    """The images of one data file.

    Args:
        number: of the data file, from 0.
        images: which it is to hold, counted from 0.
        write: whether to write it.
        read: whether it is there, complete, so that its images can be read.
        add: images to be added to the sums.
    """

    number: int
    images: range
    write: bool
    read: bool
    add: tuple[int, ...]

    @property
    def needed(self) -> range | tuple[int, ...]:
        """The images to be simulated or read."""
        return self.images if self.write else self.add

    @property
    def simulated(self) -> range | tuple[int, ...]:
        """The images to be simulated."""
        return () if self.read and not self.write else self.needed


def tasks(
    comm: Any, files: Files, n_images: int, write: bool, reduction: Reduction | None
) -> tuple[list[Task], list[Path]]:
    """What is to be done by all ranks, and the files of sums that this one has taken over.

    Args:
        write: whether images are to be written.
        reduction: the sums of this rank, which takes over its part of those that were saved; None: no sums.
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


def _complete_files(comm: Any, files: Files, n_images: int) -> set[int]:
    """Numbers of the data files that have all images that they are to have; each rank looks at some."""
    numbers = ranks.on_first(comm, files.numbers_of_data)
    wanted = [number for number in numbers if number < files.n_data(n_images)]
    found = [number for number in wanted[comm.rank :: comm.size] if _is_complete(files, number, n_images)]
    return set(sum(comm.allgather(found), []))


def _is_complete(files: Files, number: int, n_images: int) -> bool:
    n_wanted = len(files.images(number, n_images))
    try:
        n_found, missing = nxmx.images_of(files.data(number))
    except OSError:  # cut short when a computer went down, for example
        return False
    return n_found >= n_wanted and all(k >= n_wanted for k in missing)


def _usable_sums(files: Files, n_images: int, reduction: Reduction) -> list[Path]:
    """Files of sums of different images. Of two with the same images one has taken over the other."""
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
