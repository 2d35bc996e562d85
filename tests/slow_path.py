"""The slow path, kept as a reference: a fresh market read from files for every list, one book at a time, cold.

No panel, no fit or structure kept, no warm start, no batch: what is quicker must give the same.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from test_doors_agree import write_folder

import optihedge as oh
from optihedge.accounts.state import State
from optihedge.accounts.valuation import opening
from optihedge.errors import OptihedgeError
from optihedge.market.events import Event
from optihedge.step.broker import AtQuote
from optihedge.step.step import Step, step


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Whatever is learnt of a market is learnt again at every call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optihedge.hedge.model.fitted_once", lambda market, what, fit: fit())
        yield


def written(market: oh.Market, folder: Path) -> Path:
    """The market as files that say all of it."""
    write_folder(market, pd.Series(dtype=float), folder)
    assert oh.read_market(folder).hash == market.hash
    return folder


def slow_list(folder: Path, model: str, book: pd.Series, label: str) -> oh.TradeList | OptihedgeError:
    """The list of one book, or why there is none."""
    market = oh.read_market(folder)
    with nothing_kept():
        try:
            return oh.trade_list(oh.load_model(model).hedge(market, book), book=label)
        except OptihedgeError as error:
            return error


def slow_walk(folders: Iterable[Path], model: str, book: pd.Series, events: Iterable[Event] = ()) -> list[Step]:
    """One night after the other, each from files and from the text of the state before it."""
    done: list[Step] = []
    known, before = sorted(events, key=lambda event: max(event.time, event.known_at)), None
    for folder in folders:
        market = oh.read_market(folder)
        with nothing_kept():
            if before is None:
                night = step(opening("book", market, book), None, market, oh.load_model(model))
            else:
                last, state = oh.read_market(before), State.from_text(done[-1].state.text)
                fills, reports = AtQuote().execute(state.orders, last, market)
                due = [e for e in known if last.as_of < max(e.time, e.known_at) <= market.as_of]
                night = step(
                    state, last, market, oh.load_model(model), fills=fills, reports=reports, events=due
                )  # fmt: skip
        done.append(night)
        before = folder
    return done
