"""American options of recorded US chains and on a future: calls and puts of one strike tell one vol, split or not."""

import numpy as np
import pandas as pd
import pytest

from optihedge.market.american import american_implied_vol, american_price
from optihedge.market.snapshot import Market

NEW_YORK = "America/New_York"
STOCKS = "us_stock_options_2013_2015"
WEEK, NEAR, READ = 5 / 365, 0.15, 0.25
APPLE = [("2014-08-07", 3.29), ("2014-11-06", 3.29), ("2015-02-05", 3.29), ("2015-05-07", 3.29), ("2015-08-06", 3.29)]


def chain(rows: pd.DataFrame, spot: float, when: pd.Timestamp, name: str, rate: float, paid=(), split=1.0) -> Market:
    """The stock at its price and its American options near it as quoted, forwards and vols left to the market.

    rows: option_type, strike, expiry (a date), bid, ask;  paid: (ex-date, cash before a split of so many for one)
    """
    rows = rows[np.abs(np.log(rows["strike"].astype(float) / spot)) < READ]
    right = rows["option_type"].astype(str).str[0].str.upper().to_numpy()
    day = pd.to_datetime(rows["expiry"]).dt.tz_localize(None)
    expiry = (day + pd.Timedelta("16h")).dt.tz_localize(NEW_YORK).dt.tz_convert("UTC").to_numpy()
    strike = rows["strike"].astype(float).to_numpy()
    names = [f"{r}{k:g}-{d:%y%m%d}" for r, k, d in zip(right, strike, day, strict=True)]
    table = pd.DataFrame({
        "instrument": [name, *names], "type": ["equity", *["option"] * len(rows)], "underlying": name, "venue": "opra",
        "multiplier": [1.0, *[100.0] * len(rows)], "strike": [np.nan, *strike], "right": ["", *right],
        "expiry": [pd.NaT, *pd.to_datetime(expiry, utc=True)],
    })  # fmt: skip
    quotes = pd.DataFrame({
        "instrument": [name, *names], "bid": [spot, *rows["bid"]], "ask": [spot, *rows["ask"]],
        "rate": [np.nan, *[rate] * len(rows)],
    })  # fmt: skip
    events = pd.DataFrame({
        "event_id": [f"d{i}" for i in range(len(paid))], "kind": "dividend", "instrument": name, "money": "USD",
        "time": [pd.Timestamp(t, tz="UTC") + pd.Timedelta("13h") for t, _ in paid], "known_at": when,
        "value": [cash / split for _, cash in paid],
    })  # fmt: skip
    drivers = pd.DataFrame({"driver": [name], "kind": "price", "underlying": name})
    return Market(table, quotes, "USD", drivers=drivers, events=events if len(paid) else None, as_of=when,
                  on_missing="freeze")  # fmt: skip


def daily(recorded, name: str, day: str, **settings) -> Market:
    rows = pd.read_parquet(recorded(STOCKS) / "options_daily.parquet")
    rows = rows[(rows["underlying"] == name) & (pd.to_datetime(rows["date"]) == day)]
    rows = rows[pd.to_datetime(rows["expiry"]) > day]
    when = pd.Timestamp(f"{day} 16:00", tz=NEW_YORK).tz_convert("UTC")
    return chain(rows, float(rows["stock_mid"].iloc[0]), when, name, **settings)


def disagreement(market: Market) -> pd.Series:
    """By call and put of one strike near the money, quoted on both sides: vols between the nearer ends of their bands,
    at most 0 where the bands of vols from bid to ask overlap."""
    c = market.contracts
    bid, ask = (market.quotes[side].to_numpy() for side in ("bid", "ask"))
    away = np.abs(np.log(np.where(c.option, c.strike, c.spot) / c.forward))
    at = np.flatnonzero(c.option & (c.years > WEEK) & (bid > 0) & (ask > bid) & (away < NEAR))
    o = c.take(at)
    low, high = (
        american_implied_vol(p[at], o.deliverable, o.strike, o.years, o.right, o.rate, o.carry, o.ex, o.cash)
        for p in (bid, ask)
    )
    frame = pd.DataFrame({
        "expiry": market.instruments["expiry"].iloc[at].to_numpy(), "strike": o.strike, "right": o.right,
        "low": np.nan_to_num(low), "high": high,
    }).dropna()  # fmt: skip
    wide = frame.pivot(index=["expiry", "strike"], columns="right", values=["low", "high"]).dropna()
    return np.maximum(wide["low", 1.0] - wide["high", -1.0], wide["low", -1.0] - wide["high", 1.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "day", "settings"),
    [
        ("AAPL", "2014-06-06", {"rate": 0.002, "paid": APPLE}),
        ("AAPL", "2014-06-09", {"rate": 0.002, "paid": APPLE, "split": 7.0}),
        ("GOOG", "2015-12-24", {"rate": 0.005}),
        ("NWSA", "2013-06-28", {"rate": 0.002}),
    ],
)
def test_calls_and_puts_of_one_strike_tell_one_vol_within_bid_and_ask(recorded, name, day, settings):
    apart = disagreement(daily(recorded, name, day, **settings))
    assert len(apart) > 30
    assert (apart <= 0).mean() > 0.97 and apart.max() < 0.02


