"""Compares the files of an earlier run with its record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.util.progress import counted, progress
from nanobragg_kokkos.util.whole_files import Checksum, checksum

THREADS = 4

# Bytes above which reading takes long enough to show progress.
WORTH_A_WORD = 2e9


def sound_and_damaged(
    comm: Any, files: FileNames, recorded: Mapping[str, Checksum], show: bool
) -> tuple[set[str], list[str]]:
    """Returns the names of the recorded files that match their checksums, and of those that do not.

    All ranks read their share of the files, each with several threads.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        files: names of the files.
        recorded: checksums by name.
        show: whether this rank shows its progress if there is much to read.
    """
    names = sorted(recorded)[comm.rank :: comm.size]
    n_bytes = sum(recorded[name].n_bytes for name in names)
    show = show and n_bytes > WORTH_A_WORD
    if show:
        print(f"Checking {counted(len(recorded), 'file')} of an earlier run", flush=True)
    sound: list[str] = []
    damaged: list[str] = []
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool, progress(len(names), show, "file") as say:
        states = pool.map(lambda name: _is_sound(files.from_record(name), recorded[name]), names)
        for done, (name, state) in enumerate(zip(names, states), start=1):
            if state is not None:
                (sound if state else damaged).append(name)
            say(done)
    return set().union(*comm.allgather(sound)), sorted(chain(*comm.allgather(damaged)))


def _is_sound(path: Path, expected: Checksum) -> bool | None:
    """Returns whether a file matches its checksum; None if there is no such file."""
    try:
        return os.stat(path).st_size == expected.n_bytes and checksum(path) == expected
    except FileNotFoundError:
        return None
    except OSError:
        return False
