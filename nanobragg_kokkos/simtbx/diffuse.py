"""simtbx's class diffuse_api; this engine does not compute its scattering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanobragg_kokkos.simtbx.properties import integer, vector

HALF_ROOT = 0.5**0.5
PRINCIPAL_AXES = {
    "a,b,c": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    "a-b,a+b,c": (HALF_ROOT, -HALF_ROOT, 0.0, HALF_ROOT, HALF_ROOT, 0.0, 0.0, 0.0, 1.0),
}


class diffuse_api:
    """Parameters of diffuse scattering between and around the spots. They are stored; enabling it is an error."""

    def __init__(self) -> None:
        self._stencil_size = 1
        self._laue_group_num = 12
        self._anisoG = self._anisoU = (0.0, 0.0, 0.0)
        self._axes = (0.0,) * 9
        self.symmetrize_diffuse = True

    def _enable(self, value: Any) -> None:
        if value:
            raise NotImplementedError(
                "diffuse.enable: diffuse scattering of the crystal is not part of nanobragg_kokkos"
            )

    def _set_rotate_principal_axes(self, value: str) -> None:
        if value not in PRINCIPAL_AXES:
            raise ValueError(
                f"rotate_principal_axes must be one of {', '.join(map(repr, PRINCIPAL_AXES))}, not {value!r}"
            )
        self._axes = PRINCIPAL_AXES[value]

    def _set_stencil_size(self, value: int) -> None:
        self._stencil_size = integer("stencil_size", value)

    def _set_laue_group_num(self, value: int) -> None:
        self._laue_group_num = integer("laue_group_num", value)

    def _set_anisoG(self, values: Sequence[float]) -> None:
        self._anisoG = vector("anisoG", values)

    def _set_anisoU(self, values: Sequence[float]) -> None:
        self._anisoU = vector("anisoU", values)

    enable = property(lambda self: False, _enable, doc="False; setting True is an error")
    stencil_size = property(lambda self: self._stencil_size, _set_stencil_size, doc="stored without effect")
    laue_group_num = property(lambda self: self._laue_group_num, _set_laue_group_num, doc="stored without effect")
    anisoG = property(lambda self: self._anisoG, _set_anisoG, doc="stored without effect: three numbers")
    anisoU = property(lambda self: self._anisoU, _set_anisoU, doc="stored without effect: three numbers")
    rotate_principal_axes = property(
        lambda self: self._axes,
        _set_rotate_principal_axes,
        doc="stored without effect: set as a word, read as nine numbers",
    )

    def show(self) -> None:
        """Prints nothing, as in simtbx."""
