"""Checks before a list may be sent: a line beyond its limit is boxed and the book solved again, else all is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from optihedge.errors import SpecError
from optihedge.frames import duration, nearest
from optihedge.hedge.problem import Problem
from optihedge.hedge.result import Hedge
from optihedge.program.certificate import RESIDUAL_TOLERANCE, row_tolerances
from optihedge.program.chain import solve
from optihedge.program.lots.cone_limits import OwnTerms, other_limits
from optihedge.program.lots.grid import Grid
from optihedge.program.lots.local_search import Neighbourhood
from optihedge.program.program import Array, objective, row_violations
from optihedge.trades.lots import round_to_lots, smallest_trades

_LOT_ROUNDING = 1e-9  # of a lot


@dataclass(frozen=True)
class Checks:
    """Limits of a trade list; None switches one off. They are the table `checks` of a model file.

    max_age           age of a quote at as_of beyond which its contract is not traded
    displayed         a line's quantity against the size quoted on its side (times; no size quoted: no limit)
    volume            a line's quantity against the daily volume (share; no volume: no limit)
    line_notional     base currency, of one line;  total_notional  of the whole list
    worth             doing nothing, where it meets every hard limit, must not be better than the list
    """

    max_age: str | None = "1d"
    displayed: float | None = 1.0
    volume: float | None = 0.1
    line_notional: float | None = None
    total_notional: float | None = None
    worth: bool = True

    def __post_init__(self) -> None:
        for name in ("displayed", "volume", "line_notional", "total_notional"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (number and np.isfinite(value) and value >= 0):
                raise SpecError(f"checks: {name} is {value!r}; give a number >= 0, or leave it out")
        if not isinstance(self.worth, bool):
            raise SpecError(f"checks: worth is {self.worth!r}; write true or false")
        if self.max_age is not None:
            duration(self.max_age, "checks: max_age")

    @classmethod
    def of(cls, settings: Checks | Mapping[str, object] | None) -> Checks:
        """Checks from a hedging model's `checks`: a Checks, a table of its fields, or None for the defaults.

        In a table, false switches a check off. Raises SpecError for an unknown field, with the nearest right name.
        """
        if isinstance(settings, Checks):
            return settings
        known = [f.name for f in fields(cls)]
        given = dict(settings or {})
        for name in given:
            if name not in known:
                raise SpecError(f"checks: there is no {name}{nearest(name, known)}; there are {', '.join(known)}")
        return cls(**{k: None if v is False and k != "worth" else v for k, v in given.items()})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a list may be sent.

    reasons  why it is held (empty: it is not);  notes  lines that were boxed, and what the certificate adds
    lines    per contract in play: most to buy and to sell (contracts, inf: no limit) and which check allows no more
    """

    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    lines: pd.DataFrame

    @property
    def held(self) -> bool:
        """The whole list is held."""
        return bool(self.reasons)


def checked(hedge: Hedge, checks: Checks | None = None) -> tuple[Hedge, Verdict]:
    """The hedge in whole lots with every line within its limits, and whether its list may be sent.

    If a line is beyond its limit, every contract is boxed at its allowed size and the book solved again, once.
    """
    limits = checks if checks is not None else Checks.of(hedge.model.checks)
    lines = line_limits(hedge, limits)
    rounded = round_to_lots(hedge)
    trades = rounded.trades
    most = lines["buy"].where(trades > 0, lines["sell"])
    notes = [
        f"{name} limited to {allowed:.10g} contracts ({lines.at[name, 'check']})"
        for name, allowed in most[trades.abs() > most * (1 + _LOT_ROUNDING)].items()
    ]
    if notes:
        boxed = _boxed(hedge, lines)
        if boxed is None:
            return rounded, Verdict((f"no hedge meets the limits with {'; '.join(notes)}",), (), lines)
        rounded = round_to_lots(boxed)
    if rounded.certificate.note:
        notes.append(rounded.certificate.note)
    return rounded, Verdict(tuple(list_reasons(rounded, limits)), tuple(notes), lines)


def line_limits(hedge: Hedge, checks: Checks) -> pd.DataFrame:
    """Per contract in play: the most it may buy and sell (contracts), and the check that allows least."""
    market, names = hedge.market, hedge.problem.names
    quotes = market.quotes.loc[names]
    limits = {"no limit": np.full((len(names), 2), np.inf)}
    if checks.max_age is not None:
        old = (market.as_of - quotes["time"] > duration(checks.max_age, "max_age")).to_numpy()
        limits[f"quote older than {checks.max_age}"] = np.where(old[:, None], 0.0, np.full((1, 2), np.inf))
    if checks.displayed is not None:
        sizes = quotes[["ask_size", "bid_size"]].to_numpy(float)
        limits[f"{checks.displayed:g} x displayed size"] = _times(checks.displayed, sizes)
    if checks.volume is not None:
        volume = quotes[["volume", "volume"]].to_numpy(float)
        limits[f"{checks.volume:.0%} of daily volume"] = _times(checks.volume, volume)
    if checks.line_notional is not None:
        notional = market.notional[names].to_numpy(float)
        most = np.divide(checks.line_notional, notional, out=np.full(len(names), np.inf), where=notional > 0)
        limits[f"{checks.line_notional:,.0f} of notional a line"] = np.stack([most, most], axis=1)
    table = np.stack(list(limits.values()))
    least = table.min(axis=0)
    which = table.min(axis=2).argmin(axis=0)
    return pd.DataFrame({"buy": least[:, 0], "sell": least[:, 1], "check": np.array(list(limits))[which]}, index=names)


