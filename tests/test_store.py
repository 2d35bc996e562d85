"""The store: what was recorded comes back as it was, for ever; what is torn or altered is named, never used."""

import json
import os
import shutil
from dataclasses import replace
from functools import cache
from time import process_time

import numpy as np
import pandas as pd
import pytest
from desks import walk
from recorded_snapshots import COINS, coin_levels, coin_market, coin_times

from optihedge.content import content_hash
from optihedge.errors import DataError
from optihedge.lock import LOCK, Locked, locked
from optihedge.market.folder import read_market
from optihedge.market.importers.folder import write_market
from optihedge.market.importers.instant import market_frames
from optihedge.market.importers.raw import read_file
from optihedge.market.importers.sound import sound
from optihedge.market.importers.sources import import_raw
from optihedge.market.snapshot import Market
from optihedge.market.store import files
from optihedge.market.store.store import open_market, open_store
from optihedge.market.store.venues import compare_venues

MIDNIGHT = pd.Timestamp("2026-01-05", tz="UTC")


@cache
def market(day=0):
    """An index, an option on it and two stocks, one of them on two venues, after 30 + day days."""
    history = walk(3, rows=40, days="D").iloc[: 31 + day]
    history.columns = ["SPX", "ALFA", "BETA"]
    history.index = pd.date_range(MIDNIGHT - pd.Timedelta("30D"), periods=len(history), freq="D", tz="UTC")
    last, as_of = history.iloc[-1], history.index[-1]
    instruments = pd.DataFrame({
        "instrument": ["SPX-X", "SPX-C", "SPX-P", "ALFA", "ALFA.B", "BETA"],
        "type": ["index", "option", "option", "equity", "equity", "equity"],
        "underlying": ["SPX"] * 3 + ["ALFA", "ALFA", "BETA"], "venue": ["A", "A", "A", "A", "B", "A"],
        "expiry": [pd.NaT, *[pd.Timestamp("2026-03-20T13:30:00Z")] * 2, pd.NaT, pd.NaT, pd.NaT],
        "strike": [np.nan, 100.0, 90.0, np.nan, np.nan, np.nan], "right": ["", "C", "P", "", "", ""],
        "desk": ["x", "", "y", "", "", ""],
    })  # fmt: skip
    price = np.array([last["SPX"], 5.0, 2.0, last["ALFA"], last["ALFA"] * 1.001, last["BETA"]])
    quotes = pd.DataFrame({"instrument": instruments["instrument"], "bid": price * 0.999, "ask": price * 1.001})
    quotes["vol"] = [np.nan, 0.2, 0.25, np.nan, np.nan, np.nan]
    return Market(instruments, quotes, "USD", history=history, as_of=as_of)


def events(*rows):
    columns = ["event_id", "time", "kind", "instrument", "value", "money"]
    return pd.DataFrame(rows, columns=columns)


DIVIDEND = ("d1", "2026-01-06T14:30:00Z", "dividend", "ALFA", 0.5, "USD")


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_market_comes_back_as_it_was_and_recording_it_again_changes_nothing(store):
    given = replace(market(), max_age="2d", own_exposures=pd.DataFrame({"delta": [1.5], "esg": [2.0]}, index=["SPX-C"]))
    name = store.record(given, events(DIVIDEND))
    before = contents(store.path)
    opened = open_store(store.path).open(name)
    assert opened.hash == name == given.hash
    assert store.record(opened, events(DIVIDEND)) == name
    assert contents(store.path) == before
    for table in ("instruments", "quotes", "drivers", "history", "exposures", "price"):
        assert content_hash(getattr(opened, table)) == content_hash(getattr(given, table)), table


def test_the_name_of_a_snapshot_is_sha256_of_its_file(store):
    import hashlib

    name = store.record(market())
    assert hashlib.sha256(files.manifest_path(store.path, name).read_bytes()).hexdigest() == name


def test_the_example_is_recorded_whole(store, example_folder):
    given = read_market(example_folder)
    assert open_market(store.path, store.record(given)).hash == given.hash


