"""The README runs: its Python blocks in order, its model files load, its commands run, its demo prints that."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from optihedge.cli.main import main
from optihedge.frames import read_frame
from optihedge.hedge.modelfile import parse_model
from optihedge.market.drivers import DRIVERS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, flags=re.DOTALL)
SETUP = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if "venv" in line]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo ran, and what it printed."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("readme")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["demo", "--out", str(folder / "out")]) == 0
    return folder, printed.getvalue()


def test_the_demo_prints_what_the_readme_shows(demo: tuple[Path, str]) -> None:
    shown = next(block for kind, block in BLOCKS if kind == "text")
    printed = [line.rstrip() for line in demo[1].splitlines()]
    for line in shown.splitlines():
        assert line.rstrip() in printed, f"the demo does not print: {line}"


def test_the_python_blocks_run_in_order(
    demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo[0])
    names: dict[str, object] = {"__name__": "readme"}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "README.md", "exec"), names)
    assert len(names["trades"]) and (demo[0] / "trades.csv").is_file()  # type: ignore[arg-type]
    assert "one way to make it feasible is" in capsys.readouterr().out


def test_the_model_file_loads() -> None:
    models = [block for kind, block in BLOCKS if kind == "toml"]
    assert models
    for block in models:
        assert tomllib.loads(block)["description"] == parse_model(block).description


def test_the_drivers_file_reads(tmp_path: Path) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text(next(block for kind, block in BLOCKS if kind == "csv"), encoding="utf-8")
    table = read_frame(path, DRIVERS)
    assert table["market"].sum() == 1 and set(table["kind"]) == {"price", "vol"}


def test_exactly_two_commands_set_up_and_the_second_is_ci() -> None:
    assert len(SETUP) == 2
    assert SETUP[0].endswith("optihedge demo") and SETUP[1].endswith("pytest -n 2")
    assert SETUP[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_commands_of_the_readme_run_in_order(
    demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand, where the demo ran."""
    monkeypatch.chdir(demo[0])
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("optihedge ")]
    assert len(commands) > 5
    for words in commands:
        assert main(words) == 0, (words, capsys.readouterr().out)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
