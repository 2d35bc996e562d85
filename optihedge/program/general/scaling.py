"""Normalise a Program, invertibly: quantities, rows and objective of order one, as general solvers need them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array
from optihedge.program.aversion import at_answer
from optihedge.program.candidate import Candidate
from optihedge.program.costs import Depth
from optihedge.program.program import Program
from optihedge.program.structured.presolve import scaled
from optihedge.program.volatility import Volatility, VolatilityLimit, VolatilityPrice

_SMALLEST = 1e-6  # of the box: the least quantity that counts as one


@dataclass(frozen=True, eq=False)
class Scaling:
    """quantity = column x normalised quantity, row = row x normalised row, objective = money x normalised objective.

    limit is what the limited volatility is measured in, base currency.
    """

    column: Array
    row: Array
    money: float
    limit: float = 1.0

    def restore(self, candidate: Candidate) -> Candidate:
        """A candidate of the normalised Program, in the original's units."""
        return replace(
            candidate, h=self.column * candidate.h, multipliers=candidate.multipliers * self.money / self.row,
            limit_multiplier=candidate.limit_multiplier * self.money / self.limit**2,
        )  # fmt: skip

    def apply(self, candidate: Candidate) -> Candidate:
        """A candidate of the original Program, in normalised units."""
        return replace(
            candidate, h=candidate.h / self.column, multipliers=candidate.multipliers * self.row / self.money,
            limit_multiplier=candidate.limit_multiplier * self.limit**2 / self.money,
        )  # fmt: skip


