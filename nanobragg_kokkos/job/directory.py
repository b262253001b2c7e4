"""The directory of a job: what earlier runs left there, and claiming it for this one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.job import reduction, same_job
from nanobragg_kokkos.job.file_names import FileNames


def file_names(params: libtbx.phil.scope_extract) -> FileNames:
    """Returns the names of the files that a job with these parameters writes."""
    output = params.output
    return FileNames(Path(output.directory), output.prefix, output.images_per_file, output.true_amplitudes)


def is_finished(files: FileNames, working: libtbx.phil.scope) -> bool:
    """Returns whether an earlier run of this job has made all images and sums.

    Raises:
        Sorry: the directory holds images of another job.
    """
    _check_same_job(files, working)
    params = working.extract()
    output = params.output
    try:
        if same_job.differences(files.parameters, working):
            return False
        if same_job.n_images(files.parameters, working) != params.n_images:
            return False
    except (OSError, ValueError):
        return False
    if output.images and not _has_all_images(files, params.n_images):
        return False
    return not output.reduce or reduction.holds(files.reduced, output.reduce, params.n_images)


def is_complete(path: Path, n_images: int) -> bool:
    """Returns whether a data file or a master can be read and holds the first n_images of its images."""
    try:
        n_found, missing = nxmx.images_of(path)
    except OSError:  # cut short when a computer went down, for example
        return False
    return n_found >= n_images and all(image >= n_images for image in missing)


def _has_all_images(files: FileNames, n_images: int) -> bool:
    """Returns whether there is a complete master, and all of its data files."""
    return is_complete(files.master, n_images) and set(range(files.n_data(n_images))) <= set(files.numbers_of_data())


def claim(held: ExitStack, files: FileNames, working: libtbx.phil.scope) -> None:
    """Makes the directory, locks it for this job and removes what must not stay of earlier jobs.

    Args:
        held: keeps the lock; no other job writes files of this prefix until it is closed.

    Raises:
        Sorry: it cannot be written, or another job writes there or has written there.
    """
    with _writable(files.directory, f"output.directory={files.directory}"):
        lock = held.enter_context(same_job.Lock(files.parameters))
        _check_same_job(files, working)
        if working.extract().output.overwrite and _differs(files, working):
            files.remove_results()
        files.remove_temporary()
        # An old master or summary beside new images would seem to belong to them if this job ended early.
        for path in (files.master, files.summary):
            path.unlink(missing_ok=True)
    with _writable(files.true_amplitudes.parent, f"output.true_amplitudes={files.true_amplitudes}"):
        pass
    lock.write(same_job.text(working))


def _check_same_job(files: FileNames, working: libtbx.phil.scope) -> None:
    """Finds out whether the directory holds images of another job that must not be overwritten.

    Raises:
        Sorry: it does; with the names of the parameters that differ.
    """
    existing = [files.data(number) for number in files.numbers_of_data()]
    existing += [files.partial_sums(number) for number in files.numbers_of_partial_sums()]
    existing += [files.reduced] if files.reduced.is_file() else []
    if not existing or working.extract().output.overwrite:
        return
    try:
        differences = same_job.differences(files.parameters, working)
    except (OSError, ValueError):
        differences = [f"unknown, because there is no readable {files.parameters.name}"]
    if differences:
        raise Sorry(
            f"output.prefix={files.prefix}: expected another one, or output.overwrite=True, because {existing[0]} was "
            f"simulated with other parameters: {'; '.join(differences)}"
        )


@contextmanager
def _writable(directory: Path, name: str) -> Iterator[None]:
    """Makes a directory if it does not exist; errors of the system in the block become Sorry."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is read-only")
        yield
    except OSError as error:
        raise Sorry(f"{name}: expected a directory to write in, but {error.strerror}") from error


def _differs(files: FileNames, working: libtbx.phil.scope) -> bool:
    """Returns whether the files were simulated with other parameters, or nobody knows with which."""
    try:
        return bool(same_job.differences(files.parameters, working))
    except (OSError, ValueError):
        return True
