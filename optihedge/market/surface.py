"""The implied-vol surface: slices of normalised calls, free of arbitrage, and what is read off them.

A slice's call over its forward, c(x), x = ln(K/F), is an SVI base plus vega times a spline (see surface_fit). Between
expiries calls of equal x are mixed, which keeps every slice convex and total variance rising. Before the first expiry
its smile is kept in x / sqrt(T), which only adds to g; after the last, where that would take from g, the last slice's
law is followed by independent lognormal moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, ndtr

from optihedge.errors import DataError
from optihedge.market.pricing import black, implied_vol
from optihedge.market.splines import cubic_splines
from optihedge.market.svi import SviSlice, butterfly, check_slices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_ROOT_TWO_PI = np.sqrt(2 * np.pi)
_NORMAL = np.linspace(-9, 9, 181)  # nodes of a standard normal's expectation
_NO_PRICE = 1e-290  # below it a price has no digits left to hold a vol


@dataclass(frozen=True, eq=False)
class Spline:
    """A cubic spline that vanishes, with two derivatives, at and beyond its first and last knot."""

    knots: Floats
    weights: Floats

    def derivatives(self, x: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """u, u', u'' at x; zero outside the knots."""
        x = np.asarray(x, dtype=float)
        which, parts = cubic_splines(self.knots, x.ravel())
        padded = np.concatenate([np.zeros(3), self.weights, np.zeros(3)])
        value, slope, bend = (parts * padded[which + 3]).sum(axis=2).reshape(3, *x.shape)
        return value, slope, bend


@dataclass(frozen=True, eq=False)
class BaseTerms:
    """A base slice at points x: out-of-the-money price and vega (forward 1), and its density's linear form.

    Density times s / n(d1) is g + kappa [u'' + first u' + zeroth u] when the call is base + vega u.
    """

    price: Floats
    vega: Floats
    g: Floats
    kappa: Floats
    first: Floats
    zeroth: Floats
    d1: Floats
    s: Floats


def base_terms(base: SviSlice, years: float, x: Floats) -> BaseTerms:
    """All that the price and the density of base + vega u need, at log-moneyness x."""
    w, w1, w2 = base.derivatives(x)
    # total deviation s = sqrt(w) and its derivatives in x, then those of d1
    s = np.sqrt(w)
    s1 = w1 / (2 * s)
    s2 = w2 / (2 * s) - w1**2 / (4 * s**3)
    d = -x / s + s / 2
    d_1 = -1 / s + x * s1 / s**2 + s1 / 2
    d_2 = 2 * s1 / s**2 + x * s2 / s**2 - 2 * x * s1**2 / s**3 + s2 / 2
    # vega v as a function of x: its log slope, and its bend
    slope = -d * d_1  # v'/v
    bend = slope**2 - d_1**2 - d * d_2  # v''/v
    root = np.sqrt(years)
    return BaseTerms(
        price=black(1.0, np.exp(x), years, s / root, np.where(x >= 0, 1.0, -1.0)),
        vega=np.exp(-d * d / 2) / _ROOT_TWO_PI * root,
        g=butterfly(x, w, w1, w2),
        kappa=s * root,
        first=2 * slope - 1,
        zeroth=bend - slope,
        d1=d,
        s=s,
    )


