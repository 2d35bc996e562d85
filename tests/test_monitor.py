"""Watching: fresh messages become the market they describe, all else moves with it, the state stays where it is."""

import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest
from desk_nights import desk_in, one_night, told
from raw_messages import write_deribit

import optihedge as oh
from optihedge.cli.main import main
from optihedge.desk.watching import hedged_state, look
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.importers.feed import folder_so_far, import_stream, lines_so_far
from optihedge.market.importers.sources import import_files, import_raw
from optihedge.market.moved import moved
from optihedge.market.updated import updated
from optihedge.step.broker import AtQuote
from optihedge.step.policies.triggers import Band

POSITIONS = [
    {"instrument_name": "BTC-27MAR26-90000-P", "size": -25.0, "direction": "sell", "average_price": 0.05},
    {"instrument_name": "BTC-PERPETUAL", "size": -590000.0, "direction": "sell", "average_price": 95000.0},
]
ACCOUNT = {"currency": "BTC", "equity": 0.0, "balance": 0.0, "options_value": 0.0, "margin_balance": 0.0}
QUOTED = ["bid", "ask", "mark", "underlying_price", "vol", "funding_rate"]


@pytest.fixture(scope="module")
def nights(recorded, tmp_path_factory):
    """Raw files of two recorded snapshots, and the market folder of the first."""
    place = tmp_path_factory.mktemp("nights")
    source = recorded("deribit_btc_2026")
    times = [write_deribit(source, place / f"raw{n}", n, POSITIONS, ACCOUNT) for n in (3, 4)]
    assert main(["import", "deribit", str(place / "raw3"), "--to", str(place / "data")]) == 0
    return place, times


def stream_of(place, folder, keep=lambda name: True):
    """The second snapshot's tickers as a folder of messages."""
    folder.mkdir()
    lines = (place / "raw4" / "tickers.jsonl").read_text().splitlines()
    kept = [line for line in lines if keep(json.loads(line)["result"]["instrument_name"])]
    (folder / "a.jsonl").write_text("\n".join(kept))
    return folder


def test_what_is_quoted_is_as_a_fresh_import_has_it(nights, tmp_path):
    place, times = nights
    market = read_market(place / "data")
    found = import_stream("deribit", folder_so_far(stream_of(place, tmp_path / "s")), market)
    fresh = updated(market, found)
    assert main(["import", "deribit", str(place / "raw4"), "--to", str(tmp_path / "whole")]) == 0
    whole = read_market(tmp_path / "whole")
    both = fresh.names.intersection(whole.names).intersection(
        import_files("deribit", [place / "raw4"]).quotes["instrument"]
    )
    assert fresh.as_of == times[1] == whole.as_of and len(both) > 500
    pd.testing.assert_frame_equal(fresh.quotes.loc[both, QUOTED], whole.quotes.loc[both, QUOTED], check_dtype=False)
    pd.testing.assert_series_equal(fresh.history.count(), market.history.count())
    assert (fresh.instruments["multiplier"] == market.instruments["multiplier"].reindex(fresh.names)).all()


def test_what_is_not_quoted_moves_by_its_revaluation(nights, tmp_path):
    place, _ = nights
    market = read_market(place / "data")
    folder = stream_of(place, tmp_path / "s", lambda name: name == "BTC-PERPETUAL")
    fresh = updated(market, import_stream("deribit", folder_so_far(folder), market))
    (index,) = market.names[market.instruments["type"] == "index"]
    spot = fresh.price[index] / market.price[index] - 1
    expected = moved(market, {"spot:BTC": spot, "days": (fresh.as_of - market.as_of) / pd.Timedelta("1D")})
    assert spot != 0 and (fresh.as_of - market.as_of) / pd.Timedelta("1h") > 0.5
    options = expected.names[expected.instruments["strike"].notna()]
    np.testing.assert_allclose(fresh.price[options], expected.price[options], rtol=1e-6)
    assert updated(market, import_stream("deribit", folder_so_far(place / "raw3"), market)) is market


