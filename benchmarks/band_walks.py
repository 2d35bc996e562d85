"""When to re-hedge an option, walked: the clock and four bands as policies of `run_backtest`, at equal cost.

    OPTIHEDGE_DATA=... python benchmarks/band_walks.py [simulated BTC shares]

The straddles of bands.py stand side by side, each on an underlying of its own, in one market a look: short, delta
hedged with shares of it, the vol that of the returns of so long before. A rule is a policy, which says when, and a
hedger:
  clock     Clock, to the middle
  wide      WhalleyWilmott, what is outside goes to the edge (aversion varied);  middle: the same, to the middle
  variance  CostBenefit of a HedgeModel of Variance and SpreadCost (aversion varied)
  kappa     CostBenefit of a HedgeModel of Volatility and SpreadCost, one price for the deviation of the whole book
Fills at the quote, costs from the accounts, P&L from cash and settlement. Told is the deviation of P&L after costs at
the mean cost of a clock (between the walks beside it) over the clock's, with 95 % intervals by whole straddles (of
shares by the periods of all at once), and the largest difference of a P&L from that of the vectorised rule of bands.py.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bands import DATA, cut

import optihedge as oh

Array = np.ndarray
START = pd.Timestamp("2001-01-01T00:00:00Z")
STRIKE = 100.0
RULES = ("wide", "middle", "variance", "kappa")
TRIES = 4


@dataclass(frozen=True)
class Straddles:
    """n short straddles side by side: path (looks + 1 x n) from 100, vol (n), looks a year, looks of a day."""

    path: Array
    vol: Array
    one_way: float
    year: float
    day: int

    @property
    def count(self) -> int:
        return self.path.shape[1]

    @property
    def names(self) -> list[str]:
        return [f"S{i:04d}" for i in range(self.count)]

    def time(self, look: int) -> pd.Timestamp:
        """A look's instant; a year of looks is 365 days."""
        return (START + look / self.year * pd.Timedelta(days=365)).round("s")

    @cached_property
    def markets(self) -> list[oh.Market]:
        """One a look; at the last the options have expired and settle at its level."""
        names, looks = self.names, len(self.path) - 1
        calls, puts = ([right + name for name in names] for right in "CP")
        shares = pd.DataFrame({"instrument": names, "type": "equity", "underlying": names, "lot": 1e-9})
        options = pd.DataFrame({
            "instrument": calls + puts, "type": "option", "underlying": names * 2, "multiplier": 1.0, "strike": STRIKE,
            "right": ["C"] * self.count + ["P"] * self.count, "expiry": self.time(looks), "hedge": False,
        })  # fmt: skip
        table = pd.concat([shares.assign(hedge=True), options], ignore_index=True)
        table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
        drivers = pd.DataFrame({"driver": names, "periods_per_year": self.year / self.day})
        made: list[oh.Market] = []
        past = pd.DataFrame([0.99 * self.path[0], self.path[0]], [START - pd.Timedelta(days=1), START], names)
        for look in range(looks + 1):
            quotes, levels = self.quotes(look), pd.DataFrame([self.path[look]], [self.time(look)], names)
            if not made:
                market = oh.Market(table, quotes.reset_index(names="instrument"), "USD", drivers=drivers,
                                   history=past.rename_axis("time"), as_of=self.time(0))  # fmt: skip
            else:
                market = made[-1].updated(quotes, levels, as_of=self.time(look))
            made.append(market)
        return made

    def quotes(self, look: int) -> pd.DataFrame:
        """Shares at their level and `one_way` to each side, options at their value, which nobody trades."""
        spot, left = self.path[look], (len(self.path) - 1 - look) / self.year
        told = pd.DataFrame({"mark": spot, "bid": spot * (1 - self.one_way), "ask": spot * (1 + self.one_way)},
                            self.names)  # fmt: skip
        if left == 0:
            return told
        value = [oh.options.black(spot, STRIKE, left, self.vol, right) for right in (1.0, -1.0)]
        names = [right + name for right in "CP" for name in self.names]
        worth = pd.DataFrame({"mark": np.maximum(np.concatenate(value), 1e-12), "vol": np.tile(self.vol, 2)}, names)
        return pd.concat([told, worth.assign(underlying_price=np.tile(spot, 2))])

    def risk(self) -> oh.Risk:
        """A day's deviation of each underlying, none with another."""
        deviation = self.vol * np.sqrt(self.day / self.year)
        return oh.Risk(np.zeros((0, self.count)), deviation, pd.Index(self.names), self.year / self.day)


