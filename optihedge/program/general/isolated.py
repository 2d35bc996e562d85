"""Any named solver in a process of its own, ended when time is up: the only cure for a hang in compiled code."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from optihedge.program.archive import load_program, save_program
from optihedge.program.candidate import Candidate
from optihedge.program.program import Program
from optihedge.program.solvers import solver_named
from optihedge.program.status import Status

_GRACE = 5.0  # seconds to start Python and read the Program, on top of the solver's own


@dataclass(frozen=True)
class Isolated:
    """The solver of that name ("piqp") in a new process. `seconds`: its limit where no deadline is given."""

    solver: str
    seconds: float = 60.0

    @property
    def name(self) -> str:
        """What a certificate's chain calls it."""
        return f"isolated:{self.solver}"

    def solve(self, program: Program, *, deadline: float | None = None, warm: Candidate | None = None) -> Candidate:
        """The candidate, or a failure that says why. `deadline`: seconds from now, then the process is killed."""
        if program.cvxpy_terms:
            return Candidate.none(program, Status.DECLINED, "CVXPY terms cannot leave the process")
        seconds = self.seconds if deadline is None else deadline
        sent = io.BytesIO()
        save_program(program, sent)
        command = [sys.executable, "-m", "optihedge.program.general.isolated", self.solver, str(seconds)]
        try:
            done = subprocess.run(
                command, input=sent.getvalue(), capture_output=True, timeout=seconds + _GRACE, check=False
            )
        except subprocess.TimeoutExpired:
            return Candidate.none(program, Status.FAILED, f"hung; its process was ended after {seconds:g} s")
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
            return Candidate.none(program, Status.FAILED, f"its process died: {lines[-1][:200]}")
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
            status, price = Status(str(answer["status"])), float(answer["limit_multiplier"])
            return Candidate(answer["h"], answer["multipliers"], status, price, str(answer["why"]))


def main(solver: str, seconds: float) -> None:
    """Read a Program from standard input, write the solver's candidate to standard output."""
    program = load_program(io.BytesIO(sys.stdin.buffer.read()))
    candidate = solver_named(solver).solve(program, deadline=seconds)
    answer = io.BytesIO()
    np.savez(
        answer, allow_pickle=False, h=candidate.h, multipliers=candidate.multipliers, status=np.array(candidate.status),
        limit_multiplier=np.array(candidate.limit_multiplier), why=np.array(candidate.why),
    )  # fmt: skip
    sys.stdout.buffer.write(answer.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
