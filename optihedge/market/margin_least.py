"""Margin as a least cost: what a book needs is what the best choice of spreads and pairs leaves, a linear program.

Pairs, as Regulation T and FINRA 4210 know them: each short option is one of
    alone       its value and `naked`; two alone on opposite sides, a call and a put, need the larger of the two once
    in a spread with a long one of the same right that lives as long: what the long strike is the worse by
    covered     by the underlying held long (a call) or short (a put)
and what is long and covers nothing is paid in full. Covers move between strikes and towards shorter lives along a
ladder, so that there are few columns a strike; all amounts are whole where contracts are, since each short is on one
side and each cover on the other (a network). Butterflies and condors are the sum of their spreads.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from optihedge.errors import SolverError
from optihedge.market.margin_needs import Needs, Pairable

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Least:
    """The least cost'x + linear'h over 0 <= x <= upper with on_x x + on_h h + on_abs |h| <= most: K columns, m rows, N.

    reach   K x N: no column needs more than reach |h|, |h| the largest that is held
    names   of the columns
    """

    names: tuple[str, ...]
    cost: Array
    upper: Array
    reach: sp.csr_array
    on_x: sp.csr_array
    on_h: sp.csr_array
    on_abs: sp.csr_array
    most: Array
    linear: Array

    def at(self, held: Array) -> float:
        """The margin of N contracts. Raises SolverError."""
        from scipy.optimize import linprog  # a tenth of a short run to import, and few models read a margin

        if not len(self.cost):
            return float(self.linear @ held)
        room = self.most - self.on_h @ held - self.on_abs @ np.abs(held)
        box = np.stack([np.zeros_like(self.upper), self.upper], axis=1)
        found = linprog(self.cost, A_ub=self.on_x, b_ub=room, bounds=box, method="highs")
        if not found.success:
            raise SolverError(f"margin: the least of its pairs was not found ({found.message})")
        return float(found.fun + self.linear @ held)


@dataclass
class _Rows:
    """Columns and rows as they are said, over n contracts."""

    n: int
    names: list[str] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    reach: list[sp.csr_array] = field(default_factory=list)
    blocks: list[tuple[sp.coo_array, sp.csr_array, sp.csr_array, Array]] = field(default_factory=list)
    linear: Array = field(default_factory=lambda: np.zeros(0))

    def columns(self, name: str, cost: Array, reach: sp.sparray | Array, upper: Array | None = None) -> Array:
        """Places of new columns of these costs; reach  one row each over the contracts;  upper  inf if left out."""
        first, count = len(self.cost), len(cost)
        self.names += [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]
        self.cost += list(cost)
        self.upper += list(np.full(count, np.inf) if upper is None else upper)
        self.reach.append(sp.csr_array(reach))
        return np.arange(first, first + count)

    def rows(self, parts: list[tuple[Array, Array | sp.sparray]], on_h: Array | sp.sparray | None = None,
             on_abs: Array | sp.sparray | None = None, most: float | Array = 0.0) -> None:  # fmt: skip
        """Rows of columns (places, matrix) and contracts."""
        m = parts[0][1].shape[0]
        entries = [sp.coo_array(matrix) for _, matrix in parts]
        column = np.concatenate([at[e.col] for (at, _), e in zip(parts, entries, strict=True)])
        row, data = (np.concatenate([getattr(e, name) for e in entries]) for name in ("row", "data"))
        wide = sp.coo_array((data, (row, column)), shape=(m, len(self.cost)))
        none = sp.csr_array((m, self.n))
        self.blocks.append((wide, none if on_h is None else sp.csr_array(on_h),
                            none if on_abs is None else sp.csr_array(on_abs), np.broadcast_to(most, m)))  # fmt: skip

    def least(self) -> Least:
        count, none = len(self.cost), sp.csr_array((0, self.n))
        wide = [sp.csr_array((x.data, (x.row, x.col)), shape=(x.shape[0], count)) for x, *_ in self.blocks]
        stacked = [sp.vstack([none, *(block[i] for block in self.blocks)]).tocsr() for i in (1, 2)]
        return Least(
            names=tuple(self.names), cost=np.array(self.cost), upper=np.array(self.upper),
            reach=sp.vstack([none, *self.reach]).tocsr(),
            on_x=sp.vstack([sp.csr_array((0, count)), *wide]).tocsr(), on_h=stacked[0], on_abs=stacked[1],
            most=np.concatenate([np.zeros(0), *(block[3] for block in self.blocks)]),
            linear=self.linear if len(self.linear) else np.zeros(self.n),
        )  # fmt: skip


def least_of(needs: Needs, held: Array) -> Least:
    """All of the margin. held  N, of whose sign what covers short options is: see `with_pairs`."""
    rows = _Rows(len(needs.code))
    bend, both = (needs.long - needs.short) / 2, needs.both + (needs.long + needs.short) / 2
    _scan(rows, needs, needs.losses + bend, both, own=bend)
    _strikes(rows, needs)
    _tiers(rows, needs)
    if needs.pairs is not None:
        with_pairs(rows, needs, needs.pairs, held)
    return rows.least()


def least_scan(needs: Needs, losses: Array) -> Least:
    """The scan alone, losses S x N, with its credits."""
    rows, none = _Rows(len(needs.code)), np.zeros(len(needs.code))
    _scan(rows, needs, losses, none, own=none)
    return rows.least()


def least_pairs(needs: Needs, held: Array) -> Least:
    """Pairs alone, of just what is held."""
    rows = _Rows(len(needs.code))
    if needs.pairs is not None:
        with_pairs(rows, needs, needs.pairs, held, known=True)
    return rows.least()


def _scan(rows: _Rows, needs: Needs, losses: Array, both: Array, own: Array) -> None:
    """Worst loss of each underlying, at least its own needs, less what spreads between two of them take off."""
    each, size = np.vstack([losses, own]), np.abs(losses).max(axis=0, initial=0.0) + both
    spreads: dict[int, list[tuple[Array, Array]]] = {}
    for credit in needs.credits:
        legs = ((credit.first, 1.0, 0), (credit.second, -1.0, 1))
        reach = [
            size * (needs.code == code) / max(float(np.abs(credit.losses[:, i]).max(initial=0.0)), 1e-12)
            for code, _, i in legs
        ]
        at = rows.columns(f"spread {credit.first} {credit.second}", credit.prices, np.stack([reach[0] + reach[1]] * 2))
        for code, side, i in legs:  # a spread takes its units out of what is scanned
            out = np.append(-side * credit.losses[:, i], 0.0)
            spreads.setdefault(code, []).append((at, np.stack([out, -out], axis=1)))
    for code in np.unique(needs.code):
        mine = needs.code == code
        if not (each[:, mine].any() or both[mine].any() or code in spreads):
            continue
        worst = rows.columns(f"scan {code}", np.ones(1), (size * mine)[None, :])
        rows.rows([(worst, -np.ones((len(each), 1))), *spreads.get(int(code), [])], each * mine,
                  np.tile(both * mine, (len(each), 1)))  # fmt: skip


def _strikes(rows: _Rows, needs: Needs) -> None:
    """What is net short at each strike."""
    each = np.flatnonzero((needs.strike >= 0) & (needs.at_strike > 0))
    if len(each):
        _, codes = np.unique(needs.strike[each], return_inverse=True)
        net = sp.csr_array((-needs.at_strike[each], (codes, each)), shape=(codes.max() + 1, rows.n))
        at = rows.columns("strike", np.ones(net.shape[0]), abs(net))
        rows.rows([(at, -sp.eye_array(len(at)))], net)


def _tiers(rows: _Rows, needs: Needs) -> None:
    """The part of each contract's notional beyond each step."""
    if len(needs.steps):
        place, size, beyond, share = needs.steps.T
        notional = sp.csr_array((size, (np.arange(len(size)), place.astype(int))), shape=(len(size), rows.n))
        at = rows.columns("tier", share, notional)
        rows.rows([(at, -sp.eye_array(len(at)))], on_abs=notional, most=beyond)


