"""Brokers' files: statements, exports and sessions to books, fills and events; chains and tables by a map."""

import gzip
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from optihedge.errors import DataError, SpecError
from optihedge.market.events import check_events
from optihedge.market.importers.instant import market_frames
from optihedge.market.importers.listed import option_label, option_parts
from optihedge.market.importers.mapped import read_map
from optihedge.market.importers.raw import parse_xml, read_file
from optihedge.market.importers.sources import import_files
from optihedge.market.importers.tables import written_numbers
from optihedge.market.snapshot import Market

FLEX = """<FlexQueryResponse><FlexStatements count="1"><FlexStatement accountId="U1" toDate="20240105">
<AccountInformation accountId="U1" currency="EUR"/>
<OpenPositions><OpenPosition currency="USD" assetCategory="STK" symbol="AAPL" conid="1" multiplier="1" position="-50"
 markPrice="181.5" reportDate="20240105" levelOfDetail="SUMMARY"/><OpenPosition currency="USD" assetCategory="STK"
 symbol="AAPL" conid="1" multiplier="1" position="-50" markPrice="181.5" reportDate="20240105" levelOfDetail="LOT"/>
<OpenPosition currency="USD" assetCategory="OPT" symbol="AAPL  240621P00180000" underlyingSymbol="AAPL" multiplier="100"
 strike="180" expiry="20240621" putCall="P" position="3" markPrice="9.1" reportDate="20240105"/></OpenPositions>
<CashReport><CashReportCurrency currency="BASE_SUMMARY" endingCash="999" toDate="20240105"/>
<CashReportCurrency currency="USD" endingCash="-1200.5" toDate="20240105"/></CashReport>
<ConversionRates><ConversionRate reportDate="20240105" fromCurrency="USD" toCurrency="EUR" rate="0.914"/>
<ConversionRate reportDate="20240105" fromCurrency="MXN" toCurrency="EUR" rate="0.05"/></ConversionRates>
<NewSection><Thing a="1"/></NewSection></FlexStatement></FlexStatements></FlexQueryResponse>"""


def test_every_flex_trade_is_a_fill_at_its_own_words(recorded):
    folder = recorded("broker_files") / "ibkr_flex"
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
        said = [t for t in ElementTree.fromstring(text).iter("Trade")
                if t.get("levelOfDetail", "EXECUTION") in ("", "EXECUTION")]  # fmt: skip
        fills = import_files("ibkr", [path]).fills
        assert len(fills) == len(said), path.name
        for column, field, sign in (("quantity", "quantity", 1), ("price", "tradePrice", 1)):
            assert sorted(fills[column]) == sorted(sign * float(t.get(field)) for t in said), path.name
        paid = [-float(t.get("ibCommission", 0)) - float(t.get("taxes", 0)) for t in said]
        assert sorted(fills["fee"]) == pytest.approx(sorted(paid)), path.name


def test_every_event_of_the_statements_is_one_that_events_accept(recorded):
    events = import_files("ibkr", [recorded("broker_files") / "ibkr_flex"]).events
    checked = check_events(events.astype({"other": str}))
    kinds = checked.set_index("instrument")
    assert kinds.loc["GCM.CAD", ["kind", "value"]].tolist() == ["split", 1 / 25]
    assert ["merger", 1.1047, "USD"] in kinds.loc["JMLP", ["kind", "value", "money"]].to_numpy().tolist()
    assert (checked["kind"] == "dividend").sum() >= 10


def test_a_statement_becomes_a_book_with_its_cash_and_its_rate(tmp_path):
    (tmp_path / "flex.xml").write_text(FLEX)
    found = import_files("ibkr", [tmp_path])
    frames = market_frames(found)
    held = frames.books.set_index("instrument")["quantity"].to_dict()
    assert held == {"AAPL": -50.0, "AAPL240621P00180000": 3.0, "USD": -1200.5}
    assert frames.base_currency == "EUR" and set(frames.books["book"]) == {"U1"}
    assert set(frames.instruments["instrument"]) == {"AAPL", "AAPL240621P00180000", "USD", "USD.EUR"}
    option = frames.instruments.set_index("instrument").loc["AAPL240621P00180000"]
    assert option["expiry"] == pd.Timestamp("2024-06-21T20:00Z") and option["exercise"] == "american"
    assert "section Thing" in found.rejected["what"].tolist()
    market = Market(frames.instruments, frames.quotes, "EUR", drivers=frames.drivers, as_of=frames.as_of,
                    on_missing="freeze")  # fmt: skip
    assert market.value["AAPL"] == pytest.approx(181.5 * 0.914)


