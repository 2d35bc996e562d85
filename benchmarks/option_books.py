"""Books of options, what a desk would hedge them with, and how deviations are compared: shared by benchmarks."""

from __future__ import annotations

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


def deviation_ratio(table: pd.DataFrame, ours: str, peer: str) -> float:
    """Geometric mean over shapes of rms(ours) / rms(peer); columns (pnl, hedge), shape."""
    logs = [np.log(rms(g["pnl", ours]) / rms(g["pnl", peer])) for _, g in table.groupby(("shape", ""))]
    return float(np.exp(np.mean(logs)))


def cost_ratio(table: pd.DataFrame, ours: str, peer: str) -> float:
    """Mean cost of ours over the peer's."""
    return float(table["cost", ours].mean() / table["cost", peer].mean())


def ratio_at_cost(table: pd.DataFrame, frontier: list[str], peer: str) -> float:
    """As `deviation_ratio`, with ours interpolated along the frontier (log deviation in cost) to the peer's cost."""
    logs = []
    for _, group in table.groupby(("shape", "")):
        cost = [group["cost", name].mean() for name in frontier]
        logs.append(np.interp(group["cost", peer].mean(), cost, [np.log(rms(group["pnl", name])) for name in frontier])
                    - np.log(rms(group["pnl", peer])))  # fmt: skip
    return float(np.exp(np.mean(logs)))


def interval(table: pd.DataFrame, figure, draws: int = 500) -> tuple[float, float, float]:
    """figure(table), and a 95 % interval from resampling whole days (column day)."""
    by_day = [group.index.to_numpy() for _, group in table.groupby(("day", ""))]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        chosen = np.concatenate([by_day[i] for i in rng.integers(0, len(by_day), len(by_day))])
        drawn.append(figure(table.loc[chosen].reset_index(drop=True)))
    return (figure(table), *map(float, np.nanquantile(drawn, [0.025, 0.975])))
