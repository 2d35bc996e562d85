"""Recorded desks through time: a shipped model and a policy against no hedge and the simple hedges, after costs.

    OPTIHEDGE_DATA=... python benchmarks/through_time.py [carry] [venues] [coins] [stocks] [index] [rolls] [vol_futures]

Every walk is `run_backtest`: the step of every night, nothing from the future, fills at the far side of the quote with
fees, fundings and dividends at their instants, coin settled in coin. Figures after costs, base currency; brackets are
95 % block-bootstrap intervals of the variance removed. Beside each desk's policy stands a clock of twice the rhythm.
  carry    long BTC and ETH spot against perpetuals, Binance, every third day for 200 days, every funding paid (USDT)
  venues   the same of OKX's and Bybit's perpetuals, spot at OKX, at their own closes (04, 12, 20 UTC; Binance's bars
           close at other instants and are never hedged across), the fundings of both venues (USDT)
  coins    options on BTC and ETH settled in coin, Deribit, every fifth day of five months, through expiries (USD);
           no settlement was recorded: what expired settles at the next snapshot's index, named as an assumption
  stocks   sixty S&P 500 stocks, long and short, against ten ETFs, weekly for 35 weeks, dividends and splits (USD)
  index    an SPX option book against the index and options, 33 closes of 2019 (USD)
  rolls    a fund of all US shares (total return) against the S&P 500 future, weekly through its rolls, 2014-16; a month
           still held on its last recorded day, a week before its end, is paid at that price (USD)
  vol_futures  a hundred VIX futures of September 2019 against the other months, every third day to their end,
           by variance and cost alone: months of a few weeks' history have no betas (USD)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from recorded_futures import futures_market, rolled, settlements, third_friday, vix, vix_end  # noqa: E402
from recorded_markets import spot_perpetual_market, spot_perpetual_panel, spx_days, spx_market  # noqa: E402
from recorded_nights import (  # noqa: E402
    carry_fundings,
    coin_days,
    coin_market,
    stock_events,
    stock_market,
    stock_names,
)

import optihedge as oh  # noqa: E402
from optihedge.market.events import Event  # noqa: E402
from optihedge.market.snapshot import Market  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
Case = tuple[oh.HedgeModel, list[Market], Mapping[str, float], list[Event], dict[str, object]]


def carry() -> Case:
    folder = DATA / "crypto_spot_perp_8h_2023_2024"
    times = spot_perpetual_panel(folder).index[300:900]
    markets = [spot_perpetual_market(folder, when) for when in times[::9]]
    policies = {"band 1 %": oh.policy.Band("delta", share=0.01, by="underlying")}
    return oh.load_model("delta_neutral"), markets, {"BTC": 100.0, "ETH": 1_000.0}, carry_fundings(folder), policies


def venues() -> Case:
    folder = DATA / "crypto_spot_perp_8h_2023_2024"
    times = spot_perpetual_panel(folder, "okx").index[300:900]
    markets = [spot_perpetual_market(folder, when, "okx", others=("bybit",)) for when in times[::9]]
    events = carry_fundings(folder, "okx") + carry_fundings(folder, "bybit", "-bybit")
    policies = {"band 1 %": oh.policy.Band("delta", share=0.01, by="underlying")}
    return oh.load_model("delta_neutral"), markets, {"BTC": 100.0, "ETH": 1_000.0}, events, policies


def coins() -> Case:
    folder = DATA / "deribit_btc_eth_2026"
    days = coin_days(folder)[20::5]
    first = coin_market(folder, days[0])
    options = first.instruments[first.instruments["type"] == "inverse_option"]

    def pick(coin: str, right: str, moneyness: float, after: pd.Timestamp) -> str:
        rows = options[(options["underlying"] == coin) & (options["right"] == right) & (options["expiry"] > after)]
        rows = rows[rows["expiry"] == rows["expiry"].min()]
        return str((rows["strike"] / float(first.levels[coin]) - moneyness).abs().sort_values(kind="stable").index[0])

    book: dict[str, float] = {"BTC": 10.0, "ETH": 100.0}
    for coin, size in (("BTC", 20.0), ("ETH", 300.0)):
        for after in (days[4], days[12], days[-1]):
            book[pick(coin, "C", 1.1, after)] = -size
            book[pick(coin, "P", 0.9, after)] = -size
    markets, seen = [], tuple(book)  # what could once be bought stays listed
    for day in days:
        markets.append(coin_market(folder, day, reach=0.15, keep=seen))
        seen = tuple({*seen, *markets[-1].names})
    return oh.load_model("delta_neutral"), markets, book, [], {"cost-benefit": oh.policy.CostBenefit()}


def stocks() -> Case:
    folder, etfs = DATA / "sp500_corporate_actions", DATA / "etf_daily_2006_2022"
    names = stock_names(folder)
    rng = np.random.default_rng(0)
    chosen = sorted({*rng.choice(names, 59, replace=False), "AAPL"})
    days = stock_market(folder, etfs, pd.Timestamp("2015-06-30"), chosen).history.index[-300:-125:5]
    markets = [stock_market(folder, etfs, day.tz_convert(None).normalize(), chosen) for day in days]
    money = 1e6 * (rng.standard_normal(len(chosen)) + 0.4)
    book = {name: float(np.round(m / markets[0].price[name])) for name, m in zip(chosen, money, strict=True)}
    events = stock_events(folder, chosen, "2014-01-01", "2015-12-31")
    model = oh.load_model("beta_hedge")
    return model, markets, book, events, {"cost-benefit": oh.policy.CostBenefit()}


def index() -> Case:
    folder = DATA / "spx_options_2019"
    days = spx_days(folder)
    first = spx_market(folder, days[0], max_days=200)
    options = first.instruments[first.instruments["type"] == "option"]
    spot = float(first.levels["SPX"])
    last = pd.Timestamp(days[-1], tz="UTC") + pd.Timedelta(days=8)  # the loader quotes none in its last week
    live = options[(options["expiry"] > last) & (options["strike"] % 50 == 0)]
    live = live[(live["strike"] / spot - 1).abs() < 0.1]
    expiry = live["expiry"].value_counts().index[0]
    short = live[live["expiry"] == expiry]
    calls, puts = (short[(short["right"] == right)].index for right in "CP")
    book = {str(calls[len(calls) // 2]): -30.0, str(puts[len(puts) // 2]): -30.0, str(puts[1]): 20.0}
    markets = [spx_market(folder, day, max_days=400, liquid=False, names=list(live.index)) for day in days]
    return oh.load_model("optimal_hedge"), markets, book, [], {"cost-benefit": oh.policy.CostBenefit()}


def rolls() -> Case:
    prices = rolled(DATA / "futures_daily_to_2016", "SP500")
    fund = pd.read_parquet(DATA / "etf_daily_2006_2022" / "etf_returns.parquet")["VTI"]
    days = prices.loc["2014-06":"2016-04"].index.intersection(fund.index)[::5]
    level = (1 + fund).cumprod()
    level *= prices.loc[days[0]].dropna().iloc[0] / level[days[0]]
    market = lambda day: futures_market(prices, day, third_friday, 50.0, 0.125, 2.05, share=level)  # noqa: E731
    model = oh.load_model("beta_hedge")
    model = replace(model, constraints=(*model.constraints, oh.terms.RollOut(days=15)))
    policies = {"band or roll": oh.policy.Any((oh.policy.Band("beta:SHARE", share=0.03), oh.policy.RollDue(days=15)))}
    return model, [market(day) for day in days], {"SHARE": 1e4}, settlements(prices), policies


def vol_futures() -> Case:
    prices = vix(DATA / "vix_futures_2013_2026")
    own = "VX-20190918"
    days = prices[own].dropna().loc["2019-04":].index[:-1:3]
    market = lambda day: futures_market(prices, day, vix_end, 1000.0, 0.025, 2.0, own=own)  # noqa: E731
    model = replace(oh.load_model("beta_hedge"), betas=None, constraints=())
    policies = {"cost-benefit": oh.policy.CostBenefit()}
    return model, [market(day) for day in days], {own: 100.0}, settlements(prices), policies


CASES: dict[str, Callable[[], Case]] = {"carry": carry, "venues": venues, "coins": coins, "stocks": stocks,
                                     "index": index, "rolls": rolls, "vol_futures": vol_futures}  # fmt: skip


def report(name: str, case: Case) -> pd.DataFrame:
    """Walk everything, print the table, return it."""
    model, markets, book, events, policies = case
    started = time.process_time()
    apart = pd.Series([market.as_of for market in markets]).diff().median()
    policies = {"clock, every second market": oh.policy.Clock(f"{2 * apart / pd.Timedelta('1h'):g}h"), **policies}
    base = oh.run_backtest(model, markets, book, events=events, beside=True)
    walks = {"model, every market": base, **base.beside}
    for label, policy in policies.items():
        walks[f"model, {label}"] = oh.run_backtest(model, markets, book, events=events, policy=policy)
    table = pd.DataFrame({label: walk.summary.loc["this"] for label, walk in walks.items()}).T
    removed = {label: walk.effectiveness.table.loc["variance removed"] for label, walk in walks.items()}
    table["interval"] = [f"[{row['low']:.3f}, {row['high']:.3f}]" for row in removed.values()]
    parts = base.parts.loc[:, (base.parts.abs() > 1e-9).any()].T
    steps = base.steps["status"].value_counts().to_dict()
    print(f"\n## {name}: {len(markets)} markets, {time.process_time() - started:.0f} s of CPU; {steps}")
    print(table.to_string(float_format="{:,.6g}".format))
    print(parts.to_string(float_format="{:,.0f}".format))
    closes = (base.attribution("time").drop(columns="total").sum(axis=1) - base.steps["change"].iloc[1:]).abs().max()
    print(f"largest gap between equity and its parts: {closes:.2g} of {base.steps['equity'].abs().max():,.0f}")
    if len(base.notes):
        print(f"{len(base.notes)} notes; the first: {base.notes['note'].iloc[0]}")
    return table


if __name__ == "__main__":
    for chosen in sys.argv[1:] or list(CASES):
        report(chosen, CASES[chosen]())
