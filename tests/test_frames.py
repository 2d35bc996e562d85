"""Strict tables: what is wrong is named by file, row, column and remedy; what is text stays text."""

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, SpecError
from optihedge.frames import (
    Column,
    check_frame,
    counted,
    duration,
    find_table,
    instant,
    number_block,
    one_line,
    parse_times,
    read_frame,
    unique_labels,
)

SCHEMA = {
    "instrument": Column("text", required=True),
    "bid": Column("number", required=True, empty=True),
    "lot": Column("number", default=1.0, above=0.0),
    "side": Column("text", choices=("", "bid", "ask")),
    "hedge": Column("flag", default=True),
    "time": Column("time"),
}


def read(tmp_path, text, schema=SCHEMA, **options):
    path = tmp_path / "quotes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_frame(path, schema, **options)


def test_text_stays_text(tmp_path):
    frame = read(tmp_path, "instrument,bid,cusip\nNA,1.5,0005\nnan,2,00123E5\nNULL,,037833100\n")
    assert frame["instrument"].tolist() == ["NA", "nan", "NULL"]
    assert frame["cusip"].tolist() == ["0005", "00123E5", "037833100"]
    assert frame["bid"].iloc[:2].tolist() == [1.5, 2.0] and pd.isna(frame["bid"].iloc[2])


