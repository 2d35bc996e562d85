"""Own history: what nobody holds changes nothing, a short column is named, weekends take no volatility."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import LedoitWolf

import optihedge as oh
from optihedge.market.history import own_moves
from optihedge.risk.prior import fitted_betas, fitted_risk

ROWS = 300
DAYS = pd.date_range("2025-01-01", periods=ROWS, freq="B")
NAMES = ["A", "B", "C", "MKT"]
MODELS = ("beta_hedge", "market_neutral", "quantitative")
RISKS = {
    "EWMA": oh.EwmaRisk(63), "iterated": oh.EwmaRisk(21, 63), "factors": oh.FactorRisk(), "adaptive": oh.AdaptiveRisk(),
    "sample": oh.SampleRisk(), "Ledoit-Wolf": oh.SampleRisk(LedoitWolf()),
}  # fmt: skip


def levels(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    market = rng.normal(0, 0.01, rows)
    moves = np.column_stack([*(b * market + rng.normal(0, 0.01, rows) for b in (0.8, 1.0, 1.2)), market])
    return pd.DataFrame(100 * np.exp(np.cumsum(moves, axis=0)), DAYS[:rows], NAMES)


def market_of(history, on_missing="error", **columns):
    """Stocks A, B, C and a tradable on the market; history with further columns that no instrument stands on."""
    last = history.ffill().iloc[-1][NAMES].to_numpy()
    table = pd.DataFrame({"instrument": NAMES, "hedge": [False, False, False, True], "sector": "x"})
    quotes = pd.DataFrame({"instrument": NAMES, "bid": last * 0.9995, "ask": last * 1.0005, "volume": 1e7})
    whole = history.assign(**columns)
    drivers = pd.DataFrame({"driver": whole.columns, "market": whole.columns == "MKT"})
    return oh.Market(table, quotes, "USD", as_of="2026-02-28", drivers=drivers, history=whole, on_missing=on_missing)


BOOK = {"A": 1000.0, "B": -200.0, "C": 300.0}


def shapes(history):
    other = np.exp(np.cumsum(np.random.default_rng(9).normal(0, 0.02, len(history)))) * 50
    rows = np.arange(len(history))
    return {
        "dead": np.where(rows < 200, other, np.nan), "late": np.where(rows > 280, other, np.nan),
        "gap": np.where(rows == 150, np.nan, other), "holes": np.where(rows % 7 == 3, np.nan, other),
        "newborn": np.where(rows == len(rows) - 1, other, np.nan), "empty": np.full(len(rows), np.nan),
    }  # fmt: skip


SHAPES = ("dead", "late", "gap", "holes", "newborn", "empty")


@pytest.mark.parametrize("policy", ["freeze", "error"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_column_nobody_holds_changes_nothing(shape, policy):
    history = levels()
    with_it = market_of(history, policy, X=shapes(history)[shape])
    without = market_of(history, policy)
    model = oh.load_model("beta_hedge")
    lists = [oh.trade_list(model.hedge(m, BOOK)) for m in (with_it, without)]
    assert lists[0].hedge.trades.equals(lists[1].hedge.trades)
    risks = [one.hedge.problem.variance.volatility(one.hedge.problem.start) for one in lists]
    assert risks[0] == risks[1]


@pytest.mark.parametrize("name", RISKS)
@pytest.mark.parametrize("shape", ["dead", "late", "gap"])
def test_no_estimator_hears_of_a_column_nobody_holds(name, shape):
    history = levels()
    needed = pd.Index(NAMES)
    risks = [fitted_risk(RISKS[name], m, needed) for m in
             (market_of(history, "freeze", X=shapes(history)[shape]), market_of(history, "freeze"))]  # fmt: skip
    assert risks[0].reindex(needed).covariance().equals(risks[1].reindex(needed).covariance())


@pytest.mark.parametrize("name", RISKS)
def test_a_short_history_cuts_nobody_elses_and_is_named(name):
    history = levels()
    short = history.copy()
    short.loc[DAYS[:250], "C"] = np.nan
    whole, cut = (fitted_risk(RISKS[name], market_of(h)) for h in (history, short))
    others = ["A", "B", "MKT"]
    close = 0.05 if name in ("factors", "adaptive", "Ledoit-Wolf") else 1e-9  # these learn from all drivers at once
    assert cut.volatility()[others].to_numpy() == pytest.approx(whole.volatility()[others].to_numpy(), rel=close)
    assert any("C" in note for note in cut.notes)
    assert not whole.notes
    assert cut.volatility()["C"] == pytest.approx(whole.volatility()["C"], rel=0.6)


def test_a_beta_from_a_few_moves_is_the_mean_of_the_others_and_said_so():
    history = levels()
    short = history.copy()
    short.loc[DAYS[:260], "C"] = np.nan
    whole = fitted_betas(oh.Beta(), market_of(history))[0]["MKT"]
    betas, errors, notes = fitted_betas(oh.Beta(), market_of(short))
    assert betas["MKT"][["A", "B"]].to_numpy() == pytest.approx(whole[["A", "B"]].to_numpy())
    assert whole[["A", "B"]].min() < betas.at["C", "MKT"] < whole[["A", "B"]].max()
    assert errors.at["C", "MKT"] > errors.at["A", "MKT"]
    assert "beta of C (39 moves)" in notes[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", [100, ROWS - 1])
def test_one_missing_level_of_what_is_held_is_one_move_less_under_freeze(name, row):
    history = levels()
    broken = history.copy()
    broken.loc[DAYS[row], name] = np.nan
    whole, gap = market_of(history, "freeze"), market_of(broken, "freeze")
    for model in MODELS:
        hedges = [oh.load_model(model).hedge(m, BOOK) for m in (whole, gap)]
        quantities = [h.trades.to_numpy() for h in hedges]
        assert quantities[1] == pytest.approx(quantities[0], rel=0.1, abs=20), model
        str(hedges[1])
    oh.cross_gamma(gap, BOOK)
    gap.plot()


def test_a_stock_beside_coins_loses_no_volatility_to_weekends():
    """Missing or repeated at weekends, a stock moves by its own trading days; a coin by all."""
    days = pd.date_range("2025-01-01", periods=365)
    rng = np.random.default_rng(4)
    open_days = days[days.day_of_week < 5]
    stock = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(open_days)))), open_days)
    coin = pd.Series(50 * np.exp(np.cumsum(rng.normal(0, 0.03, len(days)))), days)
    alone = stock.pct_change().dropna()
    for filled in (stock.reindex(days), stock.reindex(days).ffill()):
        history = pd.DataFrame({"S": filled, "BTC": coin})[days[2] :]
        quotes = pd.DataFrame({"instrument": ["S", "BTC"], "bid": [99.0, 49.0], "ask": [100.0, 50.0]})
        market = oh.Market(pd.DataFrame({"instrument": ["S", "BTC"]}), quotes, "USD", history=history)
        moves = market.moves()
        own = moves["S"].dropna()
        assert own.to_numpy() == pytest.approx(alone[own.index.tz_localize(None)].to_numpy())
        assert own.index.day_of_week.max() == 4 and (own.index.day_of_week == 0).sum() > 45
        risk = oh.EwmaRisk(1e9).fit(moves).volatility_
        assert risk["S"] == pytest.approx(np.sqrt((own**2).mean()))
        assert moves["BTC"].notna().all()


def test_own_moves_are_between_own_levels():
    frame = pd.DataFrame({"A": [1.0, np.nan, 2.0, 4.0], "B": [1.0, 2.0, 3.0, np.nan]}, DAYS[:4])
    moves = own_moves(frame, np.array([True, False]))
    assert moves["A"].tolist() == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)
    assert moves["B"].tolist() == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    with pytest.raises(oh.DataError, match="3 moves, fewer than the 4 asked"):
        own_moves(frame, np.array([True, False]), 4)


def test_a_gap_of_what_is_held_is_still_refused_where_nothing_is_frozen():
    """By the book that holds it alone; of what may be traded, and of a market driver, by the market."""
    broken = levels()
    broken.loc[DAYS[100], "A"] = np.nan
    market = market_of(broken)
    assert set(market.left_out) == {"A"} and "A is missing between known rows" in market.left_out["A"]
    model = oh.load_model("beta_hedge")
    with pytest.raises(oh.DataError, match="A was left out of the market: history row 101: A is missing"):
        model.hedge(market, BOOK)
    whole = model.hedge(market_of(levels()), {"B": 1000.0})
    pd.testing.assert_series_equal(model.hedge(market, {"B": 1000.0}).trades, whole.trades, rtol=1e-13)
    broken.loc[DAYS[100], "MKT"] = np.nan
    with pytest.raises(oh.DataError, match="row 101: MKT is missing between known rows"):
        market_of(broken.drop(columns="A").assign(A=levels()["A"]))


@pytest.mark.parametrize(
    "term", [oh.ParticipationLimit(participation=0.1), oh.ImpactCost()], ids=["participation", "impact"]
)
@pytest.mark.parametrize("volume", [np.nan, 0.0])
def test_a_tradable_without_a_volume_is_not_traded_and_noted(term, volume):
    market = market_of(levels())
    both = market.instruments.assign(hedge=True)
    quotes = market.quotes.copy()
    quotes.loc["B", "volume"] = volume
    market = replace(market, instruments=both, quotes=quotes)
    limits = (term,) if isinstance(term, oh.ParticipationLimit) else ()
    costs = () if limits else (term,)
    model = oh.HedgeModel(
        risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-4), oh.SpreadCost(), *costs), constraints=limits
    )
    hedge = model.hedge(market, BOOK)
    assert hedge.trades["B"] == 0 and (hedge.trades.drop("B") != 0).any()
    assert "B: not traded, no volume in quotes" in (*hedge.problem.notes, *hedge.problem.left_out)


@pytest.mark.parametrize("marked", [True, False])
def test_an_expired_contract_is_left_out_and_stops_only_who_holds_it(marked):
    market = market_of(levels())
    row = {"type": "future", "underlying": "A", "hedge": marked, "expiry": pd.Timestamp("2026-01-16T21:00:00Z")}
    table = pd.concat([market.instruments, pd.DataFrame({**row, "multiplier": 1.0}, index=["OLD"])])
    quotes = pd.concat([market.quotes, pd.DataFrame({"bid": 1.0, "ask": 1.1}, index=["OLD"])])
    with_it = replace(market, instruments=table, quotes=quotes)
    assert list(with_it.left_out) == ["OLD"] and "is not after as_of" in with_it.left_out["OLD"]
    model = oh.load_model("beta_hedge")
    assert model.hedge(with_it, BOOK).trades.equals(model.hedge(market, BOOK).trades)
    with pytest.raises(oh.DataError, match=r"OLD was left out of the market: .* the expiry of OLD, is not after"):
        model.hedge(with_it, {"OLD": 1.0})


RUBBISH = {
    "crossed": {"bid": 12.0, "ask": 11.0}, "nothing": {"bid": np.nan, "ask": np.nan},
    "negative": {"bid": -1.0, "ask": 1.0},
    "zero": {"bid": 0.0, "ask": 0.0}, "late": {"bid": 1.0, "ask": 1.1, "time": pd.Timestamp("2026-03-02", tz="UTC")},
    "no hours": {"bid": 1.0, "ask": 1.1, "funding_rate": 0.01},
}  # fmt: skip


@pytest.mark.parametrize("kind", RUBBISH)
@pytest.mark.parametrize("marked", [False, True])
def test_a_rubbish_quote_stops_nobody_but_its_holder_whether_it_may_be_traded_or_not(kind, marked):
    market = market_of(levels())
    table = pd.concat([market.instruments, pd.DataFrame({"hedge": marked, "underlying": "A"}, index=["X"])])
    quotes = pd.concat([market.quotes, pd.DataFrame(RUBBISH[kind], index=["X"])])
    with_it = replace(market, instruments=table, quotes=quotes)
    assert list(with_it.left_out) == ["X"] and replace(with_it, left_out={}).hash == market.hash
    model = oh.load_model("beta_hedge")
    assert model.hedge(with_it, BOOK).trades.equals(model.hedge(market, BOOK).trades)
    with pytest.raises(oh.DataError, match="X was left out of the market"):
        model.hedge(with_it, {"X": 1.0})


@pytest.mark.parametrize("cell", ["nan", "inf", "-", "#N/A", "None", "1,5", np.inf, 1e300])
@pytest.mark.parametrize("column", ["bid", "ask", "volume", "mark"])
def test_a_quote_that_cannot_be_read_is_no_price_to_trade_at_and_stops_nobody(cell, column):
    """Its contract keeps its mark, or what its other side says, in a book that holds it; it is told, and not traded."""
    market = market_of(levels())
    row = {"hedge": True, "underlying": "A", "type": "equity"}
    table = pd.concat([market.instruments, pd.DataFrame(row, index=["X"])])
    fair = pd.DataFrame({"bid": 9.9, "ask": 10.1, "mark": 10.0, "volume": 1e6}, index=["X"])
    quotes = pd.concat([market.quotes.astype({column: object}), fair.astype({column: object})])
    quotes.loc["X", column] = cell
    with_it = replace(market, instruments=table, quotes=quotes)
    assert list(with_it.unread) == ["X"] and not with_it.left_out and with_it.trade_cost.loc["X"].isna().all()
    assert with_it.price["X"] == pytest.approx(10.0)
    model = oh.load_model("beta_hedge")
    assert oh.trade_list(model.hedge(with_it, BOOK)).text() == oh.trade_list(model.hedge(market, BOOK)).text()
    assert model.hedge(with_it, {"X": 100.0}).trades["X"] == 0
    bare = replace(market, instruments=table, quotes=quotes.drop(columns="mark")) if column != "mark" else with_it
    assert bare.price["X"] == {"bid": 10.1, "ask": 9.9}.get(column, bare.price["X"]) and "X" in bare.unread


def test_a_share_is_the_price_of_its_underlying_under_any_label():
    """An option on it is valued at tonight's quote, not at the last close, whatever the share is called."""
    history = levels()
    spot = 1.04 * history["A"].iloc[-1]
    terms = {"type": ["equity", "option"], "underlying": "A", "multiplier": [1.0, 100.0], "strike": [np.nan, spot],
             "right": ["", "C"], "expiry": [pd.NaT, pd.Timestamp("2026-06-19T20:00Z")]}  # fmt: skip
    found = {}
    for label in ("A", "A US Equity", "XNAS:A"):
        table = pd.DataFrame(terms, index=[label, "C"]).rename_axis("instrument")
        quotes = pd.DataFrame({"bid": [spot, 4.0], "ask": [spot, 4.1]}, index=table.index)
        market = oh.Market(table, quotes, "USD", as_of="2026-02-28", history=history)
        assert market.levels["A"] == spot
        found[label] = market.exposures.to_numpy()
        tenth = quotes.mul(pd.Series([0.1, 1.0], index=table.index), axis=0)
        fund = oh.Market(table, tenth, "USD", as_of="2026-02-28", history=history, on_missing="freeze")
        assert label == "A" or fund.levels["A"] == history["A"].iloc[-1]
    assert all((one == found["A"]).all() for one in found.values())


