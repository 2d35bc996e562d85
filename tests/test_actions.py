"""Corporate actions: history, books and terms carry over, and what a holder earned is the same to the cent."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optihedge.errors import DataError
from optihedge.market.actions import (
    adjusted_book,
    adjusted_history,
    adjusted_instruments,
    basket_history,
    basket_name,
)
from optihedge.market.events import Event
from optihedge.market.instruments import check_instruments

OPEN = pd.Timestamp("2026-01-07T14:30:00Z")


def event(kind, instrument, value, *, at=OPEN, money="", other="", name=""):
    return Event(at, name or f"{kind} {instrument} {at:%Y%m%d}", at, kind, instrument, value, money, other)


def levels(**columns):
    index = pd.date_range("2026-01-05", periods=len(next(iter(columns.values()))), tz="UTC", name="time")
    return pd.DataFrame(columns, index=index, dtype=float)


def earned(table, column):
    return table[column].pct_change(fill_method=None).to_numpy()[1:]


def test_a_split_changes_units_and_no_return():
    table = adjusted_history(levels(A=[100.0, 102.0, 51.5, 52.0], B=[10.0, 11, 12, 13]), [event("split", "A", 2.0)])
    assert table["A"].tolist() == [50.0, 51.0, 51.5, 52.0] and table["B"].tolist() == [10.0, 11, 12, 13]


def test_what_is_paid_is_earned_on_its_day():
    raw = levels(A=[100.0, 102.0, 99.0, 98.0])
    table = adjusted_history(raw, [event("dividend", "A", 2.5, money="USD")])
    assert earned(table, "A") == pytest.approx([0.02, (99 + 2.5) / 102 - 1, 98 / 99 - 1], rel=1e-14)
    assert table["A"].iloc[2:].tolist() == [99.0, 98.0]  # today's units are as traded
    assert adjusted_history(raw, [event("dividend", "A", 2.5, money="USD")], dividends=False).equals(raw)
    special = event("dividend", "A", 2.5, money="USD", other="special")
    assert adjusted_history(raw, [special], dividends=False).equals(table)


def test_a_split_and_a_dividend_of_one_day_are_followed_in_their_order():
    raw = levels(A=[100.0, 100.0, 24.0])
    split = event("split", "A", 4.0)
    after = adjusted_history(raw, [event("dividend", "A", 1.0, money="USD"), split])  # per new unit
    assert earned(after, "A")[1] == pytest.approx(4 * (24 + 1.0) / 100 - 1, rel=1e-14)
    before = event("dividend", "A", 1.0, money="USD", at=OPEN - pd.Timedelta("1s"))  # per old unit
    assert earned(adjusted_history(raw, [split, before]), "A")[1] == pytest.approx((4 * 24 + 1.0) / 100 - 1, rel=1e-14)


def test_a_spin_off_pays_its_first_price():
    raw = levels(OLD=[40.0, 41.0, 33.0, 33.0], NEW=[np.nan, np.nan, 30.0, 31.0])
    spun = event("spin_off", "OLD", 0.25, other="NEW")
    assert earned(adjusted_history(raw, [spun]), "OLD")[1] == pytest.approx((33 + 0.25 * 30) / 41 - 1, rel=1e-14)
    with pytest.raises(DataError, match="NEW, received for OLD, has no history; give its column"):
        adjusted_history(raw[["OLD"]], [spun])


def test_a_renamed_line_goes_on_under_its_new_name():
    apart = levels(NB=[50.0, 51.0, np.nan, np.nan], BAC=[np.nan, np.nan, 52.0, 53.0])
    joined = adjusted_history(apart, [event("rename", "NB", 1.0, other="BAC")])
    assert joined.columns.tolist() == ["BAC"] and joined["BAC"].tolist() == [50.0, 51.0, 52.0, 53.0]
    alone = adjusted_history(levels(NB=[50.0, 51.0, 52.0]), [event("rename", "NB", 1.0, other="BAC")])
    assert alone["BAC"].tolist() == [50.0, 51.0, 52.0]
    exchanged = adjusted_history(apart.assign(BAC=[np.nan, np.nan, 104.0, 106.0]),
                                 [event("rename", "NB", 0.5, other="BAC")])  # fmt: skip
    assert exchanged["BAC"].tolist() == [100.0, 102.0, 104.0, 106.0]
    later = event("split", "BAC", 2.0, at=OPEN + pd.Timedelta("1D"))
    both = adjusted_history(apart.assign(BAC=[np.nan, np.nan, 52.0, 26.5]),
                            [event("rename", "NB", 1.0, other="BAC"), later])  # fmt: skip
    assert both["BAC"].tolist() == [25.0, 25.5, 26.0, 26.5]


def test_what_was_paid_before_a_rename_stays_in_the_units_of_then():
    raw = levels(A=[100.0, 96.0, 97.0, np.nan], B=[np.nan, np.nan, np.nan, 194.0])
    paid = event("dividend", "A", 4.0, money="USD", at=OPEN - pd.Timedelta("1D"))
    joined = adjusted_history(raw, [paid, event("rename", "A", 0.5, other="B", at=OPEN + pd.Timedelta("1D"))])
    assert earned(joined, "B") == pytest.approx([0.0, 97 / 96 - 1, 0.0], abs=1e-14)


def test_an_instant_counts_to_the_second_where_history_has_instants():
    raw = levels(A=[100.0, 100.0, 50.0, 50.0])
    raw.index = pd.DatetimeIndex(["2026-01-07T14:00Z", "2026-01-07T14:29Z", "2026-01-07T14:30Z", "2026-01-07T21:00Z"])
    assert adjusted_history(raw, [event("split", "A", 2.0)])["A"].tolist() == [50.0] * 4


def test_events_before_or_after_the_history_change_nothing():
    raw = levels(A=[100.0, 101.0])
    for days in (-30, 30):
        assert adjusted_history(raw, [event("split", "A", 2.0, at=OPEN + pd.Timedelta(days, "D"))]).equals(raw)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["split", "dividend"]), st.floats(0.1, 8.0), st.integers(1, 6)), max_size=5))
def test_a_holder_who_reinvests_earns_the_adjusted_return(steps):
    """Oracle: units of the stock held one by one through the events, dividends reinvested at that day's close."""
    raw = levels(A=[100.0, 90.0, 80.0, 85.0, 95.0, 99.0, 70.0])
    day = raw.index[0]
    events = [
        event(kind, "A", value, at=day + pd.Timedelta(d, "D") + pd.Timedelta(i, "s"), money="USD", name=str(i))
        for i, (kind, value, d) in enumerate(steps)
    ]
    units, worth = 1.0, []
    for time, price in raw["A"].items():
        cash = 0.0
        for one in sorted((e for e in events if e.time.normalize() == time), key=lambda e: e.time):
            units, cash = (units * one.value, cash) if one.kind == "split" else (units, cash + units * one.value)
        units += cash / price
        worth.append(units * price)
    adjusted = adjusted_history(raw, events)["A"].to_numpy()
    assert adjusted / adjusted[-1] == pytest.approx(np.array(worth) / worth[-1], rel=1e-12)


