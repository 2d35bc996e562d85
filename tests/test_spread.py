"""A spread: where it stands, that its legs stay in ratio, what its reversion is worth, when it is entered and left."""

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.hedge.terms.objective import Variance
from optihedge.hedge.terms.spread import Spread
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk
from optihedge.risk.spread import decay_rows, half_life, spread_state
from optihedge.step.policies.policyfile import policy_of
from optihedge.step.policies.spread import ZScore

LEGS = {"A": 1.0, "B": -0.8}
END = pd.Timestamp("2026-01-20T21:00:00Z")


def deviations(rows: int, half_life: float, seed: int, last: float | None = None) -> np.ndarray:
    """An AR(1) of unit variance; `last` is added at the end."""
    rng, keep = np.random.default_rng(seed), 2.0 ** (-1.0 / half_life)
    out = np.zeros(rows)
    for t in range(1, rows):
        out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * rng.standard_normal()
    return out if last is None else np.r_[out[:-1], last]


def pair(away: np.ndarray, scale: float = 0.01, spread: float = 0.0) -> Market:
    """B walks, A is 0.8 of it in logs plus deviations of `scale`: the level of A - 0.8 B is the deviation."""
    rng = np.random.default_rng(9)
    walk = np.cumsum(0.01 * rng.standard_normal(len(away)))
    logs = pd.DataFrame({"A": 0.8 * walk + scale * away, "B": walk, "C": np.cumsum(rng.normal(0, 0.01, len(away)))})
    times = pd.bdate_range(end=END, periods=len(away), name="time")
    return Market.from_prices(100 * np.exp(logs.set_axis(times)), base_currency="USD", spread=spread, as_of=END)


def risk_of(market: Market) -> Risk:
    return Risk(np.zeros((1, 3)), np.full(3, 0.01), market.drivers.index, market.periods_per_year)


@pytest.mark.parametrize("half_life", [4.0, 15.0])
def test_level_deviation_and_half_life_are_those_of_the_process(half_life):
    away = deviations(4000, half_life, seed=1)
    state = spread_state(pair(away), LEGS, rows=4000)
    level = 0.01 * away[1:]
    assert np.corrcoef(state.level, level)[0, 1] > 0.98, "simple returns of the legs, summed, follow the log spread"
    assert state.half_life == pytest.approx(half_life, rel=0.25)
    assert state.z == pytest.approx(state.deviation / state.level.std(ddof=0), rel=1e-9)
    assert state.reversion(state.half_life) == pytest.approx(-state.deviation / 2)
    assert state.reversion(1e9) == pytest.approx(-state.deviation)


@pytest.mark.parametrize("scale", [1.0, 250.0])
def test_the_optimum_of_a_reverting_pair_is_its_expected_return_over_aversion_and_variance(scale):
    """No costs: units = reversion / (aversion x variance of one unit), whatever the ratio and the size of the book."""
    market = pair(deviations(400, 5.0, seed=2, last=2.5))
    state, aversion = spread_state(market, LEGS, 250), 1e-5 / scale
    variance = 0.01**2 * (1.0 + 0.8**2)
    model = HedgeModel(
        risk=risk_of(market), objective=(Variance(aversion),), constraints=(Spread(LEGS, limit=1e12, rows=250),),
        universe=("A", "B"),
    )  # fmt: skip
    held = model.hedge(market, pd.Series(dtype=float)).after * market.notional
    units = state.reversion(1.0) / (aversion * variance)
    assert held["A"] == pytest.approx(units, rel=1e-6) and held["B"] == pytest.approx(-0.8 * units, rel=1e-6)
    assert units < 0, "a spread above its mean is sold"


