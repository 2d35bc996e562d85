"""On any width a terminal has, no number or name is broken and nothing that matters is lost."""

import re

import numpy as np
import pandas as pd
import pytest

from optihedge.batch.tables import table_of
from optihedge.cli.main import main
from optihedge.cli.screen import console_of, grouped, print_frame, print_table
from optihedge.trades.export import csv_text

FRAME = pd.DataFrame(
    {
        "instrument": [f"BTC-27MAR26-{strike}-C" for strike in (90000, 100000)],
        "side": ["BUY", "SELL"], "quantity": ["12.5", "-1,234,567.8"], "venue": ["deribit", "deribit"],
        "limit_price": ["0.0515", "1,234.25"], "notional": ["1,234,567", "98,765,432.1"], "cost": ["12.5", "1,888.906"],
        "reason": ["a limit of the desk that was reached", "risk"], "unit": ["base currency", "base currency"],
    }
)  # fmt: skip


@pytest.mark.parametrize("width", range(40, 220, 9))
def test_a_table_breaks_no_word_and_loses_no_cell(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(console_of(), "trades", FRAME.columns, FRAME.to_numpy())
    text = capsys.readouterr().out
    assert all(len(line) <= width for line in text.splitlines())
    for cell in FRAME.to_numpy().ravel():
        assert all(word in text for word in cell.split())


def test_a_wide_page_drops_the_columns_it_was_told_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "105")
    print_table(console_of(), "trades", FRAME.columns, FRAME.to_numpy(), drop=("unit", "notional"))
    text = capsys.readouterr().out
    assert "not shown on a page of 105 characters: " in text and "base currency" not in text and "12.5" in text


def test_notes_that_say_the_same_are_one():
    notes = [f"BTC-{k}-C limited to {k} contracts (1 x displayed size)" for k in range(28)]
    told = grouped([*notes, "no history of ETH", "X limited to 3 contracts (10% of daily volume)"])
    assert told == [
        "28 contracts limited by 1 x displayed size, BTC-0-C first",
        "no history of ETH",
        "X limited to 3 contracts (10% of daily volume)",
    ]


def test_a_verdict_has_its_colour_and_its_word(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    print_table(console_of(), "t", ("book", "status"), [("a", "held"), ("b", "done")])
    coloured = capsys.readouterr().out
    assert "\x1b[1;31mheld" in coloured and "\x1b[32mdone" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(console_of(), "t", ("book", "status"), [("a", "held")])
    assert "\x1b[1;31m" not in capsys.readouterr().out


def test_no_word_of_a_help_is_lost_to_marks_of_style(monkeypatch, capsys):
    """What stands in brackets is text, but for the marks that we use ourselves."""
    from typer.main import get_command

    from optihedge.cli.main import app_of

    monkeypatch.setenv("COLUMNS", "400")
    for name, verb in get_command(app_of()).commands.items():
        main([name, "--help"])
        page = "".join(capsys.readouterr().out.split())
        texts = [verb.epilog or "", *(getattr(one, "help", None) or "" for one in verb.params)]
        words = {
            word for text in texts for word in re.sub(r"\\\[|\[/?bold\]", lambda m: "[" * (m[0] == "\\["), text).split()
        }
        assert not {word for word in words if word not in page}, name


NAMES = ["005930", "1e5", "NA", "325364974231", "nan", "-7", "AAPL"]  # of contracts, books, hashes


def test_a_name_of_digits_is_the_same_name_on_the_page_and_read_back(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    frame = pd.DataFrame({
        "instrument": NAMES, "book": NAMES[::-1], "model_hash": NAMES,
        "quantity": [1.5, -2.0, 3e10, 1e-7, 0.0, 5.0, 6.0], "limit_price": [np.nan, *map(float, range(6))],
    })  # fmt: skip
    back = table_of(csv_text(frame))
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
    assert {str(back.dtypes[name]) for name in ("quantity", "limit_price")} == {"float64"}
    print_frame(console_of(), "lines", back.set_index("instrument"))
    lines = capsys.readouterr().out.splitlines()[4:-1]
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines]
    assert cells == [list(row) for row in zip(NAMES, NAMES[::-1], NAMES, strict=True)]
