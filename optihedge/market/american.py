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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optihedge.market.american_grid import NODES, Induction
from optihedge.market.american_terms import Options
from optihedge.market.pricing import Greeks, greeks, implied_vol

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.intp]

_STEPS = 12  # and one more for each ex-date, times the refinement
_COARSE, _FINE = (1, 2), (2, 4)  # refinements that are extrapolated; coarse where two values are compared
_ROUNDS = 40
_EXACT, _NEAR = 1e-9, 1e-6  # of the spot: an implied vol gives its price to the first, at worst to the second
_VOLS = (1e-4, 50.0)  # between which an implied vol is sought
_VOL_BUMP = 0.02  # share of the vol
_RATE_BUMP = 1e-4  # per year


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
    o = Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    return o.shaped(np.maximum(_held(o)[0], o.payoff))


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

    Theta and charm are those of the diffusion, by its own equation; vega, vanna and volga are central differences over
    2 % of the vol, rho a difference over a basis point. Gamma and theta jump at the exercise boundary; within
    a step's deviation of it (vol sqrt(T/48)) they are smoothed.

    >>> import optihedge as oh
    >>> float(oh.options.american_greeks(100.0, 100.0, 0.5, 0.3, "P", rate=0.05).delta.round(4))
    -0.45
    """
    o = Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    s, scale = o.spot, o.scale
    coarse, middle, fine = _runs(o, (1, 2, 4))
    value, first, second, third = _extrapolated(middle, fine)
    near = _extrapolated(coarse, middle)[0]
    up, down = (_extrapolated(*_runs(replace(o, vol=o.vol * (1 + by)), _COARSE)) for by in (_VOL_BUMP, -_VOL_BUMP))
    step = np.where(o.european(), -_RATE_BUMP, _RATE_BUMP)  # what nobody exercises early stays so
    by_rate, by_carry = (_by_rate(o, name, by, near) for name, by in (("rate", step), ("carry", -o.right * step)))
    # from ln S, in which the grid is even, to S
    delta = first / (scale * s)
    gamma = (second / scale**2 - first / scale) / s**2
    speed = (third / scale**3 - 3 * second / scale**2 + 2 * first / scale) / s**3  # of derivatives in ln S: d3V/dS3
    wide = 2 * _VOL_BUMP * np.where(o.vol > 0, o.vol, 1.0)
    vanna = (up[1] / (1 + _VOL_BUMP) - down[1] / (1 - _VOL_BUMP)) / (scale * s * wide)
    # time by the equation that the value obeys while it is held
    theta = o.rate * value - o.carry * s * delta - o.vol**2 * s**2 * gamma / 2
    theta = np.where((o.cash > 0).any(axis=1), theta, np.minimum(theta, 0.0))  # time alone never makes it dearer
    charm = (o.rate - o.carry) * delta - (o.carry + o.vol**2) * s * gamma - o.vol**2 * s**2 * speed / 2
    rest = {
        "gamma": gamma, "vega": (up[0] - down[0]) / wide, "theta": theta, "rho": by_rate + by_carry,
        "vanna": vanna, "volga": (up[0] - 2 * near + down[0]) / (wide / 2) ** 2, "charm": charm,
        "carry_rho": by_carry,
    }  # fmt: skip
    # where exercise is worth more, the payoff and its own slope
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

    >>> import optihedge as oh
    >>> price = oh.options.american_price(100.0, 100.0, 0.5, 0.3, "P", rate=0.05)
    >>> float(oh.options.american_implied_vol(price, 100.0, 100.0, 0.5, "P", rate=0.05).round(6))
    0.3
    """
    price = np.asarray(price, dtype=float)
    shape = np.broadcast_shapes(price.shape, np.shape(spot), np.shape(strike), np.shape(years), np.shape(right))
    price = np.broadcast_to(price, shape).ravel()
    o = Options.of(np.broadcast_to(spot, shape), strike, years, 1.0, right, rate, carry, ex_years, dividends)
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


def _root(o: Options, price: Floats, guess: Floats) -> Floats:
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
        error = _held(some)[0] - price[active]
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
    o = Options.of(spot, strike, years, vol, right, rate, carry, ex_years, dividends)
    growth, price = np.zeros((len(o.spot), NODES)), np.zeros((len(o.spot), NODES))
    for at in o.blocks(np.arange(len(o.spot))):
        terms = o.terms(at)
        (level, coarse), (_, fine) = (Induction(terms, _STEPS, refine).profile() for refine in _COARSE)
        payoff = o.right[at, None] * (level - terms.strike[:, None])
        growth[at] = np.log(level)
        price[at] = np.maximum(np.maximum(_extrapolated(coarse, fine), payoff), 0.0) * o.spot[at, None]
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

    >>> import optihedge as oh
    >>> edge = float(oh.options.exercise_boundary(100.0, 1.0, 0.25, "P", rate=0.05, carry=0.05))
    >>> 70.0 < edge < 100.0
    True
    """
    o = Options.of(strike, strike, years, vol, right, rate, carry, ex_years, dividends)
    found = np.full(len(o.spot), np.nan)
    for at in o.blocks(np.flatnonzero(o.alive & ~o.european())):
        spot, held = Induction(o.terms(at), _STEPS, _FINE[1]).profile()
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


def _runs(o: Options, refines: tuple[int, ...]) -> list[Floats]:
    """Value if held, and its derivatives in z = ln(S) / (vol sqrt(T)), orders 0 to 3 x N, by steps refined so many
    times; the payoff at the end, Black's value where nobody exercises early."""
    found = [np.zeros((4, len(o.spot))) for _ in refines]
    known = np.isfinite(o.payoff + o.vol + o.years + o.rate + o.carry)
    alive, european = o.alive, o.european()
    plain = np.flatnonzero(alive & european)
    closed = _european(o.take(plain))
    for out in found:
        out[0] = np.where(known, o.payoff, np.nan)
        out[:, plain] = closed
    for at in o.blocks(np.flatnonzero(alive & ~european)):
        terms = o.terms(at)
        for out, refine in zip(found, refines, strict=True):
            out[:, at] = Induction(terms, _STEPS, refine).now() * o.spot[at]
    return found


def _extrapolated(coarse: Floats, fine: Floats) -> Floats:
    """Exercise at every instant, from runs of which the second has half the steps' length (Richardson)."""
    return 2 * fine - coarse


def _held(o: Options) -> Floats:
    """As `_runs`, at every instant."""
    return _extrapolated(*_runs(o, _FINE))


def _by_rate(o: Options, name: str, by: Floats, near: Floats) -> Floats:
    """Derivative of the value with respect to the rate or carry, per 1.00; near: the value by the same steps."""
    return (_extrapolated(*_runs(o.moved(name, by), _COARSE))[0] - near) / by


def _european(o: Options) -> Floats:
    """Black's value and derivatives, as `Options.solve`."""
    forward, discount = o.spot * np.exp(o.carry * o.years), np.exp(-o.rate * o.years)
    g = greeks(o.spot, forward, o.strike, o.years, o.vol, o.right, discount)
    scale, s = o.scale, o.spot
    slope, bend = s * g.delta, s**2 * g.gamma
    third = -bend * (1.5 + np.log(forward / o.strike) / scale**2)
    return np.array([g.price, scale * slope, scale**2 * (bend + slope), scale**3 * (third + 3 * bend + slope)])
