"""Laws every hedge obeys, on random books: rescaling, order, parity, doubling, cost, limits, solvers, shadow prices."""

from dataclasses import replace
from itertools import count, islice, pairwise

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, flat_risk, options
from hypothesis import given, settings
from hypothesis import strategies as st

from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import CarryCost, FeeCost, ImpactCost, SpreadCost
from optihedge.hedge.terms.limits import GrossLimit, TurnoverLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk

SAME = 1e-5  # relative to the book's gross: two certified answers to one strictly convex problem
VALUE = 1e-6  # relative: two certified objectives
QUOTIENT = 1e-7  # base currency per unit: what certified gaps leave of a difference quotient

laws = settings(max_examples=8, derandomize=True)
seeds = st.integers(0, 10_000)


class Desk:
    """A random book of n stocks and its market; every figure comes from the seed."""

    def __init__(self, seed: int, *, price_scale: float = 1.0, money_scale: float = 1.0, extra: str = "") -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 9))
        names = [f"S{i}" for i in range(n)]
        self.names = names
        self.price = rng.uniform(5, 500, n) * price_scale * money_scale
        self.spread = rng.uniform(2e-4, 5e-3, n)
        self.fee = rng.uniform(0, 1e-3, n)
        self.volume = rng.uniform(1e4, 1e6, n) / price_scale
        self.book = dict(zip(names, np.round(rng.normal(0, 500, n)) / price_scale, strict=True))
        self.root = rng.normal(0, 0.01, (2, n)) + np.array([[0.01], [0.0]])
        self.specific = rng.uniform(0.005, 0.02, n)
        labels, underlying = list(names), list(names)
        if extra:  # one more contract, on the first stock or on nothing that the book holds
            labels.append("EXTRA")
            underlying.append(names[0] if extra == "duplicate" else "OTHER")
        at = [names.index(u) if u in names else 0 for u in underlying]
        index = pd.Index(labels, name="instrument")
        half = self.price[at] * self.spread[at] / 2
        self.market = Market(
            instruments=pd.DataFrame({"type": "spot", "underlying": underlying, "fee": self.fee[at]}, index=index),
            quotes=pd.DataFrame(
                {
                    "bid": self.price[at] - half,
                    "ask": self.price[at] + half,
                    "mark": self.price[at],
                    "volume": self.volume[at],
                },
                index=index,
            ),
            base_currency="USD",
            as_of=AS_OF,
        )
        other = [self.market.drivers.index.get_loc(name) for name in names]
        count = len(self.market.drivers)
        root, specific = np.zeros((2, count)), np.full(count, 0.01)
        root[:, other], specific[other] = self.root, self.specific
        self.risk = Risk(root, specific, self.market.drivers.index)
        self.gross = float(np.abs(list(self.book.values())) @ self.price)

    def model(self, **given_) -> HedgeModel:
        objective = (Variance(30 / self.gross), SpreadCost(), FeeCost())
        return HedgeModel(**({"risk": self.risk, "objective": objective, "capital": self.gross} | given_))

    def cash(self, trades: pd.Series) -> np.ndarray:
        return trades.reindex(self.names).fillna(0.0).to_numpy() * self.price / self.gross


@laws
@given(seeds, st.sampled_from([1e-3, 7.0, 1e3]), st.sampled_from([0.01, 1.0, 150.0]))
def test_law_1_units_do_not_matter(seed, price_scale, money_scale):
    hedges = []
    for p, m in ((1.0, 1.0), (price_scale, money_scale)):
        desk = Desk(seed, price_scale=p, money_scale=m)
        objective = (Variance(30 / desk.gross), SpreadCost(), ImpactCost(2.0, power=1.5))
        model = desk.model(objective=objective, constraints=(Neutral("delta", band=0.01 * desk.gross),))
        hedges.append(desk.cash(model.hedge(desk.market, desk.book).trades))
    assert hedges[1] == pytest.approx(hedges[0], abs=SAME)


@laws
@given(seeds)
def test_law_2_order_does_not_matter(seed):
    desk = Desk(seed)
    model = desk.model(constraints=(Neutral("delta"),))
    order = np.random.default_rng(seed).permutation(desk.names)
    market = desk.market
    shuffled = replace(market, instruments=market.instruments.loc[order], quotes=market.quotes.loc[order])
    book = {name: desk.book[name] for name in order}
    assert desk.cash(model.hedge(shuffled, book).trades) == pytest.approx(
        desk.cash(model.hedge(market, desk.book).trades), abs=SAME
    )


