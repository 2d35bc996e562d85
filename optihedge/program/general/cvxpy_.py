"""The same Program rendered in CVXPY: for a user's own terms, for any CVXPY solver, and as an independent oracle."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from optihedge.errors import SpecError
from optihedge.program.arrays import Array
from optihedge.program.candidate import Candidate
from optihedge.program.general.cone_proof import ConeProof
from optihedge.program.general.scaling import normalise
from optihedge.program.own.terms import labels, own_terms
from optihedge.program.program import Program
from optihedge.program.status import Status
from optihedge.program.volatility import Volatility

_OPTIONS = {
    "CLARABEL": {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9, "max_threads": 1},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 100_000},
}


_PARTS = 2  # of what is rendered beside rows: what defines the parts of a priced volatility


@dataclass(frozen=True, eq=False)
class ConeCandidate(Candidate):
    """A candidate that carries the cone problem it solves, which is what can be certified of the user's own terms."""

    proof: ConeProof | None = None


@dataclass(frozen=True)
class Modelled:
    """Any CVXPY solver by name; always named, since CVXPY's own choice depends on what is installed."""

    solver: str = "CLARABEL"
    takes_limit: ClassVar[bool] = True  # a volatility's limit or price is a cone of the problem
    takes_own: ClassVar[bool] = True  # a user's CVXPY terms too

    @property
    def name(self) -> str:
        """What a certificate's chain calls it."""
        return "cvxpy" if self.solver == "CLARABEL" else f"cvxpy:{self.solver}"

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """A candidate for `certify`, from a problem made anew. `deadline`: seconds from now, obeyed by Clarabel."""
        scaled, scaling = normalise(program)
        z = cp.Variable(len(program.columns))
        objective, rows, rest = render(scaled, z)
        extra, own = own_terms(program, cp.multiply(scaling.column, z))
        problem = cp.Problem(cp.Minimize(objective + extra / scaling.money), [*rows, *rest, *own])
        options = dict(_OPTIONS.get(self.solver, {}))
        if deadline is not None and self.solver == "CLARABEL":
            options["time_limit"] = max(deadline, 1e-3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data, chain, inverse = problem.get_problem_data(self.solver, solver_opts=options)
            raw = chain.solve_via_data(problem, data, False, False, options)
            problem.unpack_results(raw, chain, inverse)
        if problem.status == cp.UNBOUNDED and program.cvxpy_terms:  # quantities have their box
            raise SpecError(f"{labels(program)}: nothing stops the objective in variables of its own; bound them")
        nothing = Candidate.none(program, Status.FAILED, str(problem.status))
        if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.INFEASIBLE):
            return nothing
        claim = (Status.OPTIMAL, "") if problem.status == cp.OPTIMAL else (Status.FAILED, str(problem.status))
        proof = ConeProof.read(data, raw, self.solver, z, scaling) if program.cvxpy_terms else None
        if problem.status == cp.INFEASIBLE:
            return ConeCandidate(program.start, nothing.multipliers, Status.INFEASIBLE, proof=proof)
        multipliers = np.zeros(len(program.row_names))
        for side, index, constraint in zip((1, 1, -1), _sides(scaled), rows, strict=True):
            multipliers[index] += side * np.atleast_1d(constraint.dual_value)
        price = 0.0
        if scaled.volatility_limit is not None:  # the cone's price of volatility; that of half its square is by limit
            price = float(np.max(rest[-1].dual_value)) / scaled.volatility_limit.limit
        pull = None
        if program.volatility_price is not None and scaled.volatility_price is not None:
            pull = rest[_PARTS].dual_value * (program.volatility_price.price / scaled.volatility_price.price)
        found = scaling.restore(
            Candidate(np.array(z.value, dtype=float), multipliers, claim[0], price, claim[1], pull=pull)
        )
        if proof is None:
            return found
        worth = 0.0 if extra.value is None else float(np.sum(extra.value))
        price = found.limit_multiplier
        return ConeCandidate(found.h, found.multipliers, claim[0], price, claim[1], proof=replace(proof, extra=worth))


def _sides(p: Program) -> tuple[Array, Array, Array]:
    """Rows that are equalities, that have an upper limit, that have a lower limit."""
    equal = p.row_lower == p.row_upper
    return (np.flatnonzero(equal), np.flatnonzero(~equal & np.isfinite(p.row_upper)),
            np.flatnonzero(~equal & np.isfinite(p.row_lower)))  # fmt: skip


def render(p: Program, h: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint], list[cp.Constraint]]:
    """The Program over the CVXPY expression h: objective; rows (equal, upper, lower); box and whatever else there is.

    The coefficient stands inside the 3/2 power, (k x)^1.5 with k = c^(2/3), or the cones lose digits.
    """
    x = h - p.start
    objective = p.constant + (p.linear + p.buy + p.long) @ h - p.buy @ p.start
    objective += 0.5 * cp.sum_squares(p.factors @ h + p.factor_offset) if len(p.factors) else 0.0
    objective += 0.5 * cp.sum_squares(p.specifics @ h + p.specific_offset) if p.specifics.shape[0] else 0.0
    objective += 0.5 * cp.sum_squares(cp.multiply(np.sqrt(p.diagonal), h))
    objective += (p.buy + p.sell) @ cp.neg(x) + (p.long + p.short) @ cp.neg(h)
    objective += cp.sum_squares(cp.multiply(np.sqrt(p.quadratic), x))
    if p.power.any():
        objective += cp.sum(cp.power(cp.abs(cp.multiply(p.power ** (2 / 3), x)), 1.5))
    if len(p.depth.column):
        d = p.depth
        pick = sp.csr_array((d.side, (np.arange(len(d.column)), d.column)), shape=(len(d.column), len(p.columns)))
        objective += d.slope @ cp.pos(pick @ x - d.beyond)

    rest = [h >= p.lower, h <= p.upper]
    if p.volatility_price is not None:
        parts = cp.Variable(len(p.volatility_price.parts(p.start)))
        objective += p.volatility_price.price * cp.norm(parts, 2)
        rest.append(_parts(p.volatility_price, h) == parts)  # whose multipliers are what the price pulls with
    values = p.rows @ h + p.rows_on_holdings @ cp.abs(h) + p.rows_on_trades @ cp.abs(x)
    linear = p.rows @ h
    soft = np.isfinite(p.row_penalty)
    if soft.any():
        over, under = cp.Variable(len(soft), nonneg=True), cp.Variable(len(soft), nonneg=True)
        objective += np.where(soft, p.row_penalty, 0.0) @ (over + under)
        rest += [over[~soft] == 0, under[~soft] == 0] if not soft.all() else []
        values, linear = values - over + under, linear - over + under
    equal, upper, lower = _sides(p)
    rows = [linear[equal] == p.row_upper[equal], values[upper] <= p.row_upper[upper],
            linear[lower] >= p.row_lower[lower]]  # fmt: skip
    if p.volatility_limit is not None:
        v = p.volatility_limit
        rest.append(cp.norm(_parts(v, h), 2) <= v.limit)
    return objective, rows, rest


def _parts(v: Volatility, h: cp.Expression) -> cp.Expression:
    """What the volatility is the length of, as `Volatility.parts`."""
    parts = [v.factors @ h + v.factor_offset, v.specifics @ h + v.specific_offset,
             cp.multiply(np.sqrt(v.diagonal), h)]  # fmt: skip
    return cp.hstack([part for part in parts if part.size])
