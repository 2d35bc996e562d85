"""The page of a list: verdict, key figures, exposures, trades, then its panels, proof; one self-contained HTML file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from optihedge.display import number
from optihedge.display.page import render, section
from optihedge.display.svg import bands_svg
from optihedge.frames.table import Table
from optihedge.hedge.report import cost_words, headline
from optihedge.hedge.tables import NO_HEDGE
from optihedge.market.snapshot import Market
from optihedge.trades.panels import Listed, contradictions_table, panels, quality_section
from optihedge.trades.scenario_panels import stresses

_WORDS = {"send": "SEND", "held": "HELD", "empty": "NOTHING TO DO", "failed": "FAILED"}
_MOST_BANDS, _MOST_ROWS, _LONGEST = 24, 60, 40  # bands drawn, rows of exposures, characters of a name in a tile


def page_of(
    listed: Listed, *, title: str = "", quality: pd.DataFrame | None = None, past: Sequence[dict[str, Any]] = ()
) -> str:
    """The whole page of a list.

    quality   findings of the night's data (file, row, subject, problem, remedy); None: what the market contradicts
    past      sections that only a past can tell, see `display.page.section`
    """
    hedge, market = listed.hedge, listed.hedge.market
    found = contradictions_table(market) if quality is None else quality
    asked = "the market's own checks" if quality is None else "the doctor"
    exposures = hedge.exposures
    there = (exposures[["before", "after"]] != 0).any(axis=1)
    banded = _tightest_first(exposures[there & np.isfinite(exposures[["lower", "upper"]]).any(axis=1)])
    lines = lines_table(listed)
    return render(
        "report.html",
        title=title or f"{listed.book or 'book'}: {hedge.model.name}",
        subtitle=f"as of {market.as_of:%Y-%m-%d %H:%M} UTC, in {market.base_currency}, horizon {hedge.model.horizon}"
        + (f". {hedge.model.description}" if hedge.model.description else ""),
        verdict=listed.verdict, verdict_word=_WORDS[listed.verdict], why=why(listed),
        tiles=tiles(listed, len(found)),
        bands=[bands_svg(banded.iloc[:_MOST_BANDS], "exposures against their bands")] if len(banded) else [],
        exposures=pd.concat([banded, exposures[there].drop(index=banded.index)]).iloc[:_MOST_ROWS],
        lines=_without_empty(lines), totals=totals(lines), csv="" if listed.held else listed.text(),
        csv_name="trades.csv", sections=panels(listed, quality_section(found, by=asked), past),
        proof=str(replace(hedge.certificate, chain=())),
        provenance=provenance(listed),
    )  # fmt: skip


def status_page(title: str, subtitle: str, verdict: str, why: Sequence[str], past: Sequence[dict[str, Any]] = (),
                quality: pd.DataFrame | None = None) -> str:  # fmt: skip
    """The page of a book that has no list: verdict (failed, held, empty) and why, and what is known of its night."""
    found = [] if quality is None else quality_section(quality)
    return render(
        "status.html", title=title, subtitle=subtitle, verdict=verdict, verdict_word=_WORDS[verdict], why=list(why),
        sections=[*past, *found] or [section("What was done", "No list was made.")],
    )  # fmt: skip


def why(listed: Listed) -> list[str]:
    """The verdict's reasons: why a list is held, what one that may be sent does, or why there is nothing to do."""
    hedge, market = listed.hedge, listed.hedge.market
    if listed.reasons:
        return list(listed.reasons)
    costs = cost_words(listed.costs)
    if not len(listed.proposed):
        told = [line for line in headline(hedge)[2:] if line.startswith("no")]
        return told or ["No trade takes off more than it costs, and no limit asks for one."]
    number_of, size = len(listed.proposed), listed.proposed["notional"].sum()
    lines = f"{number_of} line{'s' if number_of > 1 else ''} of {number(size)} {market.base_currency} notional"
    if not len(hedge.risk):
        return [f"{lines}: {costs}."]
    before, after = hedge.risk.loc["volatility"]
    return [f"{lines} take the volatility of a day from {number(before, 4)} to {number(after, 4)}: {costs}."]


