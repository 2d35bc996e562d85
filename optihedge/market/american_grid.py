"""Backward induction of American options, many contracts side by side.

The spot is S(t) = G(t) exp(vol sqrt(T) z), z a Wiener process in shares of the lifetime and G the path of z = 0, which
falls with the cash dividends. In z every contract's value obeys the same heat equation, and a step of any length is
exact: a factor on each cosine mode of a grid that reflects at its ends. Exercise is allowed between steps; the last
step before expiry is Black's formula, which smooths the payoff.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optihedge.market.american_terms import Terms
from optihedge.market.normal import normal_cdf

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

NODES = 192
_REACH = 5.5  # standard deviations, and half the spot's own: a call's mean lies that much to the right
_LEAST_FALL = 0.2  # of the path G at an ex-date; where it lies is free
_RESOLVED = 0.85  # a step's deviation over the spacing, from which a sum over nodes is its mean
_NEAR = np.arange(8) - 3.5
_POLYNOMIAL = np.linalg.inv(np.vander(_NEAR, increasing=True)).T  # values at _NEAR to coefficients


class Induction:
    """Values by contract and node, from expiry back to the end of the first step.

    steps: at least so many of equal length; every stretch between ex-dates has a whole number, times `refine`.
    """

    def __init__(self, terms: Terms, steps: int, refine: int = 1) -> None:
        self.terms = terms
        self.step, self.start, self.stretch = _schedule(terms.ex, steps, refine)
        self.scale = terms.vol * np.sqrt(terms.years)
        reach = _REACH + np.minimum(self.scale, _REACH) / 2
        self.spacing = 2 * reach / NODES
        self.z = self.spacing[:, None] * (np.arange(NODES) - (NODES - 1) / 2)
        self.decay = -((np.pi * np.arange(NODES) / (2 * reach[:, None])) ** 2) / 2
        self.stretched = np.exp(self.scale[:, None] * self.z)  # exp(vol sqrt(T) z)
        self.owned = self.stretched * terms.right[:, None]
        self.owed = (terms.right * terms.strike)[:, None]
        self.falls = _falls(terms)
        drift = (terms.carry - terms.vol**2 / 2) * terms.years
        self.log_path = drift[:, None] * self.start + np.take_along_axis(self.falls, self.stretch, axis=1)
        self.damping = np.empty((len(terms.years), NODES))
        self.damped = np.full(len(terms.years), np.nan)
        self.value = self.expire()
        for i in range(self.step.shape[1] - 1, 0, -1):
            if i < self.step.shape[1] - 1:
                self.value = self.earlier(i)
            payoff = self.owned * np.exp(self.log_path[:, i])[:, None]
            payoff -= self.owed
            take_larger(self.value, payoff)
            falling = np.flatnonzero(self.stretch[:, i] > self.stretch[:, i - 1])
            if falling.size:
                self.value[falling] = self.before_fall(i, falling)

    def expire(self) -> Floats:
        """Black's formula over the last step."""
        t, left = self.terms, self.terms.years * self.step[:, -1]
        deviation = t.vol * np.sqrt(left)
        log_path = self.log_path[:, -1]
        d1 = self.z * (self.scale / deviation)[:, None]
        d1 += ((log_path - np.log(t.strike) + t.carry * left) / deviation + deviation / 2)[:, None]
        d1 *= t.right[:, None]
        value = normal_cdf(d1 - (t.right * deviation)[:, None])
        value *= -self.owed * np.exp(-t.rate * left)[:, None]
        share = normal_cdf(d1)
        share *= self.owned
        share *= np.exp(log_path + (t.carry - t.rate) * left)[:, None]
        value += share
        return value

    def before_fall(self, i: int, at: Positions) -> Floats:
        """Values just before the ex-date at the start of step i, for the contracts `at`: those of the spot less the
        dividend, by cubics between nodes, or exercise. Below the grid they are linear down to 0, where a put waits.
        """
        t, event = self.terms, self.stretch[at, i] - 1
        after = self.log_path[at, i][:, None]
        before = after - (self.falls[at, event + 1] - self.falls[at, event])[:, None]
        left = np.maximum(self.stretched[at] * np.exp(before) - t.cash[at, event][:, None], 0.0)
        lowest = self.stretched[at, :1] * np.exp(after)
        low = left < lowest
        place = (np.log(np.where(low, lowest, left)) - after) / self.scale[at, None]
        value = _cubic(self.value, (place - self.z[at, :1]) / self.spacing[at, None], at)
        remaining = (t.years[at] * (1 - self.start[at, i]))[:, None]
        waits = t.strike[at, None] * np.maximum(np.exp(-t.rate[at, None] * remaining), 1.0)
        ruined = np.where(t.right[at, None] < 0, waits, 0.0)
        share = left / lowest
        value = np.where(low, ruined + (self.value[at, :1] - ruined) * share, value)
        take_larger(value, self.owned[at] * np.exp(before) - self.owed[at])
        return value

    def earlier(self, i: int) -> Floats:
        """The values a step back, to the start of step i."""
        from scipy.fft import dct, idct  # no run without an American option pays its import

        new = np.flatnonzero(self.step[:, i] != self.damped)
        if new.size:
            length = self.step[new, i]
            rates = self.terms.rate[new] * self.terms.years[new]
            self.damping[new] = np.exp(length[:, None] * (self.decay[new] - rates[:, None]))
            self.damped[new] = length
        modes = dct(self.value, axis=1)
        modes *= self.damping
        return idct(modes, axis=1, overwrite_x=True)

    def now(self) -> Floats:
        """What the option is worth now if held at z = 0, and its derivatives in z: orders 0 to 3 x contracts.

        A mean over the first step: a sum over nodes, or where it is too short the Gaussian moments of a polynomial.
        """
        d = self.step[:, 0]
        deviation = np.sqrt(d)
        # a step long against the spacing: sums over nodes of value x x^k x the normal density, order by order
        x = self.z / deviation[:, None]
        weighted = self.value * np.exp(-x * x / 2) * (self.spacing / np.sqrt(2 * np.pi) / deviation)[:, None]
        moments = [weighted.sum(axis=1)]
        for _ in range(3):
            weighted *= x
            moments.append(weighted.sum(axis=1))
        m0, m1, m2, m3 = moments
        sums = np.array([m0, m1 / deviation, (m2 - m0) / d, (m3 - 3 * m1) / deviation**3])
        # it is short: the value near 0 is a polynomial, of which the normal law knows every moment
        middle = NODES // 2
        c = (self.value[:, middle - 4 : middle + 4] @ _POLYNOMIAL / self.spacing[:, None] ** np.arange(8)).T
        short = np.array([
            c[0] + d * (c[2] + d * (3 * c[4] + 15 * d * c[6])),
            c[1] + d * (3 * c[3] + d * (15 * c[5] + 105 * d * c[7])),
            2 * c[2] + d * (12 * c[4] + 90 * d * c[6]),
            6 * c[3] + d * (60 * c[5] + 630 * d * c[7]),
        ])  # fmt: skip
        resolved = deviation > _RESOLVED * self.spacing
        return np.where(resolved, sums, short) * np.exp(-self.terms.rate * self.terms.years * d)

    def profile(self) -> tuple[Floats, Floats]:
        """Spots now and what the option is worth there if held, contracts x nodes, both over today's spot."""
        return self.stretched, self.earlier(0)


