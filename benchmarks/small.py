"""Small Programs: `solve` with its proof beside peers whose matrices are built, with and without theirs.

    python benchmarks/small.py

Mean CPU milliseconds over five books of benchmarks/family.py a size; each peer at the loosest tolerance that proves all
of them. `proved`: its call on built matrices and our certificate; `bare`: its call alone; `whole`: with scaling and
assembly from a Program, without a proof. So the last two columns are the strict reading, in which peers are given their
matrices, and that in which they build them as we do. QOCO where it is installed.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from family import factor_book  # noqa: E402
from measure import GAP, TOLERANCES, machine  # noqa: E402

from optihedge.program.candidate import Candidate  # noqa: E402
from optihedge.program.certificate import certify  # noqa: E402
from optihedge.program.chain import solve  # noqa: E402
from optihedge.program.general.piqp_ import Piqp  # noqa: E402
from optihedge.program.general.scaling import normalise  # noqa: E402
from optihedge.program.general.sparse_form import SparseQP, assemble  # noqa: E402
from optihedge.program.general.sparse_qp import QPResult, SparseSolver  # noqa: E402
from optihedge.program.program import Program  # noqa: E402
from optihedge.program.status import Status  # noqa: E402
from optihedge.program.structured.solver import Structured  # noqa: E402

SIZES = ((20, 5), (50, 10), (100, 10), (200, 20))
OTHERS = range(100, 200)  # seeds of books on which the first solver may fail
TIMES = 20  # calls, of which the quickest counts


@dataclass(frozen=True)
class Qoco(SparseSolver):
    """QOCO (Chari and Acikmese 2025), equalities apart."""

    tolerance: float = 1e-9
    kind: ClassVar[str] = "qoco"

    def _run(self, qp: SparseQP, deadline: float | None, warm: Candidate | None) -> QPResult:
        rows = sp.csr_array(qp.A)
        equal = np.flatnonzero(qp.l == qp.u)
        above, below = (np.flatnonzero((qp.l != qp.u) & np.isfinite(end)) for end in (qp.u, qp.l))
        G = sp.csc_matrix(sp.vstack([rows[above], -rows[below]]))
        h = np.concatenate([qp.u[above], -qp.l[below]])
        problem = import_module("qoco").QOCO()
        problem.setup(
            len(qp.q), len(h), len(equal), sp.csc_matrix(sp.triu(qp.P)), qp.q, sp.csc_matrix(rows[equal]), qp.u[equal],
            G, h, len(h), 0, np.zeros(0, dtype=np.int32), abstol=self.tolerance, reltol=self.tolerance, verbose=0,
        )  # fmt: skip
        found = problem.solve()
        y = np.zeros(len(qp.l))
        y[equal] = found.y
        y[above] += found.z[: len(above)]
        y[below] -= found.z[len(above) :]
        solved = "SOLVED" in str(found.status)
        return QPResult(np.array(found.x), y, Status.OPTIMAL if solved else Status.FAILED, str(found.status))


def least(act: object) -> tuple[object, float]:
    """What it gives, and the least CPU milliseconds."""
    best = np.inf
    for _ in range(TIMES):
        began = time.process_time()
        found = act()
        best = min(best, 1e3 * (time.process_time() - began))
    return found, best


def peer(solver: SparseSolver, programs: list[Program]) -> tuple[float, float] | None:
    """Mean milliseconds proved and bare; None where one is not proved."""
    proved, bare = [], []
    for p in programs:
        scaled, scaling = normalise(p, solver.scaling)
        qp = assemble(scaled)

        def whole(p: Program = p, scaling: object = scaling, qp: SparseQP = qp) -> object:
            result = solver._run(qp, None, None)
            multipliers = result.y[qp.first : qp.first + len(p.row_names)]
            return certify(p, scaling.restore(Candidate(result.x[: len(p.columns)], multipliers, result.status)),
                           tolerance=GAP)  # fmt: skip

        certificate, spent = least(whole)
        if not certificate.optimal:
            return None
        proved.append(spent)
        bare.append(least(lambda qp=qp: solver._run(qp, None, None))[1])
    return float(np.mean(proved)), float(np.mean(bare))


def main() -> None:
    kinds = [Piqp, *([Qoco] if find_spec("qoco") else [])]
    table = {}
    for n, k in SIZES:
        programs = [factor_book(n, k, seed) for seed in range(5)]
        own = [least(lambda p=p: solve(p)) for p in programs]
        assert all(found.certificate.optimal for found, _ in own)
        row = {"solve": float(np.mean([spent for _, spent in own]))}
        row["of 100 left by the first"] = sum(
            len(solve(factor_book(n, k, seed)).certificate.chain) > 1 for seed in OTHERS
        )
        for alone in (Structured(), Piqp(tolerance=1e-6)):
            row[f"{alone.name} whole"] = float(np.mean([least(lambda p=p, s=alone: s.solve(p))[1] for p in programs]))
        for kind in kinds:
            found = next((one for one in (peer(kind(tolerance=t), programs) for t in TOLERANCES) if one), None)
            row |= {f"{kind.kind} proved": found[0], f"{kind.kind} bare": found[1]} if found else {}
        table[f"{n}/{k}"] = row
        print(n, k, row, flush=True)
    frame = pd.DataFrame(table).T
    peers = [name for name in frame.columns if name.endswith("proved")]
    frame["solve / fastest proved"] = frame["solve"] / frame[peers].min(axis=1)
    frame["solve / PIQP whole"] = frame["solve"] / frame["piqp whole"]
    print(frame.round(2).to_string())
    print(machine())


if __name__ == "__main__":
    main()
