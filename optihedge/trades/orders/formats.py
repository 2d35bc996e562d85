"""The formats of orders, one place: a name, what it is, and the bytes it writes."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from optihedge.errors import SpecError, require_extra
from optihedge.files import write_bytes
from optihedge.frames import nearest, plain_text
from optihedge.trades.export import csv_text
from optihedge.trades.orders import basket, fix, unified

SENDER, TARGET = "DESK", "VENUE"


def _csv(orders: pd.DataFrame, **_: str) -> bytes:
    words = orders.copy()
    for column in ("book", "venue", "symbol", "instrument", "underlying", "reason"):
        words[column] = [plain_text(word) for word in words[column]]
    return csv_text(words).encode()


def _jsonl(orders: pd.DataFrame, **_: str) -> bytes:
    rows = orders.astype(object).where(orders.notna(), None).to_dict("records")
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode()


def _parquet(orders: pd.DataFrame, **_: str) -> bytes:
    if importlib.util.find_spec("pyarrow") is None:
        raise require_extra("pyarrow", "parquet")
    body = io.BytesIO()
    orders.to_parquet(body, index=False)
    return body.getvalue()


def _fix(orders: pd.DataFrame, *, sender: str = SENDER, target: str = TARGET) -> bytes:
    return fix.messages(orders, sender=sender, target=target).encode("ascii")


def _fix_list(orders: pd.DataFrame, *, sender: str = SENDER, target: str = TARGET) -> bytes:
    return fix.messages(orders, sender=sender, target=target, as_list=True).encode("ascii")


FORMATS: Mapping[str, tuple[str, Callable[..., bytes]]] = {
    "csv": ("one row an order", _csv),
    "jsonl": ("one JSON object an order", _jsonl),
    "parquet": ("one row an order, typed", _parquet),
    "fix": ("FIX 4.4, NewOrderSingle; replacements and cancels as such", _fix),
    "fix-list": ("FIX 4.4, one NewOrderList a book", _fix_list),
    "ccxt": ("arguments of ccxt's createOrder and cancelOrder, one JSON object a call",
             lambda orders, **_: unified.text(orders).encode()),
    "ibkr": ("a basket file of Trader Workstation", lambda orders, **_: basket.text(orders).encode()),
}  # fmt: skip
"""By name what each format is, and the function from an order table to bytes (FIX takes sender and target)."""


def orders_bytes(orders: pd.DataFrame, format: str, **session: str) -> bytes:
    """An order table in one of FORMATS. Raises SpecError for another, DataError for what it cannot say."""
    if format not in FORMATS:
        raise SpecError(f"orders: format {format!r}{nearest(format, FORMATS)} is unknown; one of {', '.join(FORMATS)}")
    return FORMATS[format][1](orders, **session)


def write_orders(orders: pd.DataFrame, path: str | Path, format: str, **session: str) -> None:
    """Write an order table, whole or not at all. See `orders_bytes`."""
    write_bytes(Path(path), orders_bytes(orders, format, **session))
