"""Files are read whole, and never more of them than fits."""

from __future__ import annotations

import gzip

import pytest

from nanobragg_kokkos.util.compressed_files import read_contents


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(30_000_000)))
    with pytest.raises(ValueError, match="it unpacks to more than 10 MB"):
        read_contents(path)


def test_files_beyond_a_size_and_devices_are_refused(tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(10**10)
    with pytest.raises(ValueError, match="it has more than 1000 MB"):
        read_contents(path)
    with pytest.raises(ValueError, match="it is not a regular file"):
        read_contents("/dev/zero")
