"""The input files of a job: those that parameters name, and those that these refer to."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h5py
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.whole_files import checksum

# Parameters of files that a job writes.
WRITTEN = "output."

# Where the spectra of images matter, so do the images; elsewhere the models alone are read.
WITH_IMAGES = ("spectrum.file",)

# Objects of an HDF5 file to look at for links; files for people have a few hundred.
MOST_OBJECTS = 100_000


@dataclass(frozen=True)
class Input:
    """A file that determines the images.

    Args:
        label: distinguishes the files of a parameter: the element of ELEMENT=FILE, or the name by which another file
            refers to it; empty if the parameter names one file.
        path: path of the file.
        sha256: SHA-256 of its contents.
    """

    label: str
    path: str
    sha256: str


def read_inputs(working: libtbx.phil.scope) -> dict[str, list[Input]]:
    """Returns the files behind each parameter that names files, with the checksums of their contents.

    Raises:
        Sorry: files do not exist or cannot be read; names all of them.
    """
    named = list(_named(working))
    missing = [shown for _, shown, _, path in named if not os.path.isfile(path)]
    if missing:
        what = "there is no such file" if len(missing) == 1 else "there are no such files"
        raise Sorry(f"{', '.join(missing)}: {what}")
    inputs: dict[str, list[Input]] = {}
    for name, shown, label, path in named:
        found = inputs.setdefault(name, [])
        for reference, file in [(label, path), *_references(path, images=name in WITH_IMAGES)]:
            try:
                found.append(Input(reference, os.path.abspath(file), checksum(file).sha256))
            except OSError as error:
                raise Sorry(f"{shown}: {file} cannot be read ({error.strerror})") from error
    return inputs


def signatures(inputs: dict[str, list[Input]]) -> dict[str, tuple[int, ...] | None]:
    """Returns, by path, values that change when a file is written or replaced; None if the file is missing."""

    def signature(path: str) -> tuple[int, ...] | None:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    return {file.path: signature(file.path) for files in inputs.values() for file in files}


def _named(working: libtbx.phil.scope) -> Iterator[tuple[str, str, str, str]]:
    """Yields name, name=value, label and path of each file that a parameter names."""
    for locator in working.all_definitions():
        if locator.path.startswith(WRITTEN):
            continue
        value, kind = locator.object.extract(), locator.object.type.phil_type
        if kind == "path" and isinstance(value, str):
            yield locator.path, f"{locator.path}={value}", "", value
        elif kind == "strings" and isinstance(value, list):
            for pair in value:
                label, separator, path = pair.partition("=")
                # Whoever reads the pairs refuses those without a file.
                if separator and path.strip():
                    yield locator.path, f"{locator.path}={pair}", label.strip().capitalize(), path.strip()


def _references(path: str, images: bool) -> list[tuple[str, str]]:
    """Returns the files that a file refers to, in its own words and as paths; those that exist."""
    found: dict[str, str] = {}
    pending = [path]
    while pending:
        current = pending.pop()
        # Damaged files have no references; whoever reads them says what is wrong.
        with suppress(OSError, ValueError, KeyError, RuntimeError, RecursionError, TypeError):
            mentioned = _linked(current) if h5py.is_hdf5(current) else _in_json(current, images)
            for name in mentioned:
                for file in _existing(name, os.path.dirname(os.path.abspath(current))):
                    if file not in found.values() and file != os.path.abspath(path):
                        found[os.path.relpath(file, os.path.dirname(os.path.abspath(path)))] = file
                        pending.append(file)
    return sorted(found.items())


def _existing(name: str, directory: str) -> list[str]:
    """Returns the files of a name, which may be a template with # for digits, beside a file or in this directory."""
    if not name or len(name) > os.pathconf("/", "PC_PATH_MAX") or "\0" in name:
        return []
    for base in (directory, os.getcwd()):
        candidate = os.path.abspath(os.path.join(base, name))
        if os.path.isfile(candidate):
            return [candidate]
        if "#" in name:
            numbered = re.sub("#", "[0-9]", glob.escape(candidate))
            if matches := sorted(filter(os.path.isfile, glob.glob(numbered))):
                return matches
    return []


def _in_json(path: str, images: bool) -> list[str]:
    """Returns all texts in a file of models (.expt, .json) that could be names of files."""
    if not path.endswith((".expt", ".json")):
        return []
    with open(path, encoding="utf-8") as file:
        pending: list[Any] = [json.load(file)]
    texts = []
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(value for key, value in item.items() if images or key not in ("images", "template"))
        elif isinstance(item, list):
            pending.extend(value for value in item if isinstance(value, (str, list, dict)))
        elif isinstance(item, str):
            texts.append(item)
    return texts


def _linked(path: str) -> list[str]:
    """Returns the names of the files that external links and virtual datasets of an HDF5 file point to.

    The images of an NXdata are left out: no job reads them.
    """
    found: list[str] = []
    with h5py.File(path, "r") as file:
        pending = [file["/"]]
        seen: set[int] = set()
        while pending and len(seen) < MOST_OBJECTS:
            group = pending.pop()
            key = h5py.h5o.get_info(group.id).addr
            if key in seen:
                continue
            seen.add(key)
            kind = group.attrs.get("NX_class", "")
            if (kind.decode(errors="replace") if isinstance(kind, bytes) else kind) == "NXdata":
                continue
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    found.append(link.filename)
                elif isinstance(link, h5py.HardLink):
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        pending.append(item)
                    elif isinstance(item, h5py.Dataset):
                        found.extend(_sources(item))
    return found


def _sources(dataset: h5py.Dataset) -> Iterable[str]:
    external = [os.fsdecode(name) for name, _, _ in dataset.external or ()]
    virtual = [source.file_name for source in dataset.virtual_sources()] if dataset.is_virtual else []
    return [*external, *(name for name in virtual if name != ".")]