def with_pairs(rows: _Rows, needs: Needs, pairs: Pairable, held: Array, known: bool = False) -> None:
    """Pairs of each underlying. held  of whose sign what covers is: long underlying covers calls, short covers puts.

    known   what is held is decided: only what is short is alone or covered, and where contracts are whole, whole ones
            are covered. Else it is convex in what is held, and no less, but where a part of a contract is covered
    """
    rows.linear = np.zeros(rows.n)
    rows.linear[pairs.options] = pairs.value
    for code in np.unique(needs.code[pairs.options]):
        mine = np.flatnonzero(needs.code[pairs.options] == code)
        options, units = pairs.options[mine], pairs.units[mine]
        short = np.maximum(-held[options], 0.0) if known else np.full(len(options), np.inf)
        alone = rows.columns(f"alone {code}", pairs.value[mine], _each(options, rows.n), short)
        _straddles(rows, pairs, mine, alone)
        covers = np.flatnonzero(needs.code[pairs.covers] == code)
        side, covered = _covered(rows, pairs, mine, covers, held, short)
        for right in (1.0, -1.0):
            some = np.flatnonzero(pairs.right[mine] == right)
            if len(some):
                taken = [(alone[some], units[some])]
                taken += [(covered, units[pairs.right[mine] == side])] if right == side and len(covered) else []
                _ladder(rows, pairs, mine[some], taken, right, f"{code}")


def _each(places: Array, n: int) -> sp.csr_array:
    return sp.csr_array((np.ones(len(places)), (np.arange(len(places)), places)), shape=(len(places), n))


