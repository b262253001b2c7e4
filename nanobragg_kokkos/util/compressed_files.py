"""Reading files whole, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable
from typing import Any

# What files of each kind begin with; names say less.
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}

# Bytes. The largest files of the PDB have a few hundred million.
MOST_BYTES = 10**9

# Texts are packed to a tenth or so; a small file can be made to unpack to any size.
MOST_TIMES, ALWAYS_BYTES = 100, 10**7


def read_contents(path: str | os.PathLike, most_bytes: int = MOST_BYTES) -> bytes:
    """Returns the contents of a file, unpacked if it was compressed by gzip, bzip2 or xz, whatever its name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no regular file (a device, for example), is damaged, holds more than most_bytes, or unpacks
            to more than MOST_TIMES its size.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not a regular file")
    with open(path, "rb") as file:
        start = file.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), open)
    size = os.path.getsize(path)
    limit = most_bytes if opener is open else min(most_bytes, max(MOST_TIMES * size, ALWAYS_BYTES))
    if size > most_bytes:
        raise ValueError(f"it has more than {most_bytes / 1e6:g} MB")
    try:
        with opener(path, "rb") as file:
            contents = file.read(limit + 1)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        # bz2 has no error of its own; those of the system have a number.
        if opener is open or getattr(error, "errno", None):
            raise
        raise ValueError("it was compressed, and is damaged") from error
    if len(contents) > limit:
        raise ValueError(f"it unpacks to more than {limit / 1e6:.3g} MB")
    return contents
