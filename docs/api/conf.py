"""Settings of Sphinx for the API reference, which is made of the docstrings."""

import nanobragg_kokkos

project = "nanobragg_kokkos"
version = release = nanobragg_kokkos.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
html_theme = "alabaster"
html_show_sourcelink = False
