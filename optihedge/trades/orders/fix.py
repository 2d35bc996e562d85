"""FIX 4.4: NewOrderSingle (D), NewOrderList (E), OrderCancelReplaceRequest (G) and OrderCancelRequest (F).

A message is tag=value fields, each ended by SOH; 9 counts the bytes between itself and 10, 10 is the sum of all bytes
before it modulo 256. Sequence numbers begin at 1: the session that sends them numbers them anew.
Source: FIX Trading Community, FIX 4.4 with Errata 20030618, volumes 1, 2 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from optihedge.errors import DataError
from optihedge.trades.orders.table import CANCEL, NEW, REPEAT, REPLACE

SOH = "\x01"
_SIDE = {"BUY": "1", "SELL": "2"}
_TYPE = {"market": "1", "limit": "2"}
_TIME = {"day": "0", "gtc": "1", "ioc": "3", "fok": "4"}
_SECURITY = {"equity": "CS", "future": "FUT", "inverse_future": "FUT", "perpetual": "FUT", "inverse_perpetual": "FUT",
             "option": "OPT", "inverse_option": "OPT"}  # fmt: skip
Fields = list[tuple[int, str]]


def messages(orders: pd.DataFrame, *, sender: str, target: str, as_list: bool = False) -> str:
    """The orders as FIX messages, one after the other.

    as_list   new orders as one NewOrderList a book; cancels and replacements stay messages of their own
    """
    bodies: list[tuple[str, Fields]] = []
    for order in orders[orders["action"] == CANCEL].itertuples():
        bodies.append(("F", [(41, order.replaces), (11, order.order_id), *_what(order), *_when(order)]))
    for order in orders[orders["action"] == REPLACE].itertuples():
        head = [(41, order.replaces), (11, order.order_id), (21, "1")]
        bodies.append(("G", [*head, *_what(order), *_when(order), *_how(order)]))
    fresh = orders[orders["action"] == NEW]
    if as_list:
        bodies += [("E", _list(rows)) for _, rows in fresh.groupby("book", sort=True) if len(rows)]
    else:
        bodies += [("D", [(11, o.order_id), (21, "1"), *_what(o), *_when(o), *_how(o)]) for o in fresh.itertuples()]
    return "".join(_framed(kind, n, body, sender, target, _clock(orders)) for n, (kind, body) in enumerate(bodies, 1))


def unsent(orders: pd.DataFrame) -> int:
    """Orders that need no message: they stand already."""
    return int((orders["action"] == REPEAT).sum())


def _list(rows: pd.DataFrame) -> Fields:
    body = [(66, rows["list_id"].iloc[0]), (394, "3"), (68, str(len(rows))), (73, str(len(rows)))]
    for place, order in enumerate(rows.itertuples(), start=1):
        body += [(11, order.order_id), (67, str(place)), (21, "1"), *_what(order), *_when(order), *_how(order)]
    return body


def _what(order) -> Fields:
    """The instrument, its side and how much."""
    body = [(55, order.symbol or order.instrument)]
    if order.kind in _SECURITY:
        body.append((167, _SECURITY[order.kind]))
    if order.expiry:
        body.append((541, order.expiry[:10].replace("-", "")))
    if order.right:
        body += [(461, f"O{order.right}XXXX"), (202, f"{order.strike:.12g}")]
    if order.kind in _SECURITY and order.kind != "equity":
        body.append((231, f"{order.multiplier:.12g}"))
    body += [(207, order.venue)] if order.venue else []
    body.append((54, _SIDE[order.side]))
    return [*body, (38, order.amount or order.quantity)]


def _when(order) -> Fields:
    return [(60, _fix_time(order.as_of))]


def _how(order) -> Fields:
    body = [(40, _TYPE[order.type])]
    body += [(44, order.price)] if order.price else []
    body += [(15, order.currency)] if order.currency else []
    return [*body, (59, _TIME[order.time_in_force])]


def _clock(orders: pd.DataFrame) -> str:
    return _fix_time(orders["as_of"].max()) if len(orders) else ""


def _fix_time(text: str) -> str:
    return pd.Timestamp(text).strftime("%Y%m%d-%H:%M:%S.000")


def _framed(kind: str, number: int, body: Iterable[tuple[int, str]], sender: str, target: str, clock: str) -> str:
    head = [(35, kind), (34, str(number)), (49, sender), (52, clock), (56, target)]
    inside = "".join(f"{tag}={_value(tag, value)}{SOH}" for tag, value in [*head, *body])
    text = f"8=FIX.4.4{SOH}9={len(inside)}{SOH}{inside}"
    return f"{text}10={sum(text.encode('ascii')) % 256:03d}{SOH}"


def _value(tag: int, value: object) -> str:
    text = str(value)
    if not text or not text.isascii() or not text.isprintable():
        raise DataError(f"orders: {text!r} cannot stand in FIX field {tag}; use printable ASCII, not empty")
    return text