def test_a_random_walk_is_seldom_taken_for_a_spread_that_reverts():
    """One in twenty by the test's own level; the plain slope would say so of nearly all."""
    found = [half_life(np.cumsum(np.random.default_rng(seed).standard_normal(250)))[0] for seed in range(400)]
    assert 0.025 <= np.mean(np.isfinite(found)) <= 0.085
    reverting = [half_life(deviations(250, 5.0, seed))[0] for seed in range(100)]
    assert np.mean(np.isfinite(reverting)) > 0.95 and 3.0 < np.median(reverting) < 7.0


@pytest.mark.parametrize("rows", [250, 1000])
def test_a_random_walk_seen_through_bid_and_ask_is_seldom_taken_for_one_either(rows):
    """Noise of two daily moves: one change before in the test's regression took it for a reversion in 0.4 of cases."""
    rng = np.random.default_rng(11)
    seen = [np.cumsum(rng.standard_normal(rows)) + 2.0 * rng.standard_normal(rows) for _ in range(200)]
    assert np.mean([np.isfinite(half_life(level)[0]) for level in seen]) <= 0.13


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("life", [2.0, 5.0, 10.0])
def test_half_lives_are_right_in_the_middle_whatever_the_noise_of_closes(life, noise):
    """250 rows. By least squares a deviation of half-life 10 seemed to be gone by half in 8, with noise in 5."""
    rng = np.random.default_rng(12)
    found = [decay_rows(deviations(250, life, seed) + noise * rng.standard_normal(250)) for seed in range(300)]
    assert np.median(found) == pytest.approx(life, rel=0.12)


def test_noise_alone_is_gone_at_once_and_a_walk_never():
    rng = np.random.default_rng(13)
    assert np.mean([decay_rows(rng.standard_normal(300)) == 0.5 for _ in range(100)]) > 0.9
    assert decay_rows(np.arange(300.0)) == np.inf


def test_legs_stay_in_ratio_in_whole_lots_and_within_the_limit():
    market = pair(deviations(400, 5.0, seed=3, last=-2.5))
    model = HedgeModel(
        risk=risk_of(market), objective=(Variance(1e-9),), constraints=(Spread(LEGS, limit=50_000.0, rows=250),),
        universe=("A", "B"),
    )  # fmt: skip
    trades = oh.trade_list(model.hedge(market, pd.Series(dtype=float)))
    held = trades.table.set_index("instrument")["quantity"] * market.notional
    lot = (market.instruments["lot"] * market.notional)[["A", "B"]]
    assert not trades.held and 0 < held["A"] <= 50_000.0 + lot["A"]
    assert abs(held["B"] + 0.8 * held["A"]) <= lot["B"] + 0.8 * lot["A"]


def test_a_broken_relation_is_closed_and_a_slow_one_earns_nothing():
    objective, held = (Variance(1e-5),), pd.Series({"A": 10.0, "B": -8.0})
    broken = pair(deviations(400, 5.0, seed=4, last=9.0))
    model = HedgeModel(
        risk=risk_of(broken), objective=objective, constraints=(Spread(LEGS, limit=1e6, rows=250),),
        universe=("A", "B"),
    )  # fmt: skip
    hedge = model.hedge(broken, held)
    assert np.allclose(hedge.after[["A", "B"]], 0.0, atol=1e-6)
    assert "taken as broken" in " ".join(hedge.problem.notes)
    walk = np.cumsum(np.random.default_rng(5).standard_normal(400)) / 5
    assert not np.isfinite(half_life(walk[-250:])[0])
    slow = pair(walk)
    assert np.allclose(model.hedge(slow, pd.Series({"A": 0.0})).after.reindex(["A", "B"]).fillna(0.0), 0.0, atol=1e-6)


def view(market: Market, **held: float):
    class View:
        book = pd.Series(held, dtype=float)

    View.market = market
    return View


