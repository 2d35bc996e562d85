"""One request through two doors has one answer: held or sent, fresh, with its exit code and its costs, by each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.cli import main

AS_OF, INSTANT = "2016-06-30T21:00:00Z", "2016-06-30T210000Z"
PLAIN = """
description = "no risk"
[[objective]]
type = "SpreadCost"
[[constraints]]
type = "Neutral"
exposure = "EXPOSURE"
by = "underlying"
band_share = 1.0
"""


@pytest.fixture
def data(tmp_path: Path, example_folder: Path) -> Path:
    return shutil.copytree(example_folder, tmp_path / "data")


def run(*words: object) -> int:
    return main(["run", *map(str, words), "--as-of", AS_OF])


def list_of(out: Path) -> str:
    (found,) = out.rglob("trades.csv")
    return found.read_text()


@pytest.mark.parametrize("limited", [(), ("QUAL",)])
def test_an_unbounded_hedge_is_held_by_every_door(limited: tuple[str, ...], data: Path) -> None:
    market, book = oh.read_market(data), oh.read_book(data / "book.csv")
    quotes = market.quotes.copy()
    quotes[["bid_size", "ask_size", "volume"]] = np.nan
    quotes.loc[list(limited), "volume"] = 1000.0
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-12), oh.ExpectedReturn("alpha")))
    hedge = model.hedge(replace(market, instruments=market.instruments.assign(alpha=0.5), quotes=quotes), book)
    after, listed = oh.checked(hedge)
    assert listed.held and not len(listed) and not len(oh.trade_list(after)) and not len(oh.trade_list(hedge))


def test_a_run_follows_the_quotes_of_its_folder_whatever_this_process_read_before(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = shutil.copytree(data, tmp_path / "elsewhere")
    assert run("beta_hedge", "--data", data, "--out", tmp_path / "first") == 0
    table = pd.read_csv(data / "quotes.csv")
    table.loc[table["instrument"] == "ES-SEP16", ["bid", "ask"]] *= 0.95
    table.to_csv(data / "quotes.csv", index=False)
    assert run("beta_hedge", "--data", data, "--out", tmp_path / "second") == 0
    shutil.rmtree(elsewhere)
    shutil.copytree(data, elsewhere)  # the same prices under another path
    assert run("beta_hedge", "--data", elsewhere, "--out", tmp_path / "third") == 0
    first, second, third = (list_of(tmp_path / name) for name in ("first", "second", "third"))
    assert second == third != first


def test_a_promised_list_that_is_not_there_is_no_success(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever became of the other models: a model that this market cannot serve is skipped, and said so."""
    for name, exposure in (("plain", "delta"), ("astray", "open_interest")):
        (tmp_path / f"{name}.toml").write_text(PLAIN.replace("EXPOSURE", exposure))
    code = run(tmp_path / "plain.toml", tmp_path / "astray.toml", "--send", "astray", "--data", data, "--out", tmp_path)
    assert code == 1 and not list(tmp_path.rglob("trades.csv"))


def test_a_first_night_on_priors_is_sent_and_says_so_in_every_place(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight rows of history teach no estimator. Only time brings more, and a book without a hedge meanwhile runs its
    whole risk: so there is a list, its risk a stated prior, which whoever sends it is told wherever it is shown.
    """
    rows = pd.read_csv(data / "history.csv")
    rows.tail(8).to_csv(data / "history.csv", index=False)
    assert run("quantitative", "--send", "quantitative", "--data", data, "--out", tmp_path / "out") == 0
    folder = tmp_path / "out" / INSTANT
    assert list_of(folder)
    result = json.loads((folder / "book" / "quantitative" / "result.json").read_text())
    (row,) = json.loads((folder / "summary.json").read_text())
    page = (folder / "book" / "quantitative" / "report.html").read_text()
    for told in ("\n".join(result["notes"]), row["note"], " ".join(capsys.readouterr().out.split()), page):
        assert "a short history; prior of" in told and "which counts as 20 moves" in told
    market, book = oh.read_market(data), oh.read_book(data / "book.csv")
    listed = oh.trade_list(oh.load_model("quantitative").hedge(market, book))
    assert any("prior of" in note for note in listed.notes) and "prior of" in str(listed)
    rows.to_csv(data / "history.csv", index=False)
    full = oh.trade_list(oh.load_model("quantitative").hedge(oh.read_market(data), book))
    assert not any("prior" in note for note in full.notes)


def test_costs_told_are_what_the_list_costs_and_the_charged_part_is_named(data: Path) -> None:
    market, book = oh.read_market(data), oh.read_book(data / "book.csv")
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-6), oh.SpreadCost()))
    hedge = model.hedge(market, book)
    told, listed = oh.round_to_lots(hedge), oh.trade_list(hedge)
    assert told.costs["trading"] == pytest.approx(listed["cost"].sum(), abs=0.005)
    assert told.cost_table.loc["trading", "charged"] < told.cost_table.loc["trading", "cost"]
