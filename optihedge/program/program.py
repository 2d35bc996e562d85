"""Program: the one declarative form of the optimisation, which terms build and every solver reads.

With quantities h of n columns (tradable contracts, then auxiliaries), before h0, trades x = h - h0:

    minimise    1/2 |F h + f|^2 + 1/2 |S h + s|^2 + 1/2 sum d h^2 + g'h + constant
              + sum buy x+ + sell x- + quadratic x^2 + power |x|^(3/2) + hinges of depth      (cost of trading)
              + sum long h+ + short h-                                                        (cost of holding)
              + sum over soft rows of penalty x distance of the row from [lo, hi]
              + price x (|V h + v|^2 + sum u h^2)^(1/2)    (at most one price of volatility)
    subject to  lo <= A h + P |h| + W |x| <= hi      P, W >= 0, and lo = -inf where either is non-zero
                |C h + c|^2 + sum e h^2 <= limit^2   (at most one volatility limit)
                lower <= h <= upper                  finite

F is dense (k x n), S sparse (shared specifics, scenario rows). Fixed positions are folded into f, s, lo, hi, constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.program.arrays import Array, dense, frozen, sparse, times, vector
from optihedge.program.costs import PIECES, Costs, Depth
from optihedge.program.row_table import RowTable
from optihedge.program.volatility import VolatilityLimit, VolatilityPrice

RESIDUAL_TOLERANCE = 1e-9  # of a row's size: how far it may be from its limits
_ABSENT: Any = None  # made zeros of the right shape when the Program is built


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Program(Costs):
    """See the module's docstring; what trading and holding costs are the fields of Costs, over n columns.

    Everything but columns, start, lower and upper may be left out (zero, none).

    Units: objective in base currency; h, start, bounds and lot in contracts; rows in the desk unit of their exposure.
    Invalid arrays raise SpecError: shapes, NaN anywhere, infinite bounds, negative variance, non-convex costs.

    >>> import optihedge as oh
    >>> program = oh.Program(columns=("a", "b"), start=[0.0, 0.0], lower=[-9.0, -9.0], upper=[9.0, 9.0], buy=[1.0, 2.0],
    ...                      sell=[1.0, 2.0], row_names=("sum",), rows=[[1.0, 1.0]], row_lower=[3.0])
    >>> program.size
    (2, 0, 0, 1)
    """

    seals_itself: ClassVar[bool] = True

    columns: tuple[str, ...]
    start: Array
    lower: Array
    upper: Array
    lot: Array = _ABSENT  # n, contracts; 0 for an auxiliary
    factors: Array = _ABSENT  # F, k x n
    factor_offset: Array = _ABSENT  # f, k
    specifics: sp.csr_array = _ABSENT  # S, s x n
    specific_offset: Array = _ABSENT  # s
    diagonal: Array = _ABSENT  # d, n
    constant: float = 0.0
    row_names: tuple[str, ...] = ()
    rows: sp.csr_array = _ABSENT  # A, m x n
    rows_on_holdings: sp.csr_array = _ABSENT  # P, m x n
    rows_on_trades: sp.csr_array = _ABSENT  # W, m x n
    row_lower: Array = _ABSENT
    row_upper: Array = _ABSENT
    row_penalty: Array = _ABSENT  # m, base currency per desk unit; inf = hard
    row_tier: Array = _ABSENT  # m integers; 0 gives way last, a negative one never does: the row defines a column
    row_fixed: Array = _ABSENT  # m, size of what fixed positions bring to the row (for tolerances)
    row_limit: Array = _ABSENT  # m, size of the limit itself, before fixed positions were folded; 0: none to go by
    volatility_limit: VolatilityLimit | None = None
    volatility_price: VolatilityPrice | None = None
    cvxpy_terms: tuple[
        Callable, ...
    ] = ()  # of the columns, see terms.CvxpyTerm: solved by tangents (own/), else by CVXPY

    def __repr__(self) -> str:
        return f"<Program: {len(self.columns)} columns, {len(self.row_names)} rows>"

    def __post_init__(self) -> None:
        n, m = len(self.columns), len(self.row_names)
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731

        for name in ("start", "lower", "upper", "lot", "diagonal", *PIECES):
            put(name, vector(name, getattr(self, name), n, 0.0))
        for name, default in (("row_lower", -np.inf), ("row_upper", np.inf), ("row_penalty", np.inf),
                              ("row_tier", 0.0), ("row_fixed", 0.0)):  # fmt: skip
            put(name, vector(name, getattr(self, name), m, default))
        put("row_limit", vector("row_limit", self.row_limit, m, 0.0) if self.row_limit is not None else _sizes(self))
        put("factors", dense("factors", self.factors, n))
        put("factor_offset", vector("factor_offset", self.factor_offset, len(self.factors), 0.0))
        put("specifics", sparse("specifics", self.specifics, None, n))
        put("specific_offset", vector("specific_offset", self.specific_offset, self.specifics.shape[0], 0.0))
        for name in ("rows", "rows_on_holdings", "rows_on_trades"):
            put(name, sparse(name, getattr(self, name), m, n))
        if self.depth is None:
            put("depth", Depth.none())
        _check(self)

    @classmethod
    def whole(cls, **given: Any) -> Program:
        """Of every field, its arrays its own from now on: without a copy where nothing of it is to be refused."""
        if not _sound(given):
            return cls(**given)
        made = object.__new__(cls)
        made.__dict__.update(given)
        for value in given.values():
            parts = (value.data, value.indices, value.indptr) if sp.issparse(value) else (value,)
            for part in parts:
                if isinstance(part, np.ndarray):
                    frozen(part)
        return made

    def boxed(self, lower: Array, upper: Array) -> Program:
        """The same Program in another box, n each, lower <= upper: nothing else is looked at again."""
        made = self.derived(lower=np.array(lower, dtype=float), upper=np.array(upper, dtype=float))
        made.__dict__["row_table"] = self.row_table
        made.__dict__["powered"] = self.powered
        return made

    def restated(self, factors: Array, factor_offset: Array, diagonal: Array, linear: Array) -> Program:
        """The same costs and rows with another statement of the risk; nothing is looked at again."""
        made = self.derived(factors=factors, factor_offset=factor_offset, diagonal=diagonal, linear=linear)
        made.__dict__["row_table"] = self.row_table
        return made

    def risk_scaled(self, factor: float, constant: float) -> Program:
        """The same with its quadratic risk times `factor` and another constant. Raises SpecError where it overflows."""
        root = np.sqrt(factor)
        scaled = {
            "factors": root * self.factors, "factor_offset": root * self.factor_offset,
            "specifics": times(root, self.specifics) if self.specifics.nnz else self.specifics,
            "specific_offset": root * self.specific_offset, "diagonal": factor * self.diagonal, "constant": constant,
        }  # fmt: skip
        parts = (value.data if sp.issparse(value) else value for value in scaled.values())
        if not (factor >= 0 and all(np.isfinite(part).all() for part in parts)):
            return Program.whole(**{name: self.__dict__[name] for name in _FIELDS} | scaled)  # which says what it is
        frozen(scaled["specifics"].data)
        made = self.derived(**scaled)
        made.__dict__.update(row_table=self.row_table, powered=self.powered, cheapest_lot=self.cheapest_lot)
        return made

    def derived(self, **changes: Any) -> Program:
        """The same with other fields, each whole and right: for what the kernel makes itself; nothing is looked at."""
        made = object.__new__(type(self))
        made.__dict__.update({name: self.__dict__[name] for name in _FIELDS}, **changes)
        for value in changes.values():
            if isinstance(value, np.ndarray):
                frozen(value)
        return made

    @cached_property
    def row_table(self) -> RowTable:
        """The rows as they are multiplied."""
        return RowTable.of(self.rows, self.rows_on_holdings, self.rows_on_trades, self.lot)

    @cached_property
    def moves(self) -> bool:
        """Whether any column has room to move."""
        return bool((self.lower < self.upper).any())

    @cached_property
    def soft(self) -> Array:
        """The rows that may be missed at a penalty, integers."""
        return np.isfinite(self.row_penalty).nonzero()[0]

    @cached_property
    def multiplier_bounds(self) -> tuple[Array, Array]:
        """Least and largest multiplier of each row: a row pushes on the sides it has, a soft one up to its penalty."""
        least = np.where(np.isinf(self.row_lower), 0.0, -self.row_penalty)
        return least, np.where(np.isinf(self.row_upper), 0.0, self.row_penalty)

    @cached_property
    def curvature(self) -> Array:
        """The second derivative of each column's quadratic risk, n, base currency per contract squared."""
        curvature = np.einsum("kn,kn->n", self.factors, self.factors) + self.diagonal
        if not self.specifics.nnz:
            return curvature
        return curvature + np.bincount(self.specifics.indices, self.specifics.data**2, len(curvature))

    @property
    def least_scale(self) -> float:
        """What a gap is measured against at least, base currency: risk at the start, and the cheapest lot's cost."""
        return self.start_risk + self.cheapest_lot

    @cached_property
    def cheapest_lot(self) -> float:
        """What the cheapest lot of any column costs, either way, base currency; 0 where none can be traded."""
        tradable = (self.lot > 0) & (self.lower < self.upper)
        if not tradable.any():
            return 0.0
        lots = np.minimum(np.abs(self.trading(self.lot)), np.abs(self.trading(-self.lot)))
        return float((lots + np.abs(self.linear) * self.lot)[tradable].min())

    @cached_property
    def start_risk(self) -> float:
        """What risk costs in the objective at the start (in its box), base currency."""
        return risk_value(self, np.clip(self.start, self.lower, self.upper))

    @property
    def widest(self) -> Array:
        """The largest |quantity| of each column inside its box, n contracts."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

    @cached_property
    def curved(self) -> bool:
        """Whether anything in the objective is not piecewise linear."""
        parts = (self.factors, self.specifics.data, self.diagonal, self.quadratic, self.power)
        return any(part.any() for part in parts) or self.volatility_price is not None

    @property
    def has_cones(self) -> bool:
        """Whether a volatility is limited or priced: no quadratic program as it stands."""
        return self.volatility_limit is not None or self.volatility_price is not None

    @property
    def size(self) -> tuple[int, int, int, int]:
        """n columns, k dense factors, s sparse risk rows, m rows."""
        return len(self.columns), len(self.factors), self.specifics.shape[0], len(self.row_names)


_FIELDS = tuple(field.name for field in fields(Program))


def _sizes(p: Program) -> Array:
    """The larger end of each row's limits, 0 where it has none."""
    ends = np.abs([p.row_lower, p.row_upper])
    return frozen(np.where(np.isfinite(ends), ends, 0.0).max(axis=0))


