"""Faults of a file as a whole: copied, torn, of another unit, zone, moment or encoding; each is named once."""

import pandas as pd
import pytest
from test_doctor import EXPIRIES, HAPPENED, STOCKS, row_of, tables, written

from optihedge.desk.doctor import doctor


def column(table, name, change):
    def changed(made, settings):
        made[table][name] = [change(text) if text else text for text in made[table][name]]

    return changed


def scaled(factor):
    return lambda text: str(float(text) * factor)


def copied(made, settings):
    """Last night's quotes, dated tonight."""
    made["quotes"] = tables(0)[0]["quotes"].assign(time=made["quotes"]["time"])


def stale(made, settings):
    made["quotes"] = tables(0)[0]["quotes"].copy()


def torn(made, settings):
    made["quotes"] = made["quotes"].iloc[:14]


def one_sided(made, settings):
    made["quotes"]["ask"] = made["quotes"]["bid"]


def turned(made, settings):
    bid, ask = made["quotes"]["bid"].copy(), made["quotes"]["ask"].copy()
    made["quotes"]["bid"], made["quotes"]["ask"] = ask, bid


def halved(made, settings):
    for side in ("bid", "ask"):
        made["quotes"].loc[: len(STOCKS) - 1, side] = made["quotes"][side].head(len(STOCKS)).map(scaled(0.5))


def shifted(hours):
    return lambda text: f"{pd.Timestamp(text) + pd.Timedelta(hours, 'h'):%Y-%m-%dT%H:%M:%SZ}"


def split(made, settings):
    rows = pd.DataFrame([("x", "2026-03-03T20:00:00Z", "split", "S3", "2", "", "")], columns=HAPPENED)
    made["events"] = pd.concat([made["events"], rows], ignore_index=True)


def cheap_index(made, settings):
    at = row_of("IDX") - 2
    for side in ("bid", "ask"):
        made["quotes"].loc[at, side] = scaled(0.9)(made["quotes"].loc[at, side])


def without_rows(table):
    def changed(made, settings):
        made[table] = made[table].iloc[:0]

    return changed


def expiries_turned(made, settings):
    near, far = EXPIRIES
    made["instruments"]["expiry"] = made["instruments"]["expiry"].replace({near: far, far: near})


