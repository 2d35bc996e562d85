"""The past that a market folder tells by itself, as a store of markets that a backtest can walk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optihedge.content import text_hash
from optihedge.errors import DataError
from optihedge.market.panel import Panel
from optihedge.market.snapshot import Market
from optihedge.market.store.store import Store, open_store


def past_store(market: Market, folder: Path, held: Iterable[str], *, rows: int = 252, every: int = 1) -> Store:
    """Markets of the shares of a market at the levels of its history's rows, recorded in a folder of `folder`.

    held   contracts that must be among them;  rows  of history that each market knows;  every  so many rows a market

    The folder is named by what decides it, so that what was recorded before is taken as it is. Raises DataError as
    `Panel.of` does, and for fewer than two markets.
    """
    panel = Panel.of(market, rows=rows, keep=held)
    times = panel.times[::-1][::every][::-1]  # the last one always
    if len(times) < 2:
        raise DataError(f"history has {len(market.history)} rows, too few for two markets of {rows}, {every} apart; "
                        "give less --rows")  # fmt: skip
    store = open_store(folder / text_hash(f"{market.hash} {rows} {every}")[:16], create=True)
    known = set(store.snapshots()["as_of"])
    for time in times:
        if time not in known:
            store.record(panel.at(time))
    return store
