"""Books of options, what a desk would hedge them with, and how deviations are compared: shared by benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linprog

import optihedge as oh

SHAPES = ("random", "ladder", "calendar", "risk reversals", "one expiry", "small", "strangle")
SIZE = 20  # contracts of a leg, at most
Array = np.ndarray


def liquid(
    market: oh.Market, alive: pd.Index, underlying: str, low: float, high: float, days: tuple[float, float]
) -> pd.Index:
    """Options of the underlying quoted on both sides, of these deltas (share of notional) and lives."""
    delta = (market.exposures["delta"] / market.notional).abs()
    life = market.contracts.years * 365
    kept = market.contracts.option & delta.between(low, high).to_numpy() & (life >= days[0]) & (life <= days[1])
    kept &= np.isfinite(market.trade_cost.to_numpy()).all(axis=1) & market.names.isin(alive)
    return market.names[kept & (market.instruments["underlying"] == underlying).to_numpy()]


def draw_book(market: oh.Market, liquid: pd.Index, shape: str, rng: np.random.Generator, spot: float) -> pd.Series:
    """Contracts by name of one of SHAPES."""
    table = market.instruments.loc[liquid]
    delta = (market.exposures["delta"] / market.notional).abs()
    if shape in ("random", "small"):
        legs, size = (min(40, len(liquid) - 25), SIZE) if shape == "random" else (3, 5)
        signs = rng.choice([-1.0, 1.0], legs)
        return pd.Series(rng.integers(1, size + 1, legs) * signs, index=rng.choice(liquid, legs, replace=False))
    expiries = [e for e, g in table.groupby("expiry") if {"C", "P"} <= set(g["right"]) and len(g) >= 10]
    book: dict[str, float] = {}

    def add(expiry: pd.Timestamp, right: str, quantity: float, by: pd.Series) -> None:
        names = table.index[(table["expiry"] == expiry) & (table["right"] == right)]
        name = by[names].idxmin()
        book[name] = book.get(name, 0.0) + quantity

    near, quantity = (table["strike"] - spot).abs(), float(rng.integers(5, SIZE + 1))
    if shape == "ladder":
        for expiry in expiries:
            quantity = float(rng.integers(5, SIZE + 1))
            for right in "CP":
                add(expiry, right, -quantity, near)
    elif shape == "calendar":
        first, last = sorted(rng.choice(len(expiries), 2, replace=False))
        for at, sign in ((first, -1.0), (last, 1.0)):
            for right in "CP":
                add(expiries[at], right, sign * quantity, near)
    elif shape == "risk reversals":
        for at in rng.choice(len(expiries), min(3, len(expiries)), replace=False):
            quantity = float(rng.integers(5, SIZE + 1)) * rng.choice([-1.0, 1.0])
            for right, sign in (("P", -1.0), ("C", 1.0)):
                add(expiries[at], right, sign * quantity, (delta - 0.25).abs())
    elif shape == "one expiry":
        names = table.index[table["expiry"] == expiries[rng.integers(len(expiries))]]
        for name in rng.choice(names, min(10, len(names)), replace=False):
            book[name] = float(rng.integers(1, SIZE + 1)) * rng.choice([-1.0, 1.0])
    else:  # a short strangle
        expiry = expiries[rng.integers(len(expiries))]
        for right in "CP":
            add(expiry, right, -quantity, (delta - 0.2).abs())
    drawn = pd.Series(book)
    return drawn[drawn != 0]


@dataclass(frozen=True, eq=False)
class Desk:
    """One book and what may hedge it: a linear contract first, then options. Money in base currency.

    names   of the hedges;  cost  of trading one, half spread and fee;  delta, vega  of one of each
    """

    names: list[str]
    cost: Array
    delta: Array
    vega: Array

    @classmethod
    def of(cls, market: oh.Market, names: list[str]) -> Desk:
        """Of these contracts of the market."""
        cost = market.trade_cost["buy"][names].to_numpy() + market.fees[names].fillna(0.0).to_numpy()
        greeks = market.exposures.loc[names]
        return cls(names, cost, greeks["delta"].to_numpy(), greeks["vega"].to_numpy())

    def delta_hedge(self, delta: float) -> Array:
        """Trades that bring delta to 0 by the linear contract."""
        trades = np.zeros(len(self.names))
        trades[0] = -delta / self.delta[0]
        return trades

    def delta_vega_hedge(self, delta: float, vega: float) -> Array:
        """The linear contract and the option of largest vega."""
        trades, best = np.zeros(len(self.names)), 1 + int(np.argmax(np.abs(self.vega[1:])))
        trades[best] = -vega / self.vega[best]
        trades[0] = -(delta + trades[best] * self.delta[best]) / self.delta[0]
        return trades

    def cheapest(self, delta: float, vega: float) -> Array:
        """The cheapest combination that brings delta and vega to 0, by linear programming."""
        rows = np.vstack([self.delta / np.abs(self.delta[0]), self.vega / np.abs(self.vega).max()])
        need = -np.array([delta / np.abs(self.delta[0]), vega / np.abs(self.vega).max()])
        found = linprog(np.r_[self.cost, self.cost], A_eq=np.hstack([rows, -rows]), b_eq=need, bounds=(0, None))
        if found.x is None:
            return self.delta_vega_hedge(delta, vega)
        return found.x[: len(self.cost)] - found.x[len(self.cost) :]


# ---- comparing -------------------------------------------------------------------------------------------------------


def rms(values: Array) -> float:
    """Uncentred root mean square."""
    return float(np.sqrt(np.mean(np.asarray(values, dtype=float) ** 2)))


@dataclass(frozen=True, eq=False)
class Results:
    """P&L and cost by hedge (B books each), and the books' shapes and days."""

    pnl: dict[str, Array]
    cost: dict[str, Array]
    shape: Array
    day: Array

    @classmethod
    def of(cls, table: pd.DataFrame) -> Results:
        """Of a table with columns (pnl, hedge), (cost, hedge), shape, day."""
        pnl, cost = (
            {name: table[kind, name].to_numpy(dtype=float) for name in table[kind]} for kind in ("pnl", "cost")
        )
        return cls(pnl, cost, table["shape", ""].to_numpy(), table["day", ""].to_numpy())

    def take(self, books: Array) -> Results:
        """Of these books."""
        some = lambda parts: {name: values[books] for name, values in parts.items()}  # noqa: E731
        return Results(some(self.pnl), some(self.cost), self.shape[books], self.day[books])

    def by_shape(self) -> list[Array]:
        """Positions of each shape's books."""
        return [np.flatnonzero(self.shape == shape) for shape in np.unique(self.shape)]


