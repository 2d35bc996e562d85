"""Shipped models keep their neutrality: hard where a hedge exists, soft only where none does, and reports say which."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.cli import main

HARD, ALONE = "hard", "soft, no hedge"


@pytest.fixture(scope="module")
def market(example_folder: Path) -> oh.Market:
    """The example with a second market driver, a stock's, that no future moves."""
    market = oh.read_market(example_folder)
    drivers = market.drivers.copy()
    drivers.loc["AAPL", "market"] = True
    return replace(market, drivers=drivers)


@pytest.fixture(scope="module")
def book(example_folder: Path) -> pd.Series:
    return oh.read_book(example_folder / "book.csv")


@pytest.mark.parametrize(
    ("name", "hard", "alone"),
    [("beta_hedge", "beta:SPX", "beta:AAPL"), ("market_neutral", "beta:SPX", "beta:AAPL"),
     ("delta_neutral", "delta[SPX]", "delta[AAPL]")],
)  # fmt: skip
def test_what_a_hedge_moves_is_hard_and_what_none_moves_is_told_as_it_stands(
    name: str, hard: str, alone: str, market: oh.Market, book: pd.Series
) -> None:
    hedge = replace(oh.load_model(name), universe=("ES-SEP16",)).hedge(market, book)
    limits = hedge.limits
    assert (limits.loc[hard, "kind"], limits.loc[alone, "kind"]) == (HARD, ALONE)
    assert limits.loc[hard, "violation"] <= 1e-9 * abs(limits.loc[hard, "before"])
    assert limits.loc[alone, "after"] == limits.loc[alone, "before"] and limits.loc[alone, "violation"] > 0
    moved = abs(limits["after"] - limits["before"]) > 0
    assert (limits.loc[moved & (limits["term"] == limits.loc[hard, "term"]), "kind"] == HARD).all()
    (said,) = [note for note in hedge.problem.notes if "no tradable contract moves it" in note]
    assert alone in said or "more" in said
    page = oh.trade_list(hedge)
    assert page.held or len(page), "a beta that nothing hedges is no reason to hold the rest"


@pytest.mark.parametrize("name", ["beta_hedge", "market_neutral", "delta_neutral", "neutral"])
def test_every_shipped_neutrality_is_met_on_the_example(
    name: str, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    hedge = oh.load_model(name).hedge(market, book)
    hard = hedge.limits[hedge.limits["kind"] == HARD]
    assert len(hard) and (hard["violation"] <= 1e-9 * np.abs(hard["before"]).clip(lower=1.0)).all()
    assert {HARD, ALONE, "soft"} >= set(hedge.limits["kind"])


def test_neutral_holds_delta_beta_and_vega_hard_at_once(example_folder: Path) -> None:
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    model = oh.load_model("neutral")
    assert {type(term).__name__ for term in model.objective} == {"Variance", "SpreadCost", "DepthCost", "FeeCost"}
    limits = model.hedge(market, book).limits
    assert set(limits.index) == {"delta", "beta:SPX", "vega"} and (limits["kind"] == HARD).all()
    assert (limits["before"].abs() > limits["upper"]).all(), "the book is outside all three"


def test_what_neutral_cannot_meet_is_named_with_the_least_change(
    market: oh.Market, book: pd.Series, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One future for delta and beta: one of them by the least that the other leaves; by Python and by command line."""
    one = replace(
        oh.load_model("neutral"), universe=("ES-SEP16",), constraints=oh.load_model("neutral").constraints[:2]
    )
    with pytest.raises(oh.InfeasibleError) as told:
        one.hedge(oh.read_market(example_folder), book)
    text = str(told.value)
    assert "these conflict: delta, beta:SPX" in text and "smallest change" in text
    change = told.value.relaxation.frame
    wider = [replace(term, band=float(abs(change["change"].get(label, 0.0))) * (1 + 1e-6))
             for term, label in zip(one.constraints, ("delta", "beta:SPX"), strict=True)]  # fmt: skip
    assert replace(one, constraints=tuple(wider)).hedge(oh.read_market(example_folder), book).certificate.optimal
    less = [replace(term, band=term.band * 0.99) for term in wider]
    with pytest.raises(oh.InfeasibleError):
        replace(one, constraints=tuple(less)).hedge(oh.read_market(example_folder), book)
    with pytest.raises(oh.InfeasibleError, match=r"beta:AAPL is .*, allowed"):
        replace(oh.load_model("neutral"), universe=("ES-SEP16",)).hedge(market, book)
    text = (Path(__file__).parents[1] / "models" / "neutral.toml").read_text()
    (tmp_path / "one.toml").write_text(text + '\n[universe]\ninstruments = ["ES-SEP16"]\n')
    as_of = "2016-06-30T20:00:00Z"
    assert main(["run", str(tmp_path / "one.toml"), "--data", str(example_folder), "--out", str(tmp_path / "out"),
                 "--as-of", as_of]) == 1  # fmt: skip
    assert "infeasible: " in pd.read_csv(next((tmp_path / "out").rglob("summary.csv")))["note"].iloc[0]
    assert not list((tmp_path / "out").rglob("trades.csv"))
