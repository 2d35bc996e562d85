"""A market folder from imports: two commands to a list, several venues in one, nothing invented, nothing lost."""

import json

import numpy as np
import pandas as pd
import pytest
from raw_messages import write_deribit

from optihedge.cli.main import main
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.importers.folder import csv_text
from optihedge.market.importers.imported import FRAMES, Imported
from optihedge.market.importers.instant import market_frames, quotes_at
from optihedge.market.importers.intake import Intake
from optihedge.market.importers.monies import with_indices
from optihedge.market.store.store import open_market

NOW = pd.Timestamp("2026-01-17T12:00Z")
POSITIONS = [
    {"instrument_name": "BTC-27MAR26-90000-P", "size": -25.0, "direction": "sell", "average_price": 0.05},
    {"instrument_name": "BTC-PERPETUAL", "size": 250000.0, "direction": "buy", "average_price": 95000.0},
]
ACCOUNT = {"currency": "BTC", "equity": 10.5, "balance": 11.2, "options_value": -1.9, "margin_balance": 12.4}


def imported(**frames: list[dict]) -> Imported:
    intake = Intake("x")
    for name, rows in frames.items():
        (intake.quotes if name == "quotes" else lambda f, n=name: intake.add(n, f))(pd.DataFrame(rows))
    return intake.imported()


PERPETUAL = {"instrument": "x:P", "type": "perpetual", "underlying": "C", "currency": "USDT", "multiplier": 1.0}
QUOTE = {"instrument": "x:P", "time": NOW, "bid": 99.0, "ask": 101.0}


@pytest.mark.parametrize("model", ["optimal_hedge", "delta_neutral"])
def test_raw_files_and_positions_become_a_list_of_whole_lots_in_two_commands(recorded, tmp_path, model):
    as_of = write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, POSITIONS, ACCOUNT)
    assert main(["import", "deribit", str(tmp_path / "raw"), "--to", str(tmp_path / "m")]) == 0
    run = ["run", model, "--data", str(tmp_path / "m"), "--out", str(tmp_path / "out"), "--as-of", as_of.isoformat()]
    assert main(run) in (0, 1)
    (path,) = (tmp_path / "out").rglob("result.json")
    result = json.loads(path.read_text())
    assert result["certificate"]["gap"] is not None and any("prior" in note for note in result["notes"])
    lists = [p for name in ("trades.csv", "held.csv") for p in path.parent.glob(name)]
    trades = pd.read_csv(lists[0])
    lots = trades["quantity"] / trades["lot"]
    assert len(trades) and np.allclose(lots, lots.round(), atol=1e-9)
    market = read_market(tmp_path / "m")
    amount = market.instruments.loc[trades["instrument"], "venue_amount"].to_numpy()
    assert np.allclose(trades["venue_amount"], trades["quantity"].abs() * amount)


def test_a_second_venue_joins_with_its_own_quote_fee_funding_and_basis(recorded, tmp_path):
    write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, POSITIONS, ACCOUNT)
    meta = [{"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}]},
            [{"funding": "0.0000125", "markPx": "95240.0", "oraclePx": "95230.0", "dayBaseVlm": "1"}]]  # fmt: skip
    book = {
        "coin": "BTC",
        "time": 1768653030000,
        "levels": [[{"px": "95239", "sz": "2"}], [{"px": "95241", "sz": "3"}]],
    }
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "h" / "book.json").write_text(json.dumps(book))
    to = str(tmp_path / "m")
    assert main(["import", "deribit", str(tmp_path / "raw"), "--to", to]) == 0
    when = ["--as-of", "2026-01-17T12:31:00Z"]
    assert main(["import", "hyperliquid", str(tmp_path / "h"), "--to", to, "--add", *when]) == 0
    assert "hours apart" not in (tmp_path / "m" / "import.json").read_text()
    market = read_market(to)
    both = market.instruments[market.instruments["type"].isin(("perpetual", "inverse_perpetual"))]
    assert set(both["venue"]) == {"deribit", "hyperliquid"} and both["fee"].nunique() == 2
    assert market.quotes.loc[both.index, "bid"].notna().all()
    assert market.quotes.loc["hyperliquid:BTC", "funding_hours"] == 1.0
    assert market.quotes.loc["BTC-PERPETUAL", "funding_hours"] == 8.0
    basis = market.drivers[(market.drivers["kind"] == "basis") & (market.drivers["tenor"] == "perpetual")]
    assert set(basis["venue"]) == {"deribit", "hyperliquid"}
    book["time"] -= 21 * 3_600_000
    (tmp_path / "h" / "book.json").write_text(json.dumps(book))
    main(["import", "hyperliquid", str(tmp_path / "h"), "--to", to, "--add", *when])
    notes = json.loads((tmp_path / "m" / "import.json").read_text())["notes"]
    assert any("of 2026-01-16 15:30 UTC and the folder's of 2026-01-17 12:" in n and "hours apart" in n for n in notes)
    loadings = pd.DataFrame(market.loadings.matrix.toarray(), market.loadings.drivers, market.names)
    own = loadings.loc[basis.index, both.index] != 0
    assert (own.sum(axis=0) == 1).all() and (
        own.sum(axis=1) == 1
    ).all()  # each perpetual on the basis of its venue alone
    assert read_book(tmp_path / "m" / "book.csv", market)["BTC-PERPETUAL"] == 25_000  # not converted a second time


