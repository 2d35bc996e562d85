"""Exercise styles: what the family, venue and underlying of an option say where its instrument does not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.frames import objects, refuse
from optihedge.market.instruments import types_of
from optihedge.readonly import texts

AMERICAN, EUROPEAN = "american", "european"
CRYPTO_VENUES = frozenset({
    "aevo", "binance", "bit.com", "bitget", "bybit", "delta", "deribit", "derive", "gate", "hyperliquid", "kraken",
    "lyra", "okex", "okx", "paradex",
})  # fmt: skip
FUTURES_VENUES = frozenset({"cbot", "cme", "comex", "globex", "glbx", "nymex", "xcbt", "xcme", "xcec", "xnym"})
"""Where the quarterly and monthly options on futures are American; give the weekly European ones their style."""
STOCK_VENUES = frozenset({
    "amex", "arca", "bats", "box", "cboe", "edgx", "emld", "gemini", "ise", "memx", "mercury", "miax", "mprl",
    "nasdaq", "nyse", "opra", "pearl", "phlx", "smart", "xcbo",
})  # fmt: skip
"""US options exchanges: what is on a stock or a fund is American, on an index European."""
INDICES = frozenset({
    "AEX", "BTCUSD", "CAC", "CAC40", "DAX", "DJX", "ESTX50", "ETHUSD", "FTSE", "HSI", "MRUT", "MXEA", "MXEF", "NANOS",
    "NDX", "NDXP", "NIFTY", "NK225", "NKY", "OMXS30", "RUT", "RUTW", "SMI", "SPX", "SPXPM", "SPXW", "SX5E", "UKX",
    "VIX", "VIXW", "XEO", "XND", "XSP",
})  # fmt: skip
"""Underlyings whose listed options are European whatever the venue."""
AMERICAN_INDICES = frozenset({"OEX"})
FUTURES = frozenset({
    "6A", "6B", "6C", "6E", "6J", "CL", "ES", "GC", "HG", "HO", "LE", "MES", "MNQ", "NG", "NQ", "RB", "RTY", "SI", "YM",
    "ZB", "ZC", "ZF", "ZL", "ZM", "ZN", "ZS", "ZT", "ZW",
})  # fmt: skip
"""Underlyings whose listed options are on their future, and American."""


def exercise_styles(instruments: pd.DataFrame) -> np.ndarray:
    """european, american or '' (nobody says: valued as European) per contract, N; '' for what is no option.

    In this order: the instrument's own; coin-settled options and crypto venues, European; known indices, European;
    futures venues, and known futures where one is in this market, American; anything else at a US options exchange,
    American, unless its underlying is an index here. Raises DataError for an American option settled in coin.
    """
    kinds, source = types_of(instruments), instruments.attrs.get("source", "instruments")
    types, style, asset, venues = (texts(instruments, name) for name in ("type", "exercise", "underlying", "venue"))
    odd = "exercise{of} is {value}, yet it is settled in coin"
    refuse(kinds["inverse"] & (style == AMERICAN), source, odd, style, "write european", instruments.index)
    found = objects("" for _ in types)
    with_index, with_future = ({*asset[types == kind]} for kind in ("index", "future"))
    for row in np.flatnonzero(kinds["option"]):
        name, known, venue = asset[row], asset[row].upper(), venues[row].lower()
        on_future = (known in FUTURES and name in with_future) or venue in FUTURES_VENUES
        if style[row]:
            found[row] = style[row]
        elif kinds["inverse"][row] or venue in CRYPTO_VENUES or known in INDICES:
            found[row] = EUROPEAN
        elif known in AMERICAN_INDICES or on_future:
            found[row] = AMERICAN
        elif venue in STOCK_VENUES:
            found[row] = EUROPEAN if name in with_index else AMERICAN
    return found


def unsaid_styles(instruments: pd.DataFrame) -> pd.Index:
    """Options valued as European although nobody says so, on a stock of this market that is quoted in dollars: most
    such options are American."""
    stocks = instruments["underlying"][(instruments["type"] == "equity") & (instruments["currency"] == "USD")]
    silent = types_of(instruments)["option"] & (instruments["exercise"] == "")
    return instruments.index[silent & instruments["underlying"].isin(stocks.unique())]
