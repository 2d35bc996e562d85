"""The shipped `optimal_hedge` against what desks do, on recorded chains: next day, walks, day one, time.

    OPTIHEDGE_DATA=... python benchmarks/options_desk.py PART [every]

PARTS: spx, deribit, coins (next day); walks_spx, walks_BTC, walks_ETH; both (coins in one book); day_one; time;
priors (each halved and doubled, SPX next day); tries (walks of BTC: cost by life, fat tails).

`every` takes each n-th day (1: all). The model is used as `load_model` gives it; only the hedges offered are named:
the index (or a listed future) and 20 other options. P&L is at mids, in units of the book's gross vega; cost is half
spreads and fees. Deviation is the uncentred root mean square; ratios are geometric means over shapes of books;
intervals are from resampling whole days. Peers:

  delta         the index or future alone             delta, vega   with the option of largest vega
  cheapest      the cheapest combination of all that brings delta and vega to zero
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import option_books as ob  # noqa: E402
from option_books import SHAPES, Desk, Results, rms  # noqa: E402
from recorded_coins import coin_market, coin_times  # noqa: E402
from recorded_markets import deribit_market, deribit_snapshots, spx_days, spx_market  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.market.pnl import contract_pnl  # noqa: E402

DATA = Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data"))
FACTORS = (0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0)  # of the shipped price of volatility: the frontier
MODEL = oh.load_model("optimal_hedge")


@dataclass(frozen=True)
class Venue:
    """What a benchmark needs of a venue: markets by day, the linear hedge of an underlying, what is liquid."""

    underlying: str
    linear: object  # market -> name
    deltas: tuple[float, float] = (0.05, 0.60)
    lives: tuple[float, float] = (7.0, 120.0)


def nearest_future(coin: str):
    """The listed future of the coin with the longest life below 200 days and above a week."""

    def name(market: oh.Market) -> str:
        table = market.instruments
        life = (table["expiry"] - market.as_of).dt.total_seconds() / 86400
        mine = (table["type"] == "inverse_future") & (table["underlying"] == coin) & (life > 20) & (life < 200)
        return str(life[mine].idxmax())

    return name


SPX = Venue("SPX", lambda market: "SPX")
DERIBIT = Venue("BTC", lambda market: "BTC-PERPETUAL")
COINS = {coin: Venue(coin, nearest_future(coin)) for coin in ("BTC", "ETH")}


@dataclass(frozen=True)
class CostByLife(oh.Term):
    """Half spread and fee x days / min(days, life): what expires sooner serves a shorter time."""

    days: float = 10.0

    def contribute(self, p) -> None:
        life = np.nan_to_num(365 * p.market.contracts.years[p.positions], nan=np.inf)
        scale = self.days / np.clip(life, 1.0, self.days)
        fee = np.where(p.tradable, p.market.fees.to_numpy(dtype=float)[p.positions], 0.0)
        buy, sell = p.half_spread()
        p.cost(buy=scale * (buy + fee), sell=scale * (sell + fee))


LIVED = tuple(t for t in MODEL.objective if not isinstance(t, (oh.SpreadCost, oh.FeeCost)))
TRIES = {
    "by life": replace(MODEL, objective=(*LIVED, CostByLife())),
    "fat tails": replace(MODEL, risk=oh.SmileRisk(tails=4.0)),
}


@lru_cache(maxsize=64)
def fitted(market: oh.Market, tried: str = "") -> oh.HedgeModel:
    """The shipped model (or one of TRIES) with its own risk learnt once for all books of this market."""
    periods = market.periods_per_year / (252 if market.periods_per_year < 300 else 365)
    model = TRIES[tried] if tried else MODEL
    return replace(model, risk=model.risk.fit(market, periods).risk_)


def frontier(model: oh.HedgeModel, market: oh.Market, book: pd.Series, hedges: list[str], factors=FACTORS) -> dict:
    """Trades (array over hedges) and forecast deviation by multiple of the shipped price."""
    asked = replace(model, universe=hedges)
    found = {}
    for factor, hedge in zip(factors, asked.frontier(market, book, list(factors)), strict=True):
        trades = hedge.trades.reindex(hedges).fillna(0.0).to_numpy()
        found[f"x{factor:g}"] = (trades, float(np.sqrt(hedge.risk.loc["variance", "after"])))
    return found


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
        z = f"{rms(table['pnl', name] / table['sigma', name]):.2f}" if name in names else ""
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


def liquid_at(market: oh.Market, names: pd.Index, venue: Venue) -> pd.Index:
    """Names of the venue's liquid options."""
    return ob.liquid(market, names, venue.underlying, *venue.deltas, venue.lives)


