"""run_backtest: the step of every night over markets of the past, with simulated fills, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from optihedge.accounts.late import told
from optihedge.accounts.orders import orders_at
from optihedge.accounts.quoted import quoted
from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.backtest.beside import simple_hedges
from optihedge.backtest.result import Backtest, Taken
from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.result import Hedge
from optihedge.market.book import Book, book_quantities
from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.step.broker import AtQuote, Broker, waiting
from optihedge.step.orderlist import HasTrades, Hedger
from optihedge.step.policies.base import Policy
from optihedge.step.step import Step, step
from optihedge.trades.checks import Checks

Books: TypeAlias = Book | Mapping[pd.Timestamp, Book] | Callable[[Market], Book]


def run_backtest(
    model: Hedger,
    markets: Iterable[Market],
    book: Books,
    *,
    policy: Policy | None = None,
    broker: Broker | None = None,
    events: Iterable[Event] = (),
    checks: Checks | None = None,
    name: str = "book",
    lots: bool = True,
    beside: bool = False,
    progress: Callable[[int, pd.Timestamp], None] | None = None,
) -> Backtest:
    """Take a book through markets of the past, one step at each, as its nights would have gone.

    markets   in strictly increasing as_of; an iterator will do: only two are held at a time
    book      contracts by instrument at the first market, which then live on by themselves; or what the client holds
              at each market, by as_of or as a function of the market: differences are transfers, without P&L
    policy    when to act (default: at every market);  broker   what becomes of orders (default: AtQuote)
    events    fundings, dividends, settlements ... of the whole span, in any order;  checks   None: the model's
    lots      False: what the model answers is traded as it is, in fractions of contracts, and proved: without whole
              lots, checks and lists. An answer starts from the one before, with lots where there is one optimum only
    beside    walk the simple hedges of `backtest.beside` too; needs a HedgeModel, and holds the markets in memory
    progress  called after each step with the number done and its as_of

    The model sees one market at a time, which holds nothing after its as_of; the first k steps are the backtest of the
    first k markets. Raises DataError for markets out of order and accounts that do not add up, SpecError for fewer
    than two markets.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> def day(date, price):
    ...     quotes = pd.DataFrame({"instrument": ["S", "F"], "bid": [price - 0.01] * 2, "ask": [price + 0.01] * 2})
    ...     table = pd.DataFrame({"instrument": ["S", "F"], "type": ["equity", "perpetual"], "underlying": "S"})
    ...     return oh.Market(table, quotes, "USD", as_of=date)
    >>> markets = [day("2026-01-19T21:00Z", 100.0), day("2026-01-20T21:00Z", 101.0)]
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),), universe=("F",))
    >>> run = oh.run_backtest(model, markets, {"S": 100.0})
    >>> len(run.steps)
    2
    """
    others: dict[str, Backtest] = {}
    events = list(events)
    how: dict[str, Any] = {"broker": broker, "events": events, "checks": checks, "name": name, "lots": lots}
    if beside:
        if not isinstance(model, HedgeModel):
            raise SpecError(f"run_backtest: beside needs a HedgeModel, {type(model).__name__} is none; leave it out")
        markets = list(markets)
        for label, simple in simple_hedges(model).items():
            others[label] = run_backtest(simple, markets, book, **how)
    taken, base = [], ""
    for market, one in walk(model, markets, book, policy=policy, **how):
        taken.append(Taken.of(market, one))
        base = market.base_currency
        if progress is not None:
            progress(len(taken), market.as_of)
    if len(taken) < 2:
        raise SpecError("run_backtest: it needs at least two markets, a step and what came of it")
    return Backtest.of(taken, base, others)


def walk(
    model: Hedger,
    markets: Iterable[Market],
    book: Books,
    *,
    policy: Policy | None = None,
    broker: Broker | None = None,
    events: Iterable[Event] = (),
    checks: Checks | None = None,
    name: str = "book",
    lots: bool = True,
) -> Iterator[tuple[Market, Step]]:
    """Market and step, one after the other."""
    broker = AtQuote() if broker is None else broker
    known = sorted(events, key=lambda event: max(event.time, event.known_at))
    stated = callable(book) or (isinstance(book, Mapping) and any(isinstance(key, pd.Timestamp) for key in book))
    state, before, last = None, None, None
    for market in markets:
        client = _client(book, market, () if state is None else _away(state, market)) if stated else None
        if state is None or before is None:
            first = opening(name, market, client if stated else book)  # type: ignore[arg-type]
            done = step(first, None, market, model, policy, checks=checks, lots=lots)
        else:
            if market.as_of <= before.as_of:
                raise DataError(f"run_backtest: market {market.as_of} is not after {before.as_of}; sort the markets")
            orders = orders_at(state.orders, before, market, known) if waiting(broker) else state.orders
            fills, reports = broker.execute(orders, before, market)
            heard = told(known, before.as_of, market.as_of, fills)
            done = step(
                state, before, market, model, policy,
                fills=fills, reports=reports, events=heard, client=client, checks=checks, lots=lots, warm=last,
            )  # fmt: skip
        state, before = done.state, market
        if done.answer is not None:
            last = done.answer if not lots or _found_again(done.answer) else None
        yield market, done


def _found_again(answer: HasTrades) -> bool:
    """Whether the next list may be of a hedge that starts from this one: it is that of a night, which starts cold."""
    return isinstance(answer, Hedge) and answer.answer.one_optimum


def _away(state: State, market: Market) -> Sequence[str]:
    """What is held and not listed at a market."""
    listed = quoted(market)
    return list(dict.fromkeys(name for lots in state.positions.values() for name in lots if name not in listed))


def _client(book: Books, market: Market, away: Sequence[str]) -> pd.Series:
    """What the client holds at a market, of which some may be `away`: held, and not listed there."""
    if callable(book):
        found = book(market)
    else:
        if market.as_of not in book:
            raise DataError(f"run_backtest: no book for {market.as_of}; give one per market")
        found = book[market.as_of]  # type: ignore[index]
    stays = {}
    if away and isinstance(found, (pd.Series, Mapping)):
        stays = {name: float(found[name]) for name in away if name in found}
        found = {name: quantity for name, quantity in dict(found).items() if name not in stays}
    listed = pd.Series(book_quantities(found, market), index=market.names)
    return pd.concat([listed, pd.Series(stays)]) if stays else listed
