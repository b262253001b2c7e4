"""Detectors by name, as dxtbx models."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dxtbx.model import Detector, DetectorNode, Panel

from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS, Grid, Quadrants, Specification, Tiles
from nanobragg_kokkos.models.detector.trusted_range import lower_end

RIGHT, DOWN = (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)


def by_name(name: str, distance_mm: float | None = None) -> Detector:
    """Returns a detector of specifications.py, upright and perpendicular to the beam, which hits its middle.

    Where the middle is that of a pixel, the beam hits that pixel's corner instead.
    If a panel has pixels between modules, these are untrusted rectangles. A count of 0 is trusted.

    Args:
        name: name of the specification.
        distance_mm: distance from the sample to the panels. Default: the specification's.

    Raises:
        ValueError: there is no detector with this name.
    """
    if name not in SPECIFICATIONS:
        raise ValueError(f"name={name!r}: expected one of {', '.join(SPECIFICATIONS)}")
    specification = SPECIFICATIONS[name]
    detector = Detector()
    root = detector.hierarchy()
    root.set_name(name)
    z = -(specification.distance_mm if distance_mm is None else distance_mm)
    layout = specification.layout
    if isinstance(layout, Grid):
        _add_grid(root, layout, specification, z)
    elif isinstance(layout, Tiles):
        _add_tiles(root, layout, specification, z)
    else:
        _add_quadrants(root, layout, specification, z)
    return detector


def _add_grid(root: DetectorNode, grid: Grid, specification: Specification, z: float) -> None:
    fast, slow = (n * pixels + (n - 1) * gap for n, pixels, gap in zip(grid.modules, grid.module, grid.gap))
    size = (fast, slow)
    # Programs look up directions to the middles of pixels: none is to be the beam's, which has no scattering vector.
    shift = 0.5 if all(pixels % 2 for pixels in size) else 0.0
    corner = [-(0.5 * pixels + shift) * specification.pixel_mm for pixels in size]
    panel = _panel(root, "Panel", size, specification)
    panel.set_local_frame(RIGHT, DOWN, (corner[0], -corner[1], z))
    for k in range(1, grid.modules[0]):
        begin = k * (grid.module[0] + grid.gap[0]) - grid.gap[0]
        panel.add_mask(begin, 0, begin + grid.gap[0], size[1])
    for k in range(1, grid.modules[1]):
        begin = k * (grid.module[1] + grid.gap[1]) - grid.gap[1]
        panel.add_mask(0, begin, size[0], begin + grid.gap[1])


def _add_tiles(root: DetectorNode, tiles: Tiles, specification: Specification, z: float) -> None:
    fast_all, slow_all = (
        max(corner[axis] for corner in tiles.corners) + tiles.size[axis] + 2 * tiles.margin[axis] for axis in (0, 1)
    )
    for k, (fast, slow) in enumerate(tiles.corners):
        x = (fast + tiles.margin[0] - 0.5 * fast_all) * specification.pixel_mm
        y = -(slow + tiles.margin[1] - 0.5 * slow_all) * specification.pixel_mm
        _panel(root, f"M{k}", tiles.size, specification).set_local_frame(RIGHT, DOWN, (x, y, z))


def _add_quadrants(root: DetectorNode, quadrants: Quadrants, specification: Specification, z: float) -> None:
    """Adds quadrants as groups, and sensors of two panels each as their groups; slow points down when upright."""
    fast_mm, slow_mm = (pixels * specification.pixel_mm for pixels in quadrants.size)
    step = fast_mm + quadrants.gap * specification.pixel_mm
    root.set_local_frame(RIGHT, (0.0, 1.0, 0.0), (0.0, 0.0, z))
    for q, turn in enumerate(quadrants.turns):
        quadrant = root.add_group()
        quadrant.set_name(f"Q{q}")
        quadrant.set_local_frame(*_turned(turn), (*_rotate(quadrants.corner, turn), 0.0))
        for s, (x, y, sensor_turn) in enumerate(quadrants.sensors):
            sensor = quadrant.add_group()
            sensor.set_name(f"Q{q}S{s}")
            sensor.set_local_frame(*_turned(sensor_turn), (x, y, 0.0))
            for a, middle in enumerate((-0.5 * step, 0.5 * step)):
                panel = _panel(sensor, f"Q{q}S{s}A{a}", quadrants.size, specification)
                panel.set_local_frame(RIGHT, DOWN, (middle - 0.5 * fast_mm, 0.5 * slow_mm, 0.0))


def _turned(degrees: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (*_rotate((1.0, 0.0), degrees), 0.0), (*_rotate((0.0, 1.0), degrees), 0.0)


def _rotate(vector: Sequence[float], degrees: float) -> tuple[float, float]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]


def _panel(node: DetectorNode, name: str, size: tuple[int, int], specification: Specification) -> Panel:
    panel = node.add_panel()
    panel.set_name(name)
    panel.set_type("SENSOR_PAD" if specification.material else "SENSOR_CCD")
    panel.set_image_size(size)
    panel.set_pixel_size((specification.pixel_mm, specification.pixel_mm))
    # dxtbx takes the lower end of the range as excluded: -1 lets a count of 0 be trusted.
    panel.set_trusted_range((lower_end(0), float(specification.most_counts)))
    if specification.material:
        panel.set_material(specification.material)
        panel.set_thickness(specification.thickness_mm)
    return panel