@pytest.mark.slow
def test_a_brokers_export_whose_stock_price_is_stale_tells_its_forwards_by_parity(recorded):
    rows = pd.read_parquet(recorded("us_stock_options_nvda_2025") / "options.parquet")
    for when, mine in rows.groupby("time"):
        if mine["expiry"].nunique() < 10:
            continue
        market = chain(mine, float(mine["stock_last"].iloc[0]), when, "NVDA", 0.038, [("2026-03-11", 0.01)])
        apart = disagreement(market)
        assert len(apart) > 200 and (apart <= 0).mean() > 0.97 and apart.max() < 0.02


@pytest.mark.parametrize("at", ["2020-01-06 14:45", "2020-01-06 18:00", "2020-01-06 20:30"])
def test_american_options_on_a_future_tell_one_vol_on_the_futures_own_price(recorded, at):
    folder = recorded("es_options_minute_2020")
    options, futures = (pd.read_parquet(folder / f"{name}_minute.parquet") for name in ("options", "futures"))
    by = ["option_type", "strike"]
    options = options.sort_values("time")
    options[["bid", "ask"]] = options.groupby(by, observed=True)[["bid", "ask"]].ffill()
    rows = options[options["time"] <= at].groupby(by, observed=True).last().reset_index()
    future = futures[(futures["contract"] == "ES202003") & (futures["time"] <= at)].iloc[-1]
    right = rows["option_type"].astype(str).str[0].str.upper()
    names = [f"{r}{k:g}" for r, k in zip(right, rows["strike"], strict=True)]
    table = pd.DataFrame({
        "instrument": ["ES", "ESH0", *names], "type": ["index", "future", *["option"] * len(rows)], "underlying": "ES",
        "multiplier": [1.0, 50.0, *[50.0] * len(rows)], "venue": "cme", "strike": [np.nan, np.nan, *rows["strike"]],
        "right": ["", "", *right], "expiry": [pd.NaT, *[pd.Timestamp("2020-03-20 13:30", tz="UTC")] * (len(rows) + 1)],
        "forward": ["", "", *["ESH0"] * len(rows)],
    })  # fmt: skip
    middle = (future["bid"] + future["ask"]) / 2
    quotes = pd.DataFrame({
        "instrument": table["instrument"], "bid": [middle, future["bid"], *rows["bid"]],
        "ask": [middle, future["ask"], *rows["ask"]], "rate": [np.nan, np.nan, *[0.0155] * len(rows)],
    })  # fmt: skip
    when = pd.Timestamp(at, tz="UTC")
    market = Market(table, quotes, "USD", as_of=when, on_missing="freeze")
    assert market.contracts.american[2:].all() and market.contracts.on_future[2:].all()
    apart = disagreement(market)
    assert len(apart) > 25 and (apart <= 0).all()
    assert "parity" not in market.summary()


@pytest.mark.slow
def test_apples_split_of_seven_for_one_moves_no_profit(recorded):
    """One old contract is seven new ones at a seventh of the strike: what they gain over the weekend is what the
    stock's move and the passing days make of the old one at its own vol, within what the quotes are wide; a split
    forgotten would be six sevenths of the option."""
    before = daily(recorded, "AAPL", "2014-06-06", rate=0.002, paid=APPLE)
    after = daily(recorded, "AAPL", "2014-06-09", rate=0.002, paid=APPLE, split=7.0)
    table, quotes = before.instruments, before.quotes
    near = table.index[(np.abs(np.log(table["strike"] / 645.8)) < 0.05) & (before.contracts.years > 20 / 365)]
    near = near[(quotes.loc[near, "bid"] > 0) & before.contracts.vol[before.names.get_indexer(near)] > 0]
    new = [f"{table.at[n, 'right']}{round(table.at[n, 'strike'] / 7, 2):g}-{n.split('-')[1]}" for n in near]
    both = pd.DataFrame({"old": near, "new": new})
    both = both[both["new"].isin(after.names)]
    assert len(both) > 100
    gained = 7 * after.price[both["new"]].to_numpy() - before.price[both["old"]].to_numpy()
    o = before.contracts.take(before.names.get_indexer(both["old"]))
    spot, step = 7 * float(after.price["AAPL"]), 3 / 365
    told = (
        american_price(spot, o.strike, o.years - step, o.vol, o.right, o.rate, o.carry, o.ex - step, o.cash) - o.price
    )
    spread = 7 * (after.quotes["ask"] - after.quotes["bid"])[both["new"]].to_numpy()
    assert np.median(np.abs(gained - told) / spread) < 1.5
    assert np.median(np.abs(gained - told) / o.price) < 0.05
    assert np.corrcoef(gained, told)[0, 1] > 0.98