def test_a_look_says_what_the_policy_does_and_leaves_the_state(nights, tmp_path):
    place, _ = nights
    market = read_market(place / "data")
    state = hedged_state("book", market, oh.read_book(place / "data" / "book.csv", market))
    before, text = state.hash, state.text
    found = import_stream("deribit", folder_so_far(stream_of(place, tmp_path / "s")), market)
    model = oh.load_model("delta_neutral")
    book, fresh = oh.read_book(place / "data" / "book.csv", market), updated(market, found)
    delta = abs(float(fresh.exposures["delta"].reindex(book.index) @ book))
    wide, narrow = (look(state, market, found, model, Band("delta", width), rungs=True)
                    for width in (delta + 5e4, delta / 2))  # fmt: skip
    assert not wide.acts and wide.trades == {} and wide.nearest["spot"] != (None, None)
    assert narrow.acts and narrow.trades and "delta" in narrow.why
    assert (state.hash, state.text) == (before, text)


def test_a_folder_that_grows_is_one_stream(recorded):
    """A book's snapshot in one file and its changes in the next end where they do in one file."""
    path = recorded("venue_messages") / "deribit_20210722" / "ws_1_0.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    *_, last = lines_so_far(lines)
    whole = import_files("deribit", [path])
    assert import_raw("deribit", [last]).depth.equals(whole.depth)


def test_a_half_written_line_waits(nights, tmp_path):
    place, _ = nights
    folder = stream_of(place, tmp_path / "s")
    market = read_market(place / "data")
    count = len(import_stream("deribit", folder_so_far(folder), market).quotes)
    with (folder / "a.jsonl").open("a") as stream:
        stream.write('\n{"jsonrpc": "2.0", "result": {"instr')
    found = import_stream("deribit", folder_so_far(folder), market)
    assert len(found.quotes) == count and found.rejected["what"].tolist() == ["the text"]


def test_the_verb_watches_a_folder_and_standard_input(nights, tmp_path, capsys, monkeypatch):
    place, times = nights
    folder = stream_of(place, tmp_path / "s")
    (tmp_path / "wide.toml").write_text('type = "Band"\nexposure = "delta"\nwidth = 1e9\n')
    (tmp_path / "narrow.toml").write_text('type = "Band"\nexposure = "delta"\nwidth = 1e5\n')
    files = {p: p.read_bytes() for p in (place / "data").iterdir()}
    verb = ["monitor", "delta_neutral", "--data", str(place / "data"), "--source", "deribit", "--once"]
    assert main([*verb, "--stream", str(folder), "--policy", str(tmp_path / "wide.toml")]) == 0
    assert f"{times[1]:%Y-%m-%d %H:%M:%S} UTC wait" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO((folder / "a.jsonl").read_text()))
    assert main([*verb, "--stream", "-", "--policy", str(tmp_path / "narrow.toml")]) == 1
    assert "UTC ACT" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in (place / "data").iterdir()} == files
    assert main([*verb, "--stream", str(place / "raw3"), "--policy", str(tmp_path / "wide.toml")]) == 0
    assert "no quote of this market after" in capsys.readouterr().out


def test_a_desks_book_is_watched_as_its_ledger_has_it(nights, tmp_path, capsys):
    """After the night's list and its fills the book is neutral and waits, where the file's book would act."""
    place, _ = nights
    market, folder = read_market(place / "data"), stream_of(place, tmp_path / "s")
    book = read_book(place / "data" / "book.csv", market)
    desk = desk_in(tmp_path / "desk", [market], {name: float(held) for name, held in book.items()})
    one_night(desk, market)
    fresh = updated(market, import_stream("deribit", folder_so_far(folder), market))
    verb = ["monitor", "--desk", str(desk.path), "--source", "deribit", "--stream", str(folder), "--once"]
    (tmp_path / "narrow.toml").write_text('type = "Band"\nexposure = "delta"\nwidth = 1e5\n')
    narrow = ["--policy", str(tmp_path / "narrow.toml")]
    assert main([*verb, *narrow]) == 1
    told(desk, AtQuote(), market, fresh)
    assert main([*verb, *narrow]) == 0
    assert main([*verb, "--book", "two"]) == 3
    assert "no book 'two'" in capsys.readouterr().err
