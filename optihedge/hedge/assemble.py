"""Compile what terms said to a ProgramBuilder into a Problem: fixed contracts fold into constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import OptihedgeError, SpecError
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.problem import Problem
from optihedge.hedge.variance import VarianceForm
from optihedge.market.instruments import trade_lots
from optihedge.program.arrays import compressed, fewest_rows
from optihedge.program.costs import Costs
from optihedge.program.program import RESIDUAL_TOLERANCE, Program
from optihedge.program.volatility import VolatilityLimit, VolatilityPrice
from optihedge.readonly import kept, numbers, read_only

Array = np.ndarray
_LEAST_VOLATILITY = 1e-6  # of the unhedged book's: a perfect hedge has no price beyond it


_DECIDED = ("value", "target", "lower", "upper", "violation", "penalty", "unit", "term")
_NOTHING = read_only(
    pd.DataFrame(
        {name: np.zeros(0, object if name in ("unit", "term") else float) for name in _DECIDED},
        index=pd.Index([], name="limit", dtype=object),
    )
)
"""No row is decided: each has a contract that can move it."""


def assemble(b: ProgramBuilder) -> Problem:
    """Fold fixed contracts into constants and write the Program. Raises SpecError, DataError, InfeasibleError."""
    free = np.flatnonzero(b.tradable)
    fixed = np.flatnonzero(~b.tradable)
    held = b.start[fixed]
    extra = [x for block in b.auxiliaries_ for x in block.names]
    notes = [*b.left_out, *b.notes, *b.assumed]
    lower, upper, default_lower, default_upper = (box[free] for box in b.boxes(notes))
    column = np.full(len(b.names), -1)
    column[free] = np.arange(len(free))
    rows = _fold_rows(b, free, column, len(extra))
    quadratic = _fold_risk(b, free, fixed, column, len(extra))
    charges, constant = _fold_costs(b, free, fixed, len(extra))
    aux = {name: _joined(getattr(x, name) for x in b.auxiliaries_) for name in ("lower", "upper", "cost")}
    pad = lambda v, tail: np.concatenate([v, tail])  # noqa: E731
    none = np.zeros(len(extra), bool)
    charges["linear"] = pad(charges["linear"][: len(free)], aux["cost"])
    risk_constant = quadratic.pop("constant")
    program = Program.whole(
        columns=(*_labels(b, free), *extra),
        start=pad(b.start[free], np.clip(0.0, aux["lower"], aux["upper"])),
        lower=pad(lower, aux["lower"]),
        upper=pad(upper, aux["upper"]),
        lot=pad(_lots(b, free), np.zeros(len(extra))),
        constant=constant + risk_constant,
        volatility_limit=_fold_limit(b, free, fixed, held, len(extra)),
        volatility_price=_fold_price(b, free, fixed, held, len(extra)),
        cvxpy_terms=tuple(_over_columns(b, *own, free, len(extra)) for own in b.cvxpy_),
        **quadratic,
        **charges,
        **rows["program"],
    )
    by_term: dict[str, Array] = {}
    first = len(free)
    for x in b.auxiliaries_:
        cost = by_term.setdefault(x.term, np.zeros(first + len(extra)))
        begin = first + extra.index(x.names[0])
        cost[begin : begin + len(x.names)] = x.cost
    return Problem(
        program=program, market=b.market, names=b.names, positions=b.positions, start=b.start, tradable=b.tradable,
        default_lower=pad(default_lower, none), default_upper=pad(default_upper, none), costs=dict(b.costs_),
        auxiliary_costs=by_term, variance=b.variance() if b.risk is not None else None,
        risk_terms=frozenset(b.risk_terms_), risk_constant=risk_constant, row_units=rows["units"],
        row_targets=rows["targets"],
        row_terms=rows["terms"], row_offset=rows["offset"], decided=rows["decided"], gross=b.gross, capital=b.capital,
        row_measures={block.names[0]: block.value for block in b.rows_ if block.value is not None}, days=b.days,
        notes=tuple(notes), left_out=tuple(b.left_out), assumed=tuple(b.assumed), covers=dict(b.covers_),
        borrow=b.borrow_, financing=b.financing_, years=b.years,
    )  # fmt: skip


def _joined(parts: Any) -> Array:
    return np.concatenate([np.zeros(0), *parts])


def _labels(b: ProgramBuilder, free: Array) -> list[str]:
    table = b.market.instruments
    every = kept(table, "labels", lambda: list(map(str, table.index)))
    return every if len(free) == len(every) else [every[i] for i in b.positions[free].tolist()]


def _lots(b: ProgramBuilder, free: Array) -> Array:
    table, at = b.market.instruments, b.positions[free]
    lots = trade_lots(table.iloc[at]) if "block" in table.columns else numbers(table, "lot")[at]
    return np.where(np.isfinite(lots), lots, 0.0)


def _fold_rows(b: ProgramBuilder, free: Array, column: Array, extra: int) -> dict:
    names = [name for block in b.rows_ for name in block.names]
    if len(set(names)) < len(names):
        name = next(name for i, name in enumerate(names) if name in names[:i])
        raise SpecError(f"two limits are called {name}; give one of their terms a name of its own")
    said = {kind: _entries(b, kind) for kind in ("a", "on_holdings", "on_trades", "auxiliaries")}
    # what fixed contracts bring to each row, and how large that is (for tolerances)
    size, offset = np.zeros(len(names)), np.zeros(len(names))
    held = np.where(column < 0, b.start, 0.0)
    for kind, values in (("a", held), ("on_holdings", np.abs(held))):
        row, at, data = said[kind]
        if len(row) and len(free) < len(column):
            brought = data * values[at]
            size += np.bincount(row, np.abs(brought), len(names))
            offset += np.bincount(row, brought, len(names))
    # rows that something tradable moves; the others are decided already
    live = np.zeros(len(names), bool)
    for kind, (row, at, data) in said.items():
        live[row[data != 0 if kind == "auxiliaries" else (column[at] >= 0) & (data != 0)]] = True
    lower, upper, penalty, target = (
        _joined(getattr(x, kind) for x in b.rows_) for kind in ("lower", "upper", "penalty", "target")
    )
    tier, unit, term = ([getattr(x, kind) for x in b.rows_ for _ in x.names] for kind in ("tier", "unit", "term"))
    violation = np.maximum(np.maximum(lower - offset, offset - upper), 0.0)
    violation = np.where(violation > RESIDUAL_TOLERANCE * size, violation, 0.0)
    decided = _told(~live, names, (offset, target, lower, upper, violation, penalty, unit, term))
    # over the Program's columns and its live rows
    renumbered, height, wide = np.cumsum(live) - 1, int(live.sum()), len(free) + extra

    def matrix(kind: str, columns: Array) -> sp.csr_array:
        row, at, data = said[kind]
        if not len(row):
            return _sparse(row, at, data, (height, wide))
        keep = live[row] & (columns[at] >= 0)
        return _sparse(renumbered[row[keep]], columns[at[keep]], data[keep], (height, wide))

    rows = matrix("a", column)
    if len(said["auxiliaries"][0]):
        rows = rows + matrix("auxiliaries", len(free) + np.arange(extra))
    alive = lambda values: tuple(value for value, is_live in zip(values, live, strict=True) if is_live)  # noqa: E731
    program = {
        "row_names": alive(names),
        "rows": rows,
        "rows_on_holdings": matrix("on_holdings", column),
        "rows_on_trades": matrix("on_trades", column),
        "row_lower": (lower - offset)[live],
        "row_upper": (upper - offset)[live],
        "row_penalty": penalty[live],
        "row_tier": np.array(tier, dtype=float)[live],
        "row_fixed": size[live],
        "row_limit": _sizes(lower, upper)[live],
    }
    return {"program": program, "units": alive(unit), "terms": alive(term), "offset": offset[live],
            "targets": target[live], "decided": decided}  # fmt: skip


def _told(rest: Array, names: Any, values: tuple[Array | list[Any], ...]) -> pd.DataFrame:
    """The rows that nothing tradable moves, as they stand: _DECIDED."""
    if not rest.any():
        return _NOTHING
    names, *columns = (np.array(v, dtype=object) if isinstance(v, list) else v for v in (names, *values))
    said = {name: each[rest] for name, each in zip(_DECIDED, columns, strict=True)}
    return pd.DataFrame(said, index=pd.Index(names[rest], name="limit", dtype=object))


def _sizes(lower: Array, upper: Array) -> Array:
    """The larger end of each limit as it was set, 0 where it has none."""
    ends = np.abs([lower, upper])
    return np.where(np.isfinite(ends), ends, 0.0).max(axis=0)


def _entries(b: ProgramBuilder, kind: str) -> tuple[Array, Array, Array]:
    """Row, column and value of every entry of the blocks' matrices, rows counted through."""
    first = np.cumsum([0, *(len(block.names) for block in b.rows_)])
    return _triplets([(i, getattr(block, kind)) for i, block in zip(first[:-1], b.rows_, strict=True)])


