"""The shipped `optimal_hedge` against what desks do, on recorded chains: next day, day one, a fall, both coins, time.

    OPTIHEDGE_DATA=... python benchmarks/options_desk.py PART [every]

PARTS: spx, deribit, coins (next day); day_one [seeds]; fall; both (coins in one book); time; priors (each halved and
doubled, SPX next day). Walks are in `options_walks.py`.

`every` takes each n-th day (1: all). The model is used as `load_model` gives it; only the hedges offered are named:
the index (or a listed future) and 20 other options. P&L is at mids, in units of the book's gross vega; cost is half
spreads and fees. Deviation is the uncentred root mean square; ratios are geometric means over shapes of books;
intervals are from resampling whole days. Peers:

  delta         the index or future alone             delta, vega   with the option of largest vega
  cheapest      the cheapest combination of all that brings delta and vega to zero
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import option_books as ob
import pandas as pd
from option_books import SHAPES, Desk, Results, rms
from option_venues import (
    COINS,
    DATA,
    DERIBIT,
    FACTORS,
    MODEL,
    SPX,
    TRIES,
    Venue,
    coin_pairs,
    fitted,
    forecast,
    frontier,
    liquid_at,
    spx_pairs,
)
from recorded_markets import deribit_market, deribit_snapshots, spx_days, spx_market

import optihedge as oh
from optihedge.market.earned import contract_pnl

FALL = ("2026-01-29", "2026-02-08")


def next_day(venue: Venue, pairs, seed: int = 11, shapes=SHAPES, factors=FACTORS, tried: str = "") -> pd.DataFrame:
    """One row per book: pnl, cost and forecast of every hedge, over gross vega. pairs: of markets."""
    rows = []
    for market, after in pairs:
        earned = contract_pnl(market, after)
        alive = ob.liquid(market, earned.index[earned.notna()], venue.underlying, *venue.deltas, venue.lives)
        if len(alive) < 70:
            continue
        model, spot = fitted(market, tried), float(market.levels[venue.underlying])
        for i, shape in enumerate(shapes):
            rng = np.random.default_rng([int(market.as_of.timestamp()) // 3600, i, seed])
            book = ob.draw_book(market, alive, shape, rng, spot)
            others = list(rng.choice(alive.difference(book.index), 20, replace=False))
            hedges = [venue.linear(market), *others]
            desk, e = Desk.of(market, hedges), earned[hedges].to_numpy()
            greeks = market.exposures.loc[book.index, ["delta", "vega"]]
            delta, vega = (float(book @ greeks[name]) for name in greeks)
            unit, own = float(book.abs() @ greeks["vega"]), float(book @ earned[book.index])
            trades = {
                "delta": desk.delta_hedge(delta), "delta, vega": desk.delta_vega_hedge(delta, vega),
                "cheapest": desk.cheapest(delta, vega),
            }  # fmt: skip
            row: dict = {("day", ""): market.as_of.date(), ("shape", ""): shape, ("legs", ""): len(book)}
            for name, t in trades.items():
                row["pnl", name], row["cost", name] = (own + t @ e) / unit, np.abs(t) @ desk.cost / unit
                row["sigma", name] = forecast(model.risk, pd.concat([book, pd.Series(t, index=hedges)])) / unit
            for name, (t, sigma) in frontier(model, market, book, hedges, factors).items():
                row["pnl", name], row["cost", name] = (own + t @ e) / unit, np.abs(t) @ desk.cost / unit
                row["sigma", name] = sigma / unit
            rows.append(row)
    return pd.DataFrame(rows).pipe(lambda t: t.set_axis(pd.MultiIndex.from_tuples(t.columns), axis=1))


def tell(table: pd.DataFrame, title: str) -> None:
    """Ratios with intervals, shape by shape, and the forecast's honesty."""
    names, r = [name for name in table["pnl"].columns if name.startswith("x")], Results.of(table)
    print(f"\n### {title}: {len(table)} books, {table['day', ''].nunique()} days\n")
    print("| hedge | deviation / delta's | cost | realised / forecast (rms) |\n|---|--:|--:|--:|")
    for name in table["pnl"].columns:
        z = f"{rms(table['pnl', name] / table['sigma', name]):.2f}"
        print(f"| {name} | {ob.deviation_ratio(r, name, 'delta'):.3f} | {table['cost', name].mean():.4f} | {z} |")
    print("\n| comparison | ratio | 95 % interval, by day |\n|---|--:|--:|")
    for peer in ("delta", "delta, vega", "cheapest"):
        for what, figure in (("deviation", ob.deviation_ratio), ("cost", ob.cost_ratio)):
            middle, low, high = ob.interval(r, lambda t, f=figure, p=peer: f(t, "x1", p))
            print(f"| x1 / {peer}: {what} | {middle:.2f} | {low:.2f} to {high:.2f} |")
        if peer != "delta":
            middle, low, high = ob.interval(r, lambda t, p=peer: ob.ratio_at_cost(t, names, p))
            print(f"| at the cost of {peer}, shape by shape: deviation | {middle:.2f} | {low:.2f} to {high:.2f} |")
    by = {s: rms(g["pnl", "x1"]) / rms(g["pnl", "delta"]) for s, g in table.groupby(("shape", ""))}
    print("\nx1 over delta by shape: " + ", ".join(f"{s} {v:.2f}" for s, v in by.items()), flush=True)


