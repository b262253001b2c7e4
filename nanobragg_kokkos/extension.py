"""Imports the compiled extension in one place, after the modules whose types it takes."""

from __future__ import annotations

import cctbx.array_family.flex  # noqa: F401
import dxtbx.model  # noqa: F401

try:
    import nanobragg_kokkos_ext as ext
except ModuleNotFoundError as error:
    raise ImportError(
        "the extension nanobragg_kokkos_ext is not built, or this Python does not know where: "
        "run ./bootstrap build, then use build/bin/libtbx.python"
    ) from error
except ImportError as error:
    raise ImportError(f"the extension nanobragg_kokkos_ext cannot be loaded on this machine: {error}") from error

__all__ = ["ext"]
