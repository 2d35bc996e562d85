"""A night's page says what happened since the last one: the money to the cent, book, market, list and model."""

import io
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from desk_nights import DESK, desk_in, last_run, one_night
from nights import coin_markets, fundings, path

from optihedge.accounts.state import State
from optihedge.desk.deskfile import read_desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.reading import files_of, inputs_of
from optihedge.desk.replay import replay
from optihedge.desk.since import positions
from optihedge.step.broker import AtQuote

MODEL = """
description = "Delta within a lot, at the least cost."
objective = [{type = "SpreadCost"}, {type = "FeeCost"}]
constraints = [{type = "Neutral", exposure = "delta", by = "underlying", band = 2000.0}]
universe = {instruments = ["PERP", "LIN"]}
"""
BOOK = {"C0": 10.0, "P1": -5.0}


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """Three nights; before the last the model's band was halved."""
    folder = tmp_path_factory.mktemp("since")
    spots = path(3)
    markets = coin_markets(spots)
    (folder / "model.toml").write_text(MODEL)
    desk = desk_in(folder, markets, BOOK, fundings(spots), model="model.toml", text=DESK)
    runs, before = [], None
    for number, market in enumerate(markets):
        if number == 2:
            (folder / "model.toml").write_text(MODEL.replace("2000.0", "1000.0"))
            desk = read_desk(desk.path)
        one_night(desk, market, AtQuote() if before is not None else None, before)
        runs.append(last_run(desk)["id"])
        before = market
    return desk, markets, runs


def texts(desk, run: str) -> dict[str, str]:
    with open_ledger(desk.ledger).read() as connection:
        return files_of(connection, run)


def tables(page: str) -> dict[str, pd.DataFrame]:
    """The tables of a page by the name of their first column; cells without a number are 0."""
    found = {}
    for table in re.findall(r"<table.*?</table>", page, flags=re.DOTALL):
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
        head, body = [unescape(cell) for cell in rows[0]], rows[1:]
        frame = pd.DataFrame(body, columns=head).set_index(head[0])
        found[head[0]] = frame.apply(lambda c: pd.to_numeric(c.str.replace(",", ""), errors="coerce").fillna(0.0))
    return found


def test_the_first_night_says_that_it_is_the_first(nights):
    desk, _, runs = nights
    assert "This is the first night of the book." in texts(desk, runs[0])["report.html"]


def test_the_parts_of_the_page_are_the_nights_own_and_sum_to_the_change_of_equity(nights):
    desk, _, runs = nights
    for run in runs[1:]:
        files = texts(desk, run)
        parts = tables(files["report.html"])["P&L explained by"]["base currency"]
        told = pd.read_csv(io.StringIO(files["explained.csv"]))
        assert parts["total"] == pytest.approx(told["total"].sum(), rel=1e-5)
        assert parts.drop("total").sum() == pytest.approx(parts["total"], rel=1e-4)
        change = re.search(r"a change of ([+-][\d,.]+)\.", files["report.html"])
        assert change is not None and float(change[1].replace(",", "")) == pytest.approx(parts["total"], rel=1e-4)


def test_positions_moved_by_what_was_filled_and_market_and_list_are_those_of_the_nights(nights):
    desk, markets, runs = nights
    files = [texts(desk, run) for run in runs]
    found = tables(files[1]["report.html"])
    sent = pd.read_csv(io.StringIO(files[0]["proposed.csv"])).set_index("instrument")["quantity"]
    assert found["book: position"]["change"].to_dict() == pytest.approx(sent.to_dict())
    levels = found["market: driver"].loc["BTC"]
    assert levels["last night"] == pytest.approx(markets[0].levels["BTC"], rel=1e-5)
    assert levels["now"] == pytest.approx(markets[1].levels["BTC"], rel=1e-5)
    lines = found["list: contract"]
    assert lines["last list"][lines["last list"] != 0].to_dict() == pytest.approx(sent.to_dict())


def test_a_changed_model_is_said_line_by_line_and_the_same_one_is_the_same(nights):
    desk, _, runs = nights
    second, third = (unescape(texts(desk, run)["report.html"]) for run in runs[1:])
    assert "The model is the same: neutral." in second
    assert "was changed" in third and "band = 1000.0" in third and "band = 2000.0" in third


def test_the_page_replays_to_the_byte(nights):
    desk, _, runs = nights
    for run in runs:
        assert replay(desk, run).differences == ()


def test_a_night_that_waits_or_fails_has_a_page_that_says_why(tmp_path: Path):
    spots = path(2)
    markets = coin_markets(spots)
    (tmp_path / "model.toml").write_text(MODEL)
    desk = desk_in(tmp_path, markets, BOOK, model="model.toml", text=DESK)
    one_night(desk, markets[0])
    one_night(desk, markets[1])  # without a word on the orders that left: blocked
    files = texts(desk, last_run(desk)["id"])
    assert "<strong>HELD</strong>" in files["report.html"] and "blocked: no final word" in files["report.html"]


def test_positions_are_compared_contract_by_contract(nights):
    desk, _, runs = nights
    with open_ledger(desk.ledger).read() as connection:
        state = State.from_text(get_text(connection, inputs_of(connection, runs[1])["state"]))
    assert positions(state, state).empty


def test_a_nights_index_has_a_row_a_book_with_its_page_and_figures(nights):
    desk, markets, _ = nights
    for market, status in zip(markets, ("FIRST", "SOLVED", "SOLVED"), strict=True):
        index = desk.out / f"{market.as_of:%Y-%m-%dT%H%M%SZ}" / "index.html"
        page = index.read_text(encoding="utf-8")
        (link,) = re.findall(r'<a href="([^"#]+)">one</a>', page)
        assert (index.parent / link).is_file() and f">{status}<" in page and "Data quality" in page
