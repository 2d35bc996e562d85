"""An arbitrage-free surface through bid and ask: one convex quadratic program for all expiries together.

Each slice's normalised call c(x) (forward 1, strike e^x) is an SVI base plus vega times a cubic spline,
    c(x) = c_base(x) + v(x) u(x),   u = sum_j theta_j B_j(x),
so u is, to first order, the correction of the implied vol, and prices, density and calendar differences are linear in
theta. The program makes u smooth and keeps prices within bid and ask, the density and the rise from one expiry to the
next positive, at the knots and between them. Beyond the last knots u, u' and u'' vanish and the base is the surface.
Slope bounds and positive prices follow from the convexity, because the base has them at both ends.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import clarabel
import numpy as np
import pandas as pd
import piqp
from numpy.typing import NDArray
from scipy import sparse

from optihedge.errors import DataError, SolverError
from optihedge.frames import Column, check_frame, refuse, refuse_doubled
from optihedge.market.pricing import implied_vol
from optihedge.market.splines import cubic_splines
from optihedge.market.surface import Slice, Spline, Surface, base_terms
from optihedge.market.svi import SviSlice, fit_svi

Floats = NDArray[np.float64]

# the objective: bending of u (in its slice's vol and width) + distance to mid (in half-spreads) + distance outside
SMOOTHNESS = 1e-3
CENTRING = 1e-2
OUTSIDE = 10.0
INSIDE = 0.98  # share of the half-spread that is free, so that the solver's tolerance does not leave the spread
# margins keep the solver's tolerance, and what happens between the points, from turning into arbitrage
DENSITY_MARGIN = 5e-3  # of g
CALENDAR_MARGIN = 1e-6  # of vol
KNOT_GAP, KNOT_GROWTH = 0.08, 0.2  # of the width, and of the distance from the money
FAR = 7.0  # of |d1|: prices there are below 1e-12 of the forward
RUN_OUT = np.array([0.1, 0.22, 0.36, 0.55, 0.8, 1.1, 1.5, 2.0, 2.6, 3.3])  # knots past the last quote, in widths
DENSITY_STEP, MOST_POINTS = 0.02, 40  # change of d1^2/2 between points, points between two knots
D1_STEP = 0.05  # change of d1 between points
ATTEMPTS, LOOKED_AT = 4, 50  # fits, each with twice the points and margin; points between knots where one is verified
NEGATIVE = -1e-9  # of g and of the rise in vol: what is no arbitrage but rounding
MISSED = 1e-3  # of the half-spread: a quote further outside counts as missed
TICK = 1e-9  # of the forward: the least half-spread, and the least miss

_SCHEMA = {
    **{name: Column("number", required=True, above=0.0) for name in ("years", "forward", "discount", "strike")},
    "bid": Column("number", required=True, least=0.0),
    "ask": Column("number", required=True),
}
_SIGNS = {"C": 1.0, "c": 1.0, 1: 1.0, "P": -1.0, "p": -1.0, -1: -1.0}
_SAME_TIME = 1.05  # years of quotes of one expiry may differ by this factor, or by an hour
_HOUR = 1 / 8760


@dataclass(frozen=True, eq=False)
class _Sheet:
    """One slice while it is fitted: quotes as out-of-the-money prices over the forward at log-moneyness x, sorted."""

    years: float
    forward: float
    discount: float
    x: Floats
    bid: Floats
    ask: Floats
    base: SviSlice
    knots: Floats
    width: float  # at-the-money deviation of the base

    @property
    def unit(self) -> float:
        """At-the-money vol of the base: theta's unit."""
        return self.width / np.sqrt(self.years)

    @property
    def half(self) -> Floats:
        """Half-spread of each quote."""
        return np.maximum((self.ask - self.bid) / 2, TICK)

    @property
    def size(self) -> int:
        return self.knots.size - 4


