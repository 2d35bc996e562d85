"""HedgeModel: a risk, an objective and constraints over a horizon; `hedge` turns a market and a book into a Hedge."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.frames import some
from optihedge.hedge.answer import settle
from optihedge.hedge.assemble import assemble
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.horizon import Horizon, parse_horizon
from optihedge.hedge.problem import Problem
from optihedge.hedge.result import Hedge
from optihedge.hedge.terms.base import Term, check_number
from optihedge.hedge.terms.neutrality import ERROR_SUFFIX
from optihedge.hedge.terms.objective import Variance
from optihedge.hedge.universe import Universe
from optihedge.market.book import Book, book_quantities
from optihedge.market.snapshot import Market
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.prior import fitted_betas, fitted_risk
from optihedge.risk.root import Risk

Array = np.ndarray
_POLICIES = ("error", "relax")


@dataclass(frozen=True, kw_only=True, eq=False)
class HedgeModel:
    """How to hedge any book in any market. `dataclasses.replace` is the tool for sweeps.

    risk           an estimator of the drivers' moves or of contracts (scikit-learn's manners, learns `risk_`), what it
                   learns (Risk, ContractRisk), or None
    objective      terms to minimise;  constraints  terms to keep; one term, or several
    betas          an estimator that learns `betas_`, D x m: adds the exposures beta:<market driver>
    horizon        expected time until the next rebalance: '1d', '8h', '5d'. A day is one trading day where the risk's
                   history has about 252 periods a year (or whole multiples), so that '1d' carries, funds and borrows
                   for 365/252 calendar days; it is one calendar day where the history has 365 (or whole multiples)
    capital        base currency: sizes default trade limits and shares where it is above the book's gross
    universe       a Universe, the names of the tradable contracts, or None for those marked `hedge`
    solver         a name, a tuple of names (a chain), or an object with `solve`
    lots, checks   settings of the trade list
    on_infeasible  'error', or 'relax': hedge within the least relaxed limits and say so
    """

    risk: Any = None
    objective: tuple[Term, ...] = ()
    constraints: tuple[Term, ...] = ()
    betas: Any = None
    horizon: str = "1d"
    capital: float = 0.0
    universe: Universe | Sequence[str] | None = None
    solver: Any = "auto"
    lots: Any = None
    checks: Any = None
    on_infeasible: str = "error"
    name: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        for kind in ("objective", "constraints"):
            given = getattr(self, kind)
            terms = tuple(given) if isinstance(given, Iterable) else (given,)
            for term in terms:
                if not isinstance(term, Term):
                    raise SpecError(f"{kind}: {term!r} is no Term; subclass optihedge.Term")
            object.__setattr__(self, kind, terms)
        labels = pd.Index([term.label for term in self.terms])
        if labels.has_duplicates:
            twice = labels[labels.duplicated()][0]
            raise SpecError(f"two terms are called {twice!r}; give one of them a name of its own")
        check_number("HedgeModel", "capital", self.capital, 0.0)
        if self.on_infeasible not in _POLICIES:
            raise SpecError(f"on_infeasible is {self.on_infeasible!r}; write 'error' or 'relax'")
        parse_horizon(self.horizon, 252)
        if isinstance(self.universe, str):
            raise SpecError(f"universe is {self.universe!r}; give a Universe or a sequence of instrument names")
        if self.universe is not None and not isinstance(self.universe, Universe):
            object.__setattr__(self, "universe", Universe(instruments=tuple(self.universe)))

    @property
    def terms(self) -> tuple[Term, ...]:
        """Objective terms, then constraints."""
        return (*self.objective, *self.constraints)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of everything that decides an answer, the same in every run."""
        decides = [f.name for f in fields(self) if f.name not in ("name", "description")]
        text = "\n".join(f"{name}={canonical(getattr(self, name))}" for name in decides)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def hedge(
        self,
        market: Market,
        book: Book,
        *,
        warm: Hedge | None = None,
        deadline: float | None = None,
    ) -> Hedge:
        """The certified hedge of a book (quantity by instrument, contracts). warm: an earlier Hedge to start from.

        Raises DataError, SpecError, InfeasibleError (naming what must give way), SolverError (nothing could be proved).
        deadline: seconds.
        """
        return settle(*self._state(market, book), warm=warm, deadline=deadline)

    def problem(self, market: Market, book: Book) -> Problem:
        """The optimisation that `hedge` would solve. Raises DataError, SpecError, InfeasibleError for an empty box."""
        return self._state(market, book)[3]

    def frontier(self, market: Market, book: Book, aversions: Sequence[float]) -> tuple[Hedge, ...]:
        """One Hedge per risk aversion, each started from the one before. Raises SpecError without one Variance term."""
        mine = [term for term in self.objective if isinstance(term, Variance)]
        if len(mine) != 1:
            raise SpecError(f"frontier: the objective has {len(mine)} Variance terms; it needs one to vary")
        (variance,) = mine
        _, market, risk, problem = self._state(market, book)
        known = variance.at(problem.size)
        hedges: list[Hedge] = []
        for aversion in aversions:
            varied = replace(variance, aversion=aversion, relative=None)
            model = replace(self, objective=tuple(varied if term is variance else term for term in self.objective))
            if problem.risk_terms == {variance.label} and known > 0:
                priced = problem.with_risk_scaled(aversion / known)
            else:
                priced = replace(model, risk=risk, betas=None)._state(market, book)[3]
            hedges.append(settle(model, market, risk, priced, warm=hedges[-1] if hedges else None))
        return tuple(hedges)

    def _state(self, market: Market, book: Book) -> tuple[HedgeModel, Market, Risk | ContractRisk | None, Problem]:
        market, notes = self._with_betas(market)
        before = book_quantities(book, market)
        risk, horizon = self._fitted_risk(market)
        builder = self._builder(market, before, risk, horizon)
        builder.notes.extend(notes)
        for term in sorted(self.terms, key=lambda term: term.reads_boxes):
            builder.begin(term.label)
            term.contribute(builder)
        return self, market, risk, assemble(builder)

    def _builder(
        self, market: Market, before: Array, risk: Risk | ContractRisk | None, horizon: Horizon
    ) -> ProgramBuilder:
        universe = self.universe if isinstance(self.universe, Universe) else Universe()
        chosen, notes = universe.tradable(market, pd.Series(before, index=market.names), horizon.years)
        sides = np.isfinite(market.trade_cost.to_numpy(dtype=float)).any(axis=1)
        silent = market.names[chosen & ~sides]
        if len(silent):
            notes.append(f"{some(silent)}: not traded, no quote")
        positions = np.flatnonzero((before != 0) | (chosen & sides))
        builder = ProgramBuilder(
            market, before[positions], chosen[positions],
            positions=positions, risk=risk, horizon=horizon, capital=self.capital,
        )  # fmt: skip
        bare = market.unmodelled["vega"].reindex(builder.names).fillna(0.0)
        if isinstance(risk, Risk) and (bare != 0).any():
            notes.append(f"vega of {int((bare != 0).sum())} contracts in play has no vol driver; no risk speaks for it")
        builder.notes.extend((*notes, *(() if risk is None else risk.notes)))
        return builder

    def _fitted_risk(self, market: Market) -> tuple[Risk | ContractRisk | None, Horizon]:
        from sklearn.base import clone

        from optihedge.risk.estimator import ContractRiskEstimator

        if isinstance(self.risk, ContractRiskEstimator):
            horizon = parse_horizon(self.horizon, market.periods_per_year)
            return clone(self.risk).fit(market, horizon.periods).risk_, horizon
        known = self.risk is None or isinstance(self.risk, (Risk, ContractRisk))
        risk = self.risk if known else fitted_risk(self.risk, market)
        return risk, parse_horizon(self.horizon, market.periods_per_year if risk is None else risk.periods_per_year)

    def _with_betas(self, market: Market) -> tuple[Market, tuple[str, ...]]:
        """The market with exposures beta:<driver>, the sum over price drivers of cash delta x beta, and their errors;
        notes on betas that are a prior.

        beta_gamma:<driver> is cash gamma per 1 % of the market: it scales with the square of beta.
        """
        if self.betas is None:
            return market, ()
        learnt, errors, notes = fitted_betas(self.betas, market)
        delta = sp.csr_array(market.price_delta.T)
        betas = learnt.reindex(market.price_drivers).fillna(0.0)
        names = [f"beta:{market}" for market in betas.columns]
        unit = "base currency, cash delta x beta"
        frame = pd.DataFrame(delta @ betas.to_numpy(), index=market.names, columns=names)
        if errors is not None:
            of = errors.reindex(market.price_drivers).fillna(0.0).to_numpy()
            frame[[name + ERROR_SUFFIX for name in names]] = abs(delta) @ of
        frame.attrs["unit"] = dict.fromkeys(frame.columns, unit)
        if market.convexity.nnz:
            gamma = 0.01 * (sp.csr_array(market.convexity.T) @ betas.to_numpy() ** 2)
            squared = [f"beta_gamma:{driver}" for driver in betas.columns]
            frame[squared] = gamma
            frame.attrs["unit"] |= dict.fromkeys(squared, "base currency, change of beta delta for +1 % of the market")
        return market.with_exposures(frame), notes


def canonical(value: Any) -> str:
    """A text that says a value in full and without addresses: terms, estimators, frames, Risks, plain values."""
    if isinstance(value, (pd.DataFrame, pd.Series, np.ndarray, pd.Index)):
        plain = pd.DataFrame(value) if isinstance(value, np.ndarray) else value
        labels = [] if isinstance(plain, pd.Index) else [canonical(pd.Index(plain.index))]
        labels += [canonical(plain.columns)] if isinstance(plain, pd.DataFrame) else []
        body = plain.astype(str).to_numpy() if isinstance(plain, pd.Index) else plain.to_numpy()
        return hashlib.sha256(repr((labels, body.tolist())).encode()).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        parts = ", ".join(f"{f.name}={canonical(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__qualname__}({parts})"
    if hasattr(value, "get_params"):
        parts = ", ".join(f"{name}={canonical(v)}" for name, v in sorted(value.get_params(deep=False).items()))
        return f"{type(value).__qualname__}({parts})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {canonical(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(canonical, value)) + ")"
    if callable(value):
        named = value if hasattr(value, "__qualname__") else type(value)
        return f"{named.__module__}.{named.__qualname__}"
    return repr(value)
