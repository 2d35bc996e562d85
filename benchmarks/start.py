"""What `optihedge run` on the demo's market takes as a process, beside what its imports alone take: CPU seconds.

    python benchmarks/start.py [times]

The least of so many turns (3) of each, every module compiled before as an installed one is: the libraries it stands on,
`import optihedge`, and the model's verb on the demo's files from start to list and page.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALONE = "import numpy, pandas, scipy.linalg, scipy.sparse"


def spent(arguments: list[str], compiled: str) -> float:
    """CPU seconds of one process, to its end; compiled   folder of what is compiled."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    env |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=env, check=True, capture_output=True, cwd=tempfile.gettempdir())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write = f"import optihedge as oh; oh.write_example({folder!r} + '/example')"
        compiled = f"{folder}/compiled"
        spent(["-c", write], compiled)
        given = ["--data", f"{folder}/example", "--book", f"{folder}/example/book.csv", "--out", f"{folder}/out"]
        given += ["--as-of", "2016-06-30T20:00:00Z"]
        calls = {
            "libraries alone": ["-c", ALONE],
            "import optihedge": ["-c", "import optihedge"],
            "optihedge run beta_hedge": ["-m", "optihedge", "run", "beta_hedge", *given],
            "optihedge run optimal_hedge": ["-m", "optihedge", "run", "optimal_hedge", *given],
        }
        least = dict.fromkeys(calls, float("inf"))
        for turn in range(times + 1):  # the first one compiles
            for name, call in calls.items():
                took = spent(call, compiled)
                least[name] = min(least[name], took) if turn else least[name]
    print("| process | CPU s | over the libraries alone |")
    print("|---|--:|--:|")
    for name, seconds in least.items():
        print(f"| {name} | {seconds:.2f} | {seconds / least['libraries alone']:.1f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