@pytest.mark.parametrize(
    ("last", "held", "act"),
    [(2.6, {}, True), (1.0, {}, False), (9.0, {}, False), (1.0, {"A": 5.0, "B": -4.0}, False),
     (0.1, {"A": 5.0}, True), (-2.6, {}, True), (9.0, {"B": 3.0}, True), (1.0, {"C": 3.0}, False)],
)  # fmt: skip
def test_a_spread_is_entered_far_away_and_left_near_its_mean_or_when_it_breaks(last, held, act):
    market = pair(deviations(400, 5.0, seed=6, last=last))
    decision = ZScore(LEGS).decide(view(market, **held), {})
    assert decision.act is act, decision.why


def test_the_future_of_the_history_changes_nothing_and_an_unheld_gap_neither():
    away = deviations(400, 5.0, seed=7)
    market = pair(away)
    holed = market.history.copy()
    holed.loc[holed.index[-40:], "C"] = np.nan
    again = Market(
        instruments=market.instruments, quotes=market.quotes, base_currency="USD", drivers=market.drivers.reset_index(),
        history=holed, as_of=market.as_of, on_missing="freeze",
    )  # fmt: skip
    assert spread_state(again, LEGS).z == spread_state(market, LEGS).z


def test_a_spread_whose_leg_has_not_moved_for_long_stands_nowhere():
    market = pair(deviations(400, 5.0, seed=7))

    def holed(rows: int) -> Market:
        history = market.history.copy()
        history.loc[history.index[-rows:], "B"] = np.nan
        return Market(instruments=market.instruments, quotes=market.quotes, base_currency="USD", history=history,
                      drivers=market.drivers.reset_index(), as_of=market.as_of, on_missing="freeze")  # fmt: skip

    assert spread_state(holed(2), LEGS).level.index[-1] == market.history.index[-3]
    with pytest.raises(DataError, match=r"not all of them have moved since .* 40 rows ago"):
        spread_state(holed(40), LEGS)
    with pytest.raises(SpecError, match="rows is 0; give 30 or more"):
        spread_state(market, LEGS, rows=0)


@pytest.mark.parametrize("held", [{"A": 5.0}, {"A": 5.0, "B": 4.0}, {"B": -4.0}])
def test_a_leg_that_is_missing_or_on_the_wrong_side_is_a_reason_to_act(held):
    market = pair(deviations(400, 5.0, seed=6, last=1.0))
    decision = ZScore(LEGS).decide(view(market, **held), {})
    assert decision.act and "legs do not match" in decision.why


def test_a_file_says_the_same():
    model = parse_model(
        'description = "A pair."\nobjective = [{ type = "Variance", aversion = 1e-5 }]\n'
        'risk = { type = "EwmaRisk", halflife = 63 }\n'
        'constraints = [{ type = "Spread", legs = { A = 1.0, B = -0.8 }, limit = 1e5, rows = 250 }]\n',
        name="pair",
    )
    assert model.constraints == (Spread(LEGS, limit=1e5, rows=250),)
    assert policy_of({"type": "ZScore", "legs": LEGS, "entry": 1.5}) == ZScore(LEGS, entry=1.5)


def test_what_is_no_spread_is_refused_by_name():
    market = pair(deviations(400, 5.0, seed=8))
    for legs in ({"A": 1.0}, {"A": 1.0, "B": 0.0}, {"A": 1.0, "B": float("nan")}, ["A", "B"], {"A": 1.0, "B": True}):
        with pytest.raises(SpecError, match=r"legs are|weight of"):
            Spread(legs, limit=1.0)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="Q is no contract"):
        spread_state(market, {"A": 1.0, "Q": -1.0})
    with pytest.raises(DataError, match="20 rows of history"):
        spread_state(pair(deviations(21, 5.0, seed=8)), LEGS)
    with pytest.raises(SpecError, match="in this order"):
        ZScore(LEGS, entry=0.4)
    model = HedgeModel(
        risk=risk_of(market), objective=(Variance(1e-5),), constraints=(Spread(LEGS, limit=1.0),), universe=("A",)
    )
    with pytest.raises(SpecError, match="B is not in play"):
        model.hedge(market, pd.Series(dtype=float))