# ---- books -----------------------------------------------------------------------------------------------------------


def test_a_book_follows_every_kind_of_action():
    book = pd.Series({"A": 100.0, "B": -50.0, "C": 10.0, "D": 7.0, "E": 3.0, "F": 1.0}, name="quantity")
    after, cash = adjusted_book(book, [
        event("split", "A", 7.0), event("dividend", "B", 0.5, money="USD"), event("spin_off", "C", 0.25, other="N"),
        event("merger", "D", 30.0, money="EUR"), event("delisting", "E", 0.0, money="USD"),
        event("rename", "F", 1.0, other="A", at=OPEN + pd.Timedelta("1D")),
    ])  # fmt: skip
    assert after.to_dict() == {"A": 701.0, "B": -50.0, "C": 10.0, "N": 2.5}
    assert cash.to_dict() == {"USD": -25.0, "EUR": 210.0}


def test_a_merger_into_shares_keeps_those_already_held():
    after, cash = adjusted_book(pd.Series({"A": 10.0, "B": 4.0}), [event("merger", "A", 0.5, other="B")])
    assert after.to_dict() == {"B": 9.0} and cash.empty


# ---- terms -----------------------------------------------------------------------------------------------------------


def contracts(**more):
    frame = pd.DataFrame({
        "instrument": ["A", "A-C", "A-P", "A-F", "B", "B-C"], "underlying": ["A"] * 4 + ["B"] * 2, "currency": "USD",
        "type": ["equity", "option", "option", "future", "equity", "option"],
        "multiplier": [1.0, 100.0, 100.0, 100.0, 1.0, 100.0], "strike": [np.nan, 105.0, 95.0, np.nan, np.nan, 20.0],
        "right": ["", "C", "P", "", "", "C"],
        "expiry": [pd.NaT, *[pd.Timestamp("2026-03-20T21:00:00Z")] * 3, pd.NaT, pd.Timestamp("2026-03-20T21:00:00Z")],
    } | more)  # fmt: skip
    return check_instruments(frame, OPEN - pd.Timedelta("7D"), "USD")


