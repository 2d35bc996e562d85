"""Dirty histories: problems found, named by driver and date, handled by a stated policy; no zero is filled in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.market.drivers import RETURNS
from optihedge.risk.problems import ALL, BREAKS, Thresholds, describe, find_problems

ACTIONS = ("fail", "freeze", "exclude", "proxy", "keep")


@dataclass(frozen=True, eq=False)
class Cleaned:
    """levels: T x D, what is not trusted is missing (or the proxy's) and what is excluded is gone.

    moves      T - 1 x D, returns of price and fx drivers and changes of the rest; missing next to a missing level
    findings   driver, date, until, problem, detail, action; one row per problem, nothing left out
    frozen     drivers whose last level is not trusted: do not trade their instruments; keep position and risk
    excluded   drivers without a column any more
    """

    levels: pd.DataFrame
    moves: pd.DataFrame
    findings: pd.DataFrame
    frozen: tuple[str, ...]
    excluded: tuple[str, ...]

    def __str__(self) -> str:
        return describe(self.findings)


def clean(
    levels: pd.DataFrame,
    kinds: Mapping[str, str] | None = None,
    *,
    policy: str | Mapping[str, str] = "fail",
    proxies: Mapping[str, str] | None = None,
    accepted: Collection[tuple[str, object]] = (),
    reference: pd.Series | None = None,
    thresholds: Thresholds | None = None,
) -> Cleaned:
    """Find the problems of a history and do with each what the policy says.

    policy    one action for all, or by problem ("other" for the rest, else "fail"):
              fail     refuse the history, naming every problem that asks for it
              freeze   untrusted levels become missing; a driver untrusted at the end is listed in `frozen`
              exclude  drop the driver
              proxy    untrusted and missing levels follow the moves of `proxies[driver]` (whole rows: as freeze)
              keep     leave the levels as they are, reported
              A late listing is kept unless its own key says otherwise: the levels before it are rightly missing.
    accepted  (driver, date) of moves that the desk knows to be real: the row's label, or its day for every row of it

    Raises DataError for the problems whose action is fail, SpecError for an unknown action or a missing proxy.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> days = pd.date_range("2025-01-01", periods=200, freq="B")
    >>> levels = pd.DataFrame(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (200, 3)), axis=0)), days, ["A", "B", "C"])
    >>> levels.loc[days[50], "B"] *= 100
    >>> mended = oh.risk.clean(levels, policy="exclude")
    >>> list(mended.levels.columns)
    ['A', 'C']
    """
    kinds = {} if kinds is None else dict(kinds)
    findings = find_problems(levels, kinds, reference=reference, thresholds=thresholds)
    real = [any(driver == d and _names(date, row) for driver, date in accepted)
            for d, row in zip(findings["driver"], findings["date"], strict=True)]  # fmt: skip
    findings["action"] = ["keep" if r else _action(policy, p) for r, p in zip(real, findings["problem"], strict=True)]
    failing = findings[findings["action"] == "fail"]
    if len(failing):
        raise DataError(f"history: {len(failing)} problems\n{describe(failing)}\nmend them, or state a policy")
    values = levels.sort_index(kind="stable")
    values = values[~values.index.duplicated(keep="first")].apply(pd.to_numeric, errors="coerce").astype(float)
    by_proxy = (findings["action"] == "proxy") & (findings["driver"] != ALL)
    breaks = findings[by_proxy & findings["problem"].isin(BREAKS)]
    handled = findings["action"].isin(["freeze", "proxy"])
    values = values.mask(_untrusted(values, findings[handled].drop(breaks.index)))
    for driver in findings.loc[by_proxy, "driver"].unique():
        rows = breaks[breaks["driver"] == driver]
        across = sorted(
            {t for row in rows.itertuples() for t in _break_rows(values.index, row.date, row.until, row.problem)}
        )
        values[driver] = _proxied(values, driver, across, proxies or {}, kinds)
    return _cleaned(values, findings, {**levels.attrs, "kinds": kinds})


def _cleaned(values: pd.DataFrame, findings: pd.DataFrame, attrs: dict) -> Cleaned:
    """The levels without what is excluded, and their moves."""
    kinds = attrs["kinds"]
    excluded = tuple(findings.loc[findings["action"] == "exclude", "driver"].drop_duplicates())
    excluded = tuple(d for d in excluded if d in values.columns)
    at_end = findings["until"] == values.index[-1]
    frozen = findings.loc[(findings["action"] == "freeze") & at_end & (findings["driver"] != ALL), "driver"]
    values = values.drop(columns=list(excluded))
    by_return = np.array([kinds.get(d, "price") in RETURNS for d in values.columns], dtype=bool)
    changes = values.diff()
    moves = (changes / values.shift(1)).where(np.broadcast_to(by_return, values.shape), changes).iloc[1:]
    moves.attrs = attrs
    return Cleaned(values, moves, findings, tuple(dict.fromkeys(d for d in frozen if d not in excluded)), excluded)


def _action(policy: str | Mapping[str, str], problem: str) -> str:
    if isinstance(policy, str):
        action = "keep" if problem == "late listing" and policy != "exclude" else policy
    else:
        action = policy.get(problem, "keep" if problem == "late listing" else policy.get("other", "fail"))
    if action not in ACTIONS:
        raise SpecError(f"policy for {problem!r} is {action!r}; write one of {', '.join(ACTIONS)}")
    return action


def _names(date: object, row: object) -> bool:
    """Whether a date as a desk writes it means this row; without a zone it is on the row's own clock."""
    if not isinstance(row, pd.Timestamp):
        return bool(date == row) or str(date) == str(row)
    given = pd.Timestamp(date)  # type: ignore[arg-type]
    if given.tz is None:
        return given in (row.tz_localize(None), row.tz_localize(None).normalize())
    return row.tz is not None and given == row


