"""No constraint at all, and once 'infeasible'; tail terms that ended without an answer. Right: an answer, certified."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh

CASES = [  # term, scenarios, seed, contracts, hedges, turnover
    ("shortfall", 2000, 3, 60, 10, None), ("worst case", 2000, 2, 60, 10, None), ("shortfall", 5000, 0, 8, 8, 1e6),
    ("shortfall", 500, 0, 50, 50, 1e6), ("shortfall", 1000, 0, 50, 50, 1e6), ("shortfall", 5000, 0, 50, 50, 1e6),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "scenarios", "seed", "n", "hedges", "turnover"), CASES)
def test_a_tail_without_curvature_has_an_answer(
    kind: str, scenarios: int, seed: int, n: int, hedges: int, turnover: float | None
) -> None:
    rng = np.random.default_rng(seed)
    k = min(10, n)
    root = rng.normal(0, 0.01, (n, k))
    moves = rng.standard_t(4, (scenarios, k)) @ root.T + rng.standard_t(4, (scenarios, n)) * 0.01
    names = [f"s{i}" for i in range(n)]
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (300, n)), 0))
    frame = pd.DataFrame(prices, columns=names, index=pd.bdate_range("2025-01-01", periods=300))
    market = oh.Market.from_prices(frame, base_currency="USD", spread=4e-4)
    pnl = pd.DataFrame(moves * market.price.to_numpy(), columns=names)
    book = pd.Series(rng.normal(0, 1000, n).round(), index=names)
    term = oh.Shortfall(pnl=pnl) if kind == "shortfall" else oh.WorstCase(pnl=pnl)
    limits = () if turnover is None else (oh.TurnoverLimit(turnover),)
    model = oh.HedgeModel(objective=(term, oh.SpreadCost()), constraints=limits, universe=tuple(names[:hedges]))
    hedge = model.hedge(market, book)
    assert hedge.certificate.optimal
    before = -pnl.to_numpy() @ book.to_numpy()
    after = -pnl.to_numpy() @ hedge.after[names].to_numpy()
    worst = np.max if kind == "worst case" else lambda loss: np.sort(loss)[-max(int(0.025 * scenarios), 1) :].mean()
    assert worst(after) + hedge.costs["total"] <= worst(before) * (1 + 1e-9)  # doing nothing was allowed
