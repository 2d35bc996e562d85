"""Contradictions: every kind is found where it is planted and in no clean market; severe ones hold, until accepted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from recorded import clean_stocks

import optihedge as oh
from optihedge.market.chain_arbitrage import Chain, chain_table, parity_gaps, strike_arbitrage
from optihedge.market.pricing import black
from optihedge.risk.contradictions import book_contradictions, find_contradictions
from optihedge.risk.finding import SEVERE

ROWS = 250
DAYS = pd.date_range("2025-01-01", periods=ROWS, freq="B")
AS_OF = DAYS[-1].tz_localize("UTC") + pd.Timedelta("21h")
NAMES = ["A", "B", "C", "D", "MKT"]
EXPIRY = AS_OF + pd.Timedelta("60D")


def levels(seed=0):
    rng = np.random.default_rng(seed)
    market = rng.normal(0, 0.01, ROWS)
    moves = np.column_stack([*(b * market + rng.normal(0, 0.008, ROWS) for b in (0.8, 1.0, 1.2, 0.9)), market])
    return pd.DataFrame(100 * np.exp(np.cumsum(moves, axis=0)), DAYS, NAMES)


def stocks(history, quoted=None, **given):
    last = history.ffill().iloc[-1][NAMES] if quoted is None else quoted
    table = pd.DataFrame({"instrument": NAMES, "hedge": [False, False, False, False, True]})
    quotes = pd.DataFrame({"instrument": NAMES, "bid": last.to_numpy() * 0.9995, "ask": last.to_numpy() * 1.0005})
    drivers = pd.DataFrame({"driver": history.columns, "market": history.columns == "MKT", **given.pop("drivers", {})})
    return oh.Market(table, quotes, "USD", as_of=AS_OF, drivers=drivers, history=history, **given)


def chain(forward=100.0, spot=100.0, move=1.0, strikes=(90, 95, 100, 105, 110), used=None):
    """European calls and puts at their Black price around one forward; strikes times `move`; used: as quoted."""
    rows = [(f"{right}{k}", k * move, right) for right in "CP" for k in strikes]
    sign = {"C": 1.0, "P": -1.0}
    years = 60 / 365
    mid = [float(black(forward, k, years, 0.3, sign[right])) for _, k, right in rows]
    table = pd.DataFrame({
        "instrument": ["S", *(name for name, *_ in rows)], "type": ["equity", *["option"] * len(rows)],
        "underlying": "S", "multiplier": [1.0, *[100.0] * len(rows)], "strike": [np.nan, *(k for _, k, _ in rows)],
        "right": ["", *(right for *_, right in rows)], "expiry": [pd.NaT, *[EXPIRY] * len(rows)],
        "exercise": ["", *["european"] * len(rows)],
    })  # fmt: skip
    half = 0.01
    quotes = pd.DataFrame({
        "instrument": table["instrument"], "bid": np.maximum([spot, *mid], 0.02) - half,
        "ask": np.maximum([spot, *mid], 0.02) + half,
    })  # fmt: skip
    if used is not None:
        quotes["underlying_price"] = [np.nan, *[used] * len(rows)]
    return oh.Market(table, quotes, "USD", as_of=AS_OF, on_missing="freeze")


def kinds(market, severity=None):
    return {(one.kind, one.subject) for one in find_contradictions(market) if severity in (None, one.severity)}


@pytest.mark.parametrize("seed", range(5))
def test_a_clean_market_contradicts_nothing(seed):
    assert not find_contradictions(stocks(levels(seed)))
    assert not find_contradictions(chain(forward=100.2))


@pytest.mark.parametrize("factor", [100.0, 0.01, 0.25, 1000.0, 0.5])
def test_a_quote_in_other_units_than_its_history(factor):
    history = levels()
    quoted = history.iloc[-1][NAMES].copy()
    quoted["B"] *= factor
    assert kinds(stocks(history, quoted)) == {("quote and history", "B")}


@pytest.mark.parametrize("factor", [1.1, 0.85, 1.3])
def test_a_large_move_is_no_contradiction(factor):
    history = levels()
    quoted = history.iloc[-1][NAMES].copy()
    quoted["B"] *= factor
    assert not find_contradictions(stocks(history, quoted))


@pytest.mark.parametrize("rows", [1, -1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_market_column_a_row_apart(seed, rows):
    history = levels(seed)
    history["MKT"] = history["MKT"].shift(rows).bfill().ffill() * (1 + 1e-9 * np.arange(ROWS))
    assert ("late column", "MKT") in kinds(stocks(history), SEVERE)


@pytest.mark.parametrize("jump", [0.8, 0.85, 1.2])
def test_a_jump_of_the_market_when_nothing_else_moves(jump):
    history = levels()
    history.loc[DAYS[120] :, "MKT"] *= jump
    assert kinds(stocks(history)) == {("market jump", "MKT")}
    everything = levels()
    everything.loc[DAYS[120] :] *= jump
    assert not find_contradictions(stocks(everything))


@pytest.mark.parametrize(("rows", "severity"), [(7, "warning"), (60, "severe"), (3, None)])
def test_a_history_that_ends_before_the_quotes(rows, severity):
    history = levels()
    market = stocks(history.iloc[:-rows], history.iloc[-1 - rows])
    found = {one.kind: one.severity for one in find_contradictions(market)}
    assert found.get("old history") == severity


def test_midnight_stamps_beside_a_close():
    history = levels().tz_localize("UTC")
    said = {"drivers": {"known_at": "16:00 America/New_York"}}
    assert ("midnight bars", "history") in kinds(stocks(history, **said), SEVERE)
    assert not find_contradictions(stocks(history))
    assert not find_contradictions(stocks(history.set_axis(history.index + pd.Timedelta("20h"), axis=0), **said))


def test_levels_through_zero_are_no_returns():
    history = levels()
    history["F"] = np.linspace(10, -5, ROWS) + 0.01
    table = pd.DataFrame({"instrument": ["F"], "type": "future", "multiplier": 1.0, "expiry": EXPIRY})
    quotes = pd.DataFrame({"instrument": ["F"], "bid": [-5.01], "ask": [-4.99]})
    market = oh.Market(table, quotes, "USD", as_of=AS_OF, history=history[["F"]])
    assert kinds(market) == {("through zero", "F")}


@pytest.mark.parametrize(("price", "found"), [(100.05, False), (120.0, True), (0.1, True), (1e5, True)])
def test_a_perpetual_far_from_its_spot(price, found):
    table = pd.DataFrame(
        {"instrument": ["S", "P"], "type": ["spot", "perpetual"], "underlying": "BTC", "currency": "USD"}
    )
    quotes = pd.DataFrame({"instrument": ["S", "P"], "bid": [99.9, price * 0.999], "ask": [100.1, price * 1.001]})
    assert (("against spot", "P") in kinds(oh.Market(table, quotes, "USD", as_of=AS_OF))) == found


@pytest.mark.parametrize(("level", "found"), [
    (60.0, set()),
    (0.3, {("against spot", "OIL")}),  # a series joined over rolls that does not end at today's price: said once
    (12_000.0, {("against spot", "OIL")}),
])  # fmt: skip
def test_a_curve_far_from_its_price_is_one_finding_of_the_price(level, found):
    names = ["O1", "O2", "O3"]
    table = pd.DataFrame({"instrument": names, "type": "future", "underlying": "OIL", "multiplier": 1_000.0,
                          "expiry": [EXPIRY, EXPIRY + pd.Timedelta("30D"), EXPIRY + pd.Timedelta("60D")]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": names, "bid": [61.9, 60.9, 59.9], "ask": [62.1, 61.1, 60.1]})
    days = AS_OF - pd.to_timedelta(np.arange(30)[::-1], unit="D")
    history = pd.DataFrame({"OIL": level * np.exp(0.01 * np.sin(np.arange(30.0)))}, index=days.rename("time"))
    market = oh.Market(table, quotes, "USD", as_of=AS_OF, history=history)
    said = [one for one in oh.risk.find_contradictions(market) if one.kind == "against spot"]
    assert {(one.kind, one.subject) for one in said} == found
    assert all(one.labels == tuple(names) and "over rolls" in one.remedy for one in said)


def test_one_future_of_a_curve_in_other_units_is_named_by_itself():
    names = ["O1", "O2", "O3"]
    table = pd.DataFrame({"instrument": ["OIL", *names], "type": ["spot", *["future"] * 3], "underlying": "OIL",
                          "expiry": [None, EXPIRY, EXPIRY, EXPIRY]})  # fmt: skip
    price = np.array([62.0, 62.0, 6_100.0, 60.0])
    quotes = pd.DataFrame({"instrument": ["OIL", *names], "bid": price * 0.999, "ask": price * 1.001})
    found = kinds(oh.Market(table, quotes, "USD", as_of=AS_OF))
    assert {one for one in found if one[0] == "against spot"} == {("against spot", "O2")}


@pytest.mark.parametrize(("forward", "found"), [(100.3, False), (97.0, True), (104.0, True)])
def test_parity_against_the_forward_used(forward, found):
    market = chain(forward, used=100.0)
    assert bool(parity_gaps(market, Chain.of(market))) == found


@pytest.mark.parametrize("label", ["C95", "C100", "C105", "P95", "P100"])
def test_an_option_dearer_than_one_worth_more_and_one_above_its_wings(label):
    market = chain()
    quotes = market.quotes.copy()
    quotes.loc[label, ["bid", "ask"]] = [40.0, 41.0]
    table = chain_table(market)
    assert not strike_arbitrage(Chain.of_table(table))
    table.loc[label, ["bid", "ask"]] = [40.0, 41.0]
    assert label in [name for name, _ in strike_arbitrage(Chain.of_table(table))]
    bent = chain_table(market)
    bent.loc[label, ["bid", "ask"]] += 1.6
    said = dict(strike_arbitrage(Chain.of_table(bent)))
    assert "not convex" in said[label]


@pytest.mark.parametrize("move", [2.0, 4.0, 0.5])
def test_strikes_on_one_side_of_the_price_are_an_unadjusted_split(move):
    market = chain(forward=100.0 * move, move=move)
    assert any(kind == "strikes and spot" for kind, _ in kinds(market))


@pytest.mark.parametrize(
    ("column", "value"), [("fee", 5.0), ("funding_rate", 0.5), ("borrow_rate", 30.0), ("fee_per_contract", 40.0)]
)
def test_fees_and_rates_in_impossible_units(column, value):
    market = stocks(levels())
    table, quotes = market.instruments.copy(), market.quotes.copy()
    where = table if column in table.columns else quotes
    where.loc["C", column] = value
    if column == "funding_rate":
        quotes.loc["C", "funding_hours"] = 8.0
    assert ("units", "C") in kinds(replace(market, instruments=table, quotes=quotes), SEVERE)


def test_positions_beyond_open_interest_and_volume():
    market = stocks(levels())
    market = replace(market, instruments=market.instruments.assign(open_interest=[100.0, 1e9, 1e9, 1e9, 1e9]),
                     quotes=market.quotes.assign(volume=10.0))  # fmt: skip
    found = {
        (one.kind, one.subject) for one in book_contradictions(market, pd.Series({"A": 150.0, "B": -300.0, "C": 1.0}))
    }
    assert found == {("beyond open interest", "A"), ("beyond volume", "B")}


def test_what_is_not_in_play_holds_nothing_and_what_is_does():
    history = levels()
    quoted = history.iloc[-1][NAMES].copy()
    quoted["B"] *= 100
    market = stocks(history, quoted)
    model = oh.load_model("beta_hedge")
    held, sent = (oh.trade_list(model.hedge(market, book)) for book in ({"B": 10.0}, {"A": 1000.0}))
    assert held.held and not sent.held
    assert "quote and history of B" in held.reasons[0]
    accepted = oh.trade_list(model.hedge(market, {"B": 10.0}), checks={"accept": ("quote and history of B",)})
    assert not accepted.held and any(note.startswith("accepted: quote and history of B") for note in accepted.notes)
    assert not oh.trade_list(model.hedge(market, {"B": 10.0}), checks={"contradictions": False}).held


@pytest.mark.slow
def test_false_alarms_on_clean_recorded_stocks(recorded):
    """Stocks of the S&P 500, each quoted at the close after its 252 rows of history, a window a month: a stock's own
    earnings may pass for a contradiction, once in a thousand.
    """
    closes, _, _ = clean_stocks(recorded("sp500_daily_2012_2017"))
    closes.index = pd.DatetimeIndex(closes.index)
    alarms, stocks_seen = [], 0
    for end in range(253, len(closes) - 1, 63):
        part, now = closes.iloc[end - 252 : end], closes.iloc[end]
        names = list(map(str, part.columns))
        quotes = pd.DataFrame({"instrument": names, "bid": now.to_numpy() * 0.9999, "ask": now.to_numpy() * 1.0001})
        as_of = pd.Timestamp(closes.index[end]).tz_localize("UTC") + pd.Timedelta("21h")
        drivers = pd.DataFrame({"driver": names, "market": [name == names[0] for name in names]})
        table = pd.DataFrame({"instrument": names})
        market = oh.Market(table, quotes, "USD", as_of=as_of, drivers=drivers, history=part)
        stocks_seen += len(names)
        alarms += [(str(end), str(one)) for one in find_contradictions(market) if one.severity == SEVERE]
    print(len(alarms), "severe findings in", stocks_seen, "stocks and windows", alarms[:20])
    assert len(alarms) <= 1e-3 * stocks_seen


def test_a_move_that_may_be_an_error_is_in_the_same_list_as_a_warning():
    history = levels()
    history.loc[DAYS[100], "B"] *= 100
    found = [one for one in find_contradictions(stocks(history)) if one.subject == "B"]
    assert [(one.severity, one.kind) for one in found] == [("warning", "wrong units")]
    assert f"{DAYS[100]:%Y-%m-%d}" in str(found[0]) and "mend it" in str(found[0])


def test_a_position_of_many_days_of_volume_is_told_with_the_list_and_does_not_hold_it():
    history = levels()
    market = stocks(history)
    market = replace(market, quotes=market.quotes.assign(volume=[1.0, *market.quotes["volume"].iloc[1:]]))
    listed = oh.trade_list(oh.load_model("beta_hedge").hedge(market, {"A": 1000.0}))
    assert any("warning: beyond volume of A: 1,000 contracts are 1,000 days of volume" in note for note in listed.notes)
    assert not [reason for reason in listed.reasons if "beyond volume" in reason]


def test_prices_on_a_grid_bend_by_less_than_a_tick_where_nothing_is_wrong():
    """Deribit, 3 February 2026: 0.0009 bid at 104000 beside 0.0009 and 0.0008 asked, forward 76 705."""
    forward = 76_705.0
    table = pd.DataFrame({"underlying": "BTC", "expiry": pd.Timestamp("2026-02-27T08:00Z"), "venue": "", "right": "C",
                          "multiplier": 1.0, "strike": [102_000.0, 104_000.0, 105_000.0],
                          "bid": forward * np.array([8e-4, 9e-4, 7e-4]), "ask": forward * np.array([9e-4, 1e-3, 8e-4])},
                         index=["A", "B", "C"])  # fmt: skip
    chain = Chain.of_table(table)
    assert [name for name, _ in strike_arbitrage(chain)] == ["B"]
    assert not strike_arbitrage(replace(chain, tick=np.full(3, 1e-4 * forward)))
    dear = replace(chain, tick=np.full(3, 1e-4 * forward), bid=chain.bid + 1e-4 * forward * np.array([0, 1, 0]))
    assert [name for name, _ in strike_arbitrage(dear)] == ["B"]
