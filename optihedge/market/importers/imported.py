"""What an import yields: frames in our words and units, notes, and everything that was left, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

INSTRUMENTS = (
    "instrument", "type", "underlying", "currency", "multiplier", "expiry", "strike", "right", "venue", "symbol",
    "venue_amount", "lot", "tick", "min_quantity", "min_notional", "fee", "fee_cap", "fee_per_contract",
    "settlement_window",
)  # fmt: skip
PARTS = {
    "top": ("bid", "ask", "bid_size", "ask_size"),
    "mark": ("mark",),
    "forward": ("underlying_price",),
    "vol": ("vol", "rate"),
    "funding": ("funding_rate", "funding_hours"),
    "volume": ("volume",),
    "borrow": ("borrow_rate",),
}
HELD = "held"  # the part of marks that a statement of positions gives: they stand in where no market data has one
QUOTES = ("instrument", "time", "part", *(field for fields in PARTS.values() for field in fields))
DEPTH = ("instrument", "time", "side", "price", "size")
BOOKS = ("book", "instrument", "quantity", "time", "scope")
FILLS = ("fill_id", "order_id", "book", "instrument", "quantity", "price", "fee", "money", "time", "source")
EVENTS = ("event_id", "time", "known_at", "kind", "instrument", "value", "money", "other")
HISTORY = ("driver", "time", "level")
GREEKS = ("instrument", "time", "venue_delta", "venue_gamma", "venue_vega", "venue_theta", "venue_rho")
LEFT = ("file", "place", "what", "why", "count")
FRAMES = {
    "instruments": INSTRUMENTS, "quotes": QUOTES, "depth": DEPTH, "books": BOOKS, "fills": FILLS, "events": EVENTS,
    "history": HISTORY, "greeks": GREEKS, "rejected": LEFT,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Imported:
    """What the files of one source say.

    instruments   one row per contract, fields of a market's instruments, further facts of the source beside them
    quotes        what was seen when: a row speaks of one `part` (see PARTS) of one instrument at one time
    depth         the last order book of each instrument (price units, contracts)
    books         positions and cash by book, cash under its currency's name; `scope` is what a statement speaks of
                  (the positions of one coin, the balances): a later one of the same scope replaces an earlier one
    fills         our own executions: signed contracts, price in price units, fee in `money`
    events        dividends, splits, funding ..., the columns of events.csv
    history       past levels of drivers, in their units: prices, vols as decimals
    greeks        the venue's own, in its units: for comparison, never used
    rejected      what has no place here or was not understood: file, place, what, why, how often
    used          by file, how many of its records were read
    money         the currency that the source itself reckons in, or ''
    moves         what changed holdings and is no fill here: problems of books that are sums of fills
    problems      what is held, or may be, and could not be read, in sentences that begin with its file
    """

    instruments: pd.DataFrame
    quotes: pd.DataFrame
    depth: pd.DataFrame
    books: pd.DataFrame
    fills: pd.DataFrame
    events: pd.DataFrame
    history: pd.DataFrame
    greeks: pd.DataFrame
    rejected: pd.DataFrame
    notes: tuple[str, ...] = ()
    used: Mapping[str, int] = field(default_factory=dict)
    money: str = ""
    problems: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
