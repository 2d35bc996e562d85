"""A book of 500 shares hedged every day, end to end, beside the libraries that state it: CPU milliseconds a day.

    python benchmarks/peers.py [--days 20] [--few 3] [--solvers OSQP ...] --peers cvxportfolio=PYTHON skfolio=PYTHON ...

Each PYTHON is an interpreter that has the library; its script is peer_NAME.py, on the arrays that this one writes, by
its quickest solver of those that give an answer. Ours is `run_backtest`, accounts and a proof every day,
lots off and whole shares. --few: days of all but cvxportfolio, which optimise and drift alone (no costs booked, no
proof).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from measure import machine  # noqa: E402
from speed import markets, model, shares, timed, written  # noqa: E402

import optihedge as oh  # noqa: E402

SOLVERS = ("CLARABEL", "OSQP", "QOCO", "PIQP", "SCS")
PATIENCE = 240.0  # seconds that a peer may take by one solver


def ours(days: int) -> dict[str, float]:
    """Milliseconds a day, the panel's making in it; and of a certified solve."""
    prices, book, given = shares(500, days)
    panel, made = timed(lambda: markets(prices, 1.0, days))
    program = model(given).problem(panel.at(panel.times[0]), book).program
    told = {"a certified solve": timed(lambda: oh.solve(program), 3)[1]}
    for name, more in (("optihedge, lots off", {"lots": False}), ("optihedge, whole shares", {})):
        oh.run_backtest(model(given), markets(prices, 1.0, 1), book, **more)  # what is loaded once
        _, spent = timed(lambda m=more: oh.run_backtest(model(given), panel, book, **m).pnl)
        told[name] = (spent + made) / (days + 1)
    return told


def theirs(name: str, python: str, path: str, days: int, solvers: list[str]) -> tuple[str, float] | None:
    """Its version and quickest solver, and milliseconds a day; None where no solver answered."""
    found = {}
    for solver in solvers:
        call = [python, str(HERE / f"peer_{name}.py"), path, solver, str(days)]
        env = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(call, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            said = json.loads(done.stdout.splitlines()[-1])
            found[f"{name} {said['version']}, {solver}"] = 1e3 * said["seconds"] / said["days"]
        else:
            print(f"{name}, {solver}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}", file=sys.stderr)
    return min(found.items(), key=lambda one: one[1]) if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--solvers", nargs="*", default=list(SOLVERS))
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--few", type=int, default=3)
    asked = parser.parse_args()
    told = ours(asked.days)
    with tempfile.TemporaryDirectory() as folder:
        written(f"{folder}/walk.npz", asked.days)
        for peer in asked.peers:
            name, python = peer.split("=", 1)
            days = asked.days if name == "cvxportfolio" else min(asked.few, asked.days)
            found = theirs(name, python, f"{folder}/walk.npz", days, asked.solvers)
            told |= dict([found]) if found else {}
    print("| a day of 500 shares | ms | solves | over lots off |\n|---|--:|--:|--:|")
    for name, spent in told.items():
        print(f"| {name} | {spent:.0f} | {spent / told['a certified solve']:.1f} | "
              f"{spent / told['optihedge, lots off']:.1f} |")  # fmt: skip
    print(machine())


if __name__ == "__main__":
    main()
