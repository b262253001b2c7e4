"""Writes one rank's images, updates the running sums, and reports failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.imaging.readout import Counts
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.plan import Task
from nanobragg_kokkos.job.reduction import Reduction
from nanobragg_kokkos.mpi.work_sharing import Event, Failure
from nanobragg_kokkos.util.whole_files import CannotWrite, checksum

# Seconds between two times that a rank saves its sums: the most work that a killed job without images has to repeat.
# Saving never takes more than 1/SAVE_SHARE of the time.
SAVE_EVERY_S = 60
SAVE_SHARE = 20


@dataclass
class Times:
    """Seconds that a rank has spent, by step: simulate in its main thread, the others in the writer's thread."""

    simulate: float = 0.0
    read_out: float = 0.0
    reduce: float = 0.0
    write: float = 0.0


def log_to(path: Path, line: str) -> None:
    """Adds a line to a file, with the time.

    Raises:
        CannotWrite: the file cannot be written.
    """
    try:
        with open(path, "a") as file:
            file.write(f"{datetime.now().isoformat(timespec='milliseconds')} {line}\n")
    except OSError as error:
        raise CannotWrite(f"Cannot write {path}: {error.strerror}.") from error


class Output:
    """Takes a rank's images; a context manager, whose end removes an incomplete data file.

    Args:
        files: names of the files.
        overload: the count of overloaded pixels.
        report: called with events for the first rank.
        reduction: sums to which to add the images; None: no sums.
        sums: file in which to save these sums as they grow; None: they can be made again from the images.
        job: identifies the job in that file.
        taken_over: files whose sums are in the reduction already.
        log: called with lines of text.
        after_first: called once the first image has been taken.

    Attributes:
        times: seconds by step.
        overloads: number of overloaded pixels of each image that has any.
        made: number of images.
    """

    def __init__(
        self,
        files: FileNames,
        overload: int,
        report: Callable[[Event], None],
        reduction: Reduction | None = None,
        sums: Path | None = None,
        job: str = "",
        taken_over: Sequence[Path] = (),
        log: Callable[[str], None] = lambda line: None,
        after_first: Callable[[], None] = lambda: None,
    ) -> None:
        self.files = files
        self.overload = overload
        self.report = report
        self.reduction = reduction
        self.sums = sums
        self.job = job
        self.taken_over = taken_over
        self.log = log
        self.after_first = after_first
        self.times = Times()
        self.overloads: list[int] = []
        self.made = 0
        self._file = ExitStack()
        self._write: Callable[[int, Sequence[np.ndarray]], None] | None = None
        self._skipped: int | None = None  # the task whose file cannot be written
        self._reported = 0  # number of images of the task
        self._not_saved = 0
        self._save_after = time.monotonic() + SAVE_EVERY_S

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._discard()

    def take(self, task: Task, image: int | None, counts: Counts | None) -> None:
        """Takes an image, in the writer's thread, or ends a task.

        Args:
            task: the consecutive images of a data file.
            image: number of the image, counted from 0; None: the task ends.
            counts: counts of the image; None: read them from the data file.

        Raises:
            CannotWrite: no file can be written.
        """
        if image is None:
            self._end(task)
        else:
            try:
                self._take_image(task, image, counts)
            except (Sorry, ValueError, OSError) as error:
                if isinstance(error, CannotWrite) and error.others_fare_alike:
                    raise
                self.failed((image,), str(error))

    def failed(self, images: Sequence[int], cause: str) -> None:
        """Reports that images could not be made."""
        self.log(f"failed: {', '.join(str(image + 1) for image in images)}: {cause}")
        self.report(Event(failures=(Failure(tuple(images), cause),)))

    def save_sums(self) -> None:
        """Saves the sums if they have grown and could not be made again."""
        if self.sums is None or self.reduction is None or not self._not_saved:
            return
        begun = time.monotonic()
        self.reduction.save(self.sums, job=self.job)
        for path in self.taken_over:
            if path != self.sums:
                path.unlink(missing_ok=True)
        self.taken_over = ()
        self._not_saved = 0
        took = time.monotonic() - begun
        self._save_after = time.monotonic() + max(SAVE_EVERY_S, SAVE_SHARE * took)
        self.times.write += took

    def _take_image(self, task: Task, image: int, counts: Counts | None) -> None:
        begun = time.monotonic()
        if counts is None:
            stored = nxmx.read_image(self.files.data(task.number), image - task.images.start)
        else:
            panels = counts.panels()
        self.times.read_out += time.monotonic() - begun
        if counts is not None and (overloads := sum(np.count_nonzero(panel == self.overload) for panel in panels)):
            self.overloads.append(overloads)
        if self.reduction is not None and image in task.add:
            begun = time.monotonic()
            self.reduction.add(image, stored if counts is None else nxmx.stacked(panels))
            self._not_saved += 1
            self.times.reduce += time.monotonic() - begun
        if task.write:
            begun = time.monotonic()
            self._write_image(task, image, panels)
            self.times.write += time.monotonic() - begun
        if self._skipped != task.number:
            self.report(Event(images=1))
            self._reported += 1
            self.made += 1
            if self.made == 1:
                self.after_first()

    def _write_image(self, task: Task, image: int, panels: Sequence[np.ndarray]) -> None:
        if self._skipped == task.number:
            return
        try:
            if self._write is None:
                path = self.files.data(task.number)
                self._write = self._file.enter_context(nxmx.image_file(path, len(task.images)))
            self._write(image - task.images.start, panels)
        except CannotWrite as error:
            self._give_up(task, error)
        except OSError:
            # The file says the reason when it is closed.
            self._close(task)

    def _end(self, task: Task) -> None:
        """Closes the file of a task."""
        if self._write is not None:
            begun = time.monotonic()
            self._close(task)
            self.times.write += time.monotonic() - begun
        done = f"{self.files.data(task.number).name}: " if task.write else ""
        self.log(f"{done}images {task.images.start + 1} to {task.images.stop}")
        self._reported = 0
        if time.monotonic() > self._save_after:
            self.save_sums()

    def _close(self, task: Task) -> None:
        self._write = None
        path = self.files.data(task.number)
        try:
            self._file.close()
            try:
                self.report(Event(files=((path, checksum(path)),)))
            except OSError as error:
                reason = f"Cannot read {path} after writing it: {error.strerror}."
                raise CannotWrite(reason, others_fare_alike=False) from error
        except CannotWrite as error:
            self._give_up(task, error)

    def _give_up(self, task: Task, error: CannotWrite) -> None:
        """Reports that the images of a file failed; raises the error if other files would fail, too."""
        self._write = None
        self._file = ExitStack()
        if error.others_fare_alike:
            raise error
        self._skipped = task.number
        self.report(Event(images=-self._reported))
        self.made -= self._reported
        self.failed(task.images, str(error))

    def _discard(self) -> None:
        self._write = None
        with suppress(_Dropped, CannotWrite):
            self._file.__exit__(_Dropped, _Dropped(), None)


class _Dropped(Exception):
    """Closes a file that is not complete, which removes it."""
