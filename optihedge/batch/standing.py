"""What a sender may send of an instant: the lists of its orders.json that stand, byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.batch.orders import DONE, ORDERS, Order
from optihedge.batch.output import sha256_of
from optihedge.batch.tables import table_of
from optihedge.errors import DataError


@dataclass(frozen=True, eq=False)
class Standing:
    """The lists of one instant that may be sent.

    instant, market   when, and the hash of the market's content
    lists             a list's lines by book;  missing  book and why there is none
    """

    instant: pd.Timestamp
    market: str
    lists: dict[str, pd.DataFrame]
    missing: dict[str, str]


def standing(folder: Path) -> Standing:
    """The lists of OUT/AS_OF that its orders.json promises.

    Raises DataError where the index is not there or not finished, and where a list is not the one that was promised.
    """
    index = folder / ORDERS
    try:
        body = json.loads(index.read_text(encoding="utf-8"))
        orders = [Order(**row) for row in body["lists"]]
        instant, market, complete = pd.Timestamp(body["instant"]), str(body["market_hash"]), bool(body["complete"])
    except OSError as error:
        raise DataError(f"{index} cannot be read ({error.strerror or error}); give a run's folder OUT/AS_OF") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{index} is no index of orders ({error}); run again") from None
    if not complete:
        raise DataError(f"{index}: its run has not ended; wait for it, or run again")
    lists = {order.book: _lines(folder, order) for order in orders if order.status == DONE}
    missing = {order.book: f"{order.status}: {order.why}" for order in orders if order.status != DONE}
    return Standing(instant=instant, market=market, lists=lists, missing=missing)


def _lines(folder: Path, order: Order) -> pd.DataFrame:
    path = (folder / str(order.path)).resolve()
    if folder.resolve() not in path.parents:
        raise DataError(f"{folder / ORDERS}: {order.path} lies outside the folder; run again")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); run again") from None
    if sha256_of(content) != order.sha256:
        raise DataError(f"{path} is not the list that was promised (its sha256 differs); run again")
    return table_of(content.decode("utf-8"))