def take_larger(value: Floats, payoff: Floats) -> None:
    """Replace values (contracts x nodes) by the payoff where that is larger. Overwrites both.

    A sum over nodes does not know where between them exercise begins. Its error against a smooth weight is, in
    spacings, half the second Bernoulli polynomial of the place times the kink (Euler and Maclaurin): it is taken off
    the two nodes beside.
    """
    payoff -= value
    over, flat = payoff.ravel(), value.ravel()
    early = over > 0
    before = np.flatnonzero(early[1:] != early[:-1])
    before = before[(before + 1) % value.shape[1] != 0]  # not from one contract's last node to the next one's first
    first, second = over[before], over[before + 1]
    kink = np.abs(second - first)
    place = np.abs(first) / np.where(kink > 0, kink, 1.0)
    shift = kink * (1 / 12 - place * (1 - place) / 2)
    value += np.maximum(payoff, 0.0, out=payoff)
    flat[before] += shift * (1 - place)
    flat[before + 1] += shift * place


def _schedule(ex: Floats, steps: int, refine: int) -> tuple[Floats, Floats, Positions]:
    """B x N: the steps in shares of the lifetime, their starts, and how many ex-dates lie at or before them.

    Every stretch between ex-dates has a whole number of steps, none above 1 / steps, each cut in `refine`.
    """
    size, events = ex.shape
    edges = np.concatenate([np.zeros((size, 1)), ex, np.ones((size, 1))], axis=1)
    length = np.diff(edges, axis=1)
    count = np.ceil(steps * length - 1e-9).astype(int)
    count[np.arange(size), length.argmax(axis=1)] += steps + events - count.sum(axis=1)
    count *= refine
    end = count.cumsum(axis=1)
    order = np.arange(refine * (steps + events))
    stretch = (order[None, :, None] >= end[:, None, :-1]).sum(axis=2)
    step = np.take_along_axis(length / np.maximum(count, 1), stretch, axis=1)
    first = np.take_along_axis(end - count, stretch, axis=1)
    return step, np.take_along_axis(edges, stretch, axis=1) + (order - first) * step, stretch


def _falls(terms: Terms) -> Floats:
    """B x (D + 1): the log falls of the path G, summed, after the first 0, 1, ... D ex-dates."""
    falls = np.zeros((len(terms.years), terms.ex.shape[1] + 1))
    level, before = np.ones(len(terms.years)), np.zeros(len(terms.years))
    for j in range(terms.ex.shape[1]):
        level *= np.exp(terms.carry * terms.years * (terms.ex[:, j] - before))
        kept = np.maximum(1 - terms.cash[:, j] / level, _LEAST_FALL)
        level, before = level * kept, terms.ex[:, j]
        falls[:, j + 1] = falls[:, j] + np.log(kept)
    return falls


def _cubic(value: Floats, place: Floats, at: Positions) -> Floats:
    """The rows `at` read at places (in nodes) by Lagrange's cubic through the four nodes around."""
    node = np.clip(place.astype(int), 1, NODES - 3)
    u = place - node
    first, last = u * (u - 1), (u + 1) * (u - 2)
    weights = (-first * (u - 2) / 6, (u - 1) * last / 2, -u * last / 2, first * (u + 1) / 6)
    flat = node - 1 + at[:, None] * NODES
    return sum((w * value.take(flat + k) for k, w in enumerate(weights)), np.zeros_like(u))
