"""The panels of a list's page, in the order in which a desk asks: what is left, what could happen, why, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from optihedge.display.page import section
from optihedge.display.svg import heat_svg, smile_svg
from optihedge.hedge.explain import explain, shares
from optihedge.hedge.pictures import vega_ladder
from optihedge.hedge.report import notes
from optihedge.hedge.result import Hedge
from optihedge.hedge.venues import near_liquidation
from optihedge.market.liquidity_map import SAID
from optihedge.market.rich_cheap import rich_cheap, smiles
from optihedge.market.snapshot import Market
from optihedge.risk.contradictions import find_contradictions
from optihedge.trades.scenario_panels import scenario_tables, spot_vol_pictures, stresses, tails

_MOST_ROWS, _MOST_GROUPS = 25, 12
_MOST_EXPIRIES, _MOST_RICH, _MOST_SLOW = 4, 12, 12

Section = dict[str, Any]


class Listed(Protocol):
    """What a page reads: a TradeList."""

    @property
    def hedge(self) -> Hedge: ...
    @property
    def book(self) -> str: ...
    @property
    def proposed(self) -> pd.DataFrame: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def checked(self) -> bool: ...
    @property
    def held(self) -> bool: ...
    @property
    def verdict(self) -> str: ...
    @property
    def costs(self) -> pd.Series: ...
    @property
    def sha256(self) -> str: ...
    def text(self) -> str: ...


def panels(listed: Listed, quality: Sequence[Section], past: Sequence[Section]) -> list[Section]:
    """Every section below the trade list."""
    hedge, market = listed.hedge, listed.hedge.market
    parts = shares(hedge)
    left = [_largest(parts.underlying), _largest(parts.factor), _variance_by_kind(hedge)]
    told = list(dict.fromkeys([*_untraded(hedge), *listed.notes, *notes(hedge)]))
    found = [
        section("Costs", "What it will cost, and which part of it the objective charged.", frames=[hedge.cost_table]),
        section("Venues", "Equity and margin, and the return of all prices at which each would be liquidated.",
                sentences=near_liquidation(hedge.venues, hedge.model.terms), frames=[hedge.venues]),
        *_greeks(hedge),
        section("Stresses", "P&L under moves of past crises and the model's own scenarios.",
                frames=[stresses(hedge).iloc[:_MOST_ROWS], *scenario_tables(hedge)]),
        section("Tails", "Losses, before and after.", frames=[tails(hedge)]),
        section("Liquidity", "Days to close at a tenth of the daily volume, what closing costs, and what may be lost "
                "till then; the slowest lines, and the book.", frames=_liquidity(hedge)),
        section("What options cost to trade", "One way, the median option of each expiry and place of the strike.",
                pictures=_liquidity_map(hedge)),
        *_surface(hedge),
        section("Where risk is left", "Parts of volatility over the horizon; they sum to the whole.", frames=left),
        section("Why, and what each limit costs", sentences=explain(hedge)),
        section("Against simple hedges", frames=[hedge.baselines] if hedge.problem.variance is not None else []),
        section("What was not traded, and notes", sentences=told or ["nothing to note"]),
        section("Limits that gave way", frames=[] if hedge.relaxation is None else [hedge.relaxation]),
        *past,
        *quality,
        section("Rolls", frames=[hedge.rolls.drop(columns="note", errors="ignore")] if len(hedge.rolls) else []),
        section("Data", sentences=[f"{name}: {text}" for name, text in market.summary().items()]),
    ]  # fmt: skip
    return [one for one in found if one["frames"] or one["sentences"] or one["pictures"]]


def quality_section(findings: pd.DataFrame | None, by: str = "the doctor") -> list[Section]:
    """What was found of the night's data, each with its remedy; none where nobody looked."""
    if findings is None:
        return []
    if findings.empty:
        return [section("Data quality", sentences=[f"{by[0].upper()}{by[1:]} found nothing."])]
    more = f", the first {_MOST_ROWS} of them here" if len(findings) > _MOST_ROWS else ""
    count = "One finding" if len(findings) == 1 else f"{len(findings)} findings"
    text = f"{count} of {by}{more}; no figure is better than its data."
    shown = findings.head(_MOST_ROWS).assign(row=lambda f: f["row"].replace(0, "")).set_index("file")
    return [section("Data quality", text, frames=[shown])]


