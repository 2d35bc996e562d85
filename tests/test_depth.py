"""What a market shows is walked to the cent; beyond it the cost goes on by the square root law, never into a wall."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, stocks
from recorded_markets import deribit_market, deribit_snapshots
from said import said

import optihedge as oh
from optihedge.errors import DataError
from optihedge.market.costs import trading_costs
from optihedge.market.depth import IMPACT, beyond_hinges, displayed, impact_law, odd_books
from optihedge.market.quotes import check_depth
from optihedge.trades.checks import Checks
from optihedge.trades.line_limits import line_limits


def book_market(levels: pd.DataFrame, index: float, **given: object) -> oh.Market:
    """A market of recorded order books: instrument, type, multiplier, underlying, side, price, size; USD, no mark."""
    best = levels.sort_values(["instrument", "level"]).groupby(["instrument", "side"], observed=True)["price"].first()
    best = best.unstack().reindex(columns=["bid", "ask"])
    best = best.where(best.notna().all(axis=1), np.nan).dropna()
    table = levels.drop_duplicates("instrument").set_index("instrument").loc[best.index]
    columns = [c for c in ("type", "multiplier", "underlying", "expiry", "strike", "right") if c in table]
    spots = {name: index for name in table["underlying"].unique()} if np.isscalar(index) else index
    listed = pd.DataFrame({"type": "index", "underlying": list(spots)}, index=[f"{u}-INDEX" for u in spots])
    quotes = pd.concat([best, pd.DataFrame({"mark": list(spots.values())}, index=listed.index)])
    depth = levels[levels["instrument"].isin(best.index)][["instrument", "side", "price", "size"]]
    instruments = pd.concat([table[columns], listed]).assign(currency="USD")
    return oh.Market(instruments.rename_axis("instrument"), quotes.rename_axis("instrument"), "USD", depth=depth,
                     **given)  # fmt: skip


def recorded_books(recorded, per: int, most: int = 100) -> list[oh.Market]:
    """Binance at some seconds, ES after its opening, Deribit's options: books as the venues sent them."""
    markets = []
    books = pd.read_parquet(recorded("binance_l2_2024") / "books.parquet")
    types = {"SPOT": "spot", "PERP": "perpetual"}
    for time in sorted(books["time"].unique())[9::per][:most]:
        now = books[books["time"] == time].astype({"instrument": str, "side": str})
        kind = now["instrument"].str[-4:].map(types).where(~now["instrument"].str.contains("_"), "inverse_perpetual")
        coin = now["instrument"].str[:3]
        size = np.where(kind == "inverse_perpetual", np.where(coin == "BTC", 100.0, 10.0), 1.0)
        spots = now[kind == "spot"].groupby(coin)["price"].median().to_dict()
        markets.append(book_market(now.assign(type=kind, multiplier=size, underlying=coin), spots, as_of=time))
    books = pd.read_parquet(recorded("es_depth_2023") / "books.parquet").astype({"side": str})
    for time in sorted(books.loc[books["time"] > "2023-12-25T23:00:05Z", "time"].unique())[::per][:most]:
        now = books[books["time"] == time].assign(instrument="ESH4", type="future", multiplier=50.0, underlying="SPX",
                                                  expiry=pd.Timestamp("2024-03-15T13:30:00Z"))  # fmt: skip
        markets.append(book_market(now, 4800.0, as_of=time))
    books = pd.read_parquet(recorded("deribit_option_books_2021") / "books.parquet")
    now = books.astype({"instrument_name": str, "side": str}).rename(columns={"instrument_name": "instrument",
                                                                              "amount": "size"})  # fmt: skip
    parts = now["instrument"].str.split("-", expand=True)
    now = now.assign(
        type="inverse_option",
        multiplier=1.0,
        underlying=parts[0],
        strike=parts[2].astype(float),
        right=parts[3],
        expiry=pd.to_datetime(parts[1], format="%d%b%y", utc=True) + pd.Timedelta("8h"),
    )
    tickers = pd.read_parquet(recorded("deribit_option_books_2021") / "tickers.parquet")
    spots = tickers.groupby(tickers["instrument_name"].astype(str).str[:3])["index_price"].median().to_dict()
    spots = {coin: spots[coin] for coin in now["underlying"].unique()}
    markets.append(book_market(now, spots, as_of=books["time"].max(), on_missing="freeze"))
    return markets


