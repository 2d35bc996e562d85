"""Templates are compiled once: what is kept gives the same page; nothing stale, foreign or unwritable spoils one."""

import sys
from pathlib import Path

import jinja2
import pytest

from optihedge.display.compiled import Compiled


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path


def page(text: str) -> str:
    loader = jinja2.DictLoader({"page.html": text})
    return jinja2.Environment(loader=loader, bytecode_cache=Compiled()).get_template("page.html").render(x=3)


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_kept_is_read_again_and_gives_the_same_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page("{{ x }} and more") == "3 and more"
    assert len(kept(folder)) == 1
    monkeypatch.setattr(jinja2.Environment, "_generate", lambda *_, **__: pytest.fail("it was compiled again"))
    assert page("{{ x }} and more") == "3 and more"


def test_a_template_that_changed_is_compiled_anew(folder: Path) -> None:
    assert page("{{ x }}") == "3"
    assert page("{{ x + 1 }}") == "4"
    assert len(kept(folder)) == 1


def test_a_broken_file_spoils_no_page(folder: Path) -> None:
    page("{{ x }}")
    whole = kept(folder)[0].read_bytes()
    for spoilt in (b"", b"nothing of Jinja's", whole[: len(whole) // 2]):
        kept(folder)[0].write_bytes(spoilt)
        assert page("{{ x }}") == "3"


def test_nothing_is_written_where_python_may_not_write_bytecode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert page("{{ x }}") == "3" and not kept(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (folder / "file").touch()
    monkeypatch.setattr(sys, "pycache_prefix", str(folder / "file"))  # no folder can be made there
    assert page("{{ x }}") == "3" and kept(folder) == [folder / "file"]
