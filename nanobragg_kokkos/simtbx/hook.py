"""Redirects imports of simtbx's extension modules to this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The modules that hold their names.
EXTENSIONS = {
    "simtbx_nanoBragg_ext": "nanobragg_kokkos.simtbx.nanobragg_names",
    "simtbx_kokkos_ext": "nanobragg_kokkos.simtbx.gpu_names",
    "simtbx_gpu_ext": "nanobragg_kokkos.simtbx.gpu_names",
}


class _Extensions(MetaPathFinder, Loader):
    """Finds simtbx's extension modules, and fills them with this package's names when they are imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, origin=EXTENSIONS[name]) if name in EXTENSIONS else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Returns None, so that Python makes an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        names = import_module(EXTENSIONS[module.__name__])
        module.__doc__ = names.__doc__
        vars(module).update({name: getattr(names, name) for name in names.__all__}, __all__=names.__all__)


_FINDER = _Extensions()


def enable() -> None:
    """Redirects imports of simtbx_nanoBragg_ext, simtbx_kokkos_ext and simtbx_gpu_ext to this package.

    The redirection lasts until the process ends, whether simtbx's extensions are installed or not. simtbx's Python
    files (simtbx.nanoBragg and others) are used unchanged where they are installed. A second call changes nothing.

    Raises:
        ImportError: this process has already imported simtbx's own extensions.
    """
    imported = [name for name in EXTENSIONS if name in sys.modules and not _is_ours(sys.modules[name])]
    if imported:
        raise ImportError(
            f"simtbx's own {_listed(imported)} in this process already: "
            "call nanobragg_kokkos.simtbx.enable() before anything imports simtbx"
        )
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _is_ours(module: ModuleType) -> bool:
    return getattr(module, "__loader__", None) is _FINDER


def _listed(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
