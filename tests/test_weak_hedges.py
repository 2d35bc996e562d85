"""Neutral in beta to a market that is not traded: what it leaves, and that it is said."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh

DAYS = pd.date_range("2025-01-01", periods=260, freq="B")


def desk(correlation, market="FUND", traded=("FUTURE",), seed=0):
    """A fund and a future whose moves have exactly this correlation, and another future."""
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((len(DAYS) - 1, 3))
    columns = np.linalg.qr(columns - columns.mean(axis=0))[0] * np.sqrt(len(columns))
    fund, own, other = columns.T
    moves = pd.DataFrame({
        "FUND": 0.01 * fund, "FUTURE": 0.02 * (correlation * fund + np.sqrt(1 - correlation**2) * own),
        "OTHER": 0.01 * (0.1 * fund + other),
    })  # fmt: skip
    history = pd.DataFrame(100 * np.vstack([np.ones(3), (1 + moves).cumprod()]), DAYS, moves.columns)
    table = pd.DataFrame({"instrument": history.columns, "type": "spot", "hedge": history.columns.isin(traded)})
    last = history.iloc[-1].to_numpy()
    quotes = pd.DataFrame({"instrument": history.columns, "bid": last * 0.9999, "ask": last * 1.0001})
    drivers = pd.DataFrame({"driver": history.columns, "market": history.columns == market})
    told = oh.Market(table, quotes, "USD", drivers=drivers, history=history, as_of="2025-12-31")
    return told, oh.Risk.from_covariance(told.moves().cov())


def neutral(told, risk, **given):
    model = oh.HedgeModel(risk=risk, betas=oh.Beta(), objective=(oh.SpreadCost(),), constraints=(
        oh.terms.Neutral("beta", **given),))  # fmt: skip
    return model.hedge(told, {"FUND": 1000.0})


@pytest.mark.parametrize("correlation", [0.3, -0.5, 0.65])
def test_a_hedge_that_explains_less_than_half_of_its_market_adds_variance_by_the_law_in_its_note(correlation):
    told, risk = desk(correlation)
    hedge = neutral(told, risk, band=1e-6)
    variance = hedge.problem.variance
    start = hedge.problem.start
    after = variance.volatility(start + hedge.trades.reindex(told.names[hedge.problem.positions]).to_numpy())
    ratio = (after / variance.volatility(start)) ** 2
    assert ratio == pytest.approx(1 / correlation**2 - 1, rel=1e-6)
    (note,) = [note for note in hedge.problem.notes if "beta:FUND" in note]
    assert f"explains {correlation**2:.0%} of its moves" in note
    assert f"leaves {ratio:.1f} times its variance" in note


def test_nothing_is_said_where_the_hedge_explains_more_than_half_or_the_market_is_traded():
    assert not any("explains" in note for note in neutral(*desk(0.75)).problem.notes)
    assert not any("explains" in note for note in neutral(*desk(0.3, "FUTURE")).problem.notes)


def test_the_contract_that_moves_most_with_the_market_speaks_and_no_neutrality_no_note():
    told, risk = desk(0.6, traded=("FUTURE", "OTHER"))
    (note,) = [note for note in neutral(told, risk).problem.notes if "explains" in note]
    assert "and FUTURE, which" in note
    model = oh.HedgeModel(risk=risk, betas=oh.Beta(), objective=(oh.SpreadCost(),))
    assert not any("explains" in note for note in model.hedge(told, {"FUND": 1000.0}).problem.notes)