def test_xml_that_declares_entities_is_refused():
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
    with pytest.raises(DataError, match="entities"):
        parse_xml(bomb, "flex.xml")


def test_a_torn_gzip_and_a_broken_json_are_named(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'{"a": 1}')[:-6])
    (tmp_path / "b.json").write_text('{"a": 1')
    found = import_files("deribit", [tmp_path / "a.json.gz", tmp_path / "b.json"])
    assert found.rejected["file"].tolist() == ["a.json.gz", "b.json"]
    with pytest.raises(DataError, match="torn"):
        read_file(tmp_path / "a.json.gz")


def test_an_export_sells_with_a_minus_and_dividends_pay_per_share(recorded):
    exports = recorded("broker_files") / "csv_exports"
    fills = import_files("ibkr", [exports / "ibkr-trades-export.csv"]).fills
    said = pd.read_csv(exports / "ibkr-trades-export.csv")
    signed = said["Quantity"].abs().where(said["Buy/Sell"] == "BUY", -said["Quantity"].abs())
    assert fills["quantity"].tolist() == signed.tolist() and fills["fill_id"].is_unique
    events = import_files("ibkr", [exports / "ibkr-dividends-export.csv"]).events
    assert events.set_index("instrument").loc["US9220427424", "value"].tolist()[0] == 0.6504


def test_api_answers_give_cash_by_currency_and_not_its_sums(recorded):
    books = import_files("ibkr", [recorded("broker_files") / "ib_tws" / "account_values.json"]).books
    assert books.set_index("instrument")["quantity"].to_dict() == {"AUD": -100000.79, "EUR": 429.72, "USD": 100000.27}


def test_a_fix_session_gives_its_execution_and_its_books(recorded):
    found = import_files("fix", [recorded("broker_files") / "fix"])
    (fill,) = found.fills.to_dict("records")
    assert (fill["quantity"], fill["price"], fill["order_id"]) == (734316.83, 1.36181, "524830")
    assert fill["time"] == pd.Timestamp("2011-11-07T10:52:57.648Z")
    quotes = market_frames(found).quotes.set_index("instrument")
    assert quotes.loc["EUR.USD", ["bid", "ask"]].tolist() == [1.37277, 1.37291]


def test_a_fix_sale_is_negative_and_a_cancelled_trade_is_a_bust(tmp_path):
    trade = "8=FIX.4.4|35=8|150=F|54=2|55=MSFT|32=10|31=400.5|17=e1|37=o1|15=USD|12=0.5|13=3|60=20240105-15:00:00|10=1|"
    bust = "8=FIX.4.4|35=8|150=H|54=2|55=MSFT|32=10|31=400.5|17=e2|19=e1|60=20240105-15:05:00|10=1|"
    (tmp_path / "s.log").write_text(f"{trade}\n{bust}\nnoise\n")
    found = import_files("fix", [tmp_path])
    (fill,) = found.fills.to_dict("records")
    assert (fill["quantity"], fill["fee"], fill["money"]) == (-10.0, 0.5, "USD")
    (event,) = found.events.to_dict("records")
    assert (event["kind"], event["other"], event["value"]) == ("bust", "e1", 10.0)
    assert found.rejected["what"].tolist() == ["line"]


# ---- chains --------------------------------------------------------------------------------------------------------


def test_an_exported_chain_is_the_recorded_one(recorded):
    folder = recorded("us_stock_options_nvda_2025")
    chain = pd.read_parquet(folder / "options.parquet")
    for name in ("testdata02", "testdata04"):
        found = import_files("chains", [folder / "raw_fidelity_atp" / f"{name}.csv.gz"])
        said = chain[chain["time"] == found.quotes["time"].iloc[0]]
        parts = option_parts(said["symbol"].astype(str))
        labels = option_label(parts["root"], parts["day"], parts["right"], parts["strike"])
        top = found.quotes[found.quotes["part"] == "top"].set_index("instrument")
        assert len(top) == len(said) and (top["time"] == said["time"].iloc[0]).all()
        for side in ("bid", "ask"):
            assert np.array_equal(top.loc[labels, side], said[side])
        told = found.greeks.set_index("instrument").loc[labels, "venue_delta"]
        assert np.abs(told.to_numpy() - said["delta"].to_numpy()).max() < 0.0051  # the export rounds to cents of delta


