"""A cold structured solve against its floor: one product of the common matrix with itself and one Cholesky a step.

    python benchmarks/floor.py [N/K ...]

The books are those of `solvers.py`. Each factorisation that a solve makes is counted, and its floor is timed alone on
matrices of the same size; ratios are of CPU time in one run, of the median book.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from family import factor_book  # noqa: E402
from scipy.linalg.blas import dsyrk  # noqa: E402
from scipy.linalg.lapack import dpotrf  # noqa: E402

from optihedge.program.certificate import certify  # noqa: E402
from optihedge.program.structured.newton_system import NewtonSystem  # noqa: E402
from optihedge.program.structured.solver import Structured  # noqa: E402
from optihedge.program.structured.standard_form import standard_form  # noqa: E402

SIZES = ((50, 10), (200, 20), (500, 50), (1000, 50), (2000, 100), (5000, 100))
BOOKS, TURNS, TIMES = 5, 20, 5


def spent(*acts: Callable[[], object]) -> list[float]:
    """The least CPU milliseconds of each, a few calls at a time, in turn."""
    least = [np.inf] * len(acts)
    for _ in range(TURNS):
        for which, act in enumerate(acts):
            for _ in range(TIMES):
                began = time.process_time()
                act()
                least[which] = min(least[which], 1e3 * (time.process_time() - began))
    return least


def steps_of(solve: Callable[[], object]) -> int:
    """How many factorisations a solve makes."""
    made, factor = 0, NewtonSystem.factor

    def counted(self: NewtonSystem, *given: object, **named: object) -> bool:
        nonlocal made
        made += 1
        return factor(self, *given, **named)

    NewtonSystem.factor = counted
    try:
        solve()
    finally:
        NewtonSystem.factor = factor
    return made


def line(n: int, k: int) -> str:
    """One row of the table, the median book's."""
    found = []
    for seed in range(BOOKS):
        book = factor_book(n, k, seed)
        assert certify(book, Structured().solve(book)).optimal
        common = standard_form(book).common
        square = np.eye(common.shape[1], order="F") + dsyrk(1.0, common.T, lower=1)
        factor = lambda c=common, s=square: (dsyrk(1.0, c.T, lower=1), dpotrf(s, lower=1, clean=0))  # noqa: E731
        cold, one = spent(lambda p=book: Structured().solve(p), factor)
        steps = steps_of(lambda p=book: Structured().solve(p))
        found.append((cold / (steps * one), cold, steps, one))
    ratio, cold, steps, one = sorted(found)[BOOKS // 2]
    return f"| {n}/{k} | {cold:.1f} | {steps} | {steps * one:.2f} | {ratio:.1f} |"


def main() -> None:
    sizes = [tuple(int(part) for part in size.split("/")) for size in sys.argv[1:]]
    print("| n/k | cold ms | factorisations | floor ms | cold / floor |\n|---|--:|--:|--:|--:|")
    for n, k in sizes or SIZES:
        print(line(n, k), flush=True)


if __name__ == "__main__":
    main()
