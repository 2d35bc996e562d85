"""What a reader sees of a hedge: a headline, tables, notes and the proof, as text and as HTML."""

from __future__ import annotations

from html import escape
from typing import Protocol

import numpy as np
import pandas as pd

from optihedge.display.numbers import number
from optihedge.frames.table import Table
from optihedge.hedge.baselines import why_no_trade
from optihedge.hedge.problem import Problem
from optihedge.hedge.spec import HedgeSpec
from optihedge.hedge.terms.objective import Variance, Volatility
from optihedge.hedge.venues import near_liquidation, venue_terms
from optihedge.market.snapshot import Market
from optihedge.program.certificate import Certificate

ROWS = 40  # of each table that a report shows
DUST = 1e-6  # of a lot, of the largest shadow price: what tables leave out


class Told(Protocol):
    """What a report reads: a Hedge."""

    @property
    def model(self) -> HedgeSpec: ...
    @property
    def market(self) -> Market: ...
    @property
    def problem(self) -> Problem: ...
    @property
    def certificate(self) -> Certificate: ...
    @property
    def relaxation(self) -> pd.DataFrame | None: ...
    @property
    def material(self) -> bool: ...
    @property
    def equivalent_aversion(self) -> float: ...
    @property
    def uncharged(self) -> tuple[str, ...]: ...
    @property
    def before(self) -> pd.Series: ...
    @property
    def after(self) -> pd.Series: ...
    @property
    def trades(self) -> pd.Series: ...
    @property
    def risk(self) -> pd.DataFrame: ...
    @property
    def costs(self) -> pd.Series: ...
    @property
    def charges(self) -> pd.Series: ...
    @property
    def cost_table(self) -> pd.DataFrame: ...
    @property
    def exposures(self) -> pd.DataFrame: ...
    @property
    def limits(self) -> pd.DataFrame: ...
    @property
    def limit_columns(self) -> Table: ...
    @property
    def baselines(self) -> pd.DataFrame: ...
    @property
    def rolls(self) -> pd.DataFrame: ...
    @property
    def venues(self) -> pd.DataFrame: ...


def headline(hedge: Told) -> list[str]:
    """What was asked, volatility before and after, what it costs, what aversion means, or why nothing is traded."""
    market, problem = hedge.market, hedge.problem
    lines = [
        f"Hedge {hedge.model.name}".rstrip() + f" as of {market.as_of:%Y-%m-%d %H:%M} UTC, "
        f"in {market.base_currency}, horizon {hedge.model.horizon}"
    ]
    costs = cost_words(hedge.costs, hedge.charges.get("penalties", 0.0))
    if not len(hedge.risk):
        return [*lines, costs]
    before, after = hedge.risk.loc["volatility"]
    less = f" ({after / before - 1:+.1%})" if before > 0 else ""
    lines.append(f"volatility per day {number(before)} -> {number(after)}{less}, {costs}")
    if not hedge.material:
        lines.append("nothing material to remove: no hedge here takes a tenth off the book's variance")
    for term in hedge.model.objective:
        if not isinstance(term, (Variance, Volatility)):
            continue
        priced = problem.program.volatility_price if isinstance(term, Volatility) else None
        price = 0.0 if priced is None else priced.price
        aversion = term.at(problem.size) if isinstance(term, Variance) else hedge.equivalent_aversion
        if problem.start.any() and not (hedge.trades.abs() > DUST).any():
            reason = why_no_trade(market, problem, hedge.baselines, 0.0 if priced else aversion, price)
            lines += [reason] if reason else []
        if priced is not None:
            asks = f"it asks what an aversion of {aversion:.4g} asks" if aversion > 0 else "no volatility is left"
            lines.append(
                f"price of volatility {price:.4g}: cost per unit of volatility over the horizon; {asks}; "
                "objective = price x volatility + charges"
            )
        else:
            horizon = float(np.sqrt(hedge.risk.loc["variance", "after"]))
            lines.append(
                f"aversion {aversion:.4g}: one unit less volatility over the horizon is worth "
                f"{aversion * horizon:.3g} here; objective = aversion / 2 x variance + charges"
            )
    return lines


def cost_words(costs: pd.Series, penalties: float = 0.0) -> str:
    """What it costs to trade, and to hold if that is anything; a soft limit's penalties are no money paid."""
    text = f"cost {number(costs['trading'])}"
    if costs["holding"]:
        text += f" to trade and {number(costs['holding'])} to hold, {number(costs['total'])} in all"
    return text + (f", penalties {number(penalties)}" if penalties > 0 else "")


