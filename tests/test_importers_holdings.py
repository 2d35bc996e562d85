"""What a book holds, out of statements: nothing that a statement holds is lost, doubled or turned without a word."""

import json

import pandas as pd
import pytest

from optihedge.market.importers.fields import Fields
from optihedge.market.importers.holdings import LATER, books_at
from optihedge.market.importers.sources import import_files

AT = pd.Timestamp("2026-01-20T12:00:00Z")


def rows(*told: tuple[str, float, str, int]) -> pd.DataFrame:
    """Instrument, quantity, seconds after AT, statement."""
    frame = pd.DataFrame(told, columns=["instrument", "quantity", "time", "statement"])
    return frame.assign(time=AT + pd.to_timedelta(frame["time"].astype(float), unit="s"), book="b", scope="positions")


def held(*told, notes: list[str] | None = None) -> dict[str, float]:
    found, problems = books_at(rows(*told), AT, AT + LATER, [] if notes is None else notes)
    assert not problems
    return dict(zip(found["instrument"], found["quantity"], strict=True))


def test_positions_that_changed_at_different_times_are_all_held() -> None:
    assert held(("BTC", 2, -7200, 0), ("ETH", -30, -60, 0), ("SOL", 500, -86400, 0)) == {
        "BTC": 2,
        "ETH": -30,
        "SOL": 500,
    }


def test_answers_of_one_fetch_are_one_statement_and_an_earlier_one_is_replaced() -> None:
    now = [("C", -5, -1.0, 1), ("P", 3, -0.95, 2)]
    assert held(("OLD", 7, -90000, 0), *now) == {"C": -5, "P": 3}


def test_of_two_answers_on_one_contract_the_later_counts_once() -> None:
    assert held(("C", -5, -2.0, 0), ("C", -4, -1.0, 1)) == {"C": -4}
    assert held(("C", -5, -2.0, 0), ("C", -5, -2.0, 1)) == {"C": -5}


def test_lots_of_one_contract_add_up_and_a_note_says_so() -> None:
    notes: list[str] = []
    assert held(("AMC", 20, 0, 0), ("AMC", 11, 0, 0), ("GME", 1, 0, 0), notes=notes) == {"AMC": 31, "GME": 1}
    assert any("AMC first" in note for note in notes)


def test_of_a_log_of_statements_the_last_counts() -> None:
    log = [("A", 1, -7200, 0), ("B", 2, -7200, 0), ("A", 5, -3600, 0)]
    assert held(*log) == {"A": 5}


def test_positions_told_just_after_the_last_price_count_and_a_note_says_so() -> None:
    notes: list[str] = []
    assert held(("BTC", 2, 30, 0), notes=notes) == {"BTC": 2}
    assert any("30" in note and "after the last price" in note for note in notes)


@pytest.mark.parametrize("seconds", [3601, 86400, 4e7])
def test_positions_told_long_after_the_last_price_are_a_problem_by_name(seconds) -> None:
    found, problems = books_at(rows(("BTC", 2, seconds, 0)), AT, AT + LATER, [])
    assert found.empty and len(problems) == 1 and problems[0].startswith("BTC is held by a statement of")


def test_a_position_whose_size_cannot_be_read_is_a_problem_by_name() -> None:
    found, problems = books_at(rows(("BTC", float("nan"), 0, 0), ("ETH", 1, 0, 0)), AT, AT + LATER, [])
    assert list(found["instrument"]) == ["ETH"] and len(problems) == 1 and problems[0].startswith("BTC is held")


@pytest.mark.parametrize(
    ("side", "size", "signed"),
    [("buy", 5, 5), ("LONG", 5, 5), ("Sell", 5, -5), ("short", -5, -5), ("net", -3, -3), ("", 0, 0)],
)
def test_a_side_says_the_sign_whatever_its_case(side, size, signed) -> None:
    said: list[str] = []
    fields = Fields(pd.DataFrame({"x": [0]}), lambda *told, **_: said.append(str(told)), "position")
    assert fields.signed(pd.Series([float(size)]), pd.Series([side]), own=("net",))[0] == signed and not said