@laws
@given(seeds, st.sampled_from(["duplicate", "useless"]))
def test_law_2_a_duplicate_or_useless_instrument_does_not_change_the_objective(seed, extra):
    """Useless: of independent risk and at a cost, where no limit counts it."""
    plain, more = Desk(seed), Desk(seed, extra=extra)
    constraints = (Neutral("delta", band=0.01 * plain.gross),) if extra == "duplicate" else ()
    values = [d.model(constraints=constraints).hedge(d.market, d.book).certificate.primal for d in (plain, more)]
    assert values[1] == pytest.approx(values[0], rel=VALUE)


@laws
@given(st.sampled_from([90, 100, 110]), st.floats(-500, 500).filter(lambda q: abs(q) > 1), st.booleans())
def test_law_3_a_call_is_a_put_and_a_forward(strike, quantity, second_order):
    market = options(half_spread=0.01)
    legs = [f"C{strike}-30", f"P{strike}-30", "F-30"]
    universe = tuple(name for name in market.names if name not in legs)
    model = HedgeModel(
        risk=flat_risk(market),
        universe=universe,
        capital=1e6,
        objective=(Variance(1e-4, second_order=second_order), SpreadCost()),
    )
    call = model.hedge(market, {legs[0]: quantity})
    parity = model.hedge(market, {legs[1]: quantity, legs[2]: quantity})
    assert parity.certificate.primal == pytest.approx(call.certificate.primal, rel=1e-5)
    assert parity.risk.loc["variance", "before"] == pytest.approx(call.risk.loc["variance", "before"], rel=1e-6)
    assert parity.risk.loc["variance", "after"] == pytest.approx(call.risk.loc["variance", "after"], rel=1e-3, abs=1e-3)


@laws
@given(seeds, st.sampled_from([2.0, 10.0]))
def test_law_4_a_doubled_book_doubles_a_neutral_costless_hedge(seed, factor):
    desk = Desk(seed)
    model = desk.model(objective=(Variance(1e-3),), constraints=(Neutral("delta"),), universe=tuple(desk.names[:2]))
    one = model.hedge(desk.market, desk.book)
    two = model.hedge(desk.market, {name: factor * q for name, q in desk.book.items()})
    assert desk.cash(two.trades) == pytest.approx(factor * desk.cash(one.trades), abs=SAME * factor)


@laws
@given(seeds)
def test_law_5_without_aversion_only_what_constraints_force_is_traded(seed):
    desk = Desk(seed)
    costs = (SpreadCost(), FeeCost())
    assert (desk.model(objective=(Variance(0.0), *costs)).hedge(desk.market, desk.book).trades == 0).all()
    dear = desk.model(objective=(Variance(30 / desk.gross), SpreadCost(scale=1e6)))
    assert (dear.hedge(desk.market, desk.book).trades == 0).all()
    forced = desk.model(objective=costs, constraints=(Neutral("delta"),)).hedge(desk.market, desk.book)
    per_delta = (desk.spread / 2 + desk.fee).min()
    delta = abs(forced.exposures.loc["delta", "before"])
    assert forced.costs["total"] == pytest.approx(delta * per_delta, rel=VALUE, abs=1e-9 * desk.gross)


@laws
@given(seeds, st.floats(0.1, 0.9))
def test_law_6_a_tighter_limit_never_lowers_the_objective_nor_a_wider_universe_raises_it(seed, share):
    desk = Desk(seed)
    free = desk.model().hedge(desk.market, desk.book)
    size = float(np.abs(desk.cash(free.trades)).sum() * desk.gross)
    tightened = [desk.model(constraints=(TurnoverLimit(f * size),)) for f in (1.0, share, 0.5 * share)]
    narrowed = [desk.model(universe=tuple(desk.names[:count])) for count in (3, 2, 1)]
    for sweep in (tightened, narrowed):
        values = [free.certificate.primal]
        values += [model.hedge(desk.market, desk.book).certificate.primal for model in sweep]
        assert all(b >= a * (1 - VALUE) for a, b in pairwise(values))


@laws
@given(seeds)
def test_law_7_an_empty_book_with_nothing_to_gain_trades_nothing(seed):
    desk = Desk(seed)
    model = desk.model(constraints=(Neutral("delta"), GrossLimit(desk.gross)))
    assert (model.hedge(desk.market, {}).trades == 0).all()


