"""The figures of a report."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from dxtbx.model import Crystal
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from nanobragg_kokkos.files.reader import StoredImage
from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.report.statistics import MOST_COUNTS, Measured, Shells, Statistics

BLUE, ORANGE, RED, GREEN, GREY = "#286ebe", "#e15f00", "#c80028", "#2a8a4a", "#8a94a0"

STYLE = {
    "font.size": 12,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8ec",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    # Text stays text, in any font that the browser has.
    "svg.fonttype": "none",
    # The same figure gets the same identifiers in the file.
    "svg.hashsalt": "nanobragg_kokkos",
}

# Number of spots shown in close-up.
CLOSE_UPS = 12
MOST_POINTS = 5000

# Spots with a smaller signal-to-background ratio are not shown.
LEAST_SIGNAL = 1e-3


def as_svg(figure: Figure) -> bytes:
    """Returns the contents of an SVG file."""
    stream = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def as_png(figure: Figure) -> bytes:
    """Returns the contents of a PNG file."""
    stream = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def spectra(pulses: Sequence[Pulse]) -> Figure:
    """Draws the spectra of some pulses, as shares of the photons per eV."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 3.6))
        axes = figure.add_subplot()
        for pulse in pulses:
            style = {"color": BLUE, "alpha": max(0.25, 1 / len(pulses)), "lw": 1.6}
            if len(pulse.energies_eV) == 1:
                axes.axvline(pulse.energies_eV[0], **style)
                continue
            order = np.argsort(pulse.energies_eV)
            energies, weights = pulse.energies_eV[order], pulse.shares[order]
            axes.plot(energies, weights / np.gradient(energies), **style)
        axes.set_xlabel("photon energy, eV")
        if all(len(pulse.energies_eV) == 1 for pulse in pulses):
            axes.set_yticks([])
        else:
            axes.set_ylabel("share of the photons per eV")
            axes.set_ylim(0)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.locator_params(axis="x", nbins=6)
        return figure


