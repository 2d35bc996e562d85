"""Walks of the shipped `optimal_hedge` through expiries on recorded chains, and what was tried beside it.

    OPTIHEDGE_DATA=... python benchmarks/options_walks.py SPX|BTC|ETH [every] [try ...]

Books of several shapes are kept and re-hedged daily, 12 times on SPX and 14 on coins, from every n-th day. With tries
(of `option_venues.TRIES`, or `tries` for all) each is walked beside the shipped model, over the same books. Figures as
in `options_desk.py`: daily deviation and cost over those of the cheapest combination, by starting day.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import option_books as ob
import pandas as pd
from option_books import SHAPES, Desk, Results, rms
from option_venues import COINS, DATA, SPX, TRIES, Venue, fitted, frontier, liquid_at
from recorded_coins import coin_market, coin_times
from recorded_markets import spx_days, spx_market

import optihedge as oh
from optihedge.market.earned import contract_pnl

COIN_SHAPES = ("random", "ladder", "risk reversals", "strangle")


def walk(
    venue: Venue, markets: list[oh.Market], shape: str, seed: int, factors=(1.0,), offered: int = 20, tries=()
) -> dict | None:
    """Hedges kept and re-hedged daily over markets, through expiries; columns as `next_day`, P&L a list of days."""
    start = markets[0]
    quoted = start.names
    for market in markets[1:]:
        live = (start.instruments["expiry"].isna() | (start.instruments["expiry"] > market.as_of)).to_numpy()
        two_sided = market.names[np.isfinite(market.trade_cost.to_numpy()).all(axis=1)]
        quoted = quoted.intersection(two_sided.union(start.names[~live]))
    alive = liquid_at(start, quoted, venue)
    if len(alive) < 45 + offered:
        return None
    rng = np.random.default_rng([int(start.as_of.timestamp()) // 3600, seed])
    book = ob.draw_book(start, alive, shape, rng, float(start.levels[venue.underlying]))
    hedges = [venue.linear(start), *rng.choice(alive.difference(book.index), offered, replace=False)]
    unit = float(book.abs() @ start.exposures["vega"][book.index])
    names = ["delta", "cheapest", *(f"x{factor:g}" for factor in factors), *tries]
    held = {name: pd.Series(0.0, index=hedges) for name in names}
    pnl: dict[str, list[float]] = {name: [] for name in names}
    cost = dict.fromkeys(names, 0.0)
    for market, after in pairwise(markets):
        earned = contract_pnl(market, after)
        own, offers = book[book.index.isin(market.names)], [name for name in hedges if name in market.names]
        desk, greeks = Desk.of(market, offers), market.exposures
        for name in names:
            q = held[name][offers]
            both = own.add(q, fill_value=0.0)
            delta, vega = (float(both @ greeks[kind][both.index]) for kind in ("delta", "vega"))
            if name == "delta":
                trades = desk.delta_hedge(delta)
            elif name == "cheapest":
                trades = desk.cheapest(delta, vega)
            else:
                tried, factor = (name, 1.0) if name in tries else ("", float(name[1:]))
                ((trades, _),) = frontier(fitted(market, tried), market, both, offers, (factor,)).values()
            cost[name] += float(np.abs(trades) @ desk.cost) / unit
            after_trade = q + trades
            held[name] = after_trade
            pnl[name].append(float(own @ earned[own.index] + after_trade @ earned[offers]) / unit)
    row: dict = {("day", ""): start.as_of.date(), ("shape", ""): shape}
    return row | {("pnl", n): rms(pnl[n]) for n in names} | {("cost", n): cost[n] for n in names}


def walks(venue: Venue, load, times: list, length: int, every: int, shapes, tries=()) -> Iterator[dict]:
    """Walks of `length` re-hedges from every n-th day, of each shape, as `walk` tells them."""
    factors, known = (1.0,) if tries else (0.75, 1.0), {}
    for first in range(0, len(times) - length, every):
        days = times[first : first + length + 1]
        if max(b - a for a, b in pairwise(days)) > pd.Timedelta("5D"):
            continue
        known = {day: known.get(day) or load(day) for day in days}
        found = (walk(venue, list(known.values()), shape, i, factors, tries=tries) for i, shape in enumerate(shapes))
        yield from (row for row in found if row is not None)


def tell(rows: Iterable[dict], what: str, tries=()) -> None:
    """Ratios of daily deviation and of cost, with intervals by starting day."""
    table = pd.DataFrame(list(rows))
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    r, figures = Results.of(table), (("daily deviation", ob.deviation_ratio), ("cost", ob.cost_ratio))
    print(f"\n### {what}: {len(table)} walks from {len(np.unique(r.day))} days\n")
    for (name, figure), peer in product(figures, ("delta", "cheapest")):
        middle, low, high = ob.interval(r, lambda t, f=figure, p=peer: f(t, "x1", p))
        print(f"| x1 / {peer}: {name} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    for tried, (name, figure) in product(tries, figures):
        middle, low, high = ob.interval(r, lambda t, f=figure, n=tried: f(t, n, "x1"))
        print(f"| {tried} / x1: {name} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    if not tries:
        middle, low, high = ob.interval(r, lambda t: ob.ratio_at_cost(t, ["x0.75", "x1"], "cheapest"))
        print(f"| at the cost of cheapest, shape by shape | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def walked(what: str, every: int, tries: tuple[str, ...] = ()) -> Iterator[dict]:
    """The walks of one underlying."""
    if what == "SPX":
        folder = DATA / "spx_options_2019"
        load = lambda day: spx_market(folder, day, max_days=170, liquid=False)  # noqa: E731
        return walks(replace(SPX, lives=(20.0, 120.0)), load, spx_days(folder), 12, every, SHAPES, tries)
    if what in COINS:
        folder = DATA / "deribit_btc_eth_2026"
        load = lambda day: coin_market(folder, day, (what,))  # noqa: E731
        return walks(COINS[what], load, coin_times(folder), 14, every, COIN_SHAPES, tries)
    raise SystemExit(__doc__)


if __name__ == "__main__":
    began = time.process_time()
    asked = sys.argv[1:]
    named = tuple(TRIES) if asked[2:] == ["tries"] else tuple(asked[2:])
    name = asked[0] if asked else ""
    tell(walked(name, int(asked[1]) if len(asked) > 1 else 1, named), name, named)
    print(f"\n{time.process_time() - began:.0f} CPU-s")
