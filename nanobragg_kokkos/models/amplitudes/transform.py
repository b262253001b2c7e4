"""Calculates structure factors of atoms with cctbx: by fast Fourier transform if its grid allows, else by summation."""

from __future__ import annotations

from collections.abc import Callable

from cctbx import maptbx, miller, xray
from cctbx.array_family import flex

from nanobragg_kokkos.models.amplitudes import direct_summation

# Atoms times reflections times symmetry operations; direct summation takes some 100 ns each.
MOST_TERMS = 3e9

# Of the sum of the amplitudes: how far the transform may be from direct summation where that takes some seconds, up to
# CHEAP_TERMS; on a good grid, it is 0.1 % off.
FFT_TOLERANCE = 0.003
CHEAP_TERMS = 1e8

# Between two lines on the progress.
BLOCK_TERMS = 2e7


def structure_factors(
    structure: xray.structure,
    reflections: miller.set,
    algorithm: str = "auto",
    warn: Callable[[str], None] = lambda line: None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> miller.array:
    """Returns structure factors (complex) of the atoms, with the form factors that the structure has registered.

    The transform needs the density of each atom on a grid. cctbx cuts it off at the shortest vector of the lattice,
    so that it is wrong for atoms whose density, smeared as the grid requires, reaches farther. Where that happens,
    and where some reflections differ by more than 1 % from their direct summation, all are summed directly, up to
    MOST_TERMS; up to CHEAP_TERMS where they differ by more than FFT_TOLERANCE.

    Args:
        structure: atoms and symmetry; not changed.
        algorithm: "auto", or "direct" for direct summation.
        warn: called with a line of text if the structure factors differ from direct summation or come from it.
        seed: seed of the choice of reflections to check.
        progress: is called with a line now and then.
    """
    n_terms = structure.scatterers().size() * structure.space_group().order_z() * reflections.size()
    found = None
    if algorithm == "auto":
        found = _by_fft(structure, reflections, anyway=n_terms > MOST_TERMS)
        if found is None:
            warn("Structure factors: by direct summation, as atoms reach farther than the shortest axis of the cell")
        else:
            difference = direct_summation.difference(structure, found, seed)
            if difference > direct_summation.TOLERANCE and n_terms <= MOST_TERMS:
                warn("Structure factors: by direct summation, as the fast Fourier transform is off by more than 1 %")
                found = None
            elif difference > FFT_TOLERANCE and n_terms <= CHEAP_TERMS:
                found = None
    if found is None:
        found = _by_summation(structure, reflections, progress)
    difference = direct_summation.difference(structure, found, seed)
    if not difference <= direct_summation.TOLERANCE:
        warn(
            f"Warning: structure factors differ by {100 * difference:.2g} % from the direct summation of some that "
            "were chosen at random"
        )
    return found


def _by_summation(structure: xray.structure, reflections: miller.set, progress: Callable[[str], None]) -> miller.array:
    """Returns structure factors by direct summation, in blocks that take some seconds each."""
    size = reflections.size()
    step = max(1, int(BLOCK_TERMS / (structure.scatterers().size() * structure.space_group().order_z())))
    values = flex.complex_double()
    for start in range(0, size, step):
        if start:
            progress(f"Structure factors: {100 * start / size:.0f} % of {size} reflections are summed")
        block = reflections.select(flex.size_t_range(start, min(start + step, size)))
        values.extend(xray.structure_factors.from_scatterers_direct(structure, block).f_calc().data())
    return miller.array(reflections, values)


def _by_fft(structure: xray.structure, reflections: miller.set, anyway: bool) -> miller.array | None:
    """Returns structure factors by the fast Fourier transform, or None if the grid does not allow it.

    Args:
        anyway: wherever it can be calculated.
    """
    # These keep the errors of the fast Fourier transform at 0.1 % of the mean amplitude; the defaults at 0.6 %.
    manager = xray.structure_factors.from_scatterers(
        miller_set=reflections, grid_resolution_factor=1 / 3, quality_factor=1000, wing_cutoff=1e-5
    ).setup_fft()
    density = xray.sampled_model_density(
        unit_cell=structure.unit_cell(),
        scatterers=structure.scatterers(),
        scattering_type_registry=structure.scattering_type_registry(),
        fft_n_real=manager.rfft().n_real(),
        fft_m_real=manager.rfft().m_real(),
        u_base=manager.u_base(),
        wing_cutoff=manager.wing_cutoff(),
        exp_table_one_over_step_size=manager.exp_table_one_over_step_size(),
        force_complex=manager.force_complex(),
        sampled_density_must_be_positive=manager.sampled_density_must_be_positive(),
        tolerance_positive_definite=manager.tolerance_positive_definite(),
    )
    if density.excessive_sampling_radius_i_seqs().size() and not anyway:
        return None
    if density.anomalous_flag():
        transformed = manager.cfft().backward(density.complex_map())
    else:
        transformed = manager.rfft().forward(density.real_map())
    values = maptbx.structure_factors.from_map(
        space_group=reflections.space_group(),
        anomalous_flag=density.anomalous_flag(),
        miller_indices=reflections.indices(),
        complex_map=transformed,
        conjugate_flag=not density.anomalous_flag(),
    ).data()
    density.eliminate_u_extra_and_normalize(reflections.indices(), values)
    return miller.array(reflections, values)
