"""Three recorded desks walked forward with nothing from the future: stocks, alt perpetuals, spot against perpetual.

Each prints its figures (run with -s). The regression baseline holds, per step, minus the slopes of least squares of the
book's P&L on the hedges over the same history.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from recorded import perpetual_closes
from recorded_markets import perpetual_market, sp500_market, sp500_panel, spot_perpetual_market, spot_perpetual_panel
from recorded_nights import carry_fundings

import optihedge as oh

COSTS = (oh.SpreadCost(), oh.FeeCost())


@dataclass(frozen=True)
class Trades:
    trades: pd.Series


@dataclass(frozen=True)
class Regression:
    """The baseline: least squares on `names` (all hedges where empty) over the last `rows` moves."""

    rows: int
    names: tuple[str, ...] = ()

    def hedge(self, market, book: pd.Series) -> Trades:
        hedges = list(self.names) or list(market.names[market.instruments["hedge"]])
        cash = market.exposures["delta"] * book.reindex(market.names).fillna(0.0)
        client = cash.drop(market.names[market.instruments["hedge"]])
        moves = market.moves(self.rows)
        y, x = moves[client.index] @ client, moves[hedges]
        slopes = np.linalg.lstsq((x - x.mean()).to_numpy(), (y - y.mean()).to_numpy(), rcond=None)[0]
        target = pd.Series(-slopes, index=hedges) / market.exposures["delta"][hedges]
        return Trades(target - book.reindex(hedges).fillna(0.0))


def figures(label: str, walks: dict[str, list]) -> pd.DataFrame:
    """Per hedger, pooled over books: realised volatility before and after, variance removed, cost, turnover."""
    rows = {}
    for name, each in walks.items():
        pnl = pd.concat([walk.pnl / walk.pnl["book"].std() for walk in each])
        rows[name] = {
            "risk before": pnl["book"].std(), "risk after": pnl["both"].std(),
            "variance removed": 1 - pnl["both"].var() / pnl["book"].var(),
            "turnover": sum(walk.steps["notional"].sum() for walk in each),
            "cost": sum(walk.pnl["cost"].sum() for walk in each),
        }  # fmt: skip
    table = pd.DataFrame(rows).T
    print(f"\n{label}\n{table.to_string(float_format='{:,.4g}'.format)}")
    return table


def equity_walks(folder, books: int, steps: int) -> pd.DataFrame:
    closes, _, sectors = sp500_panel(folder)
    rng = np.random.default_rng(0)
    names = sorted(rng.choice(closes.columns, 200, replace=False))
    days = closes.index[504::5][: steps + 1]
    markets = [sp500_market(folder, day, names) for day in days]
    tilt = np.where(sectors[names].isin(["Information Technology", "Financials"]), 0.7, -0.2)
    model = oh.HedgeModel(risk=oh.EwmaRisk(halflife=126), horizon="5d", objective=(oh.Variance(relative=1000), *COSTS))
    hedgers = {"optihedge": model, "regression": Regression(252), "market only": Regression(252, ("MARKET",))}
    walks: dict[str, list] = {name: [] for name in hedgers}
    for _ in range(books):
        book = pd.Series(np.round(1e5 * (rng.normal(size=200) + tilt) / closes.loc[days[0], names]), index=names)
        for name, hedger in hedgers.items():
            walks[name].append(oh.run_backtest(hedger, markets, book))
    return figures(f"200 stocks, long-short and tilted: {books} books, {steps} weeks", walks)


def test_half_of_a_tilted_long_short_books_variance_is_removed_at_less_turnover_than_by_regression(recorded):
    """Twenty weeks of one book do not tell which risk is a percent lower; all weeks of six books do (below)."""
    table = equity_walks(recorded("sp500_daily_2012_2017"), books=1, steps=20)
    assert table.loc["optihedge", "variance removed"] > 0.5
    assert table.loc["optihedge", "turnover"] <= 0.7 * table.loc["regression", "turnover"]


@pytest.mark.slow
def test_over_all_recorded_weeks_the_equity_hedge_beats_regression_pooled(recorded):
    table = equity_walks(recorded("sp500_daily_2012_2017"), books=6, steps=150)
    assert table.loc["optihedge", "risk after"] <= table.loc["regression", "risk after"]
    assert table.loc["optihedge", "turnover"] <= table.loc["regression", "turnover"]


def alt_walks(folder, books: int, steps: int, step: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    closes = perpetual_closes(folder)
    alts = [c for c in closes.columns[closes.notna().all()] if c not in ("BTCUSDT", "ETHUSDT")]
    rng = np.random.default_rng(1)
    days = closes.index[366::step][: steps + 1]
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(halflife=45), horizon=f"{step}d", objective=(oh.Variance(relative=100), *COSTS)
    )
    hedgers = {"optihedge": model, "regression": Regression(360)}
    tables = []
    for side in ("long", "long-short"):
        walks: dict[str, list] = {name: [] for name in hedgers}
        for _ in range(books):
            names = sorted(rng.choice(alts, 10, replace=False))
            sign = np.repeat([1.0, 1.0 if side == "long" else -1.0], 5)
            markets = [perpetual_market(folder, day, names) for day in days]
            book = pd.Series(1e5 * sign / closes.loc[days[0], names], index=names)
            for name, hedger in hedgers.items():
                walks[name].append(oh.run_backtest(hedger, markets, book))
        tables.append(figures(f"10 alt perpetuals, {side}: {books} books, {steps} steps of {step} days", walks))
    return tables[0], tables[1]


def test_a_long_alt_book_is_hedged_with_btc_and_eth_better_than_by_regression(recorded):
    long, _ = alt_walks(recorded("crypto_perp_daily"), books=2, steps=12, step=14)
    assert long.loc["optihedge", "risk after"] <= long.loc["regression", "risk after"]
    assert long.loc["optihedge", "variance removed"] > 0.5


@pytest.mark.slow
def test_over_all_recorded_days_btc_and_eth_remove_most_of_a_long_alt_books_variance(recorded):
    long, long_short = alt_walks(recorded("crypto_perp_daily"), books=4, steps=140, step=3)
    assert long.loc["optihedge", "risk after"] <= long.loc["regression", "risk after"]
    assert long.loc["optihedge", "variance removed"] > 0.6
    assert long_short.loc["optihedge", "variance removed"] < 0.15


def test_a_long_short_alt_book_is_told_that_there_is_little_to_remove(recorded):
    folder = recorded("crypto_perp_daily")
    closes = perpetual_closes(folder)
    alts = [c for c in closes.columns[closes.notna().all()] if c not in ("BTCUSDT", "ETHUSDT")]
    names = sorted(np.random.default_rng(1).choice(alts, 10, replace=False))
    market = perpetual_market(folder, closes.index[-1], names)
    sign = np.repeat([1.0, -1.0], 5)
    book = pd.Series(1e5 * sign / closes.iloc[-1][names].to_numpy(), index=names)
    model = oh.HedgeModel(risk=oh.EwmaRisk(halflife=45), objective=(oh.Variance(relative=100), *COSTS))
    hedge = model.hedge(market, book)
    share = 1 - (hedge.risk.loc["variance", "after"] / hedge.risk.loc["variance", "before"])
    assert ("nothing material" in str(hedge)) == (share < 0.1)


def basis_walk(folder, steps: int) -> pd.DataFrame:
    panel = spot_perpetual_panel(folder)
    times = panel.index[270::3][: steps + 1]
    markets = [spot_perpetual_market(folder, time) for time in times]
    book = pd.Series({"BTC": 10.0, "ETH": 150.0})
    model = oh.load_model("delta_neutral")
    hedgers, paid = {"optihedge": model, "regression": OwnCoin()}, carry_fundings(folder)
    return figures(f"spot against perpetual: {steps} days", {
        name: [oh.run_backtest(hedger, markets, book, events=paid)] for name, hedger in hedgers.items()
    })  # fmt: skip


@dataclass(frozen=True)
class OwnCoin:
    """The baseline: each coin's perpetual at the slope of spot returns on perpetual returns."""

    def hedge(self, market, book: pd.Series) -> Trades:
        moves, trades = market.moves(), {}
        for coin in ("BTC", "ETH"):
            perp = moves[coin] + moves[f"basis:{coin}"]
            slope = moves[coin].cov(perp) / perp.var()
            spot, perp_delta = (market.exposures.at[name, "delta"] for name in (coin, f"{coin}-PERP"))
            target = -slope * book[coin] * spot / perp_delta
            trades[f"{coin}-PERP"] = target - book.get(f"{coin}-PERP", 0.0)
        return Trades(pd.Series(trades))


def test_spot_against_perpetual_leaves_only_basis_and_funding(recorded):
    table = basis_walk(recorded("crypto_spot_perp_8h_2023_2024"), steps=60)
    assert table.loc["optihedge", "variance removed"] > 0.999
    assert table.loc["optihedge", "risk after"] <= 1.02 * table.loc["regression", "risk after"]


@pytest.mark.slow
def test_over_all_recorded_days_the_basis_trade_is_as_flat_as_by_regression(recorded):
    table = basis_walk(recorded("crypto_spot_perp_8h_2023_2024"), steps=450)
    assert table.loc["optihedge", "risk after"] <= table.loc["regression", "risk after"]
