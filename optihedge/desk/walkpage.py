"""The page of a walk: what it came to, where the money came from, whether the hedge worked; tables and one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from optihedge.backtest.result import Backtest
from optihedge.content import canonical_text
from optihedge.display import number
from optihedge.display.page import render, section
from optihedge.display.svg import paths_svg

_MOST_NOTES = 8


def walk_page(done: Backtest, *, title: str, policy: Mapping[str, Any], broker: str) -> str:
    """One self-contained HTML file."""
    span = f"{done.steps.index[0]:%Y-%m-%d} to {done.steps.index[-1]:%Y-%m-%d}"
    base, figures = done.base_currency, done.summary.loc["this"]
    total = done.pnl[["book", "both"]].cumsum().set_axis(["book alone", "hedged, after costs"], axis=1)
    sections = [
        section("P&L since the start", pictures=[paths_svg(total, "P&L since the start", base)]),
        section("Beside the simple hedges", "Per period where nothing else is said; everything after costs.",
                 frames=[done.summary]),
        section("Where the money came from", f"{base}; the sums are the changes of equity.",
                 frames=[done.parts.loc[:, (done.parts.abs() > 0).any()].T.rename_axis("part")]),
        section("What was left of Greeks and betas",
                f"Root mean square over the steps, each before its list, {base} in desk units; betas on one market "
                "driver at a time, over a rolling window.", frames=[_left(done)]),
        section("Alpha, and gamma against theta",
                f"Alpha per period, {base}: P&L less betas on the market drivers, carry and cost, with its error. "
                "Realised: what gamma earned of the moves; implied: what theta charged; sums of the walk.",
                frames=_earned(done)),
        section("Months", frames=[done.monthly.rename(index=str).rename_axis("month")]),
    ]  # fmt: skip
    if len(done.pnl) >= 10 and np.ptp(done.pnl["book"].to_numpy()) > 0:
        sections.insert(2, section(
            "Whether the hedge worked", "Intervals of 95 % by block bootstrap. Offset in band: 80 to 125 %, a practice "
            "of IAS 39 and ASC 815 that IFRS 9 dropped.", frames=[done.effectiveness.table]))  # fmt: skip
    notes = [f"{note} ({count} times)" if count > 1 else str(note)
             for note, count in done.notes["note"].value_counts().head(_MOST_NOTES).items()]  # fmt: skip
    if notes:
        sections.append(section("Assumptions", sentences=notes))
    sections.append(section("Steps", frames=[_steps(done)]))
    counts = ", ".join(f"{n} {status}" for status, n in done.steps["status"].value_counts().items())
    return render(
        "walk.html", title=title, sections=sections,
        subtitle=f"{span}, {len(done.steps)} markets ({counts}); policy {canonical_text(policy)}; filled: {broker}",
        tiles=[
            {"name": name, "value": number(float(figures[name])), "note": unit}
            for name, unit in (("P&L", base), ("volatility", f"{base} a period"), ("variance removed", "of the book's"),
                               ("cost", base), ("turnover", base))
        ],
    )  # fmt: skip


def _left(done: Backtest) -> pd.DataFrame:
    """Root mean square of Greeks and rolling betas, of the book alone and hedged; what neither has is left out."""
    greeks, betas = done.greeks, done.betas().dropna()
    sides = {"book": greeks.xs("book", level="account"), "hedged": greeks.groupby(level="time").sum()}
    if betas.size:
        for of, side in zip(("book", "both"), sides, strict=True):
            sides[side] = sides[side].join(betas.xs(of, axis=1, level="of").add_prefix("beta:"))
    table = pd.DataFrame({name: np.sqrt((frame**2).mean()) for name, frame in sides.items()})
    return table[(table > 0).any(axis=1)].rename_axis("exposure")


def _earned(done: Backtest) -> list[pd.DataFrame]:
    """Alpha with its error where a market driver moved, and gamma against theta."""
    alpha, gamma = done.alpha.to_frame(done.base_currency).T, done.gamma_scalping.sum().to_frame(done.base_currency).T
    frames = (alpha.rename_axis("alpha per period"), gamma.rename_axis("gamma of the walk"))
    return [frame for frame in frames if frame.notna().all(axis=None)]


def _steps(done: Backtest) -> pd.DataFrame:
    shown = done.steps[["status", "why", "equity", "change", "cost", "notional", "lines"]]
    return shown.set_axis(shown.index.strftime("%Y-%m-%d %H:%M"), axis=0).rename_axis("time")
