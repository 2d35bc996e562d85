"""Calls of ccxt's unified interface with their arguments, for whoever holds the keys: createOrder and cancelOrder."""

from __future__ import annotations

import json

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import some
from optihedge.trades.orders.table import CANCEL, NEW, REPLACE

_TIME = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}  # a day order is no word of these venues: it is left to the venue


def calls(orders: pd.DataFrame) -> list[dict]:
    """One dictionary a call: `exchange`, `method`, and `arguments` by name. A replaced order is cancelled first.

    Raises DataError for an order without a venue.
    arguments of createOrder   symbol, type, side, amount (what the venue counts), price, params
    """
    made: list[dict] = []
    homeless = orders.loc[orders["venue"].fillna("").astype(str).str.strip() == "", "instrument"]
    if len(homeless):
        raise DataError(
            f"{some(list(dict.fromkeys(homeless)), 3)}: no venue, and a ccxt call goes to an exchange; give the "
            "instruments a column venue (binance, deribit, ...), or write another format"
        )
    for order in orders[orders["action"].isin((CANCEL, REPLACE))].itertuples():
        arguments = {"id": None, "symbol": order.symbol or order.instrument,
                     "params": {"clientOrderId": order.replaces}}  # fmt: skip
        made.append({"exchange": order.venue, "method": "cancelOrder", "arguments": arguments})
    for order in orders[orders["action"].isin((NEW, REPLACE))].itertuples():
        params = {"clientOrderId": order.order_id}
        params |= {"timeInForce": _TIME[order.time_in_force]} if order.time_in_force in _TIME else {}
        params |= {"reduceOnly": True} if order.reduce_only else {}
        arguments = {
            "symbol": order.symbol, "type": order.type, "side": order.side.lower(), "amount": float(order.amount),
            "price": float(order.price) if order.price else None, "params": params,
        }  # fmt: skip
        made.append({"exchange": order.venue, "method": "createOrder", "arguments": arguments})
    return made


def text(orders: pd.DataFrame) -> str:
    """The calls as JSON Lines."""
    return "".join(json.dumps(call, allow_nan=False) + "\n" for call in calls(orders))
