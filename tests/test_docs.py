"""The documentation is true: its Python blocks run, its reference leaves nothing out, its links and names exist."""

import ast
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from browser import browsing
from typer.main import get_command

import optihedge as oh
from optihedge.cli.main import app_of
from optihedge.hedge import modelfile
from optihedge.market import settings
from optihedge.market.folder import FILES
from optihedge.names import HOMES
from optihedge.step.policies.policyfile import POLICIES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md"), *DOCS.glob("howto/*.md"), ROOT / "CONTRIBUTING.md"])
CODED = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
LONG = {"options_desk.md", "portfolio_manager.md", "quant.md", "backtest.md"}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/reference.py, as docs/conf.py imports it."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("reference")
    finally:
        sys.path.remove(str(DOCS))


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.name in LONG else []) for p in CODED]
)
def test_the_python_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": f"docs_{page.stem}"}
    monkeypatch.setitem(sys.modules, f"docs_{page.stem}", ModuleType(f"docs_{page.stem}"))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


def schemas() -> list[tuple[str, str]]:
    """File and column of every schema that the package checks a file of the user with."""
    found = []
    for path in sorted((ROOT / "optihedge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            columns = node.keys if isinstance(node, ast.Dict) else []
            made = node.values if isinstance(node, ast.Dict) else []
            for key, value in zip(columns, made, strict=True):
                column = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "Column"
                if column and isinstance(key, ast.Constant):
                    found.append((path.stem, str(key.value)))
    return found


def test_every_column_that_the_code_checks_is_in_the_reference(reference: ModuleType) -> None:
    page, columns = reference.file_page(), schemas()
    assert len(columns) > 50
    assert not {(file, name) for file, name in columns if f"| `{name}` |" not in page}
    of_file = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE))
    for file, module, schema, _ in reference.FILES:
        for name in getattr(importlib.import_module(module), schema):
            assert f"| `{name}` |" in of_file[file], (file, name)
    for name in settings._KEYS:
        assert f"| `{name}` |" in of_file["market.toml"], name


def test_every_file_that_a_market_folder_reads_is_in_the_reference(reference: ModuleType) -> None:
    for name in FILES:
        assert f"## {name}.csv" in reference.file_page(), name


def test_every_key_that_a_model_file_accepts_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.key_page()
    part = dict(re.findall(r"^###? ([^\n]+)\n(.*?)(?=^###? |\Z)", page, flags=re.DOTALL | re.MULTILINE))
    for name in modelfile._SCALARS:
        assert f"| `{name}` |" in part["Top level"], name
    for table in modelfile._TABLES:
        assert f"`{table}`" in part["Top level"], table
    for table, keys in modelfile._SETTINGS.items():
        assert all(f"| `{key}` |" in part[table] for key in keys), table
    common = {"name", "soft", "priority"}
    assert all(f"| `{key}` |" in part["Keys that every term has"] for key in common)
    kinds = {kind: getattr(oh, kind) for kinds in modelfile._TYPES.values() for kind in kinds} | POLICIES
    for kind, cls in kinds.items():
        own = set(modelfile._parameters(cls)[0]) - (common if issubclass(cls, oh.Term) else set())
        assert all(f"| `{key}` |" in part[kind] for key in own), kind


def test_every_verb_and_option_of_the_command_line_is_in_the_reference(reference: ModuleType) -> None:
    page = reference.command_page()
    part = dict(re.findall(r"^## optihedge (\S+)\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE))
    commands = get_command(app_of()).commands  # type: ignore[attr-defined]
    assert set(part) == set(commands) and len(part) > 20
    for name, verb in commands.items():
        for one in verb.params:
            words = (f"`{', '.join(one.opts)}`", f"`{one.name.upper()}`")
            assert one.name == "help" or any(word in part[name] for word in words), (name, one.name)


def test_every_verb_is_shown_at_work_in_a_page_that_somebody_wrote() -> None:
    written = "\n".join(page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "README.md"))
    known = {command.name or command.callback.__name__ for command in app_of().registered_commands}  # type: ignore[union-attr]
    assert not {verb for verb in known if not re.search(rf"optihedge {verb}\b", written)}


def test_every_public_name_has_its_place_in_the_api(reference: ModuleType) -> None:
    for space, homes in HOMES.items():
        page = reference.api_page(space)
        for names in homes.values():
            assert all(f"## {name}\n" in page for name in names), space


@pytest.mark.parametrize("page", [*PAGES, ROOT / "llms.txt"], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
        generated = any(part in target for part in ("reference/", "api/"))
        assert generated or (page.parent / target).exists(), (page.name, target)


@pytest.mark.parametrize("page", sorted(ROOT.glob("optihedge/**/README.md")), ids=lambda p: p.parent.name)
def test_a_folders_readme_is_its_contents(page: Path) -> None:
    """Every module stands in the first column of its folder's table, and nothing else does."""
    cells = re.findall(r"^\| (.+?) \|", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {word for cell in cells for word in re.findall(r"[\w./]+", cell.replace("`", ""))} - {"file", "contents"}
    there = {one.stem for one in page.parent.glob("*.py") if not one.stem.startswith("__")}
    folders = {f"{one.parent.name}/" for one in page.parent.glob("*/*.py")}
    stems = {word.removesuffix(".py") for word in named}
    assert there <= stems, f"{page}: without {sorted(there - stems)}"
    assert stems <= there | folders, f"{page}: {sorted(stems - there - folders)} is not there"


def test_names_and_commands_of_the_pages_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app_of().registered_commands}  # type: ignore[union-attr]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(r"\boh\.((?:\w+\.)?\w+)", text):
            value: object = oh
            for part in path.split("."):
                value = getattr(value, part)
        shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
        verbs = re.findall(r"^optihedge ([a-z]+)", shell, flags=re.MULTILINE) + re.findall(r"`optihedge ([a-z]+)", text)
        assert set(verbs) <= known, page.name