def test_a_later_book_replaces_bid_and_ask_and_leaves_the_vol(recorded, tmp_path):
    write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, POSITIONS, ACCOUNT)
    to, name = str(tmp_path / "m"), "BTC-27MAR26-90000-P"
    assert main(["import", "deribit", str(tmp_path / "raw"), "--to", to]) == 0
    before = read_market(to).quotes.loc[name]
    book = {"instrument_name": name, "timestamp": 1768653060000, "bids": [[0.0301, 5.0]], "asks": [[0.0399, 7.0]]}
    (tmp_path / "book.json").write_text(json.dumps({"result": book}))
    when = ["--as-of", "2026-01-17T12:32:00Z"]
    assert main(["import", "deribit", str(tmp_path / "book.json"), "--to", to, "--add", *when]) == 0
    after = read_market(to).quotes.loc[name]
    assert after[["bid", "ask", "bid_size"]].tolist() == [0.0301, 0.0399, 5.0]
    assert after["vol"] == before["vol"] and after["underlying_price"] == before["underlying_price"]


def test_what_was_imported_opens_again_from_the_store(recorded, tmp_path):
    as_of = write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, POSITIONS, ACCOUNT)
    to, store = tmp_path / "m", tmp_path / "store"
    assert main(["import", "deribit", str(tmp_path / "raw"), "--to", str(to), "--store", str(store)]) == 0
    assert open_market(store, as_of).hash == read_market(to).hash


def test_the_last_word_of_each_part_counts_and_the_oldest_dates_the_quote():
    rows = [QUOTE, QUOTE | {"time": NOW + pd.Timedelta("1min"), "bid": np.nan, "ask": 102.0}]
    found = imported(instruments=[PERPETUAL], quotes=rows)
    now, later = (quotes_at(found.quotes, NOW + pd.Timedelta(minutes=m)).iloc[0] for m in (0, 5))
    assert (now["bid"], now["ask"]) == (99.0, 101.0)
    assert np.isnan(later["bid"]) and later["ask"] == 102.0  # the bid has gone; its last price is no quote


def test_a_later_statement_of_the_same_scope_replaces_the_earlier_one():
    held = {"book": "b", "instrument": "x:P", "scope": "positions"}
    rows = [held | {"quantity": 5.0, "time": NOW - pd.Timedelta("1h")}, held | {"quantity": 2.0, "time": NOW}]
    frames = market_frames(imported(instruments=[PERPETUAL], quotes=[QUOTE], books=rows), base_currency="USDT")
    assert frames.books["quantity"].tolist() == [2.0]


def test_an_index_that_nobody_gives_is_the_perpetuals_price_and_said_so():
    found = imported(instruments=[PERPETUAL], quotes=[QUOTE])
    frames = market_frames(found, base_currency="USDT")
    assert frames.quotes.set_index("instrument").loc["C/USDT", "mark"] == 100.0
    assert any("x:P stands in" in note for note in frames.notes)
    quote = QUOTE | {"underlying_price": 99.5}
    _, quotes = with_indices(found.instruments, quotes_at(imported(quotes=[quote]).quotes, None), NOW, [])
    assert "C/USDT" not in set(quotes["instrument"])


def test_a_dollar_token_is_worth_what_the_same_coin_costs_in_both():
    rows = [PERPETUAL | {"instrument": "x:U", "type": "inverse_perpetual", "currency": "USD"}, PERPETUAL]
    quotes = [QUOTE | {"underlying_price": 100.0},
              QUOTE | {"instrument": "x:U", "bid": 98.9, "ask": 98.9, "underlying_price": 99.9}]  # fmt: skip
    index = [{"instrument": f"i:{m}", "type": "index", "underlying": "C", "currency": m, "multiplier": 1.0}
             for m in ("USD", "USDT")]  # fmt: skip
    marks = [{"instrument": f"i:{m}", "time": NOW, "mark": v} for m, v in (("USD", 99.9), ("USDT", 100.0))]
    frames = market_frames(imported(instruments=[*rows, *index], quotes=[*quotes, *marks]), base_currency="USD")
    assert frames.quotes.set_index("instrument").loc["USDT/USD", "mark"] == pytest.approx(0.999)


