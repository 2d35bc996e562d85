"""Orders of a list as a venue wants them: its symbol, its amount, its increments, and what becomes of earlier orders.

Amounts and prices are exact decimals, whole multiples of lot and tick, and stay text from here to every format.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest
from optihedge.market.instruments import closes_small, trade_lots, venue_amounts
from optihedge.market.snapshot import Market
from optihedge.trades.export import csv_text, outward, rounded_to

TYPES = ("limit", "market")
TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok")
URGENCIES = ("take", "middle", "join")
NEW, REPLACE, CANCEL, REPEAT = "new", "replace", "cancel", "repeat"
COLUMNS = (
    "action", "order_id", "replaces", "list_id", "as_of", "book", "venue", "symbol", "instrument", "kind", "underlying",
    "expiry", "strike", "right", "multiplier", "currency", "side", "amount", "quantity", "type", "price",
    "time_in_force", "reduce_only", "expected_fee", "reason",
)  # fmt: skip
"""What each order says.

action      new; replace: takes the place of the order `replaces`; repeat: that order stands already, nothing to do;
            cancel: an order of `open_orders` that the list no longer wants, its id in `replaces`
order_id    the list's, 16 letters and digits;  list_id  the same for all orders of one list
symbol      the venue's own (column `symbol` of instruments.csv), else the instrument's label
kind        type of instrument (see instruments.csv), with underlying, expiry (UTC), strike, right and multiplier
amount      what the venue counts, an exact decimal above 0;  quantity  contracts, an exact decimal above 0
price       limit price, an exact decimal; empty for a market order
reduce_only the order is not larger than the position it closes; one that closes all of it may be below the venue's
            minimum where the venue takes such (`close_small` of instruments.csv)
expected_fee   base currency: the maker's where it waits in the book (urgency join or middle, day or gtc), else the
            taker's
"""
_OFF_GRID = 1e-6  # of an increment: rounding of a float that was a multiple


@dataclass(frozen=True)
class OrderStyle:
    """How orders are worked.

    type            limit or market;  time_in_force  day, gtc, ioc or fok
    urgency         take: at the far side of the quote, the cost that was proved; middle: at the mid; join: at the near
                    side. The last two cost less where they fill, and may not fill
    """

    type: Literal["limit", "market"] = "limit"
    time_in_force: Literal["day", "gtc", "ioc", "fok"] = "day"
    urgency: Literal["take", "middle", "join"] = "take"

    def __post_init__(self) -> None:
        for name, known in (("type", TYPES), ("time_in_force", TIMES_IN_FORCE), ("urgency", URGENCIES)):
            value = getattr(self, name)
            if value not in known:
                raise SpecError(f"orders: {name} is {value!r}{nearest(str(value), known)}; one of {', '.join(known)}")


def order_table(
    market: Market,
    lines: pd.DataFrame,
    *,
    style: OrderStyle | None = None,
    held: pd.Series | None = None,
    open_orders: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The orders of `lines` (a list's table), COLUMNS, all text but strike and multiplier.

    held          contracts by instrument before trading: an order within what it closes is reduce-only
    open_orders   orders that may still be open (an earlier order table, or a list's table): an order for the same book,
                  instrument and side replaces one of them, the others are cancelled

    Raises DataError for a line off its venue's increments, below its minimum, or of an unknown instrument.
    """
    style = style or OrderStyle()
    strange = lines["instrument"][~lines["instrument"].isin(market.names)]
    if len(strange):
        raise DataError(f"orders: {strange.iloc[0]} is no instrument of the market; read the market of the list")
    names = pd.Index(lines["instrument"])
    facts, quotes = market.instruments.loc[names], market.quotes.loc[names]
    buys = (lines["side"] == "BUY").to_numpy()
    lot = trade_lots(facts)
    steps = _steps(names, "quantity", lines["quantity"].abs().to_numpy(float), lot)
    before = (pd.Series(0.0, index=names) if held is None else held.reindex(names).fillna(0.0)).to_numpy(float)
    size = lines["quantity"].abs().to_numpy(float)
    closing = (np.sign(before) == np.where(buys, -1, 1)) & (size <= np.abs(before))
    _refuse_small(market, lines, facts, closes_small(facts) & closing & (size >= np.abs(before) * (1 - 1e-9)))
    price = _prices(lines, quotes, facts["tick"].to_numpy(float), buys, style)
    lots, amounts = map(_decimals, (lot, venue_amounts(facts)))
    quantity = [step * lot for step, lot in zip(steps, lots, strict=True)]
    table = pd.DataFrame(
        {
            "action": NEW, "order_id": lines["order_id"].to_numpy(), "replaces": "", "list_id": list_id(lines),
            "as_of": lines["as_of"].to_numpy(), "book": lines["book"].fillna("").to_numpy(),
            "venue": facts["venue"].to_numpy(), "symbol": _symbols(facts), "instrument": names.astype(str),
            "kind": facts["type"].to_numpy(), "underlying": facts["underlying"].to_numpy(),
            "expiry": facts["expiry"].dt.strftime("%Y-%m-%dT%H:%M:%SZ").fillna("").to_numpy(),
            "strike": facts["strike"].to_numpy(float), "right": facts["right"].to_numpy(),
            "multiplier": facts["multiplier"].to_numpy(float), "currency": facts["currency"].to_numpy(),
            "side": lines["side"].to_numpy(), "quantity": [plain(q) for q in quantity],
            "amount": [plain(q * a) for q, a in zip(quantity, amounts, strict=True)],
            "type": style.type, "price": price, "time_in_force": style.time_in_force,
            "reduce_only": closing, "expected_fee": _fees(market, names, size, style),
            "reason": lines["reason"].fillna("").to_numpy(),
        },
        columns=list(COLUMNS),
    )  # fmt: skip
    return table if open_orders is None else beside(table, open_orders)


