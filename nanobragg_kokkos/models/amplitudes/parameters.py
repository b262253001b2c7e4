"""The parameters of structure factors, a part of crystal.

Their text, valid values, and which exclude each other.
"""

from __future__ import annotations

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.value_rules import between, file_or_none, not_auto, or_none, whole

# Goes into crystal { } of models/sample/parameters.py.
TEXT = """
  pdb
    .help = "Atomic model from which structure factors are calculated."
  {
    file = None
      .type = path
      .help = "Coordinates: PDB, mmCIF or small-molecule CIF. The file may be compressed (.gz, .bz2, .xz). None:"
              "rubredoxin, PDB entry 1BRF, which comes with cctbx."
    model = None
      .type = str
      .help = "Which model of a file with several: its number, or mean: all of them, their occupancies divided by"
              "their number. None: the first."
  }
  structure_factors
    .help = "Amplitudes from a file, in place of a model."
  {
    file = None
      .type = path
      .help = "Reflections: MTZ or CIF, compressed (.gz, .bz2, .xz) or not. The file holds amplitudes, intensities"
              "(turned into amplitudes after French & Wilson) or complex structure factors (whose absolute values"
              "count). They are used unchanged at all energies; missing reflections scatter nothing."
    label = None
      .type = str
      .help = "Label of a column of the data. None: the file has only one set of data."
  }
  unit_cell = None
    .type = unit_cell
    .help = "a, b, c (angstrom), alpha, beta, gamma (degrees). None: that of the file."
  space_group = None
    .type = space_group
    .help = "Symbol or number. None: that of the file."
  b_iso = None
    .type = float
    .help = "Mean B factor of the atoms, angstrom^2: all are shifted alike. None: as in the file."
  anomalous = *sasaki henke
    .type = choice
    .help = "Table of f' and f''. None: no anomalous scattering."
  anomalous_tables = None
    .type = strings
    .help = "Measured f' and f'' of elements, in place of the table: ELEMENT=FILE, one or several. Three columns:"
            "energy (eV, ascending, all energies of the beam), f', f'' (electrons)."
  anomalous_channels = None
    .type = int
    .help = "At how many energies structure factors are calculated, evenly from the lowest to the highest; 1: the mean"
            "energy. Each energy of a beam takes the nearest. None: one for each energy of the spectrum, but 0.5 eV"
            "apart or more, if f' or f'' of an element changes by more than 0.1 electrons over it, else 1."
  k_sol = 0.35
    .type = float
    .help = "Density of the bulk solvent, electrons/angstrom^3. 0: no solvent."
  b_sol = 46
    .type = float
    .help = "Smearing of the bulk solvent (its B factor), angstrom^2."
"""

# Larger values are typing errors; exp(-B / 4 d^2) of the largest leaves nothing to see at any resolution.
MOST_B = 1e4

RULES = {
    "crystal.pdb.file": file_or_none(),
    "crystal.pdb.model": not_auto("None, mean or the number of a model"),
    "crystal.structure_factors.file": file_or_none(),
    "crystal.structure_factors.label": not_auto("the label of a column"),
    "crystal.unit_cell": not_auto("a unit cell: six numbers"),
    "crystal.space_group": not_auto("the symbol or number of a space group"),
    "crystal.b_iso": or_none(between(0, MOST_B, " angstrom^2")),
    "crystal.anomalous": not_auto("sasaki, henke or None"),
    "crystal.anomalous_tables": not_auto("ELEMENT=FILE, one or several"),
    "crystal.anomalous_channels": or_none(whole(1)),
    # Water has 0.33, heavy mother liquors have some 0.45; platinum would have 5.
    "crystal.k_sol": between(0, 10, " electrons/angstrom^3"),
    "crystal.b_sol": between(0, MOST_B, " angstrom^2"),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Checks that no parameter contradicts amplitudes from a file.

    Raises:
        Sorry: one does; names the parameter and what was expected.
    """
    crystal = params.crystal
    if crystal.structure_factors.file is None:
        if crystal.structure_factors.label is not None:
            raise Sorry(
                f"crystal.structure_factors.label={crystal.structure_factors.label} requires "
                "crystal.structure_factors.file"
            )
        return
    for name, value in (
        ("crystal.pdb.file", crystal.pdb.file),
        ("crystal.pdb.model", crystal.pdb.model),
        ("crystal.b_iso", crystal.b_iso),
        ("crystal.anomalous_tables", " ".join(crystal.anomalous_tables) if crystal.anomalous_tables else None),
        ("crystal.anomalous_channels", None if crystal.anomalous_channels == 1 else crystal.anomalous_channels),
    ):
        if value is not None:
            raise Sorry(
                f"{name} and crystal.structure_factors.file exclude each other, "
                "as the amplitudes of the file are used unchanged"
            )
