"""What whole lots cost on a recorded coin-settled options desk, against rounding to the nearest lot.

    python benchmarks/lots.py [data folder]

The desk of tests/test_desk_deribit.py on each recorded day: bands on delta and on the vega of each expiry.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from recorded_markets import deribit_market, deribit_snapshots  # noqa: E402
from test_desk_deribit import desk_book, desk_model  # noqa: E402

from optihedge.program.program import row_violations  # noqa: E402
from optihedge.trades.lots import round_to_lots  # noqa: E402


def main(data: Path) -> None:
    print("| day | contracts | objective, USD | lots cost | CPU | largest violation | by rounding to the nearest lot |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for snapshot in deribit_snapshots(data / "deribit_btc_2026"):
        market = deribit_market(data / "deribit_btc_2026", snapshot)
        hedge = desk_model(market).hedge(market, desk_book(market))
        begin = time.process_time()
        whole = round_to_lots(hedge)
        seconds = time.process_time() - begin
        p = hedge.program
        nearest = p.start + p.lot * np.round((hedge.h - p.start) / p.lot)
        ours, theirs = (row_violations(p, h).max() for h in (whole.h, nearest))
        gap = whole.certificate.gap / whole.certificate.dual
        print(f"| {snapshot:%Y-%m-%d} | {int((p.lot > 0).sum())} | {whole.certificate.primal:,.0f} | {gap:.2%} "
              f"| {seconds:.2f} s | {ours:,.0f} | {theirs:,.0f} |")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data")
