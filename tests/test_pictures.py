"""Every picture draws in one style and looks as it did when somebody looked at it, but for what a machine may change.

`python tests/test_pictures.py` writes the small pictures in tests/pictures anew: look at them before you commit them.
"""

import io
import sys
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nights import coin_markets, path
from PIL import Image

import optihedge as oh
from optihedge.hedge.pictures import PICTURES
from optihedge.market.rich_cheap import smiles
from optihedge.names import HOMES

FOLDER = Path(__file__).with_name("pictures")
SMALL = (192, 96)  # pixels
MEAN, SHARE, FAR = 4.0, 0.02, 64  # of 255: mean difference; share of pixels that differ by more than FAR


def small(figure: Any) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=60)
    return np.asarray(Image.open(stream).convert("L").resize(SMALL, Image.Resampling.BOX))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    difference = np.abs(one.astype(float) - other.astype(float))
    return bool(difference.mean() <= MEAN and (difference > FAR).mean() <= SHARE)


@cache
def example() -> tuple[oh.Market, pd.Series]:
    folder = oh.write_example(mkdtemp())
    return oh.read_market(folder), oh.read_book(folder / "book.csv")


MODEL = oh.HedgeModel(
    name="bands", risk=oh.EwmaRisk(63), betas=oh.Beta(), objective=(oh.Variance(1e-5), oh.SpreadCost(), oh.FeeCost()),
    constraints=(oh.Neutral("beta:SPX", band=1e5), oh.Neutral("vega", band=5e3)),
)  # fmt: skip


def surface() -> Any:
    market, _ = example()
    return oh.options.Surface(tuple(one for _, one in smiles(market))).plot(oh.options.rich_cheap(market))


@cache
def hedge() -> oh.Hedge:
    return MODEL.hedge(*example())


@cache
def walk() -> oh.stats.Backtest:
    model = oh.HedgeModel(objective=(oh.SpreadCost(),), universe=("PERP",),
                          constraints=(oh.Neutral("delta", by="underlying", band=2000.0),))  # fmt: skip
    return oh.run_backtest(model, coin_markets(path(25)), {"C1": 10.0, "P1": -5.0})


@cache
def judged() -> Any:
    moves = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (240, 4)), columns=list("ABCD"))
    estimators = {"EWMA": oh.EwmaRisk(20), "slow": oh.EwmaRisk(120)}
    return oh.stats.evaluate_risk(estimators, moves, start=120, books=3, size=2)


