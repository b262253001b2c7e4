"""Structure factor amplitudes, calculated from coordinates or read from files."""
