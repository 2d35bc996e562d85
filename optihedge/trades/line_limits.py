"""What one line of a list may trade: by age, liquidity, size, price and lists of names, each side for itself."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import duration, nearest
from optihedge.hedge.result import Hedge
from optihedge.market.depth import displayed, usable_volume
from optihedge.program.program import Array
from optihedge.trades.checks import Checks

BORROW = "borrow_available"  # a column of the instruments: contracts located, which may be sold short; empty: any
_LOT_ROUNDING = 1e-9  # of a lot


def line_limits(hedge: Hedge, checks: Checks) -> pd.DataFrame:
    """Per contract in play: the most it may `buy` and `sell` (contracts), and the check that allows no more of each."""
    market, names, at = hedge.market, hedge.problem.names, hedge.problem.positions
    limits = {"no limit": np.full((len(names), 2), np.inf)}
    if checks.max_age is not None:
        old = (market.as_of - market.quotes["time"].iloc[at] > duration(checks.max_age, "max_age")).to_numpy()
        limits[f"quote older than {checks.max_age}"] = np.where(old[:, None], 0.0, np.full((1, 2), np.inf))
    if checks.displayed is not None or checks.volume is not None:
        limits |= _by_liquidity(hedge, checks)
    limits |= _by_size(hedge, checks) | _by_list(hedge, checks)
    for venue, its in checks.venues.items():
        if "line_notional" in its:
            notional = market.notional.to_numpy(float)[at]
            there = (market.instruments["venue"].to_numpy()[at] == venue) & (notional > 0)
            most = np.divide(its["line_notional"], notional, out=np.full(len(names), np.inf), where=there)
            limits[f"{its['line_notional']:,.0f} of notional a line on {venue}"] = np.stack([most, most], axis=1)
    table = np.stack(list(limits.values()))
    least, which = table.min(axis=0), np.array(list(limits))[table.argmin(axis=0)]
    return pd.DataFrame(
        {"buy": least[:, 0], "sell": least[:, 1], "buy_check": which[:, 0], "sell_check": which[:, 1]}, index=names
    )


def over_their_limits(trades: pd.Series, lines: pd.DataFrame) -> list[str]:
    """A note for each trade (contracts) beyond what its line may: how many it is limited to, and by which check."""
    trade, (buy, sell) = trades.to_numpy(float), (lines[side].to_numpy(float) for side in ("buy", "sell"))
    most = np.where(trade > 0, buy, sell)
    check = np.where(trade > 0, lines["buy_check"], lines["sell_check"])
    return [
        f"{trades.index[i]} limited to {most[i]:.10g} contracts ({check[i]})"
        for i in np.flatnonzero(np.abs(trade) > most * (1 + _LOT_ROUNDING))
    ]


def _by_liquidity(hedge: Hedge, checks: Checks) -> dict[str, Array]:
    """What is shown and the share of the daily volume (N x 2, buy and sell), each where it allows the more."""
    market, names = hedge.market, hedge.problem.names
    shown = displayed(market, names)[:, ::-1] * (np.nan if checks.displayed is None else checks.displayed)
    volume = usable_volume(market, names)
    worked = np.stack([volume, volume], axis=1) * (np.nan if checks.volume is None else checks.volume)
    by_size = (shown >= worked) | np.isnan(worked)
    return {
        f"{checks.displayed or 0:g} x displayed size": np.where(by_size & ~np.isnan(shown), shown, np.inf),
        f"{checks.volume or 0:.0%} of daily volume": np.where(by_size, np.inf, worked),
    }


def _by_size(hedge: Hedge, checks: Checks) -> dict[str, Array]:
    """Notional, contracts, participation, price and position: each check's limits (N x 2, buy and sell)."""
    market, names = hedge.market, hedge.problem.names
    at, held = hedge.problem.positions, hedge.before.to_numpy(float)
    notional, price = (table.to_numpy(float)[at] for table in (market.notional, market.price))
    each = lambda most: np.divide(most, notional, out=np.full(len(names), np.inf), where=notional > 0)  # noqa: E731
    limits: dict[str, Array] = {}
    if checks.line_notional is not None:
        limits[f"{checks.line_notional:,.0f} of notional a line"] = np.stack([each(checks.line_notional)] * 2, axis=1)
    if checks.line_quantity is not None:
        limits[f"{checks.line_quantity:,.10g} contracts a line"] = np.full((len(names), 2), checks.line_quantity)
    if checks.participation is not None:
        worked = checks.participation * market.quotes["volume"].to_numpy(float)[at]
        limits[f"participation {checks.participation:.0%} of daily volume"] = np.stack(
            [np.where(np.isnan(worked), np.inf, worked)] * 2, axis=1
        )
    if checks.price_band is not None:
        away = np.abs(market.quotes[["ask", "bid"]].to_numpy(float)[at] - price[:, None])
        limits[f"further than {checks.price_band:.2%} from its mark"] = np.where(
            away > checks.price_band * np.abs(price)[:, None], 0.0, np.inf
        )
    if checks.position_notional is not None:
        most = each(checks.position_notional)
        room = np.maximum(np.stack([most - held, most + held], axis=1), 0.0)
        limits[f"{checks.position_notional:,.0f} of notional held"] = room
    return limits


def _by_list(hedge: Hedge, checks: Checks) -> dict[str, Array]:
    """What restricted, no-short and reduce-only lists and what can be borrowed leave of each contract (N x 2)."""
    names, held = hedge.problem.names, hedge.before.to_numpy(float)
    known = hedge.market.names
    for name in (*checks.restricted, *checks.no_short, *checks.reduce_only):
        if name not in known:
            raise SpecError(f"checks: {name} is no instrument of this market{nearest(name, known)}; mend the list")
    sides = np.stack([np.maximum(-held, 0.0), np.maximum(held, 0.0)], axis=1)
    anything = np.full((len(names), 2), np.inf)
    kinds: tuple[tuple[str, Iterable[str], Array], ...] = (
        ("restricted", checks.restricted, np.zeros((len(names), 2))),
        ("no short", checks.no_short, np.stack([anything[:, 0], sides[:, 1]], axis=1)),
        ("reduce only", checks.reduce_only, sides),
    )
    limits = {
        label: np.where(names.isin(list(listed))[:, None], most, anything) for label, listed, most in kinds if listed
    }
    if BORROW in hedge.market.instruments.columns:
        given = hedge.market.instruments.loc[names, BORROW].replace("", np.nan)
        located = pd.to_numeric(given, errors="coerce").to_numpy(float)
        wrong = given.notna().to_numpy() & ~(located >= 0)
        if wrong.any():
            raise DataError(f"instruments: {BORROW} of {names[wrong][0]} is {given[wrong].iloc[0]!r}; write contracts, "
                            "0 or more, or leave it empty")  # fmt: skip
        room = np.where(np.isnan(located), np.inf, np.maximum(held + located, sides[:, 1]))
        limits["borrow available"] = np.stack([anything[:, 0], room], axis=1)
    return limits
