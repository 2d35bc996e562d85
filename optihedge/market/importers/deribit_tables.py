"""Recorded tables of Deribit's API fields, flattened by whoever recorded them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.importers.deribit_messages import named_contracts, read_instruments, read_tickers
from optihedge.market.importers.fields import Fields
from optihedge.market.importers.intake import Intake

_RECORDED = {
    "expiration": "expiration_timestamp", "expiry": "expiration_timestamp", "time": "timestamp",
    "bid_price": "best_bid_price", "ask_price": "best_ask_price", "implied_volatility": "mark_iv",
    "stats_volume": "stats.volume", "stats_volume_usd": "stats.volume_usd", "volume": "stats.volume",
    **{greek: f"greeks.{greek}" for greek in ("delta", "gamma", "vega", "theta", "rho")},
}  # fmt: skip
"""What recorders call the API's fields when they flatten them."""


def read_table(table: pd.DataFrame, intake: Intake) -> None:
    """A table of the API's fields, flattened by whoever recorded it, any number of snapshots."""
    table = table.reset_index(drop=True)
    table = table.rename(columns={a: b for a, b in _RECORDED.items() if b not in table.columns})
    for field in ("instrument_name", "timestamp"):
        if field not in table.columns:
            intake.reject("the table", f"no column {field}", count=len(table))
            return
    parts = named_contracts(table["instrument_name"])
    unread = (parts["kind"] == "").to_numpy()
    if unread.any():
        first = table["instrument_name"][unread].iloc[0]
        intake.reject("row", f"{first} is no name of a future or option of Deribit's", count=int(unread.sum()))
        table, parts = table[~unread].reset_index(drop=True), parts[~unread].reset_index(drop=True)
    if "contract_size" in table.columns:
        latest = ~table["instrument_name"].duplicated(keep="last")
        _recorded_instruments(table[latest].reset_index(drop=True), parts[latest].reset_index(drop=True), intake)
    table["instrument_name"] = table["instrument_name"].astype(str)
    fields = Fields(table, intake.reject, "row")
    priced = [c for c in ("best_bid_price", "mark_price") if c in table.columns]
    if not priced:
        intake.reject("the table", "no column of prices (best_bid_price, bid_price, mark_price)", count=len(table))
        return
    intake.used[intake.file] = len(table)
    read_tickers(fields, intake)


def _recorded_instruments(table: pd.DataFrame, parts: pd.DataFrame, intake: Intake) -> None:
    """Contract facts of a recorded table: what the name says, the size, least amount, tick and fee that it recorded."""
    option = parts["kind"] == "option"
    linear = parts["money"] != ""
    said = table.assign(
        kind=np.where(option, "option", "future"), base_currency=parts["base"],
        quote_currency=parts["money"].where(linear, parts["base"].where(option, "USD")),
        counter_currency=parts["money"].where(linear, "USD"),
        instrument_type=np.where(linear, "linear", "reversed"),
        settlement_period=np.where(parts["kind"] == "perpetual", "perpetual", "day"),
        option_type=parts["right"].map({"C": "call", "P": "put"}),
        expiration_timestamp=parts["expiry"], strike=parts["strike"],
    )  # fmt: skip
    read_instruments(Fields(said, intake.reject, "contract"), intake)
