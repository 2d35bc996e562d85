"""Scenario sources: specs that terms, tables and model files share give the P&L that revaluation gives."""

import numpy as np
import pandas as pd
import pytest
from desks import AS_OF, options
from test_smile_risk import smile

from optihedge.errors import DataError, SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import parse_model
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.tail import ScenarioVariance, Shortfall, WorstCase
from optihedge.market.scenarios import replay, scenario_pnl, shock_grid
from optihedge.market.snapshot import Market
from optihedge.risk.smile_risk import SmileRisk
from optihedge.risk.sources import Frame, Grid, Replay, SmileDraws, Stresses, scenario_table

BOOK = {"U-C100-30": -10.0, "U-P95-60": 4.0}
UNIVERSE = ("U", "U-C100-60", "U-P90-30")


def two_venues() -> Market:
    market = smile()
    table = market.instruments.assign(venue=["X"] * (len(market.names) - 1) + ["Y"])
    return Market(table.reset_index(), market.quotes.reset_index(), "USD", as_of=AS_OF)


def test_draws_are_the_smile_risk_s_own_and_have_its_variance():
    market = smile()
    pnl = SmileDraws(count=400, seed=3).pnl(market, market.names, 1.0)
    risk = SmileRisk(draws=400, seed=3, prior={"noise": 0.0, "basis": (0.0, 0.0)}).fit(market).risk_
    own = np.sqrt((risk.root**2).sum(axis=0) + np.asarray(risk.specifics.power(2).sum(axis=0)).ravel())
    np.testing.assert_allclose(pnl.std(ddof=0), own, rtol=1e-3, atol=1e-6)


def test_replay_and_grid_are_scenarios_by_their_names():
    market = options()
    names = market.names
    pd.testing.assert_frame_equal(Replay(20).pnl(market, names), scenario_pnl(market, replay(market, 20), names))
    axes = {"spot": (-0.1, 0.1), "vol": (0.0, 0.05)}
    pd.testing.assert_frame_equal(Grid(axes=axes).pnl(market, names), scenario_pnl(market, shock_grid(axes), names))


def test_stresses_scale_with_today_s_vol_and_freeze_venues():
    calm, wild = (Stresses().pnl(smile(level), pd.Index(["U"])) for level in (0.2, 0.4))
    assert calm.loc["2008-10-15", "U"] == pytest.approx(-9.03, rel=1e-6)
    assert wild.loc["2008-10-15", "U"] == pytest.approx(-18.06, rel=1e-6)
    assert wild.loc["1987-10-19", "U"] == pytest.approx(-40.94, rel=1e-6)
    pnl = Stresses().pnl(two_venues(), pd.Index(["U", "U-C100-30"]))
    assert pnl.loc["Y frozen, all falls", "U"] == 0.0 and pnl.loc["X frozen, all falls", "U"] < 0
    assert pnl.loc["X frozen, all falls", "U-C100-30"] == 0.0 and pnl.loc["Y frozen, all rises", "U-C100-30"] > 0
    assert not any("frozen" in str(label) for label in calm.index)


def test_a_quarter_of_the_depth_costs_four_half_spreads_either_way():
    market = smile()
    table = scenario_table(market, Stresses(), BOOK, {"U": 3.0})
    row = table.loc["a quarter of the depth"]
    moved = scenario_pnl(market, pd.DataFrame({"days": [365 / 252]}), list(BOOK)).iloc[0]
    paid = 4 * (10 * 0.02 + 4 * 0.02)
    assert row["book"] == pytest.approx(float(moved @ pd.Series(BOOK)) - paid, rel=1e-9)
    assert row["hedge"] == pytest.approx(-4 * 3 * 0.005, rel=1e-9)
    assert row["both"] == pytest.approx(row["book"] + row["hedge"], rel=1e-9)


def test_the_worst_case_of_stresses_is_limited_with_its_closing_costs():
    market = two_venues()
    free = HedgeModel(objective=SpreadCost(), universe=UNIVERSE)
    before = scenario_table(market, Stresses(), BOOK)["both"].min()
    limit = -0.6 * before
    model = HedgeModel(objective=SpreadCost(), constraints=WorstCase(Stresses(), limit=limit), universe=UNIVERSE)
    hedge = model.hedge(market, BOOK)
    after = scenario_table(market, Stresses(), hedge.after)["book"].min()
    assert -after == pytest.approx(limit, rel=1e-6)
    assert hedge.limits.loc["worst case", "after"] == pytest.approx(limit, rel=1e-6)
    assert not free.hedge(market, BOOK).trades.any()


def test_a_share_limits_it_to_a_part_of_the_book_s_gross():
    market = smile()
    by_share = HedgeModel(objective=SpreadCost(), constraints=WorstCase(Stresses(), share=0.05), universe=UNIVERSE)
    problem = by_share.problem(market, BOOK)
    by_limit = HedgeModel(
        objective=SpreadCost(), constraints=WorstCase(Stresses(), limit=0.05 * problem.gross), universe=UNIVERSE
    )
    np.testing.assert_allclose(by_share.hedge(market, BOOK).trades, by_limit.hedge(market, BOOK).trades, atol=1e-9)
    with pytest.raises(SpecError, match="not both"):
        WorstCase(Stresses(), limit=1.0, share=0.1)


