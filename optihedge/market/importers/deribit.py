"""Deribit: which of its files is read how, and what is known of its contracts when all of them are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optihedge.market.importers.deribit_messages import FEE_CAP, SHAPES, add_instruments, named_contracts
from optihedge.market.importers.deribit_tables import read_table
from optihedge.market.importers.envelope import listed, received
from optihedge.market.importers.intake import Intake
from optihedge.market.importers.raw import RawFile

PUBLISHED = {  # terms of 2026 for contracts that no instrument list describes: contract size, least amount, tick, fee
    ("BTC", "option"): (1.0, 0.1, 0.0001, 0.0003),
    ("ETH", "option"): (1.0, 1.0, 0.0001, 0.0003),
    ("BTC", "future"): (10.0, 10.0, 2.5, 0.0005),
    ("ETH", "future"): (1.0, 1.0, 0.25, 0.0005),
}
_HOLDERS = frozenset({"trades", "positions", "orders", "open_orders", "summaries", "data"})
"""Fields of answers and messages that are lists of records: user.changes has several, paged answers have `data`."""


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file of Deribit's into the intake."""
    if raw.form == "table":
        table: pd.DataFrame = raw.content
        read_table(table, intake)
    elif raw.form == "json":
        intake.records(_unwrapped(raw.content, intake), SHAPES)
    else:
        intake.reject("the file", f"{raw.form} is no format of Deribit's; give JSON, or a table of its fields")


def _unwrapped(values: object, intake: Intake) -> Iterator[tuple[str, dict]]:
    """The records inside JSON-RPC answers and subscriptions, each with its place."""
    for place, value, _ in received(values, intake):
        seen = pd.NaT
        if isinstance(value, dict) and "params" in value and "method" in value:
            params = value["params"] if isinstance(value["params"], dict) else {}
            value = params.get("data", params)
        elif isinstance(value, dict) and "result" in value:
            seen = value.get("usOut", pd.NaT)
            value = value["result"]
        value = _dates(value)
        extra = {} if seen is pd.NaT else {"_seen": seen}
        for one in value if _holders(value) else [value]:
            within = _HOLDERS & one.keys() if isinstance(one, dict) and "order" not in one else set()
            lists = [one[name] for name in sorted(within) if isinstance(one[name], list)]
            for part in lists or [one]:
                yield from listed(place, part, **extra)


def _dates(value: Any) -> Any:
    """Answers of get_expirations by currency as a list of them; anything else as it is."""
    kinds = {"option", "future", "any"}
    inner = list(value.values()) if isinstance(value, dict) else []
    dated = inner and all(isinstance(one, dict) and one and kinds >= one.keys() for one in inner)
    return inner if dated else value


def _holders(value: object) -> bool:
    """Whether it is a list of objects that hold lists: the positions of every subaccount."""
    return isinstance(value, list) and any(isinstance(one, dict) and _HOLDERS & one.keys() for one in value)


def finish(intake: Intake) -> None:
    """Describe by its name, and by the published terms, each contract seen that no instrument list describes."""
    intake.money = intake.money or "USD"
    _own_fees(intake)
    told = {*intake.frame("instruments")["instrument"], *intake.refused}
    seen = pd.concat([intake.frame(name)["instrument"] for name in ("quotes", "books", "fills")]).drop_duplicates()
    seen = seen[~seen.isin(told)].reset_index(drop=True)
    parts = named_contracts(seen)
    group = parts["kind"].replace("perpetual", "future")
    terms = [PUBLISHED.get(key) for key in zip(parts["base"], group, strict=True)]
    terms = [t if money == "" else None for t, money in zip(terms, parts["money"], strict=True)]
    known = np.array([t is not None for t in terms], dtype=bool)
    if not known.any():
        return
    seen, parts = seen[known], parts[known]
    size, least, tick, fee = np.array([t for t in terms if t is not None]).T
    option = (parts["kind"] == "option").to_numpy()
    tick = np.where((parts["kind"] == "perpetual").to_numpy(), tick / 5, tick)
    rows = pd.DataFrame({
        "instrument": seen, "type": "inverse_" + parts["kind"], "underlying": parts["base"], "currency": "USD",
        "multiplier": size, "venue_amount": size, "expiry": parts["expiry"], "strike": parts["strike"],
        "right": parts["right"], "lot": least / size, "min_quantity": least / size, "tick": tick, "fee": fee,
        "fee_cap": np.where(option, FEE_CAP, np.nan), "settlement_currency": parts["base"],
        "price_index": parts["base"].str.lower() + "_usd",
    })  # fmt: skip
    intake.note(f"{len(rows)} contracts, {rows['instrument'].iloc[0]} first, are in no instrument list: their expiry "
                "is their name's, contract size, lot, tick and fee are Deribit's published terms of 2026")  # fmt: skip
    add_instruments(rows, intake)


def _own_fees(intake: Intake) -> None:
    """The account's own fees in place of the contracts' list fees."""
    told = intake.frame("instruments")
    if not intake.fees or "price_index" not in told.columns:
        return
    option = told["type"].astype(str).str.endswith("option")
    kind = np.select([option, told["type"].astype(str).str.endswith("perpetual")], ["option", "perpetual"], "future")
    own = [intake.fees.get(key) for key in zip(told["price_index"], kind, strict=True)]
    fee = [old if mine is None else mine[1] * (old if mine[0] == "relative" else 1.0)
           for old, mine in zip(told["fee"], own, strict=True)]  # fmt: skip
    chosen = np.array([mine is not None for mine in own], dtype=bool)
    if chosen.any():
        intake.note(f"fees of {int(chosen.sum())} contracts are the account's own, not the venue's list")
        intake.add("instruments", told.assign(fee=fee)[chosen])
