"""Eliminating local blocks changes the work, never the answer."""

import numpy as np
import pytest
import scipy.sparse as sp
from random_programs import options_book

from optihedge.program.certificate import certify
from optihedge.program.program import Program
from optihedge.program.structured.newton_system import NewtonSystem
from optihedge.program.structured.primal_system import PrimalSystem, newton_system
from optihedge.program.structured.solver import Structured
from optihedge.program.structured.standard_form import split_blocks, standard_form


@pytest.mark.parametrize("neutral_each", [False, True])
def test_the_solution_is_that_of_the_whole_matrix(neutral_each):
    form = standard_form(options_book(40, 5, 4, neutral_each=neutral_each))
    n, s, q = form.sizes
    assert form.blocks == ((40, 3 if neutral_each else 2),)
    r = np.random.default_rng(1)
    response, compliance, right = r.uniform(0.1, 1, n), form.compliance + r.uniform(0.1, 1, q), r.normal(size=q)
    system = NewtonSystem(form)
    assert system.factor(response, compliance)
    whole = np.vstack([form.local.toarray(), form.common.T])
    expected = np.linalg.solve(np.diag(compliance) + (whole * response) @ whole.T, right)
    np.testing.assert_allclose(system.solve(right), expected, rtol=1e-9, atol=1e-12)
    assert s == len(form.low) - form.common.shape[1]


@pytest.mark.parametrize("still", [0, 5])
@pytest.mark.parametrize("seed", range(4))
def test_by_the_columns_side_a_step_is_the_same(seed, still):
    """With sized rows, with rows that hold and rows that are left out, and with columns that do not respond."""
    r = np.random.default_rng(seed)
    n, m = 12, 60
    p = Program(columns=tuple(map(str, range(n))), start=np.zeros(n), lower=-np.ones(n), upper=np.ones(n),
                factors=r.normal(size=(4, n)), buy=np.ones(n), sell=np.ones(n), rows=r.normal(size=(m, n)),
                rows_on_trades=np.vstack([np.ones((2, n)), np.zeros((m - 2, n))]), row_upper=np.ones(m),
                row_names=tuple(f"r{i}" for i in range(m)))  # fmt: skip
    form = standard_form(p)
    assert isinstance(newton_system(form), PrimalSystem)
    response, compliance = r.uniform(0.1, 1, n), 10.0 ** r.uniform(-6, 3, form.sizes[2])
    response[:still], compliance[7:10], compliance[20:30] = 0.0, 1e-12, 1e20
    openness, give = r.random(len(form.hinges.column)), r.random(len(form.hinges.column))
    right, missed = r.normal(size=n), r.normal(size=form.sizes[2])
    steps = []
    for system in (NewtonSystem(form), PrimalSystem(form)):
        system.tilt(openness)
        assert system.factor(response, compliance, give)
        steps.append(system.step(np.where(response > 0, right, 0.0), np.where(compliance < 1e15, missed, 0.0)))
    for one, other in zip(*steps, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-7, atol=1e-9)


def test_a_row_that_couples_everything_becomes_common():
    blocks = sp.block_diag([np.ones((2, 3))] * 50, format="csr")
    matrix = sp.vstack([blocks, sp.csr_array(np.ones((1, 150)))], format="csr")
    chosen, sizes = split_blocks(sp.csr_array(matrix), np.ones(101, bool))
    assert sizes == ((50, 2),)
    assert 100 not in chosen


def test_books_of_many_underlyings_are_solved():
    p = options_book(100, 8, 10, neutral_each=True)
    certificate = certify(p, Structured().solve(p))
    assert certificate.optimal
    assert abs(certificate.gap) <= 1e-10 * certificate.scale


def test_what_is_shared_exactly_cancels():
    """A stock hedged by a forward on the same stock, at no cost, has no risk left."""
    n = 200
    of = np.repeat(np.arange(100), 2)
    specifics = sp.csr_array((np.ones(n), (of, np.arange(n))), shape=(100, n))
    start = np.where(np.arange(n) % 2, 0.0, np.arange(n) + 1.0)
    fixed = np.arange(n) % 2 == 0
    p = Program(columns=tuple(map(str, range(n))), start=start, lower=np.where(fixed, start, -999),
                upper=np.where(fixed, start, 999), specifics=specifics, lot=np.ones(n))  # fmt: skip
    h = Structured().solve(p).h
    np.testing.assert_allclose(h[1::2], -h[0::2], rtol=1e-12)
