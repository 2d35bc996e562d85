"""What if: values of a model side by side, a frontier, scenarios, and a folder to start from."""

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest

from optihedge.cli.main import main
from optihedge.desk.starter import write_start
from optihedge.errors import DataError, SpecError
from optihedge.hedge.changes import changed
from optihedge.hedge.modelfile import load_model, model_names, model_text
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.trades.compare import compare
from optihedge.trades.tradelist import trade_list

MODEL = {
    "horizon": "1d",
    "risk": {"type": "EwmaRisk", "halflife": 63},
    "objective": [{"type": "Volatility", "sharpe": 1.0}],
    "constraints": [{"type": "Neutral", "exposure": "delta"}, {"type": "Neutral", "exposure": "vega", "band": 5}],
}


@pytest.fixture(scope="module")
def example(example_folder):
    return read_market(example_folder), read_book(example_folder / "book.csv")


def test_a_bare_key_of_a_term_is_refused_with_the_whole_key() -> None:
    with pytest.raises(SpecError, match=r"band belongs to a term; write Neutral\[vega\].band"):
        changed(MODEL, ["band=5"])
    assert changed(MODEL, ["horizon=3d"])["horizon"] == "3d" and changed({}, ["capital=1.0"]) == {"capital": 1.0}


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("horizon=2d", ("horizon",), "2d"),
        ("risk.halflife=21", ("risk", "halflife"), 21),
        ("Volatility.sharpe=0.5", ("objective", 0, "sharpe"), 0.5),
        ("Neutral[vega].band=1e4", ("constraints", 1, "band"), 1e4),
        ("checks.volume=false", ("checks", "volume"), False),
    ],
)
def test_a_change_reaches_the_one_value_it_names(change, path, value):
    made = changed(MODEL, [change])
    found = made
    for step in path:
        found = found[step]
    assert found == value
    rest = changed(made, [])  # what else is there stands
    if path[0] != "checks":
        target = rest
        for step in path[:-1]:
            target = target[step]
        before = MODEL
        for step in path[:-1]:
            before = before[step]
        target[path[-1]] = before.get(path[-1]) if isinstance(before, dict) else before[path[-1]]
        assert rest == MODEL
    assert MODEL["objective"][0]["sharpe"] == 1.0


@pytest.mark.parametrize(
    ("change", "word"),
    [("Neutral.band=5", "2 terms"), ("Volatilty.sharpe=1", "did you mean Volatility"), ("sharpe", "KEY=VALUE")],
)
def test_a_change_that_names_nothing_or_two_is_refused(change, word):
    with pytest.raises(SpecError, match=word):
        changed(MODEL, [change])


def test_a_changed_model_is_the_file_with_that_value(tmp_path):
    text, by_hand = model_text("optimal_hedge"), tmp_path / "optimal_hedge.toml"
    by_hand.write_text(text.replace("sharpe = 1.0", "sharpe = 0.25"))
    assert (
        load_model("optimal_hedge", changes=["Volatility.sharpe=0.25"]).fingerprint == load_model(by_hand).fingerprint
    )
    with pytest.raises(SpecError, match="sharpe"):
        load_model("optimal_hedge", changes=["Volatility.sharpe=cheap"])


def test_each_column_of_a_comparison_is_that_models_own_list(example):
    market, book = example
    models = {f"sharpe {v}": load_model("optimal_hedge", changes=[f"Volatility.sharpe={v}"]) for v in (0.25, 1.0, 4.0)}
    told = compare(market, book, {**models, "neutral": load_model("neutral")})
    for label, model in models.items():
        listed = trade_list(model.hedge(market, book))
        assert told.loc["cost to trade", label] == listed.hedge.costs["trading"]
        assert told.loc["volatility after", label] == listed.hedge.risk.loc["volatility", "after"]
        assert told.loc["lines", label] == len(listed)
    risk = told.loc["volatility after", list(models)].to_numpy(float)
    assert (np.diff(risk) <= 1e-9).all()  # a dearer risk is never left more of
    assert "held" in str(told.loc["verdict", "neutral"])