def test_what_a_spreadsheet_saves_is_read(tmp_path):
    text = b'\xef\xbb\xbfinstrument,bid,hedge\r\n"A, B", 1e3 ,FALSE\r\nC,2,\r\n'
    frame = read(tmp_path, text)
    assert frame["instrument"].tolist() == ["A, B", "C"]
    assert frame["bid"].tolist() == [1000.0, 2.0]
    assert frame["hedge"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instrument,bid\nA,1\nB,2,3\n", r"quotes.csv row 3: 3 fields where the header has 2.*'B,2,3'; quote"),
        ("instrument,bid\nA\n", r"quotes.csv row 2: 1 fields where the header has 2"),
        ("instrument,bid,bid\nA,1,2\n", r"quotes.csv: column bid appears twice; remove or rename"),
        ("instrument,bids\nA,1\n", r"quotes.csv: column bid is missing \(did you mean bids\?\); rename it"),
        ("instrument,size\nA,1\n", r"quotes.csv: column bid is missing; add it"),
        ("instrument,,bid\nA,1,2\n", r"quotes.csv: column 2 has no name"),
        ("\ninstrument,bid\nA,1\n", r"quotes.csv row 2: 2 fields where the header has 0"),
        ("instrument,bid\nA,1\nB,twelve\n", r"quotes.csv row 3: bid is 'twelve'; write a finite number"),
        ('instrument,bid\nA,"1,000"\n', r"quotes.csv row 2: bid is '1,000'; .*no thousands separator"),
        ("instrument,bid\nA,nan\n", r"quotes.csv row 2: bid is 'nan'; write a finite number"),
        ("instrument,bid\nA,inf\n", r"quotes.csv row 2: bid is inf; write a finite number"),
        ("instrument,bid\nA,1e999\n", r"quotes.csv row 2: bid is inf; write a finite number"),
        ("instrument,bid\nA,1e-300\n", r"quotes.csv row 2: bid is 1e-300; write a finite number between"),
        ("instrument,bid\n,1\n", r"quotes.csv row 2: instrument is empty; fill it"),
        ("instrument,bid,lot\nA,1,0\n", r"quotes.csv row 2: lot is 0.0; give a number above 0"),
        ("instrument,bid,side\nA,1,bed\n", r"quotes.csv row 2: side is 'bed'; write one of nothing, bid, ask"),
        ("instrument,bid,hedge\nA,1,maybe\n", r"quotes.csv row 2: hedge is 'maybe'; write true or false"),
        ("instrument,bid,time\nA,1,2026-01-20T16:00:00\n", r"row 2: time 2026-01-20T16:00:00 has no time zone"),
        ("instrument,bid,time\nA,1,2026-01-20\n", r"row 2: time 2026-01-20 is a date without an hour"),
        ("instrument,bid,time\nA,1,20/01/2026\n", r"row 2: time is '20/01/2026'; write a date 2026-01-20 or"),
        ("instrument,bid,time\nA,1,2026-02-30T10:00:00Z\n", r"row 2: time 2026-02-30T10:00:00Z is no calendar time"),
        (
            "instrument,bid,time\nA,1,2026-01-20T16:00:00Z\nB,1,2026-01-20T16:00:00-05:00\n",
            r"quotes.csv row 3: time 2026-01-20T16:00:00-05:00 mixes time zones; write all times in UTC",
        ),
        ("instrument,bid\nA,1\n\nB,x\n", r"quotes.csv row 3: 0 fields where the header has 2"),
        ("instrument;bid\nA;1\n", r"quotes.csv: its fields are not separated by commas; save it as comma-separated"),
        ("", r"quotes.csv is empty; give a header row"),
        (b"instrument,bid\n\xff,1\n", r"quotes.csv: byte 15 is not UTF-8; save the file as UTF-8"),
        ('instrument,bid\n"A,1\n', r"quotes.csv: unexpected end of data; check its quotation marks"),
    ],
)
def test_a_wrong_file_is_refused_by_file_row_and_column(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_every_fault_of_a_table_is_told_in_one_go(tmp_path):
    faults = [
        "row 2: bid is 'x'; write a finite number",
        "row 3: hedge is 'ja'; write true or false",
        "row 2: lot is 0.0",
    ]
    with pytest.raises(DataError) as refused:
        read(tmp_path, "instrument,bid,hedge,lot\nA,x,true,0\nB,1,ja,1\n")
    told = str(refused.value).splitlines()
    assert len(told) == 3 and all(f"quotes.csv {fault}" in line for fault, line in zip(faults, told, strict=True))
    assert refused.value.rows == (0,)  # of the first


def test_a_table_without_several_columns_names_all_of_them():
    schema = {name: Column("number", required=True) for name in ("bid", "ask")}
    with pytest.raises(DataError, match=r"quotes: column bid is missing \(so is ask\); add it"):
        check_frame(pd.DataFrame({"level": [1.0]}), schema, "quotes")


@pytest.mark.parametrize("word", ["2026-01-16 12:30:46", "2026-01-16T12:30:46"])
def test_an_instant_without_a_zone_is_answered_with_itself(word):
    with pytest.raises(DataError, match="write 2026-01-16T12:30:46Z where it is UTC"):
        instant(word, "as_of")
    with pytest.raises(DataError, match="write 2026-01-16T12:30:46Z where it is UTC"):
        parse_times(pd.Series([word]), "time", "quotes.csv")


def test_things_are_counted_as_a_sentence_counts_them():
    assert [counted(n, "line") for n in (0, 1, 2, 1000)] == ["0 lines", "1 line", "2 lines", "1,000 lines"]


def test_unknown_columns_are_refused_where_the_table_is_closed(tmp_path):
    with pytest.raises(DataError, match=r"column lots is not known \(did you mean lot\?\); rename or remove it"):
        read(tmp_path, "instrument,bid,lots\nA,1,2\n", others=None)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match=r"book\.csv is not there"):
        read_frame(tmp_path / "book.csv", SCHEMA)


def test_a_header_alone_is_an_empty_table(tmp_path):
    frame = read(tmp_path, "instrument,bid\n")
    assert list(frame.columns) == ["instrument", "bid"] and frame.empty


def test_parquet_reads_the_same_as_csv(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"instrument": ["NA", "0005"], "bid": [1.0, None], "time": ["2026-01-20T16:00:00Z", ""]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "b.csv", index=False)
    columnar, text = (read_frame(tmp_path / name, SCHEMA) for name in ("a.parquet", "b.csv"))
    columnar.attrs = text.attrs = {}
    pd.testing.assert_frame_equal(columnar, text)
    assert find_table(tmp_path, "a").name == "a.parquet"
    (tmp_path / "a.csv").write_text("instrument,bid\n")
    with pytest.raises(DataError, match=r"both a\.csv and a\.parquet are there; keep one"):
        find_table(tmp_path, "a")


def test_parquet_without_its_extra_gives_the_install_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SpecError, match=r"pip install 'optihedge\[parquet\]'"):
        read_frame(tmp_path / "a.parquet", SCHEMA)


