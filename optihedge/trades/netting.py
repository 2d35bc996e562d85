"""Several books' lists as one: what crosses inside, what goes outside, and each book's fair part of the fills.

Books that buy and books that sell the same contract cross at the mark; the rest is one order. Every fill is split in
whole lots in proportion to what each book wants of it, at one price for all, and nothing given is taken back; at the
end each book has all it asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optihedge.accounts.state import Fill
from optihedge.errors import DataError, SpecError
from optihedge.market.instruments import trade_lots
from optihedge.market.snapshot import Market
from optihedge.trades.table import trade_table
from optihedge.trades.tradelist import TradeList

INSIDE = "crossed inside"


@dataclass(frozen=True, eq=False)
class Netted:
    """One list for many books.

    table     the orders to send (a list's columns), of the book `name`
    crossed   contracts that each book gets from others at the mark, instrument x book, signed
    outside   contracts that each book gets from the orders, instrument x book, signed; rows sum to the orders
    orders    by book and instrument the book's own order, which its fills name
    saved     base currency: cost of the single lists less that of the netted one
    """

    market: Market
    table: pd.DataFrame
    crossed: pd.DataFrame
    outside: pd.DataFrame
    orders: Mapping[tuple[str, str], str]
    saved: float

    def inside(self, time: pd.Timestamp | None = None) -> dict[str, list[Fill]]:
        """The crosses as fills by book, at the mark and without a fee, at `time` (default the list's instant)."""
        at = self.market.as_of if time is None else time
        made: dict[str, list[Fill]] = {book: [] for book in self.crossed.columns}
        for name, row in self.crossed.iterrows():
            price = float(self.market.price[name])
            for book, quantity in row[row != 0].items():
                order = self.orders[str(book), str(name)]
                made[str(book)].append(Fill(f"{order}-x", order, str(name), float(quantity), price, at, source=INSIDE))
        return made

    def allocate(self, fills: Iterable[Fill]) -> dict[str, list[Fill]]:
        """Each book's part of the orders' fills, in order of time: same price, whole lots, fee in proportion.

        Raises DataError for a fill of an order that is not of this list, or of more than it asked for.
        """
        order = dict(zip(self.table["order_id"], self.table["instrument"], strict=True))
        lots = self.market.instruments["lot"]
        made: dict[str, list[Fill]] = {str(book): [] for book in self.outside.columns}
        given = {name: np.zeros(len(self.outside.columns)) for name in self.outside.index}
        done = dict.fromkeys(self.outside.index, 0.0)
        for fill in sorted(fills, key=lambda f: (f.time, f.fill_id)):
            if order.get(fill.order_id) != fill.instrument:
                raise DataError(f"fill {fill.fill_id}: no order {fill.order_id} of {fill.instrument} is in this list")
            name, wanted = fill.instrument, self.outside.loc[fill.instrument].to_numpy(float)
            done[name] += fill.quantity
            if abs(done[name]) > abs(wanted.sum()) * (1 + 1e-9) or done[name] * wanted.sum() < 0:
                raise DataError(f"fill {fill.fill_id}: {done[name]:g} {name} are more than the {wanted.sum():g} asked")
            target = shares(wanted, done[name], float(lots[name]), given[name])
            for book, part in zip(self.outside.columns, target - given[name], strict=True):
                if abs(part) > 1e-9 * lots[name]:
                    own = self.orders[str(book), name]
                    made[str(book)].append(replace(fill, fill_id=f"{fill.fill_id}-{own}", order_id=own,
                                                   quantity=float(np.round(part, 10)),
                                                   fee=fill.fee * float(part / fill.quantity)))  # fmt: skip
            given[name] = target
        return made


def net(market: Market, lists: Mapping[str, TradeList | pd.DataFrame], *, name: str = "NET") -> Netted:
    """Lists by book as one: TradeLists, or tables of lists that stand. The books' order never matters.

    Raises SpecError for a list that is held, DataError where what is left outside is below the venue's minimum: send
    the single lists then.
    """
    held = next((book for book, one in lists.items() if isinstance(one, TradeList) and one.held), None)
    if held is not None:
        raise SpecError(f"netting: the list of {held} is held, there is nothing to send; leave it out")
    return _net(market, {b: one.table if isinstance(one, TradeList) else one for b, one in lists.items()}, name)


def _net(market: Market, lists: Mapping[str, pd.DataFrame], name: str) -> Netted:
    books = sorted(lists)
    orders = {(book, str(line.instrument)): str(line.order_id)
              for book in books for line in lists[book].itertuples()}  # fmt: skip
    wanted = pd.DataFrame({book: lists[book].set_index("instrument")["quantity"] for book in books}).fillna(0.0)
    wanted = wanted.loc[market.names[market.names.isin(wanted.index)]]
    lot = trade_lots(market.instruments.loc[wanted.index])
    buys, sells = wanted.clip(lower=0.0), -wanted.clip(upper=0.0)
    inside = np.minimum(buys.sum(axis=1), sells.sum(axis=1)).to_numpy(float)
    parts = [
        shares(buys.iloc[i].to_numpy(float), inside[i], lot[i])
        - shares(sells.iloc[i].to_numpy(float), inside[i], lot[i])
        for i in range(len(wanted))
    ]
    crossed = pd.DataFrame(np.array(parts).reshape(wanted.shape), index=wanted.index, columns=books)
    outside = (wanted - crossed).round(10)
    total = outside.sum(axis=1).round(10)
    least = market.instruments.loc[total.index, "min_quantity"]
    below = total.index[(total != 0) & (total.abs() < least * (1 - 1e-9))]
    if len(below):
        raise DataError(f"netting leaves {total[below[0]]:g} {below[0]} outside, below its min_quantity "
                        f"{least[below[0]]:g}; send the single lists for it")  # fmt: skip
    table = trade_table(market, total[total != 0], book=name, model="netted")
    single = sum(float(lists[book]["cost"].sum()) for book in books)
    return Netted(market=market, table=table, crossed=crossed.round(10), outside=outside, orders=orders,
                  saved=single - float(table["cost"].sum()))  # fmt: skip


def shares(wanted: np.ndarray, total: float, lot: float, given: np.ndarray | None = None) -> np.ndarray:
    """`total` split in whole lots in proportion to `wanted` (contracts, one sign): the largest remainders get the rest.

    given   what each has of an earlier, smaller total: nothing is taken back. The first of equals comes first.
    """
    whole = wanted.sum()
    if whole == 0 or total == 0:
        return np.zeros_like(wanted)
    exact = np.abs(wanted) * abs(total / whole) / lot  # in lots
    kept = np.zeros_like(exact) if given is None else np.round(np.abs(given) / lot)
    parts = np.maximum(np.floor(exact + 1e-9), kept)
    missing = round(abs(total) / lot - parts.sum())
    for _ in range(abs(missing)):
        behind = exact - parts
        i = int(np.argmax(behind)) if missing > 0 else int(np.argmin(np.where(parts > kept, behind, np.inf)))
        parts[i] += np.sign(missing)
    return np.sign(wanted) * parts * lot
