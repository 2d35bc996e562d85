"""The vol and the price of every option of a market: the quote's own, implied, or another option's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.market.american import american_implied_vol
from optihedge.market.contracts import Contracts
from optihedge.market.fallback import model_price, standing_in, wild
from optihedge.market.pricing import implied_vol, implied_vol_reason


def with_vols(
    c: Contracts, instruments: pd.DataFrame, quotes: pd.DataFrame, on_missing: str
) -> tuple[Contracts, np.ndarray, pd.Series]:
    """The contracts with every option's vol and price, which options cannot be traded (N flags), and whose vol they
    took, in words."""
    bid, ask = (quotes[side].to_numpy(dtype=float) for side in ("bid", "ask"))
    vol = np.where(c.option & (quotes["vol"] != 0), quotes["vol"].to_numpy(dtype=float), np.nan)
    unpriced, implied = c.option & np.isnan(c.price), c.option & np.isnan(vol)
    at = np.flatnonzero(implied & ~unpriced)
    vol[at] = _implied(c.take(at))
    intrinsic = implied & (vol == 0)  # a price that says no more than that little time value is left
    vol[intrinsic] = np.nan
    vol[wild(c, instruments["underlying"], vol, implied, bid, ask)] = np.nan
    lost = np.flatnonzero(c.option & np.isnan(vol))
    vol[lost], whose = standing_in(c, instruments["underlying"], vol, lost)
    c = _priced(c, vol, ask, np.flatnonzero(unpriced))
    alone = np.flatnonzero(unpriced & np.isnan(vol))
    vol[alone] = _implied(c.take(alone))
    vol[intrinsic & np.isnan(vol)] = 0.0
    _refuse_unvalued(c, instruments, np.flatnonzero(c.option & np.isnan(vol)), on_missing)
    dead = np.zeros(len(vol), dtype=bool)
    dead[lost] = True
    dead &= ~intrinsic & ~(unpriced & np.isfinite(vol))
    return replace(c, vol=np.where(c.option, np.nan_to_num(vol), c.vol)), dead, whose


def _priced(c: Contracts, vol: np.ndarray, ask: np.ndarray, at: np.ndarray) -> Contracts:
    """The contracts with prices for the options at `at`: what their vol says, half the ask where they have none."""
    price, known = c.price.copy(), at[np.isfinite(vol[at])]
    price[at] = ask[at] / 2
    price[known] = np.fmin(model_price(c.take(known), vol[known]), ask[known])
    return replace(c, price=price)


def _implied(o: Contracts) -> np.ndarray:
    """The vols that the prices of these options imply, by their exercise style; NaN where there is none."""
    premium = o.price * np.where(o.inverse, o.forward, 1.0)
    found = implied_vol(premium, o.forward, o.strike, o.years, o.right, o.discount)
    early = np.flatnonzero(o.american)
    a = o.take(early)
    found[early] = american_implied_vol(
        a.price, a.deliverable, a.strike, a.years, a.right, a.rate, a.carry, a.ex, a.cash
    )
    return found


def _refuse_unvalued(c: Contracts, instruments: pd.DataFrame, lost: np.ndarray, on_missing: str) -> None:
    """Raises DataError for an option without a price, and unless prices may be missing for one without a vol."""
    silent = lost[np.isnan(c.price[lost])]
    if silent.size:
        raise DataError(
            f"quotes: {instruments.index[silent[0]]} has neither bid, ask, mark nor vol, nor has any option beside it; "
            "give its mark",
            instruments=tuple(map(str, instruments.index[silent])),
        )
    if lost.size and on_missing == "error":
        o = c.take(lost[:1])
        terms = (o.price * np.where(o.inverse, o.forward, 1.0), o.forward, o.strike, o.years, o.right, o.discount)
        reason = implied_vol_reason(*terms)[0] or "no more than its exercise is worth"
        raise DataError(
            f"quotes: {o.price[0]:g}, the price of {instruments.index[lost[0]]}, implies no vol "
            f"({reason}, forward {o.forward[0]:g}); give its vol, drop it, or set on_missing = 'freeze'",
            instruments=tuple(map(str, instruments.index[lost])),
        )