@dataclass(frozen=True)
class ToBand:
    """Trades what is outside its band, to the edge or to the middle; a width by underlying of the market and book."""

    cases: Straddles
    policy: oh.policy.WhalleyWilmott | None = None
    to_edge: bool = False

    def hedge(self, market: oh.Market, book: pd.Series) -> SimpleNamespace:
        """Shares that bring the cash delta of each underlying to its edge, or to nothing."""
        names, exposures = self.cases.names, market.exposures.reindex(book.index)
        by = market.instruments["underlying"].reindex(book.index).to_numpy()
        delta = (exposures["delta"] * book).groupby(by).sum().reindex(names, fill_value=0.0).to_numpy()
        width = np.zeros(len(names))
        if self.policy is not None:
            gamma = (exposures["gamma"] * book).groupby(by).sum()
            view = SimpleNamespace(market=market, exposure=lambda *_: gamma)
            width = self.policy.widths(view).reindex(names, fill_value=0.0).to_numpy()
        trade = oh.policy.band_trade(delta, np.zeros(len(names)), width, width, to_edge=self.to_edge)
        return SimpleNamespace(trades=pd.Series(trade / market.price[names].to_numpy(), names))


def walked(cases: Straddles, model: object, policy: object) -> tuple[Array, Array]:
    """Cost and P&L after costs of each straddle."""
    book = {right + name: -1.0 for name in cases.names for right in "CP"}
    run = oh.run_backtest(model, cases.markets, book, policy=policy)
    assert not set(run.steps["status"]) & {"failed", "held", "blocked"}, "every look is answered"
    each = run.attribution("instrument")
    own = each.index.str[-5:]
    return tuple(each[column].groupby(own).sum().reindex(cases.names).to_numpy() * sign
                 for column, sign in (("fill", -1.0), ("total", 1.0)))  # fmt: skip


def ruled(cases: Straddles, name: str, width: float) -> tuple[object, object]:
    """Hedger and policy of a rule, its parameter such that a middling edge lies about `width` of delta away."""
    deviation = float(np.median(cases.vol)) * np.sqrt(cases.day / cases.year)
    if name in ("wide", "middle"):
        life = len(cases.path) / cases.year
        gamma = 0.8 / (STRIKE * float(np.median(cases.vol)) * np.sqrt(life / 2))  # of a straddle half way
        policy = oh.policy.WhalleyWilmott(1.5 * cases.one_way * STRIKE * gamma**2 / width**3)
        return ToBand(cases, policy, name == "wide"), policy
    common = {"risk": cases.risk(), "horizon": "1d", "universe": tuple(cases.names)}
    if name == "variance":
        risk = oh.Variance(aversion=cases.one_way / (width * STRIKE * deviation**2), second_order=False)
    else:  # of so many edges together, each independent
        risk = oh.Volatility(price=cases.one_way * np.sqrt(cases.count) / deviation * min(0.2 / width, 1e3))
    return oh.HedgeModel(objective=(risk, oh.SpreadCost()), **common), oh.policy.CostBenefit()


def about(cases: Straddles, name: str, cost: float, width: float) -> tuple[list[tuple[Array, Array]], float]:
    """Walks of a rule whose mean costs lie about a cost, and the width found."""
    found: dict[float, tuple[Array, Array]] = {}
    for _ in range(TRIES):
        found[width] = walked(cases, *ruled(cases, name, width))
        costs = {w: float(one[0].mean()) for w, one in found.items()}
        dearer, cheaper = ([w for w in costs if (costs[w] > cost) == side] for side in (True, False))
        if dearer and cheaper:
            low, high = max(dearer), min(cheaper)
            if high < 1.3 * low:
                break
            width = np.sqrt(low * high)
        else:
            width *= np.clip((costs[width] / cost) ** 1.5, 0.5, 2.0) * (1.1 if dearer else 0.9)
    near = sorted(found.values(), key=lambda one: abs(np.log(one[0].mean() / cost)))
    above = [one for one in near if one[0].mean() > cost][:1]
    below = [one for one in near if one[0].mean() <= cost][:1]
    return (above + below if above and below else near[:2]), width


def deviation_at(walks: list[tuple[Array, Array]], chosen: Array, cost: float) -> float:
    """Deviation of the chosen straddles' P&L at a mean cost, on the line through two walks."""
    (x, y), (u, v) = ((one[0][chosen].mean(), one[1][chosen].std(ddof=1)) for one in walks)
    return float(y + (cost - x) * (v - y) / (u - x))


