"""The list of one step: a hedge's own TradeList, or what a simple rule trades."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd

from optihedge.hedge.result import Hedge
from optihedge.market.snapshot import Market
from optihedge.trades.checks import Checks
from optihedge.trades.export import columns_text
from optihedge.trades.table import columns_at, frame_of, line_columns
from optihedge.trades.tradelist import TradeList, trade_list

_DECIMALS = 10  # of a contract: what a list writes


class HasTrades(Protocol):
    """What a hedger answers with: contracts to trade, by instrument."""

    @property
    def trades(self) -> pd.Series: ...


class Hedger(Protocol):
    """Anything that hedges a book in a market: a HedgeModel, or a simple rule."""

    def hedge(self, market: Market, book: pd.Series) -> HasTrades: ...


@dataclass(frozen=True, eq=False)
class RuleList:
    """What a simple rule trades, or a hedge without lots, in a list's columns: no list, for nothing of it is checked.

    reasons   why nothing of it may be traded: the hedge is not proved
    """

    columns: Mapping[str, list[Any]]
    reasons: tuple[str, ...] = ()
    notes: ClassVar[tuple[str, ...]] = ()

    @property
    def held(self) -> bool:
        """Nothing of it is traded."""
        return bool(self.reasons)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Its lines."""
        return frame_of(self.columns)

    def __len__(self) -> int:
        return 0 if self.held else len(self.columns["order_id"])

    @property
    def sha256(self) -> str:
        """Of the table's bytes as a file."""
        return hashlib.sha256(columns_text(self.columns).encode()).hexdigest()


def order_list(
    answer: HasTrades, market: Market, book: str, checks: Checks | None, deadline: float | None = None,
    *, lots: bool = True,
) -> TradeList | RuleList:  # fmt: skip
    """The list of a hedge; a simple rule's trades are rounded to the nearest lot. lots: False: trades as they are."""
    if not lots:
        return _as_it_says(answer, market, book)
    if isinstance(answer, Hedge):
        return trade_list(answer, book=book, checks="model" if checks is None else checks, deadline=deadline)
    return RuleList(line_columns(market, _lots(market, answer.trades), book=book))


def _as_it_says(answer: HasTrades, market: Market, book: str) -> RuleList:
    """What is traded, to ten decimals of a contract; nothing where a hedge is not proved."""
    if not isinstance(answer, Hedge):
        trades = pd.Series(np.round(answer.trades.to_numpy(dtype=float), _DECIMALS), answer.trades.index)
        return RuleList(line_columns(market, trades, book=book))
    proof, model, problem = answer.certificate, answer.model, answer.problem
    unproved = () if proof.optimal else (f"the hedge is {answer.status}, not proved optimal: {proof.note}",)
    trade = np.round(problem.columns.to_contracts(answer.h) - problem.start, _DECIMALS)
    moved = np.flatnonzero(trade)
    at = problem.positions[moved]
    columns = columns_at(market, at, trade[moved], book=book, model=model.name, model_hash=model.fingerprint)
    return RuleList(columns, unproved)


def _lots(market: Market, trades: pd.Series) -> pd.Series:
    trades = trades[trades != 0].astype(float)
    lot = market.instruments["lot"].reindex(trades.index).to_numpy(dtype=float)
    return pd.Series(np.round(np.round(trades.to_numpy() / lot) * lot, 10), trades.index)