@dataclass(frozen=True, eq=False)
class Slice:
    """One expiry: years, forward, discount, SVI base and the spline of its correction (None: the base alone).

    A fitted slice also says how many quotes it was given, how many it misses, by more than a thousandth of their
    half-spread, and by how many half-spreads at worst. DataError: years, forward or discount not finite and above zero.
    """

    years: float
    forward: float
    discount: float
    base: SviSlice
    correction: Spline | None = None
    quotes: int = 0
    missed: int = 0
    worst_miss: float = 0.0

    def __post_init__(self) -> None:
        for name in ("years", "forward", "discount"):
            value = getattr(self, name)
            if not 0 < value < np.inf:
                raise DataError(f"surface slice: {name} is {value}; give a finite number above zero")

    def price(self, x: ArrayLike) -> Floats:
        """Out-of-the-money option over the forward, undiscounted, at log-moneyness x."""
        x = np.asarray(x, dtype=float)
        terms = base_terms(self.base, self.years, x)
        return terms.price if self.correction is None else terms.price + terms.vega * self.correction.derivatives(x)[0]

    def vol(self, x: ArrayLike) -> Floats:
        """Implied vol at log-moneyness x; where nothing is corrected, the base's."""
        x = np.asarray(x, dtype=float)
        base = np.sqrt(self.base.variance(x) / self.years)
        if self.correction is None:
            return base
        terms = base_terms(self.base, self.years, x)
        lift = terms.vega * self.correction.derivatives(x)[0]
        vol = implied_vol(terms.price + lift, 1.0, np.exp(x), self.years, np.where(x >= 0, 1.0, -1.0))
        return np.where(lift == 0, base, vol)

    def g(self, x: ArrayLike) -> Floats:
        """Density over n(d2)/(K s) of the slice's own vol, from exact derivatives; negative is butterfly arbitrage."""
        x = np.asarray(x, dtype=float)
        terms = base_terms(self.base, self.years, x)
        if self.correction is None:
            return terms.g
        u, u1, u2 = self.correction.derivatives(x)
        scaled = terms.g + terms.kappa * (u2 + terms.first * u1 + terms.zeroth * u)
        s = self.vol(x) * np.sqrt(self.years)
        d1 = -x / s + s / 2
        return scaled * np.exp((d1**2 - terms.d1**2) / 2) * s / terms.s


