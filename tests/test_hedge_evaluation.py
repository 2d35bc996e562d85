"""Hedges of many books at once: the fast paths equal plain fits, and recorded books are hedged better than by OLS."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optihedge.backtest.hedge_evaluation import anchored_path, evaluate_hedges, no_trade_path, ols_path
from optihedge.errors import DataError
from optihedge.risk.beta import Beta

AGREEMENT = 1e-8  # carried moments against a fit from scratch


def returns(periods: int = 160, books: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hedges = 0.01 * rng.standard_normal((periods, 2)) @ [[1.0, 0.7], [0.0, 0.5]]
    return hedges @ rng.uniform(0.5, 1.5, (2, books)) + 0.008 * rng.standard_normal((periods, books)), hedges


@pytest.mark.parametrize("day", [60, 110, 159])
def test_a_path_is_minus_the_beta_of_the_rows_before(day: int) -> None:
    books, hedges = returns()
    moves = np.column_stack([hedges, books])[:day]
    anchored = Beta(method="anchored", halflife=15, anchor_halflife=80, anchor=0.5, market=(0, 1)).fit(moves)
    path = anchored_path(books, hedges, 40, halflife=15, anchor_halflife=80, anchor=0.5)
    np.testing.assert_allclose(-path[day].T, anchored.betas_.iloc[2:], rtol=AGREEMENT)
    ols = Beta(market=(0, 1), window=50).fit(moves)
    np.testing.assert_allclose(-ols_path(books, hedges, 50)[day].T, ols.betas_.iloc[2:], rtol=AGREEMENT)


@pytest.mark.parametrize("path_of", [
    lambda b, h: ols_path(b, h, 50),
    lambda b, h: anchored_path(b, h, 50),
    lambda b, h: no_trade_path(anchored_path(b, h, 50), h, 50, 1e-3, 100.0),
], ids=["ols", "anchored", "no trade"])  # fmt: skip
def test_the_future_never_changes_a_path(path_of) -> None:
    books, hedges = returns()
    later = np.random.default_rng(9).standard_normal((60, 1))
    changed_books, changed_hedges = books.copy(), hedges.copy()
    changed_books[100:] += later
    changed_hedges[100:] -= 2 * later
    first, second = path_of(books, hedges), path_of(changed_books, changed_hedges)
    np.testing.assert_array_equal(first[50:101], second[50:101])
    assert not np.array_equal(first[101:], second[101:])


def test_trading_stops_at_the_band_where_a_trade_no_longer_pays() -> None:
    books, hedges = returns(120)
    targets, cost, aversion = anchored_path(books, hedges, 60), 2e-4, 300.0
    path = no_trade_path(targets, hedges, 60, cost, aversion, halflife=30)
    weights = 0.5 ** (np.arange(100)[::-1] / 30)
    covariance = (hedges[:100].T * weights) @ hedges[:100] / weights.sum()
    slope = aversion * covariance @ (path[100] - targets[100])
    trade = path[100] - path[99]
    assert (np.abs(slope) <= cost + 1e-9).all()
    moved = np.abs(trade) > 1e-7
    np.testing.assert_allclose(slope[moved], -cost * np.sign(trade[moved]), rtol=1e-4)
    assert moved.any()
    assert not moved.all()


def test_free_trading_goes_to_the_target() -> None:
    books, hedges = returns()
    targets = anchored_path(books, hedges, 60)
    np.testing.assert_allclose(no_trade_path(targets, hedges, 60, 0.0, 1.0)[60:], targets[60:], atol=1e-6)


def test_the_table_is_what_its_columns_say() -> None:
    books, hedges = returns(130)
    ols = ols_path(books, hedges, 50)
    result = evaluate_hedges(books, hedges, {"OLS": ols, "half": ols / 2}, baseline="OLS", cost=1e-4, start=50,
                             block=20)  # fmt: skip
    held = ols[50:]
    cost = 1e-4 * np.abs(np.diff(held, axis=0, prepend=0)).sum(axis=1)
    pnl = books[50:] + np.einsum("tmb,tm->tb", held, hedges[50:]) - cost
    np.testing.assert_allclose(result.hedged["OLS"], pnl)
    half = result.table.loc["half"]
    assert half["variance"] == pytest.approx(result.hedged["half"].var(axis=0).sum() / pnl.var(axis=0).sum())
    assert half["low"] < half["variance"] < half["high"]
    assert half["turnover"] == pytest.approx(0.5)
    assert result.table.loc["OLS", "removed"] == pytest.approx(1 - pnl.var(axis=0).sum() / books[50:].var(axis=0).sum())
    slopes = [np.polyfit(hedges[50 + 20 * q : 70 + 20 * q, 0], pnl[20 * q : 20 * q + 20], 1)[0] for q in range(4)]
    assert result.table.loc["OLS", "beta"] == pytest.approx(np.abs(slopes).mean())
    assert result.verdict.startswith("OLS removes")


def test_books_without_the_market_have_nothing_material_to_hedge() -> None:
    hedges = returns()[1]
    books = 0.01 * np.random.default_rng(5).standard_normal((160, 40))
    result = evaluate_hedges(books, hedges, {"OLS": ols_path(books, hedges, 60)}, baseline="OLS", cost=0.0, start=60)
    assert result.verdict.startswith("nothing material to hedge")
    assert "nothing material" in str(result)


def test_a_path_that_adds_risk_is_named_and_a_regression_removes_some_as_it_stands() -> None:
    """The path of least squares is what is held: given as it is, it removes variance; its mirror image adds some."""
    books, hedges = returns()
    ols = ols_path(books, hedges, 60)
    both = evaluate_hedges(books, hedges, {"OLS": ols, "mirror": -ols}, baseline="OLS", cost=0.0, start=60, block=20)
    removed = both.table["removed"]
    assert removed["OLS"] > 0 > removed["mirror"]
    assert both.verdict.startswith("OLS removes") and f"mirror adds {-removed['mirror']:.1%}" in both.verdict
    alone = evaluate_hedges(books, hedges, {"mirror": -ols}, baseline="mirror", cost=0.0, start=60, block=20)
    assert "mirror adds" in alone.verdict and "removes" not in alone.verdict


def test_a_path_with_gaps_or_an_unknown_baseline_is_refused() -> None:
    books, hedges = returns()
    ols = ols_path(books, hedges, 60)
    with pytest.raises(DataError, match=r"'OLS' has shape .* or gaps after row 40"):
        evaluate_hedges(books, hedges, {"OLS": ols}, baseline="OLS", cost=0.0, start=40)
    with pytest.raises(DataError, match="baseline 'EWMA' is not"):
        evaluate_hedges(books, hedges, {"OLS": ols}, baseline="EWMA", cost=0.0, start=60)


def test_a_wild_row_that_left_the_window_leaves_no_trace() -> None:
    books, hedges = returns()
    wild = hedges.copy()
    wild[5] = 1e6
    np.testing.assert_array_equal(ols_path(books, wild, 60)[66:], ols_path(books, hedges, 60)[66:])


@pytest.mark.parametrize("path_of", [lambda b, h: ols_path(b, h, 60), lambda b, h: anchored_path(b, h, 60)],
                         ids=["ols", "anchored"])  # fmt: skip
def test_a_hedge_that_adds_nothing_to_the_others_is_named(path_of) -> None:
    books, hedges = returns()
    for idle in (0 * hedges[:, 0], hedges[:, 0], hedges @ [2.0, -1.0]):
        with pytest.raises(DataError, match="hedge 3 of 3 does not move, or only as those before it, in the 60 rows"):
            path_of(books, np.column_stack([hedges, idle]))
    gap = np.where(np.arange(160)[:, None] == 7, np.nan, hedges)
    with pytest.raises(DataError, match="a hedge has a gap in the 60 rows before row 60"):
        path_of(books, gap)


def test_a_path_without_rows_to_start_from_is_refused() -> None:
    books, hedges = returns()
    for window in (2, 160):
        with pytest.raises(DataError, match=f"window is {window} of 160 rows for 2 hedges"):
            ols_path(books, hedges, window)
    for start in (0, 1, 160):
        with pytest.raises(DataError, match=f"start is {start} of 160 rows"):
            anchored_path(books, hedges, start)
    betas = np.ones((160, 2, 6))
    with pytest.raises(DataError, match="hedge 1 of 2 does not move in the rows before start 0"):
        no_trade_path(betas, hedges, 0, 1e-4, 1.0)
    with pytest.raises(DataError, match="hedge 2 of 2 does not move in the rows before start 60"):
        no_trade_path(betas, hedges * [1.0, 0.0], 60, 1e-4, 1.0)
    with pytest.raises(DataError, match=r"aversion is 0\.0"):
        no_trade_path(betas, hedges, 60, 1e-4, 0.0)


def test_an_evaluation_needs_blocks_in_which_the_market_moves() -> None:
    books, hedges = returns()
    paths = {"OLS": ols_path(books, hedges, 100)}
    for block in (1, 63):
        with pytest.raises(DataError, match=f"block is {block} for the 60 rows from row 100"):
            evaluate_hedges(books, hedges, paths, baseline="OLS", cost=0.0, start=100, block=block)
    still = hedges.copy()
    still[120:140] = 0.0
    with pytest.raises(DataError, match="does not move in block 2 of 20 rows"):
        evaluate_hedges(books, still, paths, baseline="OLS", cost=0.0, start=100, block=20)


# Recorded books. The lines are the project's aims; benchmarks/hedges.py prints the whole tables.


def benchmark(recorded):
    import importlib.util

    file = Path(__file__).resolve().parents[1] / "benchmarks" / "hedges.py"
    spec = importlib.util.spec_from_file_location("hedges", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, recorded("etf_daily_2006_2022").parent


def test_alt_books_are_hedged_better_than_by_regression(recorded) -> None:
    module, data = benchmark(recorded)
    table = module.alts(data, long_short=False, shipped=False).table.loc["anchored"]
    assert table["variance"] <= 0.965
    assert table["better"] >= 0.95
    assert table["turnover"] <= 0.60
    assert table["removed"] >= 0.72


def test_long_short_alt_books_have_nothing_material_for_btc_and_eth(recorded) -> None:
    module, data = benchmark(recorded)
    assert module.alts(data, long_short=True, shipped=False).verdict.startswith("nothing material")


@pytest.mark.slow
@pytest.mark.parametrize(("tilt", "against_market"), [(1.0, 0.86), (8.0, 0.60), (np.inf, 0.60)])
def test_stock_books_are_hedged_better_than_by_regression(recorded, tilt: float, against_market: float) -> None:
    module, data = benchmark(recorded)
    table: pd.DataFrame = module.equity(data, tilt, shipped=False).table
    for method in ("anchored", "anchored, no-trade region"):
        row = table.loc[method]
        assert row["variance"] <= 0.985
        assert row["better"] >= 0.80
        assert row["beta_lower"] >= 0.95
        assert row["turnover"] <= 0.50
        assert row["variance"] / table.loc["market-only OLS-252", "variance"] <= against_market


@pytest.mark.slow
def test_shipped_betas_leave_less_at_half_the_turnover_on_names_and_years_they_were_not_chosen_on(recorded) -> None:
    module, data = benchmark(recorded)
    first, *others = module.judged(data, 60).values()
    for found in others:
        row = found.table.loc["shipped"]
        assert row["variance"] <= 0.975
        assert row["turnover"] <= 0.50
        assert row["variance"] < found.table.loc["anchored", "variance"]
    assert first.table.loc["shipped", "variance"] <= 0.975
