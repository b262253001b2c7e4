"""The pieces that NeXus files are made of, written so that equal contents give equal bytes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any, Iterator, Sequence

import h5py
import hdf5plugin
import numpy as np

from nanobragg_kokkos.atomic import whole_file

# dxtbx's frame (x along the rotation axis, z to the source) to that of NeXus (z along the beam); y stays.
IMGCIF_TO_MCSTAS = np.diag([-1.0, 1.0, -1.0])


@contextmanager
def whole_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Gives an HDF5 file to fill; it is at `path` if the block succeeds, and else whatever was there before.

    Raises:
        Sorry: the directory does not exist, or the system refuses to write.
    """
    # In memory: HDF5 does not survive a disk that is full when it closes a file. The bytes are the same.
    with h5py.File(os.fspath(path), "w", driver="core", backing_store=False, libver=("earliest", "v110")) as file:
        yield file
        file.flush()
        contents = file.id.get_file_image()
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        stream.write(contents)


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    """A new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    made.attrs.update(attributes)
    return made


def field(parent: h5py.Group, name: str, value: Any) -> h5py.Dataset:
    """A new dataset, without the time stamp that HDF5 would give it."""
    return parent.create_dataset(name, data=value, track_times=False)


def quantity(parent: h5py.Group, name: str, value: Any, units: str, **attributes: Any) -> h5py.Dataset:
    """Real numbers with a unit."""
    dataset = field(parent, name, np.asarray(value, np.float64))
    dataset.attrs["units"] = units
    dataset.attrs.update(attributes)
    return dataset


def axis(
    parent: h5py.Group,
    name: str,
    kind: str,
    value: Any,
    vector: Sequence[float],
    depends_on: str,
    offset_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> str:
    """Write one transformation (`kind` rotation: degrees; translation: mm); returns its path."""
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
    """bitshuffle-LZ4; gzip, which every HDF5 library has, where that filter is not installed."""
    return "bitshuffle-LZ4" if h5py.h5z.filter_avail(hdf5plugin.BSHUF_ID) else "gzip"


def compression() -> dict[str, Any]:
    """How arrays are compressed, for create_dataset."""
    if compressor() == "bitshuffle-LZ4":
        return dict(hdf5plugin.Bitshuffle())
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
