"""What the beam hits: crystals in their orientations, and amorphous material."""