def fit_surface(quotes: pd.DataFrame) -> Surface:
    """Surface through `quotes`: one row a quote, columns expiry, years, forward, discount, strike, right, bid, ask.

    Rows of equal `expiry` (any label) are one slice; each quote is set against its own forward and discount, which
    may differ a little within a slice as the quotes' times do. `right` is C or P, also in lower case, or +1 or -1. A
    zero bid bounds nothing from below. Every slice is kept; a quote that no arbitrage-free surface can meet is missed
    by as little as possible, and `Surface.check` counts such quotes. The answer is verified on a dense grid, and
    fitted again with larger margins where it holds arbitrage; DataError where it still does. DataError too, naming the
    row, for a missing column, a number that is missing, not finite or out of range, an ask that is not above zero or
    below its bid, years that differ within an expiry; and where an expiry has no quote with an implied vol.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> strikes = np.array([80.0, 90.0, 100.0, 110.0, 120.0])
    >>> right = np.where(strikes < 100, "P", "C")
    >>> mid = oh.options.black(100.0, strikes, 0.5, 0.2, right)
    >>> quotes = pd.DataFrame({"expiry": "x", "years": 0.5, "forward": 100.0, "discount": 1.0, "strike": strikes,
    ...                        "right": right, "bid": mid - 0.01, "ask": mid + 0.01})
    >>> surface = oh.options.fit_surface(quotes)
    >>> float(surface.vol(0.0, 0.5).round(2))
    0.2
    """
    return fit_checked(checked_quotes(quotes))


def fit_checked(rows: pd.DataFrame, near: Surface | None = None) -> Surface:
    """The surface through rows of `checked_quotes`. Raises DataError.

    near   a surface of nearly the same quotes of the same expiries, from which the search starts
    """
    sheets: list[_Sheet] = []
    groups = rows.groupby("expiry", observed=True)
    starts = iter([one.base for one in near.slices] if near is not None else [])
    for expiry, quoted in sorted(groups, key=lambda group: float(group[1]["years"].median())):
        sheets.append(_sheet(str(expiry), quoted, sheets[-1].base if sheets else None, next(starts, None)))
    for finer in 2 ** np.arange(ATTEMPTS):
        splines = _solve(sheets, int(finer))
        where = _arbitrage(sheets, splines)
        if where is None:
            return Surface(tuple(_slice(sheet, spline) for sheet, spline in zip(sheets, splines, strict=True)))
    raise DataError(f"surface: {where} after {ATTEMPTS} fits; leave out the quotes that contradict their neighbours")


def _arbitrage(sheets: list[_Sheet], splines: list[Spline]) -> str | None:
    """Where on a dense grid the fitted density is negative or a later expiry's price is below an earlier's; or None."""
    for sheet, spline in zip(sheets, splines, strict=True):
        x = _between(sheet.knots, LOOKED_AT)
        terms, (u, u1, u2) = base_terms(sheet.base, sheet.years, x), spline.derivatives(x)
        g = terms.g + terms.kappa * (u2 + terms.first * u1 + terms.zeroth * u)
        if g.min() < NEGATIVE:
            return f"the slice at {sheet.years:.6g} years has a negative density at log-moneyness {x[g.argmin()]:.4g}"
    slices = list(zip(sheets, splines, strict=True))
    for near, far in pairwise(slices):
        x = np.concatenate([_between(sheet.knots, LOOKED_AT) for sheet, _ in (near, far)])
        both = [base_terms(sheet.base, sheet.years, x) for sheet, _ in (near, far)]
        prices = [t.price + t.vega * one[1].derivatives(x)[0] for t, one in zip(both, (near, far), strict=True)]
        scale = np.maximum(np.maximum(both[0].vega, both[1].vega), 1e-12)
        rise = (prices[1] - prices[0]) / scale
        if rise.min() < NEGATIVE:
            at = x[rise.argmin()]
            return f"prices fall from {near[0].years:.6g} to {far[0].years:.6g} years at log-moneyness {at:.4g}"
    return None