def suspects_section(found: pd.DataFrame | None) -> list[Section]:
    """Moves of the history that may be errors, as `risk.suspects` lists them; none where there are none."""
    if found is None or found.empty:
        return []
    days = {name: found[name].astype(str).str[:16] for name in ("date", "until")}  # to the minute, UTC
    shown = found.assign(**days).head(_MOST_ROWS).set_index("driver")
    text = "Mend those that are errors: the risk is wrong with them. Times are UTC; all are in suspect_moves.csv."
    return [section("Moves of the history that may be errors", text, frames=[shown])]


def contradictions_table(market: Market) -> pd.DataFrame:
    """What a market contradicts, as the doctor tells its findings: file, row, subject, problem, remedy."""
    rows = [("market", 0, one.subject, f"{one.kind}: {one.detail}", one.remedy) for one in find_contradictions(market)]
    return pd.DataFrame(rows, columns=["file", "row", "subject", "problem", "remedy"])


def _greeks(hedge: Hedge) -> list[Section]:
    """The vega ladder and its pictures where there is vega; delta and gamma by underlying."""
    greeks = greeks_by(hedge, "underlying", ("delta", "gamma", "vega"))
    under = section("Greeks by underlying", frames=[_largest_groups(greeks)])
    if not (hedge.exposures.reindex(["vega"])[["before", "after"]].fillna(0.0) != 0).any(axis=None):
        return [under]
    ladders = [heat_svg(table.iloc[:_MOST_ROWS], f"vega by expiry and delta, {when}, base currency per vol point")
               for when, table in vega_ladder(hedge).items() if len(table)]  # fmt: skip
    by_expiry = greeks_by(hedge, "expiry", ("vega",))
    return [
        section("Vega ladder", pictures=ladders, frames=[by_expiry]),
        under,
        section("Spot and vol", pictures=spot_vol_pictures(hedge)),
    ]