def walked(market: oh.Market, name: str, trade: float) -> float:
    """What a trade pays beyond the mark, level by level as a venue fills it, base currency; plain arithmetic."""
    book = market.depth[market.depth["instrument"] == name]
    side = book[book["side"] == ("ask" if trade > 0 else "bid")].sort_values("price", ascending=trade > 0)
    table, mark, left, paid = market.instruments.loc[name], float(market.price[name]), abs(trade), 0.0
    spot = float(market.levels.get(table["underlying"], market.price[f"{table['underlying']}-INDEX"]))
    for price, size in zip(side["price"], side["size"], strict=True):
        taken = min(left, size)
        if table["type"] == "inverse_perpetual":
            each = spot * abs(1 / mark - 1 / price)
        else:
            each = abs(price - mark) * (spot if table["type"] == "inverse_option" else 1.0)
        paid, left = paid + taken * table["multiplier"] * each, left - taken
    assert left <= 1e-9
    return paid


def check_walks(markets: list[oh.Market], count: int, seed: int = 0) -> None:
    """Random trades in every instrument of every market, in turn, until there are `count` of them."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        for market in markets:
            names = pd.Index(market.depth["instrument"].unique())
            side = rng.integers(2, size=len(names))
            shown = displayed(market, names)[np.arange(len(names)), side]
            trades = pd.Series((2.0 * side - 1) * rng.uniform(0, 1, len(names)) ** 3 * shown, index=names)
            told = trading_costs(market, trades)[["spread", "depth"]].sum(axis=1)
            for name, trade in trades.items():
                assert told[name] == pytest.approx(walked(market, name, trade), abs=0.005), (name, trade)
            made += len(names)


def test_a_trade_costs_what_walking_the_recorded_book_costs_to_the_cent(recorded) -> None:
    check_walks(recorded_books(recorded, per=200), 200)


@pytest.mark.slow
def test_ten_thousand_trades_cost_what_walking_all_recorded_books_costs_to_the_cent(recorded) -> None:
    check_walks(recorded_books(recorded, per=1, most=10_000), 10_000, seed=1)


def test_what_is_told_is_what_the_next_recorded_book_charges_within_a_basis_point_or_two(recorded) -> None:
    """Told by walking one book, paid by walking the next (a second later, ES five), each against its own mid."""
    rng, apart = np.random.default_rng(3), []
    books = recorded_books(recorded, per=1, most=5)
    for now, later in pairwise(books):
        if not 0 < (later.as_of - now.as_of).total_seconds() <= 6:
            continue
        names = pd.Index(now.depth["instrument"].unique())
        for _ in range(6):
            side = rng.integers(2, size=len(names))
            most = np.minimum(*(displayed(one, names)[np.arange(len(names)), side] for one in (now, later)))
            trades = pd.Series((2.0 * side - 1) * rng.uniform(0, 1, len(names)) ** 3 * most, index=names)
            told, paid = (trading_costs(one, trades)[["spread", "depth"]].sum(axis=1) for one in (now, later))
            apart.append(1e4 * (paid - told) / (trades.abs() * now.notional[names]))
    apart = pd.concat(apart)
    assert len(apart) > 150
    assert apart.abs().median() < 0.25 and apart.abs().quantile(0.95) < 2.0 and abs(apart.mean()) < 0.25


def shown_stocks(levels: int = 3, volume: float = 1e6) -> oh.Market:
    """Two stocks, S1 with an order book of three levels of 10, 20, 40 contracts a side and a daily volume."""
    market = stocks(2)
    mid, quotes = float(market.price["S1"]), market.quotes.copy()
    steps = np.array([0.1, 0.3, 0.9])[:levels]
    rows = [("S1", side, mid + sign * step, size) for side, sign in (("ask", 1), ("bid", -1))
            for step, size in zip(steps, (10.0, 20.0, 40.0), strict=False)]  # fmt: skip
    quotes.loc["S1", ["bid", "ask", "volume"]] = [mid - 0.1, mid + 0.1, volume]
    return replace(market, quotes=quotes, depth=pd.DataFrame(rows, columns=["instrument", "side", "price", "size"]))


@pytest.mark.parametrize("level", range(6))
def test_doubling_a_level_never_raises_a_cost(level: int) -> None:
    market = shown_stocks()
    depth = market.depth.copy()
    depth.loc[level, "size"] *= 2
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.SpreadCost(), oh.DepthCost()))
    trades = np.concatenate([-np.geomspace(1, 5000, 60), np.geomspace(1, 5000, 60)])
    cost = lambda m, x: model.problem(m, {"S0": 1e4}).program.trading(np.array([0.0, x]))[1]  # noqa: E731
    thin, thick = (np.array([cost(m, x) for x in trades]) for m in (market, replace(market, depth=depth)))
    assert (thick <= thin + 1e-9).all() and (thick < thin - 1e-9).any()


def test_the_law_is_the_integral_of_a_square_root_exact_at_powers_of_two() -> None:
    kinks, between = 2.0 ** np.arange(-12, 3), np.geomspace(2.0**-12, 4.0, 500)
    assert impact_law(kinks) == pytest.approx(kinks**1.5, rel=1e-12)
    assert (impact_law(between) >= between**1.5 * (1 - 1e-12)).all()
    assert (impact_law(between) <= 1.05 * between**1.5).all()
    assert (np.diff(impact_law(np.linspace(0, 8, 4000)), 2) >= -1e-12).all()


def test_beyond_the_last_level_the_cost_goes_on_from_its_price() -> None:
    """1000 contracts past the 70 shown, a volume of 64 000: 1/64 of a day, so 1/8 of a deviation, coefficient 0.5."""
    market = shown_stocks(volume=64_000.0)
    model = oh.HedgeModel(risk=flat_risk(market, 0.01), objective=(oh.SpreadCost(), oh.DepthCost(impact=0.5)))
    problem = model.problem(market, {"S0": 1e4})
    trade = np.array([0.0, 1070.0])
    at_levels = 10 * 0.1 + 20 * 0.3 + 1040 * 0.9
    excess = 0.5 * 0.01 * float(market.price["S1"]) * 1000 * np.sqrt(1 / 64)
    assert problem.program.trading(trade)[1] == pytest.approx(at_levels + excess, rel=1e-9)
    assert problem.program.upper[1] > 1070, "no wall"
    hedge = model.hedge(market, {"S0": 1e4})
    told = hedge.with_quantities(hedge.program.start + trade, hedge.certificate).costs
    assert told[["spread", "depth", "impact"]].tolist() == pytest.approx([107.0, at_levels - 107, excess], rel=1e-9)


def test_held_back_by_depth_a_list_spreads_over_instruments() -> None:
    """Two hedges of one risk, the second at a wider spread: it is used only once the first one's book is thin."""
    market, used = stocks(3), {}
    mids = market.price
    quotes = market.quotes.assign(bid=mids * (1 - 1e-4), ask=mids * (1 + 1e-4), volume=1e9)
    quotes.loc["S2", ["bid", "ask"]] = [mids["S2"] * (1 - 3e-4), mids["S2"] * (1 + 3e-4)]
    risk = pd.DataFrame(1e-4, index=market.drivers.index, columns=market.drivers.index)
    model = oh.HedgeModel(risk=oh.Risk.from_covariance(risk, periods_per_year=252), universe=("S1", "S2"),
                          objective=(oh.Variance(1e-3), oh.SpreadCost(), oh.DepthCost()))  # fmt: skip
    for name, size in (("deep", 1e6), ("thin", 20.0)):
        rows = [(one, side, mids[one] * (1 + sign * (half + step)), size)
                for one, half in (("S1", 1e-4), ("S2", 3e-4)) for side, sign in (("ask", 1), ("bid", -1))
                for step in (0.0, 1e-3, 2e-3)]  # fmt: skip
        depth = pd.DataFrame(rows, columns=["instrument", "side", "price", "size"])
        trades = model.hedge(replace(market, quotes=quotes, depth=depth), {"S0": 1000.0}).trades
        used[name] = list(trades.index[trades.abs() > 1e-3])
    assert used == {"deep": ["S1"], "thin": ["S1", "S2"]}


