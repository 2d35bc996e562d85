"""What contracts are worth after a shift: options by Black, the rest by their family's law, time and funding passed.

`market.scenarios` reads shocks into shifts by contract; here a shift becomes P&L in base currency.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from optihedge.market.exposures import by_family
from optihedge.market.families.base import Shift
from optihedge.market.instruments import annual_funding
from optihedge.market.normal import normal_cdf
from optihedge.market.premium import EarlyPremium
from optihedge.market.snapshot import Market

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

_DAY = 1 / 365
_MONTH = 30 / 365
_LEAST_DEVIATION = 1e-12


def smile_shape(strike: Floats, forward: Floats, years: Floats) -> tuple[Floats, Floats]:
    """What the shocks term and skew of one do to the vol of each option (n each), as SHOCKS says."""
    life = np.maximum(years, _DAY)
    return np.sqrt(_MONTH / life), np.log(strike / forward) / np.sqrt(life)


def settling(shift: Shift, unsettled: Floats) -> Shift:
    """The moves that contracts see of which this share of the settlement average is still to come."""
    if (unsettled == 1).all():
        return shift
    growth = 1 + unsettled * (shift.growth - 1)
    moved = {name: getattr(shift, name) for name in ("vol", "rate", "basis", "term", "skew")}
    part = {name: value * unsettled for name, value in moved.items() if varies(value)}
    return replace(shift, growth=growth, log_growth=np.log(growth), **part)


@dataclass(frozen=True, eq=False)
class Clock:
    """The options after some days: value = a N(phi d1) - b N(phi d2), d1 = x / s + s / 2, s = vol root, at today's S.

    a, b hold phi, the discount and the contract's unit; `rest` is what is left of the mark's excess over the formula,
    less today's value; `left` is in years. premium: what American options are worth beside.
    """

    days: float
    left: Floats
    root: Floats
    x: Floats
    a: Floats
    b: Floats
    rest: Floats
    premium: EarlyPremium


class Revaluation:
    """N contracts of a market, ready to be revalued: positions of options, futures and the rest, and what they need.

    Options go by Black's formula as it stands: its error is a rounding of the forward, all that a P&L needs, and it
    takes a sixth of the time of `pricing.black`, which is exact in every wing.
    """

    def __init__(self, market: Market, at: Positions) -> None:
        c = market.contracts.take(at)
        o = span(c.option)
        self.contracts, self.option = c, o
        self.others = [(family, span(c.family == c.family[where[0]]), c.take(where))
                       for family, where in by_family(c) if family.revalue is not None]  # fmt: skip
        ratio = c.forward / c.spot
        self.lean = np.where((c.option | c.future) & (ratio > 0), np.log(np.where(ratio > 0, ratio, 1.0)), 0.0)
        quoted, undated = market.quotes.iloc[at], c.margined & np.isnan(c.years)
        funding = annual_funding(quoted["funding_rate"].to_numpy(), quoted["funding_hours"].to_numpy())
        self.funding = np.where(undated, np.nan_to_num(funding), 0.0)
        self.notional = np.where(undated, market.notional.to_numpy()[at], 0.0)
        self.funded = np.flatnonzero(undated)
        self.unit = c.multiplier * c.fx
        self.right, self.half_right, self.vol = c.right[o], c.right[o] / 2, c.vol[o]
        self.today = (np.where(c.inverse, c.price * c.spot, c.price) * self.unit)[o]
        self.term, self.skew = smile_shape(c.strike[o], c.forward[o], c.years[o])
        x, a, b = self.terms(np.ones(len(self.term)))
        self.gap = self.today - self.black(x, self.vol * np.sqrt(np.maximum(c.years[o], 0.0)), a, b)
        self.options = c.take(np.arange(len(c.option))[o])
        self.premium = EarlyPremium.of(self.options, self.options.years)
        early = self.premium.at
        if early.size:
            self.gap[early] -= self.early_value(self.premium, np.zeros((1, len(early))), self.vol[None, early])[0]

    def terms(self, share: Floats) -> tuple[Floats, Floats, Floats]:
        """x, a, b of the options with this share of today's time left."""
        c, o = self.contracts, self.option
        lean = self.lean[o] * share
        forward = c.spot[o] * np.exp(np.where(c.inverse[o], 0.0, lean))
        strike = c.strike[o] * np.exp(np.where(c.inverse[o], -lean, 0.0))
        signed = self.unit[o] * c.right[o] * c.discount[o] ** share
        return np.log(forward / strike), signed * forward, signed * strike

    def clock(self, days: float) -> Clock:
        """The options' terms after `days`."""
        years = self.contracts.years[self.option]
        left = np.maximum(years - days * _DAY, 0.0)
        share = left / years
        premium = self.premium if days == 0 else EarlyPremium.of(self.options, left)
        rest = self.gap * share - self.today
        return Clock(days, left, np.sqrt(left), *self.terms(share), rest=rest, premium=premium)

    def early_value(self, premium: EarlyPremium, log_growth: Floats, vol: Floats) -> Floats:
        """The premium of the American options in base currency per contract, R x A."""
        return premium(log_growth, vol) * self.unit[self.option][premium.at]

    def black(self, x: Floats, s: Floats, a: Floats, b: Floats) -> Floats:
        """a N(phi d1) - b N(phi d2); at no deviation s the intrinsic value. Overwrites x and s."""
        if not s.min(initial=1.0) >= _LEAST_DEVIATION:
            np.maximum(s, _LEAST_DEVIATION, out=s)
        x *= self.right / s
        s *= self.half_right
        d = np.empty((2, *x.shape))
        np.add(x, s, out=d[0])
        np.subtract(x, s, out=d[1])
        first, second = normal_cdf(d)
        first *= a
        second *= b
        first -= second
        return first

    def pnl(self, shift: Shift, clock: Clock) -> Floats:
        """P&L per contract, R x N, base currency."""
        gain = self.option_pnl(shift, clock)
        if not self.others:
            return gain
        pnl = np.empty((len(gain), len(self.unit)))
        pnl[:, self.option] = gain
        for family, where, contracts in self.others:
            if family.revalue is not None:
                pnl[:, where] = family.revalue(contracts, shift_of(shift, where)) * self.unit[where]
        if np.isfinite(shift.days):
            pnl[:, self.funded] -= self.funding_paid(shift)
        return pnl

    def option_pnl(self, shift: Shift, clock: Clock) -> Floats:
        c, o = self.contracts, self.option
        vol = self.vol + at_positions(shift.vol, o)
        if varies(shift.term) or varies(shift.skew):
            vol = vol + self.term * at_positions(shift.term, o) + self.skew * at_positions(shift.skew, o)
        x, a, b = clock.x + at_positions(shift.log_growth, o), clock.a * at_positions(shift.growth, o), clock.b
        if varies(shift.rate):
            grown = at_positions(shift.rate, o) * clock.left
            x, b = x + grown, b * np.exp(-grown)
        if varies(shift.basis):
            lean = np.where(clock.left > 0, at_positions(shift.basis, o), 0.0)
            x = x + lean
            a, b = a * np.exp(np.where(c.inverse[o], 0.0, lean)), b * np.exp(np.where(c.inverse[o], -lean, 0.0))
        early = clock.premium.at
        if early.size:  # before Black overwrites what it reads
            growth = np.broadcast_to(at_positions(shift.log_growth, o), x.shape)[:, early]
            on_future = self.options.on_future[early]
            if varies(shift.basis) and on_future.any():
                growth = growth + np.broadcast_to(at_positions(shift.basis, o), x.shape)[:, early] * on_future
            premium = self.early_value(clock.premium, growth, np.broadcast_to(vol, x.shape)[:, early])
        vol = vol * clock.root
        value = self.black(x, vol, a, b)
        value += clock.rest
        if early.size:
            value[:, early] += premium
        if varies(shift.fx_growth):
            value *= at_positions(shift.fx_growth, o)
            value += self.today * (at_positions(shift.fx_growth, o) - 1)
        return value

    def funding_paid(self, shift: Shift) -> Floats:
        """What the contracts that pay funding pay in so many days."""
        rate = self.funding[self.funded] + at_positions(shift.funding, self.funded)
        return self.notional[self.funded] * rate * (shift.days * _DAY)


def shift_of(shift: Shift, where: slice | Positions) -> Shift:
    """The shift of some contracts."""
    names = ("growth", "log_growth", "fx_growth", "vol", "rate", "basis", "term", "skew", "funding")
    return Shift(**{name: at_positions(getattr(shift, name), where) for name in names}, days=shift.days)  # type: ignore[arg-type]


def span(chosen: NDArray[np.bool_]) -> slice | Positions:
    """The chosen positions, as a slice where they are one run, which numpy reads without a copy."""
    positions = np.flatnonzero(chosen)
    if positions.size and positions[-1] - positions[0] + 1 == positions.size:
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def varies(values: Floats | float) -> bool:
    return isinstance(values, np.ndarray)


def at_positions(values: Floats | float, positions: slice | Positions) -> Floats | float:
    """The contracts' columns; what all share stays as it is."""
    return values[:, positions] if isinstance(values, np.ndarray) and values.shape[1] > 1 else values
