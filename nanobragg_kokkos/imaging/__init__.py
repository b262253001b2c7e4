"""Models to photons to counts: simulation, readout, prediction."""
