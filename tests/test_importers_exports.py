"""Exports of retail brokers: every trade a fill of the right sign and money, what is not said is named."""

import csv

import pandas as pd
import pytest

from optihedge.cli.main import main
from optihedge.market.book import read_book
from optihedge.market.events import check_events
from optihedge.market.folder import read_market
from optihedge.market.importers.from_fills import from_fills
from optihedge.market.importers.sources import import_files


def rows(path, separator=","):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=separator))


@pytest.fixture
def exports(recorded):
    return recorded("broker_files") / "csv_exports"


def test_a_purchase_adds_and_a_sale_takes_away(exports):
    path = exports / "trading212-export.csv"
    trades = [r for r in rows(path) if r["Action"] in ("Market buy", "Market sell")]
    fills = import_files("trading212", [path]).fills
    signed = [float(r["No. of shares"]) * (1 if r["Action"] == "Market buy" else -1) for r in trades]
    assert fills["quantity"].tolist() == signed and fills["price"].tolist() == [
        float(r["Price / share"]) for r in trades
    ]
    assert fills["fill_id"].tolist() == [r["ID"] for r in trades]


def test_pence_are_pounds(tmp_path):
    head = ("Action,Time,ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),ID,"
            "Currency conversion fee,Currency (Currency conversion fee)\n")  # fmt: skip
    (tmp_path / "t.csv").write_text(
        head
        + "Limit sell,2024-01-12 14:14:14,IE00B1XNHC34,INRG,iShares,2,630.5,GBX,a,0.02,EUR\n"
        + "Dividend (Ordinary),2024-01-13 10:00:00,IE00B1XNHC34,INRG,iShares,2,5.5,GBX,,,\n"
        + "Stock split close,2024-02-01 07:00:00,CA46500E8678,ISOU,IsoEnergy,29.80478,2.07,USD,b,,\n"
        + "Stock split open,2024-02-01 07:00:01,CA46500E8678,ISOU,IsoEnergy,7.451195,8.28,USD,c,,\n"
    )
    found = import_files("trading212", [tmp_path])
    (fill,) = found.fills.to_dict("records")
    assert (fill["instrument"], fill["quantity"], fill["price"]) == ("INRG.GBP", -2.0, 6.305)
    assert (fill["fee"], fill["money"]) == (0.02, "EUR")
    events = check_events(found.events.astype({"other": str})).set_index("kind")
    assert events.loc["dividend", ["instrument", "value", "money"]].tolist() == ["INRG.GBP", 0.055, "GBP"]
    assert events.loc["split", ["instrument", "value"]].tolist() == ["ISOU", 0.25]


def test_rows_under_another_header_are_named_not_read(exports):
    found = import_files("trading212", [exports / "trading212-export.csv"])
    assert "its fields are in another order than the header's" in found.rejected["why"].tolist()
    assert set(found.instruments["currency"]) == {"USD", "GBP"}


def test_xtbs_words_say_direction_size_and_price(exports):
    found = import_files("xtb", [exports / "xtb-export.csv"])
    said = {r["ID"]: r for r in rows(exports / "xtb-export.csv", ";") if " @ " in r["Comment"]}
    assert len(found.fills) == len(said) == 13
    for fill in found.fills.itertuples():
        row = said[fill.fill_id]
        assert fill.quantity * fill.price == pytest.approx(-float(row["Amount"]), rel=0.11)  # in the account's money
    events = found.events.set_index("instrument")
    assert events.loc["SPYL.DE", ["value", "money"]].tolist() == [0.66, "USD"]
    assert "T.US" not in events.index  # a spin-off pays no dividend
    assert "fill 10000062" in found.rejected["what"].tolist()  # one id for two trades


def test_leverage_and_foreign_shares_of_etoro_are_named(exports):
    found = import_files("etoro", [exports / "etoro-export.csv"])
    deals = [r for r in rows(exports / "etoro-export.csv") if r["Type"] in ("Open Position", "Position closed")]
    stocks = [r for r in deals if r["Asset type"] == "Stocks"]
    paid = [float(r["Amount"]) * (1 if r["Type"] == "Open Position" else -1) for r in stocks]
    assert (found.fills["quantity"] * found.fills["price"]).tolist() == pytest.approx(paid, rel=1e-12)
    leveraged = found.rejected[found.rejected["what"] == "position"]
    assert leveraged["count"].tolist() == [len(deals) - len(stocks)]


