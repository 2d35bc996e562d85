"""American options on stocks with cash dividends and on futures: price, Greeks, early exercise and implied vol.

The spot is a lognormal diffusion with constant rate, carry and vol that falls by the cash amount at each ex-date, to
zero at most (QuantLib's `CashDividendModel.Spot`); the vol is the spot's own. `carry` is the growth of the forward per
year between ex-dates, continuous: the rate less borrow and yield of a stock, 0 for a future (Black 1976, American).
`rate` and carry may be negative. Two runs of `american_grid`'s backward induction, the second with half the steps'
length, are extrapolated to exercise at every instant (Richardson).

Arrays broadcast to N contracts; ex_years and dividends are N x D (or D for all): years from now to each ex-date, NaN
for none, and the cash per unit. An ex-date not between now and expiry is ignored. `right` is +1 or "C", -1 or "P";
years, vols and errors as in `pricing`: expired or without vol it is the payoff, NaN gives NaN, the impossible is a
DataError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optihedge.frames import refuse
from optihedge.market.american_grid import NODES, Induction, Terms
from optihedge.market.pricing import Greeks, above_zero, greeks, implied_vol, right_signs

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.intp]

_STEPS = 24  # of the coarser run, and one more for each ex-date
_FEWER_STEPS = 12  # where two runs are compared, and their errors cancel
_BLOCK = 64  # contracts side by side: few enough for the cache
_ROUNDS = 40
_EXACT, _NEAR = 1e-9, 1e-6  # of the spot: an implied vol gives its price to the first, at worst to the second
_VOLS = (1e-4, 50.0)  # between which an implied vol is sought
_SAME_DAY = 1e-6  # of the lifetime: ex-dates nearer to each other are one
_VOL_BUMP = 0.02  # share of the vol
_RATE_BUMP = 0.005  # per year


@dataclass(frozen=True, eq=False)
class AmericanGreeks(Greeks):
    """Natural derivatives as `pricing.Greeks`, and two more.

    carry_rho   derivative with respect to the carry, the rate held, per 1.00 (rho moves both)
    exercise    whether exercising now is worth at least as much as holding; then price is the payoff, delta the right
                and the rest zero
    """

    carry_rho: Floats
    exercise: Flags


def american_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    ex_years: ArrayLike | None = None,
    dividends: ArrayLike | None = None,
) -> Floats:
    """The price, in the currency of the strike, per unit; see the module for the arguments and errors.

    >>> float(american_price(100.0, 100.0, 1.0, 0.25, "P", 0.05, 0.05).round(3))
    7.974
    """
    o = _Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    return o.shaped(np.maximum(o.solve()[0], o.payoff))


def american_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    ex_years: ArrayLike | None = None,
    dividends: ArrayLike | None = None,
) -> AmericanGreeks:
    """Price and derivatives with respect to spot, vol, time and rate (rate and carry move together, dividends held).

    Theta and charm are those of the diffusion, by its own equation; vega, vanna, volga and rho are central differences
    over 2 % of the vol and half a percent of rate. Gamma and theta jump at the exercise boundary; within a step's
    deviation of it (vol sqrt(T/48)) they are smoothed.
    """
    o = _Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    s, scale = o.spot, o.scale
    value, first, second, third = o.solve()
    up, down = (replace(o, vol=o.vol * (1 + bump)).solve(_FEWER_STEPS)[:2] for bump in (_VOL_BUMP, -_VOL_BUMP))
    by_rate, by_carry = (
        (o.moved(name, _RATE_BUMP).solve(_FEWER_STEPS)[0] - o.moved(name, -_RATE_BUMP).solve(_FEWER_STEPS)[0])
        / (2 * _RATE_BUMP)
        for name in ("rate", "carry")
    )
    delta = first / (scale * s)
    gamma = (second / scale**2 - first / scale) / s**2
    speed = (third / scale**3 - 3 * second / scale**2 + 2 * first / scale) / s**3  # of derivatives in ln S: d3V/dS3
    wide = 2 * _VOL_BUMP * np.where(o.vol > 0, o.vol, 1.0)
    vanna = (up[1] / (1 + _VOL_BUMP) - down[1] / (1 - _VOL_BUMP)) / (scale * s * wide)
    theta = o.rate * value - o.carry * s * delta - o.vol**2 * s**2 * gamma / 2
    theta = np.where((o.cash > 0).any(axis=1), theta, np.minimum(theta, 0.0))  # time alone never makes it dearer
    charm = (o.rate - o.carry) * delta - (o.carry + o.vol**2) * s * gamma - o.vol**2 * s**2 * speed / 2
    rest = {
        "gamma": gamma, "vega": (up[0] - down[0]) / wide, "theta": theta, "rho": by_rate + by_carry,
        "vanna": vanna, "volga": (up[0] - 2 * o.solve(_FEWER_STEPS)[0] + down[0]) / (wide / 2) ** 2, "charm": charm,
        "carry_rho": by_carry,
    }  # fmt: skip
    alive = o.alive & (value > o.payoff)
    known = np.isfinite(o.payoff + o.vol + o.years)
    exercise = ~alive & known & (o.payoff > 0)
    unlived = np.where(o.payoff > 0, o.right, np.where(o.strike == s, o.right / 2, 0.0))
    return AmericanGreeks(
        price=o.shaped(np.maximum(value, o.payoff)),
        delta=o.shaped(np.where(alive, delta, np.where(known, unlived, np.nan))),
        exercise=exercise.reshape(o.shape),
        **{name: o.shaped(np.where(alive, part, np.where(known, 0.0, np.nan))) for name, part in rest.items()},
    )


def american_implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    right: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    ex_years: ArrayLike | None = None,
    dividends: ArrayLike | None = None,
) -> Floats:
    """The vol (decimal) at which holding is worth the price; NaN where there is none.

    There is none where the price is not above the payoff (every vol low enough gives that) nor above the value at no
    vol, above every vol's, not a number, or the option has expired. Newton's steps between brackets.
    """
    price = np.asarray(price, dtype=float)
    shape = np.broadcast_shapes(price.shape, np.shape(spot), np.shape(strike), np.shape(years), np.shape(right))
    price = np.broadcast_to(price, shape).ravel()
    o = _Options.of(np.broadcast_to(spot, shape), strike, years, 1.0, right, rate, carry, ex_years, dividends)
    vol = np.full(len(price), np.nan)
    left = np.flatnonzero(o.alive & np.isfinite(price) & (price > o.payoff))
    sought = o.take(left)
    forward, discount = sought.forward(), np.exp(-sought.rate * sought.years)
    guess = implied_vol(price[left], forward, sought.strike, sought.years, sought.right, discount)
    european = sought.european()
    vol[left[european]] = guess[european]
    active = np.flatnonzero(~european)
    vol[left[active]] = _root(sought.take(active), price[left[active]], guess[active])
    return vol.reshape(shape)


def _root(o: _Options, price: Floats, guess: Floats) -> Floats:
    """The vols at which holding is worth these prices, from guesses, NaN where there is none: Newton's steps with the
    European vega, then secants, between brackets."""
    found = np.full(len(price), np.nan)
    now = np.clip(np.where(guess > 0, guess, 0.3), *_VOLS)
    low, high, before, miss = np.zeros(len(price)), np.full(len(price), np.inf), now.copy(), np.zeros(len(price))
    active = np.arange(len(price))
    for round_ in range(_ROUNDS):
        if not active.size:
            break
        some, vol = replace(o.take(active), vol=now[active]), now[active]
        error = some.solve()[0] - price[active]
        low[active] = np.where(error < 0, vol, low[active])
        high[active] = np.where(error > 0, vol, high[active])
        floor, ceiling = low[active], high[active]
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (error - miss[active]) / (vol - before[active])
            if round_ == 0:
                discount = np.exp(-some.rate * some.years)
                slope = greeks(some.spot, some.forward(), some.strike, some.years, vol, some.right, discount).vega
            new = vol - error / slope
        middle = np.where(np.isinf(ceiling), 2 * vol, (floor + ceiling) / 2)
        new = np.where((new > floor) & (new < ceiling), new, middle)
        done = np.abs(error) <= _EXACT * some.spot
        near = np.abs(error) <= _NEAR * some.spot
        found[active[near]] = vol[near]
        before[active], miss[active], now[active] = vol, error, new
        active = active[~done & (new > _VOLS[0]) & (new < _VOLS[1]) & (np.abs(new - vol) > 1e-14 * vol)]
    return found


def american_profiles(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    ex_years: ArrayLike | None = None,
    dividends: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Prices over a grid of spots, N x M each: ln of the spot over today's, evenly spaced per contract, and the price.

    Every option needs time and vol left.
    """
    o = _Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    growth, price = np.zeros((len(o.spot), NODES)), np.zeros((len(o.spot), NODES))
    for at in o.blocks(np.arange(len(o.spot))):
        terms = o.terms(at)
        (level, coarse), (_, fine) = (Induction(terms, _FEWER_STEPS, refine).profile() for refine in (1, 2))
        payoff = o.right[at, None] * (level - terms.strike[:, None])
        growth[at] = np.log(level)
        price[at] = np.maximum(np.maximum(2 * fine - coarse, payoff), 0.0) * o.spot[at, None]
    return growth, price


