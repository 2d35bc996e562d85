"""A market of some of its contracts, each of which is in it what it is in the whole."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import nearest


def kept_for(names: Iterable[str], instruments: pd.DataFrame, drivers: pd.DataFrame, base_currency: str) -> np.ndarray:
    """Which instruments (N flags) a view of `names` holds: they, and what gives their prices, forwards and currencies.

    Kept beside the named: the future that one names as its forward, everything but options on an underlying that is
    needed or is a money, what quotes a currency pair, and of options on a needed underlying one of each expiry (it
    dates the drivers of that day). Raises DataError for a name that is not there.
    """
    wanted = pd.Index([names] if isinstance(names, str) else list(names)).unique()
    at = instruments.index.get_indexer(wanted)
    if (at < 0).any():
        name = wanted[at < 0][0]
        raise DataError(f"view: {name} is not in the market{nearest(name, instruments.index)}; leave it out")
    named = np.zeros(len(instruments), dtype=bool)
    named[at] = True
    named |= instruments.index.isin(instruments["forward"][named])
    underlying, currency = instruments["underlying"], instruments["currency"]
    alone = ~instruments["strike"].notna().to_numpy()  # all but options, and of these the first of an expiry
    alone |= ~instruments.duplicated(["underlying", "expiry"]).to_numpy()
    pairs = drivers[drivers["kind"] == "fx"]
    needed = {base_currency, *underlying[named], *currency[named], *pairs["underlying"], *pairs["currency"]}
    while True:
        kept = named | (alone & underlying.isin(needed).to_numpy())
        quoted = drivers["currency"][drivers["underlying"].isin(needed)]
        grown = needed | set(currency[kept]) | set(quoted) | set(currency[underlying.isin(needed)])
        if grown == needed:
            return kept
        needed = grown
