"""A market in words: what there is, and what of it should give pause."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optihedge.market.drivers import MONEY
from optihedge.market.parity import contradictions
from optihedge.market.per_driver import PerDriver
from optihedge.market.styles import unsaid_styles
from optihedge.market.valuation import astray_forwards


def summary(market: PerDriver) -> dict[str, str]:
    """What there is, in words, by subject."""
    kinds = market.instruments["type"].value_counts()
    drivers = market.drivers["kind"].value_counts()
    sides = market.trade_cost.notna()
    days = market.history.index
    span = f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}" if len(days) else "none"
    text = {
        "as of": f"{market.as_of:%Y-%m-%d %H:%M:%S} UTC, in {market.base_currency}",
        "instruments": f"{len(market.names)} ({', '.join(f'{n} {t}' for t, n in kinds.items())})",
        "tradable": f"{int(sides.all(axis=1).sum())} on both sides, {int((sides.sum(axis=1) == 1).sum())} on one",
        "drivers": f"{len(market.drivers)} ({', '.join(f'{n} {t}' for t, n in drivers.items())})",
        "history": f"{len(market.history)} rows, {span}, {market.periods_per_year:g} periods a year",
    }
    if market.left_out:
        first, why = next(iter(market.left_out.items()))
        text["left out"] = f"{len(market.left_out)} instruments or drivers, {first} first: {why}"
    if market.unread:
        first, why = next(iter(market.unread.items()))
        text["unread"] = f"{len(market.unread)} quotes or levels, {first} first: {why}"
    bare = (market.unmodelled[["vega", "basis"]] != 0).sum()
    for name, count in bare[bare > 0].items():
        text[f"unmodelled {name}"] = f"{count} contracts have no {'vol' if name == 'vega' else name} driver"
    loads = sp.coo_array(market._loadings[0])
    beside = (market.drivers["kind"] == "price").to_numpy()[loads.row] & (loads.row != market.paths.driver[loads.col])
    for driver, count in market.drivers.index[loads.row[beside]].value_counts(sort=False).items():
        text[f"beside {driver}"] = (
            f"{count} contracts on something else load on this price too, which is neither their delta nor fx"
            + ("; give it kind fx" if market.drivers.at[driver, "underlying"] in MONEY else "")
        )
    unsaid = unsaid_styles(market.instruments)
    if len(unsaid):
        text["exercise"] = (
            f"{len(unsaid)} options on US stocks, {unsaid[0]} first, are valued as European, since neither their "
            "venue nor field exercise says otherwise; write american where they are"
        )
    astray = astray_forwards(market.contracts, market.instruments)
    if astray.any():
        text["forwards"] = (
            f"{int(astray.sum())} options, {market.names[astray][0]} first, have a forward more than 2 % from the "
            "future of their expiry; underlying_price is a forward, not the index"
        )
    against = contradictions(market.contracts, market.instruments["underlying"], market.quotes)
    if np.isfinite(against).any():
        at = int(np.argmax(np.isfinite(against)))
        text["parity"] = (
            f"{int(np.isfinite(against).sum())} options, {market.names[at]} first (forward "
            f"{market.contracts.forward[at]:g}, parity {against[at]:g}), have a forward that their own calls and "
            "puts contradict by more than 0.5 %; mend underlying_price, rate, dividends or borrow"
        )
    return text
