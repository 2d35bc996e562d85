"""Market at the door: what is wrong is refused by name, what is dirty is kept and marked, nothing is from later."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desks import walk
from said import said

from optihedge.errors import DataError
from optihedge.market.earned import contract_pnl
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market

INSTRUMENTS = """instrument,type,underlying,currency,multiplier,expiry,strike,right,sector,fee
NA,equity,,USD,1,,,,Banks,0.0001
0005,equity,,HKD,1,,,,Banks,0.0001
SPX,index,,USD,1,,,,,
ES,future,SPX,USD,50,2026-03-20T13:30:00Z,,,,0.00001
SPX-C,option,SPX,USD,100,2026-03-20T13:30:00Z,6000,C,,
"""
QUOTES = """instrument,bid,ask,time,underlying_price,vol,volume
NA,99,101,2026-01-20T21:00:00Z,,,1000
0005,78,79,2026-01-20T08:00:00Z,,,500
SPX,6000,6000,2026-01-20T21:00:00Z,,,
ES,6019,6021,2026-01-20T21:00:00Z,,,
SPX-C,150,152,2026-01-20T21:00:00Z,6020,,
"""
DRIVERS = """driver,kind,underlying,tenor,market,known_at
NA,price,,,false,16:00 America/New_York
0005,price,,,false,16:00 Asia/Hong_Kong
SPX,price,,,true,16:00 America/New_York
HKDUSD,fx,,,false,16:00 America/New_York
SPX vol,vol,SPX,,false,16:15 America/New_York
ES basis,basis,SPX,2026-03-20,false,16:15 America/New_York
"""
HISTORY = """time,NA,0005,SPX,HKDUSD,SPX vol,ES basis
2026-01-15,98,77,5900,0.1280,0.18,0.004
2026-01-16,97,78,5950,0.1281,0.17,0.0035
2026-01-19,99,78.5,5980,0.1280,0.16,0.0034
2026-01-20,100,78.2,6000,0.1282,0.165,0.0033
2026-01-21,120,99,7000,0.1382,0.265,0.0133
"""


def write(folder, **files: str):
    files = {"instruments": INSTRUMENTS, "quotes": QUOTES, "drivers": DRIVERS, "history": HISTORY} | files
    (folder / "market.toml").write_text(files.pop("toml", 'base_currency = "USD"\nas_of = "2026-01-20T21:30:00Z"\n'))
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def edit(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def test_a_folder_becomes_a_market(tmp_path):
    market = read_market(write(tmp_path))
    assert market.names.tolist() == ["NA", "0005", "SPX", "ES", "SPX-C"]
    assert market.value["0005"] == pytest.approx(78.5 * 0.1282)
    assert market.trade_cost.loc["NA"].tolist() == [1.0, 1.0]
    assert market.fees["NA"] == pytest.approx(0.01)
    assert market.notional["ES"] == pytest.approx(50 * 6020)
    assert market.value["ES"] == 0
    assert market.loadings.matrix.toarray()[:, 3] == pytest.approx([0, 0, 301_000, 0, 0, 301_000])
    assert market.exposures.attrs["unit"]["vega"] == "base currency per vol point"
    assert "5 (2 equity, 1 index, 1 future, 1 option)" in repr(market)


def test_nothing_from_after_as_of_is_read(tmp_path):
    market = read_market(write(tmp_path))
    assert market.history.index[-1] == pd.Timestamp("2026-01-20", tz="UTC")
    early = read_market(tmp_path, as_of="2026-01-20T21:05:00Z")
    last = early.history.iloc[-1]
    assert last["SPX"] == 6000 and np.isnan(last["SPX vol"])  # the vol is known ten minutes later
    assert early.moves().notna().sum()[["SPX", "SPX vol"]].tolist() == [3, 2] and len(market.moves()) == 3
    assert len(early.moves(ragged=False)) == 2
    earlier = replace(market, as_of="2026-01-20T21:05:00Z")
    assert np.isnan(earlier.history.iloc[-1]["SPX vol"])


def test_moves_are_returns_of_prices_and_changes_of_the_rest(tmp_path):
    moves = read_market(write(tmp_path)).moves(2)
    assert moves.iloc[-1].tolist() == pytest.approx([1 / 99, -0.3 / 78.5, 20 / 5980, 2e-4 / 0.128, 0.005, -1e-4])
    assert moves.attrs["periods_per_year"] == 252
    assert moves.attrs["kinds"]["SPX vol"] == "vol"
    with pytest.raises(DataError, match="history of NA has 3 moves, fewer than the 10 asked; give a longer history"):
        read_market(tmp_path).moves(10)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("quotes", "NA,99,101", "NA,inf,101", r"quotes.csv row 2: bid is inf; write a finite number"),
        ("quotes", "NA,99,101", "NA,nan,101", r"quotes.csv row 2: bid is 'nan'; write a finite number"),
        ("quotes", "NA,99,101", "NA,,", r"NA has neither bid, ask nor mark; give its mark, or set on_missing"),
        ("quotes", "ES,6019,6021", "ES,6021,6019",
         r"quotes.csv row 5: ask of ES is 6019, below its bid 6021; drop the row or set max_crossed"),
        ("quotes", "NA,99,101", "NA,-5,101", r"quotes.csv row 2: bid of NA is -5.0, below zero"),
        ("quotes", "ES,6019", "EX,6019", r"quotes.csv row 5: EX is no known instrument \(did you mean ES\?\)"),
        ("quotes", "ES,6019,6021,2026-01-20T21:00:00Z", "ES,6019,6021,2026-01-20T22:00:00Z",
         r"quotes.csv row 5: time of ES 2026-01-20 22:00:00\+00:00 is after as_of"),
        ("quotes", "ES,6019,6021,2026-01-20T21:00:00Z", "ES,6019,6021,2026-01-20T16:00:00-05:00",
         r"quotes.csv row 5: time .* mixes time zones"),
        ("quotes", "0005,78,79", "NA,78,79", r"quotes.csv row 3: instrument NA appears twice"),
        ("quotes", "SPX-C,150,152", "SPX-C,1.0,1.1", r"1.05, the price of SPX-C, implies no vol \(below intrinsic"),
        ("quotes", "NA,99,101", "NA,99,1o1", r"quotes.csv row 2: ask is '1o1'; write a finite number"),
        ("instruments", "underlying,currency", "underlying,curency",
         r"instruments.csv: column curency is not known \(did you mean currency\?\); rename it"),
        ("instruments", "instrument,type", "name,type", r"instruments.csv: column instrument is missing"),
        ("instruments", "0005,equity", "NA,equity", r"instruments.csv row 3: instrument NA appears twice"),
        ("instruments", "ES,future,SPX", "ES,future,SPXX",
         r"instruments.csv row 5: underlying SPXX of ES has no price driver \(did you mean SPX\?\); add its column"),
        ("instruments", "0005,equity,,HKD", "0005,equity,,HKX",
         r"currency HKX has no quoted path to USD; add the pair HKXUSD"),
        ("instruments", "SPX-C,option,SPX,USD,100,", "SPX-C,option,SPX,USD,100,,", r"instruments.csv row 6: 11 fields"),
        ("instruments", "strike,right,sector", "strike,right,type", r"instruments.csv: column type appears twice"),
        ("drivers", "SPX vol,vol", "SPX vol,volatility", r"drivers.csv row 6: kind is 'volatility'; write one of"),
        ("drivers", "HKDUSD,fx", "HKDUSD,price", r"currency HKD has no quoted path to USD"),
        ("drivers", "16:15 America/New_York\nES", "tea time\nES", r"known_at 'tea time' of SPX vol is no time of day"),
        ("drivers", "driver,kind,", "driver,sort,", r"drivers.csv: column sort is not known"),
        ("quotes", "6020,,", "6020,24.5,", r"quotes.csv row 6: vol of SPX-C is 24.5, in percent; write decimals"),
        ("history", "0.1281,0.17", "0.1281,17", r"history.csv row 3: SPX vol is 17, a vol in percent; write decimals"),
        ("history", "2026-01-19,99", "2026-01-19,99x", r"history.csv row 4: NA is '99x'; write a finite number"),
        ("history", "2026-01-19,99", "2026-01-19,-99", r"history.csv row 4: NA is -99, no level to take a return"),
        ("history", "2026-01-19,99", "2026-01-19,", r"history.csv row 4: NA is missing between known rows; fill"),
        ("history", "2026-01-19,99", "2026-01-15,99", r"history.csv row 4: time .* is not after the row before"),
        ("history", "2026-01-19,99", "2026-01-19T00:00:00Z,99", r"is a date among instants"),
        ("history", "time,NA", "time,NB", r"drivers.csv: NB is a column of history without a row.*\(did you mean NA"),
        ("history", "5900,0.1280", "5900,0.1280,9", r"history.csv row 2: 8 fields where the header has 7"),
    ],
)  # fmt: skip
def test_hostile_input_is_told_by_name(tmp_path, name, old, new, message):
    """By the market that is refused, or by one that goes on without what it spoils."""
    texts = {"instruments": INSTRUMENTS, "quotes": QUOTES, "drivers": DRIVERS, "history": HISTORY}
    write(tmp_path, **{name: edit(texts[name], old, new)})
    assert re.search(message, said(lambda: read_market(tmp_path)))


RUBBISH = (
    "", "nan", "inf", "-1", "0", "abc", "1e400", "2026-01-20", "=1+1", "\x00", " ", "١٢", "NA", "1e-300", "1e300",
    "true", "2026-01-20T21:00:00Z", "9999-12-31T00:00:00Z", "-0", "1_000", "0x10", '"', "1,5", "SPX", "USD", "fx",
    "option",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_any_field_replaced_by_rubbish_is_refused_or_gives_finite_numbers(tmp_path, seed):
    texts = {"instruments": INSTRUMENTS, "quotes": QUOTES, "drivers": DRIVERS, "history": HISTORY}
    rng = np.random.default_rng(seed)
    for _ in range(40):
        name = str(rng.choice(list(texts)))
        rows = [line.split(",") for line in texts[name].splitlines()]
        row = int(rng.integers(len(rows)))
        rows[row][int(rng.integers(len(rows[row])))] = str(rng.choice(RUBBISH))
        write(tmp_path, **{name: "\n".join(",".join(fields) for fields in rows) + "\n"})
        try:
            market = read_market(tmp_path)
        except DataError:
            continue
        assert np.isfinite(market.exposures.to_numpy()).all()
        assert np.isfinite(market.loadings.matrix.data).all()
        assert np.isfinite(market.fees).all()


def test_a_constant_driver_must_be_declared(tmp_path):
    rng = np.random.default_rng(5)
    rows = [f"2026-01-{day:02d},{a:.1f},{b:.2f},{c:.0f},0.1280,{v:.3f},{w:.4f}" for day, a, b, c, v, w in zip(
        range(1, 15), *(rng.normal(m, s, 14) for m, s in ((98, 1), (78, 1), (5900, 50), (0.18, 0.01), (4e-3, 1e-4))),
        strict=True)]  # fmt: skip
    flat = (
        HISTORY.replace("0.1281", "0.1280").replace("0.1282", "0.1280").replace("\n", "\n" + "\n".join(rows) + "\n", 1)
    )
    write(tmp_path, history=flat)
    with pytest.raises(
        DataError, match=r"history.csv: driver HKDUSD never moves over 18 rows; declare constant = true"
    ):
        read_market(tmp_path)
    drivers = DRIVERS.replace("known_at", "known_at,constant").replace("York\n", "York,\n").replace("Kong\n", "Kong,\n")
    pair = "HKDUSD,fx,,,false,16:00 America/New_York,"
    drivers = edit(drivers, pair, pair + "true")
    assert read_market(write(tmp_path, history=flat, drivers=drivers)).drivers.loc["HKDUSD", "constant"]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("as_of = '2026-01-20'", "base_currency is missing"),
        ("base_currency = 'USD'\nmax_cross = 1", r"key max_cross is not known \(did you mean max_crossed\?\)"),
        ("base_currency = USD", "market.toml: .*; mend that line"),
        ("base_currency = 'USD'\non_missing = 'ignore'", "on_missing is 'ignore'; write 'error' or 'freeze'"),
        ("base_currency = ''", "base_currency is empty"),
        ("base_currency = 5", "market.toml: base_currency is 5; write text such as"),
        ("base_currency = 'USD'\nmax_crossed = '1%'", "market.toml: max_crossed is '1%'; write a fraction"),
        ("base_currency = 'USD'\nmax_age = 1", "market.toml: max_age is 1; write a duration such as"),
        ("base_currency = 'USD'\nmax_age = 'soon'", "max_age is 'soon'; write a duration"),
        ("base_currency = 'USD'\nas_of = true", "market.toml: as_of is True; write an instant"),
        ("base_currency = 'USD'\nmax_crossed = -1", "max_crossed is -1; give a fraction"),
    ],
)
def test_settings_are_read_strictly(tmp_path, toml, message):
    with pytest.raises(DataError, match=message):
        read_market(write(tmp_path, toml=toml))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        read_market(tmp_path / "nowhere")
    write(tmp_path)
    (tmp_path / "quotes.csv").unlink()
    with pytest.raises(DataError, match=r"quotes\.csv is not there"):
        read_market(tmp_path)


def test_parquet_beside_csv_gives_the_same_market(tmp_path):
    pytest.importorskip("pyarrow")
    text = read_market(write(tmp_path))
    pd.read_csv(tmp_path / "history.csv", dtype={"time": str}).to_parquet(tmp_path / "history.parquet")
    (tmp_path / "history.csv").unlink()
    columnar = read_market(tmp_path)
    pd.testing.assert_frame_equal(text.moves(), columnar.moves())


# ---- dirty, not wrong ----------------------------------------------------------------------------------------------


def test_a_zero_bid_is_a_one_sided_market(tmp_path):
    market = read_market(write(tmp_path, quotes=edit(QUOTES, "SPX-C,150,152", "SPX-C,0,152")))
    cost = market.trade_cost.loc["SPX-C"]
    assert market.price["SPX-C"] == 76  # between nothing and its ask, where no other option says more
    assert cost["buy"] == 100 * 76 and np.isnan(cost["sell"])


def test_an_index_cannot_be_traded_and_a_future_may_be_negative(tmp_path):
    quotes = edit(QUOTES, "ES,6019,6021", "ES,-40,-38")
    market = read_market(write(tmp_path, quotes=quotes))
    assert market.trade_cost.loc["SPX"].isna().all()
    assert market.exposures.loc["ES", "delta"] == -50 * 39


def test_max_crossed_lets_a_locked_book_pass(tmp_path):
    crossed = edit(QUOTES, "NA,99,101", "NA,100.05,100")
    toml = 'base_currency = "USD"\nas_of = "2026-01-20T21:30:00Z"\nmax_crossed = 0.001\n'
    market = read_market(write(tmp_path, quotes=crossed, toml=toml))
    assert market.trade_cost.loc["NA"].tolist() == [0.0, 0.0]


def test_old_quotes_are_left_out_or_frozen(tmp_path):
    toml = 'base_currency = "USD"\nas_of = "2026-01-20T21:30:00Z"\nmax_age = "2h"\n'
    market = read_market(write(tmp_path, toml=toml))
    assert "time of 0005 2026-01-20 08:00:00+00:00 is older than max_age 0 days 02" in market.left_out["0005"]
    assert market.trade_cost.loc["NA"].notna().all()
    market = read_market(write(tmp_path, toml=toml + "on_missing = 'freeze'\n"))
    assert market.trade_cost.loc["0005"].isna().all()
    assert market.price["0005"] == 78.5
    assert market.trade_cost.loc["NA"].notna().all()


def test_freeze_holds_what_has_no_price_at_its_last_known_level(tmp_path):
    toml = 'base_currency = "USD"\nas_of = "2026-01-20T21:30:00Z"\non_missing = "freeze"\n'
    quotes = edit(edit(QUOTES, "NA,99,101", "NA,,"), "SPX-C,150,152", "SPX-C,1.0,1.1")
    market = read_market(write(tmp_path, quotes=quotes, toml=toml))
    assert market.price["NA"] == 100.0
    assert market.trade_cost.loc[["NA", "SPX-C"]].isna().all().all()
    assert market.exposures.loc["SPX-C", "vega"] == 0
    assert market.exposures.loc["SPX-C", "delta"] == pytest.approx(100 * 6020)


def test_fees_are_capped_where_the_venue_caps_them():
    table = pd.DataFrame({
        "instrument": ["I", "NEAR", "FAR"], "type": ["index", "inverse_option", "inverse_option"], "underlying": "BTC",
        "strike": [None, 90_000.0, 200_000.0], "right": ["", "C", "C"], "fee": 3e-4, "fee_cap": 0.125,
        "expiry": [None, "2026-03-27T08:00:00Z", "2026-03-27T08:00:00Z"],
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": ["I", "NEAR", "FAR"], "bid": [100_000.0, 0.1, 0.0], "ask": [100_000.0, 0.12, 0.0004],
        "mark": [None, None, 0.0004], "underlying_price": [None, 100_000.0, 100_000.0],
    })  # fmt: skip
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    assert market.fees["NEAR"] == pytest.approx(30.0)
    assert market.fees["FAR"] == pytest.approx(0.125 * 40.0)


def test_a_coin_is_one_driver_as_currency_and_as_underlying():
    table = pd.DataFrame({
        "instrument": ["COIN", "SPOT", "PERP"], "type": ["cash", "spot", "inverse_perpetual"],
        "underlying": ["", "BTC", "BTC"], "currency": ["BTC", "USD", "USD"], "multiplier": [1, 1, 10],
    })  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["SPOT", "PERP"], "bid": [90_000, 90_010], "ask": [90_000, 90_010]})
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    assert market.drivers.index.tolist() == ["BTC"]
    assert market.exposures["delta"].tolist() == pytest.approx([90_000, 90_000, 10 * 90_000 / 90_010])
    twice = pd.DataFrame({"driver": ["BTC", "BTC/USD"], "kind": ["price", "fx"]})
    with pytest.raises(DataError, match="BTC and BTC/USD are both the price of BTC; keep one"):
        Market(table, quotes, "USD", drivers=twice, as_of="2026-01-20")


def test_a_path_of_two_pairs_reaches_the_base_currency():
    table = pd.DataFrame({"instrument": ["A"], "currency": ["CHF"]})
    quotes = pd.DataFrame({"instrument": ["A"], "bid": [10.0], "ask": [10.0]})
    days = pd.date_range("2026-01-01", periods=3)
    history = pd.DataFrame({"A": [9, 9.5, 10.0], "EURCHF": [0.95, 0.94, 0.93], "EURUSD": [1.1, 1.15, 1.2]}, days)
    drivers = pd.DataFrame({"driver": ["A", "EURCHF", "EURUSD"], "kind": ["price", "fx", "fx"]})
    market = Market(table, quotes, "USD", drivers=drivers, history=history)
    value = 10 / 0.93 * 1.2
    assert market.value["A"] == pytest.approx(value)
    assert market.loadings.matrix.toarray().ravel() == pytest.approx([value, -value, value])


# ---- prices, books, size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "periods"), [("B", 252), ("D", 365), ("8h", 1095), ("h", 8760), ("W", 52), ("MS", 12)]
)
def test_periods_a_year_follow_the_spacing_of_history(days, periods):
    prices = walk(2, days=days)
    if prices.index[0].hour or prices.index[1].hour:
        prices = prices.tz_localize("UTC")
    assert Market.from_prices(prices, base_currency="USD").periods_per_year == periods


def test_drivers_of_different_periods_are_refused():
    prices = walk(2)
    drivers = pd.DataFrame({"driver": ["S0", "S1"], "periods_per_year": [252, 365]})
    quotes = pd.DataFrame({"instrument": ["S0", "S1"], "bid": 1.0, "ask": 1.0})
    with pytest.raises(DataError, match="periods_per_year is 252 for S0 and 365 for S1; bring all histories to one"):
        Market(quotes[["instrument"]], quotes, "USD", drivers=drivers, history=prices)


def test_a_market_keeps_its_own_copies():
    prices = walk(2)
    market = Market.from_prices(prices, base_currency="USD")
    before = market.history.iloc[0, 0]
    prices.iloc[0, 0] = 1e9
    assert market.history.iloc[0, 0] == before


def test_groups_are_codes_made_once():
    sectors = pd.DataFrame({"sector": ["b", "a", ""]}, index=["S0", "S1", "S2"])
    market = Market.from_prices(walk(3), base_currency="USD", instruments=sectors)
    codes, labels = market.group("sector")
    assert codes.tolist() == [1, 0, -1] and labels == ("a", "b")
    with pytest.raises(DataError, match=r"no column sectr to group by \(did you mean sector\?\)"):
        market.group("sectr")


def test_further_exposures_join_by_label():
    market = Market.from_prices(walk(2), base_currency="USD")
    more = market.with_exposures(pd.DataFrame({"beta:M": [5.0, 7.0]}, index=["S1", "S0"]))
    assert more.exposures["beta:M"].tolist() == [7.0, 5.0]
    assert "beta:M" not in market.exposures
    with pytest.raises(DataError, match="exposure delta is there already"):
        market.with_exposures(pd.DataFrame({"delta": [1.0]}, index=["S0"]))
    with pytest.raises(DataError, match="instrument S9 is not known"):
        market.with_exposures(pd.DataFrame({"x": [1.0]}, index=["S9"]))


def test_a_market_shows_itself_in_a_notebook():
    html = Market.from_prices(walk(2), base_currency="<USD>")._repr_html_()
    assert html.startswith("<table>") and "2 (2 equity)" in html and "&lt;USD&gt;" in html


def test_five_thousand_options_pass_the_door_at_once():
    count = 5_000
    rng = np.random.default_rng(1)
    table = pd.DataFrame({
        "instrument": [f"O{i}" for i in range(count)], "type": "option", "underlying": "SPX", "multiplier": 100.0,
        "expiry": "2026-03-20T20:00:00Z", "strike": rng.uniform(5000, 7000, count), "right": "C",
    })  # fmt: skip
    table = pd.concat([pd.DataFrame({"instrument": ["SPX"], "type": ["index"]}), table])
    quotes = pd.DataFrame({"instrument": table["instrument"], "bid": 6000.0, "ask": 6000.0, "underlying_price": 6000.0})
    quotes["vol"] = 0.2
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    assert len(market.exposures) == count + 1


def test_depth_is_read_best_price_first(tmp_path):
    depth = "instrument,side,price,size\nNA,ask,102,10\nNA,bid,98,5\nNA,ask,101,3\nNA,bid,99,1\n"
    market = read_market(write(tmp_path, depth=depth))
    assert market.depth["price"].tolist() == [101, 102, 99, 98]
    for text, message in (
        (depth + "NX,bid,1,1\n", r"depth.csv row 6: instrument NX is not known; add it to instruments"),
        (depth + "NA,mid,1,1\n", r"depth.csv row 6: side is 'mid'; write one of bid, ask"),
        (depth + "NA,bid,1,0\n", r"depth.csv row 6: size is 0.0; give a number above 0"),
    ):
        assert re.search(message, said(lambda: read_market(write(tmp_path, depth=text))))  # noqa: B023


def test_a_mark_far_outside_its_own_quote_is_refused(tmp_path):
    def marked(mark: float, bid: str = "99", ask: str = "101"):
        quotes = edit(QUOTES, "underlying_price", "mark,underlying_price").replace("00Z,", "00Z,,")
        row = f"NA,{bid},{ask},2026-01-20T21:00:00Z,{mark},,,1000"
        return read_market(write(tmp_path, quotes=edit(quotes, "NA,99,101,2026-01-20T21:00:00Z,,,,1000", row)))

    for mark in (90, 111, 106):  # up to five spreads of 2 beyond
        assert marked(mark).price["NA"] == mark
    assert marked(104.9, "100", "100.0").price["NA"] == 104.9  # up to 5 % where the spread is nothing
    assert marked(1000, "", "101").price["NA"] == 1000, "one side says no spread"
    for mark in (88, 112, 1000):
        left = marked(mark).left_out["NA"]
        assert left.startswith(f"quotes.csv row 2: mark of NA is {mark}.0, far outside its own bid")
    assert "mend the mark" in marked(105.1, "100", "100.0").left_out["NA"]


@pytest.mark.parametrize(
    ("name", "value"), [("max_crossed", "a"), ("max_crossed", True), ("max_crossed", None), ("max_age", 5),
                        ("max_age", np.int64(5)), ("max_age", 2.0), ("max_age", True)],
)  # fmt: skip
def test_settings_without_a_meaning_are_refused_by_the_constructor_too(name, value):
    prices = pd.DataFrame({"A": [1.0, 1.1, 1.0]}, pd.date_range("2026-01-01", periods=3, tz="UTC"))
    with pytest.raises(DataError, match=rf"{name} is .*; (give|write)"):
        replace(Market.from_prices(prices, base_currency="USD"), **{name: value})
    assert replace(Market.from_prices(prices, base_currency="USD"), max_age="5d").max_age == pd.Timedelta("5D")


# ---- what is said of prices, money and forwards --------------------------------------------------------------------


def test_a_rate_of_zero_needs_no_hours():
    """Loaders fill what pays no funding with zero."""
    table = pd.DataFrame({"instrument": ["S", "P"], "type": ["spot", "perpetual"], "underlying": "BTC"})
    quotes = pd.DataFrame({"instrument": ["S", "P"], "bid": 9e4, "ask": 9e4, "funding_rate": [0.0, np.nan]})
    market = Market(table, quotes, "USD", as_of="2026-01-20")
    later = Market(table, quotes.assign(bid=9.1e4, ask=9.1e4), "USD", as_of="2026-01-21")
    assert contract_pnl(market, later).tolist() == [1000.0, 1000.0]
    left = Market(table, quotes.assign(funding_rate=[0.0, 1e-4]), "USD", as_of="2026-01-20").left_out
    assert "funding_hours of P is empty, yet its funding_rate is 0.0001" in left["P"]


def test_equal_markets_have_equal_hashes_and_any_field_changes_it(tmp_path):
    write(tmp_path)
    market = read_market(tmp_path)
    assert read_market(tmp_path).hash == market.hash
    assert replace(market).hash == market.hash  # the door leaves what has passed it as it is
    for name, value in (
        ("quotes", market.quotes.assign(bid=market.quotes["bid"] * (1 - 1e-15))),
        ("history", market.history.iloc[:-1]),
        ("instruments", market.instruments.assign(lot=2.0)),
        ("on_missing", "freeze"),
        ("max_age", "2d"),
    ):
        assert replace(market, **{name: value}).hash != market.hash, name
    told = pd.DataFrame({"beta": 1.0}, index=market.names)
    assert market.with_exposures(told).hash not in (market.hash, market.with_exposures(2 * told).hash)
