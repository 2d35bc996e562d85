"""Pictures of a hedge, in one style: exposures against bands, risk left, payoff, spot by vol, vega, liquidity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from optihedge.display import bars_before_after, figure, heat, lines, plot_hedge
from optihedge.errors import SpecError
from optihedge.hedge.report import Told, headline
from optihedge.hedge.variance import variance_by_contract
from optihedge.market.liquidity_map import PLACES, SAID, strike_place
from optihedge.market.scenarios import payoff_profile, scenario_pnl, shock_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPOT, VOL = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2), (-0.1, 0.0, 0.1, 0.2)
_MOST = 24  # rows


def picture(hedge: Told, what: str = "summary") -> Figure:
    """A figure of a hedge. what: summary, bands, risk, payoff, spot_vol, vega, liquidity.

    Raises SpecError for another word.
    """
    if what not in PICTURES:
        raise SpecError(f"plot: there is no picture {what!r}; there are {', '.join(PICTURES)}")
    return PICTURES[what](hedge)


def vega_ladder(hedge: Told) -> dict[str, pd.DataFrame]:
    """Vega before and after, base currency per vol point: expiry x the place of the strike by its call's delta."""
    market, at = hedge.market, hedge.problem.positions
    c = market.contracts.take(at)
    table = pd.DataFrame({
        "expiry": market.instruments["expiry"].iloc[at].dt.strftime("%Y-%m-%d").to_numpy(), "bucket": strike_place(c),
        "vega": market.exposures["vega"].to_numpy()[at],
        "before": hedge.before.to_numpy(), "after": hedge.after.to_numpy(),
    })[c.option]  # fmt: skip
    found = {}
    for when in ("before", "after"):
        vega = (table["vega"] * table[when]).groupby([table["expiry"], table["bucket"]]).sum().unstack(fill_value=0.0)
        shown = vega.reindex(columns=[place for place in PLACES if place in vega.columns])
        found[when] = shown.loc[(shown != 0).any(axis=1)]
    return found


def spot_vol(hedge: Told, spots: tuple[float, ...] = SPOT, vols: tuple[float, ...] = VOL) -> dict[str, pd.DataFrame]:
    """P&L before and after over moves of spot (rows) and vol (columns), base currency."""
    pnl = scenario_pnl(hedge.market, shock_grid({"spot": spots, "vol": vols}), hedge.problem.names)
    found = {}
    for when, held in (("before", hedge.before), ("after", hedge.after)):
        table = (pnl @ held).unstack()
        table.index = [f"spot {s:+.0%}" for s in table.index]
        table.columns = [f"vol {100 * v:+.0f}" for v in table.columns]
        found[when] = table
    return found


def payoffs(hedge: Told) -> dict[str, pd.DataFrame]:
    """P&L before and after over moves of spot, now and at each contract's expiry, base currency."""
    payoff = payoff_profile(hedge.market, hedge.before, hedge.trades, np.linspace(-0.25, 0.25, 41))
    return {
        words: pd.DataFrame({"before": payoff[when, "book"], "after": payoff[when, "both"]})
        for when, words in (("now", "now"), ("expiry", "at each contract's expiry"))
    }


def _summary(hedge: Told) -> Figure:
    table = hedge.market.instruments.loc[hedge.problem.names]
    panels = {
        "delta by underlying (P&L of +100 %)": ("delta", table["underlying"]),
        "vega by expiry (per vol point)": ("vega", table["expiry"].dt.strftime("%Y-%m-%d")),
    }
    greeks = hedge.market.exposures.loc[hedge.problem.names]
    grouped: dict[str, tuple[pd.Series, pd.Series]] = {}
    for title, (name, group) in panels.items():
        before, after = ((greeks[name] * held).groupby(group.to_numpy()).sum() for held in (hedge.before, hedge.after))
        grouped[title] = before, after
    return plot_hedge(hedge.baselines, grouped, hedge.market.base_currency, headline(hedge)[0])


def _bands(hedge: Told) -> Figure:
    """Every banded exposure as a share of its band's half width or limit: the band is from -1 to 1."""
    table = hedge.exposures
    ends = table[["lower", "upper"]].abs().replace(np.inf, np.nan).max(axis=1)
    kept = table[ends.gt(0) & (table[["before", "after"]] != 0).any(axis=1)]
    if kept.empty:
        raise SpecError("plot: no exposure has a band; give the model a limit, or ask for another picture")
    size = ends[kept.index]
    drawn, axes = figure(1, 1, height=max(2.4, 0.32 * min(len(kept), _MOST) + 1), width=8)
    bars_before_after(axes[0, 0], kept["before"] / size, kept["after"] / size, "exposures against their bands",
                      "share of the limit", kept[["lower", "upper"]].div(size, axis=0))  # fmt: skip
    axes[0, 0].set_xscale("symlog", linthresh=2.0)
    axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    return drawn


def _risk(hedge: Told) -> Figure:
    form = hedge.problem.variance
    if form is None:
        raise SpecError("plot: the model has no risk; give it one")
    labels = hedge.market.instruments["underlying"].to_numpy()[hedge.problem.positions]
    parts = []
    for held in (hedge.before.to_numpy(), hedge.after.to_numpy()):
        variance = variance_by_contract(form, held)
        parts.append(pd.Series(variance / max(np.sqrt(max(variance.sum(), 0.0)), 1e-300)).groupby(labels).sum())
    drawn, axes = figure(1, 1, height=max(2.4, 0.25 * min(len(parts[0]), 30) + 1), width=8)
    before, after = parts
    bars_before_after(
        axes[0, 0], before, after, "volatility over the horizon by underlying", hedge.market.base_currency
    )
    return drawn


def _payoff(hedge: Told) -> Figure:
    drawn, axes = figure(1, 2, width=11)
    for axis, (words, table) in zip(axes[0], payoffs(hedge).items(), strict=True):
        lines(axis, table, f"P&L over a move of spot, {words}", hedge.market.base_currency, "move of spot")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")
    return drawn


def _liquidity(hedge: Told) -> Figure:
    """What trading costs one way: the dearest rows where there are many."""
    tables = hedge.market.liquidity_map()
    if not tables:
        raise SpecError("plot: nothing is quoted on both sides")
    height = max(2.6, 0.3 * max(min(len(table), _MOST) for table in tables.values()) + 1)
    drawn, axes = figure(1, len(tables), height=height, width=5.5 * len(tables))
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        heat(axis, table.iloc[:_MOST], SAID[name], told=True, cost=True)
    return drawn


def _maps(tables: dict[str, pd.DataFrame], title: str) -> Figure:
    tallest = max(len(table) for table in tables.values())
    most = max(float(np.abs(table.to_numpy()).max(initial=0.0)) for table in tables.values()) or 1.0
    drawn, axes = figure(1, 2, height=max(2.6, 0.3 * tallest + 1), width=11)
    for axis, (when, table) in zip(axes[0], tables.items(), strict=True):
        heat(axis, table, f"{title}, {when}", most, told=True)
    return drawn


PICTURES = {
    "summary": _summary, "bands": _bands, "risk": _risk, "payoff": _payoff,
    "spot_vol": lambda hedge: _maps(spot_vol(hedge), f"P&L over spot and vol, {hedge.market.base_currency}"),
    "liquidity": _liquidity,
    "vega": lambda hedge: _maps(vega_ladder(hedge), "vega by expiry and delta"),
}  # fmt: skip
