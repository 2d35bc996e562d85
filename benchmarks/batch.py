"""A batch of many books by worker processes: CPU milliseconds a book, how many are certified, memory of each process.

    python benchmarks/batch.py [--books 1000] [--workers 2]
    python benchmarks/batch.py --beside CHECKOUT
    python benchmarks/batch.py --stages SHARES ROWS

Books of 50 positions in a market of 600 shares under a given risk, as in speed.py; lists and tables are written. CPU
is the driver's and the workers' together, their starts included; a list is certified where the bound of its hedge is
proved. Memory: the most that the driver held, and of the largest worker the most it held, what of that is its own
alone, and its share of what several processes hold.

--beside   40 books in one process, by this checkout and an earlier one in turn, three times: the least of each
--stages   one book of 200 shares in a market of so many, from files (as in wide.py) to files under `market_neutral`:
           CPU seconds of each stage, and the most memory held while it ran
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from speed import TERMS, model, peak, shares, timed  # noqa: E402

import optihedge as oh  # noqa: E402
from optihedge.batch.run import run_batch  # noqa: E402

_EVERY = 40  # books between two looks at the workers


def books_of(prices: pd.DataFrame, count: int) -> dict[str, pd.Series]:
    """Books of 50 names, about a million each, long and short."""
    r, held = np.random.default_rng(1), {}
    for i in range(count):
        names = r.choice(prices.columns, 50, replace=False)
        held[f"B{i:04d}"] = pd.Series(np.round(1e6 * r.normal(size=50) / prices[names].iloc[-1].to_numpy()), names)
    return held


def children() -> list[int]:
    """Processes that this one has begun."""
    return [int(one) for path in Path("/proc/self/task").glob("*/children") for one in path.read_text().split()]


def memory(process: int | str) -> dict[str, float]:
    """MB: the most it has held, what is its own alone now, and that with its share of what it has in common."""
    folder = Path(f"/proc/{process}")
    try:
        told = (folder / "status").read_text() + (folder / "smaps_rollup").read_text()
    except OSError:
        return {}
    found = {line.split(":")[0]: float(line.split()[1]) / 1e3 for line in told.splitlines() if line.endswith(" kB")}
    own = found.get("Private_Dirty", np.nan) + found.get("Private_Clean", np.nan)
    return {"most": found["VmHWM"], "own": own, "with its share": found["Pss"]} if "VmHWM" in found else {}


def beside(checkout: str) -> None:
    """Print what a book takes here and there."""
    took: dict[str, list[float]] = {"here": [], "beside": []}
    for _ in range(3):
        for name, place in (("here", HERE.parent), ("beside", checkout)):
            env = {**os.environ, "PYTHONPATH": str(place), "OPTIHEDGE_BESIDE": "1"}
            call = [sys.executable, "-c", f"import sys; sys.path.insert(1, {str(HERE)!r}); import speed; "
                    "speed.batch(3); print(speed.batch(40)['batch, a book'])"]  # fmt: skip
            done = subprocess.run(call, env=env, capture_output=True, text=True, check=True, cwd=tempfile.gettempdir())
            took[name].append(float(done.stdout.split()[-1]))
    least = {name: min(times) for name, times in took.items()}
    print(f"a book: {least['here']:.1f} ms, beside {least['beside']:.1f}: {least['beside'] / least['here']:.2f} times")


def stages(shares_: int, rows: int) -> None:
    """Print what reading, fitting, hedging, listing and writing take, one after the other in this process."""
    from wide import written

    from optihedge.batch.output import write_whole
    from optihedge.batch.record import figures, files

    asked, kept = oh.load_model("market_neutral"), {}
    with tempfile.TemporaryDirectory() as place:
        folder = written(Path(place) / "market", shares_, rows)

        def write() -> None:
            told = files(kept["list"], figures(kept["list"]), model="market_neutral", list_name="trades.csv")
            write_whole(Path(place) / "out", told, {})

        acts = {
            "read": lambda: oh.read_market(folder),
            "fit": lambda: asked.problem(kept["read"], oh.read_book(folder.parent / "book.csv")),
            "hedge": lambda: asked.hedge(kept["read"], oh.read_book(folder.parent / "book.csv")),
            "list": lambda: oh.trade_list(kept["hedge"], book="book"),
            "write": write,
        }
        print(f"{shares_} shares x {rows} rows; before: {memory('self')['most']:.0f} MB")
        for name, act in acts.items():
            Path("/proc/self/clear_refs").write_text("5")  # the most it has held begins anew
            began = time.process_time()
            kept[name] = act()
            print(f"{name:6s} {time.process_time() - began:6.2f} s {memory('self')['most']:7.0f} MB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--beside", default="")
    parser.add_argument("--stages", type=int, nargs=2, metavar=("SHARES", "ROWS"))
    asked = parser.parse_args()
    if asked.beside:
        beside(asked.beside)
        return 0
    if asked.stages:
        stages(*asked.stages)
        return 0
    prices, _, given = shares(600, 0)
    market = oh.Market.from_prices(prices, **TERMS, volume=pd.Series(5e6, prices.columns))
    held, seen, ended = books_of(prices, asked.books), pd.DataFrame(), 0

    def look() -> None:
        nonlocal seen, ended
        ended += 1
        if ended % _EVERY == 0:
            now = pd.DataFrame([found for found in map(memory, children()) if found])
            seen = pd.concat([seen, now])

    program = model(given).problem(market, held["B0000"]).program
    solve = min(timed(lambda: oh.solve(program))[1] for _ in range(5))
    began, clock = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = run_batch(market, held, {"m": model(given)}, Path(folder), workers=asked.workers, each=look)
        lasted = time.perf_counter() - clock
        driver, workers = time.process_time() - began, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        proofs = [json.loads(path.read_text())["certificate"] for path in run.folder.glob("*/*/result.json")]
    done = sum(one.status == "done" for one in run.outcomes)
    certified = sum(proof["status"] in ("optimal", "rounded") for proof in proofs)
    print(f"{asked.books} books, {asked.workers} workers: {1e3 * (driver + workers) / asked.books:.1f} CPU ms a book "
          f"(driver {1e3 * driver / asked.books:.1f}), {lasted:.0f} s by the clock; a cold solve of the hedge "
          f"alone, certified: {solve:.1f} ms")  # fmt: skip
    print(f"{done} lists, {certified} of {asked.books} certified")
    print(f"driver: {peak():.0f} MB at most")
    if len(seen):
        largest = seen.max()
        print("largest worker: " + ", ".join(f"{name} {size:.0f} MB" for name, size in largest.items()))
    return int(certified < asked.books)


if __name__ == "__main__":
    raise SystemExit(main())