@pytest.mark.parametrize("term", [
    lambda pnl: ScenarioVariance(pnl, 1e-2), lambda pnl: Shortfall(pnl, 0.9), lambda pnl: WorstCase(pnl),
])  # fmt: skip
def test_a_term_takes_a_source_as_it_takes_its_frame(term):
    market = smile()
    source = SmileDraws(count=40)
    models = [
        HedgeModel(objective=(term(pnl), SpreadCost()), universe=UNIVERSE)
        for pnl in (source, source.pnl(market, market.names, 365 / 365))
    ]
    one, other = (model.hedge(market, BOOK) for model in models)
    assert one.certificate.primal == pytest.approx(other.certificate.primal, rel=1e-5)


def test_a_desk_s_own_table_is_read_and_its_mistakes_named(tmp_path):
    market = smile()
    path = tmp_path / "pnl.csv"
    frame = pd.DataFrame({"U": [1.0, -1.0], "U-C100-30": [0.5, -0.4]}, index=pd.Index(["a", "b"], name="scenario"))
    frame.to_csv(path)
    pd.testing.assert_frame_equal(
        Frame(file=str(path)).pnl(market, frame.columns), frame, check_names=False, check_index_type=False
    )
    with pytest.raises(DataError, match="no P&L for U-P95-60"):
        Frame(file=str(path)).pnl(market, pd.Index(["U-P95-60"]))
    with pytest.raises(DataError, match="there is no file"):
        Frame(file=str(tmp_path / "none.csv")).pnl(market, pd.Index(["U"]))


def test_the_desk_s_own_pnl_of_an_exotic_stands_in_place_of_ours():
    market = smile()
    own = pd.DataFrame({"U-C100-30": np.linspace(-3, 3, 40)})
    pnl = SmileDraws(count=40, own=own).pnl(market, pd.Index(["U", "U-C100-30"]))
    np.testing.assert_array_equal(pnl["U-C100-30"], own["U-C100-30"])
    plain = SmileDraws(count=40).pnl(market, pd.Index(["U"]))
    pd.testing.assert_series_equal(pnl["U"], plain["U"])
    with pytest.raises(DataError, match="2 rows for 40 scenarios"):
        SmileDraws(count=40, own=own[:2]).pnl(market, pd.Index(["U"]))


def test_model_files_name_sources_inside_tail_terms():
    model = parse_model(
        'description = "x"\n[[objective]]\ntype = "SpreadCost"\n[[objective]]\ntype = "Shortfall"\nconfidence = 0.9\n'
        'pnl = { type = "SmileDraws", count = 60, tails = 4.0 }\n'
        '[[constraints]]\ntype = "WorstCase"\nshare = 0.5\npnl = { type = "Grid", axes = { spot = [-0.1, 0.1] } }\n'
    )
    assert model.objective[1].pnl == SmileDraws(count=60, tails=4.0)
    assert model.constraints[0].pnl.axes == {"spot": (-0.1, 0.1)}
    assert model.hedge(smile(), BOOK).certificate.optimal
    with pytest.raises(SpecError, match=r"there is no type 'Stress' \(did you mean Stresses\?\)"):
        parse_model('description = "x"\n[[constraints]]\ntype = "WorstCase"\npnl = { type = "Stress" }\n')


def test_fat_tails_have_worse_shortfalls_at_one_variance():
    market = smile()
    normal, fat = (SmileDraws(count=2000, tails=tails).pnl(market, pd.Index(["U"]))["U"] for tails in (None, 4.0))
    assert fat.std() == pytest.approx(normal.std(), rel=1e-6)
    assert fat.min() < 1.2 * normal.min()


def test_too_few_draws_are_refused():
    with pytest.raises(SpecError, match="even 20 draws or more"):
        SmileDraws(count=8).pnl(smile(), pd.Index(["U"]))


def test_of_many_underlyings_those_of_the_contracts_and_one_more_say_all_that_stresses_say(monkeypatch):
    rng = np.random.default_rng(0)
    levels = 50 * np.exp(np.cumsum(0.02 * rng.normal(size=(30, 120)), axis=0))
    days = pd.bdate_range("2026-01-05", periods=30, tz="UTC")
    market = Market.from_prices(pd.DataFrame(levels, days, [f"S{i}" for i in range(120)]), base_currency="USD")
    held = market.names[[3, 40, 77]]
    few, closing = Stresses().pnl(market, held), Stresses().closing(market, held)
    assert closing.shape == few.shape
    monkeypatch.setattr("optihedge.risk.sources._MANY", 10**6)
    every = Stresses().pnl(market, held)
    assert len(few) < 30 < len(every)
    rows = [{tuple(row) for row in table.round(9).to_numpy()} for table in (few, every)]
    assert rows[0] == rows[1]