def test_a_later_quote_that_can_be_read_is_told_no_more():
    market = market_of(levels())
    quotes = market.quotes.astype({"bid": object})
    quotes.loc["B", "bid"] = "nan"
    unread = replace(market, quotes=quotes)
    when = market.as_of + pd.Timedelta("1h")
    later = unread.updated(market.quotes[["bid", "ask"]], as_of=when)
    assert [*unread.unread] == ["B"] and not later.unread
    assert later.hash == market.updated(market.quotes[["bid", "ask"]], as_of=when).hash
    assert [*unread.updated(market.quotes[["bid", "ask"]].drop("B"), as_of=when).unread] == ["B"]


def test_where_nothing_that_may_be_traded_is_left_the_market_is_refused():
    market = market_of(levels())
    quotes = market.quotes.astype({"bid": object})
    quotes["bid"] = "1,5"
    with pytest.raises(oh.DataError, match=r"quotes row 1: bid is '1,5' \(and 3 more rows\)"):
        replace(market, quotes=quotes)
    quotes["bid"] = 1e6
    with pytest.raises(oh.DataError, match="below its bid"):
        replace(market, quotes=quotes)


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_a_few_equal_closes_are_no_fault_and_no_risk_of_zero(rows):
    """A listing of some days that stood still has the risk of a prior; one that stood still for long is refused."""
    history = levels()
    history["A"] = np.where(np.arange(len(history)) >= len(history) - rows, 10.0, np.nan)
    market = market_of(history)
    assert not market.left_out
    assert oh.load_model("beta_hedge").hedge(market, BOOK).problem.assumed
    risk = fitted_risk(oh.EwmaRisk(63), market)
    at = risk.drivers.get_loc("A")
    daily = np.sqrt((risk.root[:, at] ** 2).sum() + risk.specific[at] ** 2)
    assert daily > 0.5 * 0.35 / np.sqrt(252)  # the prior of 35 % a year counts as 20 moves
    history["A"] = np.where(np.arange(len(history)) >= len(history) - 11, 10.0, np.nan)
    assert "never moves over 11 rows" in market_of(history).left_out["A"]


