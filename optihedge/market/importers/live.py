"""A thin layer on a client that the user made, such as one of ccxt: ask it for what an import needs.

Nothing here opens a connection, keeps a key or retries: the client does, as its owner set it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from optihedge.market.importers.imported import Imported
from optihedge.market.importers.sources import import_values

_ALL = {  # what is asked for at once: the client's method, and whether it takes symbols
    "tickers": ("fetch_tickers", True), "funding": ("fetch_funding_rates", True), "balance": ("fetch_balance", False),
    "positions": ("fetch_positions", True),
}  # fmt: skip


def fetch(
    client: Any, symbols: Iterable[str] | None = None, *, books: Iterable[str] = (), greeks: Iterable[str] = (),
    account: str = "",
) -> Imported:  # fmt: skip
    """What a ccxt-like client says now: markets, tickers, funding, balance, positions; order books and Greeks of some.

    symbols   unified symbols to ask for; None: all of the venue
    A method that the client has not, or that fails, is named among the rejected; the rest is imported.

    Example: `found = fetch(ccxt.deribit({"apiKey": ..., "secret": ...}), books=["BTC/USD:BTC"])`.
    """
    wanted = None if symbols is None else list(symbols)
    values: dict[str, Any] = {"markets": _asked(client.load_markets)}
    for name, (method, takes) in _ALL.items():
        call = getattr(client, method, None)
        values[name] = _asked(call, wanted) if takes else _asked(call)
    for name, method, chosen in (("book", "fetch_order_book", books), ("greeks", "fetch_greeks", greeks)):
        for symbol in chosen:
            values[f"{name} of {symbol}"] = _asked(getattr(client, method, None), symbol)
    return import_values("ccxt", values, venue=str(client.id), as_of=pd.Timestamp.now("UTC"), account=account)


def _asked(call: Callable | None, *arguments: Any) -> Any:
    """The client's answer, or its error as a value that an import names."""
    if call is None:
        return ValueError("the client has no such method")
    try:
        return call(*arguments)
    except Exception as error:  # the client's own errors, whatever they are: named, and the rest goes on
        return ValueError(f"{type(error).__name__}: {error}")
