"""An integer program over the lots of a few legs: linear where the objective is curved, exact where it was refined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from optihedge.program.arrays import Array, fewest_rows
from optihedge.program.lots.neighbourhood import Neighbourhood
from optihedge.program.program import row_values
from optihedge.program.quiet import quiet_output

MOST_NODES = 5_000  # of an integer program's tree, over all its rounds
_FARTHEST = 1e5  # lots from the point wanted: with more, a program's tolerance would be whole lots
_LADDER, _REACH = (
    4,
    50,
)  # finest traded legs of each row that may mend what a local search could not, and by how many lots
_SPREAD = np.array([-30.0, -12.0, -5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0, 12.0, 30.0])  # lots: where curves start exact


class LotProgram:
    """A mixed-integer linear program over the lots of a few legs; other columns keep the quantities of `centre`.

    legs   columns that may change, by at most `reach` lots
    room   m, desk unit: how far beyond its band a row may end without falling short
    curve  what lots traded of each leg cost: (legs, lots) -> base currency; None: objective, risk and all
    low, high   lots of each leg between which to look; None: its box

    A row falls `short` by its distance beyond band and room, in row units, the volatility limit in thousandths of it.
    Convex curves are their chords between neighbouring lots, risk and volatility their tangents: exact where `refine`
    was told to be, below elsewhere. The caller checks answers on the original rows.
    """

    def __init__(
        self, around: Neighbourhood, centre: Array, legs: Array, *, reach: float = np.inf, room: Array | None = None,
        curve: Callable[[Array, Array], Array] | None = None, low: Array | None = None, high: Array | None = None,
    ) -> None:  # fmt: skip
        p, grid = around.program, around.grid
        self._around, self._centre, self._legs = around, centre, legs
        n, m, lot = len(legs), len(around.units), grid.lot[legs]
        wanted = grid.lots(centre)[legs]
        low, high = grid.low[legs] if low is None else low, grid.high[legs] if high is None else high
        self._low = np.maximum(low, np.floor(np.clip(wanted, low, high) - min(reach, _FARTHEST)))
        self._high = np.minimum(high, np.ceil(np.clip(wanted, low, high) + min(reach, _FARTHEST)))
        self._zero = np.clip(np.floor(wanted), self._low, self._high)  # the program counts lots from here
        self._curve = curve if curve is not None else self._cost
        base = centre.copy()
        base[legs] = p.start[legs]
        root, offset = fewest_rows(around.root[:, legs] * lot, around.root @ base + around.offset)
        self._root, self._offset = (root, offset) if curve is None else (root[:0], offset[:0])
        self._wanted = self._root @ wanted + self._offset  # components of risk there
        self._base = self._curve(legs, wanted)
        sizes = {"lots": n, "traded": n, "held": n, "cost": n, "bought": n, "sold": n, "risk": len(self._root),
                 "short": m + 1}  # fmt: skip
        ends = np.cumsum(list(sizes.values()))
        self._at = {name: np.arange(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self._count = int(ends[-1])
        self._limits: list[tuple[Array, Array]] = []
        self._curves: list[tuple[Array, Array]] = []
        self._hard = np.append(around.hard, True)
        self._state_rows(base, np.zeros(m) if room is None else room)
        self._state_sizes()
        side, beyond, _ = p.hinge_table
        kinks = np.hstack([np.zeros((n, 1)), -(p.start[legs] / lot)[:, None], wanted[:, None],
                           side[legs] * beyond[legs] / lot[:, None]])  # fmt: skip
        places = np.floor(kinks)[:, :, None] + np.array([-1.0, 0.0, 1.0])
        self._chords(np.hstack([places.reshape(n, -1), np.floor(wanted)[:, None] + _SPREAD]))
        self._tangents(self._wanted[:, None] + np.abs(self._root).max(axis=1, initial=0.0)[:, None] * _SPREAD)

    def _state_rows(self, base: Array, room: Array) -> None:
        """The Program's rows within their bands and room, and the sizes of trade and of holding they ask for."""
        around, legs = self._around, self._legs
        p, lot, eye, m = around.program, around.grid.lot[legs], np.eye(len(legs)), len(around.units)
        held, traded = around.on_holdings[:, legs] * lot, around.on_trades[:, legs] * lot
        # a row is its value at the centre, and what lots, holdings and trades add, in units of a median lot
        constant = row_values(p, base) - around.on_holdings[:, legs] @ np.abs(p.start[legs])
        value = {"lots": around.rows[:, legs] * lot, "held": held, "traded": traded}
        value = {name: part / around.units[:, None] for name, part in value.items()}
        for sign, limit in ((1.0, p.row_upper + room), (-1.0, p.row_lower - room)):
            bounded = np.isfinite(limit)
            parts = {name: sign * part[bounded] for name, part in value.items()}
            self._add(
                parts | {"short": -np.eye(m, m + 1)[bounded]}, sign * ((limit - constant) / around.units)[bounded]
            )
        for sign in (1.0, -1.0):  # sizes of trade and of holding, where a row asks for them
            for name, part, start in (("traded", traded, 0.0 * lot), ("held", held, p.start[legs] / lot)):
                asked = part.any(axis=0)
                self._add({"lots": sign * eye[asked], name: -eye[asked]}, -sign * start[asked])

    def _state_sizes(self) -> None:
        """A trade is none, or at least its minimum."""
        least, eye = self._around.grid.least[self._legs], np.eye(len(self._legs))
        sized = least > 1  # none, or a minimum: bought and sold are 0 or 1
        self._sized = sized
        most, floor = np.diag(np.maximum(self._high, 0)), np.diag(np.minimum(self._low, 0))
        self._add({"lots": eye[sized], "bought": -most[sized], "sold": np.diag(least)[sized]}, np.zeros(sized.sum()))
        self._add({"lots": -eye[sized], "bought": np.diag(least)[sized], "sold": floor[sized]}, np.zeros(sized.sum()))
        self._add({"bought": eye[sized], "sold": eye[sized]}, np.ones(sized.sum()))

    def _cost(self, legs: Array, lots: Array) -> Array:
        p, x = self._around.program, self._around.grid.lot[legs] * lots
        h = p.start[legs] + x
        return self._around.leg_cost(legs, x) + p.linear[legs] * h + 0.5 * p.diagonal[legs] * h**2

    def _add(self, parts: dict[str, Array], upper: Array) -> None:
        row = np.zeros((len(upper), self._count))
        for name, part in parts.items():
            row[:, self._at[name]] = part
            upper = upper - part @ self._zero if name == "lots" else upper
        (self._curves if "cost" in parts or "risk" in parts else self._limits).append((row, upper))

    def _chords(self, places: Array) -> None:
        """The cost of each leg is at least the chord from each of its places (n x any, lots) to the next lot."""
        for k, leg in enumerate(self._legs):
            first = np.unique(np.clip(places[k], self._low[k], np.maximum(self._high[k] - 1, self._low[k])))
            now, after = (self._curve(np.full(len(first), leg), lots) - self._base[k] for lots in (first, first + 1))
            lots, cost = np.zeros((2, len(first), len(self._legs)))
            lots[:, k], cost[:, k] = after - now, -1.0
            self._add({"lots": lots, "cost": cost}, (after - now) * first - now)

    def _tangents(self, places: Array) -> None:
        """Half the square of each risk component is at least its tangents at places (components x any)."""
        for j, root in enumerate(self._root):
            z = np.unique(places[j])
            risk = np.zeros((len(z), len(self._root)))
            risk[:, j] = -1.0
            upper = z * (z / 2 - self._offset[j]) + self._wanted[j] ** 2 / 2
            self._add({"lots": z[:, None] * root, "risk": risk}, upper)

    def refine(self, h: Array) -> None:
        """Make costs, risk and the volatility limit exact at quantities h (n)."""
        lots = np.round(self._around.grid.lots(h))[self._legs]
        self._chords(lots[:, None] + np.array([-1.0, 0.0]))
        self._tangents((self._root @ lots + self._offset)[:, None])
        limit = self._around.program.volatility_limit
        now = 0.0 if limit is None else limit.volatility(h)
        if limit is not None and now > 0 < limit.limit:
            parts = 1e3 / limit.limit  # thousandths
            slope = parts / now * limit.half_gradient(h)[self._legs] * self._around.grid.lot[self._legs]
            short = np.append(np.zeros(len(self._around.units)), -1.0)
            self._add({"lots": slope[None], "short": short[None]}, np.array([1e3 - parts * now + slope @ lots]))

    def least(self, nodes: int, scale: float | None = None, close: float = 1e-3) -> tuple[Array | None, float, int]:
        """Quantities (n; None: not found), what the program says they are worth, and nodes of its tree.

        scale   None: the least sum by which hard rows fall short; else none may, and the least cost, risk and
                penalties above those of `centre`, in units of `scale` (base currency)
        close   share of it that may be left unsaved
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        left = self._around.left
        if left <= 0:
            return None, np.inf, nodes
        p, at, used = self._around.program, self._at, self._limits if scale is None else self._limits + self._curves
        low, high, aim, whole = -np.full(self._count, np.inf), np.full(self._count, np.inf), *np.zeros((2, self._count))
        low[at["lots"]], high[at["lots"]] = self._low - self._zero, self._high - self._zero
        low[at["short"]] = 0.0
        whole[at["lots"]] = 1.0
        for name in ("bought", "sold"):
            low[at[name]], high[at[name]], whole[at[name]] = 0.0, self._sized, self._sized
        rows, upper = np.concatenate([row for row, _ in used]), np.concatenate([limit for _, limit in used])
        hard = at["short"][self._hard]
        if scale is None:
            aim[hard] = 1.0
        else:
            money = np.concatenate([at["cost"], at["risk"]])
            curves = rows[:, money].any(axis=1)
            rows[np.ix_(curves, at["lots"])] /= scale
            upper[curves] /= scale
            aim[money] = 1.0
            aim[at["short"][~self._hard]] = (p.row_penalty * self._around.units)[~self._around.hard] / scale
            high[hard] = 0.0
        with quiet_output():  # HiGHS has a line that no option silences
            found = milp(
                aim, constraints=LinearConstraint(sp.csr_array(rows), -np.inf, upper), bounds=Bounds(low, high),
                integrality=whole, options={"node_limit": max(nodes, 1), "mip_rel_gap": close, "time_limit": left},
            )  # fmt: skip
        if found.x is None:
            return None, np.inf, nodes
        answer, grid = self._centre.copy(), self._around.grid
        lots = self._zero + np.round(found.x[at["lots"]])
        answer[self._legs] = grid.start[self._legs] + grid.lot[self._legs] * lots
        allowed = grid.permitted(grid.lots(answer))[self._legs].all()
        return (answer if allowed else None), float(found.fun), int(found.mip_node_count or 0)


def nearest_within(around: Neighbourhood, h: Array, legs: Array, reach: float, room: Array) -> Array | None:
    """Permitted lots of `legs` that meet every hard row within `room` (m, desk unit), near h; None: none found.

    A leg's distance from h counts by its risk and cost; none may change by more than `reach` lots.
    """
    p, grid = around.program, around.grid
    weight = grid.lot * (np.sqrt(around.curvature) + p.buy + p.sell)
    weight = weight / max(weight[legs].max(), 1e-300) + 1e-6
    wanted = grid.lots(h)
    program = LotProgram(
        around, h, legs, reach=reach, room=room, curve=lambda leg, lots: weight[leg] * np.abs(lots - wanted[leg])
    )
    return program.least(MOST_NODES, 1.0)[0]


def mended(around: Neighbourhood, h: Array) -> Array | None:
    """The point nearest h within its allowance, moving only the finest traded legs of each row; None: none found."""
    lots = np.round(around.grid.lots(h))
    legs: set[int] = set()
    for row in np.flatnonzero(around.hard):
        exposure = np.where(around.grid.lumpy & (lots != 0) & (around.exposure[row] > 0), around.exposure[row], np.inf)
        finest = np.argsort(exposure, kind="stable")[:_LADDER]
        legs.update(finest[np.isfinite(exposure[finest])].tolist())
    return nearest_within(around, h, np.array(sorted(legs)), _REACH, around.allowance(lots)) if legs else None
