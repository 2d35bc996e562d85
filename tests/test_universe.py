"""Which contracts may be traded, and why others may not."""

from dataclasses import replace

import numpy as np
import pytest
from desks import flat_risk, options, simple, stocks

from optihedge.errors import InfeasibleError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.hedge.universe import Universe


def test_the_default_universe_is_what_is_marked_hedge():
    market = stocks(3, hedge=[False, True, False])
    hedge = simple(market, universe=None).hedge(market, {"S0": 10.0})
    assert hedge.program.columns == ("S1",)


def test_a_universe_selects_by_column_and_freezes_by_name():
    market = stocks(4, sector=["x", "x", "y", "y"])
    universe = Universe(where={"sector": ["x"]}, frozen=("S0",))
    assert simple(market, universe=universe).hedge(market, {"S0": 10.0}).program.columns == ("S1",)


@pytest.mark.parametrize(
    ("universe", "text"),
    [(("S9",), r"S9 is no instrument of this market \(did you mean S1\?\)"), (Universe(frozen=("S7",)), "S7 is no"),
     (Universe(where={"sectr": "x"}), "no column 'sectr'")],
)  # fmt: skip
def test_an_unknown_name_in_the_universe_is_refused(universe, text):
    with pytest.raises(SpecError, match=text):
        simple(stocks(2), universe=universe).hedge(stocks(2), {"S0": 1.0})


def test_a_leg_that_expires_within_the_horizon_is_refused_by_name():
    market = options(days=(3, 90))
    model = HedgeModel(risk=flat_risk(market), objective=(Variance(1e-3),), horizon="5d")
    hedge = model.hedge(market, {"U": 10.0})
    assert not any(name.endswith("-3") for name in hedge.program.columns)
    assert any("F-3" in note and "expiring within the horizon" in note for note in hedge.problem.notes)


def test_a_hedge_without_a_quote_is_not_traded_and_named():
    market = stocks(3)
    quotes = market.quotes.copy()
    quotes.loc["S2", ["bid", "ask"]] = np.nan
    market = replace(market, quotes=quotes)
    hedge = simple(market, universe=("S1", "S2")).hedge(market, {"S0": 10.0})
    assert hedge.program.columns == ("S1",)
    assert "S2: not traded, no quote" in hedge.problem.notes


@pytest.mark.parametrize(
    ("side", "held", "told"), [("bid", 10.0, "S1: not sold, no bid"), ("ask", -10.0, "S1: not bought, no ask")]
)
def test_a_hedge_that_has_one_side_of_a_quote_is_named_by_the_answer_and_where_no_answer_is(side, held, told):
    whole = stocks(2, hedge=[False, True])
    quotes = whole.quotes.copy()
    quotes.loc["S1", side] = np.nan
    market = replace(whole, quotes=quotes)
    assert told in simple(market, universe=None).hedge(market, {"S0": held}).problem.notes
    assert not any("S1: not" in note for note in simple(whole, universe=None).hedge(whole, {"S0": held}).problem.notes)
    model = replace(simple(market, universe=None), constraints=(Neutral("delta"),))
    with pytest.raises(InfeasibleError, match=told):
        model.hedge(market, {"S0": held})
