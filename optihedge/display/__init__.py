"""Frames in, HTML or a figure out. matplotlib is imported when a figure is asked for, and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from optihedge.display.numbers import compact, is_number, number, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE, AFTER, BAND, INK = "#9aa7b4", "#1f6f8b", "#e3b505", "#33393f"
_LINES = {"before": BEFORE, "book": BEFORE, "after": AFTER, "both": AFTER, "hedge": BAND, "cost": INK}
_MOST_BARS = 30
_MOST_LINES = 8


# ---- text and HTML -------------------------------------------------------------------------------------------------


def table_html(frame: pd.DataFrame | pd.Series, caption: str = "") -> str:
    """An HTML table of a frame, all text escaped, numbers right-aligned."""
    table = frame.to_frame() if isinstance(frame, pd.Series) else frame
    index = "" if isinstance(table.index, pd.RangeIndex) else f"<th>{escape(str(table.index.name or ''))}</th>"
    sides = ["right" if kind.kind in "fiu" else "left" for kind in table.dtypes]
    names = zip(table.columns, sides, strict=True)
    head = index + "".join(f"<th style='text-align:{side}'>{escape(str(name))}</th>" for name, side in names)
    rows = []
    columns = [_cells(table.iloc[:, place]) for place in range(table.shape[1])]
    for label, row in zip(table.index, zip(*columns, strict=True) if columns else [()] * len(table), strict=True):
        first = f"<th style='text-align:left'>{escape(str(label))}</th>" if index else ""
        cells = "".join(row)
        rows.append(f"<tr>{first}{cells}</tr>")
    title = f"<caption style='text-align:left;font-weight:bold'>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def page_html(title: str, parts: Mapping[str, pd.DataFrame | pd.Series | str | Sequence[str]]) -> str:
    """Captioned tables, paragraphs and lists of sentences, one under the other."""
    body = [f"<h3>{escape(title)}</h3>"]
    for caption, part in parts.items():
        if isinstance(part, str):
            body.append(f"<p><b>{escape(caption)}</b> {escape(part)}</p>" if caption else f"<p>{escape(part)}</p>")
        elif isinstance(part, (pd.DataFrame, pd.Series)):
            body.append(table_html(part, caption) if len(part) else "")
        elif part:
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in part)
            body.append(f"<p><b>{escape(caption)}</b></p><ul>{items}</ul>")
    return f"<div class='optihedge'>{''.join(body)}</div>"


def _cells(column: pd.Series) -> list[str]:
    sides = ["right" if is_number(value) else "left" for value in column]
    told = zip(sides, numbers(column), strict=True)
    return [f"<td style='text-align:{side}'>{escape(text)}</td>" for side, text in told]


# ---- figures -------------------------------------------------------------------------------------------------------


@cache
def _picture() -> type[Figure]:
    """A Figure that a notebook shows without pyplot, and that can be one of Plotly's."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            stream = BytesIO()
            self.savefig(stream, format="png", dpi=90)
            return stream.getvalue()

        def plotly(self) -> Any:
            """The same picture as a Plotly figure. Raises SpecError where Plotly is not installed."""
            from optihedge.display.interactive import plotly_figure

            return plotly_figure(self)

    return Picture


def figure(rows: int = 1, columns: int = 1, height: float = 3.2, width: float = 8.0) -> tuple[Figure, np.ndarray]:
    """A figure that belongs to no window and shows itself in a notebook, and its axes rows x columns."""
    drawn = _picture()(figsize=(width, height * rows), layout="constrained")
    return drawn, np.atleast_2d(drawn.subplots(rows, columns, squeeze=False))


def bars_before_after(
    axes: Axes, before: pd.Series, after: pd.Series, title: str, unit: str = "", bands: pd.DataFrame | None = None
) -> None:
    """Horizontal bars of what there was and what is left, one pair per label, the largest first.

    bands   columns lower, upper by label, same unit: drawn as ticks around zero or the target
    """
    size = np.maximum(before.abs(), after.reindex(before.index).abs())
    labels = size.sort_values(ascending=False, kind="stable").index[:_MOST_BARS][::-1]
    place = np.arange(len(labels))
    axes.barh(place + 0.2, before[labels], height=0.38, color=BEFORE, label="before")
    axes.barh(place - 0.2, after[labels], height=0.38, color=AFTER, label="after")
    if bands is not None:
        for at, label in zip(place, labels, strict=True):
            if label in bands.index:
                edges = bands.loc[label, ["lower", "upper"]].to_numpy(float)
                edges = edges[np.isfinite(edges)]
                axes.plot(edges, np.full(len(edges), at), linestyle="none", marker="|", markersize=16, color=BAND,
                          markeredgewidth=2, label="limit" if at == place[-1] else None)  # fmt: skip
    axes.set_yticks(place, [str(label) for label in labels])
    axes.set_ylim(-1.0 - max(4 - len(labels), 0) / 2, len(labels) + max(4 - len(labels), 0) / 2)
    axes.axvline(0, color=INK, linewidth=0.8)
    _finish(axes, title, unit, along="x")
    axes.legend(frameon=False, fontsize=8)


