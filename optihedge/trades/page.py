"""The page of a list: verdict, figures, exposures, trades, scenarios, where risk is left, proof; one HTML file."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import pandas as pd

from optihedge.display import number
from optihedge.display.page import render
from optihedge.display.svg import bands_svg, heat_svg, lines_svg
from optihedge.errors import DataError, OptihedgeError
from optihedge.hedge.explain import explain, shares
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.report import cost_words, notes
from optihedge.hedge.result import NO_HEDGE, Hedge
from optihedge.market.scenarios import STRESSES, payoff_profile, replay, scenario_pnl, shock_grid
from optihedge.market.snapshot import Market
from optihedge.risk.sources import Grid, ScenarioSource, scenario_table


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


_WORDS = {"send": "SEND", "held": "HELD", "empty": "NOTHING TO DO"}
_SPOT, _VOL = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2), (-0.1, 0.0, 0.1, 0.2)
_MOST_BANDS, _MOST_ROWS, _MOST_WORST = 24, 25, 10
_TAILS = (0.95, 0.99)


def page_of(listed: Listed, *, title: str = "", quality: pd.DataFrame | None = None) -> str:
    """The whole page of a list, without what only a past can tell.

    quality   the doctor's findings of the night (file, row, subject, problem, remedy), where it was asked
    """
    hedge, market = listed.hedge, listed.hedge.market
    exposures = hedge.exposures
    banded = exposures[np.isfinite(exposures[["lower", "upper"]]).any(axis=1)]
    lines = lines_table(listed)
    words = listed.reasons or (cost_words(listed.costs),)
    return render(
        "report.html",
        title=title or f"{listed.book or 'book'}: {hedge.model.name}",
        subtitle=f"as of {market.as_of:%Y-%m-%d %H:%M} UTC, in {market.base_currency}, horizon {hedge.model.horizon}"
        + (f". {hedge.model.description}" if hedge.model.description else ""),
        verdict=listed.verdict, verdict_word=_WORDS[listed.verdict], why=list(words), tiles=tiles(listed),
        bands=bands_svg(banded.iloc[:_MOST_BANDS], "exposures against their bands") if len(banded) else "",
        exposures=exposures[(exposures[["before", "after"]] != 0).any(axis=1)].iloc[:60],
        lines=lines, totals=totals(lines), csv="" if listed.held else listed.text(),
        csv_name="trades.csv", sections=[*_sections(listed), *quality_section(quality)],
        proof=str(replace(hedge.certificate, chain=())),
        provenance=provenance(listed),
    )  # fmt: skip


def tiles(listed: Listed) -> list[dict[str, str]]:
    """What a desk looks at first."""
    hedge = listed.hedge
    costs = listed.costs if not listed.held else hedge.costs
    found = []
    if len(hedge.risk):
        before, after = hedge.risk.loc["volatility"]
        less = f"{after / before - 1:+.1%}" if before > 0 else ""
        found.append({"name": "volatility a day", "value": f"{number(before, 4)} → {number(after, 4)}", "note": less})
    if listed.held:
        costs_note = "what the held list would cost"
    else:
        costs_note = f"{number(costs['trading'], 6)} to trade, {number(costs['holding'], 6)} to hold"
    found.append({"name": "cost, all of it", "value": number(costs["total"], 6), "note": costs_note})
    found.append({"name": "lines", "value": str(len(listed.proposed)), "note": listed.verdict})
    room = _tightest(hedge.limits)
    found.append({"name": "tightest limit", "value": room[0], "note": room[1]})
    stressed = stresses(hedge)
    if len(stressed):
        worst = stressed["after"].idxmin()
        found.append({"name": "worst stress", "value": number(stressed["after"].min(), 5), "note": str(worst)})
    return found


def _tightest(limits: pd.DataFrame) -> tuple[str, str]:
    """The limit with the least room left, as a share of its width or size, and how much."""
    kept = limits[np.isfinite(limits[["lower", "upper"]]).any(axis=1) & ~limits["kind"].isin(NO_HEDGE)]
    if not len(kept):
        return "none", "no limit that a hedge moves"
    room = np.fmin(kept["upper"] - kept["after"], kept["after"] - kept["lower"])
    width = (kept["upper"] - kept["lower"]).where(np.isfinite(kept["upper"] - kept["lower"]))
    size = width.fillna(kept[["lower", "upper"]].abs().replace(np.inf, np.nan).max(axis=1)).clip(lower=1e-12)
    share = (room / size).sort_values(kind="stable")
    return str(share.index[0]), f"{max(share.iloc[0], 0.0):.0%} of it left"


def lines_table(listed: Listed) -> pd.DataFrame:
    """The lines as a desk reads them: position before and after, share of displayed size and of daily volume, cost."""
    proposed, hedge = listed.proposed, listed.hedge
    quotes = hedge.market.quotes
    names = [name for name in hedge.problem.names if hedge.trades[name] != 0]
    order = hedge.market.names[hedge.market.names.isin(names)]
    size = proposed["quantity"].abs().to_numpy()
    shown = np.where(proposed["side"] == "BUY", quotes.loc[order, "ask_size"], quotes.loc[order, "bid_size"])
    with np.errstate(divide="ignore", invalid="ignore"):
        table = pd.DataFrame(
            {
                "side": proposed["side"].to_numpy(), "quantity": proposed["quantity"].to_numpy(),
                "before": hedge.before[order].to_numpy(), "after": hedge.after[order].to_numpy(),
                "limit price": proposed["limit_price"].to_numpy(), "notional": proposed["notional"].to_numpy(),
                "cost": proposed["cost"].to_numpy(), "% of shown": 100 * size / shown,
                "% of volume": 100 * size / quotes.loc[order, "volume"].to_numpy(),
                "venue": proposed["venue"].to_numpy(),
                "reason": proposed["reason"].to_numpy(),
            },
            index=pd.Index(proposed["instrument"].to_numpy(), name="instrument"),
        )  # fmt: skip
    return table


def totals(lines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lines, notional and cost by side, venue and reason."""
    if not len(lines):
        return {}
    return {
        by: lines.groupby(by).agg(lines=("cost", "size"), notional=("notional", "sum"), cost=("cost", "sum"))
        for by in ("side", "venue", "reason")
    }