def test_a_frame_is_checked_like_a_file_and_copied():
    given = pd.DataFrame({"instrument": ["A", "B"], "bid": ["1", "x"]})
    with pytest.raises(DataError, match="quotes row 2: bid is 'x'"):
        check_frame(given, SCHEMA, "quotes")
    fine = check_frame(given.iloc[:1], SCHEMA, "quotes")
    fine.loc[0, "bid"] = 7.0
    assert given.loc[0, "bid"] == "1"


def test_labels_are_unique_and_never_empty():
    with pytest.raises(DataError, match="quotes row 3: instrument A appears twice; keep one of its rows"):
        unique_labels(pd.DataFrame({"instrument": ["A", "B", "A"], "bid": 1.0}), "instrument", "quotes")
    with pytest.raises(DataError, match="quotes row 2: instrument is empty; name it"):
        unique_labels(pd.DataFrame({"bid": 1.0}, index=pd.Index(["A", None])), "instrument", "quotes")


def test_times_are_all_dates_or_all_instants():
    times, dates = parse_times(pd.Series(["2026-01-20", "2026-01-21"]), "time", "history")
    assert dates and str(times.iloc[0]) == "2026-01-20 00:00:00+00:00"
    with pytest.raises(DataError, match="history row 2: time 2026-01-21 is a date among instants"):
        parse_times(pd.Series(["2026-01-20T00:00:00Z", "2026-01-21"]), "time", "history")
    with pytest.raises(DataError, match="mixes time zones"):
        mixed = [pd.Timestamp("2026-01-20", tz="UTC"), pd.Timestamp("2026-01-21", tz="Asia/Tokyo")]
        parse_times(pd.Series(mixed, dtype=object), "time", "history")
    with pytest.raises(DataError, match="has no time zone; use tz_localize"):
        parse_times(pd.Series(pd.to_datetime(["2026-01-20 10:00"])), "time", "history")


def test_an_instant_needs_its_zone_and_a_date_means_its_end():
    assert str(instant("2026-01-20", "as_of")) == "2026-01-20 23:59:59+00:00"
    assert str(instant("2026-01-20T16:00:00-05:00", "as_of")) == "2026-01-20 21:00:00+00:00"
    with pytest.raises(DataError, match="as_of 2026-01-20 16:00 has no time zone"):
        instant("2026-01-20 16:00", "as_of")
    with pytest.raises(DataError, match="as_of 'yesterday-ish' is no time"):
        instant("yesterday-ish", "as_of")


def test_a_wide_table_of_numbers_is_checked_as_one_block():
    frame = pd.DataFrame({"A": ["1", " 2.5", ""], "B": [3, None, "-1e-3"]}, dtype=object)
    block = number_block(frame, "history.csv")
    np.testing.assert_array_equal(block, [[1, 3], [2.5, np.nan], [np.nan, -1e-3]])
    for bad, said in (("x", "'x'"), ("nan", "'nan'"), ("-inf", "'-inf'"), (np.inf, "inf")):
        frame.loc[1, "B"] = bad
        with pytest.raises(DataError, match=f"history.csv row 3: B is {said}; write a finite number"):
            number_block(frame, "history.csv")
    assert np.isnan(number_block(pd.DataFrame({"A": [1.0, np.nan]}), "history")[1, 0])


def test_a_duration_is_positive():
    assert duration("1d", "max_age") == pd.Timedelta(days=1)
    assert duration("1d 8h", "max_age") == duration("1d8h", "max_age") == pd.Timedelta(hours=32)
    for wrong in ("soon", "-1h", None, "1,d", "1,5d", "1;d", 3):
        with pytest.raises(DataError, match="max_age"):
            duration(wrong, "max_age")


def test_a_text_of_several_lines_is_one_sentence():
    told = "these conflict: A, B\none way to make it feasible is\n  A: widen +1\n  B: widen +2\nthis is not the least"
    assert one_line(told) == (
        "these conflict: A, B; one way to make it feasible is A: widen +1; B: widen +2; this is not the least"
    )
    assert one_line("one line") == "one line" and one_line("") == ""
