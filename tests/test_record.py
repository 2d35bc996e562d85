"""Nights recorded one by one: yesterday's chain is today's history, funding is told or missing."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from recorded_snapshots import coin_levels, coin_market, coin_times

from optihedge.cli.main import main
from optihedge.content import content_hash
from optihedge.desk.record import record_night
from optihedge.market.derived import driver_rows, funding_rows, with_history
from optihedge.market.events import Event
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store
from optihedge.risk.smile_table import smile_rows

FIRST = pd.Timestamp("2026-01-05T16:00:00Z")


@cache
def night(day, spot=None):
    """A coin with a perpetual, two futures and flat chains of 40 and 60 % at 30 and 90 days; no history of its own."""
    as_of = FIRST + pd.Timedelta(day, "D")
    spot = spot if spot is not None else 100.0 * 1.01**day
    ends = [FIRST + pd.Timedelta(d, "D") for d in (30, 90)]
    strikes, vols = [80.0, 100.0, 125.0], [0.4, 0.6]
    options = [
        (f"C{i}-{k:g}", "option", end, k, "C", vols[i] + 0.01 * day) for i, end in enumerate(ends) for k in strikes
    ]
    rows = [
        ("X", "index", pd.NaT, np.nan, "", np.nan), ("P", "perpetual", pd.NaT, np.nan, "", np.nan),
        ("F0", "future", ends[0], np.nan, "", np.nan), ("F1", "future", ends[1], np.nan, "", np.nan), *options,
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["instrument", "type", "expiry", "strike", "right", "vol"])
    table["underlying"], table["currency"] = "COIN", "USD"
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    lean = {"X": 0.0, "P": 0.001, "F0": 0.01, "F1": 0.03}
    mark = [spot * np.exp(lean[name]) if name in lean else 5.0 for name in table["instrument"]]
    perpetual = table["instrument"] == "P"
    quotes = pd.DataFrame({
        "instrument": table["instrument"], "bid": np.nan, "ask": np.nan, "mark": mark, "vol": table["vol"],
        "underlying_price": np.where(table["type"] == "option", spot, np.nan),
        "funding_rate": np.where(perpetual, 1e-4, np.nan), "funding_hours": np.where(perpetual, 8.0, np.nan),
    })  # fmt: skip
    drivers = pd.DataFrame({
        "driver": ["COIN", "V30", "V60", "B", "BP"], "kind": ["price", "vol", "vol", "basis", "basis"],
        "underlying": "COIN", "tenor": ["", "30d", "60d", "90d", "perpetual"], "currency": ["USD", "", "", "", ""],
        "periods_per_year": 365.0,
    })  # fmt: skip
    return Market(table.drop(columns="vol"), quotes, "USD", drivers=drivers, as_of=as_of)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True)


def test_a_night_says_the_level_of_every_driver():
    level = driver_rows(night(0)).set_index("driver")["level"]
    assert level["COIN"] == pytest.approx(100.0) and level["V30"] == pytest.approx(0.4)
    assert level["B"] == pytest.approx(0.03) and level["BP"] == pytest.approx(0.001)
    variance = (0.4**2 * 30 + 0.6**2 * 90) / 2  # of 60 days, halfway
    assert level["V60"] == pytest.approx(np.sqrt(variance / 60), rel=1e-5)


def test_a_driver_with_a_history_of_its_own_keeps_its_own_level():
    given = night(1)
    history = pd.DataFrame({"V30": [0.5, 0.55]}, index=pd.DatetimeIndex([FIRST, given.as_of], name="time"))
    level = driver_rows(replace(given, history=history)).set_index("driver")["level"]
    assert level["V30"] == 0.55 and level["V60"] == pytest.approx(0.57, abs=0.03)


def test_yesterdays_chain_is_tomorrows_history(store):
    for day in range(3):
        record_night(store, night(day))
    opened = store.open(FIRST + pd.Timedelta("2D"))
    assert opened.history.index.tolist() == [FIRST + pd.Timedelta(d, "D") for d in range(3)]
    assert opened.history["COIN"].tolist() == pytest.approx([100.0, 101.0, 102.01])
    assert opened.moves(drivers=["COIN"])["COIN"].tolist() == pytest.approx([0.01] * 2)
    assert opened.history["BP"].isna().all()  # never moved: a level, no history
    assert len(store.open(FIRST).history) == 0


def test_a_night_recorded_again_changes_nothing_and_a_later_one_is_not_seen(store):
    made = {day: record_night(store, night(day)).market for day in (0, 1)}
    log = (store.path / "log.jsonl").read_bytes()
    assert {day: record_night(store, night(day)).market for day in (1, 0)} == made
    assert (store.path / "log.jsonl").read_bytes() == log
    other = open_store(store.path.with_name("other"), create=True)
    assert [record_night(other, night(day)).market for day in (0, 1)] == [made[0], made[1]]


def test_several_snapshots_of_a_day_count_as_its_last(store):
    for hours in (0, 4, 24, 28):
        base = night(0, spot=100.0 + hours)
        later = replace(base, as_of=FIRST + pd.Timedelta(hours, "h"), quotes=base.quotes.drop(columns="time"))
        record_night(store, later)
    history = store.open("2026-01-07").history
    assert history["COIN"].tolist() == pytest.approx([104.0, 128.0])


def test_a_market_with_a_history_keeps_it(store):
    history = pd.DataFrame({"COIN": [90.0, 95.0, 99.0]},
                           index=pd.date_range(FIRST - pd.Timedelta("2D"), periods=3, name="time"))  # fmt: skip
    given = replace(night(0), history=history)
    assert with_history(given, pd.DataFrame()) is given
    assert store.open(record_night(store, given).market).hash == given.hash


def test_funding_is_what_events_told_and_missing_where_they_told_nothing(store):
    def paid(hour, value):
        at = FIRST + pd.Timedelta(hour, "h")
        return Event(at, f"f{hour}", at, "funding", "P", value, "USD")

    told = funding_rows(night(1), [paid(8, 0.01), paid(16, -0.03)]).iloc[0]
    assert (told["instrument"], told["rate"], told["hours"], told["payments"]) == ("P", 1e-4, 8.0, 2.0)
    assert told["paid"] == pytest.approx(-0.02)
    assert np.isnan(funding_rows(night(1), [])["paid"].iloc[0])
    frame = pd.DataFrame([{"event_id": "f", "time": FIRST + pd.Timedelta("8h"), "kind": "funding", "instrument": "P",
                           "value": 0.05, "money": "USD"}])  # fmt: skip
    record_night(store, night(0))
    record_night(store, night(1), frame)
    record_night(store, night(2), frame)
    rows = store.rows("funding")
    assert (
        rows["paid"].tolist()[1] == 0.05 and np.isnan(rows["paid"].tolist()[0]) and np.isnan(rows["paid"].tolist()[2])
    )


def test_smile_rows_are_kept_from_chain_to_chain(recorded, store):
    folder = recorded("deribit_btc_eth_2026")
    times, levels = coin_times(folder)[:3], coin_levels(folder)
    markets = [coin_market(folder, time, levels if i else None) for i, time in enumerate(times)]
    for market in markets:
        record_night(store, market)
    kept, fresh = store.rows("smile"), pd.concat([smile_rows(*markets[:2]), smile_rows(*markets[1:])])
    assert kept["underlying"].tolist() == ["BTC", "ETH"] * 2
    assert content_hash(kept) == content_hash(fresh.reset_index(drop=True))


def test_the_verb_records_folders_and_says_what_it_did(tmp_path, example_folder, capsys):
    store = tmp_path / "kept"
    assert main(["record", str(example_folder), "--store", str(store)]) == 0
    said = capsys.readouterr().out
    given = read_market(example_folder)
    assert given.hash[:12] in said and "rows added to history: " in said
    assert open_store(store).open(given.as_of).hash == given.hash
    assert main(["record", str(example_folder), "--store", str(store)]) == 0
    assert len(open_store(store).snapshots()) == 1
    assert main(["record", str(tmp_path), "--store", str(store)]) == 3
