"""Public specifications of the detectors that a job knows by name; docs/detectors.md lists the sources.

Positions are seen from the sample: fast to the right, slow downwards, from the upper left corner of the rectangle
around all panels. In its place, a detector has fast along +x and slow along -y, and the beam in the middle of that
rectangle.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """One panel, as in files, with pixels between the modules that count nothing.

    Args:
        modules: number of modules along fast and slow.
        module: pixels of a module along fast and slow.
        gap: pixels between two modules along fast and slow.
    """

    modules: tuple[int, int]
    module: tuple[int, int]
    gap: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Tiles:
    """Panels of one size, all upright.

    Args:
        size: pixels of a panel along fast and slow.
        corners: position of the first pixel of each panel, fast and slow, in pixels.
        margin: additional pixels of a module around its panel, along fast and slow.
    """

    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]
    margin: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Quadrants:
    """Four quadrants, related by rotations of 90° about the beam, of sensors with two panels each.

    Args:
        size: pixels of a panel along fast and slow.
        gap: pixels between the two panels of a sensor, along fast.
        sensors: sensors of the upper right quadrant: x (to the right) and y (upwards) of their middles from the
            quadrant's corner, mm, and their counterclockwise rotations, degrees.
        corner: x and y of that corner from the beam, mm.
        turns: counterclockwise rotations of the quadrants in their order, degrees.
    """

    size: tuple[int, int]
    gap: int
    sensors: tuple[tuple[float, float, float], ...]
    corner: tuple[float, float]
    turns: tuple[int, int, int, int]


@dataclass(frozen=True)
class Specification:
    """The specification of a detector.

    Args:
        layout: layout of the panels.
        pixel_mm: side of a pixel.
        material, thickness_mm: material and thickness of the sensor; None and 0: a phosphor.
        distance_mm: default distance from the sample.
        preset: name of its preset in response_presets.
        most_counts: highest trusted count, whatever the preset.
    """

    layout: Grid | Tiles | Quadrants
    pixel_mm: float
    material: str | None
    thickness_mm: float
    distance_mm: float
    preset: str
    most_counts: int = 2**31 - 2


_EIGER = {"module": (1030, 514), "gap": (10, 37)}
_PILATUS = {"module": (487, 195), "gap": (7, 17)}

# Modules are 1030 x 514 pixels large, as those at the chips' borders are twice as wide: here, all are of one size, and
# the modules sit where the real ones do.
_JUNGFRAU = {"size": (1024, 512), "margin": (3, 1)}

SPECIFICATIONS = {
    # In its 2 x 2 binning, 16 bit.
    "rayonix_mx340": Specification(Grid((1, 1), (3840, 3840)), 0.088, None, 0.0, 141.7, "rayonix", 65534),
    # Quadrants of 2 x 4 modules around a hole, each shifted by 68 pixels.
    "jungfrau_16m": Specification(
        Tiles(
            corners=tuple(
                (1039 * column + 68 * (row < 4), 550 * row + 68 * (column > 1))
                for row in range(8) for column in range(4)
            ),
            **_JUNGFRAU,
        ),
        0.075, "Si", 0.32, 120.0, "jungfrau",
    ),
    # Two columns of modules around a hole, the other way round.
    "jungfrau_4m": Specification(
        Tiles(
            corners=tuple(
                (1039 * column + 67 * (row > 1), 550 * row + 68 * (column < 1))
                for row in range(4) for column in range(2)
            ),
            **_JUNGFRAU,
        ),
        0.075, "Si", 0.32, 100.0, "jungfrau",
    ),
    "eiger_16m": Specification(Grid((4, 8), **_EIGER), 0.075, "Si", 0.45, 150.0, "eiger"),
    "eiger_4m": Specification(Grid((2, 4), **_EIGER), 0.075, "Si", 0.45, 100.0, "eiger"),
    "pilatus3_6m": Specification(Grid((5, 12), **_PILATUS), 0.172, "Si", 0.45, 250.0, "pilatus"),
    "pilatus3_2m": Specification(Grid((3, 8), **_PILATUS), 0.172, "Si", 0.45, 150.0, "pilatus"),
    "cspad": Specification(
        Quadrants(
            size=(194, 185),
            gap=3,
            sensors=(
                (21.8, 33.2, 0), (21.8, 10.5, 0), (33.3, 68.5, -90), (10.6, 68.4, -90),
                (68.6, 56.8, 180), (68.7, 79.5, 180), (77.6, 21.3, -90), (54.8, 21.3, -90),
            ),
            corner=(-3.0, 5.0),
            turns=(90, 0, -90, 180),
        ),
        0.10992, "Si", 0.5, 100.0, "cspad",
    ),
}  # fmt: skip
