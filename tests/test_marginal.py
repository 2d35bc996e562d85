"""What one more contract costs hedged, and what closing a book takes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desks import stocks

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.market.depth import IMPACT
from optihedge.trades.page import page_of

AVERSION, SIGMA = 1e-3, 0.01


def desk(universe: tuple[str, ...] = ("S2",), **quotes: float) -> oh.Hedge:
    market = stocks(3, spread=1e-3)
    market = replace(market, quotes=market.quotes.assign(**quotes)) if quotes else market
    root = pd.DataFrame(SIGMA**2 * np.array([[1, 0.9, 0.8], [0.9, 1, 0.7], [0.8, 0.7, 1]]),
                        index=market.drivers.index, columns=market.drivers.index)  # fmt: skip
    model = oh.HedgeModel(risk=oh.Risk.from_covariance(root, periods_per_year=252), universe=universe,
                          objective=(oh.Variance(AVERSION), oh.SpreadCost()))  # fmt: skip
    return model.hedge(market, {"S0": 1000.0})


def test_one_more_contract_costs_what_the_least_objective_rises_by() -> None:
    """Hedged with S2 alone at a spread c: (aversion / 2) variance is least at h with slope -+c; in closed form."""
    hedge = desk()
    price = hedge.market.price.to_numpy()
    d, r, c = SIGMA * price[0], SIGMA * price[2], 0.0005 * price[2]

    def least(q: float) -> float:
        h = -np.sign(q) * max(0.8 * d * abs(q) / r - c / (AVERSION * r**2), 0.0)
        return AVERSION / 2 * (d**2 * q**2 + 2 * 0.8 * d * r * q * h + r**2 * h**2) + c * abs(h)

    for size in (50.0, -50.0):
        told = hedge.marginal("S0", size)
        assert told["charge"] == pytest.approx(least(1000 + size) - least(1000), rel=1e-6)
        assert told["each"] == pytest.approx(told["charge"] / 50)
    assert hedge.marginal("S0", 50.0)["charge"] > 0 > hedge.marginal("S0", -50.0)["charge"]


def test_a_contract_the_desk_sells_anyway_is_bought_back_for_less() -> None:
    hedge = desk()
    assert hedge.trades["S2"] < 0
    saved, cost = hedge.marginal("S2", -1.0)["each"], hedge.marginal("S2", 1.0)["each"]
    half = 0.0005 * hedge.market.price["S2"]
    assert saved == pytest.approx(-half, rel=1e-3), "a client's sale to the book takes the place of one at the spread"
    assert cost == pytest.approx(half, rel=1e-3)
    with pytest.raises(SpecError, match=r"S9 is no instrument"):
        hedge.marginal("S9")
    with pytest.raises(SpecError, match="size is 0"):
        hedge.marginal("S0", 0.0)


def test_a_relative_aversion_stays_that_of_the_present_book() -> None:
    hedge = desk()
    relative = replace(hedge.model, objective=(oh.Variance(relative=AVERSION * hedge.problem.size), oh.SpreadCost()))
    same = relative.hedge(hedge.market, {"S0": 1000.0})
    assert same.marginal("S0", 300.0)["charge"] == pytest.approx(hedge.marginal("S0", 300.0)["charge"], rel=1e-6)


def test_closing_takes_days_by_volume_and_risks_what_a_straight_line_does() -> None:
    hedge = desk(universe=(), volume=2000.0, bid_size=100.0, ask_size=100.0)
    table = hedge.liquidity(share=0.1, confidence=0.99)
    price = float(hedge.market.price["S0"])
    assert table.loc["S0", "days"] == pytest.approx(1000 / 200)
    assert table.loc["S0", "risk"] == pytest.approx(1000 * SIGMA * price * np.sqrt(5 / 3))
    impact = IMPACT * SIGMA * price * 900 * np.sqrt(900 / 2000)
    assert table.loc["S0", "cost"] == pytest.approx(1000 * 0.0005 * price + impact, rel=0.05)
    assert table.loc["S0", "lvar"] == pytest.approx(
        table.loc["S0", "cost"] + 2.3263 * table.loc["S0", "risk"], rel=1e-4
    )
    assert table.loc["book"].to_numpy() == pytest.approx(table.loc["S0"].to_numpy(), rel=1e-3)


def test_a_hedge_takes_risk_off_the_closing_of_a_book_too() -> None:
    hedge = desk(volume=2000.0)
    table = hedge.liquidity()
    lines = table.drop(index="book")
    assert table.loc["book", "risk"] < np.sqrt((lines["risk"] ** 2).sum())
    assert np.isnan(desk().liquidity().loc["S0", "days"])
    flat = oh.HedgeModel(objective=(oh.SpreadCost(),), capital=1e5).hedge(hedge.market, {"S0": 1.0})
    with pytest.raises(DataError, match="needs a risk"):
        flat.liquidity()


def test_a_lists_page_tells_how_long_closing_takes_and_what_may_be_lost_till_then() -> None:
    hedge = desk(universe=(), volume=2000.0, bid_size=100.0, ask_size=100.0)
    page = page_of(oh.trade_list(hedge, checks=None))
    part = page[page.index(">Liquidity</h2>") :].partition("</section>")[0]
    told = hedge.liquidity().loc["book"]
    assert all(f">{name}</th>" in part for name in ("days", "cost", "risk", "lvar", "S0", "book"))
    assert all(f'data-v="{value:.10g}"' in part for value in told)
    assert ">Liquidity</h2>" not in page_of(oh.trade_list(desk(), checks=None)), "no volume is known"