def _straddles(rows: _Rows, pairs: Pairable, mine: Array, alone: Array) -> None:
    """Alone, in layers of what a unit needs: each as many units as there are calls or puts, whichever are more."""
    units, need = pairs.units[mine], pairs.naked[mine] / pairs.units[mine]
    steps = np.unique(need[need > 0])
    if not len(steps):
        return
    from_ = np.concatenate([[0.0], steps[:-1]])
    reach = sp.csr_array(np.tile(_each(pairs.options[mine], rows.n).T @ units, (len(steps), 1)))
    layer = rows.columns("layer", steps - from_, reach)
    for right in (1.0, -1.0):
        inside = (need[None, :] > from_[:, None]) & (pairs.right[mine] == right)
        rows.rows([(alone, inside * units), (layer, -sp.eye_array(len(steps)))])


def _covered(
    rows: _Rows, pairs: Pairable, mine: Array, covers: Array, held: Array, short: Array
) -> tuple[float, Array]:
    """Options that the underlying covers: which right, and their columns; the underlying's own margin is charged.

    short   of each option, contracts that may be covered; inf where what is held is still to be decided
    """
    at, units, need = pairs.covers[covers], pairs.cover_units[covers], pairs.cover_need[covers]
    side = 1.0 if held[at] @ units >= 0 else -1.0
    inside = pairs.right[mine] == side
    some, most = mine[inside], short[inside]
    if not len(at):
        return side, np.zeros(0, int)
    each, known = _each(at, rows.n), bool(np.isfinite(most).all())
    rows.linear[at] = side * need
    turned = rows.columns("turned", 2 * need, each)  # held on the other side: it covers nothing
    rows.rows([(turned, -sp.eye_array(len(at)))], -side * each)
    cost = pairs.covered[some] if known else _no_detour(pairs, some, side)
    covered = rows.columns("covered", cost, _each(pairs.options[some], rows.n), most)
    whole = known and len(some) > 0 and bool((np.rint(most) == most).all())
    odd = np.remainder(side * held[at] @ units + 1e-9, pairs.units[some].min()) - 1e-9 if whole else 0.0
    rows.rows([(covered, pairs.units[some][None, :]), (turned, -units[None, :])], -side * (units @ each)[None, :],
              most=-odd)  # fmt: skip
    return side, covered


def _no_detour(pairs: Pairable, some: Array, side: float) -> Array:
    """What covered options need, no less than one of another strike covered and a spread from there to it."""
    unit = pairs.covered[some] / pairs.units[some]
    width = np.maximum(side * (pairs.strike[some][:, None] - pairs.strike[some][None, :]), 0.0)
    return (unit[None, :] - width).max(axis=1, initial=0.0) * pairs.units[some]


def _ladder(
    rows: _Rows, pairs: Pairable, mine: Array, taken: list[tuple[Array, Array]], right: float, name: str
) -> None:
    """Long options cover short ones: from strike to strike at what it is the worse by, to shorter lives free."""
    lives, life = np.unique(pairs.years[mine], return_inverse=True)
    strikes, rung = np.unique(pairs.strike[mine], return_inverse=True)
    last = np.array([life[rung == k].max() for k in range(len(strikes))])  # the longest life of each strike
    place = np.where(np.arange(len(lives))[:, None] <= last, 0, -1)  # life x strike
    nodes = np.flatnonzero(place.ravel() == 0)
    place = np.full(place.size, -1)
    place[nodes] = np.arange(len(nodes))
    place = place.reshape(len(lives), len(strikes))
    from_, to, cost = [], [], []
    for row in place:
        some = np.flatnonzero(row >= 0)
        width = np.diff(strikes[some])
        low, high = row[some[:-1]], row[some[1:]]
        from_ += [high, low]
        to += [low, high]
        cost += [width * (right > 0), width * (right < 0)]
    for later, sooner in zip(place[1:], place[:-1], strict=True):
        some = later >= 0
        from_, to, cost = [*from_, later[some]], [*to, sooner[some]], [*cost, np.zeros(int(some.sum()))]
    start, end, price = np.concatenate(from_), np.concatenate(to), np.concatenate(cost)
    units, at = pairs.units[mine], place[life, rung]
    held = sp.csr_array((units, (at, pairs.options[mine])), shape=(len(nodes), rows.n))
    parts = [(own, sp.csr_array((-size, (at, np.arange(len(own)))), shape=(len(nodes), len(own))))
             for own, size in taken]  # fmt: skip
    if len(price):
        reach = sp.csr_array(np.tile(np.asarray(held.sum(axis=0)), (len(price), 1)))
        along = rows.columns(f"cover {name} {right:+.0f}", price, reach)
        over = np.arange(len(price))
        flow = sp.csr_array((np.ones(len(price)), (start, over)), shape=(len(nodes), len(price))) - sp.csr_array(
            (np.ones(len(price)), (end, over)), shape=(len(nodes), len(price)))  # fmt: skip
        parts.append((along, flow))
    rows.rows(parts, -held)
