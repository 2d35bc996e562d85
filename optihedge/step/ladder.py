"""The ladder: along spot, vol and time, where the policy next acts and what the list would be; and the monitor.

Both are steps whose result is thrown away: the state they start from is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from optihedge.accounts.state import State
from optihedge.errors import OptihedgeError, SpecError
from optihedge.market.moved import moved
from optihedge.market.snapshot import Market
from optihedge.step.orderlist import Hedger
from optihedge.step.policies.base import Policy
from optihedge.step.step import Step, step
from optihedge.trades.checks import Checks

SPOTS = (-0.1, -0.05, -0.03, -0.02, -0.01, 0.01, 0.02, 0.03, 0.05, 0.1)
VOLS = (-0.05, -0.02, 0.02, 0.05)
DAYS = (1.0, 2.0, 3.0, 5.0)
_SOON = pd.Timedelta(seconds=1) / pd.Timedelta(days=1)


def ladder(
    state: State,
    market: Market,
    model: Hedger,
    policy: Policy,
    *,
    spots: Iterable[float] = SPOTS,
    vols: Iterable[float] = VOLS,
    days: Iterable[float] = DAYS,
    underlying: str = "",
    checks: Checks | None = None,
) -> pd.DataFrame:
    """One row per rung: axis, shock, status, why, lines, notional and cost of the list (base currency), the trades.

    state       as of `market`, its orders done (open orders are counted as cancelled)
    spots, vols returns, and decimal changes of vol;  days   calendar days that pass with nothing else moving
    underlying  whose spot and vol move; '' all of them
    attrs["nearest"]: by axis the nearest rung below and above today at which a list would leave. A rung that cannot be
    is of status failed and says why. Raises SpecError without rungs.
    """
    scope = f":{underlying}" if underlying else ""
    rungs = [("spot", x, {f"spot{scope}": x, "days": _SOON}) for x in spots]
    rungs += [("vol", x, {f"vol{scope}": x, "days": _SOON}) for x in vols]
    rungs += [("days", x, {"days": max(x, _SOON) if x >= 0 else x}) for x in days]
    if not rungs:
        raise SpecError("ladder: no rung; give spots, vols or days")
    rows = [
        {"axis": axis, "shock": x, **_rung(state, market, model, policy, shock, checks)} for axis, x, shock in rungs
    ]
    frame = pd.DataFrame(rows)
    frame.attrs["nearest"] = nearest_rungs(frame)
    return frame


def nearest_rungs(frame: pd.DataFrame) -> dict[str, tuple[float | None, float | None]]:
    """By axis the shocks nearest to 0, below and above it, at which a ladder's policy acts."""
    acts = frame[frame["status"].isin(("first", "solved", "held"))]
    found = {}
    for axis, group in acts.groupby("axis"):
        below, above = group["shock"][group["shock"] < 0], group["shock"][group["shock"] > 0]
        found[str(axis)] = (None if below.empty else float(below.max()), None if above.empty else float(above.min()))
    return found


def _rung(
    state: State, market: Market, model: Hedger, policy: Policy, shock: Mapping[str, float], checks: Checks | None
) -> dict[str, Any]:
    try:
        done = monitor(state, market, moved(market, shock), model, policy, checks=checks, compare=False)
    except OptihedgeError as error:
        return {"status": "failed", "why": str(error), "lines": 0, "notional": 0.0, "cost": 0.0, "trades": {}}
    listed = done.trades
    if listed is None or listed.table.empty:
        return {"status": done.status, "why": done.why, "lines": 0, "notional": 0.0, "cost": 0.0, "trades": {}}
    trades = dict(zip(listed.table["instrument"], listed.table["quantity"], strict=True))
    return {"status": done.status, "why": done.why, "lines": len(trades), "trades": trades,
            "notional": float(listed.table["notional"].sum()), "cost": float(listed.table["cost"].sum())}  # fmt: skip


def monitor(
    state: State, before: Market, market: Market, model: Hedger, policy: Policy, *, checks: Checks | None = None,
    **happened: Any,
) -> Step:  # fmt: skip
    """What a step at fresh quotes would do now; nothing is kept. `happened`: fills, reports, events, client.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> market = day("2026-01-19T21:00Z", 100.0)
    >>> state = oh.policy.opening("book", market, {"S": 100.0})
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),), universe=("F",))
    >>> step = oh.policy.monitor(state, market, day("2026-01-19T22:00Z", 101.0), model, oh.policy.Always())
    >>> step.trades.held if step.trades is not None else None
    False
    """
    return step(state, before, market, model, policy, checks=checks, on_open_orders="cancel", **happened)
