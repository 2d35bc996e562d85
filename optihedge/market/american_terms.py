"""American options as arrays, checked: what is asked of the backward induction, and what needs none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optihedge.frames import refuse
from optihedge.market.pricing import above_zero, right_signs

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.intp]

_BLOCK = 160  # contracts side by side: few enough for the cache
_SAME_DAY = 1e-6  # of the lifetime: ex-dates nearer to each other are one


@dataclass(frozen=True, eq=False)
class Terms:
    """B options in units of the spot.

    ex, cash    B x D: ex-dates in shares of the lifetime, rising, 1 where there is none; dividends over the spot
    """

    strike: Floats
    years: Floats
    vol: Floats
    right: Floats
    rate: Floats
    carry: Floats
    ex: Floats
    cash: Floats

    def take(self, at: Positions | slice) -> Terms:
        """The options at these positions."""
        return Terms(**{f.name: getattr(self, f.name)[at] for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Options(Terms):
    """N options, checked and flat, in their own money; ex-dates in years (N x D, rising, the expiry where none)."""

    spot: Floats
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls, spot: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, right: ArrayLike, rate: ArrayLike,
        carry: ArrayLike, ex_years: ArrayLike | None, dividends: ArrayLike | None,
    ) -> Options:  # fmt: skip
        """Raises DataError for a right, vol, price, rate or dividend that cannot be."""
        vol, rate, carry = (np.asarray(a, dtype=float) for a in (vol, rate, carry))
        _refuse(vol < 0, "vol", vol, "give a vol of at least 0, decimal")
        for name, values in (("rate", rate), ("carry", carry)):
            _refuse(np.isinf(values), name, values, "give a finite rate per year, decimal")
        spot, strike = above_zero("option", spot=spot, strike=strike)
        given = (spot, strike, np.asarray(years, dtype=float), vol, right_signs(right), rate, carry)
        terms = np.broadcast_arrays(*given)
        spot, strike, years, vol, sign, rate, carry = (np.ravel(a).astype(float) for a in terms)
        ex, cash = _ex_dates(years, ex_years, dividends)
        return cls(strike, years, vol, sign, rate, carry, ex, cash, spot, terms[0].shape)

    def take(self, at: Positions | slice) -> Options:
        """The options at these positions."""
        arrays = {f.name: getattr(self, f.name)[at] for f in fields(self) if f.name != "shape"}
        return replace(self, **arrays | {"shape": arrays["spot"].shape})

    def moved(self, name: str, by: Floats) -> Options:
        """The same with another rate or carry."""
        return replace(self, **{name: getattr(self, name) + by})

    def shaped(self, values: Floats) -> Floats:
        """As the arguments were."""
        return values.reshape(self.shape)

    @property
    def payoff(self) -> Floats:
        """What exercise pays now."""
        return np.maximum(self.right * (self.spot - self.strike), 0.0)

    @property
    def alive(self) -> Flags:
        """Options with time and vol left, and every figure known."""
        return np.isfinite(self.spot * self.strike * self.rate * self.carry) & (self.years > 0) & (self.vol > 0)

    @property
    def scale(self) -> Floats:
        """vol sqrt(T); 1 where nothing is left."""
        return np.where(self.alive, self.vol * np.sqrt(np.where(self.alive, self.years, 1.0)), 1.0)

    def forward(self) -> Floats:
        """The forward at expiry, dividends included, at least a thousandth of the spot."""
        grown = self.cash * np.exp(self.carry[:, None] * (self.years[:, None] - self.ex))
        return np.maximum(self.spot * np.exp(self.carry * self.years) - grown.sum(axis=1), 1e-3 * self.spot)

    def european(self) -> Flags:
        """Options without dividends that nobody exercises early: a call where carry is at least 0 and the rate, a put
        where neither is above 0."""
        call = (self.carry >= 0) & (self.carry >= self.rate)
        put = (self.carry <= 0) & (self.rate <= 0)
        return np.where(self.right > 0, call, put) & ~(self.cash > 0).any(axis=1)

    def blocks(self, at: Positions) -> Iterator[Positions]:
        """These positions in blocks of one number of ex-dates, so that no price depends on its company."""
        events = (self.cash[at] > 0).sum(axis=1)
        for number in np.unique(events):
            alike = at[events == number]
            yield from (alike[top : top + _BLOCK] for top in range(0, len(alike), _BLOCK))

    def terms(self, at: Positions) -> Terms:
        """In units of the spot and of the lifetime."""
        o = self.take(at)
        events = int((o.cash > 0).sum(axis=1).max(initial=0))
        order = np.argsort(np.where(o.cash > 0, o.ex, np.inf), axis=1, kind="stable")[:, :events]
        ex, cash = (np.take_along_axis(a, order, axis=1) for a in (o.ex, o.cash))
        ex = np.where(cash > 0, ex / o.years[:, None], 1.0)
        return Terms(o.strike / o.spot, o.years, o.vol, o.right, o.rate, o.carry, ex, cash / o.spot[:, None])


def _ex_dates(years: Floats, ex_years: ArrayLike | None, dividends: ArrayLike | None) -> tuple[Floats, Floats]:
    """Ex-dates between now and expiry, rising, and their cash, N x D; what falls on one instant is one dividend."""
    size = len(years)
    if ex_years is None or dividends is None:
        return np.zeros((size, 0)), np.zeros((size, 0))
    ex, cash = np.broadcast_arrays(np.asarray(ex_years, dtype=float), np.asarray(dividends, dtype=float))
    ex, cash = (np.array(np.broadcast_to(np.atleast_2d(a), (size, a.shape[-1])), dtype=float) for a in (ex, cash))
    _refuse((cash < 0) | (cash == np.inf), "dividend", cash, "give a finite amount of cash, 0 or more")
    counts = (ex > 0) & (ex < years[:, None]) & (cash > 0)
    order = np.argsort(np.where(counts, ex, np.inf), axis=1, kind="stable")
    ex = np.take_along_axis(np.where(counts, ex, years[:, None]), order, axis=1)
    cash = np.take_along_axis(np.where(counts, cash, 0.0), order, axis=1)
    for j in range(1, ex.shape[1]):
        same = (cash[:, j] > 0) & (ex[:, j] - ex[:, j - 1] < _SAME_DAY * years)
        ex[same, j] = ex[same, j - 1]
        cash[same, j] += cash[same, j - 1]
        cash[same, j - 1] = 0.0
    return ex, cash


def _refuse(bad: Flags, name: str, values: Floats, remedy: str) -> None:
    if np.count_nonzero(bad):
        refuse(np.ravel(bad), "option", name, pd.Series(np.ravel(values)), remedy)
