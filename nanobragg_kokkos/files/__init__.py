"""Reading and writing NeXus/NXmx files, true models and pictures."""
