"""Imports go one way: command line, batch, backtest, trades, hedge, risk, market, then what all of them share."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "optihedge"
LAYERS = (("__main__",), ("cli",), ("example",), ("batch",), ("backtest",), ("step",), ("trades",), ("hedge",),
          ("risk",), ("accounts",), ("market",), ("program",), ("display",), ("frames",), ("content",),
          ("errors",))  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
HEAVY = ("cvxpy", "sklearn", "scipy.stats", "matplotlib")


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Line and module of every import of the package in a file, those inside functions included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the module in full"
            modules = [node.module or ""]
            if node.module == "optihedge":
                modules = [f"optihedge.{alias.name}" for alias in node.names]
            found += [(node.lineno, module) for module in modules]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return [(line, module) for line, module in found if module.startswith("optihedge.")]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for line, module in imports_of(path):
        other = module.split(".")[1]
        if other == own:
            continue
        assert other in RANK, f"{path.name}:{line} imports {module}, which no layer holds"
        assert RANK[other] > RANK[own], f"{path.name}:{line} imports {module} from a layer above or beside"


def test_every_module_belongs_to_a_layer() -> None:
    tops = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in PACKAGE.rglob("*.py")}
    assert tops - {"__init__"} <= set(RANK)


def test_importing_the_package_stays_light() -> None:
    code = f"import sys, optihedge; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
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
