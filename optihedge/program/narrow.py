"""A Program over the columns that can move: what is fixed becomes offsets and constants of the same objective."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, over_columns
from optihedge.program.costs import PIECES
from optihedge.program.program import Program
from optihedge.program.volatility import Volatility

V = TypeVar("V", bound=Volatility)


def narrowed(p: Program) -> tuple[Program, Array]:
    """The Program over columns with room to move, and which these are (integers): objective and rows are the same.

    Programs with CVXPY terms speak of all columns, and are left as they are.
    """
    fixed = p.lower >= p.upper
    if p.cvxpy_terms or not fixed.any():
        return p, np.arange(len(p.columns))
    columns = np.flatnonzero(~fixed)
    rest = np.where(fixed, p.lower, 0.0)
    moved = np.where(fixed, np.abs(p.lower - p.start), 0.0)
    held = p.rows @ rest + p.rows_on_holdings @ np.abs(rest) + p.rows_on_trades @ moved
    size = abs(p.rows) @ np.abs(rest) + p.rows_on_holdings @ np.abs(rest) + p.rows_on_trades @ moved
    to = np.full(len(p.columns), -1)
    to[columns] = np.arange(len(columns))
    constant = p.by_contract(p.start, np.where(fixed, p.lower, p.start))[fixed].sum()
    constant += 0.5 * float(p.diagonal @ rest**2)
    return p.derived(
        columns=tuple(p.columns[i] for i in columns), **{
            name: getattr(p, name)[columns] for name in ("start", "lower", "upper", "lot", "diagonal", *PIECES)
        }, depth=p.depth.renumbered(to), factors=p.factors[:, columns], specifics=over_columns(p.specifics, to),
        factor_offset=p.factor_offset + p.factors @ rest, specific_offset=p.specific_offset + p.specifics @ rest,
        constant=p.constant + float(constant), rows=over_columns(p.rows, to),
        rows_on_holdings=over_columns(p.rows_on_holdings, to), rows_on_trades=over_columns(p.rows_on_trades, to),
        row_lower=p.row_lower - held, row_upper=p.row_upper - held, row_fixed=p.row_fixed + size,
        volatility_limit=_narrowed(p.volatility_limit, columns, rest),
        volatility_price=_narrowed(p.volatility_price, columns, rest),
    ), columns  # fmt: skip


def _narrowed(v: V | None, columns: Array, rest: Array) -> V | None:
    if v is None:
        return None
    own = float(np.sqrt(v.diagonal @ rest**2))
    specifics = sp.vstack([v.specifics[:, columns], sp.csr_array((1, len(columns)))], format="csr")
    return replace(
        v, factors=v.factors[:, columns], factor_offset=v.factor_offset + v.factors @ rest, specifics=specifics,
        specific_offset=np.append(v.specific_offset + v.specifics @ rest, own), diagonal=v.diagonal[columns],
    )  # fmt: skip
