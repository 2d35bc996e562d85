"""State: all that one book carries from night to night, as plain frozen values with one canonical text and hash.

Accounts are `book` (the client's) and `hedge` (ours). A State holds no clock and no path: equal content, equal hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.account import Account
from optihedge.accounts.past import Past, Told
from optihedge.content import canonical_object, canonical_text
from optihedge.errors import DataError
from optihedge.frames import instant

ACCOUNTS = ("book", "hedge")
VERDICTS = ("filled", "cancelled", "rejected", "expired")
_WRITTEN_ONCE = ("positions", "orders", "applied", "past")
DUST = 1e-9  # of a quantity: what is left of it by rounding


@dataclass(frozen=True)
class Lot(Told):
    """Contracts bought (above 0) or sold at one price (the instrument's price units), at one time, by one order.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> oh.policy.Lot(10.0, 99.5, pd.Timestamp("2026-01-20T15:00Z")).price
    99.5
    """

    quantity: float
    price: float
    time: pd.Timestamp
    order_id: str = ""

    def __post_init__(self) -> None:
        _settle_fields(self, f"lot of {self.order_id or 'the opening'}", ("quantity", "price"), ("time",))


@dataclass(frozen=True)
class Order(Told):
    """A line that was sent: contracts wanted and left (signed), its limit price (NaN: none), when and by which list.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> oh.policy.Order("1", "S", -10.0, -4.0, 99.9, pd.Timestamp("2026-01-20T15:00Z")).left
    -4.0
    """

    order_id: str
    instrument: str
    quantity: float
    left: float
    limit: float
    made: pd.Timestamp
    list_id: str = ""

    def __post_init__(self) -> None:
        _settle_fields(self, f"order {self.order_id}", ("quantity", "left"), ("made",))


@dataclass(frozen=True)
class Fill(Told):
    """What was traded: contracts (signed), price (price units), fee paid (above 0) in `money`, and when.

    order_id   the order it belongs to; '' for one made by hand;  source   who said so
    Raises DataError for a number that is not finite, a quantity of 0 and a missing id.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> oh.policy.Fill("1", "", "S", -10.0, 100.0, pd.Timestamp("2026-01-20T15:00Z"), fee=0.5, money="USD").quantity
    -10.0
    """

    fill_id: str
    order_id: str
    instrument: str
    quantity: float
    price: float
    time: pd.Timestamp
    fee: float = 0.0
    money: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if not self.fill_id or not self.instrument:
            raise DataError(f"fill {self.fill_id!r} of {self.instrument!r}: it needs a fill_id and an instrument")
        _settle_fields(self, f"fill {self.fill_id}", ("quantity", "price", "fee"), ("time",))
        if self.quantity == 0:
            raise DataError(f"fill {self.fill_id}: its quantity is 0; leave it out")
        if self.fee and not self.money:
            raise DataError(f"fill {self.fill_id}: money is empty; name the currency of its fee")


def by_time(fill: Fill) -> tuple[pd.Timestamp, str]:
    """The order of fills: by time, then by id."""
    return fill.time, fill.fill_id


@dataclass(frozen=True)
class Report:
    """The final word on an order: filled, cancelled, rejected or expired; nothing more of it will be filled.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> oh.policy.Report("1", pd.Timestamp("2026-01-20T15:00Z"), "cancelled", "end of day").verdict
    'cancelled'
    """

    order_id: str
    time: pd.Timestamp
    verdict: str
    why: str = ""

    def __post_init__(self) -> None:
        _settle_fields(self, f"report of {self.order_id}", (), ("time",))
        if self.verdict not in VERDICTS:
            raise DataError(f"report of {self.order_id}: verdict {self.verdict!r}; write one of {', '.join(VERDICTS)}")


class _Hash:
    """A field that is a hash: given as one, or as a value that has one, which is asked when somebody reads it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, made: Any, owner: type) -> str:
        if made is None:
            return ""
        value = made.__dict__[self.name]
        if not isinstance(value, str):
            made.__dict__[self.name] = value = value.hash
        return value

    def __set__(self, made: Any, value: Any) -> None:
        made.__dict__[self.name] = value


