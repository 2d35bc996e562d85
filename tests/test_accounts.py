"""Accounts: what happened to a book between two markets, to the cent, by cases worked by hand."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from nights import START, coin_markets, fundings, path

from optihedge.accounts.account import Account
from optihedge.accounts.advance import advance
from optihedge.accounts.explain import PARTS
from optihedge.accounts.state import Fill, Lot, Order, Report, State
from optihedge.accounts.valuation import balances, equity, model_book, opening, valued, valued_lots
from optihedge.errors import DataError
from optihedge.market.book import gross_notional
from optihedge.market.events import Event
from optihedge.market.snapshot import Market

CENT = 1e-9
DAY = pd.Timedelta(days=1)


def at(day: float) -> pd.Timestamp:
    return START + day * DAY


def market(
    day: float, prices: dict[str, float], options: dict[str, tuple] | None = None, past: dict | None = None, **columns
) -> Market:
    """Stocks at their prices, and options {label: (stock, right, strike, expiry day, price[, multiplier])}."""
    rows = [{"instrument": name, "type": "equity", "underlying": name, "mark": price} for name, price in prices.items()]
    for name, (stock, right, strike, expiry, price, *multiplier) in (options or {}).items():
        rows.append({"instrument": name, "type": "option", "underlying": stock, "right": right, "strike": strike,
                     "expiry": at(expiry), "mark": price, "multiplier": (multiplier or [100.0])[0]})  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["multiplier"] = frame.get("multiplier", pd.Series(1.0, frame.index)).fillna(1.0)
    quotes = frame[["instrument", "mark"]].assign(bid=frame["mark"] - 0.01, ask=frame["mark"] + 0.01)
    for name, values in columns.items():
        quotes[name] = frame["instrument"].map(values)
    frame["expiry"] = pd.to_datetime(frame.get("expiry"), utc=True)
    history = pd.DataFrame({name: [price] for name, price in prices.items()}, index=[at(day)])
    for name, (when, level) in (past or {}).items():
        history.loc[at(when), name] = level
    history = history.sort_index()
    return Market(frame.drop(columns="mark"), quotes, "USD", history=history.rename_axis("time"), as_of=at(day))


def event(kind: str, instrument: str, value: float, day: float, money: str = "", other: str = "", **more) -> Event:
    name = more.pop("event_id", f"{kind}-{instrument}-{day}")
    return Event(at(day), name, more.pop("known_at", at(day)), kind, instrument, value, money, other)


def fill(quantity: float, price: float, day: float, name: str = "X", fee: float = 0.0, **more) -> Fill:
    return Fill(more.get("fill_id", f"f{day}"), more.get("order_id", "o"), name, quantity, price, at(day), fee, "USD")


def closes(moved) -> None:
    """The parts sum to the change, and the total column too."""
    total = moved.explained[list(PARTS)].to_numpy().sum()
    assert total == pytest.approx(moved.change, abs=CENT * max(1.0, abs(moved.equity)))
    assert moved.explained["total"].sum() == pytest.approx(total, abs=1e-6)


def test_a_lot_gains_from_its_own_price_and_the_lots_of_a_contract_sum_to_its_gain():
    start, end = market(0, {"X": 100.0}), market(2, {"X": 107.0})
    state = opening("b", start, {"X": 10.0})
    moved = advance(state, start, end, fills=[fill(5.0, 104.0, 1, order_id="later")])
    lots = valued_lots(moved.state, end).set_index(["account", "order_id"])
    assert lots["unrealised"].to_dict() == pytest.approx({("book", ""): 70.0, ("hedge", "later"): 15.0}, abs=CENT)
    assert lots["mark"].eq(107.0).all() and lots["money"].eq("USD").all()
    assert lots["unrealised"].sum() == pytest.approx(valued(moved.state, end)["unrealised"].sum(), abs=CENT)


def test_lots_of_an_inverse_contract_gain_in_its_coin():
    start, end = coin_markets(path(2))
    state = opening("b", start, {"PERP": 30.0})
    one = valued_lots(state, end).set_index("instrument").loc["PERP"]
    size = float(end.instruments.loc["PERP", "multiplier"])
    assert one["money"] == "BTC"
    assert one["unrealised"] == pytest.approx(30.0 * size * (1 / one["price"] - 1 / one["mark"]), abs=1e-12)


# ---- options that end ------------------------------------------------------------------------------------------------


def test_an_option_in_the_money_pays_its_settlement_not_the_next_level():
    start = market(0, {"X": 105.0}, {"C": ("X", "C", 100.0, 1, 6.0), "P": ("X", "P", 100.0, 1, 1.0)})
    state = opening("b", start, {"C": 2.0, "P": -3.0})
    end = market(2, {"X": 112.0})
    settled = [event("settlement", name, 107.5, 1, other="cash") for name in ("C", "P")]
    moved = advance(state, start, end, events=settled)
    assert moved.state.cash == {"book": {"USD": pytest.approx(1_500.0, abs=CENT)}}
    assert moved.change == pytest.approx(2 * 100 * (7.5 - 6.0) + 3 * 100 * 1.0, abs=CENT)
    assert moved.closed.set_index("instrument")["gain"].to_dict() == pytest.approx({"C": 300.0, "P": 300.0})
    closes(moved)
    assert not moved.notes
    assumed = advance(state, start, end)
    assert assumed.state.cash["book"]["USD"] == pytest.approx(2 * 100 * 12.0)
    assert "no settlement event" in assumed.notes[0]


def test_an_option_that_delivers_turns_into_its_stock_at_the_strike():
    start = market(0, {"X": 52.0}, {"C": ("X", "C", 50.0, 1, 2.5), "P": ("X", "P", 60.0, 1, 8.1)})
    end = market(2, {"X": 51.0})
    state = opening("b", start, {"C": -1.0, "P": 2.0, "X": 100.0})
    events = [event("settlement", name, 53.0, 1, other="physical") for name in ("C", "P")]
    moved = advance(state, start, end, events=events)
    assert moved.state.quantities("book").to_dict() == {"X": -200.0}  # 100 called away, 200 put to the writer
    assert moved.state.cash["book"]["USD"] == pytest.approx(100 * 50.0 + 200 * 60.0)
    gained = (51.0 - 52.0) * 100 + (-(51.0 - 50.0) + 2.5) * 100 + ((60.0 - 51.0) - 8.1) * 200
    assert moved.change == pytest.approx(gained, abs=1e-9)
    closes(moved)


def test_a_call_exercised_the_day_before_a_dividend_earns_it():
    start = market(0, {"X": 100.0}, {"C": ("X", "C", 90.0, 30, 10.4)})
    end = market(2, {"X": 99.0}, {"C": ("X", "C", 90.0, 30, 9.2)})
    state = opening("b", start, {"C": 3.0})
    happened = [event("exercise", "C", 2.0, 0.9), event("dividend", "X", 2.0, 1, "USD")]
    moved = advance(state, start, end, events=happened)
    assert moved.state.quantities("book").to_dict() == {"C": 1.0, "X": 200.0}
    assert moved.state.cash["book"]["USD"] == pytest.approx(-200 * 90.0 + 200 * 2.0)
    assert moved.change == pytest.approx(200 * (99.0 - 90.0 + 2.0 - 10.4) + 100 * (9.2 - 10.4), abs=1e-9)
    assert moved.explained["dividend"].sum() == pytest.approx(400.0)
    closes(moved)
    short = advance(opening("b", start, {"C": -3.0}), start, end, events=[event("assignment", "C", 3.0, 0.9)])
    assert short.state.quantities("book").to_dict() == {"X": -300.0}
    assert short.change == pytest.approx(-300 * (99.0 - 90.0 - 10.4), abs=1e-9)
    closes(short)
    with pytest.raises(DataError, match="exercise of 4 C, but there are 3 in book"):
        advance(state, start, end, events=[event("exercise", "C", 4.0, 0.9)])
    with pytest.raises(DataError, match="there are none"):
        advance(state, start, end, events=[event("assignment", "C", 1.0, 0.9)])


# ---- corporate actions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_a_seven_for_one_split_leaves_stock_and_options_their_worth(named):
    calls = {"C700": ("X", "C", 700.0, 60, 12.5), "P595": ("X", "P", 595.0, 60, 9.1)}
    after = {"C100": ("X", "C", 100.0, 60, 12.5 / 7), "P85": ("X", "P", 85.0, 60, 1.2)}
    start, end = market(0, {"X": 645.57}, calls), market(3, {"X": 93.70}, after)
    state = opening("b", start, {"X": 100.0, "C700": -5.0, "P595": 2.0})
    events = [event("split", "X", 7.0, 2)]
    if named:
        events += [event("rename", old, 7.0, 2, other=new) for old, new in (("C700", "C100"), ("P595", "P85"))]
    moved = advance(state, start, end, events=events)
    assert moved.state.quantities("book").to_dict() == {"C100": -35.0, "P85": 14.0, "X": 700.0}
    assert moved.change == pytest.approx(700 * 93.70 - 100 * 645.57 + 2 * 100 * (7 * 1.2 - 9.1), abs=1e-7)
    stock = moved.explained.loc[("book", "X")]
    assert stock["delta"] == pytest.approx(700 * 93.70 - 64_557.0, abs=1e-7)
    assert abs(stock["unexplained"]) < 1e-7
    assert abs(moved.explained.loc[("book", "C700"), "delta"]) < 5 * 100 * 20  # follows 1.6 %, not a fall to a seventh
    closes(moved)
    lots = moved.state.lots().set_index("instrument")["price"]
    assert lots["X"] == pytest.approx(645.57 / 7) and lots["C100"] == pytest.approx(12.5 / 7)


def test_a_three_for_two_split_enlarges_the_option_contract():
    start = market(0, {"X": 60.0}, {"OPT": ("X", "C", 45.0, 60, 16.0)})
    end = market(2, {"X": 40.0}, {"OPT": ("X", "C", 30.0, 60, 10.6, 150.0)})
    moved = advance(opening("b", start, {"OPT": 2.0}), start, end, events=[event("split", "X", 1.5, 1)])
    assert moved.state.quantities("book").to_dict() == {"OPT": 2.0}
    assert moved.change == pytest.approx(2 * (150 * 10.6 - 100 * 16.0), abs=1e-9)
    closes(moved)


def test_a_split_that_nobody_told_is_refused():
    start = market(0, {"X": 60.0}, {"O": ("X", "C", 45.0, 60, 16.0)})
    with pytest.raises(DataError, match=r"the level of X at .* was 60 and is now 41"):
        restated = market(2, {"X": 40.0}, past={"X": (0, 41.0)})
        advance(opening("b", start, {"X": 1.0}), start, restated)
    other = market(2, {"X": 40.0}, {"O": ("X", "C", 30.0, 60, 10.6)})
    with pytest.raises(DataError, match=r"strike of O is 45\.0 on .* and 30\.0 on"):
        advance(opening("b", start, {"O": 1.0}), start, other)


def test_a_held_option_that_is_not_listed_is_carried_frozen_and_comes_back():
    chain = {"O": ("X", "C", 45.0, 60, 16.0), "N": ("X", "C", 50.0, 60, 14.0)}
    listed = ({}, {"O": 1.0}, {"O": 1.0}, {})  # what is left out of each day's chain
    days = [market(day, {"X": 60.0 + 0.1 * day}, {k: v for k, v in chain.items() if k not in out})
            for day, out in enumerate(listed)]  # fmt: skip
    days[3] = market(3, {"X": 60.3}, {**chain, "O": (*chain["O"][:4], 18.5)})
    state = opening("b", days[0], {"O": 1.0})
    first = advance(state, days[0], days[1])
    assert first.change == 0.0 and "O not listed" in first.notes[0]
    assert not np.isfinite(first.market.trade_cost.loc["O"]).any()
    again = State.from_text(first.state.text)  # what is carried survives the night
    second = advance(again, days[1], days[2])
    assert second.change == 0.0 and "O" in second.state.carried
    assert second.state.snapshot == days[2].hash
    third = advance(second.state, days[2], days[3])
    assert third.change == pytest.approx(250.0) and third.state.carried == {} and not third.notes
    closes(third)
    gone = advance(second.state, days[2], market(3, {"Y": 63.0}))  # its share is not listed either
    assert gone.change == 0.0 and gone.state.carried["O"]["last_time"] == days[0].as_of.isoformat()


def halted(day: float, price: float, past: dict[float, float], listed: bool = True, **others: float) -> Market:
    """A share with its past, listed or neither it nor its past, beside others."""
    given = {name: other for name, other in {"X": price, "Y": 20.0, **others}.items() if listed or name != "X"}
    told = market(day, given)
    levels = pd.DataFrame({at(when): {"X": level, "Y": 20.0 + 0.1 * when} for when, level in past.items()}).T
    both = pd.concat(
        [levels[[name for name in levels if name in given]], told.history[lambda rows: rows.index > levels.index[-1]]]
    )
    return replace(told, history=both.rename_axis("time"), on_missing="freeze")  # a past with a gap is a past


def test_a_share_that_is_nowhere_for_a_day_is_carried_at_its_last_price_and_comes_back():
    """Neither its row nor its driver is there: the others are worth what they are, and nothing of it is traded."""
    past = {-2: 48.0, -1: 49.0}
    days = [halted(0, 50.0, past), *(halted(day, 0.0, past, listed=False) for day in (1, 2))]
    days.append(halted(3, 55.0, {**past, 0: 50.0}))
    state = opening("b", days[0], {"X": 10.0, "Y": -5.0})
    first = advance(state, days[0], days[1])
    assert first.change == 0.0 and "X not listed: carried at the last mark (of 2026-01-20)" in first.notes[0]
    assert first.market.history["X"].dropna().tolist() == [48.0, 49.0]  # its risk is what it was
    assert not first.market.instruments.loc["X", "hedge"] and not np.isfinite(first.market.trade_cost.loc["X"]).any()
    paid = event("dividend", "X", 0.5, 1.5, "USD")
    second = advance(State.from_text(first.state.text), days[1], days[2], events=[paid])
    assert second.change == pytest.approx(5.0) and second.state.snapshot == days[2].hash
    third = advance(second.state, days[2], days[3])
    assert third.change == pytest.approx(50.0) and not third.state.carried and not third.notes
    for moved in (first, second, third):
        closes(moved)
    whole = advance(state, days[0], days[3], events=[paid])
    assert whole.state.cash == third.state.cash and whole.state.positions == third.state.positions


@pytest.mark.parametrize(("kind", "label", "units"), [("split", "", 4.0), ("rename", "Z", 1.0), ("rename", "Z", 0.1)])
def test_a_share_that_turns_while_it_is_halted_is_carried_at_as_much_money(kind, label, units):
    past, back = {-2: 48.0, -1: 49.0}, label or "X"
    days = [halted(0, 50.0, past), halted(1, 0.0, past, listed=False), halted(2, 0.0, past, listed=False)]
    last = market(3, {back: 55.0 / units, "Y": 20.0})
    first = advance(opening("b", days[0], {"X": 10.0}), days[0], days[1])
    turned = advance(first.state, days[1], days[2], events=[event(kind, "X", units, 1.5, other=label)])
    assert turned.change == pytest.approx(0.0, abs=1e-9) and turned.state.quantities().to_dict() == {back: 10.0 * units}
    assert turned.market.levels[back] * units == pytest.approx(50.0)
    assert (turned.market.history[back].dropna() * units).tolist() == pytest.approx([48.0, 49.0])
    done = advance(State.from_text(turned.state.text), days[2], last)
    assert done.change == pytest.approx(50.0) and not done.state.carried
    for moved in (turned, done):
        closes(moved)


@pytest.mark.parametrize("row", [{}, {0.5: np.nan}])
def test_a_split_that_nobody_told_is_found_after_a_halt_too(row):
    past = {-2: 48.0, -1: 49.0, **row}
    days = [halted(0, 50.0, past), halted(1, 0.0, past, listed=False), halted(2, 25.0, {-2: 24.0, -1: 24.5, **row})]
    first = advance(opening("b", days[0], {"X": 10.0}), days[0], days[1])
    with pytest.raises(DataError, match=r"the level of X at .* was 49 and is now 24\.5"):
        advance(first.state, days[1], days[2])


def test_a_share_that_stays_away_has_to_be_quoted_or_ended_and_can_be():
    past = {-2: 48.0, -1: 49.0}
    days = [halted(day, 50.0, past, listed=day == 0) for day in (0, 14, 15)]
    state = advance(opening("b", days[0], {"X": 10.0}), days[0], days[1]).state
    with pytest.raises(
        DataError, match=r"X and the prices of X are missing since 2026-01-20.*for 14 days: add its rows"
    ):
        advance(state, days[1], days[2])
    ended = advance(state, days[1], days[2], events=[event("delisting", "X", 3.0, 15, "USD")])
    quoted = advance(state, days[1], halted(15, 3.0, past))
    assert ended.change == quoted.change == pytest.approx(10 * (3.0 - 50.0))
    assert ended.state.cash == {"book": {"USD": 30.0}} and not ended.state.carried


def test_a_spin_off_is_worth_what_both_are():
    start, end = market(0, {"NWSA": 32.0, "FOXA": 1.0}), market(2, {"NWSA": 15.2, "FOXA": 28.9})
    state = opening("b", start, {"NWSA": 400.0})
    moved = advance(state, start, end, events=[event("spin_off", "NWSA", 0.25, 1, other="FOXA")])
    assert moved.state.quantities("book").to_dict() == {"FOXA": 100.0, "NWSA": 400.0}
    assert moved.change == pytest.approx(400 * 15.2 + 100 * 28.9 - 400 * 32.0, abs=1e-9)
    assert moved.explained.loc[("book", "NWSA"), "delta"] == pytest.approx(moved.change, abs=1e-9)
    closes(moved)
    lots = moved.state.lots().set_index("instrument")
    assert lots["price"] @ lots["quantity"] == pytest.approx(400 * 32.0)  # the cost is shared out, none is lost
    part = 0.25 * 28.9 / (15.2 + 0.25 * 28.9)
    assert lots.at["FOXA", "price"] == pytest.approx(32.0 * part / 0.25)


def test_mergers_pay_in_shares_or_cash_and_a_rename_changes_a_label():
    start = market(0, {"A": 20.0, "B": 50.0, "C": 10.0, "D": 5.0})
    end = market(2, {"B": 52.0, "E": 5.5})
    state = opening("b", start, {"A": 100.0, "C": -30.0, "D": 200.0, "B": 10.0})
    events = [
        event("merger", "A", 0.4, 1, other="B"), event("dividend", "A", 1.5, 0.9, "USD"),
        event("merger", "C", 11.25, 1, "USD"), event("rename", "D", 1.0, 1, other="E"),
    ]  # fmt: skip
    moved = advance(state, start, end, events=events)
    assert moved.state.quantities("book").to_dict() == {"B": 50.0, "E": 200.0}
    assert moved.state.cash["book"]["USD"] == pytest.approx(150.0 - 30 * 11.25)
    gained = 40 * 52.0 - 2_000.0 + 150.0 + 10 * 2.0 - 30 * 1.25 + 200 * 0.5
    assert moved.change == pytest.approx(gained, abs=1e-9)
    closes(moved)


def test_a_delisted_stock_pays_its_last_value():
    start, end = market(0, {"X": 3.0, "Y": 1.0}), market(2, {"Y": 1.0})
    moved = advance(opening("b", start, {"X": 50.0}), start, end, events=[event("delisting", "X", 0.4, 1, "USD")])
    assert moved.state.positions == {} and moved.change == pytest.approx(50 * (0.4 - 3.0))
    closes(moved)


# ---- coin contracts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leave", "coin"), [(10_500.0, 0.476190), (9_500.0, -0.526316)])
def test_an_inverse_perpetual_gains_in_coin(leave, coin):
    spots = np.array([10_000.0, leave])
    start, end = coin_markets(spots / 1.0005)
    trades = [Fill("a", "o", "PERP", 10_000, 10_000.0, START + pd.Timedelta(hours=1)),
              Fill("b", "o", "PERP", -10_000, leave, START + pd.Timedelta(hours=2))]  # fmt: skip
    moved = advance(opening("b", start, {"COIN": 1.0}), start, end, trades)
    assert moved.state.cash["hedge"]["BTC"] == pytest.approx(coin, abs=5e-7)
    assert moved.closed["gain"].tolist() == [pytest.approx(100_000 * (1 / 10_000 - 1 / leave), abs=1e-12)]
    closes(moved)
    held = advance(opening("b", start, {"COIN": 1.0}), start, end, trades[:1])
    assert valued(held.state, end).set_index("instrument").at["PERP", "value"] == pytest.approx(coin, abs=5e-7)


@pytest.mark.parametrize(("hours", "percent"), [(8, 10.95), (4, 21.90), (1, 87.60)])
def test_a_year_of_funding_at_one_basis_point(hours, percent):
    start, end = coin_markets(np.array([10_000.0, 10_100.0]), hours=365 * 24)
    count = 365 * 24 // hours
    paid = [Event(START + pd.Timedelta(hours=hours * (i + 1)), f"{i}", START, "funding", "LIN", 1e-4 * 10_000, "USD")
            for i in range(count)]  # fmt: skip
    moved = advance(opening("b", start, {"LIN": -1.0}), start, end, events=paid)
    assert moved.state.cash["book"]["USD"] == pytest.approx(percent / 100 * 10_000, abs=1e-6)
    closes(moved)


def test_funding_is_paid_on_what_is_held_at_its_instant():
    start, end = coin_markets(np.array([10_000.0, 10_100.0]))
    trades = [Fill("a", "o", "LIN", 2.0, 10_010.0, START + pd.Timedelta(hours=9)),
              Fill("b", "o", "LIN", -1.5, 10_020.0, START + pd.Timedelta(hours=17))]  # fmt: skip
    paid = [Event(START + pd.Timedelta(hours=h), f"e{h}", START, "funding", "LIN", v, "USD")
            for h, v in ((8, 1.0), (16, 2.0), (24, -3.0))]  # fmt: skip
    moved = advance(opening("b", start), start, end, trades, events=paid)
    assert moved.explained["funding"].sum() == pytest.approx(-(0.0 * 1.0 + 2.0 * 2.0 + 0.5 * -3.0))
    closes(moved)


def test_what_the_model_sees_of_a_coin_book_is_its_delta_in_both_forms():
    spots = path(3, seed=5)
    markets = coin_markets(spots)
    state = opening("b", markets[0], {"C1": 4.0, "P1": -2.0, "FUT1": 300.0, "COIN": 1.5})
    trade = Fill("a", "o", "PERP", -4_000.0, float(markets[0].price["PERP"]), START + pd.Timedelta(hours=1))
    state = advance(state, markets[0], markets[1], [trade]).state
    end = markets[1]
    book = model_book(state, end)
    ours = float(book @ end.exposures["delta"][book.index]) / float(end.levels["BTC"])  # coin
    frame = valued(state, end).groupby("instrument")[["quantity", "value"]].sum()
    price, spot = end.price, float(end.levels["BTC"])
    options = [name for name in ("C1", "P1")]
    outright = end.sensitivities.outright / spot
    black = pd.Series(outright, end.names)[options]  # delta_BS per contract, from the spot
    inverse = sum(frame.at[n, "quantity"] * 10.0 / price[n] for n in ("FUT1", "PERP"))
    whole = frame["value"].sum()  # equity in coin
    first = whole + frame.loc[options, "quantity"] @ (black - price[options]) + inverse
    cash = frame.at["BTC", "value"] + frame.loc[["FUT1", "PERP"], "value"].sum()
    second = cash + frame.loc[options, "quantity"] @ black + inverse
    assert first == pytest.approx(second, abs=1e-12)
    assert ours == pytest.approx(second, rel=1e-9)


def test_the_model_sees_every_balance_that_the_market_lists_and_shares_leave_base_money_out():
    """What was given comes back, coin and dollars too; two purses of one money are one balance."""
    base = coin_markets(path(1))[0]
    table, book = base.instruments, {"C0": -3.0, "LIN": 2.0, "PERP": -40.0, "COIN": 2.0, "USD": 5e5}
    seen = model_book(opening("b", base, book), base)
    assert {name: amount for name, amount in seen.items() if amount} == book
    assert (
        gross_notional(base, seen) == gross_notional(base, seen.drop("USD")) > gross_notional(base, seen.drop("COIN"))
    )
    purse = pd.concat([table, table.loc[["USD"]].rename(index={"USD": "OTHER"})])
    market = Market(purse.reset_index(), base.quotes.drop(index=["USD", "COIN"]).reset_index(), "USD", as_of=base.as_of)
    assert opening("b", market, {"USD": 5e5, "OTHER": 1e5}).cash == {"book": {"USD": 6e5}}


# ---- money -----------------------------------------------------------------------------------------------------------


def euros(day: float, price: float, pair: float) -> Market:
    table = pd.DataFrame({"instrument": ["SAP", "EURUSD", "EUR"], "type": ["equity", "spot", "cash"],
                          "underlying": ["SAP", "EUR", "EUR"], "currency": ["EUR", "USD", "EUR"]})  # fmt: skip
    quotes = pd.DataFrame({"instrument": ["SAP", "EURUSD"], "mark": [price, pair]})
    quotes = quotes.assign(bid=quotes["mark"], ask=quotes["mark"])
    drivers = pd.DataFrame({"driver": ["SAP", "EURUSD"], "kind": ["price", "fx"], "underlying": ["SAP", "EUR"],
                            "currency": ["EUR", "USD"]})  # fmt: skip
    history = pd.DataFrame({"SAP": [price], "EURUSD": [pair]}, index=[at(day)]).rename_axis("time")
    return Market(table, quotes, "USD", drivers=drivers, history=history, as_of=at(day))


def test_foreign_cash_moves_with_its_currency():
    start, end = euros(0, 50.0, 1.10), euros(1, 55.0, 1.20)
    state = opening("b", start, {"EUR": 1_000.0})
    moved = advance(state, start, end, [Fill("a", "o", "SAP", 10.0, 50.5, at(0.1), 2.0, "EUR")])
    assert moved.state.cash == {"book": {"EUR": 1_000.0}, "hedge": {"EUR": -507.0}}
    assert moved.change == pytest.approx(1_000 * 0.1 + (550.0 - 507.0) * 1.2, abs=1e-9)
    assert moved.explained.loc[("book", "EUR"), "currency"] == pytest.approx(100.0)
    assert moved.explained["fill"].sum() == pytest.approx(-(5.0 + 2.0) * 1.2)
    assert moved.explained.loc[("hedge", "EUR"), "currency"] == pytest.approx(-500.0 * 0.1)
    closes(moved)
    assert model_book(moved.state, end).to_dict() == pytest.approx({"SAP": 10.0, "EUR": 493.0})


def test_interest_is_simple_and_paid_when_the_rate_is_told_again():
    one, two, three = (market(day, {"X": 10.0}) for day in (0, 73, 146))
    told = [Event(at(0.0) + pd.Timedelta(seconds=1), "r1", at(0), "interest", "", 0.05, "USD"),
            Event(at(146), "r2", at(0), "interest", "", 0.0, "USD")]  # fmt: skip
    funded = State(book="b", seq=0, as_of=one.as_of, cash={"hedge": {"USD": 1_000.0}})
    first = advance(funded, one, two, events=told)
    assert first.explained["interest"].sum() == pytest.approx(10.0, abs=1e-5)
    assert first.state.cash["hedge"]["USD"] == 1_000.0  # not paid yet
    second = advance(first.state, two, three, events=told)
    assert second.state.cash["hedge"]["USD"] == pytest.approx(1_020.0, abs=1e-5)
    whole = advance(funded, one, three, events=told)
    assert whole.state.cash == second.state.cash


def test_shorts_pay_borrow_on_their_value():
    start, end = (market(day, {"X": 50.0}, borrow_rate={"X": 0.02}) for day in (0, 73))
    moved = advance(opening("b", start, {"X": -100.0}), start, end)
    assert moved.change == pytest.approx(-100 * 50 * 0.02 * 0.2, abs=1e-9)
    assert moved.explained["borrow"].sum() == pytest.approx(-20.0)
    closes(moved)
    assert advance(opening("b", start, {"X": 100.0}), start, end).change == 0.0


def test_margin_moved_into_an_account_is_a_transfer():
    start, end = market(0, {"X": 50.0}), market(1, {"X": 50.0})
    moved = advance(opening("b", start), start, end, events=[event("margin", "", 500.0, 0.5, "USD", "hedge")])
    assert moved.state.cash == {"hedge": {"USD": 500.0}} and moved.explained["transfer"].sum() == 500.0
    closes(moved)


# ---- fills, orders, lots ---------------------------------------------------------------------------------------------


def test_lots_are_closed_first_in_first_out_and_turn_over_to_the_other_side():
    start, end = market(0, {"X": 50.0}), market(1, {"X": 52.0})
    trades = [fill(10.0, 50.0, 0.1), fill(5.0, 51.0, 0.2), fill(-12.0, 53.0, 0.3), fill(-8.0, 54.0, 0.4)]
    moved = advance(opening("b", start), start, end, trades)
    closed = moved.closed
    assert closed["quantity"].tolist() == [10.0, 2.0, 3.0]
    assert closed["gain"].tolist() == pytest.approx([30.0, 4.0, 9.0])
    assert [(lot.quantity, lot.price) for lot in moved.state.positions["hedge"]["X"]] == [(-5.0, 54.0)]
    unrealised = valued(moved.state, end)["unrealised"].sum()
    assert moved.change == pytest.approx(closed["gain"].sum() + unrealised)
    closes(moved)


def test_a_fill_costs_its_price_less_the_mark_and_its_fee():
    start, end = market(0, {"X": 50.0}), market(1, {"X": 52.0})
    moved = advance(opening("b", start), start, end, [fill(10.0, 50.3, 0.1, fee=0.7)])
    row = moved.explained.loc[("hedge", "X")]
    assert row["fill"] == pytest.approx(-10 * 0.3 - 0.7) and row["delta"] == pytest.approx(20.0)
    closes(moved)


def test_a_fill_from_before_the_state_is_late_and_one_that_comes_again_is_once():
    days = [market(day, {"X": 50.0 + day}) for day in range(3)]
    state = advance(opening("b", days[0]), days[0], days[1], [fill(10.0, 50.3, 0.1)]).state
    late = fill(4.0, 50.1, 0.5, fill_id="late")
    moved = advance(state, days[1], days[2], [late, late, fill(10.0, 50.3, 0.1)])
    assert moved.state.quantities().to_dict() == {"X": 14.0}
    assert moved.explained.loc[("hedge", "X"), "late"] == pytest.approx(4 * (51.0 - 50.1))
    assert moved.explained["fill"].sum() == 0.0
    closes(moved)
    with pytest.raises(DataError, match="came before with other figures"):
        advance(state, days[1], days[2], [fill(9.0, 50.3, 0.1)])
    with pytest.raises(DataError, match="is after the market"):
        advance(state, days[1], days[2], [fill(9.0, 50.3, 2.5)])
    with pytest.raises(DataError, match="older than 31 days"):
        advance(state, days[1], days[2], [fill(9.0, 50.3, -31)])


def test_a_bust_takes_a_fill_back_at_its_own_price():
    days = [market(day, {"X": 50.0 + day}) for day in range(3)]
    state = advance(opening("b", days[0]), days[0], days[1], [fill(10.0, 50.3, 0.1, fee=1.0)]).state
    bust = event("bust", "X", 10.0, 1.5, other="f0.1")
    moved = advance(state, days[1], days[2], events=[bust])
    assert moved.state.positions == {} and moved.state.cash == {}
    assert moved.equity == pytest.approx(0.0, abs=CENT)
    closes(moved)
    with pytest.raises(DataError, match="not among those applied"):
        advance(state, days[1], days[2], events=[event("bust", "X", 10.0, 1.5, other="nobody")])


def test_an_order_is_left_until_its_fills_or_its_final_word():
    start, end = market(0, {"X": 50.0}), market(1, {"X": 52.0})
    orders = tuple(Order(name, "X", 10.0, 10.0, 51.0, START) for name in ("a", "b", "c"))
    state = State(book="b", seq=1, as_of=start.as_of, orders=orders)
    trades = [fill(10.0, 50.0, 0.1, order_id="a"), fill(4.0, 50.0, 0.2, order_id="b"),
              fill(4.0, 50.0, 0.3, order_id="c")]  # fmt: skip
    moved = advance(state, start, end, trades, [Report("c", at(0.5), "cancelled")])
    assert [(order.order_id, order.left) for order in moved.state.orders] == [("b", 6.0)]
    assert moved.state.orders[0].quantity - moved.state.orders[0].left == 4.0  # fills + left = quantity
    with pytest.raises(DataError, match="order b: 11 X were filled of 10"):
        advance(state, start, end, [fill(11.0, 50.0, 0.1, order_id="b")])


def test_what_the_client_brings_or_takes_is_no_profit():
    start, end = market(0, {"X": 50.0, "Y": 20.0}), market(1, {"X": 52.0, "Y": 21.0})
    state = opening("b", start, {"X": 100.0})
    moved = advance(state, start, end, client=pd.Series({"X": 60.0, "Y": 10.0}))
    assert moved.state.quantities("book").to_dict() == {"X": 60.0, "Y": 10.0}
    assert moved.explained["transfer"].sum() == pytest.approx(-40 * 52.0 + 10 * 21.0)
    assert moved.change - moved.explained["transfer"].sum() == pytest.approx(200.0)
    assert moved.state.cash == {}
    closes(moved)


# ---- laws ------------------------------------------------------------------------------------------------------------


def desk(base: str = "USD", hours: float = 24.0, rename=str):
    spots = path(3, seed=7)
    markets = coin_markets(spots, base, hours, rename)
    book = {rename(k): v for k, v in {"C0": -3.0, "P1": 2.0, "FUT1": 500.0, "LIN": 1.0, "COIN": 2.0}.items()}
    trades = [
        Fill("f1", "o1", rename("PERP"), -6_000, float(spots[0]) * 1.0007, START + pd.Timedelta(hours=1), 1e-4, "BTC"),
        Fill("f2", "o2", rename("LIN"), -2.0, float(spots[0]), START + pd.Timedelta(hours=20), 3.0, "USD"),
        Fill("f3", "o1", rename("PERP"), 8_000, float(spots[1]), START + pd.Timedelta(hours=30), 1e-4, "BTC"),
    ]
    return markets, opening("b", markets[0], book), trades, fundings(spots, hours, rename)


@pytest.mark.parametrize("base", ["USD", "BTC"])
def test_splitting_a_period_changes_neither_profit_nor_funding_nor_cash(base):
    (one, two, three), state, trades, paid = desk(base)
    half = advance(state, one, two, trades[:2], events=paid)
    rest = advance(half.state, two, three, trades[2:], events=paid)
    whole = advance(state, one, three, trades, events=paid)
    assert whole.change == pytest.approx(half.change + rest.change, rel=1e-12, abs=1e-9)
    for account in ("book", "hedge"):
        for money in ("USD", "BTC"):
            parts = [moved.cash.get(account, {}).get(money, 0.0) for moved in (whole.state, rest.state)]
            assert parts[0] == pytest.approx(parts[1], rel=1e-13, abs=1e-12)
    assert whole.state.positions == rest.state.positions
    if base == "BTC":  # funding of the coin contract, in coin
        funding = [m.explained.xs("PERP", level="instrument")["funding"].sum() for m in (half, rest, whole)]
        assert funding[2] == pytest.approx(funding[0] + funding[1], rel=1e-12)


def test_order_of_what_is_given_and_splitting_fills_change_nothing():
    (one, two, _), state, trades, paid = desk()
    trades = trades[:2]
    first = advance(state, one, two, trades, events=paid)
    shuffled = advance(state, one, two, trades[::-1], events=[*paid[::-1], *paid])
    assert shuffled.state.hash == first.state.hash
    parts = [Fill(f"{f.fill_id}-{i}", f.order_id, f.instrument, f.quantity / 2, f.price, f.time, f.fee / 2, f.money)
             for f in trades for i in range(2)]  # fmt: skip
    split = advance(state, one, two, parts, events=paid)
    assert split.state.positions == first.state.positions
    assert split.change == pytest.approx(first.change, rel=1e-12)
    pd.testing.assert_frame_equal(split.explained, first.explained, rtol=1e-9, atol=1e-9)


def test_other_labels_change_nothing_else():
    (one, two, _), state, trades, paid = desk()
    first = advance(state, one, two, trades[:2], events=paid)

    def other(name):
        return name if name in ("COIN", "USD") else f"z{name[::-1]}"

    (there, then, _), renamed, trades, paid = desk(rename=other)
    second = advance(renamed, there, then, trades[:2], events=paid)
    assert second.change == pytest.approx(first.change, rel=1e-13)
    assert {other(k): v for k, v in first.state.quantities().items()} == second.state.quantities().to_dict()
    assert first.state.cash == second.state.cash


def test_a_state_survives_its_text():
    (one, two, _), state, trades, paid = desk()
    moved = advance(state, one, two, trades[:2], events=paid).state
    again = State.from_text(moved.text)
    assert again.hash == moved.hash and again.text == moved.text
    assert again.positions["hedge"]["PERP"][0].time == moved.positions["hedge"]["PERP"][0].time
    with pytest.raises(DataError, match="this is no state's text"):
        State.from_text("{}")


def test_impossible_states_and_markets_out_of_order_are_refused():
    (one, two, _), state, _, _ = desk()
    with pytest.raises(DataError, match="is not after"):
        advance(state, one, one)
    with pytest.raises(DataError, match="the state is as of"):
        advance(state, two, two)
    with pytest.raises(DataError, match="not of one sign"):
        lots = tuple(state.positions["book"]["C0"]) + tuple(state.positions["book"]["P1"])
        State(book="b", seq=0, as_of=one.as_of, positions={"book": {"C0": lots}})
    with pytest.raises(DataError, match="quantity is 0"):
        Fill("a", "o", "X", 0.0, 1.0, START)
    with pytest.raises(DataError, match="price is nan"):
        Fill("a", "o", "X", 1.0, np.nan, START)
    assert balances(state, one).keys() >= {"BTC"}
    assert equity(state, one) == pytest.approx(valued(state, one)["base"].sum())


def test_an_account_that_follows_another_is_the_account_of_its_lots() -> None:
    one = {
        "A": (Lot(2.5, 10.0, START),),
        "B": (Lot(1.0, 5.0, START), Lot(0.25, 6.0, START)),
        "C": (Lot(-3.0, 7.0, START),),
    }
    before = Account(one)
    lots = {"A": (*one["A"], Lot(0.5, 11.0, START)), "B": one["B"], "D": (Lot(-1.0, 2.0, START),)}
    after, alone = Account.after(before, lots, "hedge"), Account(lots)
    assert after == alone and after.held == alone.held == {"A": 3.0, "B": 1.25, "D": -1.0}
    assert after.text == alone.text and after.names == ("A", "B", "D")
    np.testing.assert_array_equal(after.quantities, [3.0, 1.25, -1.0])
    np.testing.assert_array_equal(after.places({"B": 4, "A": 7}), [7, 4, -1])
    with pytest.raises(DataError, match="lots of A in account hedge are not of one sign"):
        Account.after(before, {"A": (*one["A"], Lot(-1.0, 9.0, START))}, "hedge")
    assert pickle.loads(pickle.dumps(after)) == alone