def _triplets(matrices: Iterable[tuple[int, sp.csr_array | None]]) -> tuple[Array, Array, Array]:
    """Row, column and value of every entry of these matrices, the rows of each counted from its number on."""
    said = [(i, m) for i, m in matrices if m is not None]
    none = np.zeros(0, int)
    return (
        np.concatenate([none, *(i + np.repeat(np.arange(m.shape[0]), np.diff(m.indptr)) for i, m in said)]),
        np.concatenate([none, *(m.indices for _, m in said)]),
        _joined(m.data for _, m in said),
    )


def _sparse(row: Array, column: Array, value: Array, shape: tuple[int, int]) -> sp.csr_array:
    """The matrix of these entries, those of one place added up."""
    if not len(row):
        return compressed(value, column, np.zeros(shape[0] + 1, dtype=np.int32), shape)
    place = row * shape[1] + column
    if (place[1:] <= place[:-1]).any():
        return sp.csr_array((value, (row, column)), shape=shape)
    ends = np.zeros(shape[0] + 1, dtype=np.int32)
    np.cumsum(np.bincount(row, minlength=shape[0]), out=ends[1:])
    return compressed(value, column, ends, shape)


def _fold_risk(b: ProgramBuilder, free: Array, fixed: Array, column: Array, extra: int) -> dict:
    """F, f, S, s, d, constant: sparse rows of one contract become its diagonal, tall dense ones their triangle."""
    held = b.start[fixed]
    f, parts = _joined(shift for _, shift, _ in b.risk_dense_), b.risk_dense_
    if len(parts) == 1:
        dense = np.multiply(parts[0][0], parts[0][2], order="C")
    else:
        dense = np.vstack([np.zeros((0, len(b.names))), *(times * rows for rows, _, times in parts)])
    if len(fixed):
        dense, f = dense[:, free], f + dense[:, fixed] @ held
    dense, f = fewest_rows(dense, f)
    shift, first = _joined(s for _, s, _ in b.risk_sparse_), np.cumsum([0, *(len(s) for _, s, _ in b.risk_sparse_)])
    row, at, _ = _triplets([(i, rows) for i, (rows, *_) in zip(first[:-1], b.risk_sparse_, strict=True)])
    value = _joined(times * rows.data for rows, _, times in b.risk_sparse_)
    moves = (column[at] >= 0) & (value != 0)
    resting = np.where(column < 0, b.start, 0.0)
    s = shift + np.bincount(row, value * resting[at], len(shift))
    row, at, value = row[moves], column[at[moves]], value[moves]
    count = np.bincount(row, minlength=len(shift))
    alone = (count == 1) & (s == 0)
    single = alone[row]
    diagonal = b.diagonal_[free] + np.bincount(at[single], value[single] ** 2, len(free))
    keep = (count > 0) & ~alone
    constant = 0.5 * (float(s[count == 0] @ s[count == 0]) + float(b.diagonal_[fixed] @ held**2))
    place, rest = np.cumsum(keep) - 1, ~single
    wide = _sparse(place[row[rest]], at[rest], value[rest], (int(keep.sum()), len(free) + extra))
    return {
        "factors": np.hstack([dense, np.zeros((len(dense), extra))]) if extra or len(fixed) else dense,
        "factor_offset": f,
        "specifics": wide,
        "specific_offset": s[keep],
        "diagonal": np.concatenate([diagonal, np.zeros(extra)]),
        "constant": constant,
    }


