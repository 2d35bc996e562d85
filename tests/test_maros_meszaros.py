"""Published quadratic programs (Maros and Meszaros 1999): solved to the published optimum, or said not to be."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import loadmat

from optihedge.program.general.clarabel_ import Clarabel
from optihedge.program.general.osqp_ import Osqp
from optihedge.program.general.piqp_ import Piqp

OPTIMUM = 1e-5  # relative
QUICK = ["HS21", "HS35", "HS35MOD", "HS51", "HS52", "HS53", "HS76", "HS118", "HS268", "DUAL4", "PRIMALC1", "QAFIRO",
         "QPTEST", "CVXQP1_S", "GENHS28", "LOTSCHD", "TAME", "ZECEVIC2", "DUALC1", "QISRAEL"]  # fmt: skip
SOLVED = {"clarabel": 90, "piqp": 85, "osqp": 35}  # of 104, at least


def _claim(folder, solver, name: str, optima: pd.DataFrame) -> tuple[str, float]:
    """The adapter's word, and how far its objective is from the published one, relative."""
    found = loadmat(folder / f"{name}.mat")
    P, A = sp.csc_array(found["P"], dtype=float), sp.csc_array(found["A"], dtype=float)
    q, low, high = (np.asarray(found[key], dtype=float).ravel() for key in "qlu")
    result = solver.solve_qp(P, q, A, low, high, deadline=20.0)
    value = 0.5 * result.x @ (P @ result.x) + q @ result.x + float(np.ravel(found["r"])[0])
    published = float(optima.loc[name, "reference_opt"])
    return result.status, abs(value - published) / (1 + abs(published))


def _optima(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "optima.csv").set_index("problem")


@pytest.mark.parametrize("solver", [Clarabel(), Piqp(), Osqp()], ids=lambda s: s.name)
def test_small_problems_are_right_or_failed(recorded, solver):
    folder = recorded("maros_meszaros")
    optima = _optima(folder)
    claims = {name: _claim(folder, solver, name, optima) for name in QUICK if (folder / f"{name}.mat").exists()}
    for name, (status, error) in claims.items():
        assert status == "failed" or (status == "optimal" and error <= OPTIMUM), (name, status, error)
    assert sum(status == "optimal" for status, _ in claims.values()) >= 0.6 * len(claims)


def test_the_almost_solved_trap_is_not_taken(recorded):
    folder = recorded("maros_meszaros")
    status, error = _claim(folder, Clarabel(), "YAO", _optima(folder))
    assert status == "failed" or error <= OPTIMUM


@pytest.mark.slow
@pytest.mark.parametrize("solver", [Clarabel(), Piqp(), Osqp()], ids=lambda s: s.name)
def test_the_whole_set_is_right_or_failed(recorded, solver):
    folder = recorded("maros_meszaros")
    optima = _optima(folder)
    solved = 0
    for path in sorted(folder.glob("*.mat")):
        status, error = _claim(folder, solver, path.stem, optima)
        assert status == "failed" or (status == "optimal" and error <= OPTIMUM), (path.stem, status, error)
        solved += status == "optimal"
    assert solved >= SOLVED[solver.name]
