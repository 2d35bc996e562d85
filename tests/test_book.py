"""Books: quantities by instrument, from files, frames and venue amounts."""

import gc
import time

import numpy as np
import pandas as pd
import pytest
from desks import walk

import optihedge as oh
from optihedge.batch.books import read_books
from optihedge.errors import DataError
from optihedge.market.book import read_book
from optihedge.market.snapshot import Market


def test_a_book_is_quantities_by_instrument(tmp_path):
    market = Market.from_prices(walk(2), base_currency="USD")
    path = tmp_path / "book.csv"
    path.write_text("instrument,quantity\nS0,100\nS1,-50\n")
    assert read_book(path, market).to_dict() == {"S0": 100.0, "S1": -50.0}
    path.write_text("instrument,quantity,book\nS0,100,long\nS0,-50,short\n")
    books = {name: book.to_dict() for name, book in read_book(path).items()}
    assert books == {"long": {"S0": 100.0}, "short": {"S0": -50.0}}
    path.write_text("instrument,quantity\n")
    assert read_book(path, market).empty
    for text, message in (
        ("instrument,quantity\nS0,1\nSO,1\n", r"book.csv row 3: instrument SO is not in the market \(did you mean S"),
        ("instrument,quantity\nS0,1\nS0,1\n", r"book.csv row 3: instrument S0 appears twice; add up its rows"),
        ("instrument,quantity\nS0,\n", r"book.csv row 2: quantity is empty; give a number"),
        ("instrument,qty\nS0,1\n", r"book.csv: column quantity is missing"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_book(path, market)


def test_a_book_in_venue_amounts_is_converted():
    table = pd.DataFrame({"instrument": ["I", "P"], "type": ["index", "inverse_perpetual"], "underlying": "BTC",
                          "multiplier": [1.0, 10.0]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["I", "P"], "bid": [9e4, 9e4], "ask": [9e4, 9e4]})
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    book = read_book(pd.DataFrame({"instrument": ["P"], "venue_amount": [-100_000.0]}), market)
    assert book["P"] == -10_000


def test_many_books_of_one_file_are_read_in_time_that_grows_with_their_number(example_folder, tmp_path):
    """Four times the books take about four times as long: quadratic reading would take sixteen times."""
    market = oh.read_market(example_folder)
    taken: dict[int, float] = {}
    for count in (1_500, 6_000) * 3:  # the least of three: others use the machine too
        rows = "".join(f"b{i},{market.names[(i + j) % 9]},{j + 1}\n" for i in range(count) for j in range(3))
        (tmp_path / "books.csv").write_text("book,instrument,quantity\n" + rows)
        gc.collect()
        gc.disable()  # what it takes is that of every object there is
        began = time.process_time()
        books, failed = read_books([tmp_path / "books.csv"], market)
        gc.enable()
        taken[count] = min(time.process_time() - began, taken.get(count, np.inf))
        assert len(books) == count and not failed
        assert books["b7"].to_dict() == {market.names[7]: 1.0, market.names[8]: 2.0, market.names[0]: 3.0}
    assert taken[6_000] < 8 * taken[1_500]


def test_one_broken_book_of_a_file_is_named_and_the_others_are_read(example_folder, tmp_path):
    market = oh.read_market(example_folder)
    lines = ["book,instrument,quantity", "a,AAPL,1", "b,AAPL,ten", "c,MSFT,3"]
    (tmp_path / "books.csv").write_text("\n".join(lines))
    books, failed = read_books([tmp_path / "books.csv"], market)
    assert {name: book.to_dict() for name, book in books.items()} == {"a": {"AAPL": 1.0}, "c": {"MSFT": 3.0}}
    assert list(failed) == ["b"] and "'ten'" in failed["b"]
