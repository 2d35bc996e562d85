"""Recorded American options through a split, an expiry, an early exercise and a spin-off, to the cent.

What a book gains is told here from the recorded quotes in whole cents alone, by the terms that the clearing house
publishes: a split of seven for one makes seven contracts of a hundred shares at a seventh of the strike, rounded to a
cent; what is in the money by a cent on its last day is exercised; who exercises before the ex-date earns the dividend.
"""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from recorded_nights import stock_events
from test_american_recorded import STOCKS, chain

import optihedge as oh
from optihedge.accounts.advance import Advance, advance
from optihedge.accounts.explain import PARTS
from optihedge.accounts.valuation import opening
from optihedge.errors import DataError
from optihedge.market.events import Event
from optihedge.market.snapshot import Market

CENT, NEW_YORK = Decimal("0.01"), "America/New_York"


def closing(day: str) -> pd.Timestamp:
    return pd.Timestamp(f"{day} 16:00", tz=NEW_YORK).tz_convert("UTC")


def opens(day: str) -> pd.Timestamp:
    return pd.Timestamp(f"{day} 09:30", tz=NEW_YORK).tz_convert("UTC")


def rows_of(recorded, name: str, day: str) -> pd.DataFrame:
    """What was listed after a day, by label, with the middle of its last quotes as `mid` in exact decimals."""
    rows = pd.read_parquet(recorded(STOCKS) / "options_daily.parquet")
    rows = rows[(rows["underlying"] == name) & (rows["date"] == day)].copy()
    right = rows["option_type"].astype(str).str[0].str.upper()
    rows.index = [label(*one) for one in zip(right, rows["strike"], rows["expiry"], strict=True)]
    rows["mid"] = [(money(b) + money(a)) / 2 for b, a in zip(rows["bid"].fillna(0), rows["ask"].fillna(0), strict=True)]
    return rows


def label(right: str, strike: float, expiry: pd.Timestamp) -> str:
    return f"{right}{float(strike):g}-{expiry:%y%m%d}"


def money(value: float) -> Decimal:
    """A recorded price as it was printed."""
    return Decimal(str(round(float(value), 6)))


def market_of(rows: pd.DataFrame, name: str, day: str, near: float = 0.03) -> Market:
    """The stock at its official close and its options near it that are still alive, as quoted at the end of the day."""
    close = float(rows["stock_close"].iloc[0])
    alive = rows[(rows["expiry"] > day) & (np.abs(rows["strike"] / close - 1) < near)]
    return chain(alive, close, closing(day), name, 0.002)


def to_the_cent(moved: Advance, expected: Decimal) -> None:
    assert Decimal(str(round(moved.change, 6))) == expected, (moved.change, expected)
    parts = moved.explained[list(PARTS)].to_numpy().sum()
    assert parts == pytest.approx(moved.change, abs=1e-9 * max(1.0, abs(moved.equity)))


@pytest.mark.parametrize("side", [1, -1])
def test_options_gain_through_apples_split_what_seven_new_ones_less_an_old_one_are_quoted(recorded, side):
    """Only the stock's split is told; every option near the money is held, by turns of more contracts."""
    old, new = rows_of(recorded, "AAPL", "2014-06-06"), rows_of(recorded, "AAPL", "2014-06-09")
    before, after = market_of(old, "AAPL", "2014-06-06"), market_of(new, "AAPL", "2014-06-09")
    seventh = {
        name: label(name[0], (money(row.strike) / 7).quantize(CENT, ROUND_HALF_UP), row.expiry)
        for name, row in old.iterrows()
    }
    quoted = [
        name for name in before.names[1:]
        if old.at[name, "bid"] > 0 and seventh[name] in after.names and new.at[seventh[name], "bid"] > 0
    ]  # fmt: skip
    assert len(quoted) > 100
    book = {name: side * (1 + i % 5) for i, name in enumerate(quoted)}
    split = Event(opens("2014-06-09"), "s", opens("2014-06-09"), "split", "AAPL", 7.0)
    moved = advance(opening("b", before, {**book, "AAPL": -300.0}), before, after, events=[split])
    gained = {n: 100 * q * (7 * new.at[seventh[n], "mid"] - old.at[n, "mid"]) for n, q in book.items()}
    stock = -300 * (7 * Decimal("93.70") - Decimal("645.57"))
    to_the_cent(moved, sum(gained.values(), stock))
    assert moved.state.quantities("book").to_dict() == {seventh[n]: 7.0 * q for n, q in book.items()} | {
        "AAPL": -2100.0
    }
    assert moved.state.cash == {} and not moved.notes
    told = moved.explained["total"].loc["book"]
    for name, expected in gained.items():
        assert told[name] == pytest.approx(float(expected), abs=1e-6), name


