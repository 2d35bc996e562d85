"""Figures in another unit, terms told twice, unknown words and wrong clocks: named at the import, never guessed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_messages import write_deribit
from test_importers_mutated import holdings

from optihedge.cli.main import main
from optihedge.market.importers.instant import MarketFrames, last_instant, market_frames
from optihedge.market.importers.sound import sound
from optihedge.market.importers.sources import import_files, import_values
from optihedge.market.units import unit_faults

PUT = "BTC-27MAR26-90000-P"
POSITIONS = [{"instrument_name": PUT, "size": -25.0, "direction": "sell"}]
ACCOUNT = {"currency": "BTC", "equity": 10.5, "options_value": -1.9}


@pytest.fixture(scope="module")
def raw(recorded, tmp_path_factory) -> dict[str, list]:
    """Messages of one recorded instant, by file."""
    folder = tmp_path_factory.mktemp("raw")
    write_deribit(recorded("deribit_btc_2026"), folder, 3, POSITIONS, ACCOUNT)
    found = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("instruments", "positions", "account")
    }
    lines = (folder / "tickers.jsonl").read_text().splitlines()
    return {**found, "tickers": [json.loads(line) for line in lines]}


def changed(raw: dict, folder: Path, **of_files) -> Path:
    """The messages, each file's content changed by a function."""
    for name, content in raw.items():
        copied = json.loads(json.dumps(content))
        of_files.get(name, lambda _: None)(copied)
        text = "\n".join(map(json.dumps, copied)) if name == "tickers" else json.dumps(copied)
        (folder / f"{name}.json").write_text(text)
    return folder


def opened(folder: Path) -> MarketFrames:
    return sound(market_frames(import_files("deribit", [folder])))


def named(frames: MarketFrames, label: str) -> bool:
    return frames.left["what"].str.contains(label, regex=False).any()


def test_vols_told_in_decimals_are_not_divided_again(raw, tmp_path):
    def decimals(tickers):
        for one in tickers:
            if "mark_iv" in one["result"]:
                one["result"]["mark_iv"] /= 100

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    percent = opened(changed(raw, tmp_path / "a")).quotes["vol"]
    frames = opened(changed(raw, tmp_path / "b", tickers=decimals))
    assert np.allclose(frames.quotes["vol"], percent, rtol=1e-12, equal_nan=True)
    assert any("are decimals, not percent" in note for note in frames.notes)


def test_a_kind_never_seen_is_named_and_no_name_describes_it(raw, tmp_path):
    def warrant(answer):
        answer["result"][10]["kind"] = "warrant"

    label = raw["instruments"]["result"][10]["instrument_name"]
    found = import_files("deribit", [changed(raw, tmp_path, instruments=warrant)])
    assert label not in set(found.instruments["instrument"])
    (row,) = found.rejected[found.rejected["what"].str.contains("warrant")].to_dict("records")
    assert label in row["place"]


@pytest.mark.parametrize("held", [False, True])
def test_a_fee_of_500_percent_is_left_aside_and_a_problem_of_what_is_held(raw, tmp_path, held):
    rows = raw["instruments"]["result"]
    at = next(i for i, r in enumerate(rows) if r["kind"] == "option" and (r["instrument_name"] == PUT) == held)

    def fivefold(answer):
        answer["result"][at]["taker_commission"] = 5

    frames = opened(changed(raw, tmp_path, instruments=fivefold))
    label = rows[at]["instrument_name"]
    assert named(frames, label) != held
    assert any(text.startswith(f"{label} is held: fee 5 is 500 %") for text in frames.problems) == held
    assert (label in set(frames.instruments["instrument"])) == held


def test_dollar_prices_of_coin_options_are_named(raw, tmp_path):
    def dollars(tickers):
        for one in tickers:
            for name in ("best_bid_price", "best_ask_price", "mark_price"):
                if "mark_iv" in one["result"] and name in one["result"]:
                    one["result"][name] *= 95_000

    frames = opened(changed(raw, tmp_path, tickers=dollars))
    assert any(text.startswith(f"{PUT} is held: mark") and "in coin" in text for text in frames.problems)


