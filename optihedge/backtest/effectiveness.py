"""Whether a hedge worked: what it took off the book's P&L, with intervals, and what that cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from optihedge.backtest.hedge_evaluation import block_rows
from optihedge.backtest.slopes import ROUNDING, newey_west, still
from optihedge.errors import DataError
from optihedge.hedge.terms.base import check_number
from optihedge.risk.hedge_ratio import dollar_offset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray
ACCOUNTING_BAND = (0.8, 1.25)
_TAIL = 0.95
_BLOCKS, _BEYOND = 5, 0.025  # of a bootstrap where nobody says; of its draws beyond each end of an interval


@dataclass(frozen=True, eq=False)
class Effectiveness:
    """Figures of a hedge over T periods; money in base currency, everything after the hedge's costs.

    table      figure x (value, low, high): 95 % intervals by circular block bootstrap, as wide as Student's law asks of
               so few blocks (Hesterberg 2015); NaN where there is none
      variance removed      1 - Var(both) / Var(book)
      R2, slope             of the book's P&L on the hedge's; slope_error: Newey and West's (1987); a full hedge: -1
      tail removed          1 - expected shortfall (95 %) of both / of the book, NaN where the book's is a gain
      drawdown removed      1 - worst drawdown of both / of the book
      offset                -hedge P&L / book P&L over all periods together
      offset in band        share of periods whose own offset lies within 80 to 125 %, an IAS 39 and ASC 815 practice
                            that IFRS 9 dropped; periods in which the book moved less than `dead_zone` do not count
      cost                  paid;  cost per variance removed: cost / (Var(book) - Var(both)) per period
    offsets    T x (period, cumulative)

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> book = np.random.default_rng(0).normal(0, 100.0, 60)
    >>> pnl = pd.DataFrame({"book": book, "hedge": -0.9 * book, "cost": 1.0})
    >>> round(float(oh.stats.Effectiveness.of(pnl).table.loc["variance removed", "value"]), 4)
    0.99
    """

    table: pd.DataFrame
    offsets: pd.DataFrame
    periods: int
    counted: int
    dead_zone: float
    block: int

    @classmethod
    def of(
        cls, pnl: pd.DataFrame, *, dead_zone: float = 0.0, block: int | None = None, draws: int = 2000, seed: int = 0
    ) -> Effectiveness:
        """Of a frame T x (book, hedge, cost): P&L per period, `hedge` after `cost`.

        dead_zone  base currency: a period in which the book moved less says nothing about an offset
        block      periods drawn together: as long as calm and wild times last. None: a fifth of all periods
        draws, seed   of the bootstrap
        Raises DataError for fewer than 10 periods, gaps, and a book that does not move; SpecError for other settings.
        """
        for name, value, least in (
            ("dead_zone", dead_zone, 0.0),
            ("block", 1 if block is None else block, 1),
            ("draws", draws, 1),
        ):
            check_number("effectiveness", name, value, least=least)
        missing = [name for name in ("book", "hedge", "cost") if name not in pnl]
        if missing:
            raise DataError(
                f"effectiveness: there is no column {missing[0]}; give book, hedge and cost, one row a period"
            )
        book, hedge = (pnl[name].to_numpy(dtype=float) for name in ("book", "hedge"))
        size = len(book)
        if size < 10:
            raise DataError(f"effectiveness: {size} periods say nothing; give 10 or more")
        if not np.isfinite(pnl[["book", "hedge", "cost"]].to_numpy(dtype=float)).all():
            raise DataError("effectiveness: a P&L or cost is missing; leave that period out of all")
        if still(book):
            raise DataError("effectiveness: the book does not move, so there is nothing to hedge")
        block = -(-size // _BLOCKS) if block is None else int(min(block, size // 2))
        rows = block_rows(size, block, draws, seed)
        now, drawn = _figures(book, hedge), _figures(book[rows], hedge[rows])
        table = pd.DataFrame({"value": {k: float(v) for k, v in now.items()}}).rename_axis("figure")
        resampled = pd.DataFrame(drawn)[list(now)]
        outside = _outside(size / block)
        table["low"], table["high"] = resampled.quantile(outside), resampled.quantile(1 - outside)
        offsets = pd.DataFrame(
            {"period": dollar_offset(book, hedge), "cumulative": dollar_offset(book, hedge, cumulative=True)}, pnl.index
        )
        told = np.abs(book) >= dead_zone
        inside = offsets["period"][told & (book != 0)].between(*ACCOUNTING_BAND)
        cost = float(pnl["cost"].sum())
        removed = float(np.var(book, ddof=1) - np.var(book + hedge, ddof=1))
        alone = {
            "slope_error": newey_west(book, hedge).slope_error,
            "offset in band": float(inside.mean()) if len(inside) else np.nan,
            "cost": cost,
            "cost per variance removed": cost / removed if removed > 0 else np.nan,
        }
        for name, value in alone.items():
            table.loc[name] = [value, np.nan, np.nan]
        return cls(table, offsets, size, len(inside), dead_zone, block)

    def __repr__(self) -> str:
        return f"<Effectiveness over {self.periods} periods: {self['variance removed']:.0%} of variance removed>"

    def plot(self) -> Figure:
        """What was removed of variance, tail and drawdown, with intervals of 95 %; and the offset so far."""
        from optihedge.display import AFTER, figure, lines

        drawn, axes = figure(1, 2, width=10)
        shown = self.table.loc[["variance removed", "tail removed", "drawdown removed"]]
        place = np.arange(len(shown))[::-1]
        sides = np.abs(shown[["low", "high"]].to_numpy().T - shown["value"].to_numpy())
        axes[0, 0].errorbar(shown["value"], place, xerr=np.nan_to_num(sides), fmt="o", color=AFTER, capsize=4)
        axes[0, 0].set_yticks(place, list(shown.index))
        axes[0, 0].set_ylim(-0.6, len(shown) - 0.4)
        axes[0, 0].axvline(0, color="#33393f", linewidth=0.8)
        axes[0, 0].set_title("share removed, 95 % intervals", loc="left", fontsize=10)
        axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        lines(axes[0, 1], self.offsets[["cumulative"]], "offset: hedge against book, since the start")
        axes[0, 1].tick_params(axis="x", rotation=20)
        return drawn

    def _repr_html_(self) -> str:
        from optihedge.display import table_html

        return table_html(self.table, f"effectiveness over {self.periods} periods")

    def __getitem__(self, figure: str) -> float:
        return float(self.table.at[figure, "value"])

    def __str__(self) -> str:
        head = f"{self.periods} periods, {self.counted} beyond the dead zone, intervals by blocks of {self.block}"
        return f"{head}\n{self.table.to_string(float_format='{:,.4g}'.format, na_rep='')}"


def _figures(book: Array, hedge: Array) -> dict[str, Array]:
    """Each figure along the last axis: of the periods as they were, or of every resample at once."""
    both = book + hedge
    centred, other = book - book.mean(-1, keepdims=True), hedge - hedge.mean(-1, keepdims=True)
    cross, own = (centred * other).sum(-1), (other**2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(own > (ROUNDING * np.abs(hedge).max(-1)) ** 2, own, 0.0)
        slope = np.where(own > 0, cross / own, np.nan)
        tail = shortfall(book)
        figures = {
            "variance removed": 1 - both.var(-1, ddof=1) / book.var(-1, ddof=1),
            "R2": np.where(own > 0, cross**2 / (own * (centred**2).sum(-1)), 0.0),
            "slope": slope,
            "tail removed": np.where(tail > 0, 1 - shortfall(both) / tail, np.nan),
            "drawdown removed": 1 - worst_drawdown(both) / worst_drawdown(book),
            "offset": -hedge.sum(-1) / book.sum(-1),
        }
        return {name: np.where(np.isfinite(values), values, np.nan) for name, values in figures.items()}


def _outside(blocks: float) -> float:
    """Share of draws beyond each end of a 95 % interval from so many blocks: a bootstrap's percentiles are those of a
    normal law whose variance divides by the blocks; Student's law, which divides by one less, is meant.
    """
    return float(ndtr(stdtrit(blocks - 1, _BEYOND) * np.sqrt(blocks / (blocks - 1))))


def shortfall(pnl: Array, level: float = _TAIL) -> Array:
    """Expected shortfall along the last axis: mean loss in the worst 1 - level of periods (a part of one counts so)."""
    ordered = np.sort(pnl, axis=-1)
    worst = (1 - level) * ordered.shape[-1]
    weights = np.clip(worst - np.arange(ordered.shape[-1]), 0.0, 1.0)
    return -(ordered * weights).sum(-1) / worst


def worst_drawdown(pnl: Array) -> Array:
    """Deepest fall of the cumulated P&L below its highest until then, from 0 on; along the last axis, 0 or more."""
    total = np.cumsum(pnl, axis=-1)
    peak = np.maximum(np.maximum.accumulate(total, axis=-1), 0.0)
    return (peak - total).max(axis=-1)
