"""ProgramBuilder: folding fixed contracts changes nothing, boxes are finite, rows without a tradable are decided."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from desks import flat_risk, options, stocks

from optihedge.errors import DataError, InfeasibleError, SpecError
from optihedge.hedge.assemble import assemble
from optihedge.hedge.builder import DEFAULT_BOX, ProgramBuilder
from optihedge.hedge.horizon import parse_horizon
from optihedge.hedge.variance import squared_covariance_root, variance_form
from optihedge.program.program import objective, row_values

FOLD = 1e-12  # relative: folding is exact up to rounding


def builder(market, start, tradable=None, **given):
    given.setdefault("horizon", parse_horizon("1d", 252))
    start = np.asarray(start, dtype=float)
    tradable = np.ones(len(start), bool) if tradable is None else np.asarray(tradable)
    return ProgramBuilder(market, start, tradable, positions=np.arange(len(start)), **given)


def test_a_program_values_a_book_as_its_terms_do_whatever_is_fixed():
    rng = np.random.default_rng(1)
    market = stocks(6)
    start = rng.normal(0, 100, 6)
    dense, sparse = rng.normal(size=(3, 6)), sp.random_array((4, 6), density=0.4, rng=rng, format="csr")
    costs = {kind: rng.uniform(0, 1, 6) for kind in ("buy", "sell", "quadratic", "power", "long", "short", "linear")}
    values = []
    for tradable in (np.ones(6, bool), np.array([True, False, True, True, False, False])):
        b = builder(market, start, tradable, risk=flat_risk(market))
        b.risk_rows(dense, 1.0)
        b.risk_rows(sparse, np.arange(4.0))
        b.diagonal(np.arange(6.0))
        b.cost(**costs)
        b.hinges([0, 1, 3], [1, -1, 1], [1.0, 2.0, 3.0], [0.1, 0.2, 0.3])
        b.row("r", np.arange(6.0), lo=-5.0, hi=7.0, soft=2.0)
        b.row("w", hi=9.0, on_holdings=np.ones(6), on_trades=np.full(6, 0.5), soft=3.0)
        problem = assemble(b)
        after = np.where(problem.tradable, 10.0 * np.arange(6), start) if len(values) else None
        values.append((problem, after))
    whole, part = values[0][0], values[1][0]
    after = values[1][1]
    assert objective(part.program, part.columns.to_columns(after)) == pytest.approx(
        objective(whole.program, whole.columns.to_columns(after)), rel=FOLD
    )
    rows = row_values(part.program, part.columns.to_columns(after)) + part.row_offset
    assert rows == pytest.approx(row_values(whole.program, whole.columns.to_columns(after)), rel=FOLD)


def test_quantities_and_columns_are_inverse():
    b = builder(stocks(4), [1.0, 2.0, 3.0, 4.0], [True, False, True, False])
    b.auxiliary("z", 0.0, 5.0)
    problem = assemble(b)
    assert problem.program.columns == ("S0", "S2", "z")
    book = problem.columns.to_contracts(np.array([7.0, 8.0, 1.0]))
    assert book.tolist() == [7.0, 2.0, 8.0, 4.0]
    assert problem.columns.to_columns(book).tolist() == [7.0, 8.0, 0.0]


def test_default_boxes_are_ten_times_the_larger_of_gross_and_capital():
    market = stocks(3)
    notional = market.notional.to_numpy()
    for capital, size in ((0.0, 100 * notional[0]), (1e9, 1e9)):
        p = assemble(builder(market, [100.0, 0, 0], capital=capital)).program
        assert (p.upper - p.start) * notional == pytest.approx(np.full(3, DEFAULT_BOX * size))
        assert (p.start - p.lower) * notional == pytest.approx(np.full(3, DEFAULT_BOX * size))


def test_an_empty_book_without_capital_has_boxes_of_one_contract():
    assert assemble(builder(stocks(2), [0.0, 0.0])).program.upper.tolist() == [1.0, 1.0]
    b = builder(stocks(2), [0.0, 0.0])
    b.trade_box(-5, 5)
    assert assemble(b).program.upper.tolist() == [5.0, 5.0]


def test_a_limit_replaces_the_default_box_on_its_side_only():
    b = builder(stocks(2), [10.0, 0.0])
    b.box(upper=20.0)
    problem = assemble(b)
    assert problem.program.upper.tolist() == [20.0, 20.0]
    assert problem.default_lower.all() and not problem.default_upper.any()


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_limited_line_is_a_default_box_no_more_on_that_side(side):
    none, some = np.full(3, np.inf), np.array([np.inf, 5.0, np.inf])
    problem = assemble(builder(stocks(3), [10.0, 0.0, 0.0]))
    limited = problem.boxed(some if side == "buy" else none, some if side == "sell" else none)
    touched, other = (limited.default_upper, limited.default_lower)[:: 1 if side == "buy" else -1]
    assert touched.tolist() == [True, False, True] and other.all()


def test_an_empty_box_is_infeasible_by_name():
    b = builder(stocks(2), [10.0, 0.0])
    b.box(upper=5.0)
    b.trade_box(-2.0, 2.0)
    with pytest.raises(InfeasibleError, match=r"S0: its limits leave no quantity \(at least 8, at most 5; held 10\)"):
        assemble(b)


def test_a_side_without_a_quote_is_not_traded():
    market = stocks(2)
    quotes = market.quotes.copy()
    quotes.loc["S0", "bid"] = np.nan
    one_sided = type(market)(
        instruments=market.instruments, quotes=quotes, base_currency="USD", history=market.history, as_of=market.as_of
    )
    p = assemble(builder(one_sided, [10.0, 0.0])).program
    assert p.lower[0] == 10.0 and p.upper[0] > 10.0


def test_rows_without_a_tradable_are_decided_and_kept_out_of_the_program():
    b = builder(stocks(3), [10.0, 5.0, 0.0], [False, False, True])
    b.row("met", np.array([1.0, 1.0, 0.0]), hi=20.0)
    b.row("broken", np.array([1.0, 1.0, 0.0]), hi=10.0)
    b.row("live", np.array([1.0, 1.0, 1.0]), hi=10.0)
    problem = assemble(b)
    assert problem.program.row_names == ("live",)
    assert problem.program.row_upper.tolist() == [-5.0]
    assert problem.decided["violation"].to_dict() == {"met": 0.0, "broken": 5.0}


def test_a_specific_risk_of_one_contract_is_its_diagonal():
    b = builder(stocks(3), [0.0, 1.0, 2.0], capital=1.0)
    b.risk_rows(sp.csr_array(np.diag([1.0, 2.0, 3.0])))
    p = assemble(b).program
    assert p.specifics.shape[0] == 0
    assert p.diagonal.tolist() == [1.0, 4.0, 9.0]


def test_tall_risk_rows_are_replaced_by_their_triangle():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3))
    b = builder(stocks(3), [1.0, 2.0, 3.0], [True, True, False])
    b.risk_rows(rows, 0.3)
    p = assemble(b).program
    assert len(p.factors) == 3
    h = np.array([4.0, -1.0])
    assert objective(p, h) == pytest.approx(0.5 * np.sum((rows @ [4.0, -1.0, 3.0] + 0.3) ** 2), rel=FOLD)


def test_exposures_by_group_sum_to_the_total():
    b = builder(stocks(4, sector=["x", "y", "x", "y"]), np.ones(4))
    groups = b.exposure("delta", by="sector")
    assert list(groups) == ["x", "y"]
    assert sum(groups.values()) == pytest.approx(b.total("delta"))
    assert groups["x"][1] == 0


def test_reach_bounds_what_rows_can_be():
    b = builder(stocks(2), [1.0, 1.0], [True, False])
    b.box(-3.0, 2.0)
    low, high = b.reach(np.array([[1.0, 1.0], [-2.0, 1.0]]))
    assert (low.tolist(), high.tolist()) == ([-2.0, -3.0], [3.0, 7.0])


@pytest.mark.parametrize(
    ("speak", "error", "text"),
    [
        (lambda p: p.total("dleta"), SpecError, "no exposure 'dleta'"),
        (lambda p: p.measure("size"), SpecError, "measure 'size' is unknown"),
        (lambda p: p.instrument_column("rating"), SpecError, "have no column 'rating'"),
        (lambda p: p.row("r", np.array([np.nan, 1.0])), DataError, "r of S0 is not a finite number"),
        (lambda p: p.row("r", np.ones(2), lo=2.0, hi=1.0), SpecError, "not lower <= upper"),
        (lambda p: p.row("r", np.ones(2), hi=np.nan), SpecError, "not lower <= upper"),
        (lambda p: p.box(lower=np.nan), SpecError, "is NaN"),
        (lambda p: p.cost(buy=np.array([1.0, np.inf])), DataError, "buy of S1 is not a finite number"),
        (lambda p: p.cost(buy=pd.Series([1.0, 2.0], index=["S1", "S0"])), SpecError, "labelled otherwise"),
        (lambda p: p.variance(), SpecError, "has no risk"),
    ],
)
def test_what_a_term_says_wrongly_is_refused_by_name(speak, error, text):
    with pytest.raises(error, match=text):
        speak(builder(stocks(2), [1.0, 1.0]))


def test_two_rows_of_one_name_are_refused():
    b = builder(stocks(2), [1.0, 1.0])
    b.row("r", np.ones(2), hi=1.0)
    b.row("r", np.ones(2), hi=2.0)
    with pytest.raises(SpecError, match="two limits are called r"):
        assemble(b)


@pytest.mark.parametrize(
    ("text", "year", "periods", "days"),
    [("1d", 252, 1, 1), ("5d", 252, 5, 5), ("8h", 365, 1 / 3, 1 / 3), ("1d", 1095, 3, 1), ("8h", 1095, 1, 1 / 3),
     ("7d", 52, 52 * 7 / 365, 7), ("1d", 252 * 7, 7, 1), ("30min", 365 * 48, 1, 1 / 48),
     ("1d", 250, 1, 1), ("1d", 253, 1, 1), ("5d", 260, 5, 5), ("1d", 261, 1, 1), ("1d", 1638, 6.5, 1),
     ("2d", 252 * 390, 780, 2), ("1d", 260 * 24, 24, 1), ("1d", 8760, 24, 1), ("1d", 8766, 24, 1), ("1d", 365, 1, 1),
     ("365d", 12, 12, 365), ("1d", 126, 126 / 365, 1)],
)  # fmt: skip
def test_a_horizon_is_periods_of_the_drivers(text, year, periods, days):
    horizon = parse_horizon(text, year)
    assert horizon.periods == pytest.approx(periods)
    assert horizon.days == pytest.approx(days)
    assert horizon.years == pytest.approx(periods / year)


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "0d", "1w", "soon", 5, "36526d", "9" * 400 + "d", "\uff11d"])
def test_a_horizon_that_is_no_time_is_refused(text):
    with pytest.raises(SpecError, match="write a time until the next rebalance"):
        parse_horizon(text, 252)


@pytest.mark.parametrize(("k", "size"), [(1, 5), (2, 5), (4, 3), (3, 40), (0, 3)])
def test_products_of_factors_are_a_root_of_the_squared_covariance(k, size):
    rng = np.random.default_rng(k)
    root, specific = rng.normal(size=(k, size)), rng.uniform(0.1, 1, size)
    products, own = squared_covariance_root(root, specific)
    covariance = root.T @ root + np.diag(specific**2)
    assert products.T @ products + np.diag(own**2) == pytest.approx(covariance**2, rel=1e-12, abs=1e-14)


def test_gamma_variance_is_that_of_normal_moves():
    """Simulated: the variance of 1/2 sum of v_u r_u^2 for correlated normal returns; horizon squares it."""
    market = options(days=(30,))
    risk = flat_risk(market, 0.02)
    book = np.zeros(len(market.names))
    book[market.names.get_loc("C100-30")] = 3.0
    at = np.arange(len(market.names))
    form = variance_form(market, at, risk, 1.0)
    cash = float(market.convexity.sum(axis=0)[market.names.get_loc("C100-30")]) * 3
    assert form.parts(book)["gamma"] == pytest.approx(0.5 * cash**2 * 0.02**4, rel=1e-12)
    moves = np.random.default_rng(0).normal(0, 0.02, 200_000)
    assert form.parts(book)["gamma"] == pytest.approx(np.var(0.5 * cash * moves**2), rel=0.03)
    assert variance_form(market, at, risk, 5.0).parts(book)["gamma"] == pytest.approx(25 * form.parts(book)["gamma"])
    first = sum(value for name, value in form.parts(book).items() if name != "gamma")
    again = variance_form(market, at, risk, 5.0).parts(book)
    assert sum(value for name, value in again.items() if name != "gamma") == pytest.approx(5 * first)


def test_first_order_variance_is_the_risk_of_the_books_loadings():
    market = options()
    risk = flat_risk(market)
    book = np.random.default_rng(0).normal(size=len(market.names))
    form = variance_form(market, np.arange(len(book)), risk, 1.0).first_order()
    assert form.volatility(book) ** 2 == pytest.approx(risk.variance(market.loadings.matrix @ book), rel=1e-12)
