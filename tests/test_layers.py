"""Imports go one way: command line, batch, backtest, trades, hedge, risk, market, then what all of them share."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "optihedge"
LAYERS = (("__main__",), ("terms", "options", "policy", "stats", "store"), ("cli",), ("example",), ("desk",),
          ("batch",), ("backtest",), ("step",), ("trades",), ("hedge",), ("risk",), ("accounts",), ("market",),
          ("program",), ("display",), ("frames",), ("readonly",), ("content",), ("files", "lock"),
          ("errors", "names"))  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("cvxpy", "sklearn", "scipy.stats", "matplotlib")


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Line and module of every import of the package in a file, those in functions and for types only included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the module in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(node.lineno, name if file_of(name) else node.module or "") for name in names]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return [(line, module) for line, module in found if module.startswith("optihedge.")]


def file_of(module: str) -> Path | None:
    """The file of a module of the package, None where it is none."""
    path = PACKAGE.parent / Path(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


FILES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = {path: imports_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return
    for line, module in IMPORTS[path]:
        other = module.split(".")[1]
        if other == own:
            continue
        assert other in RANK, f"{path.name}:{line} imports {module}, which no layer holds"
        assert RANK[other] > RANK[own], f"{path.name}:{line} imports {module} from a layer above or beside"


def test_the_kernel_imports_nothing_of_finance() -> None:
    for path in (PACKAGE / "program").rglob("*.py"):
        outside = {module for _, module in IMPORTS[path]} - {"optihedge.errors"}
        assert all(module.startswith("optihedge.program") for module in outside), (path, outside)


def test_the_ledger_knows_accounts_and_texts_and_neither_markets_nor_models() -> None:
    allowed = ("accounts", "content", "errors", "frames", "lock")
    for path in (PACKAGE / "desk" / "ledger").rglob("*.py"):
        outside = {module for _, module in IMPORTS[path] if not module.startswith("optihedge.desk.ledger")}
        assert {module.split(".")[1] for module in outside} <= set(allowed), (path, outside)


def test_a_night_without_a_desk_imports_no_database() -> None:
    code = ("import sys, optihedge.cli.main, optihedge.batch.run, optihedge.step.step, optihedge.desk.doctor;"
            " print([m for m in ('sqlalchemy', 'alembic', 'psycopg') if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_imports_go_in_a_circle() -> None:
    """File by file: whoever is imported, in a function or for its types alone, comes before who imports."""
    order = graphlib.TopologicalSorter(
        {path: {file_of(module) for _, module in found} - {None, path} for path, found in IMPORTS.items()}
    )
    order.prepare()  # raises CycleError, which names the circle


def test_every_module_belongs_to_a_layer() -> None:
    tops = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in PACKAGE.rglob("*.py")}
    assert tops - {"__init__", "__main__"} <= set(RANK)


def test_importing_the_package_stays_light() -> None:
    code = f"import sys, optihedge; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_imports_no_library_that_its_model_does_not_use(example_folder: Path, tmp_path: Path) -> None:
    unused = (*HEAVY, *(f"scipy.{one}" for one in ("signal", "optimize", "interpolate", "fft", "sparse.csgraph")))
    code = ("import sys; from optihedge.cli import main; code = main(sys.argv[1:]); "
            f"print([m for m in {unused!r} if m in sys.modules]); sys.exit(code)")  # fmt: skip
    night = ["--data", str(example_folder), "--as-of", "2016-06-30T20:00:00Z", "--out", str(tmp_path), "--quiet"]
    call = [sys.executable, "-c", code, "run", "beta_hedge", *night]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_market_and_program_import_no_modelling_or_learning_library() -> None:
    code = ("import sys, optihedge.market.snapshot, optihedge.program.program, optihedge.trades.lots;"
            f" print([m for m in {HEAVY!r} if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_one_file_of_the_kernel_calls_solvers() -> None:
    callers = {"clarabel_", "piqp_", "osqp_", "highs_", "cvxpy_", "isolated"}
    for path in (PACKAGE / "program").rglob("*.py"):
        if path.parent.name != "general":
            used = {module.rsplit(".", 1)[1] for _, module in imports_of(path)}
            allowed = {"cvxpy_"} if path.name == "cone_limits.py" else set()  # it values a user's own terms
            assert not used & callers - allowed, f"{path.name} imports {used & callers}; call solvers.propose"


FLOORS = ("market", "risk", "hedge", "hedge/terms", "trades", "trades/orders", "step", "step/policies", "batch", "cli",
          "backtest", "accounts", "desk/checkup")  # fmt: skip


def named_in(readme: Path) -> set[str]:
    """What the first column of a folder's table names."""
    rows = [line for line in readme.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {word.removesuffix(".py") for row in rows for word in re.findall(r"[\w.]+", row.split("|")[1])} - {"file"}


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floors_readme_names_files_that_are_there_and_nearly_all(floor: str) -> None:
    folder = PACKAGE / floor
    inside = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    inside |= {path.parent.name for path in folder.glob("*/*.py")}
    told = named_in(folder / "README.md")
    assert told <= inside, f"{floor}/README.md names {told - inside}, which are not there"
    assert len(inside - told) <= 2 + len(inside) // 5, f"{floor}/README.md lacks {inside - told}; give each a row"
