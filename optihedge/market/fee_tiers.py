"""Fees of a venue by what a desk has traded there: the tier it is in fills the fee of each of its contracts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame, completed, nearest

TIERS = {
    "venue": Column("text", required=True),
    "type": Column("text"),
    "volume": Column("number", required=True, least=0.0),
    "taker": Column("number", required=True),
    "maker": Column("number", required=True),
}
"""Columns of fee_tiers.csv.

venue   as in instruments.csv;  type  of instrument, empty: all of the venue's that have no row of their own type
volume  base currency traded there, as the venue counts it (mostly of thirty days), from which the tier holds
taker, maker   one-way, fraction of notional; a maker's may be negative
"""


def with_fee_tiers(instruments: pd.DataFrame, tiers: pd.DataFrame, traded: Mapping[str, float]) -> pd.DataFrame:
    """Instruments with `fee` (the taker's) and `maker_fee` of the highest tier that their venue's volume reaches.

    traded   venue -> what the desk has traded there, base currency; 0 where it is left out

    A fee that is given in the instruments stands, and is the maker's too where no `maker_fee` is given. Raises
    DataError for a venue of `traded` that has no tiers, and for tiers that do not begin at 0.
    """
    table = completed(check_frame(tiers, TIERS, tiers.attrs.get("source", "fee_tiers")), TIERS)
    known = list(dict.fromkeys(table["venue"]))
    for venue in traded:
        if venue not in known:
            raise DataError(f"traded: {venue} has no fee tiers{nearest(venue, known)}; there are {', '.join(known)}")
    reached = table[table["volume"] <= table["venue"].map(dict(traded)).astype(float).fillna(0.0)]
    now = reached.sort_values("volume", kind="stable").groupby(["venue", "type"])[["taker", "maker"]].last()
    for key in table.groupby(["venue", "type"]).groups:
        if key not in now.index:
            raise DataError(f"fee_tiers: {' '.join(key).strip()} has no tier from a volume of 0 on; add the lowest one")
    empty = pd.Series("", index=instruments.index)
    venue, kind = (instruments.get(name, empty).fillna("").astype(str) for name in ("venue", "type"))
    own, every = (now.reindex(pd.MultiIndex.from_arrays([venue, k])) for k in (kind, empty))
    found = {name: np.where(own[name].notna(), own[name], every[name]) for name in ("taker", "maker")}
    given, own_maker = (
        pd.to_numeric(instruments.get(name, empty).replace("", np.nan), errors="coerce").to_numpy(float)
        for name in ("fee", "maker_fee")
    )
    fee = np.where(np.isnan(given), np.nan_to_num(found["taker"]), given)
    maker = np.where(np.isnan(own_maker), np.where(np.isnan(given), found["maker"], np.nan), own_maker)
    made = instruments.assign(fee=fee, maker_fee=np.where(np.isnan(maker), fee, maker))
    made.attrs = dict(instruments.attrs)
    return made
