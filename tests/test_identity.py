"""What is quick is what is slow: lists, trades, objectives and P&L of every recorded desk and shipped model.

Contracts in whole lots are equal; money to 1e-9 of what it is part of.
"""

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recorded_desks import RECORDED, front
from recorded_walks import WALKS, Days, Find
from slow_path import slow_list, slow_walk, written

import optihedge as oh
from optihedge.batch.record import figures
from optihedge.batch.run import run_batch
from optihedge.errors import NotApplicable, OptihedgeError
from optihedge.hedge.modelfile import model_names
from optihedge.step.step import Step

CLOSE = 1e-9  # of what a number is part of
WRITTEN = 1e-9 + 1e-10  # a file's figures have ten digits
SAMPLE = {"Deribit": ["optimal_hedge"], "SPX": ["optimal_hedge"], "stocks": ["delta_neutral"], "alts": ["beta_hedge"],
          "coins": ["delta_neutral", "neutral"]}  # fmt: skip
SAMPLE_WALKS = {"Deribit": ["optimal_hedge"], "coin options": ["delta_neutral"], "stocks": ["beta_hedge"],
                "splits": ["beta_hedge"], "coins": ["delta_neutral"]}  # fmt: skip


def untimed(text: str) -> str:
    """Without the milliseconds that a solver's refusal tells."""
    return re.sub(r"[\d.]+ ms", "ms", text)