def test_a_coefficient_by_type_leaves_the_others_at_the_default() -> None:
    market = shown_stocks()
    slopes = {
        kind: beyond_hinges(market, market.names, np.ones(2), {kind: 0.1})[3].sum() for kind in ("equity", "future")
    }
    assert slopes["equity"] / slopes["future"] == pytest.approx(0.1 / IMPACT)


@pytest.mark.parametrize("volume", [np.nan, 0.0])
def test_what_has_no_volume_pays_the_last_price_shown_and_its_line_is_limited_to_what_it_shows(volume: float) -> None:
    market = shown_stocks(volume=volume)
    model = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(1e-3), oh.SpreadCost(), oh.DepthCost()),
                          universe=("S1",))  # fmt: skip
    hedge = model.hedge(market, {"S0": 1e4})
    assert hedge.trades["S1"] < -70
    assert hedge.program.trading(np.array([100.0]))[0] == pytest.approx(10 * 0.1 + 20 * 0.3 + 70 * 0.9)
    listed = oh.trade_list(hedge)
    assert listed["quantity"].tolist() == [-70.0] and "displayed size" in listed.notes[0]


def test_what_a_trade_beyond_the_display_costs_is_told_whether_or_not_a_term_charges_it() -> None:
    market = shown_stocks()
    bare = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(1e-3), oh.SpreadCost()), universe=("S1",))
    charged = replace(bare, objective=(*bare.objective, oh.DepthCost()))
    for model in (bare, charged):
        hedge = model.hedge(market, {"S0": 1e4})
        told = hedge.with_quantities(hedge.program.start - 5000.0, hedge.certificate).costs["impact"]
        daily = 0.01 * float(market.price["S1"])
        assert told == pytest.approx(IMPACT * daily * 4930 * np.sqrt(4930 / 1e6), rel=0.05) and told > 0
        assert any(line.startswith("impact of 1") for line in hedge.uncharged) == (model is bare)


