"""The table of capabilities is true: every cell says something, and every name in it is one that works."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

import optihedge as oh
from optihedge.cli.main import app_of
from optihedge.errors import SpecError
from optihedge.hedge import modelfile
from optihedge.market import families
from optihedge.step.policies.policyfile import POLICIES, policy_of

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
ROWS = {
    int(row[1]): [cell.strip() for cell in row[2].split("|")]
    for row in re.finditer(r"^\| (\d+) \|(.*)\|$", TEXT, flags=re.MULTILINE)
}
VERBS = get_command(app_of()).commands  # type: ignore[attr-defined]
TYPES = {kind: table for table, kinds in modelfile._TYPES.items() for kind in kinds}
KEYS = {key for kind in TYPES for key in modelfile._parameters(getattr(oh, kind))[0]}
KEYS |= {key for table in modelfile._SETTINGS.values() for key in table} | set(modelfile._TABLES)
FILES = {"exposures.csv", "loadings.csv", "events.csv"}


def words(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def resolved(path: str) -> object:
    """The value of a dotted name that begins with `oh` or with a module of the package."""
    first, *rest = path.split(".")
    value: object = oh if first == "oh" else import_module("optihedge")
    for i, part in enumerate(rest):
        if first != "oh" and not hasattr(value, part):
            value = import_module(".".join([first, *rest[: i + 1]]))
        else:
            value = getattr(value, part)
    return value


def accepted(kind: str) -> bool:
    """Whether a model or policy file takes the type: it may miss keys, it is not unknown."""
    if kind in POLICIES:
        try:
            policy_of({"type": kind})
        except SpecError as error:
            return f"there is no {kind}" not in str(error)
        return True
    table = TYPES.get(kind)
    if table is None:
        return False
    told = f'type = "{kind}"\n'
    if table == "scenarios":
        told, table = f'type = "WorstCase"\nlimit = 1.0\npnl = {{ type = "{kind}" }}\n', "constraints"
    head = f"[[{table}]]" if table in ("objective", "constraints") else f"[{table}]"
    try:
        modelfile.parse_model(f'description = "x"\nhorizon = "1d"\n{head}\n{told}')
    except SpecError as error:
        return "there is no type" not in str(error)
    return True


def test_every_capability_has_its_row_and_no_cell_is_empty() -> None:
    assert list(ROWS) == list(range(1, 66))
    for number, cells in ROWS.items():
        assert len(cells) == 4 and all(cells), number


@pytest.mark.parametrize("number", ROWS)
def test_a_cell_that_is_not_whole_says_what_is_missing(number: int) -> None:
    for cell in ROWS[number][1:]:
        assert cell == "N" or words(cell) or cell.startswith("out of scope"), cell
        assert not cell.startswith(("in part", "N:")) or len(re.sub(r"`[^`]+`|\W", "", cell)) > 12, cell


@pytest.mark.parametrize("number", ROWS)
def test_the_python_names_of_a_row_exist(number: int) -> None:
    for word in words(ROWS[number][1]):
        assert word in KEYS or resolved(word) is not None, word


@pytest.mark.parametrize("number", ROWS)
def test_the_commands_models_and_types_of_a_row_work(number: int) -> None:
    for word in words(ROWS[number][2]):
        if word.startswith("optihedge "):
            _, verb, *options = word.split()
            known = {option for one in VERBS[verb].params for option in one.opts}
            assert set(options) <= known, word
        else:
            loads = word in modelfile.model_names() and oh.load_model(word).terms
            assert loads or accepted(word) or word.strip("[]") in KEYS or word in (*FILES, *families.TYPES), word


@pytest.mark.parametrize("verb", sorted({w.split()[1] for w in words(TEXT) if w.startswith("optihedge ")}))
def test_a_verb_of_the_table_has_its_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from optihedge.cli.main import main

    assert main([verb, "--help"]) == 0
    assert f"optihedge {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("number", ROWS)
def test_a_notebook_of_a_row_holds_the_call_that_is_named(number: int) -> None:
    file = ""
    shown: dict[str, int] = {}
    for word in words(ROWS[number][3]):
        if word.endswith(".py"):
            file = word
            shown[file] = 0
            continue
        code = re.sub(r"^#.*$", "", (ROOT / "notebooks" / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert word in code, (file, word)
        shown[file] += 1
    assert all(shown.values()), shown
    assert shown or ROWS[number][3] == "N" or ROWS[number][3].startswith("out of scope")