def greeks_by(hedge: Hedge, column: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Exposures by group, before and after, desk units; groups with none left out."""
    table = hedge.market.instruments.loc[hedge.problem.names, column]
    group = table.dt.strftime("%Y-%m-%d") if column == "expiry" else table
    values = hedge.market.exposures.loc[hedge.problem.names, list(names)]
    before, after = (values.mul(held, axis=0).groupby(group.to_numpy()).sum() for held in (hedge.before, hedge.after))
    frame = before.add_suffix(" before").join(after.add_suffix(" after"))
    order = [f"{name} {when}" for name in names for when in ("before", "after")]
    return frame.loc[(frame != 0).any(axis=1), order].rename_axis(column)


def _largest_groups(table: pd.DataFrame) -> pd.DataFrame:
    """The groups with most of each column, those of the other groups as one row, and the sum of all."""
    share = (table.abs() / table.abs().max().replace(0.0, 1.0)).max(axis=1)
    order = share.sort_values(ascending=False, kind="stable").index
    shown, rest = table.loc[order[:_MOST_GROUPS]], table.loc[order[_MOST_GROUPS:]]
    ends = {f"{len(rest)} others": rest.sum()} if len(rest) else {}
    ends |= {"all": table.sum()} if len(table) > 1 else {}
    return pd.concat([shown, pd.DataFrame(ends, index=table.columns).T]).rename_axis(table.index.name)


def _liquidity(hedge: Hedge) -> list[pd.DataFrame]:
    """The slowest lines after the hedge, and the book; nothing where no risk or no volume is known."""
    if hedge.problem.variance is None:
        return []
    table = hedge.liquidity()
    lines = table.drop(index="book").dropna(subset="days").nlargest(_MOST_SLOW, "days")
    return [pd.concat([lines, table.loc[["book"]]]).rename_axis("instrument")] if len(lines) else []


def _liquidity_map(hedge: Hedge) -> list[str]:
    """What options cost to trade over the surface, of the expiries that are quoted; none where there are no options."""
    table = hedge.market.liquidity_map().get("options")
    return [] if table is None else [heat_svg(table.iloc[:_MOST_ROWS], SAID["options"], cost=True)]


def _surface(hedge: Hedge) -> list[Section]:
    """Quotes against the smiles of the expiries with the most vega, and the options that are rich or cheap there."""
    market, at = hedge.market, hedge.problem.positions
    options = market.contracts.option[at] & (np.abs(hedge.before) + np.abs(hedge.after) > 0).to_numpy()
    if not options.any():
        return []
    table = market.instruments.iloc[at[options]][["underlying", "expiry"]]
    held = np.maximum(hedge.before.abs(), hedge.after.abs()).to_numpy()[options]
    size = pd.Series(np.abs(market.exposures["vega"].to_numpy()[at[options]]) * held, table.index)
    keys = size.groupby([table["underlying"], table["expiry"]]).sum().sort_values(ascending=False, kind="stable")
    chosen = keys.index[:_MOST_EXPIRIES].to_frame(index=False)
    found = rich_cheap(market, chosen)
    if found.empty:
        return []
    pictures = []
    for rows, whole in smiles(market, chosen):
        one = found.loc[found.index.isin(rows.index)].sort_values("strike", kind="stable")
        one = one.assign(vol=whole.vol(np.log(one["strike"] / rows["forward"].reindex(one.index))))
        title = f"{rows['underlying'].iloc[0]} {rows['expiry'].iloc[0]:%Y-%m-%d}: bid and ask vols, and the smile"
        pictures.append(smile_svg(one, title))
    traded = [name for name in found.index if hedge.trades.get(name, 0.0) != 0 or hedge.before.get(name, 0.0) != 0]
    extreme = found.index[np.argsort(-found["half_spreads"].abs().to_numpy(), kind="stable")]
    shown = found.loc[list(dict.fromkeys([*traded, *extreme]))[:_MOST_RICH]]
    points = {name: 100 * shown[name] for name in ("bid_vol", "ask_vol", "vol")}
    shown = shown.assign(**points, expiry=shown["expiry"].dt.strftime("%Y-%m-%d")).drop(columns="underlying")
    shown.columns = [str(name).replace("_", " ") for name in shown.columns]
    text = (
        "Vols in points, each beside the vol of the smile through the other strikes. Half spreads: the mid less that "
        "smile, above zero dear, below zero cheap, beyond one outside the quote; vega money: the same in base currency "
        "for one contract. Options of the book and list first, then the farthest."
    )
    return [section("Surface: rich and cheap", text, pictures=pictures, frames=[shown])]


def _untraded(hedge: Hedge) -> list[str]:
    """How many contracts in play are not traded, and why, in one sentence."""
    traded, fixed = int((hedge.trades != 0).sum()), int((~hedge.problem.tradable).sum())
    rest = len(hedge.trades) - traded - fixed
    text = f"{len(hedge.trades)} contracts in play: {traded} traded"
    text += f", {fixed} that may not be traded or have no quote" if fixed else ""
    return [text + (f", {rest} whose trade would cost more than it saves" if rest > 0 else "")]


def _variance_by_kind(hedge: Hedge) -> pd.DataFrame:
    """Where variance comes from, percent of the whole, before and after."""
    if not len(hedge.risk):
        return pd.DataFrame()
    whole = hedge.risk.loc["variance"].where(lambda v: v > 0, 1.0)
    parts = 100 * hedge.risk.drop(index=["variance", "volatility"]) / whole
    return parts[(parts != 0).any(axis=1)].add_prefix("% ").rename_axis("variance by")


def _largest(parts: pd.DataFrame) -> pd.DataFrame:
    order = np.argsort(-parts["volatility"].abs().to_numpy(), kind="stable")[:10]
    return parts.iloc[order]
