"""The documentation: `sphinx-build -W -b html docs docs/_build`, offline; its pages make no request."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import reference
import rendered
from sphinx_gallery.scrapers import figure_rst

project = "optihedge"
version = release = installed("optihedge")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["_build", "gallery"]
html_theme = "pydata_sphinx_theme"
html_title = "optihedge"
html_theme_options = {"show_toc_level": 2, "navigation_depth": 2, "secondary_sidebar_items": ["page-toc"]}
html_show_sourcelink = False
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False


def pictures(block, variables, settings):
    """The picture that a block ends in, for sphinx-gallery: ours belong to no window."""
    found = variables["example_globals"].get("___")
    if found is None or not hasattr(found, "savefig"):
        return ""
    path = next(variables["image_path_iterator"])
    found.savefig(path, dpi=90)
    return figure_rst([path], settings["src_dir"])


sphinx_gallery_conf = {
    "examples_dirs": "gallery", "gallery_dirs": "pages", "image_scrapers": (pictures,), "plot_gallery": True,
    "capture_repr": (), "download_all_examples": False, "show_signature": False, "remove_config_comments": True,
    "min_reported_time": 1e9, "write_computation_times": False, "show_memory": False, "abort_on_example_error": True,
    "show_api_usage": False,
}  # fmt: skip
suppress_warnings = ["config.cache"]  # a function among the settings: the gallery is never cached by it

reference.write(Path(__file__).parent)
rendered.write(Path(__file__).parent, (Path(__file__).parents[1] / "notebooks").glob("*.py"))


def as_text(app, what, name, obj, options, lines):
    """Our docstrings are aligned text, not reStructuredText: shown as they stand."""
    if lines:
        lines[:] = ["::", "", *("    " + line for line in lines), ""]


def setup(app):
    app.connect("autodoc-process-docstring", as_text)
