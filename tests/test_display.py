"""Tables and figures: nothing unescaped, numbers readable, every figure draws without a window."""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optihedge.display import compact, figure, lines, page_html, plot_hedge, plot_market, plot_risk, table_html
from optihedge.display.numbers import number, numbers
from optihedge.hedge.modelfile import load_model
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market


def png(drawn: object) -> bytes:
    """The figure as PNG."""
    stream = io.BytesIO()
    drawn.savefig(stream, format="png", dpi=50)  # type: ignore[attr-defined]
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567.891, "1,234,568"), (2092.625, "2,092.62"), (0.0123456789, "0.012346"), (12.5, "12.5"), (-3.0, "-3"),
     (0.0, "0"), (float("nan"), ""), (float("inf"), "inf"), (1e-9, "1e-09"), (2e18, "2e+18"), ("x", "x"),
     (True, "True"), (-0.0, "0")],
)  # fmt: skip
def test_a_number_reads_as_a_person_writes_it(value: object, text: str) -> None:
    assert number(value) == text


def test_axes_have_short_numbers() -> None:
    assert [compact(v) for v in (1_250_000, -35_000, 2_000, 0.04, 3e9)] == ["1.25M", "-35k", "2,000", "0.04", "3bn"]


def test_everything_in_a_table_is_escaped() -> None:
    frame = pd.DataFrame({"<b>": ["<script>alert(1)</script>"]}, index=pd.Index(["<i>"], name="<u>"))
    html = table_html(frame, "<h1>") + page_html("<t>", {"<c>": "<p>", "<d>": frame})
    assert "<script>" not in html and "<i>" not in html and "<h1>" not in html and "&lt;script&gt;" in html
    for tag in ("<b>", "<t>", "<c>"):
        assert tag not in html.replace("<p><b>&lt;c&gt;</b>", "")


def test_a_page_holds_tables_paragraphs_and_lists() -> None:
    empty = {"d": pd.DataFrame(), "e": []}
    html = page_html("t", {"a": "text", "b": ["one <1>", "two"], "c": pd.DataFrame({"x": [1.5]}), **empty})
    assert "<li>one &lt;1&gt;</li><li>two</li>" in html and "<p><b>a</b> text</p>" in html and ">1.5</td>" in html
    assert ">d<" not in html and ">e<" not in html


def test_figures_of_a_hedge_a_risk_and_a_market(example_folder: Path) -> None:
    market = read_market(example_folder)
    hedge = load_model("optimal_hedge").hedge(market, read_book(example_folder / "book.csv"))
    pictures = [png(drawn) for drawn in (hedge.plot(), hedge.risk_model.plot(), market.plot())]
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5_000 for picture in pictures)
    labels = [text.get_text() for text in hedge.plot().axes[0].get_yticklabels()]
    assert labels[0].startswith("no trade") and labels[-1].startswith("hedge")
    for shown in (hedge, hedge.risk_model, market):
        html = shown._repr_html_()
        assert "<table" in html and "None" not in html
    assert "pyplot" not in " ".join(m for m in sys.modules if m.startswith("matplotlib.pyplot"))


def test_a_hedge_without_options_has_no_vega_panel() -> None:
    zero = pd.Series({"2026-01": 0.0})
    delta = pd.Series({"A": 1.0, "B": -2.0})
    baselines = pd.DataFrame({"volatility": [2.0, 1.0], "cost": [0.0, 0.1]}, index=["no trade", "hedge"])
    drawn = plot_hedge(baselines, {"delta": (delta, delta / 2), "vega": (zero, zero)}, "USD")
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["volatility per day", "delta"]


def test_without_a_risk_model_a_hedge_shows_its_cost() -> None:
    delta = pd.Series({"A": 1.0})
    baselines = pd.DataFrame({"volatility": [np.nan, np.nan], "cost": [0.0, 0.1]}, index=["no trade", "hedge"])
    drawn = plot_hedge(baselines, {"delta": (delta, delta / 2)}, "USD")
    assert drawn.axes[0].get_title(loc="left") == "cost" and drawn._repr_png_().startswith(b"\x89PNG")


def test_correlations_are_those_of_the_covariance(example_folder: Path) -> None:
    risk = load_model("beta_hedge").risk.fit(read_market(example_folder).moves()).risk_
    generator = np.random.default_rng(0)
    given = np.corrcoef(generator.multivariate_normal(np.zeros(len(risk.drivers)), risk.covariance(), 100_000).T)
    assert np.allclose(risk.correlation(), given, atol=0.02)
    assert np.allclose(np.diag(risk.correlation()), 1.0)
    assert png(plot_risk(risk.volatility(), risk.correlation()))


def test_one_driver_and_short_histories_draw() -> None:
    days = pd.date_range("2026-01-01", periods=8, tz="UTC")
    prices = pd.DataFrame({"A": np.linspace(10, 12, 8) + np.sin(range(8)) / 10}, index=days)
    market = Market.from_prices(prices, base_currency="USD")
    assert png(market.plot())
    assert png(plot_market(market.history, market.moves()))
    drawn, axes = figure()
    lines(axes[0, 0], prices, "one line")
    assert png(drawn)


@pytest.mark.parametrize(
    ("column", "told"),
    [([40.58, 2092.5, 7], ["40.58", "2,092.50", "7.00"]), ([25753.9, 0.0, -12.34567], ["25,753.9", "0", "-12.3"]),
     ([1e6, 2.5], ["1,000,000", "2.5"]), ([3e6 + 0.25, 5.33173, 1234.6], ["3,000,000", "5.33", "1,235"]),
     ([23689.9, -5.84e-11, float("nan")], ["23,689.9", "0", ""]), (["none", 1.5, None], ["none", "1.5", ""]),
     ([0.1234567, 0.00002], ["0.1235", "0.00002"]), ([12, 345], ["12", "345"]), ([float("inf"), 0.5], ["inf", "0.5"])],
)  # fmt: skip
def test_the_numbers_of_a_column_have_the_same_decimals(column: list[object], told: list[str]) -> None:
    assert numbers(column) == told


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=12))
def test_a_number_of_a_column_is_told_to_two_digits_or_better(column: list[float]) -> None:
    largest = max(map(abs, column))
    for value, text in zip(column, numbers(column), strict=True):
        assert abs(float(text.replace(",", "")) - value) <= max(
            0.05 * abs(value) * (abs(value) > 1e-12 * largest), 1e-12 * largest
        )
