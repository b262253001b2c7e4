"""The sample: crystals in their orientations, and amorphous material."""