def same_lines(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Two lists' lines: what is money to CLOSE, all else as it is."""
    money = ["notional", "cost"]
    pd.testing.assert_frame_equal(one.drop(columns=money), other.drop(columns=money), check_exact=True)
    np.testing.assert_allclose(one[money], other[money], rtol=CLOSE, atol=0)


# ---- a batch -------------------------------------------------------------------------------------------------------


def books_of(book: pd.Series) -> dict[str, pd.Series]:
    return {"whole": book, "half": book.iloc[::2], "turned": -2.0 * book, "one": book.iloc[-1:]}


def batch_is_one_by_one(
    market: oh.Market, books: dict[str, pd.Series], models: list[str], tmp: Path, workers: int = 1
) -> int:
    """Every book under every model, in one run and each alone; the answer is how many lists there are."""
    folder = written(market, tmp / "market")
    quick = run_batch(
        oh.read_market(folder), books, {name: oh.load_model(name) for name in models}, tmp / "out", workers=workers
    )
    made = 0
    for outcome in quick.outcomes:
        slow = slow_list(folder, outcome.model, books[outcome.book], outcome.book)
        if isinstance(slow, OptihedgeError):
            assert outcome.status == ("skipped" if isinstance(slow, NotApplicable) else "failed")
            assert untimed(str(slow).split("\n")[0]) in untimed(outcome.note)
            continue
        assert outcome.status == ("held" if slow.held else "done"), outcome.note
        at = quick.folder / outcome.book / outcome.model
        (path,) = [*at.glob("trades.csv"), *at.glob("ALTERNATIVE.csv"), *at.glob("held.csv")]
        same_lines(pd.read_csv(path), pd.read_csv(StringIO(slow.proposed.to_csv(index=False))))
        told, certificate = json.loads((at / "result.json").read_text()), slow.hedge.certificate
        assert told["certificate"]["status"] == certificate.status and told["reasons"] == list(slow.reasons)
        for name, value in (("objective", certificate.primal), ("bound", certificate.dual)):
            assert told["certificate"][name] == pytest.approx(value, rel=WRITTEN, abs=CLOSE * certificate.scale), name
        for name, value in figures(slow).items():
            assert told[name] == (None if np.isnan(value) else pytest.approx(value, rel=WRITTEN, abs=0)), name
        made += not slow.held
    return made


@pytest.mark.parametrize("place", SAMPLE)
def test_a_batch_is_its_books_one_at_a_time(place: str, recorded: Find, tmp_path: Path) -> None:
    data, make, book_of = RECORDED[place]
    market = front(make(recorded(data)), 10)
    books = books_of(book_of(market))
    assert batch_is_one_by_one(market, {n: books[n] for n in ("half", "one")}, SAMPLE[place], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("place", RECORDED)
def test_a_batch_under_every_model_is_its_books_one_at_a_time(
    place: str, workers: int, recorded: Find, tmp_path: Path
) -> None:
    data, make, book_of = RECORDED[place]
    market = front(make(recorded(data)), 60)
    assert batch_is_one_by_one(market, books_of(book_of(market)), list(model_names()), tmp_path, workers)


# ---- a walk --------------------------------------------------------------------------------------------------------


def same_step(quick: Step, slow: Step, scale: float) -> None:
    """One night: what is believed, decided, sent and booked. scale: base currency, the size of the books."""
    assert (quick.status, untimed(quick.why), quick.notes) == (slow.status, untimed(slow.why), slow.notes)
    for name in ("equity", "change"):
        assert getattr(quick, name) == pytest.approx(getattr(slow, name), abs=CLOSE * scale, rel=0), name
    assert quick.moved.parts.keys == slow.moved.parts.keys
    np.testing.assert_allclose(quick.moved.parts.values, slow.moved.parts.values, rtol=0, atol=CLOSE * scale)
    assert quick.state.held == slow.state.held
    for one, other in zip(quick.state.orders, slow.state.orders, strict=True):
        assert replace(one, list_id="") == replace(other, list_id="")
    cash, other = (pd.DataFrame(one.state.cash) for one in (quick, slow))
    np.testing.assert_allclose(cash, other.reindex_like(cash), rtol=CLOSE, atol=CLOSE)
    assert (quick.trades is None) == (slow.trades is None)
    if quick.trades is None or slow.trades is None:
        return
    same_lines(quick.trades.table, slow.trades.table)
    for one, of in ((quick.answer, slow.answer), (quick.trades.hedge, slow.trades.hedge)):
        assert one.status == of.status
        for name in ("primal", "dual"):
            value = getattr(of.certificate, name)
            assert getattr(one.certificate, name) == pytest.approx(value, rel=0, abs=CLOSE * of.certificate.scale)
    notional = slow.answer.market.notional[slow.answer.trades.index]
    apart = (quick.answer.trades - slow.answer.trades) * notional
    np.testing.assert_allclose(apart, 0.0, rtol=0, atol=CLOSE * scale)


def walk_is_night_by_night(days: Days, model: str, folder: Path) -> int:
    """A walk over markets or a panel, and its nights each from files; the answer is how many lists there are."""
    folders = [written(market, folder / str(i)) for i, market in enumerate(days.alone)]
    try:
        slow = slow_walk(folders, model, days.book, days.events)
    except NotApplicable as error:  # whatever else stops a walk compares nothing
        with pytest.raises(NotApplicable) as raised:
            oh.run_backtest(oh.load_model(model), days.markets, days.book, events=days.events)
        assert untimed(str(raised.value)) == untimed(str(error))
        return 0
    quick = oh.run_backtest(oh.load_model(model), days.markets, days.book, events=days.events)
    first = days.alone[0]
    scale = float((days.book.abs() * first.notional.reindex(days.book.index)).sum())
    for one, other in zip(quick.taken, slow, strict=True):
        same_step(one.step, other, scale)
    return sum(len(one.trades or ()) > 0 for one in slow)


@pytest.mark.parametrize("place", SAMPLE_WALKS)
def test_a_walk_is_its_nights_from_files(place: str, recorded: Find, tmp_path: Path) -> None:
    days = WALKS[place](recorded, 3)
    for model in SAMPLE_WALKS[place]:
        assert walk_is_night_by_night(days, model, tmp_path / model)


@pytest.mark.slow
@pytest.mark.parametrize("place", WALKS)
def test_a_walk_under_every_model_is_its_nights_from_files(place: str, recorded: Find, tmp_path: Path) -> None:
    days = WALKS[place](recorded, 5)
    made = {model: walk_is_night_by_night(days, model, tmp_path / model) for model in model_names()}
    print(place, made)
    assert sum(made.values()) >= 5