def test_what_is_in_the_money_on_its_last_day_becomes_stock_at_the_strike_and_the_rest_nothing(recorded):
    """GOOG closed at 748.40 on 24 December 2015, the last day of its weekly options."""
    old, new = rows_of(recorded, "GOOG", "2015-12-23"), rows_of(recorded, "GOOG", "2015-12-24")
    old = old[old["expiry"] == "2015-12-24"]
    before, after = market_of(old, "GOOG", "2015-12-23"), market_of(new, "GOOG", "2015-12-24")
    book = {"C740-151224": 2.0, "C745-151224": -1.0, "P752.5-151224": 3.0, "C755-151224": 4.0, "P740-151224": -5.0}
    events = [Event(closing("2015-12-24"), n, closing("2015-12-24"), "settlement", n, 748.40, other="physical")
              for n in book]  # fmt: skip
    moved = advance(opening("b", before, book), before, after, events=events)
    # 200 shares bought at 740, 100 called away at 745, 300 put at 752.50
    assert moved.state.quantities("book").to_dict() == {"GOOG": -200.0}
    assert moved.state.cash == {"book": {"USD": -200 * 740.0 + 100 * 745.0 + 300 * 752.5}}
    close = Decimal("748.40")
    paid = sum(100 * Decimal(int(q)) * old.at[n, "mid"] for n, q in book.items())
    to_the_cent(moved, 200 * (close - 740) - 100 * (close - 745) + 300 * (Decimal("752.5") - close) - paid)
    cash = [Event(e.time, e.event_id, e.known_at, e.kind, e.instrument, e.value, other="cash") for e in events]
    same = advance(opening("b", before, book), before, after, events=cash)
    assert same.change == pytest.approx(moved.change, abs=1e-6) and same.state.positions == {}


def test_who_exercises_before_the_ex_date_earns_the_dividend_and_who_is_assigned_pays_it(recorded):
    """AAPL closed at 122.00 on 4 November 2015 and at 120.92 on the 5th, ex 0.52; the call of 100 was bid at 22.00."""
    old, new = rows_of(recorded, "AAPL", "2015-11-04"), rows_of(recorded, "AAPL", "2015-11-05")
    before, after = market_of(old, "AAPL", "2015-11-04", 0.2), market_of(new, "AAPL", "2015-11-05", 0.2)
    call, evening = "C100-160115", closing("2015-11-04") + pd.Timedelta("30min")
    dividend = [e for e in stock_events(recorded("sp500_corporate_actions"), ["AAPL"], "2015-11-05", "2015-11-05")]
    assert [(e.kind, e.value) for e in dividend] == [("dividend", 0.52)]
    state = opening("b", before, {call: 3.0})
    moved = advance(state, before, after, events=[Event(evening, "x", evening, "exercise", call, 2.0), *dividend])
    was, now, close = old.at[call, "mid"], new.at[call, "mid"], Decimal("120.92")
    assert moved.state.quantities("book").to_dict() == {"AAPL": 200.0, call: 1.0}
    assert moved.state.cash == {"book": {"USD": pytest.approx(-200 * 100.0 + 200 * 0.52)}}
    to_the_cent(moved, 200 * (close - 100 + Decimal("0.52") - was) + 100 * (now - was))
    assert moved.explained["dividend"].sum() == pytest.approx(104.0, abs=1e-9)
    written = opening("b", before, {call: -3.0})
    paid = advance(written, before, after, events=[Event(evening, "x", evening, "assignment", call, 2.0), *dividend])
    to_the_cent(paid, -200 * (close - 100 + Decimal("0.52") - was) - 100 * (now - was))


