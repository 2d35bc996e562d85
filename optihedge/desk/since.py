"""Since the last run, as a section of a page: the money and where it came from, book, market moves, list and model."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import ndiff
from typing import Any

import numpy as np
import pandas as pd

from optihedge.accounts.state import State
from optihedge.batch.tables import table_of
from optihedge.display.page import section
from optihedge.market.snapshot import Market
from optihedge.step.step import Step

_MOST = 12  # rows of a table, lines of a model's change
_DUST = 1e-9  # of a quantity
_ROUNDING = 1e-9  # of the largest part of a change of equity


def since_last(
    before: State | None, was: Market | None, now: Market, done: Step, previous: Mapping[str, Any] | None,
    texts: Mapping[str, str], model: Mapping[str, str],
) -> list[dict[str, Any]]:  # fmt: skip
    """The section, or that this is the first night.

    before, was   the state and the market of the last night;  done  tonight's step at the market `now`
    previous      the last night's model {name, text} and the hash of its list, or None; texts holds them by hash
    model         tonight's {name, text}
    """
    if before is None or was is None:
        return [section("Since the last run", sentences=["This is the first night of the book."])]
    told = [f"The last night was {was.as_of:%Y-%m-%d %H:%M} UTC; equity is {done.equity:,.2f} {now.base_currency}, "
            f"a change of {done.change:+,.2f}."]  # fmt: skip
    frames = [_earned(done), positions(before, done.state), moves(was, now)]
    if previous is not None:
        told += _model(previous["model"], model, texts)
        frames.append(_lists(texts.get(previous["list"] or "", ""), done))
    return [section("Since the last run", sentences=told, frames=frames)]


def _earned(done: Step) -> pd.DataFrame:
    """The parts of the change of equity, the largest first, and their sum."""
    parts = done.explained.sum()
    told = (parts.abs() > _ROUNDING * parts.abs().max()) & (parts.index != "total")
    kept = parts[told].sort_values(key=np.abs, ascending=False, kind="stable")
    return pd.concat([kept, parts[["total"]]]).rename("base currency").rename_axis("P&L explained by").to_frame()


def positions(before: State, now: State) -> pd.DataFrame:
    """What the book held and holds, contracts, where it differs: fills, settlements, what the client did."""
    held = pd.DataFrame({"last night": before.quantities(), "before tonight's list": now.quantities()}).fillna(0.0)
    change = held["before tonight's list"] - held["last night"]
    changed = held.assign(change=change)[change.abs() > _DUST * np.maximum(1.0, held.abs().max(axis=1))]
    order = changed["change"].abs().sort_values(ascending=False, kind="stable").index[:_MOST]
    return changed.loc[order].rename_axis("book: position")


def moves(was: Market, now: Market) -> pd.DataFrame:
    """The drivers that moved most for what they usually do: levels then and now, and the move in deviations of one of
    their periods (of the history then)."""
    both = was.drivers.index.intersection(now.drivers.index)
    both = both[~now.drivers.loc[both, "constant"].to_numpy(dtype=bool)]
    then, today = was.levels.reindex(both).astype(float), now.levels.reindex(both).astype(float)
    table = pd.DataFrame({"last night": then, "now": today})
    if len(was.history) > 2:
        known = was.history.reindex(columns=both).astype(float)
        deviation = known.diff().std()
        table["deviations"] = (today - then) / deviation.where(deviation > 0)
    change = table.get("deviations", today / then - 1)
    order = change.abs().sort_values(ascending=False, kind="stable").index[:_MOST]
    return table.loc[order][change[order].abs() > 0].rename_axis("market: driver")


def _lists(text: str, done: Step) -> pd.DataFrame:
    """Lines of the last list beside tonight's, contracts."""
    last = table_of(text) if text else pd.DataFrame()
    then = last.set_index("instrument")["quantity"].astype(float) if len(last) else pd.Series(dtype=float)
    tonight = pd.DataFrame() if done.trades is None else done.trades.table
    now = tonight.set_index("instrument")["quantity"].astype(float) if len(tonight) else pd.Series(dtype=float)
    both = pd.DataFrame({"last list": then, "tonight's": now}).fillna(0.0)
    order = both.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:_MOST]
    return both.loc[order].rename_axis("list: contract")


def _model(then: Mapping[str, str], now: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    if then == now:
        return [f"The model is the same: {now['name']}."]
    if then["name"] != now["name"]:
        return [f"The model was {then['name']} and is {now['name']}."]
    old, new = (texts.get(one["text"], "").splitlines() for one in (then, now))
    changed = [line for line in ndiff(old, new) if line[:2] in ("- ", "+ ")][:_MOST]
    return [f"The model {now['name']} was changed: {'; '.join(changed)}."]