@pytest.mark.parametrize("held", [False, True])
def test_one_contract_with_two_sizes_is_in_no_market_or_a_problem(raw, tmp_path, held):
    rows = raw["instruments"]["result"]
    row = next(r for r in rows if r["kind"] == "option" and (r["instrument_name"] == PUT) == held)
    frames = opened(
        changed(raw, tmp_path, instruments=lambda answer: answer["result"].append({**row, "contract_size": 7}))
    )
    label = row["instrument_name"]
    assert (label in set(frames.instruments["instrument"])) == held
    assert any(f"multiplier of {label}: 1.0 in one place, 7.0 in another" in t for t in frames.problems) == held


def test_bad_rows_that_nobody_holds_and_a_clock_that_is_wrong_stop_no_night(raw, tmp_path):
    def bad(answer):
        answer["result"][3]["strike"] = -5
        answer["result"][4]["expiration_timestamp"] = "abc"

    def late(tickers):
        tickers[5]["result"]["timestamp"] += 3 * 86_400_000

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = opened(changed(raw, tmp_path / "a"))
    frames = opened(changed(raw, tmp_path / "b", instruments=bad, tickers=late))
    assert frames.as_of == whole.as_of and not frames.problems
    for at in (3, 4):
        assert named(frames, raw["instruments"]["result"][at]["instrument_name"])
    assert named(frames, raw["tickers"][5]["result"]["instrument_name"])


def test_what_is_dated_after_now_is_no_price_however_few_there_are():
    quotes = pd.DataFrame({"instrument": ["A", "B"], "time": pd.to_datetime(["2026-01-01", "2030-01-01"], utc=True)})
    at, late = last_instant(quotes, now=pd.Timestamp("2026-01-02", tz="UTC"))
    assert at == pd.Timestamp("2026-01-01", tz="UTC") and late == ["B"]
    assert last_instant(quotes)[0] == pd.Timestamp("2030-01-01", tz="UTC")


def test_coin_margined_contracts_are_no_dollar_margined_ones(tmp_path):
    (tmp_path / "positions.json").write_text(json.dumps([
        {"symbol": "BTCUSD_PERP", "positionAmt": "10", "entryPrice": "1", "markPrice": "1"},
        {"symbol": "BTCUSDT", "positionAmt": "2", "entryPrice": "1", "markPrice": "1"},
    ]))  # fmt: skip
    found = import_files("binance_usdm", [tmp_path])
    assert list(found.books["instrument"]) == ["binance_usdm:BTCUSDT"]
    assert len(found.problems) == 1 and "import it as binance_coinm" in found.problems[0]
    assert list(import_files("binance_coinm", [tmp_path]).books["instrument"]) == ["binance_coinm:BTCUSD_PERP"]


def test_two_equal_rows_of_a_statement_are_a_question_and_a_position_without_a_field_is_named(tmp_path):
    row = {"instrument_name": "BTC-PERPETUAL", "size": 10.0, "direction": "buy", "floating_profit_loss": 0.0}
    lacking = {name: value for name, value in row.items() if name != "size"}
    (tmp_path / "positions.json").write_text(json.dumps({"result": [row, row, lacking]}))
    twice, without = import_files("deribit", [tmp_path]).problems
    assert "item 2: position of BTC-PERPETUAL: it comes twice" in twice
    assert "item 3: position of BTC-PERPETUAL: without size" in without


def test_a_refusal_of_the_venue_is_a_problem(tmp_path):
    (tmp_path / "positions.json").write_text('{"error": {"code": 13009, "message": "unauthorized"}}')
    (problem,) = import_files("deribit", [tmp_path]).problems
    assert problem.startswith("positions.json: answer: an error of the venue")