def empty() -> pd.DataFrame:
    """An order table without orders."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})


def beside(table: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """An order table beside orders that may still be open: these are repeated, replaced, or cancelled (first).

    Raises DataError where two open orders are for one book, instrument and side.
    """
    if "action" in earlier.columns:
        earlier = earlier[earlier["action"].isin((NEW, REPLACE, REPEAT))]
    key = ["book", "instrument", "side"]
    earlier = earlier.assign(book=earlier["book"].fillna(""))
    if earlier.duplicated(key).any():
        twice = earlier[earlier.duplicated(key)].iloc[0]
        raise DataError(f"orders: two open orders {twice['side']} {twice['instrument']} of one book; cancel one first")
    open_ids = earlier.set_index(key)["order_id"]
    wanted = pd.MultiIndex.from_frame(table[key])
    taken = open_ids.reindex(wanted).fillna("").to_numpy(dtype=object)
    same = taken == table["order_id"].to_numpy(dtype=object)
    table = table.assign(replaces=taken, action=np.where(same, REPEAT, np.where(taken != "", REPLACE, NEW)))
    gone = earlier[~pd.MultiIndex.from_frame(earlier[key]).isin(wanted)]
    if gone.empty:
        return table
    cancels = pd.DataFrame({name: gone[name].to_numpy() if name in gone else "" for name in COLUMNS})
    ids = gone["order_id"].to_numpy(dtype=object)
    cancels = cancels.assign(action=CANCEL, replaces=ids, order_id=["c" + str(i)[1:] for i in ids])
    if "quantity" in gone:
        cancels["quantity"] = [plain(abs(Decimal(str(q)))) for q in gone["quantity"]]
    return pd.concat([cancels, table], ignore_index=True)


def list_id(lines: pd.DataFrame) -> str:
    """The name of a list: a letter, then a hash of its bytes."""
    return "l" + hashlib.sha256(csv_text(lines).encode()).hexdigest()[:15]


def plain(number: Decimal) -> str:
    """A decimal without exponent and without zeros at its end."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(values: pd.Series | np.ndarray) -> list[Decimal]:
    return [Decimal(repr(float(value))) for value in values]


def _steps(names: pd.Index, what: str, values: np.ndarray, increment: np.ndarray) -> list[int]:
    """How many increments each value is. Raises DataError for one between two."""
    exact = values / increment
    whole = np.round(exact)
    off = np.flatnonzero((np.abs(exact - whole) > _OFF_GRID * np.maximum(1.0, np.abs(exact) * 1e-6)) | (whole <= 0))
    if len(off):
        i = off[0]
        raise DataError(
            f"orders: {what} {values[i]:.12g} of {names[i]} is no multiple of its increment {increment[i]:g}; "
            "make the list again with the venue's lot and tick"
        )
    return [int(step) for step in whole]


def _fees(market: Market, names: pd.Index, size: np.ndarray, style: OrderStyle) -> np.ndarray:
    """What these contracts pay at their venue, base currency: an order that waits is a maker's."""
    waits = style.type == "limit" and style.urgency != "take" and style.time_in_force in ("day", "gtc")
    fee = (market.maker_fees if waits else market.fees)[names].to_numpy(float)
    return rounded_to(size * fee, 6, 4)


def _refuse_small(market: Market, lines: pd.DataFrame, facts: pd.DataFrame, closes: np.ndarray) -> None:
    size = lines["quantity"].abs().to_numpy(float)
    worth = size * market.notional[facts.index].to_numpy(float)
    for name, value in (("min_quantity", size), ("min_notional", worth)):
        below = np.flatnonzero(~closes & (value < facts[name].to_numpy(float) * (1 - 1e-9)))
        if len(below):
            i = below[0]
            raise DataError(f"orders: {facts.index[i]} is below its {name}, {value[i]:.10g} of "
                            f"{facts[name].iloc[i]:.10g}; make the list again with the venue's minimum")  # fmt: skip


def _prices(
    lines: pd.DataFrame, quotes: pd.DataFrame, tick: np.ndarray, buys: np.ndarray, style: OrderStyle
) -> list[str]:
    """Limit prices as exact decimals; a price that is not the list's own is rounded to the side that pays less."""
    if style.type == "market":
        return [""] * len(lines)
    price = lines["limit_price"].to_numpy(float)
    bid, ask = quotes["bid"].to_numpy(float), quotes["ask"].to_numpy(float)
    wanted = {"take": price, "middle": (bid + ask) / 2, "join": np.where(buys, bid, ask)}[style.urgency]
    if style.urgency != "take":
        price = np.where(np.isfinite(wanted), outward(np.where(np.isfinite(wanted), wanted, price), tick, ~buys), price)
    steps = np.round(price / np.where(tick > 0, tick, 1.0))
    off = (tick > 0) & (np.abs(price - steps * tick) > _OFF_GRID * tick)
    if off.any():
        i = np.flatnonzero(off)[0]
        raise DataError(
            f"orders: limit price {price[i]:.12g} of {lines['instrument'].iloc[i]} is off its tick {tick[i]:g}; "
            "make the list again with the venue's tick"
        )
    grid = zip(_decimals(price), steps, _decimals(tick), strict=True)
    return [plain(int(step) * size if size else exact) for exact, step, size in grid]


def _symbols(facts: pd.DataFrame) -> np.ndarray:
    own = facts["symbol"].fillna("").astype(str) if "symbol" in facts.columns else pd.Series("", index=facts.index)
    return np.where(own != "", own, facts.index.astype(str))
