"""Records calls that add to a detector, and computes them later in as few passes of the engine as possible.

Scripts for simtbx add a spectrum energy by energy. A pass of the engine takes all sources at once, so a call is only
recorded with its immutable models. Calls that differ only in their sources, the channels of these and the number of
photons become one pass when a script reads the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nanobragg_kokkos import Amorphous, Crystal, Simulation
from nanobragg_kokkos.simtbx.channels import ChannelTable
from nanobragg_kokkos.simtbx.light import Light
from nanobragg_kokkos.simtbx.setup import Kept, Setup

# Scripts make new objects for each image, so no object owns the detectors on the device. Spots and background have
# separate ones, because the beam of the spots often changes from image to image, and that of the background does not.
SPOTS, BACKGROUNDS = Kept(2), Kept(1)


@dataclass(frozen=True, eq=False)
class Spots:
    """The Bragg spots of a crystal; each wave of the light has a channel of the table."""

    setup: Setup
    crystal: Crystal
    table: ChannelTable
    channels: tuple[int, ...]
    light: Light


@dataclass(frozen=True, eq=False)
class Background:
    """The scattering of an amorphous sample."""

    setup: Setup
    amorphous: Amorphous
    light: Light


Term = Spots | Background


def scaled(term: Term, factor: float) -> Term:
    """Returns the same term with another number of photons."""
    return replace(term, light=term.light.scaled(factor))


def first_pass(terms: Sequence[Term]) -> tuple[list[Term], list[Term]]:
    """Returns the terms that share a pass with the first of them, and all others."""
    shared = _what_a_pass_shares(terms[0])
    group: list[Term] = []
    others: list[Term] = []
    for term in terms:
        (group if _what_a_pass_shares(term) == shared else others).append(term)
    return group, others


def image_of(group: Sequence[Term]) -> Simulation:
    """Returns the image of the terms of one pass; it is valid until the next call."""
    setup = group[0].setup
    backgrounds = [term for term in group if isinstance(term, Background)]
    spots = [term for term in group if isinstance(term, Spots)]
    if backgrounds:
        simulation = BACKGROUNDS.lit(setup, backgrounds[0].light)
        simulation.add_background(*(term.amorphous for term in backgrounds))
    else:
        light, channels = _together(spots)
        simulation = SPOTS.lit(setup, light, channels)
        simulation.add_spots(spots[0].crystal, spots[0].table.structure_factors())
    return simulation


def release() -> None:
    """Releases all detectors that are kept on the device."""
    SPOTS.release()
    BACKGROUNDS.release()


def _what_a_pass_shares(term: Term) -> tuple:
    if isinstance(term, Background):
        return (Background, term.setup, term.light)
    # Identities serve as keys: the terms keep their objects alive.
    return (Spots, term.setup, id(term.crystal), id(term.table), term.light.polar_vector, term.light.polarization)


def _together(group: Sequence[Spots]) -> tuple[Light, tuple[int, ...]]:
    """Returns all waves of a group that have photons, and their channels."""
    waves = [
        (direction, wavelength, weight * term.light.fluence, channel)
        for term in group
        for direction, wavelength, weight, channel in zip(
            term.light.directions, term.light.wavelengths, term.light.weights, term.channels
        )
        if weight
    ]
    directions, wavelengths, weights, channels = zip(*waves)
    light = replace(group[0].light, directions=directions, wavelengths=wavelengths, weights=weights, fluence=1.0)
    return light, channels