@pytest.mark.parametrize(("side", "size"), [("sold", 5), ("", 5), ("buy", -5)])
def test_a_side_that_says_nothing_or_another_sign_is_named_and_never_guessed(side, size) -> None:
    said: list[str] = []
    fields = Fields(pd.DataFrame({"x": [0]}), lambda *told, **_: said.append(str(told)), "position")
    assert fields.signed(pd.Series([float(size)]), pd.Series([side])).isna().all()
    assert len(said) == 1 and "says no direction" in said[0]


@pytest.mark.parametrize("tag", ["31", "32"])
def test_one_bad_message_of_a_session_is_named_and_the_others_are_read(tag, tmp_path) -> None:
    good = "8=FIX.4.4|35=8|150=F|17=e1|11=o1|55=ES|54=1|32=2|31=5000|60=20260120-12:00:00|"
    bad = good.replace("17=e1", "17=e2").replace(f"|{tag}=", f"|{tag}=abc")
    (tmp_path / "session.log").write_text(good + "\n" + bad + "\n")
    found = import_files("fix", [tmp_path / "session.log"])
    assert list(found.fills["fill_id"]) == ["e1"]
    assert found.rejected["place"].str.contains("line 2").any()


OWN_FILLS = {
    "binance": {"symbol": "BTCUSDT", "id": 1, "orderId": 2, "side": "", "price": "100", "qty": "2",
                "time": 1625097600000, "commission": "0", "commissionAsset": "USDT"},
    "bybit": {"symbol": "BTCUSDT", "execId": "1", "orderId": "2", "side": "", "execPrice": "100", "execQty": "2",
              "execFee": "0", "feeCurrency": "USDT", "execType": "Trade", "execTime": "1625097600000"},
    "ccxt": {"id": "1", "order": "2", "symbol": "ETH/USDT:USDT", "side": "", "amount": 2.0, "price": 100.0,
             "timestamp": 1625097600000, "fee": {"cost": 0.0, "currency": "USDT"}},
    "coinbase": {"trade_id": 1, "product_id": "BTC-USD", "order_id": "2", "price": "100", "size": "2", "side": "",
                 "fee": "0", "settled": True, "created_at": "2021-07-01T00:00:00Z"},
    "deribit": {"trade_id": "1", "order_id": "2", "instrument_name": "BTC-PERPETUAL", "amount": 2.0, "direction": "",
                "price": 100.0, "fee": 0.0, "fee_currency": "BTC", "timestamp": 1625097600000},
    "dydx": {"fills": [{"id": "1", "orderId": "2", "market": "BTC-USD", "side": "", "size": "2", "price": "100",
                        "fee": "0", "createdAt": "2021-07-01T00:00:00Z"}]},
    "hyperliquid": {"tid": 1, "oid": 2, "coin": "BTC", "px": "100", "sz": "2", "side": "", "fee": "0",
                    "feeToken": "USDC", "time": 1625097600000},
    "okx": {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "tradeId": "1", "ordId": "2", "billId": "3", "ts":
            "1625097600000", "fillPx": "100", "fillSz": "2", "side": "", "fee": "0", "feeCcy": "USDT"},
}  # fmt: skip


@pytest.mark.parametrize("venue", OWN_FILLS)
def test_an_own_trade_whose_side_says_nothing_is_named_and_never_a_sale(venue, tmp_path) -> None:
    told = json.dumps(OWN_FILLS[venue])
    name, buy = ("direction", "buy") if venue == "deribit" else ("side", "B" if venue == "hyperliquid" else "buy")
    (tmp_path / "f.json").write_text(told.replace(f'"{name}": ""', f'"{name}": "{buy}"'))
    assert (import_files(venue, [tmp_path]).fills["quantity"] > 0).tolist() == [True]
    for side in ("", "other"):
        (tmp_path / "f.json").write_text(told.replace(f'"{name}": ""', f'"{name}": "{side}"'))
        found = import_files(venue, [tmp_path])
        assert found.fills.empty and any("cannot be read" in text for text in found.moves), (found.fills, found.moves)
