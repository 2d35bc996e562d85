"""Every fault of the table of mutations is seen by the test that stands beside it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from mutations import MUTATIONS, Mutation

TESTS = Path(__file__).parent


def package(folder: Path) -> Path:
    """A copy of the package and the shipped models, from which tests can be run."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "optihedge", folder / "optihedge", ignore=ignored)
    shutil.copytree(ROOT / "models", folder / "models")
    return folder


def passes(folder: Path, *tests: str) -> bool:
    """Whether these tests, `file.py::name`, pass with the package of that folder. No verdict is an error."""
    paths = [str(TESTS / test) for test in tests]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths], cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.file}-{m.old[:40]}")
def test_a_mutation_has_its_place_and_its_test(mutation: Mutation) -> None:
    text = (ROOT / "optihedge" / mutation.file).read_text()
    assert text.count(mutation.old) == 1 and mutation.new not in text
    file, test = mutation.test.split("::")
    assert f"def {test}(" in (TESTS / file).read_text()


@pytest.mark.slow
def test_the_package_as_it_stands_passes_the_tests_of_all_mutations(tmp_path: Path) -> None:
    assert passes(package(tmp_path), *dict.fromkeys(mutation.test for mutation in MUTATIONS))


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.file}-{m.old[:40]}")
def test_a_mutation_is_killed(mutation: Mutation, tmp_path: Path) -> None:
    file = package(tmp_path) / "optihedge" / mutation.file
    file.write_text(file.read_text().replace(mutation.old, mutation.new))
    assert not passes(tmp_path, mutation.test)