def orientations(crystals: Sequence[Crystal]) -> Figure:
    """Draws the directions of the crystals' axes as seen from the source.

    The figure is Lambert's azimuthal equal-area projection of the half sphere around the beam. An axis that points away
    from the source is drawn as its opposite.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 5.2))
        axes = figure.add_subplot(aspect="equal")
        axes.axis("off")
        turn = np.linspace(0, 2 * np.pi, 361)
        for tilt in (30, 60, 90):
            radius = np.sqrt(1 - np.cos(np.radians(tilt)))
            axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="#c4ccd4", lw=0.8)
            axes.annotate(f"{tilt}°", (0, -radius), color=GREY, fontsize=10, ha="center", va="bottom")
        some = crystals[:: -(-len(crystals) // MOST_POINTS)]
        vectors = np.array([np.reshape(crystal.get_U(), (3, 3)) @ _unit_axes(crystal) for crystal in some])
        for axis, (name, colour, marker) in enumerate((("a", BLUE, "o"), ("b", ORANGE, "s"), ("c", GREEN, "^"))):
            v = vectors[:, :, axis]
            v = np.where(v[:, 2:] < 0, -v, v)
            # Seen from the source, x of the laboratory points to the right (dxtbx: z to the source, y up).
            place = v[:, :2] / np.sqrt(1 + v[:, 2:])
            size = np.clip(4000 / len(some), 6, 60)
            alpha = 0.9 if len(some) < 100 else 0.5
            axes.scatter(*place.T, s=size, color=colour, marker=marker, alpha=alpha, lw=0, label=name, zorder=3)
        axes.set_xlim(-1.05, 1.05)
        axes.set_ylim(-1.05, 1.05)
        axes.legend(loc="upper right", title="axis")
        return figure


def _unit_axes(crystal: Crystal) -> np.ndarray:
    """Returns unit vectors along a, b and c of the crystal in its own frame, as columns."""
    columns = np.linalg.inv(np.reshape(crystal.get_B(), (3, 3))).T
    return columns / np.linalg.norm(columns, axis=0)


def histogram(looked_at: Sequence[Statistics], highest_trusted: float) -> Figure:
    """Draws the numbers of pixels against their counts, in bins of at most 5 %."""
    counts = np.mean([s.histogram for s in looked_at], axis=0)
    edges = np.unique(np.rint(np.geomspace(1, MOST_COUNTS, 160)).astype(int))
    edges = np.concatenate(([0], edges, [MOST_COUNTS + 1]))
    per_count = np.add.reduceat(counts, edges[:-1]) / np.diff(edges)
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 3.6))
        axes = figure.add_subplot()
        axes.stairs(np.where(per_count > 0, per_count, np.nan), edges + 1, color=BLUE, lw=1.4)
        if highest_trusted <= MOST_COUNTS:
            axes.axvline(highest_trusted + 1, color=RED, lw=1.2, ls="--")
            axes.annotate(
                f"trusted to {highest_trusted:.0f} ", (highest_trusted + 1, 0.97), xycoords=("data", "axes fraction"),
                color=RED, ha="right", va="top",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = [0] + [10**k for k in range(6) if 10**k <= 1.2 * np.flatnonzero(counts).max(initial=10)]
        axes.set_xticks(np.array(ticks) + 1, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("counts in a pixel")
        axes.set_ylabel("pixels per image")
        return figure


def background(looked_at: Sequence[Statistics], shells: Shells) -> Figure:
    """Draws the background against resolution: the mean over images, and their range."""
    values = np.array([s.background for s in looked_at])
    with rc_context(STYLE):
        figure, axes = _by_resolution(shells)
        seen = np.isfinite(values).all(axis=0)
        axes.fill_between(
            shells.middles[seen], values[:, seen].min(axis=0), values[:, seen].max(axis=0), color=BLUE, alpha=0.25, lw=0
        )
        axes.plot(shells.middles[seen], values[:, seen].mean(axis=0), color=BLUE)
        axes.set_ylabel("background, photons per pixel")
        axes.set_ylim(min(0, values[:, seen].min(initial=0)))
        return figure


def signal(looked_at: Sequence[Statistics], shells: Shells) -> Figure:
    """Draws signal to background against resolution: all predicted spots, and the median of each shell."""
    with rc_context(STYLE):
        figure, axes = _by_resolution(shells)
        inverse_d = np.concatenate([1 / s.measured.spots.d for s in looked_at])
        ratio = np.concatenate([s.measured.signal_to_background for s in looked_at])
        good = np.isfinite(ratio)
        # Noise alone can give a spot almost no photons, or fewer than none, which would stretch the scale.
        shown = good & (ratio > LEAST_SIGNAL)
        some = np.flatnonzero(shown)[:: max(1, shown.sum() // MOST_POINTS)]
        axes.scatter(inverse_d[some], ratio[some], s=10, color=BLUE, alpha=0.5, lw=0, label="spot")
        # These shells are five times as wide, so that each contains spots.
        edges = shells.edges[::5]
        which = np.digitize(inverse_d, edges) - 1
        medians = [
            np.median(ratio[good & (which == k)]) if (good & (which == k)).sum() >= 3 else np.nan
            for k in range(len(edges))
        ]
        axes.plot(edges + 0.5 * edges[1], medians, "o-", color=ORANGE, label="median")
        axes.set_yscale("log")
        axes.set_ylabel("photons in a spot / in its background")
        axes.legend(loc="best", frameon=True)
        return figure


def counted_against_expected(looked_at: Sequence[Statistics]) -> Figure | None:
    """Draws counted against predicted photons of the spots; returns None if no prediction has photons."""
    measured = [s.measured for s in looked_at]
    expected = np.concatenate([m.spots.photons for m in measured])
    counted = np.concatenate([m.photons for m in measured])
    overloaded = np.concatenate([m.overloaded for m in measured])
    shown = np.isfinite(expected) & (expected > 0) & (counted > 0)
    if not shown.any():
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(6, 4.6))
        axes = figure.add_subplot()
        ends = expected[shown].min(), max(expected[shown].max(), counted[shown].max())
        axes.plot(ends, ends, color=GREY, lw=1)
        for chosen, colour, label in ((~overloaded, BLUE, "spot"), (overloaded, RED, "with overloads")):
            some = np.flatnonzero(shown & chosen)
            some = some[:: max(1, len(some) // MOST_POINTS)]
            if len(some):
                axes.scatter(expected[some], counted[some], s=12, color=colour, alpha=0.6, lw=0, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(ends[0] / 3)
        axes.set_xlabel("photons expected from the true models")
        axes.set_ylabel("photons counted")
        axes.legend(loc="upper left")
        return figure


def close_ups(frame: StoredImage, measured: Measured, radius: int) -> Figure | None:
    """Draws the pixels of the brightest spots of an image; returns None if the image has no spots."""
    n = min(CLOSE_UPS, len(measured.spots))
    if not n:
        return None
    columns = 4
    rows = -(-n // columns)
    half = max(8, 2 * radius)
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6, 1.85 * rows))
        for k in range(n):
            spots = measured.spots
            panel, x, y = spots.panels[k], int(spots.fast[k]), int(spots.slow[k])
            values = frame.panels[panel]
            box = [
                (max(0, at - half), min(size, at + half + 1))
                for at, size in ((y, values.shape[0]), (x, values.shape[1]))
            ]
            (y0, y1), (x0, x1) = box
            shown = np.where(frame.masks[panel], values, np.nan)[y0:y1, x0:x1]
            axes = figure.add_subplot(rows, columns, k + 1, facecolor="#dce6f0")
            # The square root shows the weak outer parts of a spot, too.
            low = np.nanpercentile(shown, 5)
            axes.imshow(
                np.sqrt(np.clip(shown - low, 0, None)), cmap="gray_r", interpolation="nearest", extent=(x0, x1, y1, y0)
            )
            axes.plot(spots.fast[k], spots.slow[k], "+", color=ORANGE, ms=7, mew=1)
            axes.set_xticks([])
            axes.set_yticks([])
            for side in ("top", "right"):
                axes.spines[side].set_visible(True)
            indices = " ".join(str(index) for index in spots.miller_indices[k])
            axes.set_title(f"{indices}\n{spots.d[k]:.2f} Å, {measured.photons[k]:.0f} ph.", fontsize=9.5)
        return figure


def _by_resolution(shells: Shells):
    figure = Figure(figsize=(6, 3.6))
    axes = figure.add_subplot()
    axes.set_xlim(0, shells.edges[-1])
    step = shells.edges[-1] / 6
    digits = 2 if shells.edges[-1] > 0.1 else 3
    ticks = [float(f"{1 / (step * k):.{digits}g}") for k in range(1, 7)]
    axes.set_xticks([1 / d for d in ticks], [f"{d:g}" for d in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("resolution, Å")
    return figure, axes
