"""No free text decides: notes, reasons and messages are for people; what decides is a type, a status or a set."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "optihedge"
FREE = {"note", "notes", "reason", "reasons", "why", "message", "error", "status", "outcome", "said", "told", "kind"}
FILES = sorted(PACKAGE.rglob("*.py"))


def names_of(node: ast.AST) -> set[str]:
    """Every name, attribute and key that an expression reads."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    found |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return found | {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def decisions_by_text(tree: ast.AST) -> list[int]:
    """Lines that ask how a free text begins or ends, or which words stand in it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asks = node.func.attr in ("startswith", "endswith", "contains", "fullmatch")
            if asks and names_of(node.func.value) & FREE:
                found.append(node.lineno)
        elif isinstance(node, ast.Compare) and any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            words = isinstance(node.left, ast.JoinedStr) or (
                isinstance(node.left, ast.Constant) and isinstance(node.left.value, str) and len(node.left.value) > 1
            )
            if words and names_of(node.comparators[0]) & FREE:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_decision_reads_a_free_text(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "market" / "importers"):
        return  # whose work is to read words of venues
    assert decisions_by_text(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_the_law_sees_what_it_forbids() -> None:
    for code in ('x = one.why.startswith("a")', 'if "infeasible" in note: pass', 'y = "held" not in row.reason',
                 'z = table["kind"].str.endswith("x")', 'if f"{a}" in str(error): pass'):  # fmt: skip
        assert decisions_by_text(ast.parse(code)) == [1]
    for code in ("x = name in names", "y = note not in notes", 'z = "as" in columns', 'path.name.startswith(".")'):
        assert decisions_by_text(ast.parse(code)) == []