def stresses(hedge: Hedge) -> pd.DataFrame:
    """P&L of the book before and after under each stress of the options' words, base currency."""
    return _scenarios(hedge, STRESSES)


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
    asked = next((axes for axes in grids if set(axes) == {"spot", "vol"}), {"spot": _SPOT, "vol": _VOL})
    return {name: tuple(asked[name]) for name in ("spot", "vol")}


def tails(hedge: Hedge) -> pd.DataFrame:
    """Value at risk and expected shortfall of one period at 95 and 99 %, before and after, over the recorded moves."""
    try:
        losses = -_scenarios(hedge, replay(hedge.market))
    except DataError:
        return pd.DataFrame()
    if len(losses) < 100:
        return pd.DataFrame()
    rows = {}
    for level in _TAILS:
        worst = max(round((1 - level) * len(losses)), 1)
        ordered = np.sort(losses.to_numpy(), axis=0)[::-1]
        rows[f"value at risk {level:.0%}"] = ordered[worst - 1]
        rows[f"expected shortfall {level:.0%}"] = ordered[:worst].mean(axis=0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=losses.columns).rename_axis("loss")


def _scenarios(hedge: Hedge, shocks: pd.DataFrame) -> pd.DataFrame:
    try:
        pnl = scenario_pnl(hedge.market, shocks, hedge.problem.names)
    except OptihedgeError:
        return pd.DataFrame()
    return pd.DataFrame({"before": pnl @ hedge.before, "after": pnl @ hedge.after})


def _section(title: str, text: str = "", *, pictures: Iterable[str] = (), items: Iterable[str] = (),
             frames: Iterable[pd.DataFrame] = ()) -> dict[str, Any]:  # fmt: skip
    return {"title": title, "text": text, "pictures": list(pictures), "sentences": list(items),
            "frames": [frame for frame in frames if len(frame)]}  # fmt: skip


def _sections(listed: Listed) -> Iterable[dict[str, Any]]:
    hedge, market = listed.hedge, listed.hedge.market
    yield _section("Costs", "What it will cost, and which part of it the objective charged.", frames=[hedge.cost_table])
    yield _section("Greeks by underlying", frames=[greeks_by(hedge, "underlying", ("delta", "gamma", "vega"))])
    if (hedge.exposures.reindex(["vega"])[["before", "after"]].fillna(0.0) != 0).any(axis=None):
        yield _section("Vega by expiry", frames=[greeks_by(hedge, "expiry", ("vega",))])
        yield _section("Spot and vol", pictures=_pictures(hedge))
    yield _section("Stresses", "P&L under moves of past crises and the model's own scenarios.",
                   frames=[stresses(hedge).iloc[:_MOST_ROWS], *scenario_tables(hedge)])  # fmt: skip
    yield _section("Tails", "Loss of one period over the recorded moves of the drivers.", frames=[tails(hedge)])
    parts = shares(hedge)
    left = [_largest(parts.underlying), _largest(named_factors(hedge, parts.factor)), hedge.risk]
    yield _section("Where risk is left", "Parts of volatility over the horizon; they sum to the whole.", frames=left)
    yield _section("Why, and what each limit costs", items=explain(hedge))
    if hedge.problem.variance is not None:
        yield _section("Against simple hedges", frames=[hedge.baselines])
    told = list(dict.fromkeys([*listed.notes, *notes(hedge)]))
    yield _section("What was not traded, and notes", items=told or ["nothing to note"])
    if hedge.relaxation is not None:
        yield _section("Limits that gave way", frames=[hedge.relaxation])
    if len(hedge.rolls):
        yield _section("Rolls", frames=[hedge.rolls])
    yield _section("Data", items=[f"{name}: {text}" for name, text in market.summary().items()])


