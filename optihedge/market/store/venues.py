"""One underlying on several venues: are the prices that are recorded together of the same moment and the same money?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from optihedge.market.snapshot import Market

_LEVEL = 0.02  # share of the price by which two venues' may differ
_ENOUGH = 30  # moves from which a lag is judged
_LAG = 0.2  # by how much the correlation a row apart must exceed that of the same row
_LINEAR = ("equity", "spot", "index", "perpetual", "inverse_perpetual")


def venue_prices(market: Market) -> pd.DataFrame:
    """Prices that should agree: time, underlying, venue, instrument, price; underlyings on one venue alone left out.

    Compared are stocks, spot, indices and perpetuals, in the money that their underlying is quoted in.
    """
    table = market.instruments
    quote = table["currency"].where(~table["type"].str.startswith("inverse"), _quote_of(market))
    chosen = table["type"].isin(_LINEAR) & (table["venue"] != "")
    frame = pd.DataFrame({"underlying": table["underlying"] + "/" + quote, "venue": table["venue"]})[chosen]
    several = frame.groupby("underlying")["venue"].transform("nunique") > 1
    frame = frame[several].rename_axis("instrument").reset_index()
    frame.insert(0, "time", market.as_of)
    return frame.assign(price=market.price.reindex(frame["instrument"]).to_numpy())


def _quote_of(market: Market) -> pd.Series:
    at = market.paths.driver
    quoted = market.drivers["currency"].to_numpy(dtype=object)
    own = market.instruments["currency"].to_numpy(dtype=object)
    return pd.Series(np.where(at >= 0, quoted[at] if len(quoted) else own, own), market.names)


def compare_venues(prices: pd.DataFrame) -> list[str]:
    """What is odd about the rows of `venue_prices` so far, as sentences: a level apart now, a venue that lags.

    Level: the farthest of tonight's prices is more than 2 % from the median of the others. Lag: over the past nights
    one venue's moves follow another's a night late more closely than on the night.
    """
    found = []
    for name, rows in prices.groupby("underlying", sort=True):
        table = rows.pivot_table(index="time", columns="instrument", values="price", aggfunc="last").sort_index()
        last = table.iloc[-1].dropna()
        far = str((last / last.median() - 1).abs().idxmax())
        gap = last[far] / last.drop(far).median() - 1
        if abs(gap) > _LEVEL:
            found.append(f"{name}: {far} is {gap:+.1%} from the other venues; check its unit and its currency")
        found += _lags(str(name), np.log(table).diff().iloc[1:])
    return found


def _lags(name: str, moves: pd.DataFrame) -> list[str]:
    found = []
    for late in moves.columns:
        for early in moves.columns.drop(late):
            both = pd.DataFrame({"late": moves[late], "same": moves[early], "before": moves[early].shift(1)}).dropna()
            if len(both) < _ENOUGH or (both.std() == 0).any():
                continue
            together, behind = both.corr().loc["late", ["same", "before"]]
            if behind > together + _LAG:
                found.append(
                    f"{name}: {late} follows {early} a snapshot late (correlation {behind:.2f}, on the night "
                    f"{together:.2f}); check the time zone and close of its prices"
                )
    return found
