"""The doctor: every planted fault is named with file, row and remedy; ten clean nights are passed in silence."""

import json
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from desks import walk
from recorded_snapshots import coin_levels, coin_market, coin_times

from optihedge.cli.main import main
from optihedge.desk.doctor import doctor
from optihedge.market.folder import read_market
from optihedge.market.pricing import black
from optihedge.market.store.store import open_store

FIRST = pd.Timestamp("2026-03-02T21:00:00Z")
LISTED = ["instrument", "type", "underlying", "expiry", "strike", "right", "multiplier", "lot"]
QUOTED = ["instrument", "bid", "ask", "volume", "vol", "underlying_price", "funding_rate", "funding_hours"]
HAPPENED = ["event_id", "time", "kind", "instrument", "value", "money", "other"]
STOCKS = [f"S{i}" for i in range(8)]
EXPIRIES = ["2026-04-17T20:00:00Z", "2026-06-19T20:00:00Z"]
LENGTH = 131  # rows of history on the first night
STRIKES = [80, 90, 100, 110, 120]


@cache
def tables(day):
    """A desk's night as tables of text: stocks, an index with chains, a perpetual, history of a year, a book."""
    as_of = FIRST + pd.Timedelta(day, "D")
    path = walk(10, rows=142, seed=3, days="D").to_numpy()[: LENGTH + day]
    index = pd.date_range(as_of - pd.Timedelta(LENGTH - 1 + day, "D"), periods=LENGTH + day)
    history = pd.DataFrame(path, index.strftime("%Y-%m-%dT%H:%M:%SZ"), [*STOCKS, "IDX", "COIN"])
    last = history.iloc[-1]
    listed = [(s, "equity", s, "", "", "", "1", "1") for s in STOCKS]
    listed += [
        ("IDX", "index", "IDX", "", "", "", "1", "1"),
        ("COIN-PERP", "perpetual", "COIN", "", "", "", "1", "0.1"),
    ]
    quotes = [(n, last[n] * 0.9995, last[n] * 1.0005, 5e4, "", "", "", "") for n in [*STOCKS, "IDX"]]
    quotes.append(("COIN-PERP", last["COIN"] * 0.9999, last["COIN"] * 1.0001, 9e5, "", "", "0.0001", "8"))
    for end in EXPIRIES:
        years = (pd.Timestamp(end) - as_of).total_seconds() / (365 * 86_400)
        for share in STRIKES:
            strike = round(last_strike(share), 2)
            for right, sign in (("C", 1.0), ("P", -1.0)):
                price = float(black(last["IDX"], strike, years, 0.2, sign))
                name = f"IDX-{end[5:7]}-{share}-{right}"
                listed.append((name, "option", "IDX", end, f"{strike}", right, "100", "1"))
                quotes.append((name, price * 0.98, price * 1.02 + 0.01, 800, "0.2", last["IDX"], "", ""))
    instruments = pd.DataFrame(listed, columns=LISTED)
    instruments["currency"] = "USD"
    table = pd.DataFrame(quotes, columns=QUOTED)
    table["time"] = as_of.strftime("%Y-%m-%dT%H:%M:%SZ")
    book = pd.DataFrame({"instrument": ["S0", "S1", "IDX-04-100-C", "IDX-06-90-P", "COIN-PERP"],
                         "quantity": [1000, -500 - day, 10, -5, 2.5]})  # fmt: skip
    paid = f"{as_of + pd.Timedelta('2D'):%Y-%m-%dT%H:%M:%SZ}"
    events = pd.DataFrame([(f"d{day}", paid, "dividend", "S2", "0.1", "USD", "")],
                          columns=HAPPENED)  # fmt: skip
    drivers = pd.DataFrame({"driver": history.columns, "kind": "price", "currency": "USD"})
    depth = pd.DataFrame([("S0", side, last["S0"] * level, 300) for side, level in (("bid", 0.9995), ("ask", 1.0005))],
                         columns=["instrument", "side", "price", "size"])  # fmt: skip
    made = {
        "instruments": instruments, "quotes": table, "history": history.rename_axis("time").reset_index(), "book": book,
        "events": events, "drivers": drivers, "depth": depth,
    }  # fmt: skip
    settings = f'base_currency = "USD"\nas_of = "{as_of:%Y-%m-%dT%H:%M:%SZ}"\n'
    return {name: frame.astype(str).replace("nan", "") for name, frame in made.items()}, settings


