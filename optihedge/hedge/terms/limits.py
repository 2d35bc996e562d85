"""Limits on quantities, trades, size, turnover, participation and volatility."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.frames import nearest, some
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.terms.base import Term, check_number
from optihedge.hedge.terms.costs import daily_volume

Array = np.ndarray
Amount = float | Mapping[str, float]


def _bound(term: Term, p: ProgramBuilder, amount: Amount | None, missing: float) -> Array:
    """One bound per contract in play (N) from a number or contract -> number; `missing` elsewhere."""
    if amount is None:
        return np.full(len(p.names), missing)
    if not isinstance(amount, Mapping):
        return np.full(len(p.names), float(amount))
    unknown = [name for name in amount if name not in p.market.names]
    if unknown:
        hint = nearest(unknown[0], p.market.names)
        raise SpecError(f"{term.label}: {unknown[0]} is no contract of this market{hint}; name one, or leave it out")
    return np.array([amount.get(name, missing) for name in p.names], dtype=float)


def _check_amount(term: Term, name: str, amount: Amount | None, least: float = -np.inf) -> None:
    values = amount.values() if isinstance(amount, Mapping) else () if amount is None else (amount,)
    for value in values:
        check_number(term.label, name, value, least)


def _in_contracts(p: ProgramBuilder, bound: Array, measure: str | None) -> Array:
    """Bounds given in base currency as contracts; contracts of no size are not bounded by it."""
    if measure is None:
        return bound
    size = p.measure(measure)
    return np.divide(bound, size, out=np.where(bound == 0, 0.0, np.sign(bound) * np.inf), where=size > 0)


@dataclass(frozen=True)
class PositionLimit(Term):
    """lower <= quantity after trading <= upper, for every tradable contract or those named.

    lower, upper   one number, or contract -> number; contracts, or base currency where `measure` is set
    measure        None (contracts), 'notional' or 'delta'
    share          also |quantity| within this share of the book's gross notional (or the capital, if larger)

    >>> import optihedge as oh
    >>> oh.terms.PositionLimit(lower=0.0, upper={"AAPL": 500.0}).upper["AAPL"]
    500.0
    """

    lower: Amount | None = None
    upper: Amount | None = None
    measure: str | None = None
    share: float | None = None

    short_name: ClassVar[str] = "position"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_amount(self, "lower", self.lower)
        _check_amount(self, "upper", self.upper)
        if self.share is not None:
            check_number(self.label, "share", self.share, 0.0)
        if self.lower is None and self.upper is None and self.share is None:
            raise SpecError(f"{self.label}: give lower, upper or share; a position limit without one limits nothing")

    def contribute(self, p: ProgramBuilder) -> None:
        lower = _in_contracts(p, _bound(self, p, self.lower, -np.inf), self.measure)
        upper = _in_contracts(p, _bound(self, p, self.upper, np.inf), self.measure)
        if self.share is not None:
            reach = _in_contracts(p, np.full(len(p.names), self.share * p.size), "notional")
            lower, upper = np.maximum(lower, -reach), np.minimum(upper, reach)
        if self.soft is None:
            p.box(lower, upper)
            return
        p.note_fixed_beyond(lower, upper)
        some = np.flatnonzero(p.tradable & (np.isfinite(lower) | np.isfinite(upper)))
        each = sp.eye_array(len(p.names), format="csr")[some]
        names = [f"{self.label}[{name}]" for name in p.names[some]]
        p.rows(names, each, lower[some], upper[some], soft=self.soft, tier=self.priority, unit="contracts")


@dataclass(frozen=True)
class TradeLimit(Term):
    """|trade| <= limit, for every tradable contract or those named.

    limit     one number, or contract -> number; contracts, or base currency where `measure` is set
    share     also within this share of the book's gross notional (or the capital, if larger)

    >>> import optihedge as oh
    >>> oh.terms.TradeLimit(1e6, measure="notional").measure
    'notional'
    """

    limit: Amount | None = None
    measure: str | None = None
    share: float | None = None

    short_name: ClassVar[str] = "trade"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_amount(self, "limit", self.limit, 0.0)
        if self.share is not None:
            check_number(self.label, "share", self.share, 0.0)
        if self.limit is None and self.share is None:
            raise SpecError(f"{self.label}: give limit or share; a trade limit without one limits nothing")

    def contribute(self, p: ProgramBuilder) -> None:
        reach = _in_contracts(p, _bound(self, p, self.limit, np.inf), self.measure)
        if isinstance(self.limit, Mapping):
            idle = [name for name in self.limit if name not in p.names[p.tradable]]
            if idle:
                p.notes.append(f"{self.label}: {some(idle)} limited, but not tradable: the limit does nothing")
        if self.share is not None:
            reach = np.minimum(reach, _in_contracts(p, np.full(len(p.names), self.share * p.size), "notional"))
        _limit_trades(self, p, reach)


def _limit_trades(term: Term, p: ProgramBuilder, reach: Array) -> None:
    if term.soft is None:
        p.trade_box(-reach, reach)
        return
    some = np.flatnonzero(p.tradable & np.isfinite(reach))
    each = sp.eye_array(len(p.names), format="csr")[some]
    names = [f"{term.label}[{name}]" for name in p.names[some]]
    p.rows(names, on_trades=each, hi=reach[some], soft=term.soft, tier=term.priority, unit="contracts")


@dataclass(frozen=True)
class ParticipationLimit(Term):
    """|trade| <= participation x daily volume (a column of quotes, contracts a day) x the days it is traded over.

    over   a time such as '4h' or '2d', in days of the drivers' calendar; 'horizon': the model's

    >>> import optihedge as oh
    >>> oh.terms.ParticipationLimit(0.05).participation
    0.05
    """

    participation: float
    volume: str = "volume"
    over: str = "1d"

    short_name: ClassVar[str] = "participation"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "participation", self.participation, 0.0)
        if self.over != "horizon":
            parse_horizon(self.over, 252, f"{self.label}: over")

    def contribute(self, p: ProgramBuilder) -> None:
        days = p.days if self.over == "horizon" else parse_horizon(self.over, p.periods / p.years).days
        part = self.participation * days * daily_volume(p, self.volume)
        _limit_trades(self, p, np.where(p.tradable, part, np.inf))


@dataclass(frozen=True)
class _SizeLimit(Term):
    """A limit on a sum of sizes, for the whole book or per group of `by` (limit: one number, or group -> number).

    limit    base currency
    share    instead: this share of the book's gross notional before trading (or the capital, if larger)
    measure  'notional' or 'delta'
    by       any instrument column: 'venue', 'underlying', 'type', ...
    """

    limit: Amount | None = None
    measure: str = "notional"
    by: str | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_amount(self, "limit", self.limit, 0.0)
        if self.share is not None:
            check_number(self.label, "share", self.share, 0.0)
        if (self.limit is None) == (self.share is None):
            raise SpecError(f"{self.label}: give limit (base currency) or share (of the book's gross), one of them")
        if isinstance(self.limit, Mapping) and self.by is None:
            raise SpecError(f"{self.label}: limits by group need by, the column that groups")

    def _rows(self, p: ProgramBuilder) -> tuple[list[str], sp.csr_array, Array]:
        labels, matrix = p.grouped(p.measure(self.measure), self.by)
        names = [self.label if self.by is None else f"{self.label}[{label}]" for label in labels]
        if self.share is not None:
            return names, matrix, np.full(len(names), self.share * p.size)
        if not isinstance(self.limit, Mapping):
            return names, matrix, np.full(len(names), float(self.limit or 0.0))
        given = {str(group): limit for group, limit in self.limit.items()}
        known = p.market.group(str(self.by))[1]
        unknown = [group for group in given if group not in known]
        if unknown:
            raise SpecError(
                f"{self.label}: {self.by} has no group {unknown[0]}{nearest(unknown[0], known)}; "
                f"it has {', '.join(known[:10])}{', ...' if len(known) > 10 else ''}"
            )
        limits = np.array([given.get(label, np.inf) for label in labels], dtype=float)
        some = np.isfinite(limits)
        return [n for n, s in zip(names, some, strict=True) if s], matrix[some], limits[some]


@dataclass(frozen=True)
class TurnoverLimit(_SizeLimit):
    """Sum of |trade| x size <= limit, base currency; see the fields of GrossLimit.

    >>> import optihedge as oh
    >>> oh.terms.TurnoverLimit(share=0.5).share
    0.5
    """

    short_name: ClassVar[str] = "turnover"

    def contribute(self, p: ProgramBuilder) -> None:
        names, matrix, limits = self._rows(p)
        p.rows(names, on_trades=matrix, hi=limits, soft=self.soft, tier=self.priority, unit="base currency")


@dataclass(frozen=True)
class GrossLimit(_SizeLimit):
    """Sum of |quantity after| x size <= limit, base currency, for the whole book or per group of `by`.

    limit    base currency; or group -> number where `by` is set
    share    instead: this share of the book's gross notional before trading (or the capital, if larger)
    measure  'notional' or 'delta'
    by       any instrument column: 'venue', 'underlying', 'type', ...

    >>> import optihedge as oh
    >>> oh.terms.GrossLimit(5e6, by="sector").by
    'sector'
    """

    short_name: ClassVar[str] = "gross"

    def contribute(self, p: ProgramBuilder) -> None:
        names, matrix, limits = self._rows(p)
        p.rows(names, on_holdings=matrix, hi=limits, soft=self.soft, tier=self.priority, unit="base currency")


@dataclass(frozen=True)
class VolatilityLimit(Term):
    """Volatility of the book's P&L per day <= limit, base currency, whatever the horizon.

    share          instead: this share of the book's gross notional (or the capital, if larger)
    second_order   count the gamma of normal moves; None: where options are tradable

    >>> import optihedge as oh
    >>> oh.terms.VolatilityLimit(limit=25_000.0).limit
    25000.0
    """

    limit: float | None = None
    share: float | None = None
    second_order: bool | None = None

    short_name: ClassVar[str] = "volatility"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.limit is None) == (self.share is None):
            raise SpecError(f"{self.label}: give limit (base currency) or share (of the book's gross), one of them")
        given = self.limit if self.limit is not None else self.share
        check_number(self.label, "limit" if self.share is None else "share", given, 0.0, strict=True)
        if self.soft is not None:
            raise SpecError(f"{self.label}: a volatility limit cannot be soft; use Variance for a price of risk")

    def contribute(self, p: ProgramBuilder) -> None:
        daily = self.limit if self.limit is not None else (self.share or 0.0) * p.size
        if daily == 0:  # a share of an empty book: nothing to cap
            return
        second_order = p.options_tradable if self.second_order is None else self.second_order
        p.cap_volatility(daily, second_order)
