"""After an import: the last line is the command that works, or says what is missing and how it comes."""

import json
import shlex

import pandas as pd
import pytest
from raw_messages import write_deribit

from optihedge.cli.main import main
from optihedge.market.folder import read_market
from optihedge.market.importers.folder import markets_of

MAP = """
base_currency = "USD"
zone = "America/New_York"
[[table]]
files = "positions*.csv"
kind = "positions"
[table.columns]
instrument = "Symbol"
quantity = "Quantity"
mark = "Last Price"
time = "As Of"
[[table]]
files = "quotes*.csv"
kind = "quotes"
[table.columns]
instrument = "Symbol"
bid = "Bid"
ask = "Ask"
bid_size = "Size"
ask_size = "Size"
time = "As Of"
type = { value = "equity" }
currency = { value = "USD" }
"""
POSITIONS = "Symbol,Quantity,Last Price,As Of\nAAA,1200,$100.00,2026-01-20\nBBB,800,$50.00,2026-01-20\n"
QUOTES = "Symbol,Bid,Ask,Size,As Of\nETF,199.99,200.01,5000,2026-01-20 15:59:00\n"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("map.toml", MAP), ("positions.csv", POSITIONS), ("quotes.csv", QUOTES)):
        (tmp_path / name).write_text(text)
    return tmp_path


def typed(command: str, capsys) -> tuple[int, str]:
    """The exit code of a command, and its last line."""
    capsys.readouterr()
    program, *words = shlex.split(command)
    assert program == "optihedge"
    return main(words), capsys.readouterr().out.rstrip().splitlines()[-1]


def test_a_statement_without_quotes_leads_by_its_last_lines_to_a_list(desk, capsys):
    code, then = typed("optihedge import csv positions.csv --map map.toml --to m", capsys)
    assert code == 0 and then == "optihedge import csv quotes.csv --map map.toml --to m --add"
    code, then = typed(then, capsys)
    assert code == 0 and then == "optihedge import csv quotes.csv --map map.toml --to m --add --market ETF"
    code, then = typed(then, capsys)
    assert code == 0 and then == "optihedge run beta_hedge --data m --as-of 2026-01-20T21:00:00Z"
    assert typed(f"{then} --out o", capsys)[0] == 0
    (path,) = (desk / "o").rglob("trades.csv")
    assert pd.read_csv(path)["instrument"].tolist() == ["ETF"]


def test_the_market_of_betas_outlives_a_later_import_that_adds(desk, capsys):
    both = "optihedge import csv positions.csv quotes.csv --map map.toml --to m"
    assert typed(f"{both} --market ETF", capsys)[0] == 0
    assert typed("optihedge import csv quotes.csv --map map.toml --to m --add", capsys)[0] == 0
    assert markets_of(desk / "m") == ["ETF"]
    assert main(["import", *shlex.split(both)[2:], "--market", "ETFF"]) == 3
    assert "did you mean ETF" in capsys.readouterr().err


def test_a_table_without_a_map_is_answered_with_one_to_copy(desk, capsys):
    assert main(["import", "csv", "positions.csv", "--to", "m"]) == 3
    told = capsys.readouterr().err
    (desk / "told.toml").write_text(told.split("such as\n")[1])
    assert main(["import", "csv", "positions.csv", "--map", "told.toml", "--to", "m"]) == 0


def test_a_folder_that_holds_no_position_asks_for_one(recorded, tmp_path, capsys):
    write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, [], {})
    for name in ("positions", "account"):
        (tmp_path / "raw" / f"{name}.json").unlink()
    code, then = typed(f"optihedge import deribit {tmp_path / 'raw'} --to {tmp_path / 'm'}", capsys)
    assert code == 0 and then == f"optihedge import deribit FILES --to {tmp_path / 'm'} --add"


def test_a_position_that_no_ticker_quotes_is_worth_the_mark_of_its_statement_though_it_says_no_time(
    recorded, tmp_path, capsys
):
    held = {"instrument_name": "BTC-PERPETUAL", "size": -50000.0, "direction": "sell", "mark_price": 95250.0}
    write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, [], {})
    raw = tmp_path / "raw"
    tickers = [line for line in (raw / "tickers.jsonl").read_text().splitlines() if "BTC-PERPETUAL" not in line]
    (raw / "tickers.jsonl").write_text("\n".join(tickers))
    (raw / "account.json").unlink()
    (raw / "positions.json").write_text(json.dumps([held]))
    code, then = typed(f"optihedge import deribit {raw} --to {tmp_path / 'm'}", capsys)
    market = read_market(tmp_path / "m")
    assert code == 0 and market.quotes.loc["BTC-PERPETUAL", "mark"] == 95250.0
    assert then.startswith("optihedge run delta_neutral") and "--as-of 2026-01-17T" in then


BY_CURRENCY = {"eth": {"option": [], "future": []}, "btc": {"future": ["PERPETUAL"]}}


@pytest.mark.parametrize("told", [BY_CURRENCY, {"option": ["26JUN26"]}, {"future": ["26JUN26"]}, "pong"])
def test_a_file_of_dates_or_of_a_ping_is_no_problem_beside_good_ones(told, recorded, tmp_path, capsys):
    held = [{"instrument_name": "BTC-PERPETUAL", "size": -50000.0, "direction": "sell"}]
    account = {"currency": "BTC", "equity": 10.5, "balance": 11.2, "options_value": 0.0}
    write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, held, account)
    (tmp_path / "raw" / "other.json").write_text(json.dumps({"jsonrpc": "2.0", "result": told}))
    assert main(["import", "deribit", str(tmp_path / "raw"), "--to", str(tmp_path / "m")]) == 0
    assert "other.json" in (tmp_path / "m" / "left.csv").read_text()  # named all the same


def test_a_row_of_a_mapped_table_that_comes_twice_is_a_question_as_it_is_of_every_broker(desk, capsys):
    (desk / "positions.csv").write_text(POSITIONS + POSITIONS.splitlines()[1] + "\n")
    assert main(["import", "csv", "positions.csv", "quotes.csv", "--map", "map.toml", "--to", "m"]) == 1
    assert "position of AAA: it comes twice in the same words" in " ".join(capsys.readouterr().out.split())


def test_a_note_goes_when_what_it_lacked_has_come(desk, capsys):
    assert main(["import", "csv", "positions.csv", "--map", "map.toml", "--to", "m"]) == 0
    assert "no bid or ask (AAA, BBB)" in " ".join(capsys.readouterr().out.split())
    (desk / "quotes.csv").write_text(QUOTES.replace("ETF,199.99,200.01", "AAA,99.99,100.01"))
    assert main(["import", "csv", "quotes.csv", "--map", "map.toml", "--to", "m", "--add"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no bid or ask (BBB)" in said and "AAA, BBB): they are valued" not in said