def test_a_notebook_that_was_run_becomes_a_page_with_all_that_its_cells_showed(tmp_path: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    sys.path.insert(0, str(DOCS))
    try:
        rendered = importlib.import_module("rendered")
    finally:
        sys.path.remove(str(DOCS))
    book = jupytext.reads("# %% [markdown]\n# # Why?\n\n# %%\n1 + 1\n", fmt="py:percent")
    shown = ({"image/png": "AAAA"}, {"text/html": "<b>table</b>", "text/plain": "lost"}, {"text/plain": "2 ``` 3"})
    book.cells[1]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}} for data in shown]
    page = rendered.page(book, "why", tmp_path)
    assert page.lstrip("# ").startswith("Why?\n\n```python\n1 + 1\n```") and "lost" not in page
    assert "(why-1.png)" in page and (tmp_path / "why-1.png").read_bytes() == bytes(3)
    assert "```{raw} html\n" in page and "<b>table</b>" in page and "````text\n2 ``` 3\n````" in page


GALLERY = sorted(DOCS.glob("gallery/*.py"))


@pytest.mark.parametrize(
    "script", [pytest.param(p, id=p.stem, marks=() if "frontier" in p.stem else pytest.mark.slow) for p in GALLERY]
)
def test_a_script_of_the_gallery_runs_and_ends_blocks_in_pictures(script: Path) -> None:
    """Block by block as the build runs it: what a block ends in is a picture, or is printed."""
    pictures, names = 0, {"__name__": script.stem}
    blocks = re.split(r"^# %%\n", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for block in blocks:
        *body, last = ast.parse(block).body or [None]
        exec(compile(ast.Module(body, []), script.name, "exec"), names)
        if isinstance(last, ast.Expr):
            pictures += hasattr(eval(compile(ast.Expression(last.value), script.name, "eval"), names), "savefig")
        elif last is not None:
            exec(compile(ast.Module([last], []), script.name, "exec"), names)
    assert pictures >= 1


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_site_builds_without_a_warning_with_its_pictures_and_asks_for_nothing(tmp_path: Path) -> None:
    build = pytest.importorskip("sphinx.cmd.build")
    pytest.importorskip("pydata_sphinx_theme")
    pytest.importorskip("sphinx_gallery")
    assert build.build_main(["-q", "-W", "-b", "html", str(DOCS), str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("_images/sphx_glr_plot_*_0*.png"))) >= len(GALLERY)
    for notebook in (ROOT / "notebooks").glob("*.py"):
        assert (tmp_path / "notebooks" / f"{notebook.stem}.html").is_file()
        assert list(tmp_path.glob(f"_images/{notebook.stem}-*.png")), notebook.stem
    with browsing() as browser:
        for name in ("index.html", "pages/plot_bands.html", "reference/commands.html"):
            with browser.page((tmp_path / name).as_uri()) as page:
                assert all(asked.startswith("file:") for asked in page.requests()), name
