"""Figures out of all proportion end in an error that names their term, or in a proof: never in a solver's failure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optihedge as oh


@dataclass(frozen=True)
class Mine(oh.Term):
    """A term that says one verb with one figure."""

    verb: Any = field(default=None)

    def contribute(self, p: Any) -> None:
        self.verb(p)


VERBS = {
    "buy": lambda big: lambda p: p.cost(buy=big, sell=big),
    "long": lambda big: lambda p: p.cost(long=big),
    "short": lambda big: lambda p: p.cost(short=big),
    "quadratic": lambda big: lambda p: p.cost(quadratic=big),
    "power": lambda big: lambda p: p.cost(power=big),
    "risk": lambda big: lambda p: p.risk_rows(np.full((1, len(p.names)), big)),
    "diagonal": lambda big: lambda p: p.diagonal(big),
    "weight": lambda big: lambda p: p.row("x", np.where(np.arange(len(p.names)) % 2, big, 1.0), hi=1.0),
    "limit": lambda big: lambda p: p.row("x", np.ones(len(p.names)), lo=big),
}


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("big", [1e8, 1e13, 1e25, 1e75, 1e101, 1e308])
@pytest.mark.parametrize("verb", VERBS)
def test_a_figure_out_of_proportion_is_named_with_its_term(example_folder: Path, verb: str, big: float) -> None:
    market, book = oh.read_market(example_folder), oh.read_book(example_folder / "book.csv")
    risk = oh.EwmaRisk(63).fit(market.moves()).risk_
    model = oh.HedgeModel(
        risk=risk, objective=(oh.Variance(1e-5), oh.SpreadCost(), Mine(verb=VERBS[verb](big), name="Mine"))
    )
    try:
        hedge = model.hedge(market, book)
    except oh.SpecError as error:
        assert "Mine" in str(error) and "check its unit" in str(error)
    except oh.InfeasibleError as error:
        assert verb in ("limit", "weight") and "x" in str(error)
    else:
        assert big < 1e100 and hedge.certificate.status in ("optimal", "unbounded")


@pytest.mark.parametrize("make", [
    lambda: oh.Variance(1e308), lambda: oh.Neutral("delta", soft=1e200), lambda: oh.Neutral("delta", target=-1e101),
    lambda: oh.terms.VolatilityLimit(1e300),
])  # fmt: skip
def test_a_field_beyond_all_figures_is_refused_by_its_name(make: Any) -> None:
    with pytest.raises(
        oh.SpecError, match=r"(aversion|soft|target|limit) is -?1e\+\d+, beyond 1e\+100; check its unit"
    ):
        make()
