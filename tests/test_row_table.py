"""Rows as they are multiplied: the same whether kept dense or sparse, and as their definition says entry by entry."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from optihedge.program import row_table
from optihedge.program.general.scaling import row_reach
from optihedge.program.program import Program

SEEDS = range(60)


def program(seed: int) -> Program:
    return random_program(seed, largest=40, rescale=False)


def matrices(p: Program) -> tuple[np.ndarray, ...]:
    return tuple(matrix.toarray() for matrix in (p.rows, p.rows_on_holdings, p.rows_on_trades))


@pytest.fixture(params=["dense", "sparse"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sparse":
        monkeypatch.setattr(row_table, "_DENSE", -1)
    return request.param


@pytest.mark.parametrize("seed", SEEDS)
def test_values_sizes_and_slopes_are_those_of_the_matrices(seed: int, kept: str) -> None:
    p, r = program(seed), np.random.default_rng(seed)
    A, P, W = matrices(p)
    h, m = r.normal(size=len(p.columns)), r.normal(size=len(p.row_names))
    x, table = h - p.start, p.row_table
    assert table.dense == (kept == "dense")
    close = dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(table.values(h, x), A @ h + P @ abs(h) + W @ abs(x), **close)
    np.testing.assert_allclose(table.sizes(h, x), abs(A) @ abs(h) + P @ abs(h) + W @ abs(x), **close)
    np.testing.assert_allclose(table.slopes(m), A.T @ m, **close)
    for found, expected in zip(table.size_slopes(m), (W.T @ m, P.T @ m), strict=True):
        np.testing.assert_allclose(found, expected, **close)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_finest_lot_of_a_row_is_the_least_that_any_of_its_entries_makes_of_one(seed: int, kept: str) -> None:
    p = program(seed)
    for row, finest in enumerate(p.row_table.finest):
        lots = [abs(entry) * lot for matrix in matrices(p) for entry, lot in zip(matrix[row], p.lot, strict=True)]
        assert finest == min((lot for lot in lots if lot > 0), default=0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_reaches_what_its_columns_at_their_corners_and_kinks_do(seed: int, kept: str) -> None:
    p = program(seed)
    A, P, W = matrices(p)
    low, high = row_reach(p)
    corners = np.clip(np.array([p.lower, p.upper, 0 * p.start, p.start]), p.lower, p.upper)
    each = A[:, None] * corners + P[:, None] * abs(corners) + W[:, None] * abs(corners - p.start)
    np.testing.assert_allclose(low, each.min(axis=1).sum(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(high, each.max(axis=1).sum(axis=1), rtol=1e-12, atol=1e-12)


def test_a_program_in_another_box_forgets_what_the_box_decides() -> None:
    p = program(3)
    before = p.least_scale, p.row_table
    box = {"lower": p.lower + 1.0, "upper": p.upper + 1.0}
    other = p.boxed(**box)
    assert other.row_table is before[1]
    assert other.least_scale == replace(p, **box).least_scale != before[0]