@pytest.mark.parametrize("ratio", [7.0, 1.5, 0.05])
def test_contracts_on_a_stock_that_splits_keep_their_value(ratio):
    before = contracts()
    after = adjusted_instruments(before, [event("split", "A", ratio)])

    def payoff(table, name, spot):
        row = table.loc[name]
        sign = {"C": 1, "P": -1}.get(row["right"])
        return row["multiplier"] * (spot if sign is None else max(sign * (spot - row["strike"]), 0.0))

    for spot in (60.0, 99.0, 130.0):
        for name in ("A-C", "A-P", "A-F"):
            assert payoff(after, name, spot / ratio) == pytest.approx(payoff(before, name, spot), rel=1e-13)
    assert after.loc[["A", "B", "B-C"]].equals(before.loc[["A", "B", "B-C"]])


def test_a_special_dividend_lowers_strikes_and_a_plain_one_does_not():
    special = event("dividend", "A", 5.0, money="USD", other="special")
    assert adjusted_instruments(contracts(), [special])["strike"].iloc[1:3].tolist() == [100.0, 90.0]
    assert adjusted_instruments(contracts(), [event("dividend", "A", 5.0, money="USD")]).equals(contracts())


def test_options_after_a_spin_off_are_on_the_basket_and_its_level_does_not_jump():
    spun = event("spin_off", "A", 0.25, other="N")
    after = adjusted_instruments(contracts(), [spun])
    assert after["underlying"].tolist() == ["A", *["A+0.25 N"] * 3, "B", "B"] and basket_name(spun) == "A+0.25 N"
    raw = levels(A=[40.0, 41.0, 33.0, 33.0], N=[np.nan, np.nan, 30.0, 31.0])
    assert basket_history(raw, spun).tolist() == [40.0, 41.0, 40.5, 40.75]


def test_renames_and_mergers_reach_what_stands_on_the_stock():
    renamed = adjusted_instruments(contracts(), [event("rename", "A", 1.0, other="AA")])
    assert renamed.index.tolist() == ["AA", "A-C", "A-P", "A-F", "B", "B-C"]
    assert renamed["underlying"].tolist() == ["AA"] * 4 + ["B"] * 2
    merged = adjusted_instruments(contracts(), [event("merger", "A", 0.5, other="B")])
    assert merged.index.tolist() == ["A-C", "A-P", "A-F", "B", "B-C"]
    assert merged.loc["A-C", ["underlying", "multiplier", "strike"]].tolist() == ["B", 50.0, 210.0]
    assert adjusted_instruments(contracts(), [event("delisting", "B", 0.0, money="USD")]).index.tolist() == [
        "A", "A-C", "A-P", "A-F", "B-C",
    ]  # fmt: skip