def test_a_line_may_take_what_is_shown_or_a_part_of_the_days_volume_whichever_is_more() -> None:
    market = stocks(4)
    quotes = market.quotes.copy()
    quotes[["bid_size", "ask_size", "volume"]] = [
        [10.0, 10.0, 1e6], [6.3, 6.3, np.nan], [6.3, 6.3, 0.0], [np.nan, np.nan, np.nan]
    ]  # fmt: skip
    depth = pd.DataFrame({"instrument": "S1", "side": ["ask", "ask", "bid"], "price": [100.0, 101.0, 99.0],
                          "size": [6.3, 30.0, 6.3]})  # fmt: skip
    for book, bought in ((None, 6.3), (depth, 36.3)):
        given = replace(market, quotes=quotes, depth=book)
        hedge = oh.HedgeModel(risk=flat_risk(market), objective=(oh.Variance(1e-9),), capital=1e6).hedge(given, {})
        lines = line_limits(hedge, Checks()).frame
        assert lines["buy"].tolist() == pytest.approx([1e5, bought, 6.3, np.inf])
        assert lines["sell"].tolist() == pytest.approx([1e5, 6.3, 6.3, np.inf])
        assert lines["buy_check"].tolist()[:3] == ["10% of daily volume", *2 * ["1 x displayed size"]]


