"""Pictures inside a page: bars against bands, lines, heat maps, as SVG text without scripts or network."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

import numpy as np
import pandas as pd

from optihedge.display import compact

WIDTH = 640
_LABEL = 200  # of the width, for names
_ROW = 30  # height of one row of bars
_SAID = 150  # of the width, for numbers
_SLACK = 1e-6  # of a limit: a smaller miss is rounding


def bands_svg(table: pd.DataFrame, title: str) -> str:
    """Each row's before and after as bars in its own scale, its band as a shaded range: columns before, after, lower,
    upper; an infinite end is open.
    """
    height = _ROW * len(table) + 26
    parts = [_open(WIDTH, height, title)]
    for place, row in enumerate(table.itertuples()):
        ends = np.array([row.before, row.after, row.lower, row.upper, 0.0], dtype=float)
        finite = ends[np.isfinite(ends)]
        low, high = finite.min(), finite.max()
        pad = 0.05 * (high - low) or 1.0
        low, high = low - pad, high + pad
        at = lambda v, low=low, high=high: _LABEL + (WIDTH - _LABEL - _SAID) * (v - low) / (high - low)  # noqa: E731
        y = _ROW * place + 4
        parts.append(f"<text x='{_LABEL - 8}' y='{y + 17}' class='label' text-anchor='end'>{_short(row.Index)}</text>")
        if np.isfinite(row.lower) or np.isfinite(row.upper):
            left, right = max(row.lower, low), min(row.upper, high)
            width = max(at(right) - at(left), 1.5)
            parts.append(f"<rect x='{at(left):.1f}' y='{y}' width='{width:.1f}' height='24' class='band'/>")
        zero = at(0.0)
        for value, top, kind in ((row.before, y + 3, "before"), (row.after, y + 13, "after")):
            x, width = min(at(value), zero), max(abs(at(value) - zero), 1.0)
            parts.append(f"<rect x='{x:.1f}' y='{top}' width='{width:.1f}' height='8' class='{kind}'/>")
        parts.append(f"<line x1='{zero:.1f}' y1='{y}' x2='{zero:.1f}' y2='{y + 24}' class='axis'/>")
        out = row.after < row.lower - _SLACK * abs(row.lower) or row.after > row.upper + _SLACK * abs(row.upper)
        told = f"{compact(row.before)} → {compact(row.after)}{' OUT' if out else ''}"
        parts.append(f"<text x='{WIDTH - 4}' y='{y + 17}' class='value' text-anchor='end'>{told}</text>")
    key = f"<text x='{_LABEL}' y='{height - 4}' class='key'>"
    parts.append(f"{key}grey before, blue after, shaded: allowed; each row in its own scale</text></svg>")
    return "".join(parts)


def smile_svg(table: pd.DataFrame, title: str) -> str:
    """Bid and ask vols as bars over the strike, the smile as a line through them: columns strike, bid_vol, ask_vol, vol
    (decimals), sorted by strike; a quote without a bid's vol hangs from its ask.
    """
    height, left, bottom = 240, 56, 34
    strike, smile = table["strike"].to_numpy(dtype=float), 100 * table["vol"].to_numpy(dtype=float)
    sides = 100 * table[["bid_vol", "ask_vol"]].to_numpy(dtype=float)
    low, high = max(np.min(smile) - 0.25 * np.ptp(smile) - 2, 0.0), np.max(smile) + 0.25 * np.ptp(smile) + 2
    x = np.log(strike)
    across = lambda v: left + (WIDTH - left - 20) * (v - x[0]) / max(x[-1] - x[0], 1e-9)  # noqa: E731
    up = lambda v: 10 + (height - bottom - 10) * (high - np.clip(v, low, high)) / (high - low)  # noqa: E731
    parts = [_open(WIDTH, height, title)]
    for value in np.linspace(low, high, 4):
        y = float(up(value))
        parts.append(f"<line x1='{left}' y1='{y:.1f}' x2='{WIDTH - 20}' y2='{y:.1f}' class='axis'/>")
        parts.append(f"<text x='{left - 6}' y='{y + 4:.1f}' class='value' text-anchor='end'>{value:.0f}</text>")
    for at, (bid, ask) in zip(x, sides, strict=True):
        ends = up(np.array([bid if np.isfinite(bid) else low, ask if np.isfinite(ask) else high]))
        parts.append(f"<line x1='{across(at):.1f}' y1='{ends[0]:.1f}' x2='{across(at):.1f}' y2='{ends[1]:.1f}' "
                     "class='quote'/>")  # fmt: skip
    points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, smile, strict=True))
    parts.append(f"<polyline points='{points}' class='line after'/>")
    last = -np.inf
    for at, value in zip(x, strike, strict=True):
        if across(at) - last > 70 and across(at) < WIDTH - 40:
            last = across(at)
            parts.append(f"<text x='{last:.1f}' y='{height - 18}' class='value' text-anchor='middle'>{value:,g}</text>")
    said = "vol in points over the strike; bars: bid to ask"
    parts.append(f"<text x='{left}' y='{height - 3}' class='key'>{said}</text></svg>")
    return "".join(parts)


def lines_svg(table: pd.DataFrame, title: str, unit: str) -> str:
    """One line a column over a numeric index."""
    height, left, bottom = 234, 70, 44
    x, values = table.index.to_numpy(dtype=float), table.to_numpy(dtype=float)
    low, high = float(min(values.min(), 0.0)), float(max(values.max(), 0.0))
    high = high if high > low else low + 1.0
    across = lambda v: left + (WIDTH - left - 20) * (v - x[0]) / (x[-1] - x[0])  # noqa: E731
    up = lambda v: 10 + (height - bottom - 10) * (high - v) / (high - low)  # noqa: E731
    parts = [_open(WIDTH, height, title)]
    for value in _ticks(low, high):
        parts.append(f"<line x1='{left}' y1='{up(value):.1f}' x2='{WIDTH - 20}' y2='{up(value):.1f}' class='axis'/>")
        parts.append(
            f"<text x='{left - 6}' y='{up(value) + 4:.1f}' class='value' text-anchor='end'>{compact(value)}</text>"
        )
    for place in np.linspace(0, len(x) - 1, 5).astype(int):
        parts.append(f"<text x='{across(x[place]):.1f}' y='{height - 22}' class='value' text-anchor='middle'>"
                     f"{100 * x[place]:+.3g}%</text>")  # fmt: skip
    for name, kind in zip(table.columns, ("before", "after"), strict=False):
        points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, table[name].to_numpy(float), strict=True))
        parts.append(f"<polyline points='{points}' class='line {kind}'/>")
    parts.append(f"<text x='{left}' y='{height - 4}' class='key'>{escape(unit)}: grey before, blue after</text></svg>")
    return "".join(parts)


def paths_svg(table: pd.DataFrame, title: str, unit: str) -> str:
    """One line a column over time, at most four, each named at its end."""
    height, left, right, bottom = 264, 70, 170, 40
    x, values = table.index.asi8.astype(float), table.to_numpy(dtype=float)  # type: ignore[attr-defined]
    low, high = float(min(np.nanmin(values), 0.0)), float(max(np.nanmax(values), 0.0))
    high = high if high > low else low + 1.0
    across = lambda v: left + (WIDTH - left - right) * (v - x[0]) / max(x[-1] - x[0], 1.0)  # noqa: E731
    up = lambda v: 10 + (height - bottom - 10) * (high - v) / (high - low)  # noqa: E731
    parts = [_open(WIDTH, height, title)]
    for value in _ticks(low, high):
        parts.append(f"<line x1='{left}' y1='{up(value):.1f}' x2='{WIDTH - right}' y2='{up(value):.1f}' class='axis'/>")
        parts.append(
            f"<text x='{left - 6}' y='{up(value) + 4:.1f}' class='value' text-anchor='end'>{compact(value)}</text>"
        )
    for place in sorted({0, len(x) // 2, len(x) - 1}):
        parts.append(f"<text x='{across(x[place]):.1f}' y='{height - 22}' class='value' text-anchor='middle'>"
                     f"{table.index[place]:%Y-%m-%d}</text>")  # fmt: skip
    heights = _apart([up(value) for value in values[-1][:4]])
    for number, (name, dash) in enumerate(zip(table.columns, ("", "", "6 4", "2 3"), strict=False)):
        told = table[name].to_numpy(dtype=float)
        points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, told, strict=True) if np.isfinite(b))
        kind = "before" if number == 0 else "after"
        parts.append(f"<polyline points='{points}' class='line {kind}' stroke-dasharray='{dash or 'none'}'/>")
        parts.append(
            f"<text x='{WIDTH - right + 6}' y='{heights[number] + 4:.1f}' class='value'>{_short(name, 158)}</text>"
        )
    parts.append(f"<text x='{left}' y='{height - 4}' class='key'>{escape(unit)}</text></svg>")
    return "".join(parts)


def heat_svg(table: pd.DataFrame, title: str, *, cost: bool = False) -> str:
    """A cell a value, its number in it: red below zero and blue above, or of costs, redder by their root; none for NaN.
    Rows and columns are labelled.
    """
    cell, left, row_height = min(90, (WIDTH - 90) // max(table.shape[1], 1)), 84, 26
    height = row_height * (len(table) + 1) + 6
    most = float(np.nanmax(np.abs(table.to_numpy(dtype=float)), initial=0.0)) or 1.0
    parts = [_open(WIDTH, height, title)]
    for j, name in enumerate(table.columns):
        x = left + cell * j + cell / 2
        parts.append(f"<text x='{x:.0f}' y='18' class='value' text-anchor='middle'>{escape(str(name))}</text>")
    for i, (label, row) in enumerate(zip(table.index, table.to_numpy(dtype=float), strict=True)):
        y = row_height * (i + 1)
        parts.append(f"<text x='{left - 6}' y='{y + 17}' class='value' text-anchor='end'>{escape(str(label))}</text>")
        for j, value in enumerate(row):
            if np.isnan(value):
                continue
            kind = "loss" if cost or value < 0 else "gain"
            shade = abs(value) / most
            x, opacity = left + cell * j, 0.06 + 0.4 * (shade**0.5 if cost else shade)
            parts.append(f"<rect x='{x}' y='{y}' width='{cell - 2}' height='{row_height - 2}' class='{kind}' "
                         f"fill-opacity='{opacity:.2f}'/>")  # fmt: skip
            parts.append(f"<text x='{x + cell / 2:.0f}' y='{y + 17}' class='value' text-anchor='middle'>"
                         f"{compact(value)}</text>")  # fmt: skip
    return "".join([*parts, "</svg>"])


def _ticks(low: float, high: float) -> list[float]:
    """The ends and zero, without an end that would stand on zero."""
    return [0.0, *(end for end in (low, high) if abs(end) > 0.08 * (high - low))]


def _apart(heights: list[float], least: float = 15.0) -> list[float]:
    """Heights moved down until none stands on another, in their own order."""
    found = list(heights)
    for before, at in pairwise(np.argsort(heights, kind="stable")):
        found[at] = max(found[at], found[before] + least)
    return found


def _open(width: int, height: int, title: str) -> str:
    name = escape(title)
    return f"<svg viewBox='0 0 {width} {height}' role='img' aria-label='{name}'><title>{name}</title>"


def _short(text: object, most: float = _LABEL - 12) -> str:
    """A text cut to so many units of the picture, by the widths of its letters."""
    word, room = "", most
    for letter in str(text):
        room -= 13.5 if east_asian_width(letter) in "WF" or letter in "MW@%" else 10.0 if letter.isupper() else 8.0
        if room < 0:
            return escape(word + "…")
        word += letter
    return escape(word)
