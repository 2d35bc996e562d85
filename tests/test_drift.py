"""Realised against forecast: a right model is in line, a wrong one is named, in a policy and in a desk's report."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.accounts.valuation import opening
from optihedge.desk.looking import drift, over_forecast
from optihedge.errors import SpecError
from optihedge.market.snapshot import Market
from optihedge.risk.root import Risk
from optihedge.step.policies.drift import Drift, driver_days
from optihedge.step.step import step

END = pd.Timestamp("2026-03-31T21:00:00Z")


def markets(volatility: float, steps: int = 80, seed: int = 0, freq: str = "B") -> list[Market]:
    """Two stocks of so much a day; each market knows the 60 days before it."""
    moves = volatility * np.random.default_rng(seed).standard_normal((60 + steps, 2))
    times = pd.date_range(end=END, periods=60 + steps, freq=freq, name="time")
    levels = pd.DataFrame(100 * np.exp(moves.cumsum(axis=0)), index=times, columns=["X", "Y"])
    return [
        Market.from_prices(levels.iloc[i : i + 61], base_currency="USD", as_of=levels.index[i + 60], spread=0.001)
        for i in range(steps)
    ]


def decisions(volatility: float, policy: Drift, seed: int = 0, trade: bool = False):
    """What the policy says at each step of a book of X under a model that forecasts 1 % a day."""
    found, state, before = [], None, None
    for market in markets(volatility, seed=seed):
        risk = Risk(np.zeros((1, 2)), np.full(2, 0.01), market.drivers.index, market.periods_per_year)
        model = oh.HedgeModel(risk=risk, objective=(oh.Variance(1e-6), oh.SpreadCost()), universe=("Y",))
        state = opening("b", market, {"X": 100.0}) if state is None else state
        done = step(state, before, market, model, policy)
        found.append(done.decision)
        state, before = replace(done.state, orders=()), market
    return found


def test_a_right_forecast_waits_and_a_wrong_one_acts_whichever_way():
    policy = Drift(times=1.5, halflife=30.0)
    assert not any(one.act for one in decisions(0.01, policy))
    for wrong in (0.02, 0.004):
        late = decisions(wrong, policy)[40:]
        told = late[-1].memory["drift"]
        assert np.mean([one.act for one in late]) > 0.9
        assert np.sqrt(told["squares"] / told["weight"]) == pytest.approx(
            wrong / 0.01, rel=3 / np.sqrt(2 * 45)
        )  # three errors
    assert "9 of 10 steps compared" in decisions(0.02, policy)[9].why


def test_the_ratio_is_the_faded_mean_of_squares():
    policy = Drift(times=50.0, halflife=5.0, least=1)
    found, path = decisions(0.01, policy), markets(0.01)
    price = np.array([float(market.price["X"]) for market in path])
    days = np.array([driver_days(b, a.as_of) for a, b in pairwise(path)])
    ratio = np.diff(price) / (0.01 * price[:-1] * np.sqrt(days))
    weights = 0.5 ** (np.arange(len(ratio))[::-1] / 5.0)
    expected = np.sqrt((weights * ratio**2).sum() / weights.sum())
    memory = found[-1].memory["drift"]
    assert np.sqrt(memory["squares"] / memory["weight"]) == pytest.approx(expected, rel=1e-6)


def test_days_are_those_of_the_drivers_calendar():
    business, calendar = markets(0.01, 6), markets(0.01, 6, freq="D")
    weeks = [market for market in business if market.as_of.weekday() == 4]
    assert driver_days(business[-1], business[-1].as_of - pd.Timedelta(days=7)) == pytest.approx(5, abs=0.2) and weeks
    assert driver_days(calendar[-1], calendar[-2].as_of) == pytest.approx(1.0, abs=0.01)


def test_what_forecasts_nothing_and_what_is_no_band_are_refused():
    market = markets(0.01, 1)[0]
    model = oh.HedgeModel(constraints=oh.Neutral("delta", band=500.0), objective=(oh.SpreadCost(),))
    with pytest.raises(SpecError, match="has no risk"):
        step(opening("b", market, {"X": 1.0}), None, market, model, Drift())
    for wrong in ({"times": 1.0}, {"halflife": 0.0}, {"least": 0}):
        with pytest.raises(SpecError):
            Drift(**wrong)


@pytest.mark.parametrize(("true", "word"), [(1.0, "in line"), (1.8, "drift: 1."), (0.4, "drift: 0.")])
def test_a_report_says_whether_what_came_was_forecast(true, word):
    rng, count = np.random.default_rng(2), 60
    nights = pd.DataFrame({
        "book": ["a", "b"] * count, "realised": 300.0 * true * np.sqrt(3.0) * rng.standard_normal(2 * count),
        "days": 3.0, "forecast": 300.0,
    })  # fmt: skip
    nights.loc[4, "forecast"] = None
    nights["over forecast"] = over_forecast(nights)
    assert nights["over forecast"].isna().to_numpy().nonzero()[0].tolist() == [0, 1, 6]
    found = drift(nights)
    assert list(found["nights"]) == [count - 2, count - 1] and all(word in text for text in found["finding"])
