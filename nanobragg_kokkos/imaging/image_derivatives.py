"""An image of expected photons with its derivatives by parameters of the models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.imaging.simulation import Simulation
from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox
from nanobragg_kokkos.models.amplitudes.structure_factors import StructureFactors
from nanobragg_kokkos.models.sample.amorphous import Amorphous
from nanobragg_kokkos.models.sample.crystal import Crystal
from nanobragg_kokkos.models.tangent import Tangent, stacked


class ImageDerivatives:
    """An image and its derivatives: starts dark, and adds up what is asked for.

    The derivatives are exact to rounding.  Where an image jumps (half-way between two reflections, at a cut-off), they
    are those of the piece on which a pixel lies.

    Args:
        simulation: whose detector and beam are meant, as they are now; its image stays as it is.
        tangents: name → tangent of each parameter, from models.sample.crystal_tangents, models.beam.beam_tangents and
            models.detector.panel_tangents.

    Raises:
        ValueError: no parameter.
    """

    def __init__(self, simulation: Simulation, tangents: Mapping[str, Tangent]) -> None:
        if not tangents:
            raise ValueError("tangents must hold a parameter at least")
        self._simulation = simulation
        self._tangents = dict(tangents)
        self._jacobian = ext.Jacobian(simulation._workspace, len(self._tangents), simulation._detector.n_pixels)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of the derivatives."""
        return tuple(self._tangents)

    def add_spots(
        self,
        crystal: Crystal,
        structure_factors: StructureFactors | AmplitudeBox,
        engine: str = "auto",
        tolerance: float | None = None,
    ) -> None:
        """Adds the Bragg spots of a crystal and their derivatives.

        Args:
            crystal, structure_factors, engine: as for Simulation.add_spots.
            tolerance: as there; the engine leaves out no more of a derivative, as a share of its largest value.

        Raises:
            ValueError: as Simulation.add_spots does; a tangent of other models.
        """
        if engine == "auto":
            engine = self._simulation.choose_engine(crystal, structure_factors, tolerance).engine
        self._jacobian.add_spots(
            workspace=self._simulation._workspace,
            detector=self._simulation._detector,
            sources=self._simulation._sources,
            crystal=crystal.on_device(),
            structure_factors=structure_factors.on_device,
            interpolation=crystal.interpolation,
            tangents=self._on_device(),
            engine=engine,
            tolerance=tolerance,
        )

    def add_background(self, *samples: Amorphous) -> None:
        """Adds the diffuse scattering of amorphous samples and its derivatives.

        Raises:
            ValueError: the simulation has no beam_size_mm.
        """
        if self._simulation.beam_size_mm is None:
            raise ValueError("beam_size_mm of the simulation is needed for a background")
        tangents = self._on_device()
        for sample in samples:
            self._jacobian.add_background(
                workspace=self._simulation._workspace,
                detector=self._simulation._detector,
                sources=self._simulation._sources,
                amorphous=sample.on_device(self._simulation.beam_size_mm),
                tangents=tangents,
            )

    @property
    def image(self) -> tuple[np.ndarray, ...]:
        """Expected photons, one float64 array (slow, fast) a panel."""
        return self._panels(np.asarray(self._jacobian.image(self._simulation._workspace)))

    def __getitem__(self, parameter: str) -> tuple[np.ndarray, ...]:
        """Returns the derivative by a parameter, photons per its unit, one float64 array (slow, fast) a panel."""
        return self._panels(self.jacobian[self.parameters.index(parameter)])

    @property
    def jacobian(self) -> np.ndarray:
        """All derivatives, (n_parameters, n_pixels) float64, photons per unit of each parameter."""
        values = np.asarray(self._jacobian.derivatives(self._simulation._workspace))
        return values.reshape(len(self._tangents), -1)

    def _panels(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        sizes = [slow * fast for slow, fast in self._simulation.shapes]
        parts = np.split(pixels, np.cumsum(sizes)[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, self._simulation.shapes))

    def _on_device(self) -> ext.Tangents:
        tangents = list(self._tangents.values())
        blocks = [t.blocks for t in tangents if t.blocks is not None]
        return ext.Tangents(
            detector=self._simulation._detector,
            sources=self._simulation._sources,
            n_blocks=len(blocks[0]) if blocks else 0,
            common=flex.double(stacked(tangents, lambda t: t.common)),
            blocks=flex.double(stacked(tangents, lambda t: t.blocks)),
            weights=flex.double(stacked(tangents, lambda t: t.weights)),
            panels=flex.double(stacked(tangents, lambda t: t.panel_motions)),
        )
