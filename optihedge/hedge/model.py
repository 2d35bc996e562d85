"""HedgeModel: a risk, an objective and constraints over a horizon; `hedge` turns a market and a book into a Hedge."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.display.numbers import number
from optihedge.errors import NotApplicable, OptihedgeError, SpecError
from optihedge.hedge.answer import Answer, answer
from optihedge.hedge.assemble import assemble
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.fitted import fitted_once
from optihedge.hedge.frontier import Frontier
from optihedge.hedge.horizon import Horizon, parse_horizon
from optihedge.hedge.in_play import InPlay
from optihedge.hedge.problem import Problem
from optihedge.hedge.result import Hedge
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.terms.base import Term
from optihedge.hedge.terms.neutrality import ERROR_SUFFIX, Neutral
from optihedge.hedge.terms.objective import Variance, Volatility
from optihedge.hedge.universe import Universe
from optihedge.hedge.weak_hedges import hardly_moved
from optihedge.market.book import Book, book_quantities
from optihedge.market.snapshot import Market
from optihedge.program.candidate import Solver
from optihedge.program.critical_line import CriticalLine
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.prior import fitted_betas, fitted_risk
from optihedge.risk.reverting import with_own_horizon
from optihedge.risk.root import Risk

Array = np.ndarray
_TOLD = 5  # held options whose vol's origin is told one by one


class HedgeModel(HedgeSpec):
    """A HedgeSpec with verbs: `hedge`, `problem`, `frontier`. See HedgeSpec for what each field says.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> model = oh.HedgeModel(
    ...     risk=oh.EwmaRisk(63), objective=(oh.Variance(relative=300), oh.SpreadCost()),
    ...     constraints=(oh.Neutral("delta"),),
    ... )
    >>> hedge = model.hedge(market, book)
    >>> print(hedge.certificate.status, abs(round(float(hedge.exposures.loc["delta", "after"]))))
    optimal 0
    """

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
        began = time.perf_counter()
        market, risk, problem = self._state(market, book)
        left = None if deadline is None else max(deadline - (time.perf_counter() - began), 0.0)
        found = self._answer(problem, None if warm is None else warm.answer, left)
        return Hedge(model=self, market=market, risk_model=risk, answer=found)

    def problem(self, market: Market, book: Book) -> Problem:
        """The optimisation that `hedge` would solve. Raises DataError, SpecError, InfeasibleError for an empty box."""
        return self._state(market, book)[2]

    def frontier(self, market: Market, book: Book, values: Sequence[float]) -> Frontier:
        """One Hedge per value, each started from the one before, with a table and a picture (`table`, `plot`).

        values   aversions of the one Variance of the objective (1 / base currency), or of its one Volatility sharpes
                 (prices, where it is given by price). Raises SpecError without one of them, or with both
        """
        mine = [term for term in self.objective if isinstance(term, (Variance, Volatility))]
        if len(mine) != 1:
            raise SpecError(
                f"frontier: the objective has {len(mine)} Variance or Volatility terms; it needs one to vary"
            )
        (varying,) = mine
        market, risk, problem = self._state(market, book)
        hedges: list[Hedge] = []
        line = CriticalLine(problem.program) if self.solver == "auto" else None
        for value in values:
            varied = _varied(varying, value)
            model = replace(self, objective=tuple(varied if term is varying else term for term in self.objective))
            known = varying.at(problem.size) if isinstance(varying, Variance) else varying.asked
            ahead = None
            if isinstance(varying, Volatility) and known > 0 and value > 0:
                priced = problem.with_price_scaled(value / known)
            elif isinstance(varying, Variance) and problem.risk_terms == {varying.label} and known > 0:
                priced = problem.with_risk_scaled(value / known)
                ahead = line.at(priced.program, value / known) if line and hedges and value > 0 else None
            else:
                priced = replace(model, risk=risk, betas=None)._state(market, book)[2]
            found = model._answer(priced, hedges[-1].answer if hedges else None, None, ahead)
            hedges.append(Hedge(model=model, market=market, risk_model=risk, answer=found))
        return Frontier(hedges, values, _varied_word(varying))

    def _state(self, market: Market, book: Book) -> tuple[Market, Risk | ContractRisk | None, Problem]:
        before = book_quantities(book, market)
        universe = self.universe if isinstance(self.universe, Universe) else Universe()
        given = self.risk if isinstance(self.risk, Risk) else market
        own = InPlay.of(market, before, universe, parse_horizon(self.horizon, given.periods_per_year).years)
        risk, horizon = self._fitted_risk(market, own.drivers)
        market, assumed = self._with_betas(market, own.drivers)
        builder = self._builder(market, own, risk, horizon)
        builder.assumed.extend(assumed)
        if isinstance(risk, Risk) and any(isinstance(term, Neutral) and term.of_beta for term in self.terms):
            builder.notes.extend(hardly_moved(market, risk, own))
        for term in sorted(self.terms, key=lambda term: term.reads_boxes):
            builder.begin(term.label, term.covers)
            _contribute(term, builder)
        return market, risk, assemble(builder)

    def _answer(
        self, problem: Problem, warm: Answer | None, deadline: float | None, ahead: Solver | None = None
    ) -> Answer:
        return answer(
            problem, solver=self.solver, on_infeasible=self.on_infeasible, warm=warm, deadline=deadline, ahead=ahead
        )

    def _builder(
        self, market: Market, own: InPlay, risk: Risk | ContractRisk | None, horizon: Horizon
    ) -> ProgramBuilder:
        builder = ProgramBuilder(
            market, own.held, own.tradable,
            positions=own.positions, risk=risk, horizon=horizon, capital=self.capital,
        )  # fmt: skip
        builder.left_out.extend(own.notes)
        if isinstance(risk, Risk):
            builder.notes.extend(_unspoken(market, own.positions, own.held))
        if len(market.vol_from):
            builder.notes.extend(_vols_of_others(market, builder.names[own.held != 0]))
        builder.assumed.extend(() if risk is None else risk.notes)
        return builder

    def _fitted_risk(self, market: Market, needed: pd.Index) -> tuple[Risk | ContractRisk | None, Horizon]:
        from optihedge.risk.estimator import ContractRiskEstimator
        from optihedge.risk.manners import clone

        if isinstance(self.risk, ContractRiskEstimator):
            horizon = parse_horizon(self.horizon, market.periods_per_year)
            chosen = self.risk
            own = lambda: clone(chosen).fit(market, horizon.periods).risk_  # noqa: E731
            return fitted_once(market, (self.risk, horizon.periods), own), horizon
        known = self.risk is None or isinstance(self.risk, (Risk, ContractRisk))
        learn = lambda: fitted_risk(self.risk, market, needed)  # noqa: E731
        asked = None if needed is market.drivers.index else needed  # all of them, without a text of their names
        risk: Risk | ContractRisk | None
        risk = self.risk if known else fitted_once(market, ("risk", self.risk, asked), learn)  # type: ignore[assignment]
        horizon = parse_horizon(self.horizon, market.periods_per_year if risk is None else risk.periods_per_year)
        if isinstance(risk, Risk) and not known:
            risk = with_own_horizon(risk, market, horizon.periods, needed)
        return risk, horizon

    def _with_betas(self, market: Market, needed: pd.Index) -> tuple[Market, tuple[str, ...]]:
        """The market with exposures beta:<driver>, the sum over price drivers of cash delta x beta, and their errors;
        notes on betas that are a prior.

        beta_gamma:<driver> is cash gamma per 1 % of the market: it scales with the square of beta.
        """
        if self.betas is None:
            return market, ()
        try:
            learn = lambda: fitted_betas(self.betas, market, needed)  # noqa: E731
            learnt, errors, notes = fitted_once(market, ("betas", self.betas, needed), learn)
        except NotApplicable as error:
            if not all(term.optional for term in self.terms if isinstance(term, Neutral) and term.of_beta):
                raise
            return market, (f"{error}; this model can do without",)
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


def _vols_of_others(market: Market, held: pd.Index) -> list[str]:
    """Held options without a usable vol of their own, and whose was taken."""
    whose = market.vol_from[market.vol_from.index.intersection(held, sort=False)]
    notes = [f"{name} has no usable vol: {market.contracts.vol[market.names.get_loc(name)]:.4f} {said} is taken"
             for name, said in whose.head(_TOLD).items()]  # fmt: skip
    return notes + ([f"{len(whose) - _TOLD} more held options take the vol of others"] if len(whose) > _TOLD else [])


def _unspoken(market: Market, positions: Array, held: Array) -> list[str]:
    """Notes on vega in play and basis held that no driver moves, with what the book holds of each, in money."""
    notes = []
    for name, kind, unit in (("vega", "vol", "vol point"), ("basis", "basis", "basis point of ln(F/S)")):
        bare = market.unspoken[name][positions]
        money = float(np.abs(bare * held).sum())
        if (bare != 0).any() and (money > 0 or name == "vega"):
            holds = f"the book holds {number(money)} {market.base_currency} per {unit}"
            count = int((bare != 0).sum())
            notes.append(f"{name} of {count} contracts in play has no {kind} driver ({holds}); no risk speaks for it")
    return notes


def _varied(term: Variance | Volatility, value: float) -> Term:
    if isinstance(term, Variance):
        return replace(term, aversion=value, relative=None)
    return replace(term, price=value) if term.price is not None else replace(term, sharpe=value)


def _varied_word(term: Variance | Volatility) -> str:
    return "aversion" if isinstance(term, Variance) else "sharpe" if term.price is None else "price"


def _contribute(term: Term, builder: ProgramBuilder) -> None:
    """What the term says, or a SpecError that names it, whatever goes wrong in it."""
    try:
        term.contribute(builder)
    except OptihedgeError:
        raise
    except (Exception, SystemExit) as error:
        raise SpecError(f"{term.label}: its contribute failed, {type(error).__name__}: {error}") from error