def test_a_cboe_chain_is_read_with_its_underlying_and_its_instant(tmp_path):
    side = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
    call, put = "80,1,79.5,80.6,12,0.135,0.54,0.0021,100", "62,1,61.2,62.1,9,0.134,-0.46,0.0021,200"
    lines = [
        "SPX (S&P 500 INDEX),Last: 5909.03,Change: 10.1",
        '"Date: January 3, 2025 at 04:15 PM EST","Bid: 5905.1","Ask: 5911.2"',
        f"Expiration Date,Calls,{side},Strike,Puts,{side}",
        f"Fri Jan 17 2025,SPXW250117C05900000,{call},5900,SPXW250117P05900000,{put}",
        f"Fri Jan 17 2025,SPX250117C05900000,{call},5900,SPX250117P05900000,{put}",
    ]
    (tmp_path / "c.csv").write_text("\n".join(lines))
    frames = market_frames(import_files("chains", [tmp_path]))
    facts = frames.instruments.set_index("instrument")
    assert frames.as_of == pd.Timestamp("2025-01-03T21:15Z")
    assert facts.loc["SPXW250117C05900000", "expiry"] == pd.Timestamp("2025-01-17T21:00Z")
    assert facts.loc["SPX250117P05900000", "expiry"] == pd.Timestamp("2025-01-17T14:30Z")  # settled at the open
    assert facts.loc["SPX", "type"] == "index" and facts.loc["SPXW250117P05900000", "underlying"] == "SPX"
    quotes = frames.quotes.set_index("instrument")
    assert quotes.loc["SPXW250117P05900000", ["bid", "ask", "vol", "volume"]].tolist() == [61.2, 62.1, 0.134, 9.0]
    assert quotes.loc["SPX", "mark"] == 5909.03


# ---- tables by a map -----------------------------------------------------------------------------------------------

AVANZA = """
base_currency = "SEK"
zone = "Europe/Stockholm"
decimal = ","
[[table]]
kind = "fills"
where = { "Typ av transaktion" = ["Köp", "Sälj"] }
[table.columns]
instrument = "ISIN"
quantity = "Antal"
price = "Kurs"
fee = "Courtage (SEK)"
money = { value = "SEK" }
time = "Datum"
"""


def mapped(tmp_path, text: str, files):
    path = tmp_path / "map.toml"
    path.write_text(text)
    return import_files("csv", files, settings=read_map(path), venue="mybroker")


def test_a_swedish_export_is_read_by_its_map(recorded, tmp_path):
    path = recorded("broker_files") / "csv_exports" / "avanza-export.csv"
    found = mapped(tmp_path, AVANZA, [path])
    said = pd.read_csv(path, sep=";", decimal=",")
    said = said[said["Typ av transaktion"].isin(["Köp", "Sälj"])]
    assert len(said) and found.fills["quantity"].tolist() == said["Antal"].tolist()
    assert found.fills["price"].tolist() == said["Kurs"].tolist() and found.fills["fill_id"].is_unique
    assert found.rejected["count"].sum() > 0  # deposits and withdrawals are named


def test_units_signs_and_words_of_a_map_are_applied(tmp_path):
    (tmp_path / "p.csv").write_text(
        'Name,Side,Size,IV %,Type,Px\nX,Short,1.5k,22.5,Put,"1,234.50"\nY,Long,2,30,Call,(7)\n'
    )
    text = """
        zone = "UTC"
        [[table]]
        kind = "quotes"
        [table.columns]
        instrument = "Name"
        vol = { column = "IV %", factor = 0.01 }
        right = { column = "Type", words = { Put = "P", Call = "C" } }
        mark = "Px"
        time = { value = "2026-01-05 12:00" }
        [[table]]
        kind = "positions"
        [table.columns]
        instrument = "Name"
        quantity = { column = "Size", minus = { Side = ["Short"] } }
    """
    found = mapped(tmp_path, text, [tmp_path / "p.csv"])
    frames = found.quotes.groupby("part")
    assert frames.get_group("vol")["vol"].tolist() == [0.225, 0.3]
    assert frames.get_group("mark")["mark"].tolist() == [1234.5, -7.0]
    assert found.instruments["right"].tolist() == ["P", "C"]
    assert found.books["quantity"].tolist()[1] == 2.0 and np.isnan(found.books["quantity"].tolist()[0])
    assert found.rejected["what"].tolist() == ["quantity: '1.5k'"]  # no number is guessed