def exercise_boundary(
    strike: ArrayLike,
    years: ArrayLike,
    vol: ArrayLike,
    right: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike = 0.0,
    ex_years: ArrayLike | None = None,
    dividends: ArrayLike | None = None,
) -> Floats:
    """The spot nearest the strike at which exercise now is worth as much as holding (a put's below it, a call's above);
    NaN where none is. Accurate to about the spacing of the grid's square, 0.1 % of the spot for vol sqrt(T) of 0.3.
    """
    o = _Options.of(strike, strike, years, vol, right, rate, carry, ex_years, dividends)
    found = np.full(len(o.spot), np.nan)
    for at in o.blocks(np.flatnonzero(o.alive & ~o.european())):
        spot, held = Induction(o.terms(at), _STEPS, 2).profile()
        right = o.right[at, None]
        gain = right * (spot - (o.strike / o.spot)[at, None]) - held
        turns = (gain[:, 1:] > 0) != (gain[:, :-1] > 0)
        for row, which in enumerate(at):
            nodes = np.flatnonzero(turns[row])
            if nodes.size:
                n = nodes[-1] if o.right[which] < 0 else nodes[0]
                share = gain[row, n] / (gain[row, n] - gain[row, n + 1])
                found[which] = o.spot[which] * spot[row, n] ** (1 - share) * spot[row, n + 1] ** share
    return o.shaped(found)