def _between(knots: Floats, parts: int) -> Floats:
    """The knots, with parts - 1 points between each two."""
    return np.interp(np.arange((knots.size - 1) * parts + 1) / parts, np.arange(knots.size), knots)


def checked_quotes(quotes: pd.DataFrame) -> pd.DataFrame:
    """The columns that a fit reads, `right` as a sign. Raises DataError."""
    refuse_doubled(quotes.columns, "quotes")
    absent = [name for name in ("expiry", "right", *_SCHEMA) if name not in quotes.columns]
    if absent:
        raise DataError(f"surface: the quotes have no column {absent[0]}; add it")
    if quotes.empty:
        raise DataError("surface: there are no quotes; give at least one")
    rows = check_frame(quotes[list(_SCHEMA)], _SCHEMA, "quotes").assign(expiry=quotes["expiry"])
    refuse(rows["expiry"].isna().to_numpy(), "quotes", "expiry is empty", rows["expiry"], "give a label to its slice")
    sign = quotes["right"].map(_SIGNS).astype(float)
    refuse(sign.isna().to_numpy(), "quotes", "right", quotes["right"], "write C or +1 for a call, P or -1 for a put")
    crossed = (rows["ask"] <= 0) | (rows["ask"] < rows["bid"])
    problem = "ask is {value}, zero or below the bid"
    refuse(crossed.to_numpy(), "quotes", problem, rows["ask"], "drop quotes without an ask or with the bid above it")
    for expiry, years in rows.groupby("expiry", observed=True)["years"]:
        low, high = float(years.min()), float(years.max())
        if high > max(_SAME_TIME * low, low + _HOUR):
            raise DataError(
                f"surface: the expiry {expiry} has years from {low:.6g} to {high:.6g}; "
                "give each settlement its own label"
            )
    return rows.assign(right=sign)


def _slice(sheet: _Sheet, spline: Spline) -> Slice:
    fitted = Slice(sheet.years, sheet.forward, sheet.discount, sheet.base, spline)
    price = fitted.price(sheet.x)
    miss = np.maximum(np.maximum(sheet.bid - price, price - sheet.ask), 0.0)
    miss = np.where(miss > np.maximum(MISSED * sheet.half, TICK), miss / sheet.half, 0.0)
    return replace(fitted, quotes=miss.size, missed=int(np.sum(miss > 0)), worst_miss=float(miss.max()))


# ---- one slice -----------------------------------------------------------------------------------------------------


def _sheet(expiry: str, rows: pd.DataFrame, before: SviSlice | None, near: SviSlice | None) -> _Sheet:
    years = float(rows["years"].median())
    forward, discount, strike = (rows[c].to_numpy(dtype=float) for c in ("forward", "discount", "strike"))
    bid, ask = (rows[side].to_numpy(dtype=float) / (discount * forward) for side in ("bid", "ask"))
    x = np.log(strike / forward)
    # an in-the-money quote bounds the other side's price
    parity = np.maximum(rows["right"].to_numpy() * (1 - np.exp(x)), 0.0)
    bid, ask = np.maximum(bid - parity, 0.0), ask - parity
    order = np.argsort(x, kind="stable")
    x, bid, ask = x[order], bid[order], ask[order]
    prices = np.stack([(bid + ask) / 2, bid, ask])
    vol, low, high = implied_vol(prices, 1.0, np.exp(x), years, np.where(x >= 0, 1.0, -1.0))
    good = np.isfinite(vol) & np.isfinite(high) & (vol > 0)
    if not good.any():
        raise DataError(f"the expiry {expiry} has no quote with an implied vol; leave its quotes out")
    spread = np.maximum((high - np.nan_to_num(low))[good], 1e-3)
    base = fit_svi(x[good], vol[good] ** 2 * years, 1 / (spread * vol[good]), before, near)
    width = float(np.sqrt(base.variance(0.0)))
    centre = [float(np.median(a)) for a in (forward, discount)]
    return _Sheet(years, centre[0], centre[1], x, bid, ask, base, _knots(x, base, width), width)