def _sound(given: Mapping[str, Any]) -> bool:
    """Whether nothing in these fields would be refused by `_check`, all of it looked at together."""
    g = SimpleNamespace(**given)
    columns = np.concatenate([given[name] for name in ("start", "lower", "upper", "lot", "diagonal", *PIECES)])
    rest = (g.factors, g.specifics.data, g.rows.data, g.rows_on_holdings.data, g.rows_on_trades.data)
    finite = all(np.isfinite(part).all() for part in (columns, g.factor_offset, g.specific_offset, *rest))
    least = (g.upper - g.lower, g.diagonal, g.buy + g.sell, g.long + g.short, g.quadratic, g.power, *rest[3:])
    bounds = (g.row_lower <= g.row_upper) & (g.row_lower < np.inf) & (g.row_upper > -np.inf) & (g.row_penalty >= 0)
    sized = np.diff(g.rows_on_holdings.indptr) + np.diff(g.rows_on_trades.indptr) > 0
    one_sided = bool(np.isneginf(g.row_lower[sized]).all())
    named = all(len(set(names)) == len(names) for names in (g.columns, g.row_names))
    convex = all(part.min(initial=0.0) >= 0 for part in least) and bool(bounds.all()) and one_sided
    priced = g.volatility_price is None or 0 < g.volatility_price.price < np.inf
    return finite and convex and named and priced and not len(g.depth.column)


