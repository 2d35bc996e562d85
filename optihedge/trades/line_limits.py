"""What one line of a list may trade: by age, liquidity, size, price and lists of names, each side for itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.frames import duration, nearest
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.result import Hedge
from optihedge.market.depth import displayed, usable_volume
from optihedge.market.instruments import number_column
from optihedge.market.snapshot import Market
from optihedge.program.arrays import Array
from optihedge.readonly import instants, kept, numbers
from optihedge.trades.checks import HOLD, PARK, Checks

BORROW = "borrow_available"  # a column of the instruments: contracts located, which may be sold short; empty: any
_LOT_ROUNDING = 1e-9  # of a lot
Limits = dict[tuple[str, str], Array]  # by check (a field of Checks) and its words, the most of N x 2, buy and sell


@dataclass(frozen=True, eq=False)
class Lines:
    """What each of N contracts in play may trade, buy and sell (N x 2): the `most` (contracts), and `which` of the
    checks (field and words) allows no more.
    """

    names: pd.Index
    most: Array
    which: Array
    checks: tuple[tuple[str, str], ...]

    @property
    def frame(self) -> pd.DataFrame:
        """By contract the most it may `buy` and `sell`, and the check of each, in words and by its field (`kind`)."""
        told: dict[str, Any] = {"buy": self.most[:, 0], "sell": self.most[:, 1]}
        for what, part in zip(("check", "kind"), reversed([*zip(*self.checks, strict=True)]), strict=True):
            for side, words in zip(("buy", "sell"), np.array(part, dtype=object)[self.which].T, strict=True):
                told[f"{side}_{what}"] = pd.Series(words, self.names, dtype=object)
        return pd.DataFrame(told, index=self.names)


def line_limits(hedge: Hedge, checks: Checks) -> Lines:
    """What each contract in play may trade by these checks."""
    market, names, at = hedge.market, hedge.problem.names, hedge.problem.positions
    limits: Limits = {("", "no limit"): np.full((len(names), 2), np.inf)}
    if checks.max_age is not None:
        old = _old(market, checks.max_age)[at]
        limits["max_age", f"quote older than {checks.max_age}"] = np.where(old[:, None], 0.0, np.full((1, 2), np.inf))
    if checks.displayed is not None or checks.volume is not None:
        limits |= _by_liquidity(hedge, checks)
    limits |= _by_size(hedge, checks) | _by_list(hedge, checks)
    for venue, its in checks.venues.items():
        if "line_notional" in its:
            notional = market.notional.to_numpy(float)[at]
            there = (market.instruments["venue"].to_numpy()[at] == venue) & (notional > 0)
            most = np.divide(its["line_notional"], notional, out=np.full(len(names), np.inf), where=there)
            limits["venues", f"{its['line_notional']:,.0f} of notional a line on {venue}"] = np.stack(
                [most, most], axis=1
            )
    table = np.stack(list(limits.values()))
    return Lines(names, table.min(axis=0), table.argmin(axis=0), tuple(limits))


def _old(market: Market, age: str) -> Array:
    """Which contracts (N, in the market's order) have a quote of more than that age."""
    oldest = (market.as_of - duration(age, "max_age")).tz_convert(None).as_unit("ns").asm8
    older = lambda: instants(market.quotes, "time") < oldest  # noqa: E731
    return kept(market.quotes, f"older than {age} at {market.as_of}", older)


@dataclass(frozen=True, eq=False)
class Failed:
    """What became of trades beyond their lines: `lines` that may be traded now, `notes` of it, why the list is held."""

    lines: Lines
    notes: list[str]
    reasons: list[str]


def failed(trades: pd.Series, lines: Lines, checks: Checks) -> Failed:
    """Each trade (contracts) beyond what its line may is limited, parked or holds the list, as its check says."""
    trade, left, notes, reasons = trades.to_numpy(float), lines.most.copy(), list[str](), list[str]()
    most = np.where(trade > 0, lines.most[:, 0], lines.most[:, 1])
    for i in np.flatnonzero(np.abs(trade) > most * (1 + _LOT_ROUNDING)):
        kind, label = lines.checks[lines.which[i, 0 if trade[i] > 0 else 1]]
        name, told, policy = trades.index[i], f"{most[i]:.10g} contracts ({label})", checks.failure(kind)
        if policy == HOLD:
            reasons.append(f"{name} would trade {trade[i]:+.10g}, more than {told}")
        elif policy == PARK:
            left[i] = 0.0
            notes.append(f"{name} parked: {trade[i]:+.10g} is more than {told}")
        else:
            notes.append(f"{name} limited to {told}")
    return Failed(replace(lines, most=left), notes, reasons)


def _by_liquidity(hedge: Hedge, checks: Checks) -> Limits:
    """What is shown and the share of the daily volume (N x 2, buy and sell), each where it allows the more."""
    market, names = hedge.market, hedge.problem.names
    shown = displayed(market, names)[:, ::-1] * (np.nan if checks.displayed is None else checks.displayed)
    volume = usable_volume(market, names)
    worked = np.stack([volume, volume], axis=1) * (np.nan if checks.volume is None else checks.volume)
    by_size = (shown >= worked) | np.isnan(worked)
    return {
        ("displayed", f"{checks.displayed or 0:g} x displayed size"): np.where(
            by_size & ~np.isnan(shown), shown, np.inf
        ),
        ("volume", f"{checks.volume or 0:.0%} of daily volume"): np.where(by_size, np.inf, worked),
    }


def _by_size(hedge: Hedge, checks: Checks) -> Limits:
    """Notional, contracts, participation, price and position: each check's limits (N x 2, buy and sell)."""
    market, names = hedge.market, hedge.problem.names
    at, held = hedge.problem.positions, hedge.before.to_numpy(float)
    notional, price = (table.to_numpy(float)[at] for table in (market.notional, market.price))
    each = lambda most: np.divide(most, notional, out=np.full(len(names), np.inf), where=notional > 0)  # noqa: E731
    limits: Limits = {}
    if checks.line_notional is not None:
        limits["line_notional", f"{checks.line_notional:,.0f} of notional a line"] = np.stack(
            [each(checks.line_notional)] * 2, axis=1
        )
    if checks.line_quantity is not None:
        limits["line_quantity", f"{checks.line_quantity:,.10g} contracts a line"] = np.full(
            (len(names), 2), checks.line_quantity
        )
    for over, share in checks.participations.items():
        days = hedge.problem.days if over == "horizon" else parse_horizon(over, market.periods_per_year).days
        worked = share * days * numbers(market.quotes, "volume")[at]
        of = (
            "daily volume" if over == "1d" else f"the volume of {over}" if over != "horizon" else "the horizon's volume"
        )
        limits["participation", f"participation {share:.0%} of {of}"] = np.stack(
            [np.where(np.isnan(worked), np.inf, worked)] * 2, axis=1
        )
    if checks.price_band is not None:
        away = np.abs(market.quotes[["ask", "bid"]].to_numpy(float)[at] - price[:, None])
        limits["price_band", f"further than {checks.price_band:.2%} from its mark"] = np.where(
            away > checks.price_band * np.abs(price)[:, None], 0.0, np.inf
        )
    if checks.position_notional is not None:
        most = each(checks.position_notional)
        room = np.maximum(np.stack([most - held, most + held], axis=1), 0.0)
        limits["position_notional", f"{checks.position_notional:,.0f} of notional held"] = room
    return limits


def _by_list(hedge: Hedge, checks: Checks) -> Limits:
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
    limits: Limits = {
        (label.replace(" ", "_"), label): np.where(names.isin(list(listed))[:, None], most, anything)
        for label, listed, most in kinds if listed
    }  # fmt: skip
    if BORROW in hedge.market.instruments.columns:
        located = number_column(hedge.market.instruments.loc[names], BORROW, 0.0, "contracts, 0 or more")
        room = np.where(np.isnan(located), np.inf, np.maximum(held + located, sides[:, 1]))
        limits[BORROW, "borrow available"] = np.stack([anything[:, 0], room], axis=1)
    return limits
