"""One bad row of any file of a data folder stops what stands on it, by name, and nothing else; at every door."""

import numpy as np
import pytest
from test_contradictions_at_both_doors import AS_OF, tables

import optihedge as oh
from optihedge.batch.books import read_books
from optihedge.cli import main
from optihedge.desk.doctor import doctor
from optihedge.desk.record import record_folder

BOOKS = "book,instrument,quantity\nb1,A,9000\nb1,WF,6\nb2,XP,8\nb2,XS,-3\nb3,S,100\nb3,S-C147,-20\n"
TIERS = "venue,type,volume,taker,maker\nBIN,,0,0.0005,0.0002\nBIN,,1000000,0.0004,0.0001\nCME,future,0,0.0001,0.0001\n"
EVENT = "{},{},2026-03-01T00:00:00Z,{},{},{},{},{}"
EVENTS = "event_id,time,known_at,kind,instrument,value,money,other\n"
TIME = "2026-04-02T13:30:00Z"


@pytest.fixture
def folder(tmp_path):
    """Every file that a data folder may hold; XS and XP trade at the tiers of their venue, and nothing else does."""
    made = tables()
    made["instruments"]["venue"] = ["NY"] * 5 + ["BIN", "BIN", "CME"] + ["CBOE"] * 10
    made["instruments"]["hedge"] = True
    made["instruments"].loc[["XP", "XS"], "fee"] = np.nan
    for name, table in made.items():
        table.to_csv(tmp_path / f"{name}.csv", date_format="%Y-%m-%d" if name == "history" else "%Y-%m-%dT%H:%M:%SZ")
    texts = {
        "market.toml": f'base_currency = "USD"\nas_of = "{AS_OF.isoformat()}"\n[traded]\nBIN = 2e6\n',
        "book.csv": BOOKS, "fee_tiers.csv": TIERS, "exposures.csv": "instrument,esg\nA,1\nB,2\nXP,3\n",
        "loadings.csv": "instrument,driver,loading\nB,B,212\nD,MKT,50\nD,D,30\n",
        "depth.csv": "instrument,side,price,size\nA,bid,36.98,100\nA,ask,37.02,100\nXP,bid,3300,5\nXP,ask,3304,6\n",
        "events.csv": f"{EVENTS}{EVENT.format('e1', TIME, 'dividend', 'S', 0.5, 'USD', '')}\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def event(key="e3", time=TIME, kind="dividend", instrument="A", value="0.2", money="USD", other=""):
    return EVENT.format(key, time, kind, instrument, value, money, other)


# file, row, books that stop, contracts that may not be traded, what is told of it
ROWS = [
    ("fee_tiers.csv", "BIN,,abc,0.0004,0.0001", "", "XS XP", "volume is 'abc'"),
    ("fee_tiers.csv", "BIN,,5", "", "XS XP", "3 fields"), ("fee_tiers.csv", "BIN,,0,0.3,0.3", "", "XS XP", "twice"),
    ("fee_tiers.csv", "BIN,perpetual,-1,0.3,0.3", "", "XP", "volume is -1"),
    ("fee_tiers.csv", "CME,future,x,0.3,0.3", "", "", "volume is 'x'"),
    ("fee_tiers.csv", ",,0,0.3,0.3", "", "", "venue is empty"), ("market.toml", "CME = 'x'", "", "", "of CME is 'x'"),
    ("market.toml", "OKX = 1e6", "", "", "OKX has no fee tiers"), ("market.toml", "Bin = 1e6", "", "", "Bin has"),
    ("exposures.csv", "ZZ,1", "", "", "ZZ is not known"), ("exposures.csv", "B,1", "", "B", "B appears twice"),
    ("exposures.csv", "WF,abc", "b1", "WF", "esg is 'abc'"), ("exposures.csv", "D,1,5", "", "D", "3 fields"),
    ("loadings.csv", "ZZ,MKT,1", "", "", "ZZ is not known"), ("loadings.csv", "A,QQ,1", "b1", "A", "QQ is not known"),
    ("loadings.csv", "XP,X,abc", "b2", "XP", "loading is 'abc'"), ("loadings.csv", "XS,X", "b2", "XS", "2 fields"),
    ("depth.csv", "ZZ,bid,1,1", "", "", "ZZ is not known"), ("depth.csv", "A,bidd,1,1", "", "A", "side is 'bidd'"),
    ("depth.csv", "A,bid,1", "", "A", "3 fields"), ("depth.csv", "A,bid,40,1", "", "A", "is crossed"),
    ("depth.csv", ",bid,40,1", "", "", "instrument is empty"), ("depth.csv", "XP,ask,1,1", "", "XP", "is crossed"),
    ("events.csv", event(time="abc"), "b1", "A", "time is 'abc'"), ("events.csv", event(kind="x"), "b1", "A", "is 'x'"),
    ("events.csv", event(value="x"), "b1", "A", "value is 'x'"), ("events.csv", "e3,2026-04-02", "", "", "2 fields"),
    ("events.csv", event(money=""), "b1", "A", "money of a dividend is empty"),
    ("events.csv", event(key="e1"), "b1", "A", "e1 appears twice"), ("events.csv", event(key=""), "b1", "A", "empty"),
    ("events.csv", event(kind="margin", instrument="", value="x", other="client"), "", "", "value is 'x'"),
    ("events.csv", event(kind="interest", instrument="", money=""), "", "", "money of a interest is empty"),
    ("events.csv", event(instrument="ZZ", value="x"), "", "", "value is 'x'"),
    ("instruments.csv", "ZZ,equity", "", "", "2 fields"), ("quotes.csv", "ZZ,1,2,,,,", "", "", "ZZ is no known"),
    ("quotes.csv", "D,1,2,,,,", "", "D", "D appears twice"), ("drivers.csv", "D,false,", "", "D", "D appears twice"),
    ("drivers.csv", ",false,", "", "", "driver is empty"),
    ("book.csv", "b1,ZZ,5", "b1", "", "ZZ"), ("book.csv", "b1,B,abc", "b1", "", "quantity is 'abc'"),
    ("book.csv", "b2,B", "b2", "", "2 fields"),
    ("book.csv", "b2,B,1,1", "b2", "", "4 fields"), ("book.csv", "b3,S,1", "b3", "", "S appears twice"),
]  # fmt: skip
IDS = [f"{place} {file} {row}"[:50] for place, (file, row, *_) in enumerate(ROWS)]


def planted(folder, file, row):
    with (folder / file).open("a") as stream:
        stream.write(f"{row}\n")


def tradable(market):
    return {str(name) for name in market.names[np.isfinite(market.sides).any(axis=1)]}


@pytest.mark.parametrize(("file", "row", "stopped", "untraded", "told"), ROWS, ids=IDS)
def test_a_bad_row_stops_what_stands_on_it_and_nothing_else(folder, file, row, stopped, untraded, told):
    whole = oh.read_market(folder)
    all_books, _ = read_books([folder / "book.csv"], whole)
    planted(folder, file, row)
    market = oh.read_market(folder)
    books, failed = read_books([folder / "book.csv"], market)
    assert {*failed} == {*stopped.split()} and {*books} == {*all_books} - {*failed}
    gone = tradable(whole) - tradable(market)
    assert gone == {*untraded.split()}
    said = [*market.left_out.values(), *market.unread.values()]
    assert any(told in text for text in (failed.values() if file == "book.csv" else said))
    assert (file == "book.csv") == (not said)
    same = [name for name in market.names if name not in gone]
    assert market.price[same].equals(whole.price[same]) and market.fees[same].equals(whole.fees[same])


@pytest.mark.parametrize("place", range(0, len(ROWS), 4))
def test_check_run_and_the_doctor_say_it(folder, capsys, monkeypatch, place):
    file, row, stopped, _, told = ROWS[place]
    planted(folder, file, row)
    monkeypatch.setenv("COLUMNS", "500")
    given = ["delta_neutral", "--data", str(folder), "--book", str(folder / "book.csv")]
    assert main(["check", *given]) == int(bool(stopped))
    checked = capsys.readouterr().out
    main(["run", *given, "--out", str(folder / "out"), "--as-of", AS_OF.isoformat()])
    shown = capsys.readouterr()
    for text in (checked, shown.out + shown.err, str(doctor(folder, books=[folder / "book.csv"]))):
        assert told in text.replace("\n", " ")
    lists = {
        path.parent.parent.name for path in (folder / "out").rglob("*.csv") if path.name in ("trades.csv", "held.csv")
    }
    assert lists == {"b1", "b2", "b3"} - {*stopped.split()}


def test_a_row_of_a_book_that_cannot_be_told_whose_it_is_stops_every_book_of_the_file(folder):
    (folder / "book.csv").write_text("instrument,quantity,book\nA,1,b1\nXP,2,b2\nXP,1,5,b1\n")
    books, failed = read_books([folder / "book.csv"], oh.read_market(folder))
    assert not books and "4 fields where the header has 3" in failed["book"]


@pytest.mark.parametrize("row", ["abc,1,2,3,4,5,6,7", "2026-03-18,1,2", ",1,2,3,4,5,6,7"])
def test_a_row_of_history_that_cannot_be_read_is_a_gap_where_gaps_are_allowed(folder, row):
    whole = oh.read_market(folder)
    planted(folder, "history.csv", row)
    with pytest.raises(oh.DataError, match=r"history\.csv row 222"):
        oh.read_market(folder)
    settings = (folder / "market.toml").read_text()
    (folder / "market.toml").write_text(f'on_missing = "freeze"\n{settings}')
    market = oh.read_market(folder)
    assert market.history.equals(whole.history) and [*market.unread] == ["history.csv row 222"]


def test_an_event_that_cannot_be_read_stops_no_night_and_is_recorded_once_it_can(folder, tmp_path):
    store = oh.store.open_store(tmp_path / "kept", create=True)
    planted(folder, "events.csv", event(value="x"))
    record_folder(store, folder)
    assert store.events()["event_id"].tolist() == ["e1"]
    assert "value is 'x'" in store.open().left_out["A"]
    text = (folder / "events.csv").read_text()
    (folder / "events.csv").write_text(text.replace(",x,", ",0.2,"))
    record_folder(store, folder)
    assert sorted(store.events()["event_id"]) == ["e1", "e3"] and not store.open().left_out
