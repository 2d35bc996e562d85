"""The code reads as its rules say: lint, format, types, the length of functions, examples in docstrings that run."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from optihedge.names import WHERE

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "optihedge").rglob("*.py"))
LONGEST = 60  # lines of a function


def run(*command: str, cwd: Path = ROOT) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("ruff", "check", "."), ("ruff", "format", "--check", ".")], ids=" ".join)
def test_ruff_finds_nothing(command: tuple[str, ...]) -> None:
    code, said = run(*command)
    assert code == 0, said


def test_types_are_clean() -> None:
    code, said = run("mypy")
    assert code == 0, said


def test_the_python_blocks_of_the_readme_have_types(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    (tmp_path / "readme.py").write_text("\n".join(blocks), encoding="utf-8")
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    code, said = run("mypy", *config, str(tmp_path / "readme.py"))
    assert code == 0, said


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST:
                    long[node.name] = f"{path.relative_to(ROOT)}: {node.name} has {lines} lines"
    assert not long, "\n".join(long.values())


def test_what_brings_a_missing_package_is_an_extra_that_has_it() -> None:
    """In `require_extra(packages, extra)`, which tells a user what to install."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    calls = [
        [ast.literal_eval(one) for one in call.args]
        for path in MODULES
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "require_extra"
    ]
    assert len(calls) >= 10
    for packages, extra in calls:
        brought = {re.split(r"[\[>]", one)[0] for one in extras[extra]}
        assert set(packages.split(" and ")) <= brought, (packages, extra)


def test_every_public_name_has_an_example() -> None:
    without = []
    for name, module in WHERE.items():
        value = getattr(importlib.import_module(module), name)
        if callable(value) and ">>>" not in (value.__doc__ or ""):
            without.append(f"{module}.{name}")
    assert not without, without


EXAMPLES = [path for path in MODULES if ">>>" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.relative_to(ROOT / "optihedge").as_posix())
def test_examples_in_docstrings_run(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    done = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert done.attempted and not done.failed
