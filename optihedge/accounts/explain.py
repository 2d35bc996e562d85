"""Where a period's change of equity came from: Greek by Greek for what was held, and money by its kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.accounts.settle import terms_of
from optihedge.accounts.state import ACCOUNTS, DUST
from optihedge.accounts.valuation import valued
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.drivers import currency_paths
from optihedge.market.fate import money_rate
from optihedge.market.pnl import greek_parts
from optihedge.market.snapshot import Market

if TYPE_CHECKING:
    from optihedge.accounts.timeline import Timeline

GREEKS = ("delta", "gamma", "vega", "theta", "vanna", "volga", "charm", "carry", "currency")
FLOWS = ("fill", "funding", "dividend", "borrow", "interest", "settlement", "late", "transfer")
PARTS = (*GREEKS, *FLOWS, "unexplained")
"""Parts of a change of equity, base currency.

delta to currency   of what is held after the period's fills, see `market.pnl.PARTS`, and of cash that has paid for them
fill                what fills paid against the mark at the start: half spread, delay, fees
funding, dividend, borrow, interest   money at its instant, valued at the end's rates of currencies
settlement          of contracts that ended: what their Greeks do not explain
late                fills and events from before the period, and busts
transfer            brought in or taken out by the client: no P&L
"""


def explained_period(line: Timeline) -> tuple[pd.DataFrame, list[str]]:
    """(account, instrument) x PARTS and total for a timeline that was followed, and the assumptions made."""
    rows: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    rate = _Rates(line.market)
    for flow in line.flows:
        rows[flow.account, flow.instrument][flow.part] += flow.amount * rate[flow.money]
    notes = _held(line, rows, rate)
    _cash(line, rows, rate)
    index = pd.MultiIndex.from_tuples(sorted(rows), names=["account", "instrument"])
    frame = pd.DataFrame([rows[key] for key in index], index=index, columns=list(PARTS), dtype=float).fillna(0.0)
    return frame.assign(total=frame.sum(axis=1)), notes


class _Rates(dict):
    """Base currency per unit of a money, looked up once."""

    def __init__(self, market: Market) -> None:
        super().__init__()
        self.market = market

    def __missing__(self, money: str) -> float:
        self[money] = money_rate(self.market, money)
        return self[money]


def _held(line: Timeline, rows: dict, rate: _Rates) -> list[str]:
    """What contracts held through the period gained, Greek by Greek."""
    carried = {key: quantity for key, quantity in line.carried.items() if quantity}
    names = pd.Index(sorted({name for _, name in carried}), dtype=object)
    at = line.before.names.get_indexer(names)
    value, earned = _earned(line, names, at, rate)
    greeks = {part: values[at] for part, values in greek_parts(line.before, line.market, line.fate).items()}
    place = {name: i for i, name in enumerate(names)}
    ended = line.fate.ended[at] | (line.fate.place[at] < 0)
    rest = earned - sum(greeks.values()) if len(names) else earned
    for (account, name), quantity in carried.items():
        i, row = place[name], rows[account, name]
        for part, values in greeks.items():
            row[part] += quantity * float(values[i])
        row["settlement" if ended[i] else "unexplained"] += quantity * float(rest[i])
    for one in line.deliveries:
        got = float(line.market.price[one.instrument]) * _multiplier(line.market, one.instrument) * one.quantity
        i = place[one.origin]
        rows[one.account, one.origin]["settlement"] += (got - one.paid) * rate[one.money] - one.contracts * value[i]
    held = set(names)
    assumed = [name for name in line.fate.assumed if name in held]
    return [f"{some(assumed, 3)} settled at the next level of its underlying: no settlement event"] if assumed else []


def _multiplier(market: Market, name: str) -> float:
    return float(market.contracts.multiplier[market.names.get_loc(name)])


def _earned(line: Timeline, names: pd.Index, at: np.ndarray, rate: _Rates) -> tuple[np.ndarray, np.ndarray]:
    """Per contract of the start, base currency: value at the end as if still held, and what it gained.

    The value is 0 where a contract is paid by variation margin. Raises DataError for a held
    contract that neither has a price at the end nor has ended.
    """
    fate, start, end = line.fate, line.before, line.market
    place = fate.place[at]
    delivered: dict[tuple[str, str], float] = defaultdict(float)
    for each in line.deliveries:
        delivered[each.account, each.origin] += each.contracts
    still = {name for (a, name), q in line.carried.items() if abs(q - delivered[a, name]) > DUST * abs(q)}
    lost = names[(place < 0) & ~fate.ended[at] & names.isin(list(still))]
    if len(lost):
        raise DataError(
            f"{line.state.book}: {some(lost)} held but not in the market of {end.as_of}, and no event says what became "
            "of it; quote it, or give its settlement, delisting, rename or merger"
        )
    terms, first = terms_of(start, names), _Rates(start)
    price = np.where(place >= 0, end.contracts.price[place] * fate.scale[at] + fate.received[at], fate.paid[at])
    price = np.nan_to_num(price)  # of what was delivered whole
    value, earned = np.zeros(len(names)), np.zeros(len(names))
    for i, name in enumerate(names):
        one, was = terms[name], float(start.contracts.price[at[i]])
        settled = np.isfinite(fate.level[at[i]])
        now = one.settled_at(float(fate.level[at[i]])) if settled else float(price[i])
        if one.margined:
            earned[i] = one.gain(1.0, was, now) * rate[one.money]
        else:
            value[i] = one.worth(1.0, now) * rate[one.money]
            earned[i] = value[i] - one.worth(1.0, was) * first[one.money]
    return value, earned


def _cash(line: Timeline, rows: dict, rate: _Rates) -> None:
    """What balances gained from their currency: the start's, less what fills have paid at the start's marks."""
    start, first = line.before, _Rates(line.before)
    frame = valued(line.state, start)
    margined = dict(zip(start.names, start.contracts.margined.tolist(), strict=True))
    like_cash = (frame["instrument"] == frame["money"]) | frame["instrument"].map(margined).fillna(False).astype(bool)
    held = frame[like_cash].groupby(["account", "money"])["value"].sum()
    for account in ACCOUNTS:
        for money in sorted({m for a, m in held.index if a == account} | {m for a, m in line.bought if a == account}):
            balance = float(held.get((account, money), 0.0)) - line.bought.get((account, money), 0.0)
            gain = balance * (rate[money] - first[money])
            if gain:
                rows[account, money][_moved_by(start, money)] += gain


def _moved_by(market: Market, money: str) -> str:
    """delta where a money's way to base passes a price (a coin), else currency."""
    _, signs = currency_paths(pd.Index([money]), market.drivers, market.levels.to_numpy(), market.base_currency)
    on_path = market.drivers["kind"].to_numpy()[signs.indices]
    return "delta" if (on_path == "price").any() else "currency"