@dataclass(frozen=True, eq=False)
class State:
    """What one book carries.

    book, seq   its name, and the number of steps behind it
    as_of       UTC instant to which it has been advanced;  snapshot  hash of the market it is marked on
    before      hash of the state before it, '' for the first
    positions   account -> instrument -> lots, oldest first, of one sign
    cash        account -> currency -> balance;  accrued  the same of interest not yet paid
    rates       currency -> yearly simple rate that cash earns (debt costs), from the interest events
    orders      open orders
    memory      what the policy remembers: plain values
    decided, traded   when a policy last decided, and when a list last left
    applied     fills applied, of the last 31 days: one that comes again is known, and a bust finds its fill
    carried     held contracts that the market no longer lists: label -> their terms and last mark
    assumed     contracts that ended in the last 31 days without a settlement event: label -> what was assumed
    past        account -> cash or held -> currency or label -> what it has been in the last 31 days, for late news
    turned      what events made of contracts in the last 31 days: splits, renames and mergers, for late fills

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> market = day("2026-01-19T21:00Z", 100.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> print(state.book, state.seq)
    book 0
    """

    book: str
    seq: int
    as_of: pd.Timestamp
    snapshot: _Hash = _Hash()
    before: _Hash = _Hash()
    positions: Mapping[str, Account] = field(default_factory=dict)
    cash: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    accrued: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    orders: tuple[Order, ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)
    decided: pd.Timestamp | None = None
    traded: pd.Timestamp | None = None
    applied: tuple[Fill, ...] = ()
    carried: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    assumed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    past: Mapping[str, Mapping[str, Mapping[str, Past]]] = field(default_factory=dict)
    turned: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "as_of", instant(self.as_of, "state: as_of"))
        object.__setattr__(self, "positions", _accounts(self.positions))
        object.__setattr__(self, "applied", tuple(sorted(self.applied, key=by_time)))

    @cached_property
    def text(self) -> str:
        """The state as JSON: sorted keys, exact floats."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("assumed", "past", "turned"):  # newer than the texts of states that stand in ledgers
            if not told[name]:
                del told[name]
        parts = {name: canonical_text(value) for name, value in told.items() if name not in _WRITTEN_ONCE}
        if self.past:
            parts["past"] = _past_text(self.past)
        parts |= {name: _listed(told[name]) for name in ("orders", "applied")}
        held = {account: lots.text for account, lots in self.positions.items()}
        return canonical_object({**parts, "positions": canonical_object(held)})

    @cached_property
    def hash(self) -> str:
        """sha256 of `text`."""
        earlier: list[State] = []
        before = self.__dict__["_before"]
        while isinstance(before, State) and "hash" not in before.__dict__:
            earlier.append(before)
            before = before.__dict__["_before"]
        for one in reversed(earlier):  # the first of them first: a chain may be longer than a stack
            _ = one.hash
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_text(cls, text: str) -> State:
        """The state of a `text`. Raises DataError for anything else."""
        try:
            plain = json.loads(text)
            positions = {
                account: Account({name: tuple(Lot(**lot) for lot in lots) for name, lots in held.items()})
                for account, held in plain.pop("positions").items()
            }
            orders = tuple(Order(**order) for order in plain.pop("orders"))
            applied = tuple(Fill(**fill) for fill in plain.pop("applied"))
            turned = tuple(plain.pop("turned", ()))
            past = {
                account: {kind: {name: Past.of(one) for name, one in by.items()} for kind, by in kinds.items()}
                for account, kinds in plain.pop("past", {}).items()
            }
            times: dict[str, Any] = {name: _time(plain.pop(name)) for name in ("as_of", "decided", "traded")}
            return cls(positions=positions, orders=orders, applied=applied, past=past, turned=turned, **times, **plain)
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"state: this is no state's text ({error}); give what State.text wrote") from None

    @cached_property
    def known(self) -> frozenset[str]:
        """The ids of the fills applied."""
        return frozenset([fill.fill_id for fill in self.applied])

    @cached_property
    def held(self) -> Mapping[str, Mapping[str, float]]:
        """Account -> instrument -> contracts."""
        return {account: lots.held for account, lots in self.positions.items()}

    def becoming(self, **values: Any) -> State:
        """The same state with other fields, sound where they come from: of these only positions are checked."""
        made, worked_out = object.__new__(type(self)), ["text", "hash"]
        worked_out += [name for name, of in (("held", "positions"), ("known", "applied")) if of in values]
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name not in worked_out})
        for name, value in values.items():
            object.__setattr__(made, name, _accounts(value) if name == "positions" else value)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_snapshot": self.snapshot, "_before": self.before}

    def quantities(self, account: str | None = None) -> pd.Series:
        """Contracts by instrument, of one account or of both together."""
        total: dict[str, float] = {}
        for one in ACCOUNTS if account is None else (account,):
            for name, quantity in self.held.get(one, {}).items():
                total[name] = total.get(name, 0.0) + quantity
        kept = {name: q for name, q in sorted(total.items()) if q != 0}
        return pd.Series(np.array([*kept.values()], dtype=float), index=pd.Index(list(kept), dtype=object))

    def lots(self) -> pd.DataFrame:
        """Every open lot: account, instrument, quantity, price, time, order_id."""
        rows = [
            (account, name, lot.quantity, lot.price, lot.time, lot.order_id)
            for account, held in sorted(self.positions.items())
            for name, lots in sorted(held.items())
            for lot in lots
        ]
        return pd.DataFrame(rows, columns=["account", "instrument", "quantity", "price", "time", "order_id"])


def _accounts(positions: Mapping[str, Mapping[str, tuple[Lot, ...]]]) -> dict[str, Account]:
    """The positions of a state, checked. Raises DataError."""
    accounts = {}
    for account, lots in positions.items():
        if account not in ACCOUNTS:
            raise DataError(f"state: account {account!r} is not known; there are {', '.join(ACCOUNTS)}")
        accounts[account] = lots if isinstance(lots, Account) else Account(lots)
        accounts[account].check(account)
    return accounts


def _listed(values: tuple[Told, ...]) -> str:
    return f"[{values[0].text}]" if len(values) == 1 else f"[{','.join([one.text for one in values])}]"


def _past_text(past: Mapping[str, Mapping[str, Mapping[str, Past]]]) -> str:
    return canonical_object({
        account: canonical_object({
            kind: canonical_object({name: one.text for name, one in by.items()}) for kind, by in kinds.items()
        }) for account, kinds in past.items()
    })  # fmt: skip


def _settle_fields(value: Any, what: str, numbers: tuple[str, ...], times: tuple[str, ...]) -> None:
    mine = value.__dict__
    for name in numbers:
        number = mine[name]
        if type(number) is float and math.isfinite(number) and number:
            continue
        number = float(number)
        if not math.isfinite(number):
            raise DataError(f"{what}: {name} is {number}; give a finite number")
        object.__setattr__(value, name, number + 0.0)
    for name in times:
        when = instant(mine[name], f"{what}: {name}")
        if when is not mine[name]:
            object.__setattr__(value, name, when)


def _time(text: str | None) -> pd.Timestamp | None:
    return None if text is None else pd.Timestamp(text)
