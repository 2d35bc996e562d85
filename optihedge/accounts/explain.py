"""Where a period's change of equity came from: Greek by Greek for what was held, and money by its kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from optihedge.accounts.account import Account
from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import ACCOUNTS, DUST
from optihedge.accounts.valuation import balances_by_account
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.currencies import currency_paths
from optihedge.market.greek_pnl import GREEKS, greek_parts
from optihedge.market.snapshot import Market

if TYPE_CHECKING:
    from optihedge.accounts.timeline import Timeline

FLOWS = ("fill", "funding", "dividend", "borrow", "interest", "settlement", "late", "transfer")
PARTS = (*GREEKS, *FLOWS, "unexplained")
"""Parts of a change of equity, base currency.

delta to currency   of what the fills leave, see `market.greek_pnl.GREEKS`, and of cash that has paid for them
fill                what fills paid against the mark at the start: half spread, delay, fees
funding, dividend, borrow, interest   money at its instant, valued at the end's rates of currencies
settlement          of contracts that ended: what their Greeks do not explain
late                fills and events from before the period, and busts
transfer            brought in or taken out by the client: no P&L
"""
_AT = {part: i for i, part in enumerate(PARTS)}
Rows: TypeAlias = "dict[tuple[str, str], np.ndarray]"  # by account and instrument, over PARTS


@dataclass(frozen=True, eq=False)
class Explained:
    """A period's change by account and instrument: `keys` in order, `values` of each over PARTS, base currency."""

    keys: tuple[tuple[str, str], ...]
    values: np.ndarray

    @classmethod
    def of(cls, keys: Sequence[tuple[str, str]], values: np.ndarray, more: Rows) -> Explained:
        """Of rows in order of their keys (values: a row each, written to), and of others added to or put among them."""
        place = dict(zip(keys, range(len(keys)), strict=True)) if more else {}
        new = [key for key in more if key not in place]
        place |= {key: len(keys) + i for i, key in enumerate(new)}
        whole = np.concatenate([values, np.zeros((len(new), len(PARTS)))]) if new else values
        for key, row in more.items():
            whole[place[key]] += row
        if not new:
            return cls(tuple(keys), whole)
        ordered = sorted(place)
        return cls(tuple(ordered), whole[[place[key] for key in ordered]])

    @cached_property
    def frame(self) -> pd.DataFrame:
        """(account, instrument) x PARTS and total."""
        accounts, instruments = zip(*self.keys, strict=True) if self.keys else ((), ())
        index = pd.MultiIndex.from_arrays([list(accounts), list(instruments)], names=["account", "instrument"])
        frame = pd.DataFrame(self.values, index=index, columns=list(PARTS))
        return frame.assign(total=frame.sum(axis=1))


def explained_period(line: Timeline, after: Mapping[str, Account]) -> tuple[Explained, list[str]]:
    """What a timeline that was followed came to, part by part, and the assumptions made; after: positions then."""
    rows: Rows = defaultdict(lambda: np.zeros(len(PARTS)))
    facts = quoted(line.market)
    for flow in line.flows:
        rows[flow.account, flow.instrument][_AT[flow.part]] += flow.amount * facts.rate(flow.money)
    keys, values, notes = _held(line, after, rows)
    _cash(line, rows)
    return Explained.of(keys, values, rows), [*notes, *line.notes]


def _held(
    line: Timeline, after: Mapping[str, Account], rows: Rows
) -> tuple[list[tuple[str, str]], np.ndarray, list[str]]:
    """What contracts held through the period gained, Greek by Greek: keys, their values over PARTS, and notes."""
    listed, facts = quoted(line.before).listed, quoted(line.market)
    carried = [_carried(line, after, account) for account in ACCOUNTS]
    some_held = np.zeros(len(listed.names), dtype=bool)
    for _, there, _ in carried:
        some_held[there] = True
    at = listed.by_name[some_held[listed.by_name]]
    row = np.zeros(len(listed.names), dtype=int)
    row[at] = np.arange(len(at))
    value, earned = _earned(line, at)
    greeks = {part: values[at] for part, values in greek_parts(line.before, line.market, line.fate).items()}
    ended = line.fate.ended[at] | (line.fate.place[at] < 0)
    rest = earned - sum(greeks.values()) if len(at) else earned
    gained = np.zeros((len(at), len(PARTS)))
    for part, values in greeks.items():
        gained[:, _AT[part]] = values
    gained[np.arange(len(at)), np.where(ended, _AT["settlement"], _AT["unexplained"])] += rest
    held = np.concatenate([quantity[:, None] * gained[row[there]] for _, there, quantity in carried])
    for one in line.deliveries:
        got = facts.terms(one.instrument).worth(one.quantity, facts.price(one.instrument))
        i = row[listed.place[one.origin]]
        gain = (got - one.paid) * facts.rate(one.money) - one.contracts * float(value[i])
        rows[one.account, one.origin][_AT["settlement"]] += gain
    assumed = [name for name in line.fate.assumed if some_held[listed.place[name]]]
    told = [f"{some(assumed, 3)} settled at the next level of its underlying: no settlement event"] if assumed else []
    return [*chain.from_iterable(keys for keys, _, _ in carried)], held, told