def _knots(x: Floats, base: SviSlice, width: float) -> Floats:
    """Knots at quoted strikes, thinned, and a run-out on both sides; further than `FAR` out the base must do."""
    s = np.sqrt(base.variance(x))
    near = x[np.abs(-x / s + s / 2) < FAR]
    if near.size == 0:
        near = np.zeros(1)
    kept = [float(near[0])]
    for point in near[1:]:
        if point - kept[-1] >= KNOT_GAP * (width + KNOT_GROWTH * abs(point)):
            kept.append(float(point))
    run = width * RUN_OUT
    return np.concatenate([kept[0] - run[::-1], kept, kept[-1] + run])


def _splines(knots: Floats, points: Floats) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
    """The cubic B-splines that vanish at both ends, and two derivatives, at points (m,): each m x (knots - 4)."""
    which, parts = cubic_splines(knots, points)
    there = (which >= 0) & (which < knots.size - 4)
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    shape = (points.size, knots.size - 4)
    value, slope, bend = (sparse.csr_array((part[there], which[there], starts), shape=shape) for part in parts)
    return value, slope, bend


def _density_points(sheet: _Sheet, finer: int) -> Floats:
    """Each knot and points after it, closer where the base's normal density changes fast; `finer` times as many."""
    d1 = base_terms(sheet.base, sheet.years, sheet.knots).d1
    change = np.maximum(np.abs(np.diff(d1**2)) / 2 / DENSITY_STEP, np.abs(np.diff(d1)) / D1_STEP)
    parts = finer * np.clip(np.ceil(change), 2, MOST_POINTS).astype(int)
    place = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    return np.repeat(sheet.knots[:-1], parts) + place * np.repeat(np.diff(sheet.knots) / parts, parts)


# ---- the program ---------------------------------------------------------------------------------------------------


def _fidelity(sheet: _Sheet) -> tuple[sparse.csr_array, Floats]:
    """Rows A and targets m: A theta - m is the price's distance from mid in half-spreads."""
    terms = base_terms(sheet.base, sheet.years, sheet.x)
    value, _, _ = _splines(sheet.knots, sheet.x)
    rows = sparse.csr_array(sparse.diags_array(terms.vega * sheet.unit / sheet.half) @ value)
    return rows, ((sheet.bid + sheet.ask) / 2 - terms.price) / sheet.half


def _bending(sheet: _Sheet) -> sparse.csr_array:
    """Matrix whose quadratic form is the integral of u''^2, all in units of the slice's vol and width."""
    half, middle = np.diff(sheet.knots) / 2, (sheet.knots[1:] + sheet.knots[:-1]) / 2
    gauss = np.concatenate([middle - half / np.sqrt(3), middle + half / np.sqrt(3)])  # exact: u'' is piecewise linear
    weight = np.sqrt(np.concatenate([half, half]) * sheet.width**3)
    curve = sparse.diags_array(weight) @ _splines(sheet.knots, gauss)[2]
    return sparse.csr_array(curve.T @ curve)


def _density(sheet: _Sheet, finer: int) -> tuple[sparse.csr_array, Floats]:
    """Rows A and bounds b: A theta >= b is a positive density (convex prices)."""
    points = _density_points(sheet, finer)
    terms = base_terms(sheet.base, sheet.years, points)
    value, first, second = _splines(sheet.knots, points)
    form = second + sparse.diags_array(terms.first) @ first + sparse.diags_array(terms.zeroth) @ value
    bound = np.minimum(finer * DENSITY_MARGIN - terms.g, 0.0)
    return sparse.csr_array(sparse.diags_array(terms.kappa * sheet.unit) @ form), bound


