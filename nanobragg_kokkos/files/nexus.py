"""Writes the elements of NeXus files, so that equal contents give equal bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from nanobragg_kokkos.util.whole_files import whole_file

# dxtbx's frame (x along the rotation axis, z to the source) to that of NeXus (z along the beam); y stays.
IMGCIF_TO_MCSTAS = np.diag([-1.0, 1.0, -1.0])


@contextmanager
def whole_hdf5(path: str | os.PathLike) -> Iterator[File]:
    """Yields an HDF5 file to fill, which replaces `path` if the block succeeds.

    Raises:
        Sorry: the directory does not exist, or the system refuses to write.
    """
    with whole_file(path) as temporary, open(temporary, "w+b", buffering=0) as file, hdf5_in(file) as filled:
        yield filled


@contextmanager
def hdf5_in(stream: io.RawIOBase | io.BytesIO) -> Iterator[File]:
    """Yields an HDF5 file to fill, which is written to an open binary file.

    Raises:
        OSError: of the stream, at the end of the block.
    """
    patient = _Patient(stream)
    try:
        with File(patient) as file:
            yield file
    finally:
        patient.close()  # while the stream is open: Python closes what is left open later, and flushes it first
        if patient.error is not None:
            raise patient.error


class File(h5py.File):
    """An HDF5 file in a stream that fails late: see check."""

    def __init__(self, patient: _Patient) -> None:
        super().__init__(patient, "w", libver=("earliest", "v110"))
        self._patient = patient

    def check(self) -> None:
        """Raises the OSError, if any, with which writing to the stream failed."""
        if self._patient.error is not None:
            raise self._patient.error


class _Patient(io.RawIOBase):
    """A file for HDF5, which does not survive an error when it closes one: the error is kept, the rest let go."""

    def __init__(self, stream: io.RawIOBase | io.BytesIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int | None:
        return self._stream.readinto(buffer)

    def write(self, contents: Any) -> int:
        self._attempt(self._write_all, contents)
        return len(contents)

    def truncate(self, size: int | None = None) -> int:
        self._attempt(self._stream.truncate, size)
        return self.tell() if size is None else size

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _write_all(self, contents: memoryview) -> None:
        rest = memoryview(contents)
        while len(rest):
            rest = rest[self._stream.write(rest) :]

    def _attempt(self, action: Callable[..., Any], *arguments: Any) -> None:
        if self.error is None:
            try:
                action(*arguments)
            except OSError as error:
                self.error = error


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """Returns a new group of a NeXus class."""
    made = parent.create_group(name)
    note(made, NX_class=nx_class, **attributes)
    return made


def note(item: h5py.Group | h5py.Dataset, **attributes: Any) -> None:
    """Adds attributes to a group or dataset; converts texts by `text`."""
    for name, value in attributes.items():
        item.attrs[name] = text(value) if isinstance(value, str) else value


def text(value: str) -> np.ndarray:
    """Returns a text as ASCII of fixed length, which programs in C and Fortran read; other characters by their numbers.

    It ends with a null byte: some programs take that much room, and no more, for what they read.
    """
    characters = value.encode("ascii", "backslashreplace")
    return np.array(characters, h5py.string_dtype("ascii", len(characters) + 1))


def field(parent: h5py.Group, name: str, value: Any) -> h5py.Dataset:
    """Returns a new dataset, without the time stamp that HDF5 would give it."""
    value = text(value) if isinstance(value, str) else value
    return parent.create_dataset(name, data=value, track_times=False)


def quantity(parent: h5py.Group, name: str, value: Any, units: str, **attributes: Any) -> h5py.Dataset:
    """Returns a new dataset of real numbers with a unit."""
    dataset = field(parent, name, np.asarray(value, np.float64))
    note(dataset, units=units, **attributes)
    return dataset


def axis(
    parent: h5py.Group,
    name: str,
    kind: str,
    value: Any,
    vector: Sequence[float] | np.ndarray,
    depends_on: str,
    offset_mm: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0),
) -> str:
    """Writes one transformation (`kind` rotation: degrees; translation: mm); returns its path."""
    dataset = quantity(
        parent,
        name,
        np.atleast_1d(value),
        "deg" if kind == "rotation" else "mm",
        transformation_type=kind,
        vector=np.asarray(vector, np.float64),
        offset=np.asarray(offset_mm, np.float64),
        offset_units="mm",
        depends_on=depends_on,
    )
    return dataset.name


def compressor() -> str:
    """Returns the name of the compression: bitshuffle-LZ4, or gzip, which every HDF5 has, if that is not installed."""
    return "bitshuffle-LZ4" if h5py.h5z.filter_avail(hdf5plugin.BSHUF_ID) else "gzip"


def compression() -> dict[str, Any]:
    """Returns the arguments of create_dataset that compress an array."""
    if compressor() == "bitshuffle-LZ4":
        return dict(hdf5plugin.Bitshuffle())
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