def _fold_costs(b: ProgramBuilder, free: Array, fixed: Array, extra: int) -> tuple[dict[str, Any], float]:
    """What all terms charge over the columns, by name of piece, and what holding fixed contracts costs."""
    total = reduce(Costs.plus, b.costs_.values(), Costs.of(len(b.names)))
    earns = free[(total.buy + total.sell)[free] < 0]
    if len(earns):
        i = earns[0]
        term = min(b.costs_, key=lambda label: b.costs_[label].buy[i] + b.costs_[label].sell[i])
        told = f"{b.names[i]} bought and sold at once would earn money (buy + sell cost < 0)"
        raise SpecError(f"{term}: {told}; charge more, or rebate less")
    resting = float(total.by_contract(b.start, b.start)[fixed].sum()) if len(fixed) else 0.0
    return total.over(free, len(free) + extra).pieces, resting


def _fold_limit(b: ProgramBuilder, free: Array, fixed: Array, held: Array, extra: int) -> VolatilityLimit | None:
    if b.volatility_limit_ is None:
        return None
    name, limit, form = b.volatility_limit_
    return VolatilityLimit(name=name, limit=limit, **_fold_form(form, free, fixed, held, extra, b.days))


def _fold_price(b: ProgramBuilder, free: Array, fixed: Array, held: Array, extra: int) -> VolatilityPrice | None:
    if b.volatility_price_ is None or b.volatility_price_[1] == 0:
        return None
    name, price, form = b.volatility_price_
    floor = _LEAST_VOLATILITY * form.volatility(b.start)
    return VolatilityPrice(name=name, price=price, **_fold_form(form, free, fixed, held, extra, 1.0, floor))


