"""Pages: frames and texts into one self-contained HTML file, every text escaped, no network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.display import number

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A page of display/pages with these values; those of `svg` functions are marked safe there."""
    return _environment().get_template(template).render(**values)


def section(
    title: str, text: str = "", *, pictures: Iterable[str] = (), sentences: Iterable[str] = (),
    frames: Iterable[pd.DataFrame] = (),
) -> dict[str, Any]:  # fmt: skip
    """A part of a page under its own heading: a text, pictures (SVG, from `display.svg`), sentences, tables."""
    return {"title": title, "text": text, "pictures": list(pictures), "sentences": list(sentences),
            "frames": [frame for frame in frames if len(frame)]}  # fmt: skip


@cache
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files("optihedge.display").joinpath("pages")
    pages = {page.name: page.read_text(encoding="utf-8") for page in folder.iterdir() if "." in page.name}
    environment = Environment(
        loader=DictLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _shown
    environment.filters["plain"] = _plain
    environment.filters["caption"] = _caption
    environment.tests["numeric"] = _numeric
    return environment


def _numeric(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def _plain(value: Any) -> str:
    """A number to ten digits, the same on every machine."""
    return f"{float(value):.10g}"


def _caption(svg: str) -> Any:
    """What a picture of `display.svg` calls itself; escaped there."""
    from markupsafe import Markup

    return Markup(svg.split("aria-label='", 1)[1].split("'", 1)[0])


def _shown(value: object) -> str:
    """A number for a reader; an open limit is a dash, not an infinity."""
    if _numeric(value) and not np.isfinite(value):  # type: ignore[call-overload]
        return "–" if np.isinf(value) else ""  # type: ignore[call-overload]
    return number(value)