def test_the_trades_of_an_order_add_up_to_it(exports):
    found = import_files("investimental", [exports / "investimental-export.csv"])
    placed, traded = {}, set()
    for row in rows(exports / "investimental-export.csv"):
        if row["Update Type"] == "Fil":
            traded.add(row["Order ID"])
        elif row["Order ID"] not in traded:
            placed[row["Order ID"]] = row  # as it stood before its first trade
    sums = found.fills.groupby("order_id")[["quantity", "fee"]].sum()
    for order, row in placed.items():
        if order in sums.index:
            sign = 1 if row["Side"] == "Buy" else -1
            assert sums.at[order, "quantity"] == sign * float(row["Volume"])
            assert sums.at[order, "fee"] == pytest.approx(float(row["Fee"]))
    assert found.fills["time"].iloc[0] == pd.Timestamp("2024-03-05T10:06:20Z")
    assert any("limits stand in" in note for note in found.notes)


def test_a_decimal_comma_between_points_is_no_number(exports):
    found = import_files("revolut", [exports / "revolut-invest-export.csv"])
    assert found.fills["instrument"].tolist() == ["O", "MA", "TSLA.EUR"]
    assert found.fills["quantity"].tolist() == [1.63453043, -0.1998348, 0.56217674]
    assert "'0,10000090' is no number" in found.rejected["why"].tolist()


def test_a_swedish_dividend_is_per_share_in_the_shares_money(exports):
    found = import_files("avanza", [exports / "avanza-export.csv"])
    (event,) = found.events.to_dict("records")
    assert (event["value"], event["money"], event["instrument"]) == (0.049351, "EUR", "IE00BYV1YH00.EUR")
    sold = found.fills.set_index("instrument").loc["NO0010827280.SEK"]
    assert (sold["quantity"], sold["price"]) == (-352.033838, 154.665276)
    assert found.fills["fee"].tolist() == [0.0, 0.0, 19.0, 21.45] and set(found.fills["money"]) == {"SEK"}


# ---- a book out of trades --------------------------------------------------------------------------------------------

BOUGHT = """Action,Time,ISIN,Ticker,Name,No. of shares,Price / share,Currency (Price / share),ID
Market buy,2024-01-02 15:00:00,US1,AAA,a,10,100,USD,1
Market buy,2024-01-03 15:00:00,US2,BBB,b,5,50,USD,2
Stock split close,2024-02-01 07:00:00,US1,AAA,a,10,100,USD,3
Stock split open,2024-02-01 07:00:01,US1,AAA,a,40,25,USD,4
Market sell,2024-03-01 15:00:00,US1,AAA,a,15,30,USD,5
Market sell,2024-03-01 16:00:00,US2,BBB,b,5,55,USD,6
"""


def test_trades_alone_become_a_book_when_asked(tmp_path, capsys):
    (tmp_path / "t.csv").write_text(BOUGHT)
    to = tmp_path / "m"
    assert main(["import", "trading212", str(tmp_path / "t.csv"), "--to", str(to)]) == 3
    assert "--from-fills sums them up" in capsys.readouterr().err.replace("\n", " ")
    assert main(["import", "trading212", str(tmp_path / "t.csv"), "--to", str(to), "--from-fills"]) == 0
    market = read_market(to)
    assert read_book(to / "book.csv", market).to_dict() == {"AAA": 25.0}  # 4 x 10 less 15; BBB is sold
    assert market.price["AAA"] == 30.0 and market.as_of == pd.Timestamp("2024-03-01T16:00Z")
    assert "sum of 4 fills" in capsys.readouterr().out.replace("\n", " ")


def test_a_price_before_a_split_is_worth_its_ratio_less(tmp_path):
    lines = BOUGHT.splitlines()
    (tmp_path / "t.csv").write_text("\n".join(lines[:5]) + "\n")
    found = from_fills(import_files("trading212", [tmp_path]))
    marks = found.quotes.set_index("instrument")["mark"]
    assert marks.to_dict() == {"AAA": 25.0, "BBB": 50.0}
    assert found.books.set_index("instrument")["quantity"].to_dict() == {"AAA": 40.0, "BBB": 5.0}


@pytest.mark.parametrize("gone", ["USD", "US9220427424"])
def test_a_trade_that_says_no_currency_or_no_share_is_named_and_is_of_no_other_share(exports, tmp_path, gone):
    text = (exports / "ibkr-trades-export.csv").read_text(encoding="utf-8-sig")
    whole = import_files("ibkr", [exports / "ibkr-trades-export.csv"])
    line = next(line for line in text.splitlines() if '"97"' in line)
    at = line.index(gone, line.index('"97"') if gone == "USD" else 0)
    (tmp_path / "trades.csv").write_text(text.replace(line, line[:at] + line[at + len(gone) :]))
    found = import_files("ibkr", [tmp_path / "trades.csv"])
    assert set(found.fills["instrument"]) == set(whole.fills["instrument"])
    (now,), (was,) = found.moves, whole.moves
    assert "what money, is not said" in now and now != was  # one row more