def _break_rows(index: pd.Index, date: object, until: object, problem: str) -> list[int]:
    """Numbers of the rows into which the level jumps: at the start, and back after the end where it does."""
    start, back = index.get_loc(date), index.get_loc(until) + 1
    rows = [start, back] if problem == "wrong units" and back < len(index) else [start]
    return [row for row in rows if row > 0]


def _untrusted(values: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """T x D: levels that a finding takes trust from. Of a persistent break only its first and last row: the moves
    between are good, those across it are not."""
    mask = np.zeros(values.shape, dtype=bool)
    for row in findings.itertuples(index=False):
        columns = slice(None) if row.driver == ALL else values.columns.get_loc(row.driver)
        start, stop = values.index.get_loc(row.date), values.index.get_loc(row.until)
        if row.problem in ("look-alike", "unsorted dates") or (row.driver == ALL and row.problem == "duplicated date"):
            continue
        if row.problem in BREAKS:
            mask[_break_rows(values.index, row.date, row.until, row.problem), columns] = True
        else:
            mask[start : stop + 1, columns] = True
    return pd.DataFrame(mask, index=values.index, columns=values.columns)


def _proxied(
    values: pd.DataFrame, driver: str, across: list[int], proxies: Mapping[str, str], kinds: Mapping[str, str]
) -> pd.Series:
    """The driver's levels: missing ones carried by the proxy's moves (forward, then back from the first), and what lies
    before a break rescaled so that the move into each row of `across` is the proxy's."""
    proxy = proxies.get(driver)
    if proxy is None or proxy not in values.columns or proxy == driver:
        raise SpecError(f"policy asks for a proxy of {driver}; name another driver in proxies")
    own, other = values[driver], values[proxy]
    by_return = kinds.get(driver, "price") in RETURNS
    distance = (own / other if by_return else own - other).ffill().bfill()
    for t in across:
        step = distance.iloc[t] / distance.iloc[t - 1] if by_return else distance.iloc[t] - distance.iloc[t - 1]
        distance.iloc[:t] = distance.iloc[:t] * step if by_return else distance.iloc[:t] + step
    return distance * other if by_return else distance + other
