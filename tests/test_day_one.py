"""The first night of an options desk: one chain in a folder, no drivers, no history, run from the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from desks import AS_OF
from test_smile_risk import smile

from optihedge.cli import main
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.tail import ScenarioVariance, Shortfall
from optihedge.market.folder import read_market
from optihedge.risk.smile_risk import SmileRisk
from optihedge.risk.sources import SmileDraws, Stresses, scenario_table
from optihedge.trades.tradelist import trade_list

INSTRUMENT = ["type", "underlying", "multiplier", "expiry", "strike", "right", "lot"]
BOOK = "instrument,quantity\nU-C100-30,-100\nU-P95-60,40\nU-C110-120,70\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    market = smile()
    here = tmp_path / "data"
    here.mkdir()
    (here / "market.toml").write_text(f'base_currency = "USD"\nas_of = "{AS_OF.isoformat()}"\n')
    market.instruments[INSTRUMENT].assign(lot=1.0).to_csv(here / "instruments.csv")
    market.quotes[["bid", "ask", "mark", "vol"]].to_csv(here / "quotes.csv")
    (here / "book.csv").write_text(BOOK)
    return here


@pytest.mark.parametrize("model", ["optimal_hedge", "stress_limited"])
def test_one_chain_is_hedged_and_certified_by_the_command_line(folder, tmp_path, capsys, model):
    out = tmp_path / "out"
    code = main(["run", model, "--data", str(folder), "--as-of", AS_OF.isoformat(), "--out", str(out)])
    assert code == 0, capsys.readouterr().out
    (result,) = out.rglob(f"book/{model}/result.json")
    told = json.loads(result.read_text())
    assert told["certificate"]["status"] == "rounded"
    assert told["volatility_after"] < 0.5 * told["volatility_before"]
    assert len(pd.read_csv(result.with_name("trades.csv")))


def test_a_folder_s_smile_table_refines_the_risk(folder):
    plain = SmileRisk().fit(read_market(folder)).risk_
    row = {"time": "2024-02-29T21:00:00Z", "underlying": "U", "spot": 0.0, "vol": 0.0, "term": 0.05, "skew": 0.0,
           "noise": 0.001, "atm": 0.2}  # fmt: skip
    pd.DataFrame([row] * 30).to_csv(folder / "smile.csv", index=False)
    refined = SmileRisk().fit(read_market(folder)).risk_
    at = plain.names.get_loc("U-C100-30")
    assert abs(refined.root[refined.sources.index("vol"), at]) > 2 * abs(plain.root[plain.sources.index("vol"), at])


def test_tail_terms_over_named_sources_run_from_a_file_as_they_do_in_python(folder, tmp_path, capsys):
    file, out = tmp_path / "tails.toml", tmp_path / "out"
    file.write_text(
        'description = "x"\n[[objective]]\ntype = "SpreadCost"\n[[objective]]\ntype = "ScenarioVariance"\n'
        'aversion = 0.01\npnl = { type = "SmileDraws", count = 100 }\n'
        '[[objective]]\ntype = "Shortfall"\nweight = 0.1\nconfidence = 0.95\n'
        'pnl = { type = "SmileDraws", count = 100, tails = 4.0 }\n'
    )
    code = main(["run", str(file), "--data", str(folder), "--as-of", AS_OF.isoformat(), "--out", str(out)])
    assert code == 0, capsys.readouterr().out
    (lines,) = out.rglob("trades.csv")
    written = pd.read_csv(lines).set_index("instrument")["quantity"]
    market, book = read_market(folder), {"U-C100-30": -100.0, "U-P95-60": 40.0, "U-C110-120": 70.0}
    objective = (SpreadCost(), ScenarioVariance(SmileDraws(count=100), aversion=0.01),
                 Shortfall(SmileDraws(count=100, tails=4.0), weight=0.1, confidence=0.95))  # fmt: skip
    listed = trade_list(HedgeModel(objective=objective).hedge(market, book))
    assert len(written)
    alike = {"check_names": False, "check_dtype": False, "check_index_type": False}
    pd.testing.assert_series_equal(written, listed.table.set_index("instrument")["quantity"], **alike)


def test_the_scenario_verb_tells_the_worst_of_the_model_s_own_sources(folder, capsys):
    assert main(["scenario", "stress_limited", "--data", str(folder), "--as-of", AS_OF.isoformat()]) == 0
    printed = capsys.readouterr().out
    market, book = read_market(folder), pd.read_csv(folder / "book.csv").set_index("instrument")["quantity"]
    worst = scenario_table(market, Stresses(), book)["book"]
    for label in ("1987-10-19", "a quarter of the depth", "basis blown up", "funding down", "U down, others 0.9 of it"):
        assert label in worst.index
    assert "worst of worst case" in printed
    rows = [line.split("│") for line in printed.splitlines() if "2018-02-05" in line]
    assert float(rows[-1][2].replace(",", "")) == pytest.approx(worst["2018-02-05"], rel=1e-5)