DRAWN: dict[str, Callable[[], Any]] = {
    **{f"hedge-{what}": lambda what=what: hedge().plot(what) for what in PICTURES},
    "frontier": lambda: MODEL.frontier(*example(), [1e-7, 1e-6, 1e-5]).plot(),
    "risk": lambda: hedge().risk_model.plot(),
    "market": lambda: example()[0].plot(),
    "surface": surface,
    "walk": lambda: walk().plot(),
    "estimators": lambda: judged().plot(),
    "effectiveness": lambda: walk().effectiveness.plot(),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_looks_as_it_did(name: str) -> None:
    drawn = DRAWN[name]()
    assert all(axes.get_title(loc="left") or axes.get_title() or axes.get_label() for axes in drawn.axes)
    assert same(small(drawn), np.asarray(Image.open(FOLDER / f"{name}.png"))), "look at it, then write it anew"


def test_no_two_pictures_pass_for_each_other_and_a_flipped_one_is_seen() -> None:
    pictures = {name: np.asarray(Image.open(FOLDER / f"{name}.png")) for name in DRAWN}
    for name, one in pictures.items():
        assert not same(one, one[:, ::-1]), name
        assert [other for other, picture in pictures.items() if same(one, picture)] == [name]


def told(figure: Any) -> list[float]:
    """Every number that a picture of ours draws, sorted: ends of bars, points of lines, cells of maps."""
    found: list[float] = []
    for axes in (one for one in figure.axes if one.get_label() != "<colorbar>"):
        found += [bar.get_x() + bar.get_width() for bars in axes.containers for bar in getattr(bars, "patches", ())]
        for line in axes.get_lines():
            if line.get_transform() == axes.transData:
                found += [float(value) for value in line.get_ydata()]
        found += [float(value) for image in axes.get_images() for value in np.ma.compressed(image.get_array())]
    return sorted(value for value in found if np.isfinite(value))


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_in_plotly_has_the_same_panels_names_and_numbers(name: str) -> None:
    pytest.importorskip("plotly")
    ours = DRAWN[name]()
    theirs = ours.plotly()
    panels = [axes for axes in ours.axes if axes.get_label() != "<colorbar>"]
    titles = {unescape(note.text) for note in theirs.layout.annotations}
    assert {axes.get_title(loc="left") for axes in panels if axes.get_title(loc="left")} <= titles
    names = {label for axes in panels for label in axes.get_legend_handles_labels()[1]}
    assert {trace.name for trace in theirs.data if trace.showlegend} == names
    drawn: list[float] = []
    for trace in theirs.data:
        crossing = trace.type == "scatter" and len(trace.x) == 2 and trace.x[0] == trace.x[1] == 0 and not trace.name
        if not crossing:
            values = {"bar": "x", "heatmap": "z", "scatter": "y"}[trace.type]
            drawn += [float(value) for value in np.ravel(trace[values])]
    drawn = sorted(value for value in drawn if np.isfinite(value))
    assert not set(np.round(told(ours), 12)) - set(np.round(drawn, 12)) and len(theirs.to_json()) > 500


def test_names_are_text_in_plotly_too() -> None:
    pytest.importorskip("plotly")
    from optihedge.display import bars, figure

    drawn, axes = figure()
    bars(axes[0, 0], pd.Series({"<b onclick=x>": 1.0, "=1+1": -2.0}), "t")
    assert (
        "&lt;b onclick=x&gt;" in drawn.plotly().layout.yaxis.ticktext and "<b onclick" not in drawn.plotly().to_json()
    )


def test_without_plotly_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optihedge.display.interactive.find_spec", lambda _: None)
    with pytest.raises(oh.SpecError, match=r"pip install 'optihedge\[plotly\]'"):
        walk().plot().plotly()


def test_a_picture_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(oh.SpecError, match="there is no picture 'pie'; there are summary, bands"):
        hedge().plot("pie")


def test_what_a_notebook_shows_has_html_and_no_text_longer_than_a_screen() -> None:
    """Every public value with a picture has HTML; whatever calculations give is no longer than a screen as text."""
    market, book = example()
    done, made = walk(), hedge()
    surfaces = oh.options.Surface(tuple(one for _, one in smiles(market)))
    frontier = MODEL.frontier(market, book, [1e-6])
    shown = (market, made, oh.trade_list(made), made.risk_model, frontier, surfaces, done, done.effectiveness, judged())
    drawing = {cls for cls in public() if callable(getattr(cls, "plot", None))}
    assert drawing <= {*map(type, shown), oh.risk.ContractRisk}, "a picture that this test does not know"
    for value in (*shown, MODEL, made.certificate, made.problem, done.steps, *MODEL.terms):
        assert len(repr(value).splitlines()) <= 50 and len(repr(value)) < 8000, type(value)
    for cls in {*map(type, shown), *drawing}:
        assert callable(getattr(cls, "_repr_html_", None)), cls
    for value in shown:
        assert "<table" in value._repr_html_(), type(value)


def public() -> set[type]:
    """The classes among the public names."""
    names = {name for homes in HOMES.values() for listed in homes.values() for name in listed}
    return {value for name in names if isinstance(value := getattr(oh, name), type)}


if __name__ == "__main__":
    for name, draw in DRAWN.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            Image.fromarray(small(draw())).save(FOLDER / f"{name}.png")