@laws
@given(seeds)
def test_law_8_two_solvers_differ_by_no_more_than_their_proved_gaps(seed):
    desk = Desk(seed)
    constraints = (Neutral("delta", band=0.01 * desk.gross), TurnoverLimit(0.3 * desk.gross, soft=0.01))
    model = desk.model(constraints=constraints)
    answers = [replace(model, solver=name).hedge(desk.market, desk.book) for name in ("clarabel", "piqp", "structured")]
    for a in answers:
        for b in answers:
            slack = sum(
                abs(x.certificate.gap) + float(np.abs(x.multipliers) @ x.limits["violation"].to_numpy()) for x in (a, b)
            )
            rounding = 1e-12 * (abs(a.certificate.primal) + a.certificate.scale)
            assert abs(a.certificate.primal - b.certificate.primal) <= slack + rounding


def shadow_price_and_quotients(seed: int, which: str) -> tuple[float, float, float]:
    """Left quotient, shadow price and right quotient of the objective in one limit of a random desk."""
    desk = Desk(seed)
    held = float(abs(sum(np.array(list(desk.book.values())) * desk.price)))
    at = {"delta": 0.3 * held, "turnover": 0.1 * desk.gross, "gross": 0.8 * desk.gross}[which]
    terms = {
        "delta": lambda limit: Neutral("delta", band=limit), "turnover": TurnoverLimit, "gross": GrossLimit
    }  # fmt: skip

    def hedge(limit):
        return desk.model(constraints=(terms[which](limit),)).hedge(desk.market, desk.book)

    middle, step = hedge(at), 1e-3 * at
    left = (middle.certificate.primal - hedge(at - step).certificate.primal) / step
    right = (hedge(at + step).certificate.primal - middle.certificate.primal) / step
    return left, -abs(middle.shadow_prices[which]), right  # of a wider limit, on whichever side it binds


def lies_between(left: float, price: float, right: float) -> bool:
    slack = 0.01 * max(abs(left), abs(right)) + QUOTIENT
    return left - slack <= price <= right + slack


@laws
@given(seeds, st.sampled_from(["delta", "turnover", "gross"]))
def test_law_9_a_shadow_price_lies_between_the_difference_quotients(seed, which):
    assert lies_between(*shadow_price_and_quotients(seed, which))


@pytest.mark.slow
def test_law_9_on_200_binding_limits():
    found = (shadow_price_and_quotients(seed, which) for seed in count() for which in ("delta", "turnover", "gross"))
    binding = (one for one in found if one[1] < -QUOTIENT)
    assert all(lies_between(*one) for one in islice(binding, 200))


@laws
@given(st.floats(-1000, 1000).filter(lambda q: abs(q) > 1), st.sampled_from([("F-30",), ("C50-30", "P50-30")]))
def test_law_11_a_stock_hedged_by_its_forward_or_a_synthetic_has_no_risk_left(quantity, hedges):
    market = options(strikes=(50, 100), days=(30,), half_spread=0.0)
    drivers = market.drivers.loc[["U"]].rename_axis("driver").reset_index()
    market = replace(market, drivers=drivers, history=market.history[["U"]])
    risk = Risk(np.array([[0.01]]), np.array([0.02]), market.drivers.index)
    model = HedgeModel(risk=risk, objective=(Variance(1e-2, second_order=False),), universe=hedges)
    hedge = model.hedge(market, {"U": quantity})
    assert hedge.risk.loc["volatility", "after"] <= 1e-5 * hedge.risk.loc["volatility", "before"]


@laws
@given(st.floats(0.05, 1.5), st.sampled_from([(5,), (30, 90), (365,)]))
def test_law_12_an_option_at_the_forecast_vol_is_never_sold_for_its_theta(vol, days):
    market = options(vol=vol, days=days)
    daily = vol / np.sqrt(market.periods_per_year)
    risk = Risk(np.diag([daily, 0.01]), np.zeros(2), market.drivers.index, market.periods_per_year)
    model = HedgeModel(risk=risk, objective=(Variance(1e-4), SpreadCost(), CarryCost()), capital=1e5)
    carry = model.problem(market, {}).costs["carry"].linear
    assert carry == pytest.approx(np.zeros(len(carry)), abs=1e-9)
    assert (model.hedge(market, {}).trades == 0).all()