def list_reasons(hedge: Hedge, checks: Checks) -> list[str]:
    """Why the whole list must be held; empty where it may be sent."""
    reasons = []
    certificate = hedge.certificate
    if certificate.status != "rounded":
        why = certificate.note or "see its certificate"
        reasons.append(f"the hedge is {certificate.status}, not proved optimal: {why}")
    reasons += _further_outside(hedge) + _beyond(hedge)
    program, start = hedge.program, np.clip(hedge.program.start, hedge.program.lower, hedge.program.upper)
    idle_feasible = bool((row_violations(program, start)[np.isinf(program.row_penalty)] <= 0).all())
    idle_feasible &= bool((start == program.start).all()) and _within_volatility(hedge, start)
    traded = bool((hedge.trades != 0).any())
    if checks.worth and traded and idle_feasible and not program.cvxpy_terms:
        loss = objective(program, hedge.h) - objective(program, start)
        if loss > 0:
            reasons.append(f"not worth its cost: doing nothing meets every limit and is better by {loss:,.2f} "
                           f"{hedge.market.base_currency}")  # fmt: skip
    if checks.total_notional is not None:
        total = float(hedge.trades.abs() @ hedge.market.notional[hedge.problem.names])
        if total > checks.total_notional:
            reasons.append(f"the list's notional is {total:,.0f}, above total_notional {checks.total_notional:,.0f}")
    return reasons


def _further_outside(hedge: Hedge) -> list[str]:
    """Hard limits that end further outside their band than before, and than half the finest traded lot explains.

    A band as wide as that lot can be met: lots explain less the wider it is, see `Neighbourhood.allowance`.
    """
    program = hedge.program
    around = Neighbourhood(program, Grid.of(program, smallest_trades(hedge)))
    before = row_violations(program, hedge.problem.columns(hedge.problem.start))
    after = row_violations(program, hedge.h)
    allowed = around.allowance(np.round(around.grid.lots(hedge.h)))
    worse = around.hard & (after > np.maximum(before, allowed) + row_tolerances(program, hedge.h))
    return [
        f"{program.row_names[j]} would end {after[j]:,.6g} {hedge.problem.row_units[j]} beyond its limit, "
        f"{before[j]:,.6g} now"
        for j in np.flatnonzero(worse)
    ]


def _beyond(hedge: Hedge) -> list[str]:
    """The volatility limit and the user's own constraints that the list breaks: lots excuse nothing here."""
    program = hedge.program
    own = OwnTerms(program) if program.cvxpy_terms else None
    after = other_limits(program, hedge.h, own)
    over = after[after["violation"] > RESIDUAL_TOLERANCE * after["scale"]]
    before = other_limits(program, hedge.problem.columns(hedge.problem.start), own)["violation"]
    return [
        f"{name} would end {row.violation:,.6g} {row.unit} beyond its limit, {before[name]:,.6g} now"
        for name, row in zip(over.index, over.itertuples(), strict=True)
    ]


def _within_volatility(hedge: Hedge, h: Array) -> bool:
    limit = hedge.program.volatility_limit
    return limit is None or limit.volatility(h) <= limit.limit


def _times(factor: float, size: Array) -> Array:
    return np.where(np.isnan(size), np.inf, factor * size)


def _boxed(hedge: Hedge, lines: pd.DataFrame) -> Hedge | None:
    """The hedge with every trade within `lines` as boxes, solved cold; None where nothing meets the limits."""
    problem, program = hedge.problem, hedge.program
    free = np.full(len(program.columns) - int(problem.tradable.sum()), np.inf)
    lot = np.where(program.lot > 0, program.lot, 1.0)
    buy, sell = (
        np.floor(np.concatenate([lines[side].to_numpy()[problem.tradable], free]) / lot + _LOT_ROUNDING) * lot
        for side in ("buy", "sell")
    )
    lower, upper = np.maximum(program.lower, program.start - sell), np.minimum(program.upper, program.start + buy)
    if (lower > upper).any():
        return None
    smaller: Problem = replace(
        problem,
        program=replace(program, lower=lower, upper=upper),
        default_lower=problem.default_lower & (lower == program.lower),
        default_upper=problem.default_upper & (upper == program.upper),
    )
    solution = solve(smaller.program, solver=hedge.model.solver)
    if solution.certificate.status != "optimal":
        return None
    return replace(
        hedge, problem=smaller, h=solution.h, multipliers=solution.multipliers,
        limit_multiplier=solution.limit_multiplier, certificate=solution.certificate,
    )  # fmt: skip