def column_scale(p: Program, by: str = "risk") -> Array:
    """Contracts that count as one: what brings as much risk as the book has, at most the box. by: 'risk' or 'box'."""
    box = np.where(p.widest > 0, p.widest, 1.0)
    if by == "box":
        return box
    risk = np.sqrt(p.curvature)
    start = np.clip(p.start, p.lower, p.upper)
    dense, sparse = p.factors @ start + p.factor_offset, p.specifics @ start + p.specific_offset
    book = np.sqrt(dense @ dense + sparse @ sparse + p.diagonal @ start**2) or (risk * box).max(initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(risk > 0, np.clip(book / risk, _SMALLEST * box, box), box)


def row_reach(p: Program) -> tuple[Array, Array]:
    """The least and largest value of each row inside the box, desk unit."""
    kinks = np.clip(np.vstack([p.lower, p.upper, np.zeros_like(p.start), p.start]), p.lower, p.upper)
    if p.row_table.dense:
        return p.row_table.reach(kinks, p.start)
    if not (p.rows_on_holdings.nnz or p.rows_on_trades.nnz):
        rising = sp.csr_array((np.maximum(p.rows.data, 0), p.rows.indices, p.rows.indptr), p.rows.shape)
        falling = sp.csr_array((np.minimum(p.rows.data, 0), p.rows.indices, p.rows.indptr), p.rows.shape)
        return rising @ p.lower + falling @ p.upper, rising @ p.upper + falling @ p.lower
    pattern = sp.coo_array(abs(p.rows) + p.rows_on_holdings + p.rows_on_trades)
    j, i = pattern.row, pattern.col
    plain, holdings, trades = (
        np.asarray(matrix[j, i]).ravel() if len(j) else np.zeros(0)
        for matrix in (p.rows, p.rows_on_holdings, p.rows_on_trades)
    )
    kinks = kinks[:, i]
    values = plain * kinks + holdings * np.abs(kinks) + trades * np.abs(kinks - p.start[i])
    m = len(p.row_names)
    return np.bincount(j, values.min(axis=0), m), np.bincount(j, values.max(axis=0), m)


def _reachable(p: Program) -> Program:
    low, high = row_reach(p)
    d = p.depth
    near = d.beyond < np.where(d.side > 0, (p.upper - p.start)[d.column], (p.start - p.lower)[d.column])
    return replace(
        p, row_lower=np.where(low >= p.row_lower, -np.inf, p.row_lower),
        row_upper=np.where(high <= p.row_upper, np.inf, p.row_upper),
        depth=Depth(column=d.column[near], side=d.side[near], beyond=d.beyond[near], slope=d.slope[near]),
    )  # fmt: skip


def normalise(p: Program, by: str = "risk") -> tuple[Program, Scaling]:
    """The same problem in units in which its numbers are of order one, and the way back.

    Limits and depth that nothing inside the box can reach are left out: their size would blind a solver.
    """
    p = _reachable(p)
    quadratic = at_answer(p, p.start)
    column = column_scale(quadratic, by)
    sizes = (abs(p.rows) + p.rows_on_holdings + p.rows_on_trades) @ sp.diags_array(column)
    row = sizes.max(axis=1).toarray().ravel() if sizes.nnz else np.ones(len(p.row_names))
    row = np.where(row > 0, row, 1.0)

    pull = np.abs(p.linear + quadratic.factor_offset @ quadratic.factors
                  + quadratic.specifics.T @ quadratic.specific_offset)  # fmt: skip
    cost = np.maximum.reduce([np.abs(p.buy), np.abs(p.sell), np.abs(p.long), np.abs(p.short)])
    curved = np.maximum(quadratic.curvature + p.quadratic, p.power / np.sqrt(column)) * column**2
    money = max(curved.max(initial=0.0), ((pull + cost) * column).max(initial=0.0)) or 1.0

    to_money, root = column / money, column / np.sqrt(money)
    d = p.depth
    normal = replace(
        p, start=p.start / column, lower=p.lower / column, upper=p.upper / column, lot=p.lot / column,
        factors=p.factors * root, factor_offset=p.factor_offset / np.sqrt(money),
        specifics=p.specifics @ sp.diags_array(root), specific_offset=p.specific_offset / np.sqrt(money),
        diagonal=p.diagonal * root**2, linear=p.linear * to_money, constant=p.constant / money, buy=p.buy * to_money,
        sell=p.sell * to_money, quadratic=p.quadratic * column * to_money, power=p.power * np.sqrt(column) * to_money,
        depth=Depth(column=d.column, side=d.side, beyond=d.beyond / column[d.column],
                    slope=d.slope * to_money[d.column]),
        long=p.long * to_money, short=p.short * to_money, rows=scaled(p.rows, 1 / row, column),
        rows_on_holdings=scaled(p.rows_on_holdings, 1 / row, column),
        rows_on_trades=scaled(p.rows_on_trades, 1 / row, column),
        row_lower=p.row_lower / row, row_upper=p.row_upper / row, row_penalty=p.row_penalty * row / money,
        row_fixed=p.row_fixed / row, row_limit=p.row_limit / row,
        volatility_limit=_scale_limit(p.volatility_limit, column),
        volatility_price=_scale_price(p.volatility_price, column, p.start, money),
    )  # fmt: skip
    return normal, Scaling(column, row, money, _limit_unit(p.volatility_limit))


def _limit_unit(v: VolatilityLimit | None) -> float:
    return v.limit if v is not None and v.limit > 0 else 1.0


def _scale_limit(v: VolatilityLimit | None, column: Array) -> VolatilityLimit | None:
    if v is None:
        return None
    unit = _limit_unit(v)
    return VolatilityLimit(**_in_units(v, column, unit), limit=v.limit / unit)


def _scale_price(v: VolatilityPrice | None, column: Array, start: Array, money: float) -> VolatilityPrice | None:
    if v is None:
        return None
    unit = v.volatility(start) or 1.0
    return VolatilityPrice(**_in_units(v, column, unit), price=v.price * unit / money)


def _in_units(v: Volatility, column: Array, unit: float) -> dict[str, Any]:
    return {
        "name": v.name, "factors": v.factors * (column / unit), "factor_offset": v.factor_offset / unit,
        "specifics": sp.csr_array(v.specifics @ sp.diags_array(column / unit)),
        "specific_offset": v.specific_offset / unit, "diagonal": v.diagonal * (column / unit) ** 2,
    }  # fmt: skip
