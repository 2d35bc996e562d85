"""One family of books at every size, two of the product's shapes, all solvers at an equal measured gap of 1e-6.

    python benchmarks/solvers.py [--peers-to N] [--cvxpy-to N] [--sizes 500/50 50000/50 ...]

Peers run at their loosest tolerance that certifies every book of the size; ratios are of mean CPU time in one run.
`end to end` is `solve`: assembly, solver and certificate.
"""

import argparse
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from family import factor_book  # noqa: E402
from measure import Run, cvxpy_solve, loosest, machine, run  # noqa: E402
from random_programs import options_book  # noqa: E402

from optihedge.program.candidate import Candidate  # noqa: E402
from optihedge.program.chain import solve  # noqa: E402
from optihedge.program.general.clarabel_ import Clarabel  # noqa: E402
from optihedge.program.general.osqp_ import Osqp  # noqa: E402
from optihedge.program.general.piqp_ import Piqp  # noqa: E402
from optihedge.program.program import Program  # noqa: E402
from optihedge.program.structured.solver import Structured  # noqa: E402

SIZES = ((50, 10), (100, 10), (200, 20), (500, 50), (1000, 50), (2000, 100), (5000, 100), (50_000, 100))
OSQP_TO = 1000  # columns; beyond, it takes minutes to come short of the gap


def few_hedges(fixed: int, hedges: int, k: int, seed: int = 0) -> Program:
    """Many fixed positions, each with its own specific risk, against a few tradable hedges: the commonest shape."""
    r = np.random.default_rng(seed)
    n = fixed + hedges
    root = r.normal(size=(k, n)) * np.geomspace(0.15, 0.015, k)[:, None]
    root[0] = 0.15 * (1 + 0.3 * r.normal(size=n))
    start = np.concatenate([r.normal(size=fixed), np.zeros(hedges)])
    move = np.concatenate([np.zeros(fixed), np.full(hedges, 1e3)])
    cost = np.full(n, 2e-4)
    return Program(
        columns=tuple(f"c{i}" for i in range(n)), start=start, lower=start - move, upper=start + move, factors=root,
        specifics=sp.csr_array(sp.diags_array(r.uniform(0.1, 0.4, n))), buy=cost, sell=cost, lot=np.full(n, 1e-3),
        row_names=("beta", "dollar"), rows=np.vstack([root[0], np.ones(n)]), row_lower=[0.0, -1.0],
        row_upper=[0.0, 1.0],
    )  # fmt: skip


def moved(p: Program, seed: int) -> Program:
    """The same book a little later: risk and costs have moved by one per cent."""
    r = np.random.default_rng(seed)
    wobble = lambda v: v * (1 + 0.01 * r.normal(size=v.shape))  # noqa: E731
    return replace(p, factors=wobble(p.factors), linear=wobble(p.linear), quadratic=wobble(p.quadratic))


def methods(books: list[Program], peers: bool, cvxpy: bool) -> dict[str, Callable[[Program], Candidate]]:
    """Solve functions by name."""
    ours = Structured()
    found: dict[str, Callable[[Program], Candidate]] = {"structured, cold": lambda p: ours.solve(p)}
    general = (("PIQP", Piqp), ("Clarabel", Clarabel), ("OSQP", Osqp)) if peers else ()
    for name, make in general if len(books[0].columns) <= OSQP_TO else general[:2]:
        peer = loosest(lambda tolerance, make=make: make(tolerance=tolerance), books)
        found[f"{name} at {peer.tolerance:.0e}"] = lambda p, peer=peer: peer.solve(p)
    if cvxpy:
        found["CVXPY + Clarabel"] = lambda p: cvxpy_solve(p, "CLARABEL")
        found["CVXPY, its default"] = lambda p: cvxpy_solve(p, None)
    return found


def rows(label: str, books: list[Program], peers: bool, cvxpy: bool) -> None:
    """Print one line per method for these books."""
    ours = Structured()
    ours.solve(books[0])
    runs: dict[str, list[Run]] = {}
    for name, method in methods(books, peers, cvxpy).items():
        runs[name] = [run(lambda p=p, method=method: method(p), p) for p in books]
    warm = [(moved(p, 1), r.candidate) for p, r in zip(books, runs["structured, cold"], strict=True)]
    runs["structured, warm"] = [run(lambda p=p, w=w: ours.solve(p, warm=w), p) for p, w in warm]
    for name in ("structured", "piqp", "clarabel") if peers and len(books[0].columns) <= 200 else ():
        runs[f"end to end, {name}"] = [run(lambda p=p, name=name: solve(p, solver=name).candidate, p) for p in books]
    base = np.mean([r.seconds for r in runs["structured, cold"]])
    for name, path in runs.items():
        mean = np.mean([r.seconds for r in path])
        proved = f"{sum(r.certified for r in path)}/{len(path)}"
        worst = f"{max(r.gap for r in path):.0e} | {max(r.residual for r in path):.0e}"
        print(f"| {label} | {name} | {1e3 * mean:.1f} | {mean / base:.1f} | {proved} | {worst} |", flush=True)


def frontier(n: int, k: int, count: int = 20) -> str:
    """Twenty aversions over two decades, each started from the one before, in cold solves of the same Programs."""
    book, ours, warm, path, cold = factor_book(n, k), Structured(), None, [], []
    ours.solve(book)
    for aversion in np.geomspace(0.1, 10, count):
        root = np.sqrt(aversion)
        p = replace(book, factors=root * book.factors, factor_offset=root * book.factor_offset,
                    diagonal=aversion * book.diagonal, linear=aversion * book.linear)  # fmt: skip
        path.append(run(lambda p=p, w=warm: ours.solve(p, warm=w), p))
        cold.append(run(lambda p=p: ours.solve(p), p))
        warm = path[-1].candidate
    total, one = (sum(r.seconds for r in path), np.mean([r.seconds for r in cold]))
    proved = f"{sum(r.certified for r in path)}/{count}"
    return f"| {n}/{k} | {1e3 * one:.1f} | {1e3 * total:.1f} | {total / one:.1f} | {proved} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-to", type=int, default=5000, help="largest n that peers solve")
    parser.add_argument("--cvxpy-to", type=int, default=1000, help="largest n that CVXPY solves")
    parser.add_argument("--sizes", nargs="*", default=[], metavar="N/K", help="these sizes alone, and the peak memory")
    options = parser.parse_args()
    sizes = [tuple(int(part) for part in size.split("/")) for size in options.sizes]
    print(f"{machine()}\n")
    print("| n/k | method | mean ms | x structured | certified | worst gap | worst residual |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for n, k in sizes or SIZES:
        count = 10 if n <= 200 else 5 if n <= 1000 else 2
        books = [factor_book(n, k, seed) for seed in range(count)]
        rows(f"{n}/{k}", books, n <= options.peers_to, n <= options.cvxpy_to)
    if sizes:
        print(f"\npeak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
        return
    rows("500 underlyings x 20 options", [options_book(500, 20, 50, neutral_each=True)], True, False)
    rows("5000 fixed x 30 hedges", [few_hedges(5000, 30, 50, seed) for seed in range(3)], True, False)
    print("\n| n/k | one cold ms | frontier of 20 ms | in cold solves | certified |\n|---|--:|--:|--:|--:|")
    for n, k in ((200, 20), (500, 50), (1000, 50), (2000, 100)):
        print(frontier(n, k), flush=True)


if __name__ == "__main__":
    main()