@dataclass(frozen=True, eq=False)
class _Options:
    """N options, checked and flat; ex-dates in years (N x D, rising, the expiry where none) and their cash."""

    spot: Floats
    strike: Floats
    years: Floats
    vol: Floats
    right: Floats
    rate: Floats
    carry: Floats
    ex: Floats
    cash: Floats
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls, spot: ArrayLike, strike: ArrayLike, years: ArrayLike, vol: ArrayLike, right: ArrayLike, rate: ArrayLike,
        carry: ArrayLike, ex_years: ArrayLike | None, dividends: ArrayLike | None,
    ) -> _Options:  # fmt: skip
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
        return cls(spot, strike, years, vol, sign, rate, carry, ex, cash, terms[0].shape)

    def take(self, at: Positions) -> _Options:
        """The options at these positions."""
        names = ("spot", "strike", "years", "vol", "right", "rate", "carry", "ex", "cash")
        return replace(self, shape=(len(at),), **{name: getattr(self, name)[at] for name in names})

    def moved(self, name: str, by: float) -> _Options:
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

    def solve(self, steps: int = _STEPS) -> Floats:
        """Value if held, and its derivatives in z = ln(S) / (vol sqrt(T)): orders 0 to 3 x N; the payoff at the end."""
        out = np.zeros((4, len(self.spot)))
        known = np.isfinite(self.payoff + self.vol + self.years + self.rate + self.carry)
        out[0] = np.where(known, self.payoff, np.nan)
        alive, european = self.alive, self.european()
        plain = np.flatnonzero(alive & european)
        out[:, plain] = _european(self.take(plain))
        for at in self.blocks(np.flatnonzero(alive & ~european)):
            terms = self.terms(at)
            coarse, fine = (Induction(terms, steps, refine).now() for refine in (1, 2))
            out[:, at] = (2 * fine - coarse) * self.spot[at]
        return out


def _european(o: _Options) -> Floats:
    """Black's value and derivatives, as `_Options.solve`."""
    forward, discount = o.spot * np.exp(o.carry * o.years), np.exp(-o.rate * o.years)
    g = greeks(o.spot, forward, o.strike, o.years, o.vol, o.right, discount)
    scale, s = o.scale, o.spot
    slope, bend = s * g.delta, s**2 * g.gamma
    third = -bend * (1.5 + np.log(forward / o.strike) / scale**2)
    return np.array([g.price, scale * slope, scale**2 * (bend + slope), scale**3 * (third + 3 * bend + slope)])


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
