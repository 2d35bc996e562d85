"""A solver in a process of its own answers as it would here, and is ended when it hangs or dies."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
import scipy.sparse as sp
from programs import random_program, with_volatility_limit

from optihedge.errors import SpecError
from optihedge.program.archive import load_program, save_program
from optihedge.program.chain import solve
from optihedge.program.general import isolated
from optihedge.program.general.isolated import Isolated
from optihedge.program.program import Program, objective
from optihedge.program.solvers import solver_named


@pytest.mark.parametrize("seed", range(6))
def test_a_saved_program_is_the_same_program(seed, tmp_path):
    rng = np.random.default_rng(seed)
    p = random_program(rng, 9)
    p = with_volatility_limit(rng, p, 0.9) if seed % 2 else p
    save_program(p, tmp_path / "program.npz")
    again = load_program(tmp_path / "program.npz")
    for field in fields(Program):
        one, two = getattr(p, field.name), getattr(again, field.name)
        if sp.issparse(one):
            assert (one != two).nnz == 0
        elif isinstance(one, np.ndarray | tuple | float):
            np.testing.assert_array_equal(one, two)
    h = p.lower + (p.upper - p.lower) * rng.random(9)
    assert objective(again, h) == objective(p, h)
    if p.volatility_limit is not None:
        assert again.volatility_limit.volatility(h) == p.volatility_limit.volatility(h)


def test_what_is_no_program_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(SpecError, match="not a saved Program"):
        load_program(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", start=np.zeros(2))
    with pytest.raises(SpecError, match="columns is missing"):
        load_program(tmp_path / "other.npz")
    with pytest.raises(SpecError, match="they are code"):
        save_program(replace(random_program(np.random.default_rng(0), 3), cvxpy_terms=(abs,)), io.BytesIO())


def test_another_process_gives_the_same_certified_answer():
    p = random_program(np.random.default_rng(5), 12, ("costs", "rows"))
    here, there = solver_named("clarabel").solve(p), Isolated("clarabel").solve(p, deadline=60.0)
    np.testing.assert_allclose(there.h, here.h, rtol=1e-9, atol=1e-9 * np.abs(here.h).max())
    assert solve(p, solver=Isolated("clarabel")).certificate.status == "optimal"


def test_a_hang_is_ended_and_the_chain_goes_on(monkeypatch):
    monkeypatch.setattr(isolated, "_GRACE", 0.2)
    p = random_program(np.random.default_rng(5), 12, ("costs", "rows"))
    stuck = Isolated("clarabel", seconds=0.01)  # shorter than Python takes to start: as good as a hang
    certificate = solve(p, solver=(stuck, "clarabel")).certificate
    assert certificate.status == "optimal"
    assert "hung" in " ".join(certificate.chain)


def test_a_death_is_reported_and_the_chain_goes_on():
    p = random_program(np.random.default_rng(5), 12, ("costs", "rows"))
    certificate = solve(p, solver=(Isolated("no such solver"), "clarabel")).certificate
    assert certificate.status == "optimal"
    assert "process died" in " ".join(certificate.chain)
