"""The amorphous sample: its amount, its structure factors, and their extraction from an image."""

from __future__ import annotations

import math

import numpy as np

from nanobragg_kokkos.simtbx.arithmetic import divided
from nanobragg_kokkos.simtbx.state import State

AVOGADRO = 6.02214179e23  # 1/mol
R_E_SQR = 7.94079248018965e-30  # square of the classical electron radius, m^2
FEWEST_PIXELS = 100  # a ring with fewer pixels gives no structure factor
OUTLIER = 6.0  # deviations from the middle


def prepare_sample(s: State) -> None:
    """Sets the number of molecules in the beam and the table of structure factors."""
    x, y, z = s.sample_size
    s.sample_size = (x, y if y > 0.0 else s.beam_size, z if z > 0.0 else s.beam_size)
    volume = s.sample_size[0] * s.sample_size[1] * s.sample_size[2]
    if s.sample_density == 0 and s.sample_molecules != 0 and volume != 0:
        s.sample_density = s.sample_molecules / volume / AVOGADRO * s.sample_molecular_weight
    s.sample_molecules = divided(volume * s.sample_density * AVOGADRO, s.sample_molecular_weight)
    s.Fbg_table = [(stol, s.default_Fbg if math.isnan(F) else F) for stol, F in s.given_Fbg]


def extract(s: State, source: int) -> None:
    """Replaces the structure factors by those that the image implies.

    Each point of the table becomes the mean over the pixels nearest to it in sin(theta)/lambda, without outliers.

    Raises:
        ValueError: there is no table, or there is no such source.
    """
    if not s.Fbg_table:
        raise ValueError("Fbg_vs_stol must be set before extract_background, which takes its points from it")
    if not 0 <= source < len(s.source_XYZ):
        raise ValueError(f"source must be one of the {len(s.source_XYZ)} sources, not {source}")
    first_fast, last_fast, first_slow, last_slow = s.roi
    fast, slow = np.meshgrid(
        np.arange(first_fast, min(last_fast + 1, s.fast_pixels)),
        np.arange(first_slow, min(last_slow + 1, s.slow_pixels)),
    )
    # simtbx uses the corners of pixels here.
    position = (
        np.array(s.pix0_vector)
        + (fast * s.pixel_size)[..., None] * s.fdet_vector
        + (slow * s.pixel_size)[..., None] * s.sdet_vector
    )
    distance = np.linalg.norm(position, axis=-1)
    direction = position / distance[..., None]
    solid_angle = 1 / distance**2
    if not s.point_pixel:
        solid_angle = s.pixel_size**2 / distance**2 * s.close_distance / distance
    incident = -np.array(s.source_XYZ[source]) / np.linalg.norm(s.source_XYZ[source])
    stol = 0.5e-10 * np.linalg.norm(direction - incident, axis=-1) / s.source_wavelengths[source]
    photons = s.raw_pixels.as_numpy_array().reshape(s.slow_pixels, s.fast_pixels)[slow, fast] - s.adc_offset
    per_electron2 = _polarization(s, incident, direction) * solid_angle * s.fluence * R_E_SQR * s.sample_molecules
    with np.errstate(divide="ignore", invalid="ignore"):
        F = np.sign(photons) * np.sqrt(np.abs(photons) / per_electron2)

    points = np.array([point for point, _ in s.Fbg_table])
    nearest = np.searchsorted((points[1:] + points[:-1]) / 2, stol)
    for k, (point, _) in enumerate(s.Fbg_table):
        mean, n = _robust_mean(F[nearest == k])
        if n > FEWEST_PIXELS:
            s.Fbg_table[k] = (point, mean)


def _polarization(s: State, incident: np.ndarray, direction: np.ndarray) -> np.ndarray | float:
    if s.nopolar:
        return 1.0
    cosine2 = (direction @ incident) ** 2
    across = np.cross(s.polar_vector, incident)
    psi = np.arctan2(direction @ across, direction @ np.cross(incident, across))
    return 0.5 * (1 + cosine2 - s.polarization * np.cos(2 * psi) * (1 - cosine2))


def _robust_mean(values: np.ndarray) -> tuple[float, int]:
    """Returns the mean without outliers, and the number of values in it."""
    rejected = True
    while rejected and len(values):
        distance = np.abs(values - _middle(values))
        keep = distance <= OUTLIER * _middle(distance)
        rejected = not keep.all()
        values = values[keep]
    fewest = len(values) / 2.0
    while len(values) > fewest:
        distance = np.abs(values - values.mean())
        worst = distance.argmax()
        if distance[worst] <= OUTLIER * np.sqrt(np.mean(distance**2)):
            break
        values = np.delete(values, worst)
    return (float(values.mean()) if len(values) else math.nan), len(values)


def _middle(values: np.ndarray) -> float:
    """Returns the median; for an even number of values, the lower of the two in the middle."""
    k = (len(values) + 1) // 2 - 1
    return float(np.partition(values, k)[k])