def test_a_crossed_book_and_an_old_one_are_named() -> None:
    market = shown_stocks()
    crossed = market.depth.assign(price=market.depth["price"].where(market.depth["side"] == "bid", 1.0))
    told = replace(market, depth=crossed).unread["S1"]
    assert re.search(r"the order book of S1 is crossed, best bid .* above best ask 1", told)
    timed = market.depth.assign(time=market.as_of - pd.Timedelta("2h"))
    quotes = market.quotes.assign(time=market.as_of)
    told = said(lambda: replace(market, quotes=quotes, depth=timed, max_age="1h"))
    assert re.search(r"time .* is older than max_age 0 days 01:00:00", told)
    frozen = replace(market, quotes=quotes, depth=timed, max_age="1h", on_missing="freeze")
    assert len(frozen.depth) == 0 and len(replace(market, depth=timed, max_age="3h").depth) == 6
    late = timed.assign(time=market.as_of + pd.Timedelta("1s"))
    assert "is after as_of" in said(lambda: replace(market, depth=late))


def test_a_book_that_starts_off_its_quote_is_named() -> None:
    market = shown_stocks()
    assert list(odd_books(market, market.names)) == []
    moved = replace(market, depth=market.depth.assign(price=market.depth["price"] + 5.0))
    assert list(odd_books(moved, moved.names)) == ["S1"]
    model = oh.HedgeModel(risk=flat_risk(moved), objective=(oh.Variance(1e-5), oh.DepthCost()))
    assert any("order book of S1 starts off its quote" in note for note in model.problem(moved, {"S0": 1.0}).notes)


def test_the_indicative_book_before_an_opening_auction_is_refused(recorded) -> None:
    books = pd.read_parquet(recorded("es_depth_2023") / "books.parquet").astype({"side": str})
    first = books[books["time"] == books["time"].min()].assign(instrument="ESH4")
    with pytest.raises(DataError, match=r"order book of ESH4 is crossed, best bid 4809 above best ask 4785\.5"):
        check_depth(first, pd.Index(["ESH4"]))


def test_a_coefficient_is_learnt_from_fills_and_few_fills_move_it_little() -> None:
    rng = np.random.default_rng(0)
    count, true = 4000, 0.4
    fills = pd.DataFrame({
        "type": "future", "excess": rng.uniform(10, 1000, count), "volume": 1e5, "deviation": 40.0,
    })  # fmt: skip
    law = 40.0 * 1e5 * (fills["excess"] / 1e5) ** 1.5
    fills["cost"] = true * law + rng.normal(0, 3.0, count) * 40.0 * np.sqrt(fills["excess"])
    assert oh.stats.calibrated_impact(fills)["future"] == pytest.approx(true, rel=0.08)
    free = fills.head(2).assign(cost=0.0)
    assert oh.stats.calibrated_impact(free)["future"] == pytest.approx(IMPACT * 20 / 22)
    with pytest.raises(DataError, match="volume"):
        oh.stats.calibrated_impact(fills.drop(columns="volume"))


def test_a_liquid_future_takes_the_delta_of_a_recorded_options_desk(recorded) -> None:
    """50 coins: the lists of limits by the quoted level alone spread them over dozens of options."""
    folder = recorded("deribit_btc_2026")
    market = deribit_market(folder, deribit_snapshots(folder)[-1])
    model = oh.load_model("delta_neutral")
    blind = replace(model, objective=tuple(term for term in model.objective if not isinstance(term, oh.DepthCost)))
    listed, walked = (oh.trade_list(m.hedge(market, pd.Series({"BTC": 50.0}))) for m in (blind, model))
    kinds = market.instruments.loc[listed["instrument"], "type"]
    assert listed.verdict == "send" and len(listed) <= 12
    assert listed["notional"][(kinds != "inverse_option").to_numpy()].sum() > 0.9 * listed["notional"].sum()
    assert listed.costs["impact"] > 0
    assert walked.costs["total"] < listed.costs["total"], "what impact costs is seen, and spread over what is shown"