def bars(axes: Axes, values: pd.Series, title: str, unit: str = "", highlight: Sequence[str] = ()) -> None:
    """Horizontal bars in the given order, some highlighted."""
    colors = [AFTER if label in highlight else BEFORE for label in values.index]
    place = np.arange(len(values))[::-1]
    axes.barh(place, values, color=colors, height=0.6)
    axes.set_yticks(place, [str(label) for label in values.index])
    for at, value in zip(place, values, strict=True):
        axes.annotate(number(value, 3), (value, at), xytext=(3 if value >= 0 else -3, 0), textcoords="offset points",
                      va="center", ha="left" if value >= 0 else "right", fontsize=8)  # fmt: skip
    axes.margins(x=0.18)
    axes.axvline(0, color=INK, linewidth=0.8)
    _finish(axes, title, unit, along="x")


def lines(axes: Axes, frame: pd.DataFrame, title: str, unit: str = "", horizontal: str = "") -> None:
    """One line per column against the index."""
    for name in frame.columns:
        axes.plot(frame.index, frame[name], label=str(name), linewidth=1.4, color=_LINES.get(str(name)))
    axes.set_xlabel(horizontal)
    _finish(axes, title, unit, along="y")
    if frame.shape[1] > 1:
        axes.legend(frameon=False, fontsize=8)


_LIGHTNESS = (0.3, 0.6, 0.1)  # of red, green and blue


def heat(
    axes: Axes, matrix: pd.DataFrame, title: str, limit: float | None = None, *, told: bool = False, cost: bool = False
) -> None:  # fmt: skip
    """A matrix as colours around zero, red below and blue above; or of costs, redder by their root.

    told: each cell's number in it; a NaN is left empty
    """
    from matplotlib.colors import Normalize, PowerNorm

    values = matrix.to_numpy(float)
    most = limit if limit is not None else float(np.nanmax(np.abs(values), initial=1e-300))
    norm = PowerNorm(0.5, 0.0, most) if cost else Normalize(-most, most)
    image = axes.imshow(values, cmap="Reds" if cost else "RdBu", norm=norm, aspect="auto", interpolation="nearest")
    step = max(1, len(matrix) // 30)
    axes.set_yticks(range(0, len(matrix.index), step), [str(x) for x in matrix.index[::step]], fontsize=7)
    step = max(1, matrix.shape[1] // 30)
    axes.set_xticks(range(0, matrix.shape[1], step), [str(x) for x in matrix.columns[::step]], fontsize=7, rotation=90)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    if not told:
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
        return
    for i, j in np.argwhere(np.isfinite(values)):
        dark = float(np.dot(image.cmap(norm(values[i, j]))[:3], _LIGHTNESS)) < 0.5
        axes.text(j, i, compact(values[i, j]), ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axes.tick_params(axis="x", rotation=0)


def plot_risk(volatility: pd.Series, correlation: pd.DataFrame) -> Figure:
    """Volatility of the most volatile drivers per period, in their own unit, and the correlations among them."""
    top = volatility.sort_values(ascending=False, kind="stable")[:_MOST_BARS]
    drawn, axes = figure(1, 2, height=max(3.2, 0.18 * len(top) + 1), width=10)
    bars(axes[0, 0], top, "volatility per period", "return, or absolute change")
    heat(axes[0, 1], correlation.loc[top.index, top.index], "correlation", limit=1.0)
    return drawn


def plot_market(history: pd.DataFrame, moves: pd.DataFrame) -> Figure:
    """Levels rebased to 100 of the drivers that moved most, and the spread of each driver's moves over time."""
    drawn, axes = figure(1, 2, width=10)
    drift = (history.iloc[-1] / history.bfill().iloc[0] - 1).abs()
    chosen = history[drift.sort_values(ascending=False, kind="stable").index[:_MOST_LINES]]
    lines(axes[0, 0], chosen / chosen.bfill().iloc[0] * 100, f"levels, {history.index[0]:%Y-%m-%d} = 100")
    window = max(len(moves) // 20, 5)
    lines(axes[0, 1], moves[chosen.columns].rolling(window).std(), f"volatility of {window} moves", "per period")
    for panel in axes[0]:
        panel.tick_params(axis="x", rotation=30)
    return drawn


def plot_hedge(
    baselines: pd.DataFrame, exposures: dict[str, tuple[pd.Series, pd.Series]], currency: str, title: str = ""
) -> Figure:
    """What a hedge leaves: volatility against the baselines', and exposures before and after, a panel for each.

    baselines   rows with columns volatility (per day) and cost, base currency; the last is the hedge
    exposures   panel's title -> (before, after) by group, base currency
    """
    shown = {name: pair for name, pair in exposures.items() if (pair[0].abs() + pair[1].abs()).sum() > 0}
    longest = max([len(pair[0]) for pair in shown.values()], default=0)
    height = max(3.2, 0.22 * min(longest, _MOST_BARS) + 1)
    drawn, axes = figure(1, 1 + len(shown), height=height, width=5 * (1 + len(shown)))
    if baselines["volatility"].notna().all():
        named = baselines["volatility"].rename(lambda name: f"{name}\ncost {number(baselines.at[name, 'cost'], 4)}")
        bars(axes[0, 0], named, "volatility per day", currency, highlight=named.index[-1:])
    else:  # without a risk model only costs can be compared
        bars(axes[0, 0], baselines["cost"], "cost", currency, highlight=baselines.index[-1:])
    for panel, (name, (before, after)) in zip(axes[0, 1:], shown.items(), strict=True):
        bars_before_after(panel, before, after, name, currency)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    return drawn


def _finish(axes: Axes, title: str, unit: str, along: Literal["x", "y"]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    (axes.set_xlabel if along == "x" else axes.set_ylabel)(unit, fontsize=8)
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(lambda value, _: compact(value))
    axes.grid(axis=along, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
