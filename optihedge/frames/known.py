"""Columns that an open table does not know, near one that it does: read, they would be ignored in silence."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

import pandas as pd

from optihedge.errors import DataError

_SAME_WORD = 0.85  # likeness of two words above which one is taken for a slip of the other
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "instrument": ("symbol", "ticker", "isin", "contract", "security", "instrument_name", "asset"),
    "quantity": ("qty", "position", "amount", "contracts", "shares", "units", "net_position", "net_quantity"),
    "book": ("account", "portfolio", "strategy"),
    "time": ("date", "datetime", "timestamp", "day", "asof", "as_of", "index"),
    "type": ("instrument_type", "contract_type", "asset_type", "kind"),
    "underlying": ("underlier", "root", "base_asset", "underlying_symbol"),
    "currency": ("ccy", "cur", "curr", "quote_currency", "quote_ccy"),
    "multiplier": ("mult", "contract_size", "contract_multiplier", "point_value", "size_multiplier", "contract_value"),
    "expiry": ("expiration", "maturity", "exp", "expiry_date", "expiration_date", "last_trade_date"),
    "strike": ("strike_price", "exercise_price"),
    "right": ("put_call", "call_put", "cp", "pc", "option_type", "callput", "putcall"),
    "exercise": ("exercise_style", "option_style", "style"),
    "lot": ("lot_size", "round_lot", "step_size", "qty_step"),
    "tick": ("tick_size", "price_increment", "min_tick"),
    "min_quantity": ("min_qty", "min_size", "min_trade_amount"),
    "min_notional": ("min_value", "min_cost"),
    "fee": ("commission", "taker_fee", "fee_rate"),
    "hedge": ("tradable", "tradeable", "can_trade"),
    "settlement_window": ("settle_window",),
    "side": ("direction", "long_short", "buy_sell", "l_s"),
}
"""Words of other systems, by the column here that they say; `side` is none: the sign of a quantity says it."""


def plain(word: object) -> str:
    """A column's name without case, spaces, hyphens and underscores."""
    return "".join(mark for mark in str(word).casefold() if mark.isalnum())


_SAID = {plain(word): name for name, words in SYNONYMS.items() for word in words}


def meant(word: object, among: Collection[str]) -> str:
    """The name among these that a strange column says: by case, in the word of another system, with a slip; or ''."""
    by_letters = {plain(name): name for name in among}
    key = plain(word)
    if key in by_letters:
        return by_letters[key]
    if _SAID.get(key) in among:
        return _SAID[key]
    close = difflib.get_close_matches(key, by_letters, n=1, cutoff=_SAME_WORD)
    return by_letters[close[0]] if close else ""


def misspelt(header: pd.Index, known: Collection[str], source: str) -> None:
    """Refuse a column that says what an absent one is for, and one that differs from a known one by case alone.

    Raises DataError naming the column and what it may have meant.
    """
    absent = [name for name in known if name not in header]
    for name in header:
        if name in known:
            continue
        close = meant(name, absent)
        if close:
            raise DataError(f"{source}: column {name} is not known (did you mean {close}?); rename it, or drop it")
        twin = next((one for one in known if plain(one) == plain(name)), "")
        if twin:
            raise DataError(f"{source}: columns {twin} and {name} differ by case alone; keep one of them")


def refuse_sides(header: pd.Index, source: str) -> None:
    """Refuse a column that says long or short: beside a signed quantity it is ignored, or it contradicts it."""
    for name in header:
        if meant(name, ("side",)):
            raise DataError(
                f"{source}: column {name} is not known: the sign of quantity says long and short; write SHORT 200 as "
                f"-200 and drop the column {name}"
            )