def test_a_misspelt_map_is_refused_with_the_word_meant(tmp_path):
    (tmp_path / "m.toml").write_text('[[table]]\nkind = "fills"\n[table.columns]\ninstrument = "A"\nquantty = "B"\n')
    with pytest.raises(SpecError, match="did you mean quantity"):
        read_map(tmp_path / "m.toml")


def test_a_time_without_a_zone_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("Name,When\nX,2026-01-05 12:00\n")
    text = '[[table]]\nkind = "quotes"\n[table.columns]\ninstrument = "Name"\ntime = "When"\nmark = { value = 1 }\n'
    with pytest.raises(SpecError, match="no time zone"):
        mapped(tmp_path, text, [tmp_path / "p.csv"])


def test_numbers_are_read_as_people_write_them_and_never_guessed():
    words = pd.Series(["$1,234.50", "(12)", "-$30.93", "5 %", "1.5k", "12,34,5", "", "--", "1e3", "USD 7"])
    numbers = written_numbers(words)
    assert numbers.dropna().tolist() == [1234.5, -12.0, -30.93, 0.05, 1000.0, 7.0]
    assert written_numbers(pd.Series(["1.234,50", "0,5"]), ",").tolist() == [1234.5, 0.5]


# ---- vendors -------------------------------------------------------------------------------------------------------


def test_tardis_vols_are_percent_in_files_and_its_times_microseconds(recorded):
    found = import_files("tardis", [recorded("vendor_samples") / "tardis" / "options_chain.csv"])
    said = pd.read_csv(recorded("vendor_samples") / "tardis" / "options_chain.csv")
    vol = found.quotes[found.quotes["part"] == "vol"]
    assert vol["vol"].tolist() == pytest.approx((said["mark_iv"].dropna() / 100).tolist())
    assert vol["time"].iloc[0] == pd.Timestamp("2020-06-07T23:59:59.413Z")
    facts = found.instruments.set_index("instrument")
    option = said[said["symbol"] == "BTC-9JUN20-9875-P"].iloc[0]
    assert facts.loc["BTC-9JUN20-9875-P", "strike"] == option["strike_price"]
    assert facts.loc["BTC-9JUN20-9875-P", "expiry"] == pd.Timestamp(option["expiration"], unit="us", tz="UTC")


def test_a_point_of_the_e_mini_is_fifty_dollars(recorded):
    pytest.importorskip("databento_dbn")
    catalog = recorded("vendor_samples") / "databento" / "options_catalog"
    frames = market_frames(import_files("databento", [catalog]))
    facts, quotes = frames.instruments.set_index("instrument"), frames.quotes.set_index("instrument")
    assert facts.loc[["ESM4", "ESM4 P5230"], "multiplier"].tolist() == [50.0, 50.0]
    assert facts.loc["ESM4 P5230", ["strike", "right", "exercise", "underlying"]].tolist() == [
        5230.0,
        "P",
        "american",
        "ESM4",
    ]
    assert facts.loc["ESM4", "expiry"] == pd.Timestamp("2024-06-21T13:30Z")
    assert 0 < quotes.loc["ESM4", "ask"] - quotes.loc["ESM4", "bid"] <= 1.0


def test_reference_data_gives_splits_and_dividends(recorded):
    events = import_files("databento", [recorded("vendor_samples") / "databento" / "reference"]).events
    checked = check_events(events.astype({"other": str})).set_index("instrument")
    assert checked.loc["MSFT", ["kind", "value", "money"]].tolist() == ["dividend", 0.1, "USD"]
    assert checked.loc["BRQS", "kind"] == "split" and checked.loc["BRQS", "value"] == pytest.approx(1 / 12)