def quality_section(findings: pd.DataFrame | None) -> list[dict[str, Any]]:
    """What the doctor found of the night's data, each with its remedy; none where it was not asked."""
    if findings is None:
        return []
    if findings.empty:
        return [_section("Data quality", "The doctor found nothing.")]
    more = f", the first {_MOST_ROWS} of them here" if len(findings) > _MOST_ROWS else ""
    text = f"{len(findings)} findings of the doctor{more}; no figure is better than its data."
    shown = findings.head(_MOST_ROWS).assign(row=lambda f: f["row"].replace(0, "")).set_index("file")
    return [_section("Data quality", text, frames=[shown])]


def greeks_by(hedge: Hedge, column: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Exposures by group, before and after, desk units; groups with none left out."""
    table = hedge.market.instruments.loc[hedge.problem.names, column]
    group = table.dt.strftime("%Y-%m-%d") if column == "expiry" else table
    values = hedge.market.exposures.loc[hedge.problem.names, list(names)]
    before, after = (values.mul(held, axis=0).groupby(group.to_numpy()).sum() for held in (hedge.before, hedge.after))
    frame = before.add_suffix(" before").join(after.add_suffix(" after"))
    order = [f"{name} {when}" for name in names for when in ("before", "after")]
    return frame.loc[(frame != 0).any(axis=1), order].rename_axis(column)


def named_factors(hedge: Hedge, factors: pd.DataFrame) -> pd.DataFrame:
    """Factors called by what loads on them most: those that rise with it against those that fall."""
    risk = hedge.risk_model
    root, drivers = getattr(risk, "root", None), getattr(risk, "drivers", None)
    if root is None or drivers is None or len(root) == 0:
        return factors
    labels = {}
    for j, row in enumerate(np.asarray(root)):
        order = np.argsort(-np.abs(row), kind="stable")[:4]
        up = [str(drivers[i]) for i in order if row[i] > 0]
        down = [str(drivers[i]) for i in order if row[i] < 0]
        labels[f"factor {j + 1}"] = " against ".join(", ".join(side) for side in (up, down) if side)
    return factors.rename(index=lambda name: labels.get(name, name))


def _largest(parts: pd.DataFrame) -> pd.DataFrame:
    order = parts["volatility"].abs().sort_values(ascending=False, kind="stable").index[:10]
    return parts.loc[order]


def _pictures(hedge: Hedge) -> list[str]:
    """Heat maps of P&L over spot and vol before and after, and the payoff over spot."""
    currency = hedge.market.base_currency
    try:
        pnl = _scenarios(hedge, shock_grid(_axes(hedge)))
        payoff = payoff_profile(hedge.market, hedge.before, hedge.trades, np.linspace(-0.25, 0.25, 41))
    except OptihedgeError:
        return []
    maps = []
    for name in pnl.columns:
        table = pnl[name].unstack()
        table.index = [f"spot {s:+.0%}" for s in table.index]
        table.columns = [f"vol {100 * v:+.0f}" for v in table.columns]
        maps.append(f"<h3>P&amp;L over spot and vol, {name}</h3>" + heat_svg(table, f"P&L over spot and vol, {name}"))
    kept = payoff[[column for column in payoff.columns if column in ("book", "hedged", "before", "after")]]
    drawn = lines_svg(kept.iloc[:, :2] if kept.shape[1] > 1 else payoff.iloc[:, :2], "payoff over spot", currency)
    return [*maps, "<h3>Payoff over spot</h3>" + drawn]


def provenance(listed: Listed) -> pd.DataFrame:
    """What made the list: instants, hashes, versions."""
    market: Market = listed.hedge.market
    entries = {
        "as of": f"{market.as_of:%Y-%m-%dT%H:%M:%SZ}", "market": market.hash[:16],
        "model": f"{listed.hedge.model.name} {listed.hedge.model.fingerprint}",
        "list": "held" if listed.held else listed.sha256, "checked": "yes" if listed.checked else "NO",
        "optihedge": version("optihedge"), "python": platform.python_version(), "numpy": np.__version__,
    }  # fmt: skip
    return pd.DataFrame({"value": entries}).rename_axis("what")