def day_one(seeds: int, days: int = 10) -> None:
    """One chain, no history, as a folder that `optihedge run` reads would give it; the first closes recorded, and
    `seeds` books of each shape a close."""
    stripped = [
        (oh.Market(a.instruments.reset_index(), a.quotes.reset_index(), "USD", as_of=a.as_of, on_missing="freeze"), b)
        for a, b in spx_pairs(1, first=days)
    ]
    tables = [next_day(SPX, stripped, seed) for seed in range(11, 11 + seeds)]
    tell(pd.concat(tables, ignore_index=True), "SPX, day one: no history")


def fall() -> None:
    """The fall of the coins by itself: how honest the forecast is of our hedge and of the future's, and what else was
    tried of the level and the tails of risk."""
    pairs = list(coin_pairs(1, between=FALL))
    print(f"\n### {FALL[0]} to {FALL[1]}, {len(pairs)} days\n")
    print(
        "| coin | risk | realised / forecast, delta | x1 | x1 / cheapest: deviation | cost |\n|---|---|--:|--:|--:|--:|"
    )
    for coin, venue in COINS.items():
        for tried in ("", *(name for name in TRIES if TRIES[name].risk is not MODEL.risk)):
            table = next_day(venue, pairs, factors=(1.0,), tried=tried)
            z = [rms(table["pnl", name] / table["sigma", name]) for name in ("delta", "x1")]
            r = Results.of(table)
            print(f"| {coin} | {tried or 'as shipped'} | {z[0]:.2f} | {z[1]:.2f} | "
                  f"{ob.deviation_ratio(r, 'x1', 'cheapest'):.2f} | {ob.cost_ratio(r, 'x1', 'cheapest'):.2f} |",
                  flush=True)  # fmt: skip


def priors(every: int) -> None:
    """Each field of the prior halved and doubled: deviation at the cheapest combination's cost, over as shipped."""
    shipped, factors = oh.SmileRisk()._checked(), (0.15, 0.3, 0.5, 0.75, 1.0)
    pairs = list(spx_pairs(every))
    names = [f"x{factor:g}" for factor in factors]

    def at_cost(prior) -> float:
        TRIES["prior"] = replace(MODEL, risk=oh.SmileRisk(prior=prior))
        fitted.cache_clear()
        table = next_day(SPX, pairs, factors=factors, tried="prior")
        return ob.ratio_at_cost(Results.of(table), names, "cheapest")

    usual = at_cost(shipped)
    print(f"\n### SPX, next day, {len(pairs)} days: {usual:.3f} of the cheapest combination's deviation at its cost\n")
    print("| prior | halved | doubled |\n|---|--:|--:|")
    for name in ("vol_of_vol", "stickiness", "parallel", "term_to_level", "skew", "noise", "basis"):
        value = np.asarray(getattr(shipped, name))
        some = [replace(shipped, **{name: tuple(f * value) if value.ndim else float(f * value)}) for f in (0.5, 2.0)]
        halved, doubled = (at_cost(prior) / usual for prior in some)
        print(f"| {name} | {halved:.3f} | {doubled:.3f} |", flush=True)


