"""What a hedging model minimises beside its costs: variance, volatility, a view, tracking. Base currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.terms.base import Term, check_number

Array = np.ndarray


@dataclass(frozen=True)
class Variance(Term):
    """(aversion / 2) x variance of P&L over the horizon.

    aversion       1 / base currency
    second_order   add the gamma of normal moves, (aversion / 2) x 1/2 v'(C o C)v; None: where options are tradable
    relative       instead of aversion, a pure number: aversion = relative / the book's gross (or the capital, if
                   larger), so that one file serves books of any size and currency

    >>> import optihedge as oh
    >>> oh.Variance(relative=300).relative
    300
    """

    aversion: float | None = None
    second_order: bool | None = None
    relative: float | None = None

    short_name: ClassVar[str] = "variance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.aversion is None) == (self.relative is None):
            raise SpecError(f"{self.label}: give aversion (1 / base currency) or relative (a pure number), one of them")
        name = "aversion" if self.relative is None else "relative"
        check_number(self.label, name, getattr(self, name), 0.0)

    def at(self, size: float) -> float:
        """The aversion for a book of this size, 1 / base currency; relative to nothing it is 0."""
        if self.relative is None:
            return float(self.aversion or 0.0)
        return self.relative / size if size > 0 else 0.0

    @property
    def covers(self) -> tuple[str, ...]:
        return ("risk",)

    def contribute(self, p: ProgramBuilder) -> None:
        aversion = self.at(p.size)
        form, root = p.variance(), np.sqrt(aversion)
        p.risk_rows(form.factors, times=root)
        p.risk_rows(form.specifics, times=root)
        p.diagonal(aversion * form.own)
        if p.options_tradable if self.second_order is None else self.second_order:
            p.risk_rows(form.gamma, times=root)
            p.risk_rows(form.gamma_specifics, times=root)


@dataclass(frozen=True)
class Volatility(Term):
    """price x volatility of P&L over the horizon: what is paid at most to be rid of one unit of it.

    sharpe    yearly return asked for a unit of yearly volatility
    holding   how long a trade serves, in days of the drivers' calendar as the horizon's: its cost is paid once
    price     instead of both: kappa, a pure number, money of cost per money of standard deviation over the horizon

    kappa = sharpe x (holding / horizon) x sqrt(horizon / year): 0.63 at "1d" and 252 periods a year, 0.52 at 365.
    Answers scale with the book and do not depend on the currency. Gamma counts. The report gives the aversion at which
    `Variance` asks for the same trades.
    Example: HedgeModel(risk=SmileRisk(), objective=(Volatility(), SpreadCost(), FeeCost()))

    >>> import optihedge as oh
    >>> oh.Volatility(sharpe=1.0, holding="10d").holding
    '10d'
    """

    sharpe: float | None = None
    holding: str | None = None
    price: float | None = None

    short_name: ClassVar[str] = "volatility price"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.price is not None:
            if self.sharpe is not None or self.holding is not None:
                raise SpecError(f"{self.label}: give price, or sharpe and holding, not both")
            check_number(self.label, "price", self.price, 0.0)
            return
        sharpe = 1.0 if self.sharpe is None else self.sharpe
        holding = "10d" if self.holding is None else self.holding
        check_number(self.label, "sharpe", sharpe, 0.0)
        parse_horizon(holding, 252, f"{self.label}: holding")
        object.__setattr__(self, "sharpe", sharpe)
        object.__setattr__(self, "holding", holding)

    @property
    def asked(self) -> float:
        """What a frontier varies: the price, or the sharpe."""
        return float(self.sharpe or 0.0) if self.price is None else self.price

    def at(self, periods: float, periods_per_year: float) -> float:
        """kappa for a horizon of so many periods."""
        if self.price is not None:
            return self.price
        held = parse_horizon(str(self.holding), periods_per_year).periods
        return float(self.sharpe or 0.0) * held / periods * float(np.sqrt(periods / periods_per_year))

    def contribute(self, p: ProgramBuilder) -> None:
        p.price_volatility(self.at(p.periods, p.periods / p.years))


@dataclass(frozen=True)
class ExpectedReturn(Term):
    """Less the expected return: column of instruments (decimal per year, empty is 0) x notional x years.

    >>> import optihedge as oh
    >>> oh.terms.ExpectedReturn("alpha", scale=0.5).column
    'alpha'
    """

    column: str
    scale: float = 1.0

    short_name: ClassVar[str] = "expected return"

    @property
    def covers(self) -> tuple[str, ...]:
        return ("view",)

    def contribute(self, p: ProgramBuilder) -> None:
        rate = np.nan_to_num(p.numbers(self.column))
        p.cost(linear=-self.scale * rate * p.measure("notional") * p.years)


@dataclass(frozen=True)
class Tracking(Term):
    """(aversion / 2) x variance over the horizon of the P&L between the quantities after and their target.

    target   'before' (every contract held before), a column of instruments, or contract -> quantity. Contracts without
             a target are free, so that names are kept and hedges are not.

    >>> import optihedge as oh
    >>> oh.terms.Tracking(target="before", aversion=1e-6).target
    'before'
    """

    target: str | Mapping[str, float] = "before"
    aversion: float = 1e-6

    short_name: ClassVar[str] = "tracking"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "aversion", self.aversion, 0.0)

    @property
    def covers(self) -> tuple[str, ...]:
        return ("view",)

    def contribute(self, p: ProgramBuilder) -> None:
        goal = self._goal(p)
        tracked = np.isfinite(goal)
        goal = np.where(tracked, goal, 0.0)
        form, root = p.variance(), np.sqrt(self.aversion)
        mask = sp.diags_array(tracked.astype(float))
        for rows in (form.factors * tracked, form.specifics @ mask):
            p.risk_rows(root * rows, -root * (rows @ goal))
        own = sp.diags_array(root * np.sqrt(form.own) * tracked, format="csr")[form.own * tracked > 0]
        p.risk_rows(own, -(own @ goal))

    def _goal(self, p: ProgramBuilder) -> Array:
        if isinstance(self.target, str):
            if self.target == "before":
                return np.where(p.start != 0, p.start, np.nan)
            return p.numbers(self.target)
        unknown = [name for name in self.target if name not in p.market.names]
        if unknown:
            raise SpecError(f"{self.label}: target names {unknown[0]}, which the market does not have; leave it out")
        return np.array([self.target.get(name, np.nan) for name in p.names], dtype=float)
