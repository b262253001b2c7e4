"""Stands in for a build system while pip downloads a source archive; see fetch() in setup/install_kokkos.py.

pip asks the build system for a package's name and version before it leaves the archive to us. This one answers
from the folder's pyproject.toml and builds nothing.
"""

from __future__ import annotations

import re
from pathlib import Path


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: dict | None = None) -> str:
    """Writes the metadata folder that PEP 517 describes; returns its name."""
    project = Path("pyproject.toml").read_text()
    name, version = (re.search(rf'^{key} = "(.*)"$', project, flags=re.M)[1] for key in ("name", "version"))
    folder = Path(metadata_directory) / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder.name


def build_wheel(
    wheel_directory: str, config_settings: dict | None = None, metadata_directory: str | None = None
) -> str:
    raise NotImplementedError("only the archive is wanted")