def test_a_currency_without_a_price_leaves_its_contracts_out_by_name():
    frames = market_frames(imported(instruments=[PERPETUAL], quotes=[QUOTE]), base_currency="EUR")
    assert frames.instruments.empty and "no price of USDT in EUR" in frames.left["why"].iloc[0]


def test_a_crossed_quote_loses_both_sides_and_is_named():
    frames = market_frames(imported(instruments=[PERPETUAL], quotes=[QUOTE | {"bid": 105.0, "mark": 100.0}]),
                           base_currency="USDT")  # fmt: skip
    assert frames.quotes.set_index("instrument").loc["x:P", ["bid", "ask"]].isna().all()
    assert frames.left["what"].tolist() == ["bid and ask of x:P"]


def test_no_text_that_is_written_computes_in_a_spreadsheet():
    text = csv_text(pd.DataFrame({"what": ["=1+1", "@x", "-5", "plain"], "n": [-1.0, 2.0, 3.0, 4.0]}))
    assert text.splitlines()[1:] == ["'=1+1,-1.0", "'@x,2.0", "'-5,3.0", "plain,4.0"]


def test_a_balance_of_the_base_currency_is_held_as_cash():
    held = {"book": "b", "instrument": "USDT", "scope": "balance", "quantity": 7.0, "time": NOW}
    frames = market_frames(imported(instruments=[PERPETUAL], quotes=[QUOTE], books=[held]), base_currency="USDT")
    assert frames.problems == () and "USDT" in set(frames.instruments["instrument"])


def test_what_contracts_pay_in_has_a_cash_instrument_though_nobody_holds_any():
    inverse = PERPETUAL | {"instrument": "x:I", "type": "inverse_perpetual", "currency": "USD"}
    frames = market_frames(imported(instruments=[inverse], quotes=[QUOTE | {"instrument": "x:I"}]), base_currency="USD")
    assert frames.instruments.set_index("instrument").loc["C", "type"] == "cash"


def test_a_base_of_ones_own_is_what_all_is_measured_in(recorded, tmp_path, capsys):
    """--base goes through: values in coin are the dollars over the index, an unknown currency is named."""
    as_of = write_deribit(recorded("deribit_btc_2026"), tmp_path / "raw", 3, POSITIONS, ACCOUNT)
    for base, code in (("USD", 0), ("BTC", 0), ("JPY", 1)):
        to = str(tmp_path / base)
        assert main(["import", "deribit", str(tmp_path / "raw"), "--to", to, "--base", base]) == code
    dollars, coins = (read_market(tmp_path / base) for base in ("USD", "BTC"))
    assert (dollars.base_currency, coins.base_currency) == ("USD", "BTC")
    (index,) = dollars.names[dollars.instruments["type"] == "index"]
    book = read_book(tmp_path / "USD" / "book.csv", dollars)
    np.testing.assert_allclose(dollars.value[book.index] / dollars.price[index], coins.value[book.index], rtol=1e-9)
    assert "no price of" in (tmp_path / "JPY" / "left.csv").read_text() and "in JPY" in capsys.readouterr().out
    run = [
        "run",
        "delta_neutral",
        "--data",
        str(tmp_path / "BTC"),
        "--out",
        str(tmp_path / "o"),
        "--as-of",
        as_of.isoformat(),
    ]
    assert main(run) in (0, 1) and list((tmp_path / "o").rglob("result.json"))


def test_fees_that_no_file_says_are_named_as_unchecked():
    rows = {"instruments": [PERPETUAL], "quotes": [QUOTE]}
    (note,) = [n for n in market_frames(imported(**rows), base_currency="USDT").notes if "unchecked" in n]
    assert "fees of 1 contracts" in note and "x:P" in note
    for term in ("fee", "fee_per_contract"):
        told = rows | {"instruments": [PERPETUAL | {term: 0.0}]}
        assert not any("unchecked" in n for n in market_frames(imported(**told), base_currency="USDT").notes)


def test_an_empty_import_has_every_frame():
    found = Intake().imported()
    assert all(list(getattr(found, name).columns)[: len(columns)] == list(columns) for name, columns in FRAMES.items())
