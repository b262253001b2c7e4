"""Reading files whole, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib

# What files of each kind begin with; names say less.
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}

# Bytes. The largest files of the PDB have a few hundred million; a small file can be made to unpack to any size.
MOST_BYTES = 2 * 10**9


def read_contents(path: str | os.PathLike, most_bytes: int = MOST_BYTES) -> bytes:
    """Returns the contents of a file, unpacked if it was compressed by gzip, bzip2 or xz, whatever its name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or holds more than most_bytes.
    """
    with open(path, "rb") as file:
        start = file.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), open)
    try:
        with opener(path, "rb") as file:
            contents = file.read(most_bytes + 1)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ValueError("it was compressed, and is damaged") from error
    if len(contents) > most_bytes:
        raise ValueError(f"it holds more than {most_bytes / 1e9:g} GB")
    return contents