# ---- replayed moves --------------------------------------------------------------------------------------------------


def replayed(rows):
    """A model of the shortfall over so many recorded moves."""
    tail = oh.terms.Shortfall(pnl=oh.risk.Replay(rows), confidence=0.9, weight=1.0)
    return oh.HedgeModel(objective=(tail, oh.SpreadCost()))


@pytest.mark.parametrize("policy", ["freeze", "error"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_column_nobody_holds_changes_no_replayed_scenario(shape, policy):
    history = levels()
    clean, other = market_of(history), market_of(history, policy, OTHER=shapes(history)[shape])
    pnl = [oh.options.scenario_pnl(m, oh.options.replay(m, 120)) for m in (clean, other)]
    pd.testing.assert_frame_equal(pnl[0], pnl[1], check_names=False)
    model = oh.HedgeModel(
        objective=(oh.terms.Shortfall(pnl=oh.risk.Replay(120), confidence=0.9, weight=1.0), oh.SpreadCost())
    )
    hedges = [model.hedge(m, BOOK) for m in (clean, other)]
    assert hedges[0].trades["MKT"] == pytest.approx(hedges[1].trades["MKT"], rel=1e-9) != 0
    assert not [note for note in hedges[1].problem.assumed if "Replay" in note]


@pytest.mark.parametrize("rows", [100, 5])
def test_a_held_column_that_began_late_is_replayed_by_its_beta_and_named(rows):
    history = levels()
    moves = history.pct_change().iloc[1:].to_numpy()
    late = history.assign(A=history["A"].where(np.arange(ROWS) >= ROWS - rows - 1))
    found = oh.options.replay(market_of(late))
    own, market = moves[-rows:, 0], moves[:, 3]
    beta = np.linalg.lstsq(market[-rows:, None], own, rcond=None)[0][0] if rows >= 20 else 1.0
    np.testing.assert_allclose(found["A"].to_numpy()[-rows:], own, rtol=1e-12)
    np.testing.assert_allclose(found["A"].to_numpy()[:-rows], beta * market[:-rows], rtol=1e-9)
    model = oh.HedgeModel(
        objective=(oh.terms.Shortfall(pnl=oh.risk.Replay(), confidence=0.9, weight=1.0), oh.SpreadCost())
    )
    assumed = model.hedge(market_of(late), BOOK).problem.assumed
    assert [note for note in assumed if note.startswith("Replay: A:")], assumed


def test_a_stock_beside_coins_stands_still_on_replayed_weekends():
    days = pd.date_range("2025-09-01", periods=120, freq="D")
    path = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, (120, 2)), axis=0))
    history = pd.DataFrame(path, days, ["COIN", "STOCK"])
    history.loc[days.day_of_week >= 5, "STOCK"] = np.nan
    table = pd.DataFrame({"instrument": ["COIN", "STOCK"], "type": ["spot", "equity"]})
    last = history.ffill().iloc[-1].to_numpy()
    quotes = pd.DataFrame({"instrument": ["COIN", "STOCK"], "bid": last * 0.999, "ask": last * 1.001})
    drivers = pd.DataFrame({"driver": ["COIN", "STOCK"], "market": [True, False]})
    market = oh.Market(table, quotes, "USD", as_of="2026-01-02", drivers=drivers, history=history)
    found = oh.options.replay(market)
    weekend = found.index.day_of_week >= 5
    assert (found["STOCK"][weekend] == 0).all() and (found["STOCK"][~weekend] != 0).all()
    assert np.isfinite(oh.options.scenario_pnl(market, found).to_numpy()).all()
    weekdays = history["STOCK"].dropna().pct_change().dropna()
    np.testing.assert_allclose(found["STOCK"][~weekend].to_numpy(), weekdays.to_numpy(), rtol=1e-9)
