"""Verbs of a list at work say what is wrong with a request, and write nothing then."""

from pathlib import Path

import pytest

import optihedge as oh
from optihedge.cli import main
from optihedge.errors import SpecError

WRONG = {
    "an instant that is none": (["schedule", "--start", "soon"], "--start"),
    "a slice to go on from without fills": (["schedule", "--from", "3"], "--from 3: it goes with --done"),
    "a duration with a comma": (["schedule", "--session", "1,5h"], "session is '1,5h'"),
    "a share of nothing": (["liquidity", "--share", "0"], "share is 0.0"),
    "a share below zero": (["liquidity", "--share", "-1"], "share is -1.0"),
    "a share that is no number": (["liquidity", "--share", "nan"], "share is nan"),
    "a confidence in percent": (["liquidity", "--confidence", "99"], "confidence is 99.0"),
    "a contract nobody has": (["quote", "NOPE", "5"], "NOPE is no instrument"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_named_and_leaves_nothing(case: str, example_folder: Path, tmp_path: Path, capsys) -> None:
    (verb, *more), wanted = WRONG[case]
    place = ["--to", str(tmp_path / "slices.csv")] if verb == "schedule" else []
    asked = [verb, "optimal_hedge", *more, "--data", str(example_folder), "--as-of", "2016-06-30T20:00:00Z", *place]
    assert main(asked) == 3
    assert wanted in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_share_of_a_kind_is_above_nothing(example_folder: Path) -> None:
    market = oh.read_market(example_folder)
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-5), oh.SpreadCost()))
    hedge = model.hedge(market, oh.read_book(example_folder / "book.csv"))
    with pytest.raises(SpecError, match="liquidity: share is 0"):
        hedge.liquidity(share={"equity": 0.1, "future": 0})