def _check(p: Program) -> None:
    def first(bad: Array, what: str, labels: tuple[str, ...]) -> None:
        if bad.any():
            raise SpecError(f"{labels[int(np.flatnonzero(bad)[0])]}: {what}")

    for name in ("start", "lower", "upper", "lot", "diagonal", *PIECES):
        first(~np.isfinite(getattr(p, name)), f"{name} is not finite; every tradable needs a finite number", p.columns)
    for name in ("factor_offset", "specific_offset"):
        if not np.isfinite(getattr(p, name)).all():
            raise SpecError(f"Program.{name} is not finite")
    if p.volatility_price is not None and not (np.isfinite(p.volatility_price.price) and p.volatility_price.price > 0):
        raise SpecError(f"Program.volatility_price is {p.volatility_price.price}; give a finite price above 0")
    first(p.lower > p.upper, "lower bound is above the upper bound", p.columns)
    first(p.diagonal < 0, "variance is negative: the problem is not convex", p.columns)
    first(p.buy + p.sell < 0, "buying and selling at once would earn money (buy + sell cost < 0)", p.columns)
    first(p.long + p.short < 0, "holding long and short at once would earn money (long + short cost < 0)", p.columns)
    first((p.quadratic < 0) | (p.power < 0), "market impact is negative: the problem is not convex", p.columns)
    first(p.row_lower > p.row_upper, "lower limit is above the upper limit", p.row_names)
    first((p.row_lower == np.inf) | (p.row_upper == -np.inf), "no value can meet an infinite limit", p.row_names)
    first(p.row_penalty < 0, "soft penalty is negative", p.row_names)
    sizes = np.asarray(abs(p.rows_on_holdings).sum(axis=1) + abs(p.rows_on_trades).sum(axis=1)).ravel()
    two_sided = (sizes > 0) & np.isfinite(p.row_lower)
    first(two_sided, "a limit on |quantity| or |trade| cannot have a lower end", p.row_names)
    if (p.rows_on_holdings.data < 0).any() or (p.rows_on_trades.data < 0).any():
        raise SpecError("weights of |quantity| and |trade| in a row must be >= 0: the problem is not convex")
    if len(set(p.columns)) < len(p.columns) or len(set(p.row_names)) < len(p.row_names):
        raise SpecError("two columns or two rows share a name; give each its own")
    d = p.depth
    if not (len(d.column) == len(d.side) == len(d.beyond) == len(d.slope)):
        raise SpecError("Program.depth: column, side, beyond and slope differ in length")
    if len(d.column) and (np.min(d.slope) < 0 or np.min(d.beyond) < 0 or not np.isfinite(d.slope).all()
                          or not np.isfinite(d.beyond).all() or not np.isin(d.side, (-1, 1)).all()):  # fmt: skip
        raise SpecError("Program.depth: slopes and sizes must be finite and >= 0, sides +1 or -1")


