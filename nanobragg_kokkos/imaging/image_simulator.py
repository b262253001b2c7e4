"""Simulates the images of an experiment one after the other."""

from __future__ import annotations

from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.imaging.readout import Counts
from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox
from nanobragg_kokkos.util.progress import counted


class ImageSimulator:
    """Simulates images, and keeps the models that they share on the device.

    Args:
        experiment: the experiment to simulate.
        engine, tolerance: engine of the spots and its tolerance, as in Simulation.add_spots.
        amplitudes: amplitudes of the experiment in memory shared with other processes. None: those that it holds.
    """

    def __init__(
        self,
        experiment: Experiment,
        engine: str = "auto",
        tolerance: float | None = None,
        amplitudes: AmplitudeBox | None = None,
    ) -> None:
        self.experiment = experiment
        self.engine = engine
        self.tolerance = tolerance
        first = experiment.exposure(0)
        self._structure_factors = amplitudes or (_own_amplitudes(experiment) if first.crystals else None)
        self._pulse = first.pulse
        self._simulation = experiment.simulation(self._pulse)
        self._readout = experiment.readout(self._simulation)

    def engine_line(self) -> str:
        """Returns a line that says which engine computes the spots of the first image, and why."""
        engine, reason = self.engine, "as asked for"
        crystals = self.experiment.exposure(0).crystals
        if not crystals or self._structure_factors is None:
            return "Spots: none, as there is no crystal"
        crystal = crystals[0]
        if engine == "auto":
            choice = self._simulation.choose_engine(crystal, self._structure_factors, self.tolerance)
            engine, reason = choice.engine, choice.reason
        if engine == "reflection" and self.tolerance is not None:
            reason += f"; no pixel lacks more than {self.tolerance:g} of the brightest"
        if crystal.rotation is not None:
            reason += f"; {counted(crystal.rotation.steps, 'orientation')} in each image"
        return f"Spots: {engine} engine, {reason}"

    def start(self, index: int) -> Counts:
        """Simulates an image, counted from 0, and returns its counts, which may still be on their way to the host."""
        exposure = self.experiment.exposure(index)
        image = self._simulation
        if exposure.pulse is not self._pulse:
            image.illuminate(self.experiment.sources(exposure.pulse), self.experiment.fluence(exposure.pulse))
            self._pulse = exposure.pulse
        image.clear()
        image.add_background(*self.experiment.backgrounds)
        if self._structure_factors is not None:
            for crystal in exposure.crystals:
                image.add_spots(crystal, self._structure_factors, self.engine, self.tolerance)
        return self._readout.start(self.experiment.seed, index)


def _own_amplitudes(experiment: Experiment) -> AmplitudeBox:
    channels = experiment.scattering.channels
    if channels is None:
        raise ValueError("amplitudes must be given where the experiment holds none")
    return channels.box()
