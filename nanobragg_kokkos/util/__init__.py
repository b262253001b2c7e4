"""Tools without crystallography: parameters, messages, files, random numbers, progress."""
