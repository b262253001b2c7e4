"""The help of nanobragg_kokkos.simulate."""

from __future__ import annotations

from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.util import help_text as help_texts

USAGE = """Simulates X-ray diffraction images of protein crystals, for DIALS and cctbx.

  nanobragg_kokkos.simulate                                        ten stills of rubredoxin
  nanobragg_kokkos.simulate n_images=100 crystal.pdb.file=model.pdb beam.mean_energy=7120
  nanobragg_kokkos.simulate detector.name=jungfrau_4m spectrum.shape=sase spike_width_eV=2
  mpirun -n 4 nanobragg_kokkos.simulate n_images=1000 output.directory=many

Usage: nanobragg_kokkos.simulate [FILE.phil] [name=value] ...
  -n, --dry-run       estimate time and disk space; write nothing
"""

# Parameters that people change, in the order of the experiment.
COMMON = [
    "n_images",
    "seed",
    "crystal.pdb.file",
    "crystal.structure_factors.file",
    "crystal.orientation.file",
    "crystal.length_um",
    "crystal.Deff_A",
    "crystal.mosaic_spread_deg",
    "beam.mean_energy",
    "beam.total_flux",
    "beam.size_mm",
    "spectrum.shape",
    "spectrum.fwhm",
    "spectrum.nchannels",
    "background.water_mm",
    "background.air_mm",
    "scan.width_deg",
    "detector.name",
    "detector.reference",
    "detector.distance_mm",
    "detector_response.preset",
    "psf.shape",
    "oversample",
    "noise",
    "output.directory",
    "output.prefix",
    "output.images_per_file",
]


def help_text() -> str:
    """Returns what --help prints."""
    return help_texts.help_text(USAGE, parameters.phil_scope, COMMON)