def test_a_frontier_is_a_tuple_with_a_table_and_a_picture(example):
    market, book = example
    values = [0.25, 1.0, 4.0]
    found = load_model("optimal_hedge").frontier(market, book, values)
    assert list(found.table.index) == values and found.table.index.name == "sharpe" and len(found) == 3
    assert (np.diff(found.table["volatility"]) <= 1e-9).all()
    assert found.table.loc[1.0, "cost"] == found[1].costs["total"]
    (axis,) = found.plot().axes
    assert {t.get_text() for t in axis.texts} >= {"0.25", "1", "4", "no trade"}
    assert "<table" in found._repr_html_() and len(repr(found).splitlines()) < 12


@pytest.mark.parametrize("name", model_names())
def test_every_shipped_model_hedges_the_folder_to_start_from(name, tmp_path):
    write_start(tmp_path / "desk", model_text(name))
    market = read_market(tmp_path / "desk")
    listed = trade_list(
        load_model(tmp_path / "desk" / "model.toml").hedge(market, read_book(tmp_path / "desk/book.csv"))
    )
    assert not listed.held


def test_a_folder_that_holds_something_is_never_written_over(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not an empty folder"):
        write_start(tmp_path, "")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_columns_of_the_starting_folder_are_all_explained(tmp_path):
    write_start(tmp_path / "desk", model_text("optimal_hedge"))
    told = (tmp_path / "desk" / "README.md").read_text()
    for file in (tmp_path / "desk").glob("*.csv"):
        for column in pd.read_csv(file).columns:
            assert column in told, (file.name, column)


def test_the_verbs_print_what_python_says(example_folder, tmp_path, capsys):
    data = ["--data", str(example_folder)]
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in model_names())
    assert main(["models", "beta_hedge"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == tomllib.loads(model_text("beta_hedge"))
    assert main(["compare", "optimal_hedge", "--vary", "Volatility.sharpe=0.5,2", *data]) == 0
    assert "Volatility.sharpe=0.5" in capsys.readouterr().out
    picture = tmp_path / "f.png"
    assert main(["frontier", "optimal_hedge", "--values", "0.5,2", "--plot", str(picture), *data]) == 0
    assert picture.stat().st_size > 5000
    assert main(["scenario", "optimal_hedge", "--set", "Volatility.sharpe=2", *data]) == 0
    assert "1987-10-19" in capsys.readouterr().out
    assert main(["compare", "optimal_hedge", "--vary", "Volatility.sharp=1", *data]) == 3


def test_a_run_in_json_is_its_summary_and_a_quiet_one_prints_nothing(example_folder, tmp_path, capsys):
    call = [
        "run",
        "beta_hedge",
        "--data",
        str(example_folder),
        "--as-of",
        "2016-06-30T20:00:00Z",
        "--out",
        str(tmp_path),
    ]
    assert main([*call, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["model"] == "beta_hedge" and row["status"] == "done"
    assert main([*call[:-1], str(tmp_path / "other"), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_a_change_of_a_term_that_shares_its_type_is_told_how_each_is_called():
    for change in ("Neutral[beta:VTI].band_share=0.1", "Neutrals.band_share=0.1", "Neutral.band_share=0.1"):
        with pytest.raises(SpecError) as refused:
            load_model("market_neutral", changes=[change])
        named = re.findall(r"Neutral\[\w+\]", str(refused.value).split("; ", 1)[1])
        assert named == ["Neutral[beta]", "Neutral[dollar]", "Neutral[sector]"]
        for one in named:
            load_model("market_neutral", changes=[f"{one}.band_share=0.1"])


def test_a_file_that_is_named_without_its_ending_is_pointed_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vega.toml").write_text(model_text("optimal_hedge"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"no shipped model 'vega'; the file here is vega\.toml"):
        load_model("vega")
