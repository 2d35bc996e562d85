"""A desk whose share is nowhere for a night: its book goes on, whatever its file says that it holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night, write_book
from nights import START

from optihedge.accounts.state import State
from optihedge.backtest.simulate import run_backtest
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.errors import DataError
from optihedge.hedge.modelfile import parse_model
from optihedge.market.snapshot import Market
from optihedge.step.broker import AtQuote

MODEL = """
description = "The least variance after costs."
horizon = "1d"
risk = { type = "EwmaRisk", halflife = 20 }
[[objective]]
type = "Variance"
aversion = 1e-3
[[objective]]
type = "SpreadCost"
[[objective]]
type = "FeeCost"
"""
PRICES = pd.DataFrame(
    100 * np.exp(np.cumsum(0.01 * np.random.default_rng(3).standard_normal((64, 3)), axis=0)),
    index=pd.date_range(end=START + pd.Timedelta("3D"), periods=64, freq="D"), columns=["X", "Y", "Z"],
)  # fmt: skip


def night(day: int, names: str) -> Market:
    known = PRICES.loc[: START + day * pd.Timedelta("1D"), list(names)]
    return Market.from_prices(known, base_currency="USD", spread=1e-4, market="Z")


@pytest.mark.parametrize("holds", ["opening", "client", "account"])
def test_a_share_that_is_nowhere_for_a_night_stops_neither_its_book_nor_its_hedge(holds: str, tmp_path: Path) -> None:
    markets = [night(0, "XYZ"), night(1, "YZ"), night(2, "YZ"), night(3, "XYZ")]
    book = {"X": 100.0, "Y": -50.0}
    (tmp_path / "least.toml").write_text(MODEL)
    text = DESK.replace('"opening"', f'"{holds}"')
    desk = desk_in(tmp_path, markets, book, model="least.toml", text=text)
    before, hedged = None, {}
    for market in markets:
        if before is not None and holds == "account":
            write_book(tmp_path / "one.csv", hedged)  # the statement says it of the share that nobody quotes too
        (result,) = one_night(desk, market, AtQuote(), before).results
        assert result.status in ("first", "solved", "empty"), result.why
        state = state_of(desk)
        assert list(state.carried) == (["X"] if "X" not in market.names else [])
        assert not any(order.instrument == "X" for order in state.orders) or "X" in market.names
        hedged = state.quantities().to_dict()
        for order in state.orders:
            hedged[order.instrument] = hedged.get(order.instrument, 0.0) + order.left
        before = market
    assert state.held["book"]["X"] == 100.0


@pytest.mark.parametrize("columns", [["venue_amount"], ["quantity", "venue_amount"]])
def test_a_file_of_venue_amounts_may_go_on_naming_what_is_halted(columns: list[str], tmp_path: Path) -> None:
    markets = [night(0, "XYZ"), night(1, "YZ"), night(2, "XYZ")]
    (tmp_path / "least.toml").write_text(MODEL)
    desk = desk_in(tmp_path, markets, {}, model="least.toml", text=DESK.replace('"opening"', '"client"'))
    file = pd.DataFrame({"instrument": ["X", "Y"], "quantity": [100.0, -50.0], "venue_amount": [100.0, -50.0]})
    file[["instrument", *columns]].to_csv(tmp_path / "one.csv", index=False)
    before = None
    for market in markets:
        (result,) = one_night(desk, market, AtQuote(), before).results
        assert result.status in ("first", "solved", "empty"), result.why
        assert state_of(desk).held["book"] == {"X": 100.0, "Y": -50.0}
        before = market


@pytest.mark.parametrize("told", ["by date", "by function", "once"])
def test_a_walk_goes_on_through_a_night_on_which_a_share_of_its_book_is_nowhere(told: str) -> None:
    markets = [night(0, "XYZ"), night(1, "YZ"), night(2, "XYZ")]
    book = {"X": 100.0, "Y": -50.0}
    dates = {market.as_of: book for market in markets}
    given: Any = {"by date": dates, "by function": lambda market: dates[market.as_of], "once": book}[told]
    run = run_backtest(parse_model(MODEL, name="least", file="least"), markets, given)
    moves = PRICES["Y"].iloc[-4:].diff().to_numpy()[1:3] * -50.0
    client = run.pnl["book"].to_numpy()
    assert client[-2] == pytest.approx(moves[0]) and client[-1] == pytest.approx(
        moves[1] + 100.0 * (PRICES["X"].iloc[-2] - PRICES["X"].iloc[-4])
    )
    assert [kind in ("first", "solved", "empty") for kind in run.steps["status"]] == [True] * 3
    with pytest.raises(DataError, match="instrument W is not in the market"):
        run_backtest(parse_model(MODEL, name="least", file="least"), markets, lambda market: {**book, "W": 1.0})


def state_of(desk: Desk) -> State:
    with open_ledger(desk.ledger).read() as connection:
        return State.from_text(get_text(connection, last_run(desk)["after"]))
