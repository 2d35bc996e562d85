"""The desk's own exposures and loadings, checked against the market they belong to."""

from __future__ import annotations

import pandas as pd

from optihedge.frames import Column, check_frame, refuse, unique_labels

_LOADINGS = {
    "instrument": Column("text", required=True),
    "driver": Column("text", required=True),
    "loading": Column("number", required=True),
}


def own_exposures(frame: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """Exposures per contract, N x names, NaN where the desk gave none. Raises DataError."""
    source = frame.attrs.get("source", "exposures")
    units = frame.attrs.get("unit", {})
    labelled = unique_labels(frame, "instrument", source)
    table = check_frame(labelled, {}, source, others="number")
    unknown = ~table.index.isin(names)
    refuse(unknown, source, "instrument {value} is not known", table.index.to_series(), "add it to instruments")
    table = table.reindex(names)
    table.attrs["unit"] = units
    return table


def own_loadings(frame: pd.DataFrame, names: pd.Index, drivers: pd.Index) -> pd.DataFrame:
    """Loadings in long form: instrument, driver, loading. Raises DataError."""
    source = frame.attrs.get("source", "loadings")
    table = check_frame(frame, _LOADINGS, source, others=None)
    for column, known in (("instrument", names), ("driver", drivers)):
        unknown = ~table[column].isin(known).to_numpy()
        refuse(unknown, source, f"{column} {{value}} is not known", table[column], f"add it to {column}s")
    twice = table.duplicated(["instrument", "driver"]).to_numpy()
    refuse(twice, source, "the loading of {value} on one driver appears twice", table["instrument"], "keep one row")
    return table