def test_an_instant_opens_the_latest_market_at_or_before_it(store):
    names = [store.record(market(day)) for day in range(3)]
    assert store.open("2026-01-06").hash == names[1]
    assert store.open(MIDNIGHT + pd.Timedelta("36h")).hash == names[1]
    assert [m.hash for m in store.markets()] == names
    assert [m.hash for m in store.markets("2026-01-06", "2026-01-06")] == names[1:2]
    with pytest.raises(DataError, match=r"no market at or before 2026-01-04.*the first is of 2026-01-05"):
        store.open("2026-01-04")


def test_nothing_of_a_market_is_from_later_than_the_market(store):
    for day in (2, 0, 1):
        store.record(market(day))
    assert [m.history.index[-1] for m in store.markets()] == [MIDNIGHT + pd.Timedelta(d, "D") for d in range(3)]


def test_a_correction_stands_from_when_it_was_known(store):
    wrong = market()
    first = store.record(wrong)
    right = replace(wrong, quotes=wrong.quotes.assign(bid=wrong.quotes["bid"] * 0.99))
    second = store.record(right, known_at="2026-01-07T00:00:00Z")
    assert store.open("2026-01-05").hash == second
    assert store.open("2026-01-05", known_at="2026-01-06").hash == first
    assert [m.hash for m in store.markets(known_at="2026-01-06")] == [first]
    third = store.record(wrong)  # taken back: known from now
    assert third == first and store.open("2026-01-05").hash == first
    assert store.open("2026-01-05", known_at="2026-01-08").hash == second
    with pytest.raises(DataError, match="before that of the market it corrects"):
        store.record(right, known_at="2026-01-06T00:00:00Z")
    with pytest.raises(DataError, match="before the market's as_of"):
        store.record(market(3), known_at="2026-01-06T00:00:00Z")


def test_history_shared_by_two_nights_is_written_once(store):
    store.record(market(0))
    old = set(contents(store.path))
    store.record(market(1))
    new = [n for n in set(contents(store.path)) - old if n.startswith("objects")]
    assert len(new) == 3  # quotes, this month's history, the venues' prices; instruments, drivers, December stand


def test_events_are_asked_by_interval_and_by_what_was_known(store):
    late = {"known_at": "2026-01-09T00:00:00Z"}
    store.record(market(0), events(DIVIDEND))
    store.record(None, events(("s1", "2026-01-06T20:00:00Z", "split", "BETA", 2.0, "")).assign(**late))
    assert store.events()["event_id"].tolist() == ["d1", "s1"]
    assert store.events(known_at="2026-01-08")["event_id"].tolist() == ["d1"]
    assert store.events("2026-01-06T14:30:00Z", "2026-01-06T20:00:00Z")["event_id"].tolist() == ["s1"]
    with pytest.raises(DataError, match="event d1 is recorded already with other fields; give the restatement an id"):
        store.record(market(1), events((*DIVIDEND[:4], 0.6, "USD")))
    assert len(store.snapshots()) == 1  # what was refused left nothing


def test_a_contract_is_known_for_ever_with_its_latest_terms(store):
    store.record(market(0))
    later = market(1)
    kept = later.names != "SPX-C"
    table = later.instruments[kept].assign(multiplier=[1.0, 100.0, 1.0, 1.0, 1.0])
    store.record(replace(later, instruments=table, quotes=later.quotes[kept]))
    assert store.contract("SPX-C")["strike"] == 100.0
    assert store.contract("SPX-P")["multiplier"] == 100.0
    with pytest.raises(DataError, match=r"no contract SPX-Q was ever recorded \(did you mean SPX-"):
        store.contract("SPX-Q")


def test_gaps_are_named(store):
    for day in (0, 1, 4):
        store.record(market(day))
    gaps = store.gaps("1d")
    assert gaps[["after", "before"]].to_numpy().tolist() == [[MIDNIGHT + pd.Timedelta(d, "D") for d in (1, 4)]]


def test_derived_rows_grow_by_the_night_and_follow_corrections(store):
    def row(day, value):
        return {"levels": pd.DataFrame({"time": [MIDNIGHT + pd.Timedelta(day, "D")], "SPX": [value]})}

    assert store.rows("levels").empty
    first = market(0)
    store.record(first, rows=row(0, 1.0))
    store.record(market(1), rows=row(1, 2.0))
    store.record(replace(first, max_age="9d"), rows=row(0, 3.0), known_at="2026-01-09T00:00:00Z")
    assert store.rows("levels")["SPX"].tolist() == [3.0, 2.0]
    assert store.rows("levels", known_at="2026-01-08")["SPX"].tolist() == [1.0, 2.0]
    assert store.rows("levels", "2026-01-05")["SPX"].tolist() == [3.0]


