"""Wide markets through the command line: CPU seconds, minutes by the clock and peak memory of each.

    python benchmarks/wide.py [PART ...] [--models MODEL ...]

  instruments   20 000 shares with 250 days of levels, a book of 200 of them, `optihedge run MODEL` (market_neutral; by
                `--models` alone every shipped model) on twenty funds that may be traded
  drivers       10 years x 2 000 shares, the same book and model

Prices are synthetic (20 factors, seed 0); files are written and read as a desk has them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
PARTS = {"instruments": (20_000, 250), "drivers": (2_000, 2_520)}
FUNDS, HELD = 20, 200


def written(folder: Path, n: int, rows: int) -> Path:
    """A market of n shares, the first FUNDS of which may be traded, and a book of HELD others."""
    r = np.random.default_rng(0)
    betas = 0.2 * r.normal(size=(n, 20))
    betas[:, 0] = 1 + 0.3 * r.normal(size=n)
    moves = 0.01 * r.normal(size=(rows, 20)) @ betas.T + 0.015 * r.normal(size=(rows, n))
    levels = r.uniform(20, 200, n) * np.exp(np.cumsum(np.clip(moves, -0.2, 0.2), axis=0))
    names = pd.Index([f"S{i:05d}" for i in range(n)], name="instrument")
    times = pd.bdate_range(end="2026-01-30", periods=rows, tz="UTC") + pd.Timedelta("21h")
    tradable = np.arange(n) < FUNDS
    table = pd.DataFrame({"type": "equity", "underlying": names, "currency": "USD", "lot": 1.0}, index=names)
    table["hedge"] = np.where(tradable, "true", "false")
    quotes = pd.DataFrame({"bid": 0.9998 * levels[-1], "ask": 1.0002 * levels[-1], "volume": 5e6}, index=names)
    drivers = pd.DataFrame({"kind": "price", "underlying": names, "currency": "USD"}, names.rename("driver"))
    drivers["market"] = np.where(np.arange(n) == 0, "true", "false")
    folder.mkdir(parents=True)
    table.to_csv(folder / "instruments.csv")
    quotes.to_csv(folder / "quotes.csv")
    drivers.to_csv(folder / "drivers.csv")
    pd.DataFrame(levels.round(6), times.rename("time"), names.to_list()).to_csv(folder / "history.csv")
    held = names[r.choice(np.arange(FUNDS, n), HELD, replace=False)]
    book = pd.DataFrame({"instrument": held, "quantity": np.round(1e6 * r.normal(size=HELD) / 100)})
    book.to_csv(folder.parent / "book.csv", index=False)
    stamp = times[-1].strftime("%Y-%m-%dT%H:%M:%SZ")
    (folder / "market.toml").write_text(f'base_currency = "USD"\nas_of = "{stamp}"\n')
    return folder


def measured(folder: Path, model: str) -> dict[str, object]:
    """What the command line takes for one model on a market that is written."""
    out = folder.parent / f"out-{model}"
    book = folder.parent / "book.csv"
    call = [sys.executable, "-m", "optihedge", "run", model, "--data", str(folder), "--book", str(book),
            "--out", str(out), "--as-of", "2026-01-30T21:00:00Z", "--quiet"]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(call, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    spent = time.monotonic() - began
    lists = sorted(path.name for path in out.rglob("*.csv") if path.name in ("trades.csv", "held.csv"))
    return {
        "exit code": os.waitstatus_to_exitcode(status), "list": " ".join(lists),
        "CPU s": used.ru_utime + used.ru_stime, "minutes": spent / 60, "peak MB": used.ru_maxrss / 1e3,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument(
        "--models", nargs="*", default=["market_neutral"], metavar="MODEL", help="none: every shipped one"
    )
    asked = parser.parse_args()
    models = asked.models or sorted(path.stem for path in (HERE.parent / "models").glob("*.toml"))
    rows = {}
    for part in asked.parts:
        with tempfile.TemporaryDirectory() as place:
            folder = written(Path(place) / "market", *PARTS[part])
            for model in models:
                rows[part, model] = measured(folder, model)
                print(part, model, rows[part, model], file=sys.stderr, flush=True)
    print(pd.DataFrame(rows).T.to_string(float_format="{:,.1f}".format))


if __name__ == "__main__":
    main()