def _calendar(near: _Sheet, far: _Sheet, finer: int) -> tuple[sparse.csr_array, sparse.csr_array, Floats]:
    """Rows A, B and bounds b: A theta_near + B theta_far >= b keeps the far price above the near one, in vol units."""
    points = np.unique(np.concatenate([near.x, far.x, _between(near.knots, 2 * finer), _between(far.knots, 2 * finer)]))
    bases = [base_terms(sheet.base, sheet.years, points) for sheet in (near, far)]
    scale = np.maximum(bases[0].vega, bases[1].vega)
    seen = scale > 1e-200
    rise = (bases[1].price - bases[0].price)[seen] / scale[seen]
    blocks = []
    for sheet, terms, sign in zip((near, far), bases, (-1.0, 1.0), strict=True):
        factor = sparse.diags_array(sign * sheet.unit * terms.vega[seen] / scale[seen])
        blocks.append(sparse.csr_array(factor @ _splines(sheet.knots, points[seen])[0]))
    return blocks[0], blocks[1], np.minimum(finer * CALENDAR_MARGIN - rise, 0.0)


def _solve(sheets: list[_Sheet], finer: int) -> list[Spline]:
    """Minimise bending, distance from mid and what lies outside bid and ask, over theta and one slack per quote."""
    fidelity, middle = zip(*(_fidelity(s) for s in sheets), strict=True)
    hessian = [
        SMOOTHNESS * _bending(sheet) + CENTRING * (rows.T @ rows) for sheet, rows in zip(sheets, fidelity, strict=True)
    ]
    linear = [-CENTRING * (rows.T @ target) for rows, target in zip(fidelity, middle, strict=True)]
    density, density_bound = zip(*(_density(s, finer) for s in sheets), strict=True)
    bounds = [*density_bound]
    calendar: list[list[sparse.csr_array | None]] = []
    for i, (near, far) in enumerate(pairwise(sheets)):
        before, after, bound = _calendar(near, far, finer)
        calendar.append([None] * i + [before, after] + [None] * (len(sheets) - i - 2))
        bounds.append(bound)
    free = sparse.block_diag(density, format="csr")
    if calendar:
        free = sparse.vstack([free, sparse.block_array(calendar, format="csr")], format="csr")
    quotes = sparse.block_diag(fidelity, format="csr")
    target = np.concatenate(middle)
    slack = sparse.eye_array(target.size, format="csr")
    matrix = sparse.block_array([[-free, None], [quotes, -slack], [-quotes, -slack], [None, -slack]], format="csc")
    bound = np.concatenate([-np.concatenate(bounds), INSIDE + target, INSIDE - target, np.zeros(target.size)])
    objective = sparse.block_diag([*hessian, sparse.csr_array((target.size, target.size))], format="csc")
    cost = np.concatenate([*linear, np.full(target.size, OUTSIDE)])
    theta = _minimise(objective, cost, matrix, bound)
    starts = np.cumsum([0] + [s.size for s in sheets])
    return [Spline(s.knots, s.unit * theta[a : a + s.size]) for s, a in zip(sheets, starts[:-1], strict=True)]


def _minimise(objective: sparse.csc_array, cost: Floats, matrix: sparse.csc_array, bound: Floats) -> Floats:
    """1/2 z'Pz + c'z subject to A z <= b, by PIQP, else by Clarabel; SolverError where neither ends."""
    solver = piqp.SparseSolver()
    solver.settings.verbose = False
    solver.settings.eps_abs = solver.settings.eps_rel = 1e-8
    solver.setup(objective, cost, None, None, matrix, np.full(bound.size, -np.inf), bound)
    if solver.solve() == piqp.PIQP_SOLVED:
        return np.array(solver.result.x)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    upper, cones = sparse.triu(objective, format="csc"), [clarabel.NonnegativeConeT(bound.size)]
    answer = clarabel.DefaultSolver(upper, cost, matrix, bound, cones, settings).solve()
    if str(answer.status) not in ("Solved", "AlmostSolved"):
        raise SolverError(f"the surface's quadratic program ended {answer.status}; please report it with the quotes")
    return np.array(answer.x)
