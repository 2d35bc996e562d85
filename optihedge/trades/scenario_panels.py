"""What scenarios do to a book before and after its hedge: stresses, the model's own, tails, spot and vol."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd

from optihedge.display.svg import heat_svg, lines_svg
from optihedge.errors import DataError, OptihedgeError
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.pictures import SPOT, VOL, payoffs, spot_vol
from optihedge.hedge.result import Hedge
from optihedge.market.scenarios import STRESSES, replay, scenario_pnl
from optihedge.risk.sources import Grid, ScenarioSource, scenario_table

_MOST_WORST, _FEWEST = 10, 100
_TAILS = (0.95, 0.99)


def stresses(hedge: Hedge) -> pd.DataFrame:
    """P&L of the book before and after under each stress of the options' words, base currency."""
    return _scenarios(hedge, STRESSES).rename_axis("stress")


def scenario_tables(hedge: Hedge) -> list[pd.DataFrame]:
    """P&L of the book before and after, base currency, in every scenario source of the model's terms, the worst after
    the hedge first; closing costs are paid."""
    horizon = parse_horizon(hedge.model.horizon, hedge.market.periods_per_year)
    frames = []
    for label, source in _sources(hedge):
        pnl = scenario_table(hedge.market, source, hedge.before, hedge.trades, horizon.periods)
        told = pnl[["book", "both"]].set_axis(["before", "after"], axis=1).set_axis([str(row) for row in pnl.index])
        frames.append(told.sort_values("after", kind="stable").iloc[:_MOST_WORST].rename_axis(f"worst of {label}"))
    return frames


def _sources(hedge: Hedge) -> list[tuple[str, ScenarioSource]]:
    """The scenario sources of the model's terms, by the terms' names."""
    found = ((term.label, getattr(term, "pnl", None)) for term in hedge.model.terms)
    return [(label, source) for label, source in found if isinstance(source, ScenarioSource)]


def _axes(hedge: Hedge) -> dict[str, tuple[float, ...]]:
    """Spots and vols of the heat map: those of the model's own Grid over the two, else the usual."""
    grids = (source.axes for _, source in _sources(hedge) if isinstance(source, Grid))
    asked = next((axes for axes in grids if set(axes) == {"spot", "vol"}), {"spot": SPOT, "vol": VOL})
    return {name: tuple(asked[name]) for name in ("spot", "vol")}


def tails(hedge: Hedge) -> pd.DataFrame:
    """Value at risk and expected shortfall at 95 and 99 %, before and after, over the moves that the market recorded,
    one period each; and over each scenario source of the model that has a hundred scenarios or more."""
    frames = {}
    with suppress(DataError):  # a market without a history
        frames["recorded moves"] = _scenarios(hedge, replay(hedge.market))
    periods = parse_horizon(hedge.model.horizon, hedge.market.periods_per_year).periods
    for label, source in _sources(hedge):
        pnl = scenario_table(hedge.market, source, hedge.before, hedge.trades, periods)[["book", "both"]]
        frames[label] = pnl.set_axis(["before", "after"], axis=1)
    rows = {}
    for label, pnl in frames.items():
        if len(pnl) < _FEWEST:
            continue
        ordered = np.sort(-pnl.to_numpy(), axis=0)[::-1]
        for level in _TAILS:
            worst = max(round((1 - level) * len(pnl)), 1)
            rows[f"value at risk {level:.0%}, {label}"] = ordered[worst - 1]
            rows[f"expected shortfall {level:.0%}, {label}"] = ordered[:worst].mean(axis=0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["before", "after"]).rename_axis("loss")


def _scenarios(hedge: Hedge, shocks: pd.DataFrame) -> pd.DataFrame:
    try:
        pnl = scenario_pnl(hedge.market, shocks, hedge.problem.names)
    except OptihedgeError:
        return pd.DataFrame()
    return pd.DataFrame({"before": pnl @ hedge.before, "after": pnl @ hedge.after})


def spot_vol_pictures(hedge: Hedge) -> list[str]:
    """Heat maps of P&L over spot and vol before and after, and P&L over spot now and at expiry."""
    currency = hedge.market.base_currency
    try:
        maps, payoff = spot_vol(hedge, *_axes(hedge).values()), payoffs(hedge)
    except OptihedgeError:
        return []
    return [
        *(heat_svg(table, f"P&L over spot and vol, {when}, {currency}") for when, table in maps.items()),
        *(lines_svg(table, f"P&L over a move of spot, {words}", currency) for words, table in payoff.items()),
    ]