FAULTS = [
    ("quotes copied", copied, "quotes.csv", 0, "last night's file was copied"),
    ("quotes of last night", stale, "quotes.csv", 0, "last night's file was copied"),
    ("quotes torn", torn, "instruments.csv", 16, "bring its quote"),
    ("quotes without a row", without_rows("quotes"), "quotes.csv", 0, "bring the night's file"),
    ("one side copied", one_sided, "quotes.csv", 0, "bring both sides"),
    ("sides turned", turned, "quotes.csv", 2, "set max_crossed"),
    ("all prices halved", halved, "quotes.csv", 4, "a split or payout"),
    ("decimal commas", column("quotes", "bid", lambda text: text.replace(".", ",")), "quotes.csv", 2, "decimal point"),
    ("all vols in percent", column("quotes", "vol", scaled(100)), "quotes.csv", row_of("IDX-04-80-C"), "decimals"),
    ("volumes in lots", column("quotes", "volume", scaled(0.01)), "quotes.csv", 0, "another unit"),
    ("quotes of tomorrow", column("quotes", "time", shifted(5)), "quotes.csv", 2, "set as_of"),
    ("index of another moment", cheap_index, "quotes.csv", row_of("IDX"), "stale or in error"),
    ("split without a price", split, "quotes.csv", row_of("S3"), "renew the quote, or mend the event"),
    ("history of another zone", column("history", "time", shifted(-5)), "history.csv", 2, "another zone"),
    ("history without a row", without_rows("history"), "history.csv", 0, "bring the levels back"),
    ("whole dividend", column("events", "value", lambda _: "60"), "events.csv", 2, "per share"),
    ("book of another moment", column("depth", "price", scaled(0.8)), "depth.csv", 2, "of another moment"),
    ("strikes in another unit", column("instruments", "strike", scaled(1000)), "instruments.csv",
     row_of("IDX-04-80-C"), "event alone"),
    ("expiries turned", expiries_turned, "instruments.csv", row_of("IDX-04-80-C"), "event alone"),
    ("positions in parts", column("book", "quantity", scaled(0.97)), "book.csv", 3, "whole number"),
    ("positions turned", column("book", "quantity", scaled(-1)), "book.csv", 2, "confirm the position"),
    ("another contract size", column("instruments", "multiplier", scaled(10)), "instruments.csv", 2, "event alone"),
]  # fmt: skip


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory):
    return written(tmp_path_factory.mktemp("desk") / "0", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("change", "file", "row", "remedy"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_of_a_whole_file_is_named_with_its_remedy(tmp_path, yesterday, change, file, row, remedy):
    found = doctor(written(tmp_path / "1", 1, change), before=yesterday).findings
    mine = found[(found["file"] == file) & (found["row"] == row)]
    assert (mine["problem"] + "; " + mine["remedy"]).str.contains(remedy).any(), f"\n{found.to_string()}"
    assert set(found["file"]) <= {file, "depth.csv" if change is halved else file}  # and nothing that follows from it


def test_three_faults_of_whole_files_are_told_at_once(tmp_path, yesterday):
    def all_of_them(made, settings):
        for change in (copied, column("history", "time", shifted(-5)), column("depth", "price", scaled(0.8))):
            change(made, settings)

    found = doctor(written(tmp_path / "1", 1, all_of_them), before=yesterday).findings
    assert found["file"].tolist() == ["depth.csv", "history.csv", "quotes.csv"], f"\n{found.to_string()}"


BYTES = [
    ("quotes.csv", lambda text: text.encode("utf-16"), "UTF-8"), ("quotes.csv", lambda text: b"", "header row"),
    ("quotes.csv", lambda text: b"<html>503</html>", "add it"), ("book.csv", lambda text: b"", "header row"),
    ("quotes.csv", lambda text: text.replace(",", ";").encode(), "comma-separated"),
    ("book.csv", lambda text: text.replace("S0", "S\xe9").encode("latin-1"), "UTF-8"),
    ("book.csv", lambda text: f"<<<<<<< HEAD\n{text}".encode(), ""),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "change", "remedy"), BYTES)
def test_a_file_that_cannot_be_read_is_one_finding_and_not_one_for_each_of_its_rows(
    tmp_path, yesterday, name, change, remedy
):
    night = written(tmp_path / "1", 1)
    (night / name).write_bytes(change((night / name).read_text()))
    (finding,) = doctor(night, before=yesterday).findings.to_dict("records")
    assert finding["file"] == name and remedy in finding["remedy"]


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path, yesterday):
    night = written(tmp_path / "1", 1)
    (night / "quotes.csv").write_bytes(b"\xef\xbb\xbf" + (night / "quotes.csv").read_bytes())
    assert doctor(night, before=yesterday).healthy


def test_a_currency_that_is_left_out_is_that_of_the_base_and_no_longer_the_contracts_own(tmp_path):
    def in_pounds(money):
        def changed(made, settings):
            made["instruments"].loc[1, "currency"] = money
            listed = {
                "instrument": "GBPUSD",
                "type": "index",
                "underlying": "GBP",
                "currency": "USD",
                "multiplier": "1",
            }
            quoted = made["quotes"].iloc[[0]].assign(instrument="GBPUSD", bid="1.25", ask="1.25", volume="")
            made["instruments"] = pd.concat([made["instruments"], pd.DataFrame([listed])], ignore_index=True).fillna("")
            made["quotes"] = pd.concat([made["quotes"], quoted], ignore_index=True)
            made["drivers"] = made["drivers"].drop(columns="currency")
            made["drivers"] = pd.concat([made["drivers"], pd.DataFrame([{"driver": "GBPUSD", "kind": "fx"}])])

        return changed

    before = written(tmp_path / "0", 0, in_pounds("GBP"))
    found = doctor(written(tmp_path / "1", 1, in_pounds("")), before=before).findings
    assert "currency is USD, the night before GBP" in " ".join(found["problem"]), f"\n{found.to_string()}"


def test_a_market_that_falls_as_one_is_no_fault_of_its_quotes(tmp_path, yesterday):
    def fallen(made, settings):
        for side in ("bid", "ask"):
            rows = made["quotes"].index[:10]
            made["quotes"].loc[rows, side] = made["quotes"].loc[rows, side].map(scaled(0.85))
        made["depth"]["price"] = made["depth"]["price"].map(scaled(0.85))
        made["quotes"]["underlying_price"] = [scaled(0.85)(t) if t else t for t in made["quotes"]["underlying_price"]]

    found = doctor(written(tmp_path / "1", 1, fallen), before=yesterday).findings
    assert not found["problem"].str.contains("its price").any(), f"\n{found.to_string()}"