@dataclass(frozen=True, eq=False)
class Surface:
    """Slices in order of expiry. Fit one with `surface_fit.fit_surface`, or take SVI parameters with `svi_surface`.

    >>> import optihedge as oh
    >>> smile = oh.options.SviSlice(a=0.01, b=0.05, rho=-0.4, m=0.0, sigma=0.2)
    >>> surface = oh.options.svi_surface([smile], [0.25], [100.0], [1.0])
    >>> float(surface.vol(0.0, 0.25).round(4))
    0.2828
    """

    slices: tuple[Slice, ...]

    def __post_init__(self) -> None:
        if not self.slices:
            raise DataError("a surface needs at least one slice")
        years = self.years
        if not np.all(np.diff(years) > 0):
            raise DataError(f"a surface's expiries must be positive and increasing, found {years.tolist()}")

    @property
    def years(self) -> Floats:
        """Years to each slice's expiry (n,)."""
        return np.array([s.years for s in self.slices])

    def forward(self, years: ArrayLike) -> Floats:
        """Forward: its log is linear in time between expiries, constant before the first and after the last."""
        return np.exp(np.interp(np.asarray(years, dtype=float), self.years, np.log([s.forward for s in self.slices])))

    def discount(self, years: ArrayLike) -> Floats:
        """Discount factor: its log is linear in time from 1 today; after the last expiry that one's rate is kept."""
        years = np.asarray(years, dtype=float)
        log = np.log([s.discount for s in self.slices])
        inside = np.interp(years, np.append(0.0, self.years), np.append(0.0, log))
        return np.exp(np.where(years > self.years[-1], log[-1] * years / self.years[-1], inside))

    def vol(self, x: ArrayLike, years: ArrayLike) -> Floats:
        """Implied vol at log-moneyness x = ln(K/F) and `years`, broadcast.

        Between two expiries the calls of equal x are mixed, (1 - l) c_near + l c_far, with l such that at the money
        total variance is linear in time: no arbitrage arises (Gatheral and Jacquier 2014, lemma 5.1). Before the first
        expiry its smile is kept as a function of x / sqrt(T). After the last, its law is multiplied by an independent
        lognormal of its at-the-money vol: calls stay convex and rise in time, and the smile flattens. NaN at 0 years
        and before.
        """
        x, years = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(years, dtype=float))
        vol = np.full(x.shape, np.nan)
        ends = self.years
        first, last = self.slices[0], self.slices[-1]
        before, after = (years > 0) & (years <= ends[0]), years > ends[-1]
        vol[before] = first.vol(x[before] * np.sqrt(ends[0] / years[before]))
        if after.any():
            vol[after] = _later_vol(last, x[after], years[after])
        for near, far in zip(self.slices[:-1], self.slices[1:], strict=True):
            between = (years > near.years) & (years < far.years)
            if between.any():
                vol[between] = _mixed_vol(near, far, x[between], years[between])
        on_slice = np.isin(years, ends)
        for slice_ in self.slices if on_slice.any() else ():
            here = years == slice_.years
            vol[here] = slice_.vol(x[here])
        return vol

    def price(self, strike: ArrayLike, years: ArrayLike, right: ArrayLike) -> Floats:
        """Discounted price of a European call (+1) or put (-1), in currency."""
        forward, strike = self.forward(years), np.asarray(strike, dtype=float)
        vol = self.vol(np.log(strike / forward), years)
        return black(forward, strike, years, vol, right, self.discount(years))

    def check(self, points: int = 2001, widths: float = 6.0) -> pd.DataFrame:
        """Arbitrage slice by slice on a dense grid, `widths` at-the-money deviations to either side.

        Columns years, lowest_g and its log-moneyness at_g, lowest_rise (of total variance over the previous slice's,
        relative) and its at_rise; of a fitted slice its quotes, how many are missed and worst_miss in half-spreads.
        """
        rows = []
        previous: Slice | None = None
        for slice_ in self.slices:
            width = np.sqrt(slice_.base.variance(0.0))
            x = np.linspace(-widths * width, widths * width, points)
            g = slice_.g(x)
            rise = np.full(points, np.inf)
            if previous is not None:
                rise = slice_.vol(x) ** 2 * slice_.years / (previous.vol(x) ** 2 * previous.years) - 1
            low, fall = int(np.argmin(g)), int(np.argmin(rise))
            met = (slice_.quotes, slice_.missed, slice_.worst_miss)
            rows.append((slice_.years, g[low], x[low], rise[fall], x[fall], *met))
            previous = slice_
        columns = ["years", "lowest_g", "at_g", "lowest_rise", "at_rise", "quotes", "missed", "worst_miss"]
        return pd.DataFrame(rows, columns=columns)

    def readings(self) -> pd.DataFrame:
        """What a desk reads off each expiry: one row a slice.

        years, forward, vol (at the money forward), skew (dvol/dx there), risk_reversal (25-delta call less put vol),
        butterfly (their mean less the money's vol), forward_vol (between the previous expiry and this, at the money).
        """
        rows = []
        variance, time = 0.0, 0.0
        for s in self.slices:
            vol = float(s.vol(0.0))
            step = 1e-3 * vol * np.sqrt(s.years)
            skew = float((s.vol(step) - s.vol(-step)) / (2 * step))
            call, put = (float(s.vol(_delta_moneyness(s, sign * 0.25))) for sign in (1, -1))
            gained = max(vol**2 * s.years - variance, 0.0)
            rows.append(
                (s.years, s.forward, vol, skew, call - put, (call + put) / 2 - vol, np.sqrt(gained / (s.years - time)))
            )
            variance, time = vol**2 * s.years, s.years
        columns = ["years", "forward", "vol", "skew", "risk_reversal", "butterfly", "forward_vol"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        return f"<Surface: {len(self.slices)} expiries, {self.years[0]:.3g} to {self.years[-1]:.3g} years>"

    def plot(self, quotes: pd.DataFrame | None = None) -> Figure:
        """Vol in points over the strike, a line an expiry; quotes: a frame as `rich_cheap` returns, drawn as bars."""
        from optihedge.display import figure, lines

        drawn, axes = figure(1, 1, height=4.2, width=8)
        for number, one in enumerate(self.slices):
            width = 2.0 * float(one.vol(0.0)) * np.sqrt(one.years)
            x = np.linspace(-width, width, 61)
            label = f"{365 * one.years:.0f} days"
            axes[0, 0].plot(
                one.forward * np.exp(x), 100 * one.vol(x), color=f"C{number % 10}", label=label, linewidth=1.4
            )
        if quotes is not None:
            shown = quotes.dropna(subset=["bid_vol", "ask_vol"])
            axes[0, 0].vlines(
                shown["strike"], 100 * shown["bid_vol"], 100 * shown["ask_vol"], color="#7f8c99", linewidth=2
            )
        lines(axes[0, 0], pd.DataFrame(), "implied vol", "points", "strike")
        axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        axes[0, 0].legend(frameon=False, fontsize=8)
        return drawn

    def _repr_html_(self) -> str:
        from optihedge.display import table_html

        return table_html(self.readings(), "surface")


def svi_surface(parameters: list[SviSlice], years: ArrayLike, forwards: ArrayLike, discounts: ArrayLike) -> Surface:
    """A surface from given SVI slices, by increasing years.

    DataError: lengths that differ, a year, forward or discount not above zero, butterfly or calendar arbitrage (where).

    >>> import optihedge as oh
    >>> smile = oh.options.SviSlice(a=0.01, b=0.05, rho=-0.4, m=0.0, sigma=0.2)
    >>> bool(oh.options.svi_surface([smile], [0.25], [100.0], [1.0]).check()["lowest_g"].min() > 0)
    True
    """
    given = {"years": years, "forwards": forwards, "discounts": discounts}
    columns = {name: np.atleast_1d(np.asarray(values, dtype=float)).tolist() for name, values in given.items()}
    for name, values in columns.items():
        if len(values) != len(parameters):
            raise DataError(f"svi_surface: {len(values)} {name} for {len(parameters)} slices; give one per slice")
    surface = Surface(tuple(Slice(*row) for row in zip(*columns.values(), parameters, strict=True)))
    check_slices(parameters, surface.years)
    return surface


def _later_vol(last: Slice, x: Floats, years: Floats) -> Floats:
    """Vol after the last expiry: its law times an independent lognormal, whose variance grows as the money's has.

    The lognormal is the same normal nodes, stretched: a law of mean 1 for which convex functions rise with the stretch.
    """
    gained = float(last.vol(0.0)) ** 2 * (years - last.years)
    move = np.sqrt(gained)[:, None] * _NORMAL
    chance = np.exp(-(_NORMAL**2) / 2)
    chance = chance / chance.sum()
    move -= np.log(np.exp(move) @ chance)[:, None]
    sign = np.where(x >= 0, 1.0, -1.0)
    reached = x[:, None] - move
    paid = last.price(reached) + np.maximum(sign[:, None] * (1 - np.exp(reached)), 0.0)
    price = (np.exp(move) * paid) @ chance
    vol = implied_vol(price, 1.0, np.exp(x), years, sign)
    return np.where(price > _NO_PRICE, vol, np.sqrt((last.base.variance(x) + gained) / years))


def _mixed_vol(near: Slice, far: Slice, x: Floats, years: Floats) -> Floats:
    """Vol of the mixture of two slices' out-of-the-money prices."""
    low, high = (float(s.vol(0.0)) ** 2 * s.years for s in (near, far))
    share = (years - near.years) / (far.years - near.years)
    deviation = np.sqrt(low + share * (high - low))
    ends = erf(np.sqrt([low, high]) / np.sqrt(8))
    if ends[1] > ends[0]:
        share = (erf(deviation / np.sqrt(8)) - ends[0]) / (ends[1] - ends[0])
    sign = np.where(x >= 0, 1.0, -1.0)
    vols = [s.vol(x) for s in (near, far)]
    prices = [black(1.0, np.exp(x), s.years, vol, sign) for s, vol in zip((near, far), vols, strict=True)]
    price = (1 - share) * prices[0] + share * prices[1]
    vol = implied_vol(price, 1.0, np.exp(x), years, sign)
    return np.where(price > _NO_PRICE, vol, vols[1] * np.sqrt(far.years / years))  # in the wings the far slice decides


def _delta_moneyness(slice_: Slice, delta: float) -> float:
    """Log-moneyness at which the undiscounted forward delta of the call (> 0) or put (< 0) is `delta`; by bisection."""
    width = np.sqrt(slice_.base.variance(0.0))
    side = np.sign(delta)
    near, far = -side * width, side * 20 * width
    for _ in range(60):
        middle = (near + far) / 2
        deviation = float(slice_.vol(middle)) * np.sqrt(slice_.years)
        reached = ndtr(side * (-middle / deviation + deviation / 2))
        near, far = (middle, far) if reached > abs(delta) else (near, middle)
    return float(middle)
