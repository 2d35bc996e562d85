"""The public names: each where it is said to be, light to import, and known to editors by stubs that say the same."""

import importlib
import sys
from pathlib import Path

import pytest

import optihedge as oh
from optihedge.names import FIRST, HOMES, WHERE

PACKAGE = Path(oh.__file__).parent
SPACES = [space for space in HOMES if space]


def stub(space: str) -> str:
    """The stub of a namespace: a re-export a name, as type checkers read it."""
    lines = ['"""Written by `python tests/test_names.py`; test_names.py keeps it true."""', ""]
    homes = HOMES[space] if space else {module: names for part in HOMES.values() for module, names in part.items()}
    if not space:
        lines += [f"from optihedge import {one} as {one}" for one in SPACES]
    for module in sorted(homes):
        lines += [f"from {module} import {name} as {name}" for name in sorted(homes[module])]
    return "\n".join([*lines, *(["", "__version__: str"] if not space else [])]) + "\n"


def stub_path(space: str) -> Path:
    return PACKAGE / {"": "__init__.pyi", "risk": "risk/__init__.pyi"}.get(space, f"{space}.pyi")


@pytest.mark.parametrize("space", HOMES)
def test_a_stub_says_what_the_table_says(space: str) -> None:
    assert stub_path(space).read_text(encoding="utf-8") == stub(space), "run python tests/test_names.py"


@pytest.mark.parametrize("name", sorted(WHERE))
def test_a_public_name_is_where_it_is_said_to_be(name: str) -> None:
    value = getattr(oh, name)
    assert getattr(importlib.import_module(WHERE[name]), name) is value
    for space in SPACES:
        if any(name in names for names in HOMES[space].values()):
            assert getattr(getattr(oh, space), name) is value


def test_the_first_day_needs_few_names() -> None:
    assert len(FIRST) <= 30 and set(FIRST) <= set(WHERE)
    assert set(oh.__all__) == {*FIRST, *SPACES}
    assert not {n for n in WHERE if n not in dir(oh)}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    for space in (oh, oh.terms, oh.risk):
        with pytest.raises(AttributeError, match="has no attribute 'NoSuch'"):
            _ = space.NoSuch


if __name__ == "__main__":
    for one in HOMES:
        stub_path(one).write_text(stub(one), encoding="utf-8")
    sys.exit(0)
