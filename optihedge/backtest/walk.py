"""walk_forward: the same hedge step period after period, and what book and hedge then earned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd

from optihedge.errors import DataError, InfeasibleError, SolverError, SpecError
from optihedge.hedge.result import Hedge
from optihedge.market.book import book_quantities
from optihedge.market.pnl import borrow_cost, contract_pnl, trading_cost
from optihedge.market.snapshot import Market
from optihedge.trades.tradelist import trade_list

Book: TypeAlias = pd.Series | Mapping[pd.Timestamp, pd.Series] | Callable[[Market], pd.Series]


class HasTrades(Protocol):
    """What a hedger answers with: contracts by instrument."""

    @property
    def trades(self) -> pd.Series: ...


class Hedger(Protocol):
    """Anything that hedges a book: a HedgeModel."""

    def hedge(self, market: Market, book: pd.Series) -> HasTrades: ...


@dataclass(frozen=True, eq=False)
class Walk:
    """A hedge walked forward; row t of `pnl` is the period from one market to the next, labelled by its end.

    pnl        base currency: book, hedge (before costs), cost (>= 0, spread and fees of the trades at its start),
               total = book + hedge - cost
    positions  hedge held over each period (period ends x instruments, contracts), book not included
    steps      by period start: status ("hedged" or why the last hedge was kept), turnover (base currency)
    """

    pnl: pd.DataFrame
    positions: pd.DataFrame
    steps: pd.DataFrame

    def variance_removed(self) -> float:
        """1 - Var(total) / Var(book): effectiveness after costs."""
        return 1.0 - float(self.pnl["total"].var() / self.pnl["book"].var())

    def summary(self) -> pd.Series:
        """Realised figures per period, base currency: volatilities, P&L, cost, turnover, variance removed."""
        return pd.Series(
            {
                "periods": len(self.pnl),
                "volatility_book": self.pnl["book"].std(),
                "volatility_total": self.pnl["total"].std(),
                "variance_removed": self.variance_removed(),
                "pnl_book": self.pnl["book"].sum(),
                "pnl_hedge": self.pnl["hedge"].sum(),
                "cost": self.pnl["cost"].sum(),
                "turnover": self.steps["turnover"].sum(),
                "kept": int((self.steps["status"] != "hedged").sum()),
            }
        )

    def __str__(self) -> str:
        return self.summary().to_string(float_format="{:,.4g}".format)


def walk_forward(
    model: Hedger,
    markets: Iterable[Market],
    book: Book,
    *,
    on_failure: str = "error",
    funding: pd.DataFrame | None = None,
    progress: Callable[[int, pd.Timestamp], None] | None = None,
) -> Walk:
    """Hedge `book` at every market but the last, hold the result to the next, and book what it earned.

    markets     in strictly increasing as_of; an iterator will do: only two are held at a time
    book        quantities by instrument, or one such Series by as_of, or a function of the market; none for the last
    on_failure  "error", or "hold": keep the last hedge where none was found, and say so in `steps`
    funding     rows of what was paid (instrument, time, rate, mark), see `contract_pnl`; None: at quoted rates
    progress    called after each step with the number done and its as_of

    A hedging model's trades are those of its list, in whole lots and checked; a held list keeps the last hedge, which
    `steps` says. The model sees one market at a time, and a market holds nothing after its as_of. What has expired is
    settled against the next market's underlying. Raises DataError for a held contract that vanishes, SpecError for too
    few markets.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> markets = [day("2026-01-19T21:00Z", 100.0), day("2026-01-20T21:00Z", 101.0)]
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),), universe=("F",))
    >>> walk = oh.walk_forward(model, markets, lambda market: pd.Series({"S": 100.0}))
    >>> print(walk.pnl["book"].round(2).tolist(), walk.pnl["hedge"].round(2).tolist())
    [100.0] [-100.0]
    """
    if on_failure not in ("error", "hold"):
        raise SpecError(f"walk_forward: on_failure is {on_failure!r}; write 'error' or 'hold'")
    held, start = pd.Series(dtype=float), None
    pnl, positions, steps = [], [], []
    for market in markets:
        if start is not None:
            if pd.Timestamp(market.as_of) <= pd.Timestamp(start.as_of):
                raise DataError(f"walk_forward: market {market.as_of} is not after {start.as_of}; sort the markets")
            client = _book_at(book, start)
            status, trades = _step(model, start, client, held, on_failure)
            held = held.add(trades, fill_value=0.0)
            held = held[held != 0]
            steps.append((start.as_of, status, np.abs(trades) @ start.notional.reindex(trades.index)))
            own, hedge = (_earned(start, market, quantities, funding) for quantities in (client, held))
            cost = trading_cost(start, trades)
            pnl.append((market.as_of, own, hedge, cost, own + hedge - cost))
            positions.append(held.rename(market.as_of))
            held = held[held.index.isin(market.names)]
            if progress is not None:
                progress(len(steps), start.as_of)
        start = market
    if not pnl:
        raise SpecError("walk_forward: it needs at least two markets, a step and what came of it")
    table = pd.DataFrame(pnl, columns=["time", "book", "hedge", "cost", "total"]).set_index("time")
    frame = pd.DataFrame(steps, columns=["time", "status", "turnover"]).set_index("time")
    return Walk(table, pd.DataFrame(positions).fillna(0.0).rename_axis("time"), frame)


def _step(model: Hedger, market: Market, client: pd.Series, held: pd.Series, on_failure: str) -> tuple[str, pd.Series]:
    nothing = pd.Series(dtype=float)
    try:
        answer = model.hedge(market, client.add(held, fill_value=0.0))
    except (InfeasibleError, SolverError) as error:
        if on_failure == "error":
            raise
        return f"{error.code}: {error}", nothing
    status, trades = "hedged", answer.trades
    if isinstance(answer, Hedge):  # a hedging model's trades are those of its list
        listed = trade_list(answer)
        status = f"held: {'; '.join(listed.reasons)}" if listed.held else status
        trades = nothing if listed.held else listed.hedge.trades
    return status, trades[trades != 0].astype(float)


def _book_at(book: Book, market: Market) -> pd.Series:
    if isinstance(book, pd.Series):
        found = book
    elif isinstance(book, Mapping):
        if market.as_of not in book:
            raise DataError(f"walk_forward: no book for {market.as_of}; give one per market but the last")
        found = book[market.as_of]
    else:
        found = book(market)
    unknown = found.index[~found.index.isin(market.names)]
    if len(unknown):
        raise DataError(f"walk_forward: {unknown[0]} of the book is not in the market of {market.as_of}")
    return pd.Series(book_quantities(found, market), index=market.names).reindex(found.index)


def _earned(start: Market, end: Market, quantities: pd.Series, funding: pd.DataFrame | None) -> float:
    """P&L of quantities held from start to end, borrow paid. Raises DataError for one that vanished or changed."""
    quantities = quantities[quantities != 0]
    return float(quantities @ contract_pnl(start, end, quantities.index, funding=funding)) - borrow_cost(
        start, end, quantities
    )