def tables(hedge: Told) -> dict[str, pd.DataFrame]:
    """The tables of a report, by title."""
    lots = hedge.market.instruments["lot"].to_numpy(dtype=float)[hedge.problem.positions]
    moved = hedge.trades.abs() > DUST * lots
    trades = pd.DataFrame({"before": hedge.before, "trade": hedge.trades, "after": hedge.after})[moved]
    size = trades["trade"].abs() * hedge.market.notional.reindex(trades.index)
    exposures = hedge.exposures
    told = exposures["target"].notna() | (exposures[["before", "after"]] != 0).any(axis=1)
    unlimited = [side for side in ("target", "lower", "upper") if not np.isfinite(exposures.loc[told, side]).any()]
    found = {
        "trades": trades.loc[size.sort_values(ascending=False, kind="stable").index],
        "exposures": exposures[told].drop(columns=unlimited),
        "costs": hedge.cost_table,
        "objective": hedge.charges.to_frame().rename_axis("term"),
    }
    price = hedge.limits["shadow_price"].abs()
    binding = hedge.limits[(price > DUST * price.max()) | (hedge.limits["violation"] > 0)]
    if len(binding):
        found["binding limits"] = binding[["after", "lower", "upper", "violation", "shadow_price", "unit", "kind"]]
    if len(hedge.venues):
        found["venues"] = hedge.venues
    if len(hedge.rolls):
        found["to roll"] = hedge.rolls
    if hedge.relaxation is not None:
        found["limits that gave way"] = hedge.relaxation
    if hedge.problem.variance is not None:
        found["baselines"] = hedge.baselines
    return found


def notes(hedge: Told) -> tuple[str, ...]:
    """Which venues are near liquidation, which soft limits are missed, what the problem noted, and which costs no term
    charges.
    """
    near = near_liquidation(hedge.venues, hedge.model.terms) if venue_terms(hedge.model.terms) else ()
    return (*near, *missed(hedge.limit_columns), *hedge.problem.notes, *hedge.uncharged)


def missed(limits: Table) -> tuple[str, ...]:
    """Soft limits that an answer ends beyond, by how much. Columns as in `Hedge.limits`."""
    soft = np.array([kind == "soft" for kind in limits["kind"]], dtype=bool)
    if not soft.any():
        return ()
    sizes = np.abs([limits.numbers(name) for name in ("before", "lower", "upper")])
    largest = np.where(np.isfinite(sizes), sizes, 0.0).max(axis=0)
    violation, units = limits.numbers("violation"), limits["unit"]
    return tuple(
        f"{limits.index[i]} is soft and ends {number(violation[i])} beyond its band ({units[i]}): to keep it costs "
        "more than its price"
        for i in np.flatnonzero(soft & (violation > DUST * largest))
    )


def text(hedge: Told) -> str:
    """The whole report as text."""
    parts = ["\n".join(headline(hedge))]
    for name, table in tables(hedge).items():
        body = _finite(table.iloc[:ROWS]).to_string(float_format=number, na_rep="") if len(table) else "none"
        parts.append(f"{name}\n{body}{_more(table)}")
    told = "\n".join(f"note: {note}" for note in notes(hedge))
    return "\n\n".join([part for part in (*parts, told, str(hedge.certificate)) if part])


def html(hedge: Told) -> str:
    """The whole report as a fragment of HTML."""
    head = "".join(f"<p>{escape(line)}</p>" for line in headline(hedge))
    body = "".join(_section(name, table) for name, table in tables(hedge).items())
    told = "".join(f"<p>note: {escape(note)}</p>" for note in notes(hedge))
    return f"<div>{head}{body}{told}<pre>{escape(str(hedge.certificate))}</pre></div>"


def _section(name: str, table: pd.DataFrame) -> str:
    body = _finite(table.iloc[:ROWS]).to_html(float_format=number, na_rep="", escape=True) if len(table) else "none"
    return f"<h4>{escape(name)}</h4>{body}{_more(table)}"


def _finite(table: pd.DataFrame) -> pd.DataFrame:
    """Without infinities, which a report leaves blank."""
    return table.apply(lambda column: column.where(np.isfinite(column)) if column.dtype.kind == "f" else column)


def _more(table: pd.DataFrame) -> str:
    return f"\n... and {len(table) - ROWS} more" if len(table) > ROWS else ""
