"""Events: strict reading, one rule for rows and values, intervals that split without loss."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError
from optihedge.frames import read_raw
from optihedge.market.events import KINDS, Event, check_events, events_frame, events_of, known_events

HEADER = "event_id,time,known_at,kind,instrument,value,money,other\n"
GOOD = (
    "f1,2026-01-20T16:00:00Z,,funding,BTC-PERP,0.4,USD,\n"
    "d1,2026-01-19T14:30:00Z,2025-12-20T21:00:00Z,dividend,AAPL,0.47,USD,\n"
    "s1,2026-01-21T14:30:00Z,,split,AAPL,7,,\n"
    "x1,2026-01-23T08:00:00Z,2026-01-23T09:00:00Z,settlement,BTC-C,0.01,,cash\n"
    "m1,2026-01-24T14:30:00Z,,merger,OLD,25.5,USD,\n"
    "r1,2026-01-24T14:30:00Z,,rename,NWSA,1,,FOXA\n"
)


def table(tmp_path, rows):
    path = tmp_path / "events.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return check_events(read_raw(path))


def test_events_are_read_in_order_of_time_and_known_when_they_happen(tmp_path):
    events = table(tmp_path, GOOD)
    assert events["event_id"].tolist() == ["d1", "f1", "s1", "x1", "m1", "r1"]
    known = events.set_index("event_id")
    assert known.at["f1", "known_at"] == known.at["f1", "time"]
    assert known.at["d1", "known_at"] < known.at["d1", "time"]


def test_values_and_rows_are_the_same_thing(tmp_path):
    events = table(tmp_path, GOOD)
    values = events_of(events)
    assert sorted(values) == values and values[0].what() == ("AAPL", 0.47, "USD", "")
    pd.testing.assert_frame_equal(check_events(events_frame(values)), events)
    pd.testing.assert_frame_equal(check_events(events), events)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("f1,2026-01-20T16:00:00Z,,funding,BTC,1,USD,", r"events.csv row 8: event_id f1 appears twice"),
        ("a,2026-01-20,,funding,BTC,1,USD,", r"time 2026-01-20 is a date among instants"),
        ("a,2026-01-20T16:00:00,,funding,BTC,1,USD,", r"has no time zone"),
        ("a,2026-01-20T16:00:00Z,,fundings,BTC,1,USD,", r"row 8: kind is 'fundings'; write one of"),
        ("a,2026-01-20T16:00:00Z,,funding,,1,USD,", r"row 8: instrument of a funding is empty"),
        ("a,2026-01-20T16:00:00Z,,funding,BTC,,USD,", r"row 8: value is empty"),
        ("a,2026-01-20T16:00:00Z,,dividend,BTC,1,,", r"row 8: money of a dividend is empty"),
        ("a,2026-01-20T16:00:00Z,,split,BTC,0,,", r"row 8: ratio is 0"),
        ("a,2026-01-20T16:00:00Z,,spin_off,NWSA,0.25,,", r"row 8: other of a spin_off is empty"),
        ("a,2026-01-20T16:00:00Z,,rename,NWSA,1,,NWSA", r"row 8: NWSA turns into itself"),
        ("a,2026-01-20T16:00:00Z,,merger,NWSA,1,,", r"row 8: money of a merger is empty"),
        ("a,2026-01-20T16:00:00Z,,settlement,NWSA,1,,gold", r"row 8: other of a settlement is 'gold'"),
        ("a,2026-01-20T16:00:00Z,,assignment,NWSA,-1,,", r"row 8: value is -1; write the number of contracts"),
        (",2026-01-20T16:00:00Z,,split,NWSA,2,,", r"row 8: event_id is empty"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, GOOD + row + "\n")


def test_a_wrong_value_is_refused_by_the_same_rule():
    now = pd.Timestamp("2026-01-20T16:00:00Z")
    with pytest.raises(DataError, match="event a: ratio is -2"):
        Event(now, "a", now, "split", "AAPL", -2.0)
    with pytest.raises(DataError, match=r"event a: kind splits is not known \(did you mean split\?\)"):
        Event(now, "a", now, "splits", "AAPL", 2.0)
    with pytest.raises(DataError, match="event a: value is nan"):
        Event(now, "a", now, "split", "AAPL", np.nan)
    with pytest.raises(DataError, match="event a: time 2026-01-20 16:00:00 has no time zone"):
        Event(now.tz_localize(None), "a", now, "split", "AAPL", 2.0)


def test_every_kind_can_be_written():
    now, other = pd.Timestamp("2026-01-20T16:00:00Z"), {"settlement": "cash"}
    made = [Event(now, kind, now, kind, "A", 1.0, "USD", other.get(kind, "B")) for kind in KINDS]
    assert set(check_events(events_frame(made))["kind"]) == set(KINDS)


def test_an_interval_cut_anywhere_loses_and_doubles_nothing(tmp_path):
    events = table(tmp_path, GOOD)
    first, last = events["time"].iloc[0] - pd.Timedelta("1h"), events["time"].iloc[-1]
    for cut in [*events["time"], first, last - pd.Timedelta("1s")]:
        parts = [known_events(events, first, cut), known_events(events, cut, last)]
        assert pd.concat(parts)["event_id"].tolist() == events["event_id"].tolist()
    assert known_events(events, None, first).empty
    with pytest.raises(DataError, match="runs backwards"):
        known_events(events, last, first)


def test_late_news_are_not_known_before_they_came(tmp_path):
    events = table(tmp_path, GOOD)
    at = pd.Timestamp("2026-01-23T08:30:00Z")
    assert "x1" in known_events(events, None, at)["event_id"].tolist()
    assert "x1" not in known_events(events, None, at, known_at=at)["event_id"].tolist()
