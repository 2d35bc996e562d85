"""Margin by rules that are data: the worst of scanned scenarios by underlying, and shares and rates of contracts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date as Date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest
from optihedge.market.scenarios import scenario_pnl
from optihedge.market.snapshot import Market

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class MarginRules:
    """Initial margin: worst weighted loss of each underlying, at least 0, plus |quantity| x (share x notional + rate).

    moves, vols   every pair is a scenario: return of the underlying, change of a 30-day vol, others by the root of time
    extended      further scenarios (return, vol, weight): of their loss only `weight` counts
    share         instrument type -> share of notional;  rate  instrument -> base currency per contract
    maintenance   of the initial margin, what must remain
    source, date  where the rules are from, and of when
    """

    source: str
    date: Date
    moves: tuple[float, ...] = ()
    vols: tuple[float, ...] = (0.0,)
    extended: tuple[tuple[float, float, float], ...] = ()
    share: Mapping[str, float] = field(default_factory=dict)
    rate: Mapping[str, float] = field(default_factory=dict)
    maintenance: float = 1.0

    def __post_init__(self) -> None:
        if not self.source:
            raise SpecError("margin rules: source is empty; say where they are from")
        numbers = [*self.moves, *self.vols, *(x for row in self.extended for x in row), self.maintenance]
        numbers += [*self.share.values(), *self.rate.values()]
        if not np.isfinite(np.array(numbers, dtype=float)).all() or any(move <= -1 for move in self.moves):
            raise SpecError("margin rules: every number must be finite, and a move above -1")
        if min([*self.share.values(), *self.rate.values(), self.maintenance, *(w for *_, w in self.extended)]) < 0:
            raise SpecError("margin rules: shares, rates, weights and maintenance must be 0 or more")

    @property
    def scenarios(self) -> pd.DataFrame:
        """One row per scenario: spot, term (the vol) and weight."""
        grid = [(move, vol, 1.0) for move in self.moves for vol in self.vols]
        return pd.DataFrame([*grid, *self.extended], columns=["spot", "term", "weight"], dtype=float)


def read_margin_rules(path: str | Path) -> MarginRules:
    """Rules of a TOML file with the fields of MarginRules. Raises SpecError."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from None
    known = [f.name for f in fields(MarginRules)]
    for name in content:
        if name not in known:
            raise SpecError(f"{path}: there is no {name}{nearest(name, known)}; there are {', '.join(known)}")
    for name in ("source", "date"):
        if name not in content:
            raise SpecError(f"{path}: {name} is missing; say where the rules are from, and of when")
    content["extended"] = tuple(tuple(row) for row in content.get("extended", ()))
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    return MarginRules(**given)


def rates_of(table: pd.DataFrame, roots: Mapping[str, str], day: pd.Timestamp) -> dict[str, float]:
    """Initial margin per contract in force on a day, instrument -> rate, from a table of root, date in force, initial.

    roots   instrument -> root. Raises DataError for a root without a row by that day.
    """
    known = table[table["date"] <= day].sort_values("date", kind="stable").groupby("root")["initial"].last()
    for name, root in roots.items():
        if root not in known.index:
            raise DataError(f"margins: {root} of {name} has no margin by {day:%Y-%m-%d}; add its row")
    return {name: float(known[root]) for name, root in roots.items()}


def scanned_losses(market: Market, rules: MarginRules, names: pd.Index) -> Array:
    """Weighted loss of one long contract in every scenario (S x N), base currency; gains are negative."""
    table = rules.scenarios
    if table.empty:
        return np.zeros((0, len(names)))
    pnl = scenario_pnl(market, table[["spot", "term"]], names).to_numpy(dtype=float)
    return -pnl * table["weight"].to_numpy()[:, None]


def contract_margin(market: Market, rules: MarginRules, names: pd.Index) -> Array:
    """What one contract needs beside its scan, long or short (N), base currency."""
    share = market.instruments.loc[names, "type"].map(dict(rules.share)).fillna(0.0).to_numpy(dtype=float)
    rate = pd.Series(dict(rules.rate), dtype=float).reindex(names).fillna(0.0).to_numpy()
    return share * market.notional[names].to_numpy(dtype=float) + rate


def initial_margin(market: Market, quantities: pd.Series, rules: MarginRules) -> float:
    """Initial margin of quantities (contracts by instrument), base currency."""
    names, held = quantities.index, quantities.to_numpy(dtype=float)
    return float(_margins(scanned_losses(market, rules, names)[None], market, names, held)[0]
                 + contract_margin(market, rules, names) @ np.abs(held))  # fmt: skip


def liquidation_moves(
    market: Market, quantities: pd.Series, equity: float, rules: MarginRules, steps: int = 60, farthest: float = 0.9
) -> tuple[float, float]:
    """The nearest return down and up of all underlyings at once at which equity no longer covers maintenance margin.

    equity   base currency, at present prices. The scan is made anew at each move.

    -+inf: not within `farthest`; 0 and 0: already.
    """
    names, held = quantities.index, quantities.to_numpy(dtype=float)
    table, moves = rules.scenarios, np.linspace(-farthest, farthest, 2 * steps + 1)
    at = scenario_pnl(market, pd.DataFrame({"spot": moves}), names).to_numpy(dtype=float)
    both = [
        (1 + move) * (1 + spot) - 1 for move in moves for spot in table["spot"]
    ]  # fmt: skip
    shocks = pd.DataFrame({"spot": both, "term": np.tile(table["term"], len(moves))})
    beyond = scenario_pnl(market, shocks, names).to_numpy(dtype=float).reshape(len(moves), len(table), len(names))
    losses = (at[:, None] - beyond) * table["weight"].to_numpy()[None, :, None]
    needed = _margins(losses, market, names, held) + contract_margin(market, rules, names) @ np.abs(held)
    short = equity + at @ held < rules.maintenance * needed
    down, up = moves[short & (moves <= 0)], moves[short & (moves >= 0)]
    return float(down.max(initial=-np.inf)), float(up.min(initial=np.inf))


def _margins(losses: Array, market: Market, names: pd.Index, held: Array) -> Array:
    """Sum over underlyings of the worst loss, at least 0, for each of M sets of scenarios (M x S x N)."""
    if not losses.shape[1]:
        return np.zeros(len(losses))
    codes, _ = pd.factorize(market.instruments.loc[names, "underlying"])
    each = [(losses[:, :, codes == code] @ held[codes == code]).max(axis=1) for code in np.unique(codes)]
    return np.maximum(np.array(each), 0.0).sum(axis=0)
