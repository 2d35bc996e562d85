"""Every notebook runs from its first cell to its last, draws, and arrives at a model file that loads."""

import re
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

from optihedge.hedge.modelfile import parse_model

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PICTURES = 2
LIGHT = ("delta_neutral", "optimal_hedge", "nightly")  # the others walk forward or refit for minutes on a busy machine


def notebooks() -> list:
    return [
        pytest.param(path, marks=() if path.stem in LIGHT else pytest.mark.slow, id=path.stem)
        for path in sorted(FOLDER.glob("*.py"))
    ]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", notebooks())
def test_a_notebook_runs_draws_and_warns_of_nothing(path: Path) -> None:
    book = jupytext.read(path)
    where = {"metadata": {"path": str(FOLDER.parent)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=where).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= PICTURES
    complaints = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert not complaints, complaints


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_asks_one_question_and_arrives_at_a_model(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title = re.search(r"^# # (.*)$", text, flags=re.MULTILINE)
    assert title is not None and title[1].endswith("?")
    template = re.search(r'^TOML = """\n(.*?)^"""', text, flags=re.MULTILINE | re.DOTALL)
    assert template is not None
    toml = template[1].replace("METHOD", 'method = "ols"').replace("RISK", 'type = "EwmaRisk", halflife = 63')
    assert parse_model(toml).terms


def test_there_is_one_notebook_for_each_hedging_system_and_its_model_ships() -> None:
    models = {path.stem for path in (FOLDER.parent / "models").glob("*.toml")}
    systems = {"market_neutral", "delta_neutral", "beta_hedge", "optimal_hedge", "quantitative"}
    assert {path.stem for path in FOLDER.glob("*.py")} == systems | {"nightly"} and systems <= models
