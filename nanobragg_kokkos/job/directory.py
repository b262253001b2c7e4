"""The directory of a job: the files of earlier runs, and the claim of this one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.job import inputs
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.record import Job, Record
from nanobragg_kokkos.util.phil import as_text
from nanobragg_kokkos.util.whole_files import LONGER, CannotWrite, Checksum, checksum, other_kind, whole_file

# Names of files that a message lists.
MOST_NAMES = 3


def file_names(params: libtbx.phil.scope_extract) -> FileNames:
    """Returns the names of the files that a job with these parameters writes."""
    output = params.output
    return FileNames(Path(output.directory), output.prefix, output.images_per_file, output.true_amplitudes)


def asked(files: FileNames, params: libtbx.phil.scope_extract) -> dict[str, Any]:
    """Returns which files a job is to write, for its record."""
    return {
        "n_images": params.n_images,
        "images": params.output.images,
        "reduce": sorted(params.output.reduce),
        "true_amplitudes": files.in_record(files.true_amplitudes),
    }


def shown(names: list[str]) -> str:
    """Returns the first few of some names."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


class Workspace:
    """The files of a job's prefix: which ones it owns, and which ones it may write. Used on the first rank.

    Args:
        files: their names.
        working: the effective parameters.
        n_ranks: number of MPI ranks.

    Attributes:
        record: record of the job that owns them.
    """

    def __init__(self, files: FileNames, working: libtbx.phil.scope, n_ranks: int) -> None:
        self.files = files
        self.record = Record(files.record)
        self._working = working
        self._params = working.extract()
        self._n_ranks = n_ranks
        self._inputs: dict[str, list[inputs.Input]] = {}
        self._signatures: dict[str, Any] = {}

    def enter(self, held: ExitStack, dry: bool) -> None:
        """Examines existing files, under the lock of the prefix if it exists already; writes nothing.

        Args:
            held: keeps the lock; no other job writes files of this prefix until it is closed.
            dry: take no lock.

        Raises:
            Sorry: files that parameters name are missing; the directory cannot be written; another job writes there,
                or files that are not this job's are in the way.
        """
        self._inputs = inputs.read_inputs(self._working)
        self._signatures = inputs.signatures(self._inputs)
        self._check_names()
        if not dry:
            held.enter_context(self.record)
            with self._writable():
                self.record.lock(create=False)
        self._check_owners()

    @property
    def job(self) -> Job:
        """All input that determines the images."""
        return Job.of(self._working, self._inputs)

    def recorded(self) -> dict[str, Checksum]:
        """Returns the checksums, by name, of the files that belong to this job according to the record."""
        return dict(self.record.files) if self._is_of_this_job() else {}

    def is_finished(self, sound: set[str]) -> bool:
        """Returns whether an earlier run of this job has written all requested files.

        Args:
            sound: names of the files that match their checksums.
        """
        wanted = asked(self.files, self._params)
        if not self._is_of_this_job() or self.record.concluded != wanted:
            return False
        numbers = range(self.files.n_data(self._params.n_images)) if self._params.output.images else ()
        return self.record.files.keys() <= sound | self._outdated() and all(
            self.files.data(number).name in sound for number in numbers
        )

    def claim(self) -> bool:
        """Makes the directory, takes the lock and records the files to write; removes files that must not stay.

        Returns:
            Whether another run of this job has written something since enter.

        Raises:
            Sorry: as enter; a file behind the parameters has changed since then.
        """
        if changed := [p for p, s in inputs.signatures(self._inputs).items() if self._signatures[p] != s]:
            raise Sorry(f"{shown(changed)}: changed while the job was reading it; run the command again")
        early = self.record.locked
        with self._writable():
            self.files.directory.mkdir(parents=True, exist_ok=True)
            if not os.access(self.files.directory, os.W_OK | os.X_OK):
                raise PermissionError(0, "it is read-only")
            probe(self.files.directory)
            self.record.lock(create=True)
            if not early:
                self._check_owners()
        with self._amplitudes_writable():
            self.files.true_amplitudes.parent.mkdir(parents=True, exist_ok=True)
            probe(self.files.true_amplitudes.parent)
        with self._writable():
            if not self._is_of_this_job():
                self._remove_others()
                self.record.begin(self.job)
            self.record.claim(self.files.n_data(self._params.n_images), self._n_ranks, self._claimed_names())
            self.files.remove_temporary()
            with whole_file(self.files.parameters) as temporary:
                Path(temporary).write_bytes(os.fsencode(as_text(self._working)))
            self.written(self.files.parameters)
        return not early and bool(self.record.files.keys() - {self.files.parameters.name})

    def begin_images(self) -> None:
        """Removes master and summary of an earlier run, which would not match the images of this one."""
        for path in (self.files.master, self.files.summary):
            if self._owns(self.files.in_record(path)):
                path.unlink(missing_ok=True)

    def written(self, path: Path, found: Checksum | None = None) -> None:
        """Records a file that is complete.

        Args:
            path: path of the file.
            found: its checksum; None: calculate it.

        Raises:
            CannotWrite: the file cannot be read again, or the record cannot be written.
        """
        try:
            self.record.add(self.files.in_record(path), found or checksum(path))
        except OSError as error:
            raise CannotWrite(f"Cannot read {path} after writing it: {error.strerror}.") from error

    def remove_partial_sums(self) -> None:
        """Removes the partial sums that ranks have saved."""
        for rank in self.files.numbers_of_partial_sums():
            if rank < self.record.n_ranks:
                self.files.partial_sums(rank).unlink(missing_ok=True)

    def conclude(self) -> None:
        """Records that all files exist."""
        self.record.conclude(asked(self.files, self._params))

    def _is_of_this_job(self) -> bool:
        return self.record.job is not None and not self.job.differences(self.record.job)

    def _claimed_names(self) -> list[str]:
        return [self.files.in_record(path) for path in self.files.others()]

    def _outdated(self) -> set[str]:
        """Returns the names of recorded files that this run neither writes nor needs."""
        output, files = self._params.output, self.files
        needed = {path.name for path in (files.true_models, files.parameters, files.summary)}
        needed |= {files.in_record(files.true_amplitudes)}
        needed |= {files.master.name, files.picture.name} if output.images else set()
        needed |= {files.reduced.name} if output.reduce else set()
        n_data = files.n_data(self._params.n_images) if output.images else 0
        return {
            name
            for name in self.record.files
            if name not in needed and not ((number := files.number_of_data(name)) is not None and number < n_data)
        }

    def _owns(self, name: str) -> bool:
        """Returns whether a file belongs to the job of the record."""
        record = self.record
        if record.job is None:
            return False
        number, rank = self.files.number_of_data(name), self.files.rank_of(name)
        return (
            name in record.names
            or name in record.files
            or (number is not None and number < record.n_data)
            or (rank is not None and rank < record.n_ranks)
        )

    def _existing(self) -> Iterator[str]:
        """Yields the names of existing files, in the record's manner, that this job would write."""
        n_data, others = self.files.n_data(self._params.n_images), set(self._claimed_names())
        try:
            entries = sorted(entry.name for entry in os.scandir(self.files.directory))
        except FileNotFoundError:
            entries = []
        for name in entries:
            number, rank = self.files.number_of_data(name), self.files.rank_of(name)
            if (
                name in others
                or (number is not None and number < n_data)
                or (rank is not None and rank < self._n_ranks)
            ):
                yield name
        amplitudes = self.files.in_record(self.files.true_amplitudes)
        if os.path.isabs(amplitudes) and os.path.lexists(amplitudes):
            yield amplitudes

    def _check_names(self) -> None:
        """Checks that names fit the file system and that no file would be written twice.

        Raises:
            Sorry: a name does not; names the parameter.
        """
        files = self.files
        with self._writable():
            parent = next(path for path in (files.directory, *files.directory.absolute().parents) if path.exists())
            if not parent.is_dir():
                raise NotADirectoryError(0, f"{parent} is no directory")
            if not files.directory.exists() and not os.access(parent, os.W_OK | os.X_OK):
                raise PermissionError(0, f"{parent} is read-only")
            limit = os.pathconf(parent, "PC_NAME_MAX")
            longest = len(os.fsencode(files.longest_name(self._params.n_images, self._n_ranks))) + LONGER
            if longest > limit:
                length = len(os.fsencode(files.prefix))
                raise Sorry(
                    f"output.prefix={files.prefix}: expected at most {max(length - longest + limit, 0)} bytes, not "
                    f"{length}, as names of files have at most {limit} in {parent}"
                )
        path, given = files.true_amplitudes, self._params.output.true_amplitudes
        if given is None:
            return
        name = f"output.true_amplitudes={given}"
        above = next(place for place in path.absolute().parents if place.exists())
        if not above.is_dir():
            raise Sorry(f"{name}: expected a file in a directory, but {above} is none")
        if not os.access(above, os.W_OK | os.X_OK):
            raise Sorry(f"{name}: expected a file in a directory to write in, but {above} is read-only")
        if len(os.fsencode(path.name)) + LONGER > os.pathconf(above, "PC_NAME_MAX"):
            raise Sorry(f"{name}: expected a shorter name")
        if not path.name or other_kind(path):
            raise Sorry(f"{name}: expected the name of a file, but it is {other_kind(path) or 'none'}")
        own = files.in_record(path)
        taken = {other.name for other in [*files.others()[:-1], files.record]}
        if own in taken or files.number_of_data(own) is not None or files.rank_of(own) is not None:
            raise Sorry(f"{name}: expected another name, as the job writes another file of this one")

    def _check_owners(self) -> None:
        """Checks that this job would overwrite no files of another job or of unknown origin.

        Raises:
            Sorry: it would; names the parameters that differ, or the files.
        """
        files, existing = self.files, list(self._existing())
        for name in existing:
            if kind := other_kind(files.from_record(name)):
                raise Sorry(f"Cannot write {files.from_record(name)}: it is {kind}")
        read = {os.path.realpath(file.path) for found in self._inputs.values() for file in found}
        own = {os.path.realpath(files.from_record(name)): name for name in existing}
        if both := sorted(read & own.keys()):
            raise Sorry(f"output.prefix={files.prefix}: expected another one, as the job reads {shown(both)}")
        foreign = [name for name in existing if not self._owns(name)]
        amplitudes = files.in_record(files.true_amplitudes)
        if self._params.output.true_amplitudes is not None and amplitudes in foreign:
            raise Sorry(
                f"output.true_amplitudes={self._params.output.true_amplitudes}: expected a new file, or that of an "
                "earlier run of this job, but it is another file that exists"
            )
        if self._params.output.overwrite:
            return
        advice = f"output.prefix={files.prefix}: expected another one, or output.overwrite=True, because"
        if self.record.job is None and foreign:
            raise Sorry(
                f"{advice} there is {shown(foreign)}, and which job wrote it is unknown, because there is no readable "
                f"{files.record.name}"
            )
        if self.record.job is not None and (differences := self.job.differences(self.record.job)):
            results = [name for name in self._results() if files.from_record(name).exists()]
            if results:
                raise Sorry(f"{advice} {results[0]} was simulated with other parameters: {'; '.join(differences)}")
        if foreign:
            raise Sorry(f"{advice} {shown(foreign)} exists and is no file of this job")

    def _results(self) -> Iterator[str]:
        """Yields the names of the images and the sums that the job of the record has or may have written."""
        for number in self.files.numbers_of_data():
            if number < self.record.n_data:
                yield self.files.data(number).name
        for rank in self.files.numbers_of_partial_sums():
            if rank < self.record.n_ranks:
                yield self.files.partial_sums(rank).name
        if self._owns(self.files.reduced.name):
            yield self.files.reduced.name

    def _remove_others(self) -> None:
        """Removes the files of another job that this one may overwrite, and files of unknown origin in its way."""
        names = {*self._results(), *self.record.names, *self.record.files} if self.record.job else set()
        for name in names | set(self._existing()):
            path = self.files.from_record(name)
            if path.is_file() or path.is_symlink():
                path.unlink()

    @contextmanager
    def _amplitudes_writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Sorry(
                f"output.true_amplitudes={self._params.output.true_amplitudes}: expected a file in a directory to "
                f"write in, but {error.strerror or error}"
            ) from error

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Turns errors of the system in the block into Sorry."""
        try:
            yield
        except OSError as error:
            raise Sorry(
                f"output.directory={self.files.directory}: expected a directory to write in, but "
                f"{error.strerror or error}"
            ) from error


def probe(directory: Path) -> None:
    """Makes a file in a directory and removes it; raises OSError if that cannot be."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=directory)
    os.close(descriptor)
    os.unlink(name)