def both_coins(every: int) -> None:
    """A random book of both coins hedged with options of both, against the futures alone."""
    rows = []
    for market, after in coin_pairs(every):
        earned, model = contract_pnl(market, after), fitted(market)
        rng = np.random.default_rng(int(market.as_of.timestamp()) // 3600)
        book, hedges, futures = pd.Series(dtype=float), [], []
        for coin, venue in COINS.items():
            alive = liquid_at(market, earned.index[earned.notna()], venue)
            size = 10.0 if coin == "ETH" else 0.3  # so that both coins' vegas are of one size
            own = ob.draw_book(market, alive, "random", rng, float(market.levels[coin])) * size
            book, futures = pd.concat([book, own]), [*futures, venue.linear(market)]
            hedges += list(rng.choice(alive.difference(own.index), 10, replace=False))
        unit = float(book.abs() @ market.exposures["vega"][book.index])
        row: dict = {("day", ""): market.as_of.date(), ("shape", ""): "random"}
        for name, offered in (("delta", futures), ("x1", [*futures, *hedges])):
            ((trades, _),) = frontier(model, market, book, offered, (1.0,)).values()
            desk = Desk.of(market, offered)
            row["pnl", name] = (float(book @ earned[book.index]) + trades @ earned[offered].to_numpy()) / unit
            row["cost", name] = float(np.abs(trades) @ desk.cost) / unit
        rows.append(row)
    table = pd.DataFrame(rows)
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    r = Results.of(table)
    middle, low, high = ob.interval(r, lambda t: ob.deviation_ratio(t, "x1", "delta"))
    print(f"\n### BTC and ETH in one book, {len(table)} days\n| options of both / futures: deviation | {middle:.2f} | "
          f"{low:.2f} to {high:.2f} |\n| cost | {ob.cost_ratio(r, 'x1', 'delta'):.2f} | |")  # fmt: skip


def timed() -> None:
    """All options of a close tradable: CPU seconds, and volatility and cost against 20 candidates."""
    market = spx_market(DATA / "spx_options_2019", spx_days(DATA / "spx_options_2019")[20], max_days=125)
    alive, rng = liquid_at(market, market.names, SPX), np.random.default_rng(0)
    book = ob.draw_book(market, alive, "random", rng, float(market.levels["SPX"]))
    others = list(rng.choice(alive.difference(book.index), 20, replace=False))
    for label, universe in (("20 candidates", ["SPX", *others]), ("all", None)):
        model = replace(MODEL, universe=universe)
        model.hedge(market, book)
        began = time.process_time()
        hedge = model.hedge(market, book)
        spent = time.process_time() - began
        sigma = hedge.risk.loc["volatility", "after"]
        print(f"{label}: {len(hedge.trades)} in play, {spent:.2f} CPU-s, volatility {sigma:,.0f}, "
              f"cost {hedge.costs['trading']:,.0f}, {hedge.status}")  # fmt: skip


def run(what: str, every: int) -> None:
    """One of the parts that the module names."""
    if what == "spx":
        tell(next_day(SPX, spx_pairs(every)), "SPX, next day")
    elif what == "deribit":
        folder = DATA / "deribit_btc_2026"
        pairs = [(deribit_market(folder, a), deribit_market(folder, b)) for a, b in pairwise(deribit_snapshots(folder))]
        tell(pd.concat([next_day(DERIBIT, pairs, seed) for seed in range(3)], ignore_index=True), "Deribit BTC, 7 days")
    elif what == "coins":
        pairs = list(coin_pairs(every))
        for coin, venue in COINS.items():
            tell(next_day(venue, pairs), f"{coin} 2026, next day")
    elif what in PARTS:
        PARTS[what](*([every] if what in ("priors", "both", "day_one") else []))
    else:
        raise SystemExit(__doc__)


PARTS = {"day_one": day_one, "fall": fall, "priors": priors, "both": both_coins, "time": timed}

if __name__ == "__main__":
    began = time.process_time()
    run(sys.argv[1] if len(sys.argv) > 1 else "", int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"\n{time.process_time() - began:.0f} CPU-s")