def last_strike(share):
    return share / 100 * float(walk(10, rows=142, seed=3, days="D").iloc[LENGTH - 1, 8])


def written(folder, day, change=None):
    made, settings = tables(day)
    folder.mkdir(exist_ok=True)
    made = {name: table.copy() for name, table in made.items()}
    if change is not None:
        settings = change(made, settings) or settings
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "market.toml").write_text(settings)
    return folder


@pytest.mark.slow
def test_ten_clean_nights_are_passed_in_silence(tmp_path):
    nights = [written(tmp_path / str(day), day) for day in range(11)]
    for before, night in pairwise(nights):
        seen = doctor(night, before=before, now=pd.Timestamp(read_market(night).as_of) + pd.Timedelta("1h"))
        assert seen.healthy, str(seen)


def files_of(market, folder):
    """A market as a venue's importer would leave it."""
    folder.mkdir()
    for name in ("instruments", "quotes", "drivers", "history"):
        table = getattr(market, name).reset_index()
        for column in table.columns[[isinstance(d, pd.DatetimeTZDtype) for d in table.dtypes]]:
            table[column] = table[column].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "market.toml").write_text(
        f'base_currency = "USD"\nas_of = "{market.as_of.isoformat()}"\non_missing = "freeze"\n'
    )
    return folder


@pytest.mark.slow
def test_recorded_nights_of_two_coins_are_passed_in_silence(recorded, tmp_path):
    """Twelve nights, the fall of February 2026 among them."""
    source = recorded("deribit_btc_eth_2026")
    days = pd.Series(coin_times(source)).groupby(lambda i: coin_times(source)[i].date()).first()
    nights = [files_of(coin_market(source, t, coin_levels(source)), tmp_path / f"{t:%m%d}") for t in days.iloc[30:42]]
    for before, night in pairwise(nights):
        seen = doctor(night, before=before)
        assert seen.healthy, f"{night.name}: {seen}"


def cell(table, row, column, value):
    """A fault in one field: row as a spreadsheet counts."""

    def change(made, settings):
        made[table].loc[row - 2, column] = value(made[table].loc[row - 2, column]) if callable(value) else value

    return change


def times(factor):
    return lambda text: str(float(text) * factor)


def both_sides(row, factor):
    def change(made, settings):
        for side in ("bid", "ask"):
            made["quotes"].loc[row - 2, side] = str(float(made["quotes"].loc[row - 2, side]) * factor)

    return change


def again(table, row):
    def change(made, settings):
        made[table] = pd.concat([made[table], made[table].iloc[[row - 2]]], ignore_index=True)

    return change


def without(table, row):
    def change(made, settings):
        made[table] = made[table].drop(index=row - 2)

    return change


def toml(old, new):
    return lambda made, settings: settings.replace(old, new)


def unquoted(made, settings):
    made["quotes"].loc[3, ["bid", "ask"]] = ""


def stale(made, settings):
    made["history"].loc[made["history"].index[-7:], "S3"] = "101.5"


def future_row(made, settings):
    last = made["history"].iloc[[-1]].assign(time="2026-03-09T21:00:00Z")
    made["history"] = pd.concat([made["history"], last], ignore_index=True)


def halved(made, settings):
    """A split of S4 of two weeks ago that its history does not show."""
    made["history"].loc[made["history"].index[-10:], "S4"] = [
        str(float(v) / 2) for v in made["history"]["S4"].iloc[-10:]
    ]


def cut_history(made, settings):
    made["history"] = made["history"].iloc[:-9]


OPTION = 12  # first row of a chain in instruments and quotes: IDX-04-80-C


def row_of(label):
    return list(tables(1)[0]["quotes"]["instrument"]).index(label) + 2