def test_a_stock_and_its_options_pass_a_spin_off_with_a_rename(recorded):
    """News Corp, 28 June to 2 July 2013: a share became one of FOXA (29.21) and a quarter of the new NWSA (15.00, from
    15.25), so that an old option delivers 100 and 25 of them; its contract goes on at its strike under a new label."""
    old = rows_of(recorded, "NWSA", "2013-06-28")
    foxa = float(rows_of(recorded, "FOXA", "2013-07-02")["stock_close"].iloc[0])
    prices = pd.read_parquet(recorded("sp500_corporate_actions") / "prices_2012_2017.parquet")
    spun = prices[(prices["symbol"] == "NWSA") & (prices["date"] == "2013-07-02")]["close"].item()
    basket = money(foxa) + money(spun) / 4
    assert (foxa, spun, basket) == (29.21, 15.00, Decimal("32.96"))
    call = old.loc["C25-140118"]  # deep in the money: worth its exercise, within its quotes
    value = basket - 25
    before = listed("2013-06-28", {"NWSA.OLD": 32.60}, "NWSA.OLD", float(call["mid"]))
    after = listed("2013-07-02", {"FOXA": foxa, "NWSA": spun}, "FOXA+0.25 NWSA", float(value), level=float(basket))
    monday = opens("2013-07-01")
    renamed, moved_stock = monday - pd.Timedelta("2s"), monday - pd.Timedelta("1s")
    events = [
        Event(renamed, "o", renamed, "rename", "OPTION", 1.0, other="OPTION1"),
        Event(moved_stock, "r", moved_stock, "rename", "NWSA.OLD", 1.0, other="FOXA"),
        Event(monday, "s", monday, "spin_off", "FOXA", 0.25, other="NWSA"),
    ]
    state = opening("b", before, {"NWSA.OLD": 400.0, "OPTION": -4.0})
    moved = advance(state, before, after, events=events)
    assert moved.state.quantities("book").to_dict() == {"FOXA": 400.0, "NWSA": 100.0, "OPTION1": -4.0}
    to_the_cent(moved, 400 * (basket - Decimal("32.60")) - 400 * (value - call["mid"]))
    with pytest.raises(DataError, match=r"OPTION held but not in the market"):
        advance(state, before, after, events=events[1:])


def listed(day: str, prices: dict[str, float], underlying: str, option: float, level: float = np.nan) -> Market:
    """Stocks at their closes and the call of 25 on one, or on a basket at its level."""
    name = "OPTION" if underlying in prices else "OPTION1"
    stocks = dict(prices) if underlying in prices else {**prices, underlying: level}
    rows = [{"instrument": n, "type": "equity" if n in prices else "index", "underlying": n} for n in stocks]
    rows.append({"instrument": name, "type": "option", "underlying": underlying, "right": "C", "strike": 25.0,
                 "expiry": closing("2014-01-17"), "multiplier": 100.0})  # fmt: skip
    table = pd.DataFrame(rows)
    table["multiplier"] = table["multiplier"].fillna(1.0)
    quotes = pd.DataFrame({"instrument": [*stocks, name], "bid": [*stocks.values(), option]})
    quotes["ask"] = quotes["bid"]
    return oh.Market(table, quotes, "USD", as_of=closing(day), on_missing="freeze")
