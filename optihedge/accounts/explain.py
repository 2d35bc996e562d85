"""Where a period's change of equity came from: Greek by Greek for what was held, and money by its kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import DUST
from optihedge.accounts.valuation import balances
from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.market.drivers import currency_paths
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
_AT = {part: i for i, part in enumerate(PARTS)}
Rows: TypeAlias = "dict[tuple[str, str], np.ndarray]"  # by account and instrument, over PARTS


def explained_period(line: Timeline) -> tuple[pd.DataFrame, list[str]]:
    """(account, instrument) x PARTS and total for a timeline that was followed, and the assumptions made."""
    rows: Rows = defaultdict(lambda: np.zeros(len(PARTS)))
    facts = quoted(line.market)
    for flow in line.flows:
        rows[flow.account, flow.instrument][_AT[flow.part]] += flow.amount * facts.rate(flow.money)
    notes = _held(line, rows)
    _cash(line, rows)
    index = pd.MultiIndex.from_tuples(sorted(rows), names=["account", "instrument"])
    values = np.array([rows[key] for key in index]).reshape(len(index), len(PARTS))
    frame = pd.DataFrame(values, index=index, columns=list(PARTS))
    return frame.assign(total=frame.sum(axis=1)), notes


def _held(line: Timeline, rows: Rows) -> list[str]:
    """What contracts held through the period gained, Greek by Greek."""
    carried = {key: quantity for key, quantity in line.carried.items() if quantity}
    names = pd.Index(sorted({name for _, name in carried}), dtype=object)
    at = line.before.names.get_indexer(names)
    value, earned = _earned(line, names, at)
    facts = quoted(line.market)
    greeks = {part: values[at] for part, values in greek_parts(line.before, line.market, line.fate).items()}
    place = {name: i for i, name in enumerate(names)}
    ended = line.fate.ended[at] | (line.fate.place[at] < 0)
    rest = earned - sum(greeks.values()) if len(names) else earned
    gained = np.zeros((len(names), len(PARTS)))
    for part, values in greeks.items():
        gained[:, _AT[part]] = values
    gained[np.arange(len(names)), np.where(ended, _AT["settlement"], _AT["unexplained"])] += rest
    for (account, name), quantity in carried.items():
        rows[account, name] += quantity * gained[place[name]]
    for one in line.deliveries:
        got = facts.terms(one.instrument).worth(one.quantity, facts.price(one.instrument))
        i = place[one.origin]
        gain = (got - one.paid) * facts.rate(one.money) - one.contracts * float(value[i])
        rows[one.account, one.origin][_AT["settlement"]] += gain
    held = set(names)
    assumed = [name for name in line.fate.assumed if name in held]
    return [f"{some(assumed, 3)} settled at the next level of its underlying: no settlement event"] if assumed else []


def _earned(line: Timeline, names: pd.Index, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    then, now_at, assumed = quoted(start), quoted(end), set(fate.assumed)
    price = np.where(place >= 0, end.contracts.price[place] * fate.scale[at] + fate.received[at], fate.paid[at])
    price = np.nan_to_num(price)  # of what was delivered whole
    value, earned = np.zeros(len(names)), np.zeros(len(names))
    for i, name in enumerate(names):
        one, was = then.terms(name), then.price(name)
        level, now = float(fate.level[at[i]]), float(price[i])
        if np.isfinite(level):
            now = one.ends_at(level) if name in assumed else one.settled_at(level)
        if one.margined:
            earned[i] = one.gain(1.0, was, now) * now_at.rate(one.money)
        else:
            value[i] = one.worth(1.0, now) * now_at.rate(one.money)
            earned[i] = value[i] - one.worth(1.0, was) * then.rate(one.money)
    return value, earned


def _cash(line: Timeline, rows: Rows) -> None:
    """What balances gained from their currency: the start's, less what fills have paid at the start's marks."""
    then, now = quoted(line.before), quoted(line.market)
    held = balances(line.state, line.before, ["account", "money"])
    for account, money in sorted({*held.index, *line.bought}):
        balance = float(held.get((account, money), 0.0)) - line.bought.get((account, money), 0.0)
        gain = balance * (now.rate(money) - then.rate(money))
        if gain:
            rows[account, money][_AT[_moved_by(line.before, money)]] += gain


def _moved_by(market: Market, money: str) -> str:
    """delta where a money's way to base passes a price (a coin), else currency."""
    _, signs = currency_paths(pd.Index([money]), market.drivers, market.levels.to_numpy(), market.base_currency)
    on_path = market.drivers["kind"].to_numpy()[signs.indices]
    return "delta" if (on_path == "price").any() else "currency"