def _tightest_first(banded: pd.DataFrame) -> pd.DataFrame:
    """Banded exposures, the one that uses most of its band first."""
    return banded.iloc[np.argsort(_room(banded), kind="stable")]


def tiles(listed: Listed, problems: int) -> list[dict[str, str]]:
    """What a desk looks at first. problems: findings of the night's data."""
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
    found.append({"name": "lines", "value": str(len(listed.proposed)), "note": _sides(listed.proposed)})
    room = _tightest(hedge.limits)
    name = room[0] if len(room[0]) <= _LONGEST else f"{room[0][:_LONGEST]}…"
    found.append({"name": "tightest limit", "value": name, "note": room[1]})
    stressed = stresses(hedge)
    if len(stressed):
        worst = stressed["after"].idxmin()
        note = f"{worst}; {number(stressed.at[worst, 'before'], 5)} before"
        found.append({"name": "worst stress", "value": number(stressed["after"].min(), 5), "note": note})
    note = "see data quality" if problems else "nothing was found"
    found.append({"name": "data problems", "value": str(problems), "note": note})
    return found


def _sides(lines: pd.DataFrame) -> str:
    bought = int((lines["side"] == "BUY").sum())
    return f"{bought} to buy, {len(lines) - bought} to sell" if len(lines) else "nothing to trade"


def limit_used(limits: pd.DataFrame | Table) -> float:
    """The share of the tightest limit that is used, of its width or size; above 1 where it is missed, NaN: none."""
    kept = _movable(limits)
    return float(1.0 - _room(limits)[kept].min()) if kept.any() else float("nan")


def _movable(limits: pd.DataFrame | Table) -> np.ndarray:
    """Which limits a hedge moves and are ranges, not targets: these are always used whole."""
    lower, upper = (np.asarray(limits[name], dtype=float) for name in ("lower", "upper"))
    moved = np.array([kind not in NO_HEDGE for kind in limits["kind"]], dtype=bool)
    return (np.isfinite(lower) | np.isfinite(upper)) & (lower < upper) & moved


def _room(limits: pd.DataFrame | Table) -> np.ndarray:
    """What is left to the nearer limit, as a share of half the range, or of the limit where there is one."""
    lower, upper, after = (np.asarray(limits[name], dtype=float) for name in ("lower", "upper", "after"))
    with np.errstate(invalid="ignore"):
        room, half = np.fmin(upper - after, after - lower), (upper - lower) / 2
    ends = np.abs(np.stack([lower, upper]))
    largest = np.max(ends, axis=0, where=np.isfinite(ends), initial=0.0)
    return room / np.maximum(np.where(np.isfinite(half) & (half > 0), half, largest), 1e-12)


def _tightest(limits: pd.DataFrame) -> tuple[str, str]:
    """The limit with the least room left, and how much of it is used; one missed that a hedge moves goes first."""
    missed = limits[limits["violation"] > 1e-9 * limits[["lower", "upper"]].abs().min(axis=1).clip(lower=1.0)]
    if len(missed):
        moved = missed[~missed["kind"].isin(NO_HEDGE)]
        first = (moved if len(moved) else missed).sort_values("violation").iloc[-1]
        stuck = "" if len(moved) else "; no hedge moves it"
        return str(first.name), f"missed by {number(first['violation'], 4)}{stuck}"
    kept = _movable(limits)
    if not kept.any():
        return "none", "no limit that a hedge moves"
    room = np.where(kept, _room(limits), np.inf)
    return str(limits.index[room.argmin()]), f"{1 - max(room.min(), 0.0):.0%} of it used"


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


def _without_empty(lines: pd.DataFrame) -> pd.DataFrame:
    """Without the columns that say nothing of any line."""
    return lines.loc[:, ~(lines.isna() | (lines == "")).all()] if len(lines) else lines


def totals(lines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Lines, notional and cost by side, venue and reason."""
    if not len(lines):
        return {}
    return {
        by: lines.groupby(by).agg(lines=("cost", "size"), notional=("notional", "sum"), cost=("cost", "sum"))
        for by in ("side", "venue", "reason")
    }


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