def _fold_form(
    form: VarianceForm, free: Array, fixed: Array, held: Array, extra: int, days: float, floor: float = 0.0
) -> dict[str, Any]:
    """The form over columns, its variance over `days` (1: as it is); `floor`: a volatility that never goes away."""
    root = np.sqrt(days)
    rows = np.vstack([form.factors, form.gamma]) / root
    dense, offset = fewest_rows(rows[:, free], rows[:, fixed] @ held)
    sparse = sp.csc_array(sp.vstack([form.specifics, form.gamma_specifics])) / root
    variance = form.own / days
    rest = sp.csr_array((1, len(free)))  # own risk of fixed contracts, and the floor: one row without a column
    specifics = sp.csr_array(
        sp.hstack([sp.vstack([sparse[:, free], rest]), sp.csr_array((sparse.shape[0] + 1, extra))])
    )
    return {
        "factors": np.hstack([dense, np.zeros((len(dense), extra))]),
        "factor_offset": offset,
        "specifics": specifics,
        "specific_offset": np.append(sparse[:, fixed] @ held, np.sqrt(variance[fixed] @ held**2 + floor**2)),
        "diagonal": np.concatenate([variance[free], np.zeros(extra)]),
    }


@dataclass(frozen=True, eq=False)
class OwnTerm:
    """A user's function of quantities over contracts in play, as a function of the Program's columns."""

    label: str
    function: Callable[[Any, ProgramBuilder], Any]
    builder: ProgramBuilder
    select: sp.csr_array  # N x n
    rest: Array  # N quantities of fixed contracts

    def __call__(self, columns: Any) -> Any:
        """What the function says. Raises SpecError naming the term where it fails."""
        try:
            return self.function(self.select @ columns + self.rest, self.builder)
        except OptihedgeError:
            raise
        except Exception as error:
            raise SpecError(f"{self.label}: its function failed, {type(error).__name__}: {error}") from error


def _over_columns(b: ProgramBuilder, label: str, function: Any, free: Array, extra: int) -> OwnTerm:
    ones = np.ones(len(free))
    select = sp.csr_array((ones, (free, np.arange(len(free)))), shape=(len(b.names), len(free) + extra))
    return OwnTerm(label, function, b, select, np.where(b.tradable, 0.0, b.start))
