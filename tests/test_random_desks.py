"""Random markets, books and hedging models with every feature mixed: each ends certified, or says by name why not."""

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, stocks

from optihedge.errors import InfeasibleError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.base import Term
from optihedge.hedge.terms.costs import CarryCost, DepthCost, FeeCost, HoldingCost, ImpactCost, SpreadCost
from optihedge.hedge.terms.limits import (
    GrossLimit,
    ParticipationLimit,
    PositionLimit,
    TradeLimit,
    TurnoverLimit,
    VolatilityLimit,
)
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Tracking, Variance
from optihedge.hedge.terms.tail import Shortfall
from optihedge.market.snapshot import Market
from optihedge.risk.ewma import EwmaRisk

LEVELS = 4


def random_market(rng: np.random.Generator) -> Market:
    """Stocks, or options with their stock and futures; one-sided quotes, own risk, borrow, perhaps an order book."""
    if rng.random() < 0.5:
        n = int(rng.integers(2, 40))
        base = stocks(
            n, days=int(rng.integers(30, 200)), seed=int(rng.integers(1_000_000)), spread=10 ** rng.uniform(-5, -2),
            fee=10 ** rng.uniform(-6, -3), sector=[f"s{i}" for i in rng.integers(0, 4, n)],
            hedge=list(rng.random(n) < 0.6), own_risk=list(np.where(rng.random(n) < 0.3, rng.random(n), 0.0)),
        )  # fmt: skip
    else:
        days = tuple(sorted(rng.choice([2, 7, 30, 90, 200], 2, replace=False).tolist()))
        base = options(vol=rng.uniform(0.1, 1), days=days, half_spread=10 ** rng.uniform(-3, -1))
    quotes = base.quotes.copy()
    n = len(quotes)
    quotes["volume"] = 10 ** rng.uniform(2, 7, n)
    quotes["borrow_rate"] = np.where(rng.random(n) < 0.5, rng.random(n) * 0.05, np.nan)
    quotes.loc[rng.random(n) < 0.1, "bid"] = np.nan
    quotes.loc[(rng.random(n) < 0.05) & quotes["bid"].notna(), "ask"] = np.nan
    return Market(
        instruments=base.instruments, quotes=quotes, base_currency="USD", drivers=base.drivers, history=base.history,
        depth=order_book(rng, quotes) if rng.random() < 0.3 else None, as_of=base.as_of,
    )  # fmt: skip


def order_book(rng: np.random.Generator, quotes: pd.DataFrame) -> pd.DataFrame:
    both = quotes[(quotes["bid"] > 0) & (quotes["ask"] > 0)]
    rows = [
        (name, side, price * (1 + step * level), 10 ** rng.uniform(1, 4))
        for name, bid, ask in zip(both.index, both["bid"], both["ask"], strict=True)
        for side, price, step in (("ask", ask, 1e-3), ("bid", bid, -1e-3))
        for level in range(LEVELS)
    ]
    return pd.DataFrame(rows, columns=["instrument", "side", "price", "size"])


def random_model(rng: np.random.Generator, market: Market) -> HedgeModel:
    def maybe(chance: float, make) -> list[Term]:
        return [make()] if rng.random() < chance else []

    def soft() -> float | None:
        return None if rng.random() < 0.6 else 10 ** rng.uniform(-4, 0)

    def neutral(name: str, by: str, share: float) -> Neutral:
        return Neutral(
            name, band_share=share, soft=soft(), by=by if rng.random() < 0.4 else None, priority=int(rng.integers(0, 3))
        )

    def variance() -> Variance:
        relative = rng.random() < 0.7
        return Variance(relative=10 ** rng.uniform(-1, 3)) if relative else Variance(10 ** rng.uniform(-9, -1))

    def shortfall() -> Shortfall:
        pnl = rng.normal(0, 0.02, (50, len(market.names))) * market.notional.to_numpy()
        return Shortfall(pd.DataFrame(pnl, columns=market.names), weight=0.01)

    group = "sector" if "sector" in market.instruments else "expiry"
    objective = [
        *maybe(0.9, variance), *maybe(0.8, SpreadCost), *maybe(0.5, FeeCost), *maybe(0.3, CarryCost),
        *maybe(0.3, lambda: ImpactCost(10 ** rng.uniform(-1, 1), power=float(rng.choice([1.5, 2.0])))),
        *maybe(0.3, lambda: HoldingCost(borrow=0.02)), *maybe(0.1, shortfall),
        *maybe(0.2, lambda: Tracking("before", 10 ** rng.uniform(-8, -2))),
        *maybe(1.0 if market.depth is not None else 0.0, DepthCost),
    ]  # fmt: skip
    constraints = [
        *maybe(0.6, lambda: neutral("delta", group, float(rng.choice([0, 0.001, 0.1])))),
        *maybe(0.3, lambda: neutral("gamma", group, 0.01)), *maybe(0.3, lambda: neutral("vega", group, 0.001)),
        *maybe(0.4, lambda: TurnoverLimit(share=rng.uniform(0.1, 2), soft=soft(), priority=1)),
        *maybe(0.4, lambda: GrossLimit(share=rng.uniform(0.8, 3), soft=soft(), priority=2)),
        *maybe(0.2, lambda: PositionLimit(share=rng.uniform(0.5, 2), soft=soft())),
        *maybe(0.2, lambda: TradeLimit(share=rng.uniform(0.1, 2))),
        *maybe(0.2, lambda: ParticipationLimit(rng.uniform(0.01, 0.2))),
        *maybe(0.15, lambda: VolatilityLimit(share=10 ** rng.uniform(-3, -1))),
    ]  # fmt: skip
    return HedgeModel(
        risk=EwmaRisk(halflife=30) if rng.random() < 0.5 else flat_risk(market), objective=tuple(objective),
        constraints=tuple(constraints), horizon=str(rng.choice(["1d", "5d", "8h"])), capital=1e5,
        on_infeasible="relax" if rng.random() < 0.5 else "error",
    )  # fmt: skip


def outcome(seed: int) -> str:
    """optimal, unbounded or infeasible; anything else is an error."""
    rng = np.random.default_rng(seed)
    market = random_market(rng)
    held = rng.choice(market.names, int(rng.integers(1, max(2, len(market.names)))), replace=False)
    book = {name: float(np.round(q)) for name, q in zip(held, rng.normal(0, 1000, len(held)), strict=True)}
    model = random_model(rng, market)
    try:
        hedge = model.hedge(market, book)
    except InfeasibleError as error:
        assert "smallest change" in str(error) or "allowed" in str(error) or "leave no quantity" in str(error)
        return "infeasible"
    assert str(hedge) and hedge._repr_html_()
    if hedge.certificate.status == "unbounded":
        assert "at the default trade limit" in hedge.certificate.note
        return "unbounded"
    assert hedge.certificate.optimal
    assert np.isfinite(hedge.costs["total"])
    return "optimal"


@pytest.mark.parametrize("seed", range(12))
def test_a_random_desk_ends_certified_or_says_why_not(seed):
    assert outcome(seed) in ("optimal", "unbounded", "infeasible")


@pytest.mark.slow
def test_300_random_desks_end_certified_or_say_why_not():
    found = pd.Series([outcome(seed) for seed in range(100, 400)]).value_counts()
    assert found["optimal"] > 250