@pytest.mark.parametrize("names", [["SPX-C"], ["BETA"], ["ALFA", "SPX-P"], "ALFA.B"])
def test_a_view_equals_the_whole(store, names):
    whole = market()
    view = store.open(store.record(whole), names=names)
    chosen = [names] if isinstance(names, str) else names
    assert set(chosen) <= set(view.names)
    assert view.exposures.loc[chosen].equals(whole.exposures.loc[chosen])
    assert view.history.equals(whole.history)
    stood = view.drivers.index[view.paths.driver]
    assert view.levels[stood].equals(whole.levels[stood])
    assert (view.loadings.matrix.toarray() == whole.loadings.matrix[:, whole.names.get_indexer(view.names)]).all()


def test_a_view_leaves_out_what_its_contracts_do_not_stand_on(store):
    name = store.record(market())
    assert store.open(name, names=["BETA"]).names.tolist() == ["BETA"]
    with pytest.raises(DataError, match=r"GAMMA is not in the market; leave it out|did you mean"):
        store.open(name, names=["GAMMA"])


def test_opening_a_day_reads_its_own_files_alone(store, monkeypatch):
    for day in range(6):
        store.record(market(day))
    read = []
    original = files.read_table
    monkeypatch.setattr(files, "read_table", lambda folder, name: read.append(name) or original(folder, name))
    open_store(store.path).open("2026-01-08")
    assert len(read) == 3 + 2  # instruments, quotes, drivers; two months of history


# ---- damage ----------------------------------------------------------------------------------------------------------


def damage(path, how):
    body = path.read_bytes()
    middle = len(body) // 2
    path.write_bytes({"torn": body[:middle], "altered": body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :],
                      "empty": b""}[how])  # fmt: skip


@pytest.mark.parametrize("how", ["torn", "altered", "empty", "missing"])
def test_every_damaged_file_is_named(store, how):
    for day in range(2):
        store.record(market(day), events(DIVIDEND))
    assert store.verify().empty
    for relative in [n for n in contents(store.path) if n not in (files.LOG, LOCK)]:
        path = store.path / relative
        body = path.read_bytes()
        path.unlink() if how == "missing" else damage(path, how)
        if path.is_file() and path.suffix == ".parquet" and not files.table_fault(store.path, path.stem):
            path.write_bytes(body)  # the byte is one that no value depends on
            continue
        assert relative in store.verify()["file"].tolist(), relative
        path.write_bytes(body)
    assert store.verify().empty


def test_a_damaged_table_is_never_used_and_mended_by_recording_again(store):
    given = market()
    name = store.record(given)
    path = files.table_path(store.path, given.manifest["quotes"])
    damage(path, "torn")
    with pytest.raises(DataError, match=rf"store: objects/../{path.stem}.parquet is torn or altered.*record that day"):
        store.open(name)
    files.write_table(store.path, given.quotes)
    assert store.open(name).hash == name