def deviation_ratio(r: Results, ours: str, peer: str) -> float:
    """Geometric mean over shapes of rms(ours) / rms(peer)."""
    return float(np.exp(np.mean([np.log(rms(r.pnl[ours][at]) / rms(r.pnl[peer][at])) for at in r.by_shape()])))


def cost_ratio(r: Results, ours: str, peer: str) -> float:
    """Mean cost of ours over the peer's."""
    return float(r.cost[ours].mean() / r.cost[peer].mean())


def ratio_at_cost(r: Results, frontier: list[str], peer: str) -> float:
    """As `deviation_ratio`, with ours interpolated along the frontier (log deviation in cost) to the peer's cost."""
    logs = []
    for at in r.by_shape():
        cost = [r.cost[name][at].mean() for name in frontier]
        size = [np.log(rms(r.pnl[name][at])) for name in frontier]
        logs.append(np.interp(r.cost[peer][at].mean(), cost, size) - np.log(rms(r.pnl[peer][at])))
    return float(np.exp(np.mean(logs)))


def interval(r: Results, figure: Callable[[Results], float], draws: int = 400) -> tuple[float, float, float]:
    """The figure, and a 95 % interval from resampling whole days."""
    by_day = [np.flatnonzero(r.day == day) for day in np.unique(r.day)]
    rng = np.random.default_rng(0)
    drawn = [
        figure(r.take(np.concatenate([by_day[i] for i in rng.integers(0, len(by_day), len(by_day))])))
        for _ in range(draws)
    ]
    return (figure(r), *map(float, np.nanquantile(drawn, [0.025, 0.975])))