# ---- recorded actions -----------------------------------------------------------------------------------------------


def stock(recorded, name):
    prices = pd.read_parquet(recorded("us_corporate_actions_1998_2021") / "prices_raw_daily.parquet")
    mine = prices[prices["symbol"] == name].set_index("date")["close"]
    return mine.tz_localize("UTC").rename(name)


def through(raw, events, book, start, end):
    """P&L of a book by its prices and events, and by the adjusted history of what was held, to the cent."""
    after, cash = adjusted_book(pd.Series(book), events)
    before = sum(quantity * raw[name].loc[start] for name, quantity in book.items())
    plain = sum(quantity * raw[name].loc[end] for name, quantity in after.items()) + cash.sum() - before
    table = adjusted_history(raw, events)
    names = {name: name if name in table else next(e.other for e in events if e.instrument == name) for name in book}
    history = sum(
        quantity * raw[name].loc[start] * (table.at[end, names[name]] / table.at[start, names[name]] - 1)
        for name, quantity in book.items()
    )
    return round(plain, 2), round(history, 2)


def at(day):
    return pd.Timestamp(f"{day} 09:30", tz="America/New_York")


@pytest.mark.parametrize(
    ("name", "ratio", "last", "day", "jump"),
    [("AAPL", 7.0, "2014-06-06", "2014-06-09", 0.02), ("AIG", 0.05, "2009-06-30", "2009-07-01", 0.35),
     ("USO", 0.125, "2020-04-28", "2020-04-29", 0.2)],
)  # fmt: skip
def test_a_book_and_its_history_close_to_the_cent_through_a_split(recorded, name, ratio, last, day, jump):
    raw = stock(recorded, name).to_frame()
    split = [event("split", name, ratio, at=at(day))]
    plain, history = through(raw, split, {name: 700.0}, last, day)
    assert plain == history == round(700 * (ratio * raw.at[pd.Timestamp(day, tz="UTC"), name]
                                            - raw.at[pd.Timestamp(last, tz="UTC"), name]), 2)  # fmt: skip
    around = adjusted_history(raw, split).loc[last:day, name].pct_change().iloc[-1]
    assert abs(around) < jump < abs(raw.loc[last:day, name].pct_change().iloc[-1])


def test_googles_distribution_closes_to_the_cent(recorded):
    """2014-04-03: one class C share for each share, which went on as GOOGL; GOOG is the new line's label."""
    old, new = stock(recorded, "GOOG"), stock(recorded, "GOOGL")
    day = "2014-04-03"
    line = old.loc[:"2014-04-02"].rename("CLASS A")
    raw = pd.concat([line, new.loc[day:], old.loc[day:]], axis=1)
    events = [
        event("rename", "CLASS A", 1.0, other="GOOGL", at=at(day) - pd.Timedelta("1s")),
        event("spin_off", "GOOGL", 1.0, other="GOOG", at=at(day)),
    ]
    plain, history = through(raw, events, {"CLASS A": 10.0}, "2014-04-02", day)
    assert plain == history and abs(history) < 0.03 * 11351
    assert adjusted_history(raw, events).loc["2014-04-02":day, "GOOGL"].pct_change().abs().max() < 0.03


def test_a_spin_off_and_a_rename_close_to_the_cent(recorded):
    """News Corp 2013-07-01: FOXA goes on, a quarter of a share of the new NWSA for each; from recorded option days."""
    daily = pd.read_parquet(recorded("us_stock_options_2013_2015") / "options_daily.parquet")
    close = daily.assign(day=pd.to_datetime(daily["date"])).groupby(["underlying", "day"])["stock_close"].median()
    old, foxa = close["NWSA"].loc["2013-06-28"], close["FOXA"].loc["2013-07-02"]
    assert 32 < old < 33 and 28 < foxa < 30  # as traded
    days = pd.DatetimeIndex(["2013-06-28", "2013-07-02"], tz="UTC")
    raw = pd.DataFrame({"NWSA.OLD": [old, np.nan], "FOXA": [np.nan, foxa], "NWSA": [np.nan, 15.28]}, index=days)
    events = [event("rename", "NWSA.OLD", 1.0, other="FOXA", at=at("2013-07-01") - pd.Timedelta("1s")),
              event("spin_off", "FOXA", 0.25, other="NWSA", at=at("2013-07-01"))]  # fmt: skip
    plain, history = through(raw, events, {"NWSA.OLD": 400.0}, days[0], days[1])
    assert plain == history == round(400 * foxa + 100 * 15.28 - 400 * old, 2)


