"""A market's folder: its settings and tables, each a .csv or .parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import find_table, read_raw
from optihedge.market.fee_tiers import with_fee_tiers
from optihedge.market.settings import read_settings
from optihedge.market.snapshot import Market

FILES = (
    "instruments", "quotes", "drivers", "history", "exposures", "loadings", "depth", "events", "smile", "fee_tiers",
)  # fmt: skip
"""Tables of a market's folder, each a .csv or .parquet; the first two must be there."""


def read_market(folder: Path | str, *, as_of: pd.Timestamp | str | None = None) -> Market:
    """The market of a folder: market.toml, instruments, quotes and, optionally, drivers, history, exposures, loadings,
    depth, smile, events, fee_tiers, each a .csv (or .parquet). `as_of` overrides the one in market.toml. Raises
    DataError.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> print(market.base_currency, len(market.names))
    USD 39
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the folder that holds market.toml and instruments.csv")
    settings: dict[str, Any] = read_settings(folder / "market.toml")
    tables: dict[str, pd.DataFrame | None] = {}
    for name in FILES:
        path = find_table(folder, name)
        if path is None and name in ("instruments", "quotes"):
            raise DataError(f"{folder / name}.csv is not there; a market needs instruments.csv and quotes.csv")
        tables[name] = None if path is None else read_raw(path, lenient=True)
    if as_of is not None:
        settings["as_of"] = as_of
    instruments, unread = with_fee_tiers(tables["instruments"], tables["fee_tiers"], settings.pop("traded", {}))
    return Market(
        instruments=instruments,
        unread=unread,
        quotes=tables["quotes"],
        drivers=tables["drivers"],
        history=tables["history"],
        own_exposures=tables["exposures"],
        own_loadings=tables["loadings"],
        depth=tables["depth"],
        events=tables["events"],
        smile=tables["smile"],
        **settings,
    )
