"""HDF5 files that go into an open stream."""

from __future__ import annotations

import gc
import io

from nanobragg_kokkos.files.nexus import hdf5_in


def test_nothing_is_flushed_when_the_stream_is_closed():
    """Python closes what is left open, and what is closed late complains of the stream."""
    late = []

    class Stream(io.BytesIO):
        def flush(self) -> None:
            if self.closed:
                late.append("flush")
            super().flush()

    with Stream() as stream, hdf5_in(stream) as file:
        file["value"] = 1
    del file
    gc.collect()
    assert not late