def test_every_listed_contract_after_apples_split_is_an_adjusted_one(recorded):
    daily = pd.read_parquet(recorded("us_stock_options_2013_2015") / "options_daily.parquet")
    day = pd.to_datetime(daily["date"])
    mine = daily["underlying"] == "AAPL"
    before, after = daily[mine & (day == "2014-06-06")], daily[mine & (day == "2014-06-09")]
    expiry = pd.to_datetime(before["expiry"]).dt.tz_localize("UTC") + pd.Timedelta("20h")
    table = pd.concat([
        pd.DataFrame({"instrument": ["AAPL"], "type": "equity", "underlying": "AAPL"}),
        pd.DataFrame({
            "instrument": [f"o{i}" for i in range(len(before))], "type": "option", "underlying": "AAPL",
            "multiplier": 100.0, "strike": before["strike"].astype(float).to_numpy(), "expiry": expiry.to_numpy(),
            "right": before["option_type"].astype(str).str[0].str.upper().to_numpy(),
        }),
    ])  # fmt: skip
    table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
    terms = check_instruments(table, at("2014-06-06"), "USD")
    new = adjusted_instruments(terms, [event("split", "AAPL", 7.0, at=at("2014-06-09"))]).iloc[1:]
    have = set(zip(new["expiry"].dt.strftime("%Y-%m-%d"), new["right"], new["strike"].round(2), strict=True))
    right, strike = after["option_type"].astype(str).str[0].str.upper(), after["strike"].astype(float).round(2)
    listed = zip(pd.to_datetime(after["expiry"]).dt.strftime("%Y-%m-%d"), right, strike, strict=True)
    assert len(after) == 2180 and not set(listed) - have
    assert (new["multiplier"] == 700).all()


@pytest.mark.slow
def test_recorded_total_returns_are_the_vendors_own(recorded):
    """494 names and 8 972 events: adjusted returns equal (close x split + dividend) / close before - 1."""
    folder = recorded("sp500_corporate_actions")
    prices, events = (
        pd.read_parquet(folder / "prices_2012_2017.parquet"),
        pd.read_parquet(folder / "events_1999_2017.parquet"),
    )
    close = prices.pivot(index="date", columns="symbol", values="close").tz_localize("UTC")
    close.columns = close.columns.astype(str)
    known = events[(events["date"] > "2012-01-03") & (events["date"] <= "2017-12-29")]
    happened = []
    for number, row in enumerate(known.itertuples()):
        moment = pd.Timestamp(row.date, tz="UTC") + pd.Timedelta("14h")
        if row.split_coefficient != 1:
            happened.append(event("split", row.symbol, row.split_coefficient, at=moment, name=f"s{number}"))
        if row.dividend_amount:
            paid = event("dividend", row.symbol, row.dividend_amount, at=moment - pd.Timedelta("1s"), money="USD",
                         name=f"d{number}")  # fmt: skip
            happened.append(paid)
    table = adjusted_history(close, happened)
    worst = 0.0
    for row in known.itertuples():
        place = close.index.get_loc(pd.Timestamp(row.date, tz="UTC"))
        before, now = close[row.symbol].iloc[place - 1 : place + 1]
        told = (now * row.split_coefficient + row.dividend_amount) / before - 1
        mine = table[row.symbol].iloc[place] / table[row.symbol].iloc[place - 1] - 1
        if np.isfinite(told):
            worst = max(worst, abs(told - mine))
    assert worst < 1e-12