def test_shares_of_a_map_without_an_underlying_are_their_own(tmp_path):
    (tmp_path / "map.toml").write_text(
        'base_currency = "USD"\nzone = "America/New_York"\n[[table]]\nkind = "positions"\n'
        '[table.columns]\ninstrument = "Ticker"\nquantity = "Shares"\nmark = "Price"\ntime = "Date"\n'
    )
    (tmp_path / "held.csv").write_text("Ticker,Shares,Price,Date\nAAPL,100,250.5,2026-01-16\nMSFT,-40,400,2026-01-16\n")
    to = ["import", "csv", str(tmp_path / "held.csv"), "--map", str(tmp_path / "map.toml"), "--to", str(tmp_path / "m")]
    assert main(to) == 0
    listed = pd.read_csv(tmp_path / "m" / "instruments.csv").set_index("instrument")
    assert (listed.loc[["AAPL", "MSFT"], "underlying"] == ["AAPL", "MSFT"]).all()


def test_what_was_left_is_shown_where_nothing_can_be_made_and_a_missing_path_is_named(tmp_path, capsys):
    (tmp_path / "order.json").write_text(json.dumps({"order_id": "1", "order_state": "open"}))
    call = ["import", "deribit", str(tmp_path / "order.json"), "--to", str(tmp_path / "m")]
    assert main(call) == 3
    assert "an order, not yet a trade" in capsys.readouterr().out
    assert main(["import", "deribit", str(tmp_path / "ordr.json"), "--to", str(tmp_path / "m")]) == 3
    assert "ordr.json is not there" in (said := capsys.readouterr().err) and "order.json" in said


@pytest.mark.parametrize(("scale", "word"), [(100.0, "percent"), (0.01, "a hundredth")])
def test_a_vol_a_hundred_times_off_is_told_by_its_mark(scale, word):
    at = pd.Timestamp("2026-01-01", tz="UTC")
    facts = {"type": "option", "strike": 100.0, "right": "C", "expiry": at + pd.Timedelta(days=365)}
    quote = {"mark": 7.9655674554, "underlying_price": 100.0, "vol": 0.2}  # Black's price at 20 %: 2 N(0.1) - 1
    for vol, told in ((0.2, 0), (0.2 * scale, 1)):
        listed, quotes = pd.DataFrame([facts], index=["X"]), pd.DataFrame([quote | {"vol": vol}], index=["X"])
        found = unit_faults(listed, quotes, at)
        assert len(found) == told and all(word in one.problem for one in found)


HOLDINGS = {"USDT": 1000.0, "BTC": 0.5}
OKX = [{"ccy": coin, "eq": str(amount), "cashBal": str(amount)} for coin, amount in HOLDINGS.items()]
BYBIT = [{"coin": coin, "equity": str(amount), "walletBalance": str(amount)} for coin, amount in HOLDINGS.items()]

UPDATE = [{"a": coin, "f": str(amount), "l": "0"} for coin, amount in HOLDINGS.items()]
WALLET = [{"a": coin, "wb": str(amount), "cw": str(amount)} for coin, amount in HOLDINGS.items()]


def account_of(source, rows):
    """An account's answer, as its venue writes it."""
    if source == "okx":
        return {"code": "0", "data": [{"totalEq": "1", "details": rows}]}
    if source == "binance":
        return {"e": "outboundAccountPosition", "E": 1709654400000, "u": 1709654400000, "B": rows}
    if source == "binance_usdm":
        return {"e": "ACCOUNT_UPDATE", "E": 1709654400000, "a": {"B": rows, "P": []}}
    return {"retCode": 0, "result": {"list": [{"accountType": "UNIFIED", "totalEquity": "1", "coin": rows}]}}


@pytest.mark.parametrize(
    ("source", "rows"), [("okx", OKX), ("bybit", BYBIT), ("binance", UPDATE), ("binance_usdm", WALLET)]
)
def test_what_an_account_holds_and_cannot_be_read_is_a_problem(source, rows):
    whole = import_values(source, {"account.json": account_of(source, rows)})
    assert whole.books.set_index("instrument")["quantity"].to_dict() == HOLDINGS and not whole.problems
    coin, amount, *_ = rows[0]
    less = [[{key: word for key, word in rows[0].items() if key != gone}, rows[1]] for gone in (coin, amount)]
    for said in ("abc", None, [1], {"a": 1}, *less):
        _, problems = holdings(import_values(source, {"account.json": account_of(source, said)}))
        assert problems, said
