"""The smile's own past: a row a night and underlying, from two chains, as smile.csv holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import Column, check_frame
from optihedge.market.snapshot import Market
from optihedge.risk.smile import SMILE, smile_move
from optihedge.risk.smile_state import chain_underlyings, smile_state

Array = np.ndarray
TABLE = {
    "time": Column("time", required=True),
    "underlying": Column("text", required=True),
    **{name: Column("number", required=True) for name in (*SMILE, "noise")},
    "atm": Column("number", required=True, above=0.0),
    "periods": Column("number", above=0.0),
}
_BEYOND = (2.0, 3.0)  # deviations that a report counts
_ENOUGH = 20  # moves from which a history speaks of tails


@dataclass(frozen=True, eq=False)
class SmileTable:
    """Past moves of smiles: time (of the end), underlying, spot (return), vol, term, skew (decimals), noise, atm.

    atm   level of the smile at the move's start;  periods  that the move took, 1 where empty
    """

    rows: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame | None, as_of: pd.Timestamp) -> SmileTable:
        """The rows known at as_of. Raises DataError naming row and column."""
        if frame is None:
            return cls(pd.DataFrame(columns=list(TABLE)))
        source = frame.attrs.get("source", "smile")
        rows = check_frame(frame, TABLE, source, others=None)
        rows = rows.assign(periods=rows["periods"].fillna(1.0) if "periods" in rows else 1.0)
        return cls(rows[rows["time"] <= as_of].reset_index(drop=True))

    def _on(self, underlying: str) -> pd.DataFrame:
        return self.rows[self.rows["underlying"] == underlying]

    def moves(self, underlying: str, level: float) -> pd.DataFrame:
        """n x (spot, vol, term, skew) per period, as moves of a smile of this level."""
        mine = self._on(underlying)
        unit = level / (mine["atm"] * np.sqrt(mine["periods"].astype(float)))
        return mine[list(SMILE)].mul(unit, axis=0).astype(float)

    def noise_scale(self, underlying: str, usual: float, weight: float) -> float:
        """What the prior's noise is multiplied by; usual: what the prior would show as `noise` over `atm`."""
        mine = self._on(underlying)
        seen = (mine["noise"] / mine["atm"]).to_numpy(dtype=float) / usual
        squares = float((seen**2 / mine["periods"].to_numpy(dtype=float)).sum()) if len(mine) else 0.0
        return float(np.sqrt((weight + squares) / (weight + len(mine))))

    def radii(self) -> tuple[float, ...] | None:
        """Lengths of the past moves in their own covariance, their mean square 1; None where there are too few."""
        found = []
        for name in self.rows["underlying"].unique():
            moves = self.moves(name, 1.0).to_numpy()
            if len(moves) >= _ENOUGH:
                found.append(_lengths(moves))
        return tuple(np.concatenate(found).tolist()) if found else None

    def notes(self) -> tuple[str, ...]:
        """How many past moves of each underlying were beyond two and three deviations, against a normal law's."""
        texts = []
        for name in self.rows["underlying"].unique():
            moves = self.moves(name, 1.0).to_numpy()
            if len(moves) >= _ENOUGH:
                usual = np.sqrt((moves**2).mean(axis=0))
                size = np.abs(moves) / np.where(usual > 0, usual, 1.0)
                two, three = (int((size > limit).sum()) for limit in _BEYOND)
                texts.append(
                    f"smile of {name}: of {size.size} past moves {two} beyond 2 deviations and {three} beyond 3 "
                    f"(a normal law's: {0.0455 * size.size:.0f} and {0.0027 * size.size:.1f})"
                )
        return tuple(texts)


def _lengths(moves: Array) -> Array:
    """Length of each move in units of the moves' covariance about zero; mean square 1."""
    values, vectors = np.linalg.eigh(moves.T @ moves / len(moves))
    scores = moves @ vectors[:, values > 1e-12 * values[-1]] / np.sqrt(values[values > 1e-12 * values[-1]])
    return np.sqrt((scores**2).mean(axis=1))


def smile_rows(start: Market, end: Market) -> pd.DataFrame:
    """What a night adds to smile.csv: one row for each underlying with ten options in both chains, else none.

    A row's periods are those between the markets: business days where the drivers count them, else days elapsed.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01, "days": 1.0})
    >>> round(float(oh.risk.smile_rows(market, later)["spot"].iloc[0]), 4)
    0.01
    """
    days = (end.as_of - start.as_of).total_seconds() / 86_400
    periods = max(days * start.periods_per_year / 365, 1e-6)
    if start.periods_per_year <= 262:
        periods = max(float(np.busday_count(start.as_of.date(), end.as_of.date())), 1.0)
    rows = []
    for name in chain_underlyings(start):
        try:
            move = smile_move(start, end, name)
        except DataError:
            continue
        level = smile_state(start, name).level
        rows.append({"time": end.as_of, "underlying": name, **move.to_dict(), "atm": level, "periods": periods})
    return pd.DataFrame(rows, columns=list(TABLE))


def smile_table(markets: Iterable[Market]) -> pd.DataFrame:
    """The rows of consecutive markets, for smile.csv or `SmileRisk(history=...)`.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> later = oh.policy.moved(market, {"spot": 0.01, "days": 1.0})
    >>> list(oh.smile_table([market, later])["underlying"])
    ['SPX']
    """
    parts = [smile_rows(start, end) for start, end in pairwise(markets)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(TABLE))
