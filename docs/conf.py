"""The documentation: `sphinx-build -W -b html docs docs/_build`, offline; its pages make no request."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference

project = "optihedge"
version = release = installed("optihedge")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "optihedge"
html_theme_options = {"show_toc_level": 2, "navigation_depth": 2, "secondary_sidebar_items": ["page-toc"]}
html_show_sourcelink = False
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False

reference.write(Path(__file__).parent)


def as_text(app, what, name, obj, options, lines):
    """Our docstrings are aligned text, not reStructuredText: shown as they stand."""
    if lines:
        lines[:] = ["::", "", *("    " + line for line in lines), ""]


def setup(app):
    app.connect("autodoc-process-docstring", as_text)
