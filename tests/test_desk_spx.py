"""An SPX options desk: a random 40-leg book hedged by `optimal_hedge` with 20 listed options and the index."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from recorded_markets import spx_days, spx_market

import optihedge as oh
from optihedge.market.earned import contract_pnl


def desk(folder, day: pd.Timestamp, seed: int):
    """The market, a book of 40 random legs (7 to 120 days, 5 to 60 delta) and 20 other options as hedges."""
    market = spx_market(folder, day, max_days=120)
    delta = (market.exposures["delta"] / market.notional).abs()
    options = market.names[(market.instruments["type"] == "option") & delta.between(0.05, 0.60)]
    chosen = np.random.default_rng(seed).choice(options, 60, replace=False)
    book = pd.Series(np.random.default_rng(seed + 1).integers(1, 20, 40) * np.where(np.arange(40) % 2, 1.0, -1.0),
                     index=chosen[:40])  # fmt: skip
    return market, book, ("SPX", *chosen[40:])


def hedged(folder, day: pd.Timestamp, seed: int):
    market, book, universe = desk(folder, day, seed)
    model = replace(oh.load_model("optimal_hedge"), universe=universe)
    return market, book, model.hedge(market, book)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_book_ends_with_less_risk_and_whole_lots(recorded, seed):
    folder = recorded("spx_options_2019")
    market, _, hedge = hedged(folder, spx_days(folder)[-2], seed)
    assert hedge.certificate.status == "optimal"
    whole = oh.round_to_lots(hedge)
    trades = whole.trades[whole.trades != 0]
    assert len(trades) and np.abs(trades - trades.round()).max() < 1e-9
    assert set(trades.index) <= set(desk(folder, market.as_of.tz_localize(None).normalize(), seed)[2])
    assert whole.risk.loc["volatility", "after"] < 0.5 * whole.risk.loc["volatility", "before"]
    assert whole.certificate.gap >= -1e-6 * whole.certificate.scale


@pytest.mark.slow
def test_next_days_profit_varies_less_with_the_hedge(recorded):
    """Every recorded pair of consecutive closes, one book a day: realised P&L with the hedge against without."""
    folder = recorded("spx_options_2019")
    days = spx_days(folder)[10:]
    rows = []
    for seed, (day, after) in enumerate(pairwise(days)):
        market, book, hedge = hedged(folder, day, seed)
        later = spx_market(folder, after, max_days=125, liquid=False)
        pnl = contract_pnl(market, later)
        trades = oh.round_to_lots(hedge).trades
        held = pd.concat([book, trades[trades != 0]])
        if pnl.reindex(held.index).isna().any():
            continue
        own = float(book @ pnl[book.index])
        rows.append((own, own + float(trades @ pnl.reindex(trades.index).fillna(0.0)), hedge.costs["total"]))
    table = pd.DataFrame(rows, columns=["book", "hedged", "cost"])
    without, with_hedge = table["book"].std(), table["hedged"].std()
    print(f"\nSPX, {len(table)} books: next-day P&L deviation {without:,.0f} -> {with_hedge:,.0f}")
    assert len(table) >= 10
    assert with_hedge < 0.5 * without