def risk_gradient(p: Program, h: Array) -> Array:
    """Gradient of the risk term at h, by column."""
    dense = p.factors.T @ (p.factors @ h + p.factor_offset)
    gradient = dense + p.specifics.T @ (p.specifics @ h + p.specific_offset) + p.diagonal * h
    return gradient if p.volatility_price is None else gradient + p.volatility_price.gradient(h)


def row_values(p: Program, h: Array) -> Array:
    """A h + P |h| + W |h - h0|, one value per row in its desk unit."""
    return p.row_table.values(h, h - p.start)


def row_violations(p: Program, h: Array) -> Array:
    """Distance of each row's value from [lo, hi], desk unit."""
    return beyond_limits(p, row_values(p, h))


def beyond_limits(p: Program, values: Array) -> Array:
    """Distance of rows' values from [lo, hi], desk unit."""
    return np.maximum(np.maximum(p.row_lower - values, values - p.row_upper), 0.0)


def risk_parts(p: Program, h: Array) -> tuple[Array, Array]:
    """F h + f and S h + s."""
    sparse = p.specifics @ h + p.specific_offset if len(p.specific_offset) else p.specific_offset
    return p.factors @ h + p.factor_offset, sparse


def risk_value(p: Program, h: Array) -> float:
    """What risk costs in the objective, base currency: its quadratic part and the price of volatility."""
    dense, sparse = risk_parts(p, h)
    v = p.volatility_price
    priced = 0.0 if v is None else v.price * v.volatility(h)
    return float(0.5 * (dense @ dense + sparse @ sparse + p.diagonal @ (h * h)) + priced)


def objective(p: Program, h: Array) -> float:
    """The whole objective at quantities h, base currency, soft penalties included."""
    soft = np.isfinite(p.row_penalty)
    penalty = p.row_penalty[soft] @ row_violations(p, h)[soft]
    return float(p.constant + risk_value(p, h) + p.by_contract(p.start, h).sum() + penalty)
