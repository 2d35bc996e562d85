"""What a hedge reports."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desks import flat_risk, options, simple, stocks

from optihedge.display.numbers import number
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.root import Risk


def test_the_report_names_what_matters():
    market, book = stocks(3, spread=1e-4), {"S0": 1000.0}
    hedge = simple(market, constraints=(Neutral("delta"), VolatilityLimit(1e6)), name="mine").hedge(market, book)
    text = str(hedge)
    for word in ("Hedge mine", "volatility per day", "exposures", "costs", "spread", "baselines", "no trade",
                 "regression beta", "nearest instrument", "optimal", "aversion 1e-05", "base currency"):  # fmt: skip
        assert word in text, word
    assert hedge._repr_html_().startswith("<div>")
    assert "<script" not in replace(hedge, model=replace(hedge.model, name="<script>"))._repr_html_()


def test_the_report_shows_the_largest_trades_first_and_says_what_it_leaves_out():
    market = stocks(60)
    book = dict.fromkeys(market.names, 100.0)
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-3),), name="all").hedge(market, book)
    text = str(hedge)
    assert "... and 20 more" in text and "... and 20 more" in hedge._repr_html_()
    largest = (hedge.trades.abs() * market.notional).idxmax()
    assert text.index(f"\n{largest} ") < text.index("... and 20 more")
    assert "inf" not in text.split("costs")[0]


def test_baselines_are_no_trade_the_nearest_instrument_and_a_regression():
    market, book = stocks(4, spread=1e-4), {"S0": 1000.0, "S1": 500.0}
    hedge = simple(market, universe=("S2", "S3"), risk=EwmaRisk(halflife=60)).hedge(market, book)
    frame = hedge.baselines
    assert list(frame.index) == ["no trade", "nearest instrument", "regression beta", "hedge"]
    assert frame.loc["no trade", "volatility"] == pytest.approx(hedge.risk.loc["volatility", "before"])
    assert frame.loc["hedge", "volatility"] == pytest.approx(hedge.risk.loc["volatility", "after"])
    assert frame.loc["no trade", "cost"] == 0
    covariance = hedge.risk_model.covariance().to_numpy()
    cash = np.array([1000.0, 500.0, 0, 0]) * market.price.to_numpy()
    best = min(
        cash @ covariance @ cash - (covariance[i] @ cash) ** 2 / covariance[i, i] for i in (2, 3)
    )  # the least variance one instrument can leave
    assert frame.loc["nearest instrument", "volatility"] == pytest.approx(np.sqrt(best))
    moves = market.moves().to_numpy()
    item = moves @ cash
    slopes = [np.cov(item, moves[:, i])[0, 1] / np.var(moves[:, i], ddof=1) for i in (2, 3)]
    corr = [abs(np.corrcoef(item, moves[:, i])[0, 1]) for i in (2, 3)]
    i = int(np.argmax(corr))
    after = cash - slopes[i] * np.eye(4)[2 + i]
    assert frame.loc["regression beta", "volatility"] == pytest.approx(np.sqrt(after @ covariance @ after))


def test_other_quantities_recompute_the_whole_report():
    market, book = stocks(3), {"S0": 1000.0}
    hedge = simple(market).hedge(market, book)
    other = hedge.with_quantities(np.round(hedge.h), hedge.certificate)
    assert other.after["S2"] == round(hedge.after["S2"])
    assert other.costs["spread"] == pytest.approx(abs(other.trades["S2"]) * market.trade_cost.loc["S2", "buy"])


def test_vega_without_a_driver_is_reported():
    market = options()
    drivers = market.drivers.loc[["U"]].rename_axis("driver").reset_index()
    bare = replace(market, drivers=drivers, history=market.history[["U"]])
    hedge = HedgeModel(risk=flat_risk(bare), objective=(Variance(1e-3),), universe=("U",)).hedge(
        bare, {"C100-30": 10.0}
    )
    assert any("vega of 1 contracts" in note for note in hedge.problem.notes)


def test_a_hedge_that_is_not_worth_its_cost_says_what_it_is_worth_and_costs():
    market = stocks(spread=0.2, hedge=[False] * 4 + [True])
    hedge = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-9), SpreadCost())).hedge(market, {"S0": 100.0})
    assert (hedge.trades == 0).all()
    assert "no trade: risk reduction worth" in str(hedge)
    row = hedge.baselines.loc["nearest instrument"]
    worth = 1e-9 / 2 * (hedge.baselines.loc["no trade", "volatility"] ** 2 - row["volatility"] ** 2)
    assert f"worth {number(worth)}, cost {number(row['cost'])}" in str(hedge)
    assert worth < row["cost"]


@pytest.mark.parametrize(("removed", "material"), [(0.12, True), (0.08, False)])
def test_a_hedge_is_material_where_it_takes_a_tenth_off_the_variance(removed: float, material: bool) -> None:
    """A tenth of the variance, not of the volatility: 12 % of it is 6 % of volatility."""
    market = stocks(2)
    correlation = np.sqrt(removed)
    covariance = 1e-4 * np.array([[1, correlation], [correlation, 1]])
    risk = Risk.from_covariance(pd.DataFrame(covariance, market.drivers.index, market.drivers.index))
    hedge = HedgeModel(risk=risk, objective=(Variance(1e-3),), universe=("S1",)).hedge(market, {"S0": 1000.0})
    volatility = hedge.risk.loc["volatility"]
    assert 1 - (volatility["after"] / volatility["before"]) ** 2 == pytest.approx(removed, rel=1e-3)
    assert hedge.material is material


def test_every_limit_says_whether_it_is_hard_and_whether_a_hedge_exists() -> None:
    market = stocks(3)
    model = HedgeModel(
        risk=flat_risk(market), objective=(Variance(1e-5),), universe=("S1",),
        constraints=(Neutral("delta", by="underlying", band=1.0, only_hedged=True),
                     Neutral("gamma", soft=0.1), VolatilityLimit(1e9)),
    )  # fmt: skip
    hedge = model.hedge(market, {"S0": 1000.0, "S1": 50.0})
    kinds = hedge.limits["kind"].to_dict()
    assert kinds == {
        "delta[S1]": "hard",
        "volatility": "hard",
        "delta[S0]": "soft, no hedge",
        "gamma": "soft, no hedge",
    }
    assert any("delta[S0]: no tradable contract moves it" in note for note in hedge.problem.notes)
    assert abs(hedge.limits.loc["delta[S1]", "after"]) <= 1.0 + 1e-6
    assert hedge.limits.loc["delta[S0]", "violation"] > 0


def test_a_report_of_no_trade_and_no_limit_shows_no_empty_table_and_no_empty_column():
    text = str(HedgeModel(objective=(SpreadCost(),)).hedge(stocks(2), {"S0": 10.0}))
    assert "Empty DataFrame" not in text and "trades\nnone" in text and "upper" not in text and "target" not in text
    assert "0 lines" in str(
        HedgeModel(risk=flat_risk(stocks(2)), objective=(SpreadCost(),)).hedge(stocks(2), {"S0": 1.0})
    )