FAULTS = [
    ("unknown type", cell("instruments", 3, "type", "stock"), "instruments.csv", 3, "write one of"),
    ("no strike", cell("instruments", OPTION, "strike", ""), "instruments.csv", OPTION, "give the strike"),
    ("no right", cell("instruments", OPTION, "right", ""), "instruments.csv", OPTION, "write C or P"),
    ("expired", cell("instruments", OPTION, "expiry", "2026-02-20T20:00:00Z"), "instruments.csv", OPTION, "expired"),
    ("no expiry", cell("instruments", OPTION, "expiry", ""), "instruments.csv", OPTION, "its instant"),
    ("expiry moved", cell("instruments", OPTION, "expiry", "2026-04-24T20:00:00Z"), "instruments.csv", OPTION, "event"),
    ("multiplier", cell("instruments", OPTION, "multiplier", "10"), "instruments.csv", OPTION, "event alone"),
    ("zero lot", cell("instruments", 4, "lot", "0"), "instruments.csv", 4, "above 0"),
    ("currency", cell("instruments", 4, "currency", "EUR"), "instruments.csv", 4, "event alone"),
    ("twice", again("instruments", 5), "instruments.csv", 32, "keep one"),
    ("number in words", cell("quotes", 3, "bid", "ninety"), "quotes.csv", 3, "finite number"),
    ("crossed", cell("quotes", 3, "bid", times(1.1)), "quotes.csv", 3, "drop the row"),
    ("negative", cell("quotes", 3, "bid", "-5"), "quotes.csv", 3, "mend it"),
    ("no quote", without("quotes", 4), "instruments.csv", 4, "bring its quote"),
    ("unquoted", unquoted, "quotes.csv", 5, "give its mark"),
    ("quote twice", again("quotes", 6), "quotes.csv", 32, "keep one"),
    ("stranger", cell("quotes", 6, "instrument", "S9"), "quotes.csv", 6, "add it to instruments"),
    ("later than as_of", cell("quotes", 6, "time", "2026-03-09T21:00:00Z"), "quotes.csv", 6, "as_of"),
    ("old quote", cell("quotes", 6, "time", "2026-02-25T21:00:00Z"), "quotes.csv", 6, "renew the quote"),
    ("vol in percent", cell("quotes", OPTION, "vol", "20"), "quotes.csv", OPTION, "decimals"),
    ("vol doubled", cell("quotes", OPTION, "vol", "0.41"), "quotes.csv", OPTION, "stale chain"),
    ("forward", cell("quotes", OPTION, "underlying_price", times(1.3)), "quotes.csv", OPTION, "forward"),
    ("pence for pounds", both_sides(7, 100.0), "quotes.csv", 7, "pence for pounds"),
    ("split not told", both_sides(7, 0.5), "quotes.csv", 7, "split or payout"),
    ("typing error", both_sides(11, 1.9), "quotes.csv", 11, "confirm the price"),
    ("wide quote", cell("quotes", 8, "ask", times(3.0)), "quotes.csv", 8, "one side is wrong"),
    ("chain arbitrage", both_sides(OPTION + 8, 60.0), "quotes.csv", OPTION + 8, "renew them"),
    ("funding in percent", cell("quotes", 11, "funding_rate", "0.5"), "quotes.csv", 11, "write a fraction"),
    ("funding gone", cell("quotes", 11, "funding_rate", ""), "quotes.csv", 11, "bring the venue's rate"),
    ("funding hours", cell("quotes", 11, "funding_hours", "1"), "quotes.csv", 11, "confirm it"),
    ("volume in money", cell("quotes", 9, "volume", times(1000)), "quotes.csv", 9, "convert it"),
    ("history unsorted", cell("history", 100, "time", "2020-01-01T21:00:00Z"), "history.csv", 100, "sort the rows"),
    ("history in words", cell("history", 90, "S1", "n/a"), "history.csv", 90, "finite number"),
    ("history gap", cell("history", 90, "S1", ""), "history.csv", 90, "fill the gap"),
    ("history restated", cell("history", 120, "S1", times(0.5)), "history.csv", 120, "restated by an event"),
    ("history stale", stale, "history.csv", 133, "renew its column"),
    ("history from tomorrow", future_row, "history.csv", 134, "nothing is known before"),
    ("history ends early", cut_history, "history.csv", 124, "bring the missing rows"),
    ("event kind", cell("events", 2, "kind", "divident"), "events.csv", 2, "write one of"),
    ("event of nobody", cell("events", 2, "instrument", "S77"), "events.csv", 2, "write the label"),
    ("event without money", cell("events", 2, "money", ""), "events.csv", 2, "name the currency"),
    ("held stranger", cell("book", 3, "instrument", "S77"), "book.csv", 3, "settlement, rename"),
    ("book in words", cell("book", 3, "quantity", "many"), "book.csv", 3, "finite number"),
    ("book twice", again("book", 2), "book.csv", 7, "add up its rows"),
    ("position jump", cell("book", 2, "quantity", "25000"), "book.csv", 2, "confirm the position"),
    ("sign turned", cell("book", 2, "quantity", "-1000"), "book.csv", 2, "confirm the position"),
    ("half a lot", cell("book", 4, "quantity", "10.5"), "book.csv", 4, "whole number|contracts"),
    ("position gone", without("book", 5), "book.csv", 0, "confirm that it was closed"),
    ("units of position", cell("book", 6, "quantity", "2.5e8"), "book.csv", 6, "confirm the position|unit"),
    ("fee in percent", cell("instruments", 2, "fee", "5"), "instruments.csv", 2, "500 % of the notional"),
    ("vol divided twice", cell("quotes", row_of("IDX-06-100-C"), "vol", "0.002"), "quotes.csv",
     row_of("IDX-06-100-C"), "a hundredth for decimals"),
    ("depth side", cell("depth", 2, "side", "buy"), "depth.csv", 2, "write one of"),
    ("depth size", cell("depth", 3, "size", "0"), "depth.csv", 3, "above 0"),
    ("setting", toml("base_currency", "base_curency"), "market.toml", 0, "rename or remove"),
    ("another currency", toml('"USD"', '"EUR"'), "market.toml", 0, "keeps its currency"),
    ("yesterday's files", toml("03-03", "03-02"), "market.toml", 0, "bring tonight's"),
]  # fmt: skip


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory):
    return written(tmp_path_factory.mktemp("desk") / "0", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "file", "row", "remedy"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_named_with_file_row_and_remedy(tmp_path, yesterday, change, file, row, remedy):
    found = doctor(written(tmp_path / "1", 1, change), before=yesterday).findings
    mine = found[(found["file"] == file) & (found["row"] == row)]
    said = (mine["problem"] + "; " + mine["remedy"]).str.contains(remedy)
    assert said.any(), f"\n{found.to_string()}"


def test_a_split_that_the_history_lacks_is_named_until_somebody_tells_it(tmp_path):
    found = doctor(written(tmp_path / "1", 1, halved)).findings
    (mine,) = found[found["subject"] == "S4"].to_dict("records")
    assert mine["row"] == LENGTH + 1 - 10 + 2 and "split 2:1" in mine["problem"]

    def told(made, settings):
        halved(made, settings)
        day = made["history"]["time"].iloc[-10]
        rows = [("split", day, "split", "S4", "2", "", "")]
        made["events"] = pd.concat([made["events"], pd.DataFrame(rows, columns=HAPPENED)], ignore_index=True)

    assert doctor(written(tmp_path / "2", 1, told)).healthy


def test_a_coin_or_an_index_that_halves_never_splits(tmp_path):
    def crash(made, settings):
        for name in ("COIN", "IDX"):
            made["history"].loc[made["history"].index[-10:], name] = [
                str(float(v) / 2) for v in made["history"][name].iloc[-10:]
            ]

    assert not doctor(written(tmp_path / "1", 1, crash)).findings["problem"].str.contains("split|payout").any()


def test_many_faults_at_once_are_all_named(tmp_path, yesterday):
    chosen = [f for f in FAULTS if f[0] in {
        "number in words", "old quote", "pence for pounds", "funding hours", "history gap", "event kind",
        "position jump",
        "half a lot", "depth side", "vol doubled", "volume in money", "history restated", "zero lot",
    }]  # fmt: skip

    def all_of_them(made, settings):
        for _, change, *_ in chosen:
            change(made, settings)

    found = doctor(written(tmp_path / "1", 1, all_of_them), before=yesterday).findings
    for name, _, file, row, remedy in chosen:
        mine = found[(found["file"] == file) & (found["row"] == row)]
        assert (mine["problem"] + "; " + mine["remedy"]).str.contains(remedy).any(), name


def test_files_that_are_missing_or_torn_are_named(tmp_path, yesterday):
    night = written(tmp_path / "1", 1)
    (night / "quotes.csv").unlink()
    (night / "history.csv").write_bytes(b"time,S0\n\xff\xfe,1\n")
    found = doctor(night, before=yesterday).findings
    assert {"quotes.csv", "history.csv"} <= set(found["file"])
    assert doctor(tmp_path / "none").findings["remedy"].tolist() == ["give the folder of the night"]


def test_the_store_gives_the_night_before_and_is_verified(tmp_path, yesterday):
    store = open_store(tmp_path / "store", create=True)
    store.record(read_market(yesterday))
    night = written(tmp_path / "1", 1, both_sides(7, 100.0))
    found = doctor(night, store=store.path).findings
    assert found["remedy"].str.contains("pence for pounds").any()
    next(store.path.glob("objects/*/*.parquet")).write_bytes(b"torn")
    assert doctor(night, store=store.path).findings["file"].str.startswith("objects/").any()


@pytest.mark.parametrize("made", [False, True])
def test_a_store_in_which_nothing_is_recorded_yet_stops_no_first_night(tmp_path, made):
    night, store = written(tmp_path / "1", 1), tmp_path / "store"
    if made:
        store.mkdir()
    assert doctor(night, store=store).findings.equals(doctor(night).findings) and store.is_dir() == made
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("no store")
    assert doctor(night, store=tmp_path / "other").findings["problem"].str.contains("is no store").any()


def test_what_is_due_is_told_beside_the_faults(tmp_path):
    def soon(made, settings):
        made["events"].loc[0, "time"] = "2026-03-03T15:00:00Z"

    seen = doctor(written(tmp_path / "0", 0, soon))
    assert seen.healthy and seen.due[["instrument", "what"]].to_numpy().tolist() == [["S2", "dividend"]]
    assert json.loads(seen.to_json())["healthy"] is True and "due 2026-03-03 15:00 UTC: S2 dividend" in str(seen)


def test_an_old_night_and_a_broken_model_are_found(tmp_path, yesterday):
    model = tmp_path / "mine.toml"
    model.write_text('name = "mine"\nobjectives = []\n')
    seen = doctor(yesterday, now=FIRST + pd.Timedelta("3D"), models=[str(model)]).findings
    assert "bring tonight's files, or say --past where it is meant" in seen["remedy"].tolist()
    assert "mine.toml" in seen["file"].tolist()


def test_the_verb_says_it_on_one_screen_by_exit_code_and_as_json(tmp_path, yesterday, capsys):
    night = written(tmp_path / "1", 1)
    assert main(["doctor", "--data", str(night), "--before", str(yesterday), "--past"]) == 0
    assert "nothing found" in capsys.readouterr().out
    sick = written(tmp_path / "2", 1, both_sides(7, 100.0))
    assert main(["doctor", "--data", str(sick), "--before", str(yesterday), "--past", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["file"], finding["row"], finding["subject"]) == ("quotes.csv", 7, "S5")
    assert main(["doctor", "--data", str(sick), "--before", str(yesterday), "--past"]) == 1
    assert "pence" in capsys.readouterr().out


def test_the_doctor_changes_nothing(tmp_path, yesterday):
    before = {p.name: p.read_bytes() for p in yesterday.iterdir()}
    doctor(yesterday)
    assert {p.name: p.read_bytes() for p in yesterday.iterdir()} == before


def test_numbers_of_faults_are_not_few():
    assert len(FAULTS) >= 40 and np.unique([f[0] for f in FAULTS]).size == len(FAULTS)