def vectorised(cases: Straddles, clock: int) -> Array:
    """P&L of the clock as bands.py has it."""
    looks = len(cases.path) - 1
    left = (np.arange(looks, 0, -1) / cases.year)[:, None]
    right = np.array([1.0, -1.0])[:, None, None]
    delta = oh.options.greeks(cases.path[:-1], cases.path[:-1], STRIKE, left, cases.vol, right).delta.sum(axis=0)
    held = delta[np.arange(looks) // clock * clock]
    cost = cases.one_way * (np.abs(np.diff(held, axis=0, prepend=0)) * cases.path[:-1]).sum(axis=0)
    premium = oh.options.black(cases.path[0], STRIKE, looks / cases.year, cases.vol, right[:, 0]).sum(axis=0)
    return (held * np.diff(cases.path, axis=0)).sum(axis=0) - np.abs(cases.path[-1] - STRIKE) + premium - cost


def report(
    name: str, cases: Straddles, clock: int, look: str, at_once: int = 1, names: tuple[str, ...] = RULES
) -> None:
    """One row: each rule over the clock at the clock's cost."""
    began, rng = time.process_time(), np.random.default_rng(0)
    every = 1.1 * (cases.time(clock) - cases.time(0)).total_seconds()  # an eighth of it early counts as due
    clocked = walked(cases, ToBand(cases), oh.policy.Clock(f"{every:.0f}s"))
    gap = float(np.abs(clocked[1] - vectorised(cases, clock)).max())
    whole, cost = np.arange(cases.count), float(clocked[0].mean())
    times = whole.reshape(at_once, -1)
    draws = [times[:, rng.integers(0, times.shape[1], times.shape[1])].ravel() for _ in range(200)]
    print(f"{name:10s} {cases.count:5d} every {clock:3d} {look:6s} cost {cost:.3f}, deviation "
          f"{clocked[1].std(ddof=1):.3f}; from the vectorised clock by {gap:.1g} at most", flush=True)  # fmt: skip
    for rule in names:
        walks, width = about(cases, rule, cost, 0.1)
        drawn = [deviation_at(walks, one, clocked[0][one].mean()) / clocked[1][one].std(ddof=1) for one in draws]
        low, high = np.quantile(drawn, [0.025, 0.975])
        told = " and ".join(f"{one[0].mean() / cost:.2f}" for one in walks)
        ratio = deviation_at(walks, whole, cost) / clocked[1].std(ddof=1)
        print(f"  {rule:9s} {ratio:.2f} [{low:.2f}, {high:.2f}]  between walks of {told} of its cost, width "
              f"{width:.2g}, {time.process_time() - began:.0f} s of CPU", flush=True)  # fmt: skip


def simulated(count: int = 200) -> Straddles:
    """Six weeks, four looks a day, vol 0.25, 20 bp one way."""
    looks, year = 126, 4 * 252
    shocks = 0.25 / np.sqrt(year) * np.random.default_rng(8).standard_normal((looks, count)) - 0.25**2 / (2 * year)
    path = STRIKE * np.exp(np.vstack([np.zeros((1, count)), np.cumsum(shocks, axis=0)]))
    return Straddles(path, np.full(count, 0.25), 0.002, year, 4)


def main(chosen: list[str]) -> None:
    """All three, or those named."""
    if "simulated" in chosen:
        report("simulated", simulated(), 12, "looks")
    if "BTC" in chosen:
        coin = pd.read_parquet(DATA / "crypto_spot_perp_8h_2023_2024" / "binance_btc_hourly_2021_2024.parquet")
        report("BTC", Straddles(*cut(coin["perp_usdt"].iloc[::4], 84, 2190), 5e-4, 2190, 6), 6, "looks")
    if "shares" in chosen:
        etfs = pd.read_parquet(DATA / "etf_daily_2006_2022" / "etf_returns.parquet").dropna(axis=1)
        parts = [cut((1 + etfs[n]).cumprod(), 63, 252) for n in etfs]
        path, vol = np.concatenate([p for p, _ in parts], axis=1), np.concatenate([v for _, v in parts])
        report("shares", Straddles(path, vol, 2e-4, 252, 1), 5, "days", at_once=len(parts))


if __name__ == "__main__":
    main(sys.argv[1:] or ["simulated", "BTC", "shares"])
