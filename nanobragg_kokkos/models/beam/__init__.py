"""The incident beam: sources, pulses and their spectra."""
