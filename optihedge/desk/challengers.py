"""Champion beside challenger: what a list that never left would have gained over the other until the next night."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from optihedge.batch.tables import table_of
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.reading import files_of, runs_of
from optihedge.desk.ledger.runs import CHALLENGER
from optihedge.desk.task import ALTERNATIVE, PROPOSED
from optihedge.errors import DataError
from optihedge.market.earned import contract_pnl
from optihedge.market.snapshot import Market
from optihedge.market.store.store import Store, open_store

Row = dict[str, Any]
COLUMNS = ("book", "as_of", "challenger", "gain", "cost", "forecast", "champion's")


def beside_challengers(desk: Desk, book: str | None = None) -> pd.DataFrame:
    """A row per night, book and challenger whose night was followed by another, base currency.

    gain        of the challenger's list over the champion's until the next night, both filled at once: difference of
                contracts x what one earned, less the difference of what trading was to cost
    cost        the challenger's less the champion's;  forecast, champion's  volatility per day that each leaves

    A night on which a contract of either cannot be valued at the next one has no gain (NaN).
    """
    store, rows = open_store(desk.store), []
    with open_ledger(desk.ledger).read() as connection:
        runs = runs_of(connection, book)
        nights = {(run["book"], run["as_of"]): run for run in runs if run["stands"] and run["after"]}
        for run in runs:
            champion = nights.get((run["book"], run["as_of"]))
            later = [as_of for name, as_of in nights if name == run["book"] and as_of > run["as_of"]]
            if run["role"] == CHALLENGER and run["status"] == "done" and champion is not None and later:
                end = nights[run["book"], min(later)]["snapshot"]
                rows.append(_compared(connection, store, run, champion, end))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compared(connection: Connection, store: Store, run: Row, champion: Row, end: str) -> dict[str, object]:
    theirs, ours = files_of(connection, run["id"]), files_of(connection, champion["id"])
    (list_a, night_a), (list_b, night_b) = _told(theirs, ALTERNATIVE), _told(ours, PROPOSED)
    apart = list_a.sub(list_b, fill_value=0.0)
    apart = apart[apart != 0]
    cost = night_a["cost"] - night_b["cost"]
    return {
        "book": run["book"], "as_of": run["as_of"][:16], "challenger": run["model"],
        "gain": _earned(store.open(run["snapshot"]), store.open(end), apart) - cost, "cost": cost,
        "forecast": night_a.get("forecast"), "champion's": night_b.get("forecast"),
    }  # fmt: skip


def _told(files: dict[str, str], name: str) -> tuple[pd.Series, dict[str, Any]]:
    """A run's list, contracts by instrument (none where it made none or was held), and what its night came to."""
    night = json.loads(files.get("night.json", '{"cost": 0.0}'))
    if name not in files:
        return pd.Series(dtype=float), {**night, "cost": 0.0}
    table = table_of(files[name])
    return table.set_index("instrument")["quantity"].astype(float), night


def _earned(start: Market, end: Market, held: pd.Series) -> float:
    try:
        return float(held @ contract_pnl(start, end, held.index)) if len(held) else 0.0
    except DataError:
        return np.nan
