"""A picture as a Plotly figure, to zoom and to point at: the same panels, numbers, names, colours. Extra: plotly."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from optihedge.errors import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_MARKS = {"|": "line-ns-open", "o": "circle", "s": "square"}
_INCH = 96  # pixels


def plotly_figure(figure: Figure) -> Any:
    """The Plotly figure of one of our pictures. Raises SpecError where Plotly is not installed."""
    if find_spec("plotly") is None:
        raise require_extra("plotly", "plotly")
    from plotly.subplots import make_subplots

    panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None and axes.get_label() != "<colorbar>"]
    places = [axes.get_subplotspec() for axes in panels]
    rows, columns = places[0].get_gridspec().get_geometry()  # type: ignore[union-attr]
    titles = [_words(axes.get_title(loc="left")) for axes in panels]
    made = make_subplots(rows=rows, cols=columns, subplot_titles=titles)
    named: set[str] = set()
    for axes, place in zip(panels, places, strict=True):
        at = {"row": place.rowspan.start + 1, "col": place.colspan.start + 1}  # type: ignore[union-attr]
        for trace in [*_bars(axes), *_lines(axes), *_segments(axes), *_maps(axes)]:
            once = trace.showlegend and trace.name not in named
            named.add(trace.name)
            made.add_trace(trace.update(showlegend=once), **at)
        for text in axes.texts:
            x, y = getattr(text, "xy", text.get_position())
            side = text.get_horizontalalignment()
            made.add_annotation(x=x, y=y, text=_words(text.get_text()), showarrow=False, xanchor=side,
                                font_color=_color(text.get_color()), **at)  # fmt: skip
        made.update_xaxes(title_text=axes.get_xlabel(), **_ticks(axes, "x"), **at)
        made.update_yaxes(title_text=axes.get_ylabel(), **_ticks(axes, "y"), **at)
    width, height = figure.get_size_inches() * _INCH
    above = _words(figure.get_suptitle())
    return made.update_layout(
        template="plotly_white", barmode="overlay", width=width, height=height + _INCH, title=above
    )


def _bars(axes: Axes) -> list[Any]:
    """Horizontal bars, those of a name as one trace."""
    from matplotlib.container import BarContainer
    from plotly.graph_objects import Bar

    found = []
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            boxes = [(p.get_x() + p.get_width(), p.get_y() + p.get_height() / 2, p.get_height()) for p in bars]
            x, y, thick = np.array(boxes).reshape(-1, 3).T
            colors = [_color(patch.get_facecolor()) for patch in bars]
            found.append(Bar(x=x, y=y, width=thick, orientation="h", marker_color=colors, **_name(bars)))
    return found


def _lines(axes: Axes) -> list[Any]:
    """Lines and marks in the panel's own coordinates; a line across the panel spans what is drawn."""
    from matplotlib.container import ErrorbarContainer
    from plotly.graph_objects import Scatter

    found = []
    owners = {id(held[0]): held for held in axes.containers if isinstance(held, ErrorbarContainer)}
    for line in axes.get_lines():
        x, y = line.get_data()
        if line.get_transform() == axes.get_xaxis_transform(which="grid"):
            y = axes.get_ylim()
        elif line.get_transform() != axes.transData:
            x = axes.get_xlim()
        marks, dash = line.get_marker() in _MARKS, _DASHES.get(str(line.get_linestyle()))
        found.append(Scatter(
            x=np.asarray(x), y=np.asarray(y), mode="+".join(["lines"] * bool(dash) + ["markers"] * marks) or "lines",
            line={"color": _color(line.get_color()), "dash": dash or "solid", "width": line.get_linewidth()},
            marker={"symbol": _MARKS.get(str(line.get_marker())), "color": _color(line.get_color())},
            **_name(owners.get(id(line), line)),
        ))  # fmt: skip
    return found


def _segments(axes: Axes) -> list[Any]:
    """Collections of segments: quotes from bid to ask, the arms of an error."""
    from matplotlib.collections import LineCollection
    from plotly.graph_objects import Scatter

    found = []
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            pieces = [np.vstack([piece, [np.nan, np.nan]]) for piece in lines.get_segments()]
            x, y = np.vstack([*pieces, np.empty((0, 2))]).T
            color = _color(lines.get_color()[0])
            found.append(Scatter(x=x, y=y, mode="lines", line={"color": color, "width": 1.5}, **_name(lines)))
    return found


def _maps(axes: Axes) -> list[Any]:
    from plotly.graph_objects import Heatmap

    found = []
    for image in axes.get_images():
        low, high = image.get_clim()
        values: np.ndarray = np.ma.asarray(image.get_array()).filled(np.nan)
        found.append(
            Heatmap(
                z=values,
                zmin=low,
                zmax=high,
                colorscale=image.get_cmap().name,
                showscale=not axes.texts,
                showlegend=False,
            )
        )
    return found


def _ticks(axes: Axes, direction: str) -> dict[str, Any]:
    """Named ticks where the axis has some, dates and logarithms as such, a map's rows from above."""
    from matplotlib.ticker import FixedLocator

    axis = axes.xaxis if direction == "x" else axes.yaxis
    told: dict[str, Any] = {}
    if isinstance(axis.get_major_locator(), FixedLocator):
        words = [_words(label.get_text()) for label in axis.get_ticklabels()]
        told = {"tickvals": list(axis.get_ticklocs()), "ticktext": words}
    if axis.get_scale() == "log":
        told["type"] = "log"
    if direction == "y" and axes.get_images():
        told["autorange"] = "reversed"
    return told


def _name(artist: Any) -> dict[str, Any]:
    """What the legend calls it; nothing where matplotlib's legend has nothing either."""
    label = str(artist.get_label())
    shown = bool(label) and not label.startswith("_") and label != "None"
    return {"name": _words(label) if shown else "", "showlegend": shown}


def _words(text: str) -> str:
    """A text as Plotly shows it: never as marks of style."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("\n", "<br>")


def _color(color: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)
