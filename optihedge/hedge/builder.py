"""ProgramBuilder: the verbs in which terms speak. Vectors run over all contracts in play; fixed ones fold later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from optihedge.display.numbers import number
from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.frames import counted, some
from optihedge.hedge.builder_data import BuilderData, Values
from optihedge.hedge.horizon import Horizon
from optihedge.hedge.variance import VarianceForm
from optihedge.market.snapshot import Market
from optihedge.program.costs import Costs, Depth
from optihedge.readonly import numbers
from optihedge.risk.contract_risk import ContractRisk
from optihedge.risk.root import Risk

Array = np.ndarray
DEFAULT_BOX = 10.0  # times the larger of the book's gross and the capital, where the user gives no limit
DEFINES = -1  # tier of a row that only says what an auxiliary is: no limit of anyone's, and it never gives way


@dataclass(frozen=True, eq=False, kw_only=True)
class RowBlock:
    """Rows lo <= a q + on_holdings |q| + on_trades |q - start| + auxiliaries z <= hi, over N contracts in play."""

    term: str
    names: tuple[str, ...]
    unit: str
    a: sp.csr_array | None  # None: nothing
    on_holdings: sp.csr_array | None
    on_trades: sp.csr_array | None
    auxiliaries: sp.csr_array | None  # m x (auxiliaries known when it was written)
    lower: Array
    upper: Array
    penalty: Array
    target: Array
    tier: int
    value: Callable[[Array], float] | None  # of a row over auxiliaries: what it stands for, from N quantities


@dataclass(frozen=True, eq=False, kw_only=True)
class Auxiliary:
    """Columns without a position: their bounds and linear cost (base currency per unit)."""

    term: str
    names: tuple[str, ...]
    lower: Array
    upper: Array
    cost: Array


class ProgramBuilder(BuilderData):
    """Collects what the terms of one hedging model say about one market and book.

    market     the Market, betas included                positions  N integers into market.names: contracts in play
    start      N quantities before (contracts)           tradable   N booleans; the others keep their quantity
    risk       Risk, ContractRisk, or None               horizon    in periods of the drivers, days and years
    capital    base currency, for default boxes
    """

    def __init__(
        self,
        market: Market,
        start: Array,
        tradable: Array,
        *,
        positions: Array,
        risk: Risk | ContractRisk | None = None,
        horizon: Horizon,
        capital: float = 0.0,
    ) -> None:
        super().__init__(market, start, tradable, positions=positions, risk=risk, horizon=horizon, capital=capital)
        self.lower = np.where(self.can_sell, -np.inf, self.start)
        self.upper = np.where(self.can_buy, np.inf, self.start)
        self.rows_: list[RowBlock] = []
        self.auxiliaries_: list[Auxiliary] = []
        self.costs_: dict[str, Costs] = {}
        self.risk_dense_: list[tuple[Array, Array, float]] = []
        self.risk_sparse_: list[tuple[sp.csr_array, Array, float]] = []
        self.diagonal_ = np.zeros(len(self.names))
        self.risk_terms_: set[str] = set()
        self.volatility_limit_: tuple[str, float, VarianceForm] | None = None
        self.volatility_price_: tuple[str, float, VarianceForm] | None = None
        self.cvxpy_: list[tuple[str, Callable[..., Any]]] = []
        self.left_out: list[str] = []  # contracts that may not trade, and why
        self.assumed: list[str] = []  # what is a prior, for want of a history
        self.covers_: dict[str, tuple[str, ...]] = {}
        self.borrow_ = np.nan_to_num(numbers(market.quotes, "borrow_rate")[positions])
        self.financing_ = np.zeros(len(self.names))

    # what is within reach of the boxes said so far

    def reach(self, matrix: Array | sp.sparray) -> tuple[Array, Array]:
        """Least and greatest value of each row of matrix (m x N) x quantities within the boxes said so far."""
        low, high = self._extent()
        rows = sp.csr_array(matrix)
        up, down = rows.maximum(0), rows.minimum(0)
        return up @ low + down @ high, up @ high + down @ low

    def largest(self) -> Array:
        """The largest |quantity| of each contract (N) within the boxes said so far."""
        low, high = self._extent()
        return np.maximum(np.abs(low), np.abs(high))

    def boxes(self, notes: list[str] | None = None) -> tuple[Array, Array, Array, Array]:
        """Finite bounds of quantities after (N, contracts), and which of them (N booleans each) are default boxes.

        An empty book without capital has nothing to size them by: then they reach one contract, enough to find out
        whether to trade at all (see `Problem.asks_for_capital`). Raises InfeasibleError for an empty box, DataError.
        """
        lower, upper, start = self.lower, self.upper, self.start
        empty = self.tradable & (lower > upper)
        if empty.any():
            i = int(np.flatnonzero(empty)[0])
            raise InfeasibleError(
                f"{self.names[i]}: its limits leave no quantity (at least {lower[i]:.10g}, at most {upper[i]:.10g}; "
                f"held {start[i]:.10g}); widen its position or trade limit"
            )
        default_lower, default_upper = self.tradable & np.isneginf(lower), self.tradable & np.isposinf(upper)
        default = default_lower | default_upper
        if not default.any():
            return lower, upper, default_lower, default_upper
        size = DEFAULT_BOX * self.size
        notional = self.measure("notional")
        bad = default & ~(notional > 0)
        if bad.any():
            raise DataError(f"{self.names[bad][0]} has no notional to size its trade limit; give it a TradeLimit")
        reach = size / np.where(default, notional, 1.0) if size > 0 else np.ones(len(start))
        if notes is not None:
            most = f"the default {number(size)} base currency of notional" if size > 0 else "one contract, by default,"
            notes.append(f"{counted(int(default.sum()), 'contract')} may trade up to {most} each")
        return (
            np.where(default_lower, np.minimum(start - reach, upper), lower),
            np.where(default_upper, np.maximum(start + reach, lower), upper),
            default_lower,
            default_upper,
        )

    def _extent(self) -> tuple[Array, Array]:
        lower, upper, *_ = self.boxes()
        return np.where(self.tradable, lower, self.start), np.where(self.tradable, upper, self.start)

    # verbs

    def begin(self, label: str, covers: tuple[str, ...] = ()) -> None:
        """What follows is said by the term of this label, which charges these real costs (see `Term.covers`)."""
        self._term = label
        self.covers_[label] = covers

    def assume_rates(self, borrow: Array, financing: Array) -> None:
        """Borrow rate and rate on long market value by contract in play (N), decimal per year, for told costs."""
        self.borrow_, self.financing_ = borrow, financing

    def row(
        self,
        name: str,
        a: Values | None = None,
        lo: float = -np.inf,
        hi: float = np.inf,
        *,
        on_holdings: Values | None = None,
        on_trades: Values | None = None,
        soft: float | None = None,
        tier: int = 0,
        auxiliaries: tuple[Array, Values] | None = None,
        unit: str = "",
        value: Callable[[Array], float] | None = None,
    ) -> None:
        """lo <= a'q + on_holdings'|q| + on_trades'|q - start| + coefficients'z <= hi, z the auxiliaries.

        auxiliaries   (handles, coefficients);  soft  penalty per unit, None: hard
        tier          0 gives way last; DEFINES: the row only says what an auxiliary is, and is no limit
        value         what reports show for a row over auxiliaries, a function of quantities over contracts in play
        """
        one = lambda v: None if v is None else self._vector(name, v)[None, :]  # noqa: E731
        if auxiliaries is not None:
            handles, coefficients = auxiliaries
            auxiliaries = (handles, np.broadcast_to(np.asarray(coefficients, dtype=float), len(handles))[None, :])
        self.rows((name,), one(a), lo, hi, on_holdings=one(on_holdings), on_trades=one(on_trades), soft=soft,
                  tier=tier, auxiliaries=auxiliaries, unit=unit, value=value)  # fmt: skip

    def rows(
        self,
        names: Iterable[str],
        a: Array | sp.sparray | None = None,
        lo: Values = -np.inf,
        hi: Values = np.inf,
        *,
        on_holdings: Array | sp.sparray | None = None,
        on_trades: Array | sp.sparray | None = None,
        soft: float | None = None,
        tier: int = 0,
        auxiliaries: tuple[Array, Array | sp.sparray] | None = None,
        unit: str = "",
        target: float = np.nan,
        value: Callable[[Array], float] | None = None,
    ) -> None:
        """Many rows at once: matrices m x N (auxiliaries: m x handles), limits of m or one for all."""
        names = tuple(names)
        m, wide = len(names), None
        if auxiliaries is not None:
            handles, coefficients = auxiliaries
            entries, known = sp.coo_array(coefficients), sum(len(x.names) for x in self.auxiliaries_)
            wide = sp.csr_array((entries.data, (entries.row, np.asarray(handles)[entries.col])), shape=(m, known))
        matrices = [
            x if x is None or isinstance(x, sp.csr_array) else sp.csr_array(x) for x in (a, on_holdings, on_trades)
        ]
        for matrix in (x for x in matrices if x is not None):
            bad = ~np.isfinite(matrix.data)
            if bad.any():
                raise DataError(f"{names[0]}: {self.names[matrix.indices[bad][0]]} has no finite exposure; complete it")
            self._refuse_huge("a weight of " + (names[0] if names else "its rows"), matrix.data)
        for what, matrix in zip(("on_holdings", "on_trades"), matrices[1:], strict=True):
            if matrix is not None and (matrix.data < 0).any():
                raise SpecError(f"{self._term}: {what} has a weight below zero: the problem is not convex; "
                                "give weights >= 0")  # fmt: skip
        limits = [np.broadcast_to(np.asarray(x, dtype=float), m) for x in (lo, hi)]
        self._refuse_huge(f"a limit of {names[0] if names else 'its rows'}", np.concatenate(limits))
        if np.isnan(limits).any() or (limits[0] > limits[1]).any():
            what = f"{self._term}, {names[0]}" if names and names[0] != self._term else self._term
            raise SpecError(f"{what}: limits {lo}, {hi} are not lower <= upper")
        penalty = np.full(m, np.inf if soft is None else float(soft))
        self.rows_.append(RowBlock(
            term=self._term, names=names, unit=unit, a=matrices[0], on_holdings=matrices[1],
            on_trades=matrices[2], auxiliaries=wide, lower=limits[0], upper=limits[1], penalty=penalty,
            target=np.full(m, target), tier=tier, value=value,
        ))  # fmt: skip

    def cost(
        self,
        *,
        buy: Values = 0.0,
        sell: Values = 0.0,
        quadratic: Values = 0.0,
        power: Values = 0.0,
        long: Values = 0.0,
        short: Values = 0.0,
        linear: Values = 0.0,
    ) -> None:
        """Trading, holding and linear costs: base currency per contract (quadratic: squared; power: to the 3/2)."""
        pieces = {"buy": buy, "sell": sell, "quadratic": quadratic, "power": power, "long": long, "short": short,
                  "linear": linear}  # fmt: skip
        said = {name: value for name, value in pieces.items() if not (isinstance(value, float) and value == 0)}
        self._charge(Costs.of(len(self.names), **{name: self._vector(name, value) for name, value in said.items()}))

    def hinges(self, column: Array, side: Array, beyond: Array, slope: Array) -> None:
        """Depth: slope x max(side x trade - beyond, 0) for each hinge; column counts contracts in play."""
        self._charge(Costs.of(len(self.names), depth=Depth(column=column, side=side, beyond=beyond, slope=slope)))

    def risk_rows(self, rows: Array | sp.sparray, offset: Values = 0.0, *, times: float = 1.0) -> None:
        """Add 1/2 |times rows q + offset|^2 to the objective: rows r x N, dense or sparse."""
        if np.ndim(rows) != 2 or rows.shape[1] != len(self.names):
            raise SpecError(f"{self._term}: rows of risk are {rows.shape}; give r x {len(self.names)}, a column "
                            "each of the contracts in play")  # fmt: skip
        shift = np.broadcast_to(np.asarray(offset, dtype=float), rows.shape[0])
        self.risk_terms_.add(self._term)
        if sp.issparse(rows):
            few = rows if isinstance(rows, sp.csr_array) else sp.csr_array(rows)
            self.risk_sparse_.append((few, shift, times))
            entries = few.data
        else:
            entries = np.asarray(rows, dtype=float)
            self.risk_dense_.append((entries, shift, times))
        self._refuse_huge("a row of risk", times * np.array([entries.min(initial=0.0), entries.max(initial=0.0)]))

    def diagonal(self, values: Values) -> None:
        """Add 1/2 sum values q^2 to the objective: base currency per contract squared."""
        self.risk_terms_.add(self._term)
        self.diagonal_ = self.diagonal_ + self._vector("diagonal", values)

    def box(self, lower: Values = -np.inf, upper: Values = np.inf) -> None:
        """Bounds on quantities after trading, contracts; those of fixed contracts do not apply."""
        low, high = self._bound(lower), self._bound(upper)
        if (low > high).any():
            i = int(np.argmax(low > high))
            raise SpecError(f"{self._term}: the box of {self.names[i]} is from {low[i]:g} to {high[i]:g}; swap the two")
        self.note_fixed_beyond(low, high)
        self.lower, self.upper = np.maximum(self.lower, low), np.minimum(self.upper, high)

    def note_fixed_beyond(self, lower: Array, upper: Array) -> None:
        """Say which contracts that cannot trade are held beyond these bounds (N each, contracts)."""
        beyond = self.names[~self.tradable & ((self.start < lower) | (self.start > upper))]
        if len(beyond):
            self.notes.append(f"{self._term}: {some(beyond)} beyond the limit, but not tradable")

    def trade_box(self, lower: Values = -np.inf, upper: Values = np.inf) -> None:
        """Bounds on trades, contracts: lower <= 0 <= upper."""
        self.box(self.start + self._bound(lower), self.start + self._bound(upper))

    def auxiliary(self, name: str, lower: Values, upper: Values, cost: Values = 0.0, count: int = 1) -> Array:
        """`count` columns without a position, in a finite box, at a linear cost; returns their handles for rows."""
        sized = [np.broadcast_to(np.asarray(v, dtype=float), count) for v in (lower, upper, cost)]
        if not np.isfinite(sized).all():
            raise SpecError(f"{self._term}: auxiliary {name} has a bound or cost that is not a finite number; give one")
        first = sum(len(x.names) for x in self.auxiliaries_)
        names = (name,) if count == 1 else tuple(f"{name}[{i}]" for i in range(count))
        self.auxiliaries_.append(Auxiliary(term=self._term, names=names, lower=sized[0], upper=sized[1], cost=sized[2]))
        return np.arange(first, first + count)

    def cap_volatility(self, limit: float, second_order: bool) -> None:
        """Volatility per day <= limit, base currency. At most one in a hedging model."""
        if self.volatility_limit_ is not None:
            raise SpecError(f"{self._term}: a hedging model has at most one volatility limit; keep one")
        form = self.variance()
        self.volatility_limit_ = (self._term, limit, form if second_order else form.first_order())

    def price_volatility(self, price: float) -> None:
        """price x volatility over the horizon in the objective, a pure number >= 0. At most one in a hedging model."""
        if self.volatility_price_ is not None:
            raise SpecError(f"{self._term}: a hedging model has at most one price of volatility; keep one")
        self.volatility_price_ = (self._term, price, self.variance())
        self.risk_terms_.add(self._term)

    def cvxpy(self, function: Callable[[Any, ProgramBuilder], Any]) -> None:
        """function(h, p) -> CVXPY expression, constraint or list; h: quantities after over p.names."""
        self.cvxpy_.append((self._term, function))

    def _charge(self, cost: Costs) -> None:
        earlier = self.costs_.get(self._term)
        self.costs_[self._term] = cost if earlier is None else earlier.plus(cost)

    def _bound(self, values: Values) -> Array:
        vector = np.broadcast_to(np.asarray(values, dtype=float), len(self.names))
        if np.isnan(vector).any():
            raise SpecError(f"{self._term}: the bound of {self.names[np.isnan(vector)][0]} is NaN; give a number")
        return vector
