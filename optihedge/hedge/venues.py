"""What a hedged book has and needs at each venue that its model names: equity, margin, distance to liquidation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from optihedge.display.numbers import number
from optihedge.hedge.terms.base import Term
from optihedge.hedge.terms.margin import VenueTerm
from optihedge.market.margin import MarginRules
from optihedge.market.margin_scan import initial_margin, liquidation_moves, standing
from optihedge.market.snapshot import Market

COLUMNS = ("equity", "exposure", "margin before", "margin", "maintenance", "down before", "down", "up before", "up")
_ONE_MOVE = 0.1  # return of all prices, where the rules scan none


def venue_terms(terms: Iterable[Term]) -> list[VenueTerm]:
    """Those that speak of a venue, the first of each venue."""
    found: dict[str | None, VenueTerm] = {}
    for term in terms:
        if isinstance(term, VenueTerm):
            found.setdefault(term.venue, term)
    return list(found.values())


def venue_limits(terms: Iterable[Term]) -> frozenset[str]:
    """Labels of the terms that speak of a venue."""
    return frozenset(term.label for term in terms if isinstance(term, VenueTerm))


def venue_table(market: Market, terms: Iterable[Term], before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """COLUMNS by venue ('' where a term counts all of them), base currency; moves are returns of all prices at once.

    equity     collateral after haircuts, value and unpaid gains of what lies there before trading;  exposure  the same
               without haircuts: what is lost if the venue fails
    margin     initial, before trading and after;  maintenance  after
    down, up   the nearest returns at which equity no longer covers maintenance, before trading and after; -+inf: none
    """
    rows = {}
    for term in venue_terms(terms):
        rules, here = term.read_rules(), term.here(market, before.index)
        then, now = (_held(one, here) for one in (before, after))
        stood, needed = standing(market, then, rules, term.unrealised), initial_margin(market, now, rules)
        down, up = liquidation_moves(market, now, stood.equity, rules)
        rows[term.venue or ""] = (stood.equity, stood.exposure, stood.initial, needed, rules.maintenance * needed,
                                  stood.down, down, stood.up, up)  # fmt: skip
    index = pd.Index(rows, name="venue", dtype=object)
    return pd.DataFrame(list(rows.values()), columns=list(COLUMNS), index=index, dtype=float)


def _held(quantities: pd.Series, here: np.ndarray) -> pd.Series:
    """What is held of those that are here; where nothing is, nothing of the first contract."""
    held = quantities[here & (quantities != 0).to_numpy()]
    return held if len(held) else quantities.iloc[:1] * 0.0


def near_liquidation(table: pd.DataFrame, terms: Iterable[Term]) -> tuple[str, ...]:
    """A sentence for each venue that one move of its rules' scan, or none at all, would liquidate after trading."""
    said = []
    for term in venue_terms(terms):
        row, move = table.loc[term.venue or ""], one_move(term.read_rules())
        at = f"at {term.venue}" if term.venue else "at the venues together"
        near = min((row["down"], row["up"]), key=abs)
        if row["equity"] < row["maintenance"]:
            said.append(f"LIQUIDATION {at}: equity {number(row['equity'])} is below maintenance margin "
                        f"{number(row['maintenance'])} already")  # fmt: skip
        elif abs(near) <= move:
            said.append(f"ONE MOVE FROM LIQUIDATION {at}: a return of {near:+.1%} of all prices, within the {move:.0%} "
                        "that its rules count as one move")  # fmt: skip
    return tuple(said)


def one_move(rules: MarginRules) -> float:
    """The largest move of the rules' scan."""
    return float(np.max(np.abs(rules.moves), initial=0.0)) or _ONE_MOVE
