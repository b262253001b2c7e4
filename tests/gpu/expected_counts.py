"""Blurred images and counts of given expected photons, on one machine and again on another.

    expected_counts.py write FILE      makes them and keeps them with the photons
    expected_counts.py compare FILE    makes the same again; exit code 1 if one differs

From equal photons every machine must make equal counts.  Blurred photons may differ by rounding errors, and a count of
them by one where they come to lie on either side of a half.  The file is a pickle: read none that you have not made.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from dxtbx.model import Detector

import nanobragg_kokkos
from nanobragg_kokkos import DetectorResponse, PointSpread, Readout, Simulation, Sources

TOLERANCE = 1e-12  # of the brightest pixel, for blurred photons
MOST_DIFFERING = 2  # pixels, of counts of blurred photons
SHAPES = ((131, 70), (64, 33), (7, 5))  # of panels: some no whole number of the groups that are taken together
IMAGES = ((1, 0), (1, 1), (2**64 - 1, 2**32 - 1))  # seed and number

EVERYTHING = dict(
    flicker=0.1,
    calibration_noise=0.05,
    calibration_seed=7,
    quantum_gain=1.7,
    readout_noise=3.0,
    adc_offset=40.0,
)
SPREADS = {
    "gauss": PointSpread("gauss", 0.25, 7),
    "fiber": PointSpread("fiber", 0.09, 12),
    "wide fiber": PointSpread("fiber", 0.3, 60, "beyond_radius"),
}


def some_photons() -> list[np.ndarray]:
    """From dark to 10^9 photons, and means next to those at which the methods change."""
    random = np.random.default_rng(8)
    panels = [10 ** random.uniform(-3, 6, shape) for shape in SHAPES]
    for panel in panels:
        panel[random.random(panel.shape) < 0.2] = 0
    special = [1e-9, 0.5, 1, 1 - 2**-53, 3, 127, 128, 128 - 2**-46, 128 + 2**-45, 1e9, -1e-15, np.nan, np.inf]
    panels[0].ravel()[: 97 * len(special) : 97] = special
    return panels


def lit(panels: list[np.ndarray]) -> Simulation:
    detector = Detector()
    for i, (slow, fast) in enumerate(SHAPES):
        panel = detector.add_panel()
        panel.set_pixel_size((0.1, 0.1))
        panel.set_image_size((fast, slow))
        panel.set_frame((1, 0, 0), (0, -1, 0), (-fast / 20, slow / 20, -100.0 - i))
    simulation = Simulation(detector, Sources([1.0], [1.0]), fluence=1)
    simulation.add_photons(panels)
    return simulation


def flat(panels) -> np.ndarray:
    return np.concatenate([panel.ravel() for panel in panels])


def readings() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Names, what a response and what a readout is made of."""
    wide, narrow = dict(saturation=2**31 - 2, dtype=np.int32), dict(saturation=60000, dtype=np.uint16)
    masked = dict(mask=[np.random.default_rng(i).random(shape) < 0.8 for i, shape in enumerate(SHAPES)])
    yield "photons", {}, wide
    yield "no photon noise", dict(photon_noise=False, quantum_gain=100.0), wide
    yield "noise alone", dict(photon_noise=False, readout_noise=1e8, adc_offset=1e9), wide
    yield "everything", EVERYTHING, wide
    yield "everything, 16 bits, masked", EVERYTHING, {**narrow, **masked}
    for name, point_spread in SPREADS.items():
        yield f"everything, {name}", dict(point_spread=point_spread, **EVERYTHING), wide
    yield "everything, gauss, 16 bits, masked", dict(point_spread=SPREADS["gauss"], **EVERYTHING), {**narrow, **masked}


def bounded(panels: list[np.ndarray]) -> list[np.ndarray]:
    """What can be blurred: a number that is not finite would reach all around it, and a very bright one hide other errors."""
    return [np.where(panel < 1e8, panel, 0) for panel in panels]


def counts(panels: list[np.ndarray], response: dict[str, Any], options: dict[str, Any]) -> list[np.ndarray]:
    """Of all images, which are on their way at the same time, each after another that nobody waits for."""
    simulation = lit(bounded(panels) if "point_spread" in response else panels)
    readout = Readout(simulation, DetectorResponse(**response), **options)
    under_way = []
    for seed, image in IMAGES:
        readout.start(5, 5)
        under_way.append(readout.start(seed, image))
    simulation.clear()
    return [flat(counted.panels()) for counted in under_way]


def blurred(panels: list[np.ndarray], point_spread: PointSpread, method: str) -> np.ndarray:
    simulation = lit(bounded(panels))
    simulation.blur(point_spread, method)
    return flat(simulation.image).copy()


def write(path: Path) -> int:
    photons = some_photons()
    kept = {
        "photons": photons,
        "counts": {name: counts(photons, response, options) for name, response, options in readings()},
        "blurred": {name: blurred(photons, point_spread, "direct") for name, point_spread in SPREADS.items()},
    }
    with open(path, "wb") as file:
        pickle.dump(kept, file)
    print(f"{len(kept['counts'])} readouts and {len(SPREADS)} blurred images by {described()} in {path}")
    return 0


def compare(path: Path) -> int:
    with open(path, "rb") as file:
        kept = pickle.load(file)
    print(f"compared with another machine's: {described()}")
    failed = 0
    for name, response, options in readings():
        most = MOST_DIFFERING if "point_spread" in response else 0
        got = counts(kept["photons"], response, options)
        again = all(map(np.array_equal, got, counts(kept["photons"], response, options)))
        difference = np.abs(np.array(got, np.int64) - np.array(kept["counts"][name], np.int64))
        differing = np.count_nonzero(difference)
        good = differing <= most and difference.max() <= 1 and got[0].dtype == options["dtype"]
        report(name, f"{differing} of {difference.size} pixels differ, by at most {difference.max()}", good, again)
        failed += not (good and again)
    for name, want in kept["blurred"].items():
        for method in ("direct", "fourier", "auto"):
            got = blurred(kept["photons"], SPREADS[name], method)
            again = np.array_equal(got, blurred(kept["photons"], SPREADS[name], method))
            difference = np.abs(got - want).max() / want.max()
            good = bool(difference <= TOLERANCE)  # false for NaN
            report(f"{name}, {method}", f"max|difference|/max {difference:.1e}", good, again)
            failed += not (good and again)
    print(
        f"expected counts: {len(kept['counts'])} readouts and {3 * len(kept['blurred'])} blurred images, {failed} failures"
    )
    return 1 if failed else 0


def report(name: str, result: str, good: bool, again: bool) -> None:
    print(f"{name:36s} {result}{'' if good else '  FAILED'}{'' if again else '  FAILED: others the second time'}")


def described() -> str:
    backend = nanobragg_kokkos.backend()
    return f"{backend['backend']} on {backend['device']} with Kokkos {backend['kokkos']}"


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "compare"):
        sys.exit(__doc__)
    sys.exit({"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2])))