def test_values_changed_in_a_readable_file_are_found(store):
    given = market()
    name = store.record(given)
    path = files.table_path(store.path, given.manifest["quotes"])
    given.quotes.assign(bid=given.quotes["bid"] * (1 + 1e-15)).to_parquet(path)
    with pytest.raises(DataError, match="is altered: its values have another hash"):
        store.open(name)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_an_altered_log_line_is_named(store, line):
    for day in range(3):
        store.record(market(day))
    path = store.path / files.LOG
    lines = path.read_text().splitlines()
    lines[line] = lines[line].replace('"events":""', '"events":"0"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=f"log.jsonl line {line + 1} is altered"):
        store.open("2026-01-07")
    assert store.verify()["file"].tolist() == [files.LOG]
    del lines[line]
    path.write_text("\n".join(lines) + "\n")
    assert len(store.verify()) == 1  # a line taken out, the last one included


def test_an_unfinished_log_line_does_not_count(store):
    store.record(market(0))
    with (store.path / files.LOG).open("ab") as stream:
        stream.write(b'{"as_of":"2026')
    assert len(store.snapshots()) == 1
    name = store.record(market(1))
    assert store.open("2026-01-06").hash == name and store.verify().empty


def test_a_record_interrupted_anywhere_loses_nothing(tmp_path, monkeypatch):
    """A crash at every fsync and rename of a record: what stood stands, and recording again completes it."""
    first, second = market(0), market(1)
    steps, crash_at = [], [None]

    class Crash(BaseException):
        pass

    def counted(original):
        def call(*args, **kwargs):
            steps.append(1)
            if len(steps) == crash_at[0]:
                raise Crash
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(os, "replace", counted(os.replace))
    total = None
    open_store(tmp_path / "before", create=True).record(first)
    for attempt in range(100):
        store = open_store(shutil.copytree(tmp_path / "before", tmp_path / str(attempt)))
        steps.clear()
        crash_at[0] = None if total is None else attempt
        try:
            store.record(second, events(DIVIDEND))
        except Crash:
            crash_at[0] = None
            assert store.snapshots()["market"].tolist() in ([first.hash], [first.hash, second.hash])
            assert not [text for text in store.verify()["problem"] if "no line of the log" not in text]
            assert open_store(store.path).record(second, events(DIVIDEND)) == second.hash
        total = len(steps) if total is None else total
        assert store.events()["event_id"].tolist() == ["d1"]
        assert store.snapshots()["market"].tolist() == [first.hash, second.hash]
        if attempt > total:
            break
    assert store.verify().empty
    assert 5 < total < attempt


def test_two_writers_at_once_are_refused(store):
    with locked(store.path), pytest.raises(Locked, match=r"another run .* try again when it is done"):
        store.record(market())
    store.record(market())


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no store"):
        open_store(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        open_store(tmp_path, create=True)


def test_a_column_of_several_types_is_refused_by_name(store):
    given = market()
    odd = given.instruments.assign(desk=pd.Series(["a", 1, None, 2.5, "b", True], given.names, dtype=object))
    with pytest.raises(DataError, match="several types"):
        store.record(replace(given, instruments=odd))


# ---- venues ----------------------------------------------------------------------------------------------------------


def test_venues_that_disagree_are_told_when_recorded(store):
    store.record(market(0))
    assert store.snapshots()["findings"].tolist() == [()]
    odd = market(1)
    apart = odd.quotes[["bid", "ask", "mark"]].mul(np.where(odd.names == "ALFA.B", 1.1, 1.0), axis=0)
    store.record(replace(odd, quotes=odd.quotes.assign(**apart)))
    (finding,) = store.snapshots()["findings"].iloc[1]
    assert finding.startswith("ALFA/USD: ALFA.B is +10.1% from the other venues") or "ALFA is -9.2%" in finding


def test_a_venue_that_is_a_night_late_is_told():
    path = walk(1, rows=41).iloc[:, 0].to_numpy()
    rows = [
        {"time": MIDNIGHT + pd.Timedelta(day, "D"), "underlying": "ALFA/USD", "venue": name, "instrument": name,
         "price": path[day + ahead]}
        for day in range(40) for name, ahead in (("A", 1), ("B", 0), ("C", 1))
    ]  # fmt: skip
    found = [text for text in compare_venues(pd.DataFrame(rows)) if "late" in text]
    assert [text.split(" a snapshot")[0] for text in found] == ["ALFA/USD: B follows A", "ALFA/USD: B follows C"]
    assert not [text for text in compare_venues(pd.DataFrame(rows).query("instrument != 'B'")) if "late" in text]


# ---- recorded months -------------------------------------------------------------------------------------------------


def recorded_markets_of_deribit(recorded, tmp_path):
    """Makers of every recorded snapshot of two coins: chains of five months, and half a minute of 2021 as it was
    streamed, at every half second by which both coins had spoken.
    """
    folder = recorded("deribit_btc_eth_2026")
    raws = [read_file(path) for path in sorted((recorded("venue_messages") / "deribit_20210722").glob("*.gz"))]
    levels = coin_levels(folder)
    told = import_raw("deribit", raws).quotes
    asset = told["instrument"].str[:3]
    first = max(told["time"][asset == coin].min() for coin in COINS)
    seen = sorted(told["time"].dropna().dt.ceil("500ms").unique())

    def streamed(time):
        found = import_raw("deribit", raws, as_of=time)
        return read_market(write_market(found, tmp_path / "raw", sound(market_frames(found, as_of=time)), {}))

    made = [(time, lambda t=time: streamed(t)) for time in seen if time >= first]
    return made + [(time, lambda t=time: coin_market(folder, t, levels)) for time in coin_times(folder)]


@pytest.mark.slow
def test_two_hundred_snapshots_of_two_coins_are_replayed_byte_for_byte(recorded, store, tmp_path):
    """Every recorded snapshot of two coins: recorded, reopened by hash and by instant, recorded again: the same."""
    snapshots = recorded_markets_of_deribit(recorded, tmp_path)
    names = []
    for _, make in snapshots:
        market = make()
        assert set(COINS) <= set(market.instruments["underlying"])
        names.append(store.record(market))
    assert len(names) == len(set(names)) >= 200 and store.verify().empty
    log = (store.path / files.LOG).read_bytes()
    again = open_store(store.path)
    for (time, _), name in zip(snapshots, names, strict=True):
        opened = again.open(time)
        assert opened.hash == name == again.record(opened)
    assert (store.path / files.LOG).read_bytes() == log
    whole = again.open(names[-100])
    chosen = whole.names[::97].tolist()
    view = again.open(names[-100], names=chosen)
    assert len(view.names) < len(whole.names) / 2
    assert view.exposures.loc[chosen].equals(whole.exposures.loc[chosen])
    gone = next(name for name in again.open(names[0]).names if name not in whole.names)
    assert again.contract(gone)["type"] == "inverse_option"


@pytest.mark.slow
def test_one_night_of_two_coins_is_recorded(recorded, store):
    folder = recorded("deribit_btc_eth_2026")
    given = coin_market(folder, coin_times(folder)[40], coin_levels(folder))
    assert store.open(store.record(given)).hash == given.hash
    assert json.loads(files.manifest_path(store.path, given.hash).read_text())["base_currency"] == "USD"


def chain(day, contracts=1000):
    """A night of an index with so many options, of a year's history."""
    rng = np.random.default_rng(day)
    as_of = MIDNIGHT + pd.Timedelta(day, "D")
    names = [f"C{i}" for i in range(contracts)]
    table = pd.DataFrame({"instrument": ["X", *names], "type": ["index"] + ["option"] * contracts, "underlying": "X"})
    table["expiry"] = [pd.NaT] + [MIDNIGHT + pd.Timedelta(400, "D")] * contracts
    table["strike"], table["right"] = [np.nan, *np.linspace(50, 150, contracts)], [""] + ["C"] * contracts
    price = np.r_[100.0, 1 + rng.random(contracts)]
    quotes = pd.DataFrame({"instrument": table["instrument"], "bid": price * 0.99, "ask": price * 1.01})
    quotes["vol"] = np.r_[np.nan, 0.2 + 0.01 * rng.random(contracts)]
    index = pd.date_range(end=as_of, periods=250, freq="D", name="time")
    history = pd.DataFrame({"X": 100 + np.arange(250) / 10}, index=index)
    return Market(table, quotes, "USD", history=history, as_of=as_of)


@pytest.mark.slow
def test_a_day_of_a_long_store_opens_as_fast_as_that_of_a_short_one(tmp_path):
    """200 days of 1 000 contracts against 5: pairs of openings in turn, and no more than what a market itself costs."""
    stores = {days: open_store(tmp_path / str(days), create=True) for days in (5, 200)}
    for days, one in stores.items():
        for day in range(days):
            one.record(chain(day))
    taken = {"few": [], "many": [], "made": []}
    for turn in range(15):
        day = turn % 5
        calls = {
            "few": lambda d=day: open_store(stores[5].path).open(MIDNIGHT + pd.Timedelta(d, "D")),
            "many": lambda d=day: open_store(stores[200].path).open(MIDNIGHT + pd.Timedelta(190 + d, "D")),
            "made": lambda d=day: chain(d),
        }
        for name, call in calls.items():
            begun = process_time()
            call()
            taken[name].append(process_time() - begun)
    pairs = np.array(taken["many"]) / np.array(taken["few"])
    print({name: f"{np.median(values):.3f} s" for name, values in taken.items()}, f"ratio {np.median(pairs):.2f}")
    assert np.median(pairs) < 2
    assert np.median(taken["many"]) < 10 * np.median(taken["made"])
