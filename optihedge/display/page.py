"""Pages: frames and texts into one self-contained HTML file, every text escaped, no network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.display.numbers import is_number, number, numbers

if TYPE_CHECKING:
    from jinja2 import Environment


_INSTANT = "%Y-%m-%d %H:%M"
_NARROW = 5  # columns of a section that has room beside another
_OF_SHARES = 3  # digits of a share in percent


def render(template: str, **values: Any) -> str:
    """A page of display/pages with these values; those of `svg` functions are marked safe there."""
    return _environment().get_template(template).render(**values)


def section(
    title: str, text: str = "", *, pictures: Iterable[str] = (), sentences: Iterable[str] = (),
    frames: Iterable[pd.DataFrame] = (),
) -> dict[str, Any]:  # fmt: skip
    """A part of a page under its own heading: a text, pictures (SVG, from `display.svg`), sentences, tables."""
    told = {"pictures": list(pictures), "sentences": list(sentences), "frames": [one for one in frames if len(one)]}
    columns = sum(frame.shape[1] + 1 for frame in told["frames"])
    words = any(kind.kind not in "fiu" for frame in told["frames"] for kind in frame.dtypes)
    narrow = columns <= _NARROW and not (words or told["pictures"] or told["sentences"])
    return {"title": title, "text": text, "narrow": narrow, **told}


@cache
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    folder = files("optihedge.display").joinpath("pages")
    pages = {page.name: page.read_text(encoding="utf-8") for page in folder.iterdir() if "." in page.name}
    environment = Environment(
        loader=DictLoader(pages), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = _shown
    environment.filters["cells"] = cells
    environment.filters["plain"] = _plain
    environment.filters["caption"] = _caption
    environment.filters["head"] = lambda name: str(name).replace("_", " ")
    environment.tests["numeric"] = is_number
    return environment


def _plain(value: Any) -> str:
    """A number to ten digits, the same on every machine."""
    return f"{float(value):.10g}"


def _caption(svg: str) -> Any:
    """What a picture of `display.svg` calls itself; escaped there."""
    from markupsafe import Markup

    return Markup(svg.split("aria-label='", 1)[1].split("'", 1)[0])


def cells(frame: pd.DataFrame) -> list[tuple[str, list[tuple[Any, str]]]]:
    """The rows of a frame: a label, and each value beside its text, the numbers of a column to the same decimals."""
    columns = []
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        values = (column.dt.strftime(_INSTANT) if isinstance(column.dtype, pd.DatetimeTZDtype) else column).tolist()
        told = numbers(values, _OF_SHARES if str(name).startswith("%") else 6)
        columns.append([(value, "–" if text.endswith("inf") and is_number(value) else text)
                        for value, text in zip(values, told, strict=True)])  # fmt: skip
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    return [(str(label), list(row)) for label, row in zip(frame.index, rows, strict=True)]


def _shown(value: object) -> str:
    """A number for a reader; an open limit is a dash, not an infinity."""
    if is_number(value) and not np.isfinite(value):
        return "–" if np.isinf(value) else ""
    return number(value)
