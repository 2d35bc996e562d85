"""Histories by a map: past levels of any table's shape, in our units, by the names that drivers have."""

import numpy as np
import pandas as pd
import pytest

from optihedge.cli.main import main
from optihedge.errors import SpecError
from optihedge.market.folder import read_market
from optihedge.market.importers.mapped import read_map
from optihedge.market.importers.sources import import_files
from optihedge.market.importers.tables import written_numbers

HEAD = 'base_currency = "GBP"\nzone = "Europe/London"\n'
QUOTES = """
[[table]]
files = "quotes*.csv"
kind = "quotes"
[table.columns]
instrument = "Name"
bid = "Bid"
ask = "Ask"
time = { value = "2026-03-31 15:00" }
type = { value = "equity" }
currency = { value = "GBP" }
"""
WIDE = """
[[table]]
files = "closes*.csv"
kind = "history"
[table.columns]
time = { column = "Tag", format = "%d.%m.%Y" }
FTSE = "FTSE 100"
"vol:VOD:30d" = { column = "VOD vol %", factor = 0.01 }
"rate:GBP:1y" = { column = "Bund minus Gilt", factor = -0.01 }
level = { column = "*", factor = 0.01 }
"""
LONG = """
[[table]]
files = "rows*.csv"
kind = "history"
where = { Field = "PX_LAST" }
[table.columns]
time = "When"
instrument = { column = "Ticker", words = { "VOD LN Equity" = "VOD", "BP/ LN Equity" = "BP" } }
level = { column = "Value", factor = 0.01 }
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "quotes.csv").write_text("Name,Bid,Ask\nVOD,0.719,0.721\nBP,4.05,4.06\n")
    (tmp_path / "closes.csv").write_text(
        "Tag;FTSE 100;VOD vol %;Bund minus Gilt;VOD;BP\n27.03.2026;8,100.5;21.5;-1.9;71.0;401\n"
        "30.03.2026;8,120;22;-2.0;71.5;-\n31.03.2026;8,111;22.5;-2.1;72;405.5\n"
    )
    (tmp_path / "rows.csv").write_text(
        "When,Ticker,Field,Value\n2026-03-27,VOD LN Equity,PX_LAST,71.0\n2026-03-27,VOD LN Equity,VOLUME,9\n"
        "2026-03-30,BP/ LN Equity,PX_LAST,402\n2026-03-30,XYZ LN Equity,PX_LAST,9\n"
    )
    return tmp_path


def imported(files, text, *names, more=()):
    (files / "map.toml").write_text(text)
    paths = [str(files / name) for name in names]
    return main(["import", "csv", *paths, "--map", str(files / "map.toml"), "--to", str(files / "m"), *more])


def test_a_table_with_a_column_for_each_driver_is_the_markets_history_in_our_units(files):
    assert imported(files, HEAD + QUOTES + WIDE, "quotes.csv", "closes.csv", more=["--market", "FTSE"]) == 0
    market = read_market(files / "m")
    expected = {
        "FTSE": [8100.5, 8120.0], "VOD": [0.71, 0.715], "BP": [4.01, np.nan], "vol:VOD:30d": [0.215, 0.22],
        "rate:GBP:1y": [0.019, 0.02],
    }  # fmt: skip
    for name, levels in expected.items():
        assert market.history[name].tolist() == pytest.approx(levels, nan_ok=True), name
    closes = ["2026-03-27T16:00Z", "2026-03-30T15:00Z"]  # 16:00 in London, before and after its clocks change
    assert market.history.index.tolist() == [pd.Timestamp(t) for t in closes]
    kinds = market.drivers.loc[list(expected), ["kind", "underlying", "tenor"]].to_numpy().tolist()
    assert kinds == [["price", "FTSE", ""], ["price", "VOD", ""], ["price", "BP", ""], ["vol", "VOD", "30d"],
                     ["rate", "GBP", "1y"]]  # fmt: skip
    assert market.drivers["market"][market.drivers["market"]].index.tolist() == ["FTSE"]
    left = pd.read_csv(files / "m" / "left.csv")
    assert "a time after that of the market" in " ".join(left["why"])  # the close of the 31st, of 15:00


def test_rows_that_say_of_which_they_are_join_a_history_that_is_there(files, capsys):
    assert imported(files, HEAD + QUOTES + WIDE, "quotes.csv", "closes.csv") == 0
    assert imported(files, HEAD + LONG, "rows.csv", more=["--add"]) == 0
    history = read_market(files / "m").history
    assert history["BP"].tolist() == [4.01, 4.02] and history["FTSE"].tolist() == [8100.5, 8120.0]
    assert "'XYZ LN Equity'" in capsys.readouterr().out  # no word of the map's: named


def test_an_import_without_levels_leaves_a_history_alone(files):
    assert imported(files, HEAD + QUOTES + WIDE, "quotes.csv", "closes.csv") == 0
    kept = (files / "m" / "history.csv").read_bytes()
    assert imported(files, HEAD + QUOTES, "quotes.csv", more=["--add"]) == 0
    assert (files / "m" / "history.csv").read_bytes() == kept


def test_two_levels_that_differ_at_one_time_are_named_and_neither_is_used(files):
    (files / "rows.csv").write_text(
        "When,Ticker,Field,Value\n2026-03-27,VOD LN Equity,PX_LAST,71.0\n2026-03-27,VOD LN Equity,PX_LAST,17.0\n"
        "2026-03-30,VOD LN Equity,PX_LAST,72.0\n2026-03-30,VOD LN Equity,PX_LAST,72.0\n"
    )
    (files / "map.toml").write_text(HEAD + LONG)
    found = import_files("csv", [files / "rows.csv"], settings=read_map(files / "map.toml"))
    assert found.history["level"].tolist() == [0.72]
    assert found.rejected["what"].tolist() == ["levels of VOD"]


@pytest.mark.parametrize(("columns", "word"), [
    ('instrument = "Ticker"\nlevel = "Value"', "time"), ('time = "When"', "level"),
    ('time = "When"\ninstrument = "Ticker"', "level"),
])  # fmt: skip
def test_a_history_that_says_no_time_or_level_is_refused(files, columns, word):
    (files / "map.toml").write_text(f'[[table]]\nkind = "history"\n[table.columns]\n{columns}\n')
    with pytest.raises(SpecError, match=rf"\(history\) says no column for {word}"):
        read_map(files / "map.toml")


def test_a_sign_within_a_number_is_its_exponents_or_it_is_no_number():
    words = pd.Series(["1e-5", "-2.5E-3", "3e+2", "(1e-1)", "12-", "2026-01-05", "5-3", "1+1", "-", "+7", "$-3", "- 4"])
    numbers = written_numbers(words)
    expected = [1e-5, -2.5e-3, 300.0, -0.1, -12.0, *[np.nan] * 4, 7.0, -3.0, -4.0]
    np.testing.assert_array_equal(numbers, expected)