def _carried(
    line: Timeline, after: Mapping[str, Account], account: str
) -> tuple[Sequence[tuple[str, str]], np.ndarray, np.ndarray]:
    """What an account held through the period, in order of labels: keys, places at the start, contracts (none 0)."""
    carried, place = line.carried[account], quoted(line.before).listed.place
    for one in (line.state.positions.get(account), after.get(account)):
        if one is None or carried.keys() != one.keys():
            continue
        quantity, at = np.array(list(map(carried.__getitem__, one.names)), dtype=float), one.places(place)
        if quantity.all() and (at >= 0).all():
            return one.keyed(account), at, quantity
    held = {name: carried[name] for name in sorted(carried) if carried[name]}
    at = np.array([place[name] for name in held], dtype=int)
    return [(account, name) for name in held], at, np.array([*held.values()], dtype=float)


def _earned(line: Timeline, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per contract of the start at these places, base currency: value at the end as if still held, and what it gained.

    The value is 0 where a contract is paid by variation margin. Raises DataError for a held
    contract that neither has a price at the end nor has ended.
    """
    fate, start, end = line.fate, line.before, line.market
    place = fate.place[at]
    names = quoted(start).listed.names
    _refuse_lost(line, [names[i] for i in at[(place < 0) & ~fate.ended[at]]])
    then, now_at, assumed = quoted(start), quoted(end), set(fate.assumed)
    price = np.where(place >= 0, end.contracts.price[place] * fate.scale[at], fate.paid[at]) + fate.received[at]
    price = np.nan_to_num(price)  # of what was delivered whole
    level = fate.level[at]
    for i in np.flatnonzero(np.isfinite(level)):
        one = then.terms(names[at[i]])
        ended = one.ends_at(float(level[i])) if one.name in assumed else one.settled_at(float(level[i]))
        price[i] = ended + fate.received[at[i]]
    listed, was = then.listed, then.marks[at]
    multiplier, margined = listed.multiplier[at], listed.margined[at]
    after, before = now_at.rates_at(at, listed), np.ones(len(at))
    worth = ~margined
    before[worth] = then.rates_at(at[worth])
    value = np.where(worth, multiplier * price * after, 0.0)
    earned = np.where(worth, value - multiplier * was * before, multiplier * (price - was) * after)
    for i in np.flatnonzero(listed.reciprocal[at]):
        earned[i] = then.terms(names[at[i]]).gain(1.0, float(was[i]), float(price[i])) * after[i]
    return value, earned


def _refuse_lost(line: Timeline, gone: list[str]) -> None:
    """Raise a DataError for a contract that is gone and was held on."""
    if not gone:
        return
    delivered: dict[tuple[str, str], float] = defaultdict(float)
    for each in line.deliveries:
        delivered[each.account, each.origin] += each.contracts
    held = [(a, name, q) for a, carried in line.carried.items() for name, q in carried.items()]
    still = {name for a, name, q in held if abs(q - delivered[a, name]) > DUST * abs(q)}
    lost = [name for name in gone if name in still]
    if lost:
        raise DataError(
            f"{line.state.book}: {some(lost)} held but not in the market of {line.market.as_of}, and no event says "
            "what became of it; quote it, or give its settlement, delisting, rename or merger"
        )


def _cash(line: Timeline, rows: Rows) -> None:
    """What balances gained from their currency: the start's, less what fills have paid at the start's marks."""
    then, now = quoted(line.before), quoted(line.market)
    held = balances_by_account(line.state, line.before)
    for account, money in sorted({*held, *line.bought}):
        balance = held.get((account, money), 0.0) - line.bought.get((account, money), 0.0)
        gain = balance * (now.rate(money) - then.rate(money))
        if gain:
            rows[account, money][_AT[_moved_by(line.before, money)]] += gain


def _moved_by(market: Market, money: str) -> str:
    """delta where a money's way to base passes a price (a coin), else currency."""
    _, signs = currency_paths(pd.Index([money]), market.drivers, market.levels.to_numpy(), market.base_currency)
    on_path = market.drivers["kind"].to_numpy()[signs.indices]
    return "delta" if (on_path == "price").any() else "currency"
