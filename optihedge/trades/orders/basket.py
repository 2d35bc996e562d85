"""A basket file of Interactive Brokers' Trader Workstation: one header, one row an order.

Source: Interactive Brokers, "Basket Fields" and "Manually Create a Basket File" of the TWS guide.
"""

from __future__ import annotations

import pandas as pd

from optihedge.errors import SpecError
from optihedge.trades.export import csv_text
from optihedge.trades.orders.table import CANCEL, NEW, REPEAT, REPLACE

_SECURITY = {"equity": "STK", "future": "FUT", "option": "OPT", "spot": "CASH"}
_COLUMNS = ("Action", "Quantity", "Symbol", "SecType", "LastTradingDayOrContractMonth", "Strike", "Right", "Exchange",
            "Currency", "TimeInForce", "OrderType", "LmtPrice", "BasketTag", "OrderRef")  # fmt: skip


def text(orders: pd.DataFrame) -> str:
    """The new orders as a basket. Raises SpecError for what a basket cannot say: cancels, replacements, other kinds.

    Futures and options carry their underlying as Symbol and their expiry day. Venue XXXX becomes SMART for a share
    without a venue.
    """
    other = orders[orders["action"].isin((CANCEL, REPLACE))]
    if len(other):
        first = other.iloc[0]
        raise SpecError(f"orders: a basket cannot {first['action']} {first['replaces']}; take it back in the "
                        "workstation first, then write the basket without open orders")  # fmt: skip
    orders = orders[orders["action"] != REPEAT]
    strange = orders[~orders["kind"].isin(_SECURITY)]
    if len(strange):
        first = strange.iloc[0]
        raise SpecError(f"orders: a basket has no word for {first['instrument']}, a contract of type {first['kind']}; "
                        "use another format for its venue")  # fmt: skip
    dated = orders["expiry"] != ""
    own = orders["symbol"] != orders["instrument"]
    table = pd.DataFrame(
        {
            "Action": orders["side"],
            "Quantity": orders["amount"],
            "Symbol": orders["underlying"].where(dated & ~own, orders["symbol"]),
            "SecType": orders["kind"].map(_SECURITY),
            "LastTradingDayOrContractMonth": orders["expiry"].str[:10].str.replace("-", "", regex=False),
            "Strike": [f"{strike:.12g}" if right else "" for strike, right in zip(orders["strike"], orders["right"],
                                                                                 strict=True)],
            "Right": orders["right"],
            "Exchange": orders["venue"].where(orders["venue"] != "", "SMART"),
            "Currency": orders["currency"],
            "TimeInForce": orders["time_in_force"].str.upper(),
            "OrderType": orders["type"].map({"limit": "LMT", "market": "MKT"}),
            "LmtPrice": orders["price"],
            "BasketTag": orders["list_id"],
            "OrderRef": orders["order_id"],
        },
        columns=list(_COLUMNS),
    )  # fmt: skip
    return csv_text(table if (orders["action"] == NEW).any() else table.iloc[:0])