def walks(venue: Venue, load, times: list, length: int, every: int, shapes, tries=()) -> None:
    """Walks of `length` re-hedges from every n-th day; ratios of daily deviation and of cost, by starting day."""
    factors = (1.0,) if tries else (0.75, 1.0)
    rows, known = [], {}
    for first in range(0, len(times) - length, every):
        days = times[first : first + length + 1]
        if max(b - a for a, b in pairwise(days)) > pd.Timedelta("5D"):
            continue
        known = {day: known.get(day) or load(day) for day in days}
        rows += [walk(venue, list(known.values()), shape, i, factors, tries=tries) for i, shape in enumerate(shapes)]
    table = pd.DataFrame([row for row in rows if row is not None])
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    r = Results.of(table)
    print(f"\n### {venue.underlying}, {len(table)} walks of {length} re-hedges from {len(np.unique(r.day))} days\n")
    for what, figure in (
        ("daily deviation", ob.deviation_ratio), ("cost", ob.cost_ratio),
    ):  # fmt: skip
        for peer in ("delta", "cheapest"):
            middle, low, high = ob.interval(r, lambda t, f=figure, p=peer: f(t, "x1", p))
            print(f"| x1 / {peer}: {what} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    for tried in tries:
        for what, figure in (("daily deviation", ob.deviation_ratio), ("cost", ob.cost_ratio)):
            middle, low, high = ob.interval(r, lambda t, f=figure, n=tried: f(t, n, "x1"))
            print(f"| {tried} / x1: {what} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    if tries:
        return
    middle, low, high = ob.interval(r, lambda t: ob.ratio_at_cost(t, ["x0.75", "x1"], "cheapest"))
    print(f"| at the cost of cheapest, shape by shape | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


def day_one(days: int = 10) -> None:
    """One chain, no history, as a folder that `optihedge run` reads would give it; the first closes recorded."""
    stripped = [
        (oh.Market(a.instruments.reset_index(), a.quotes.reset_index(), "USD", as_of=a.as_of, on_missing="freeze"), b)
        for a, b in spx_pairs(1, first=days)
    ]
    tell(next_day(SPX, stripped), "SPX, day one: no history")


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


def spx_pairs(every: int, first: int | None = None):
    """Consecutive closes as markets."""
    folder = DATA / "spx_options_2019"
    markets: dict = {}
    for day, after in list(pairwise(spx_days(folder)))[:first:every]:
        for one in (day, after):
            markets.setdefault(one, spx_market(folder, one, max_days=125))
        yield markets.pop(day), markets[after]


def coin_pairs(every: int, coins=("BTC", "ETH")):
    """Consecutive days of the two coins, at most 30 hours apart."""
    folder = DATA / "deribit_btc_eth_2026"
    for time_, after in list(pairwise(coin_times(folder)))[::every]:
        if after - time_ < pd.Timedelta("30h"):
            yield coin_market(folder, time_, coins), coin_market(folder, after, coins)


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
    elif what == "walks_spx":
        folder = DATA / "spx_options_2019"
        load = lambda day: spx_market(folder, day, max_days=170, liquid=False)  # noqa: E731
        walks(replace(SPX, lives=(20.0, 120.0)), load, spx_days(folder), 12, every, SHAPES)
    elif what in ("walks_BTC", "walks_ETH"):
        coin, folder = what[-3:], DATA / "deribit_btc_eth_2026"
        load = lambda day: coin_market(folder, day, (coin,))  # noqa: E731
        walks(COINS[coin], load, coin_times(folder), 14, every, ("random", "ladder", "risk reversals", "strangle"))
    elif what == "tries":
        folder = DATA / "deribit_btc_eth_2026"
        load = lambda day: coin_market(folder, day, ("BTC",))  # noqa: E731
        shapes = ("random", "ladder", "risk reversals", "strangle")
        walks(COINS["BTC"], load, coin_times(folder), 14, every, shapes, tuple(TRIES))
    elif what == "priors":
        priors(every)
    elif what == "both":
        both_coins(every)
    elif what == "day_one":
        day_one()
    elif what == "time":
        timed()
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    began = time.process_time()
    run(sys.argv[1] if len(sys.argv) > 1 else "", int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    print(f"\n{time.process_time() - began:.0f} CPU-s")
