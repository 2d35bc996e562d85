"""A thousand books of fifty names, 37 of them broken in their own ways: 963 whole results, 37 named, anywhere."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from optihedge.batch.output import is_whole

BOOKS, NAMES, SPOILT = 963, 50, 37
AS_OF, INSTANT = "2016-06-30T20:00:00Z", "2016-06-30T200000Z"


def broken(number: int, good: list[str]) -> str | bytes:
    """37 contents of which no two are wrong in the same way."""
    head, name = "instrument,quantity\n", good[number % len(good)]
    ways = [
        "", "\n", "1,2\n3,4\n", "instrument\nA\n", "quantity\n1\n", "instrument,quantity,quantity\nA,1,2\n",
        f"{head}NOTHING,1\n", f"{head}{name.lower()}x,1\n", f"{head}{name},many\n", f"{head}{name},nan\n",
        f"{head}{name},inf\n", f"{head}{name},-inf\n", f"{head}{name},1e400\n", f"{head}{name},\n", f"{head},1\n",
        f"{head}{name},1\n{name},2\n", f"{head}{name},1,2,3\n", f"{head}{name}\n", f"{head}{name},1;5\n",
        f"{head}{name},0x10\n", f"{head}{name},1_000\n", f"{head}{name},True\n", f"{head}{name},=1+1\n",
        f"instrument,side,quantity\n{name},SELL,1\n", f"instrument,Quantity\n{name},1\n",
        f"Instrument,quantity\n{name},1\n",
        f"instrument,qty\n{name},1\n", f"symbol,quantity\n{name},1\n", f"instrument;quantity\n{name};1\n",
        f"Book,instrument,quantity\nb,{name},1\n", f"book,instrument,quantity\n,{name},1\n", b"\xff\xfe\x00\x01",
        b"PK\x03\x04not a zip", f"{head}{name},1\n".encode("utf-16"), f'{head}"{name},1\n', f"{head}{name},\x001\n",
        f"{head}{name},1 000\n",
    ]  # fmt: skip
    assert len(ways) == SPOILT
    return ways[number]


@pytest.fixture(scope="module")
def market_folder(tmp_path_factory):
    """Sixty stocks and an index fund, driven by one factor."""
    folder, rng = tmp_path_factory.mktemp("market"), np.random.default_rng(0)
    names = [f"S{number:02d}" for number in range(60)]
    factor = rng.normal(0, 0.01, 300)
    moves = pd.DataFrame(
        {"IDX": factor} | {n: rng.uniform(0.5, 1.5) * factor + rng.normal(0, 0.01, 300) for n in names}
    )
    times = pd.bdate_range(end=AS_OF, periods=300, name="time")
    levels = (100 * np.exp(moves.cumsum())).set_axis(times)
    last = levels.iloc[-1]
    levels.iloc[:-1].to_csv(folder / "history.csv")
    pd.DataFrame({"driver": last.index, "market": last.index == "IDX"}).to_csv(folder / "drivers.csv", index=False)
    table = pd.DataFrame({"instrument": last.index, "type": "equity", "hedge": last.index == "IDX"})
    table.to_csv(folder / "instruments.csv", index=False)
    quotes = pd.DataFrame({"instrument": last.index, "bid": last.to_numpy() - 0.01, "ask": last.to_numpy() + 0.01})
    quotes.assign(time=AS_OF, volume=1e7).to_csv(folder / "quotes.csv", index=False)
    (folder / "market.toml").write_text('base_currency = "USD"\n')
    return folder


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """Files of books: one of 963, and 37 broken ones."""
    folder, rng = tmp_path_factory.mktemp("books"), np.random.default_rng(0)
    names = [f"S{number:02d}" for number in range(60)]
    rows = [
        (f"B{number:04d}", name, float(quantity))
        for number in range(BOOKS)
        for name, quantity in zip(rng.choice(names, NAMES, replace=False), rng.integers(1, 5000, NAMES), strict=True)
    ]
    pd.DataFrame(rows, columns=["book", "instrument", "quantity"]).to_csv(folder / "good.csv", index=False)
    files = [folder / "good.csv"]
    for number in range(SPOILT):
        content = broken(number, names)
        files.append(folder / f"broken{number:02d}.csv")
        files[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    return files


def command(market_folder, books, out, *more):
    named = [part for path in books for part in ("--book", str(path))]
    return [
        sys.executable, "-m", "optihedge", "run", "beta_hedge", "--data", str(market_folder), "--as-of", AS_OF,
        "--out", str(out), "--quiet", *named, *more,
    ]  # fmt: skip


def judged(out, code, whole=BOOKS):
    """963 whole results, 37 named, exit 1; the lists' sums by book."""
    summary = json.loads((out / INSTANT / "summary.json").read_text())
    rows = (
        {row["book"]: row for row in summary["results"]}
        if isinstance(summary, dict)
        else {r["book"]: r for r in summary}
    )
    failed = {book: row["note"] for book, row in rows.items() if row["status"] == "failed"}
    assert code == 1 and len(failed) == SPOILT, (code, sorted(failed))
    assert all(note and "internal" not in note for note in failed.values()), failed
    folders = [path for path in (out / INSTANT).glob("B*/beta_hedge")]
    assert len(folders) == whole and all(is_whole(folder) for folder in folders)
    orders = json.loads((out / INSTANT / "orders.json").read_text())
    return {one["book"]: (one["status"], one["sha256"]) for one in orders["lists"]}


def test_no_way_of_being_broken_stops_another_book(market_folder, books, tmp_path):
    """Every broken file beside two whole books, by the command line."""
    two = tmp_path / "two.csv"
    frame = pd.read_csv(books[0])
    frame[frame["book"].isin(["B0000", "B0001"])].to_csv(two, index=False)
    done = subprocess.run(command(market_folder, [two, *books[1:]], tmp_path / "out"), capture_output=True, text=True)
    judged(tmp_path / "out", done.returncode, whole=2)


@pytest.mark.slow
def test_a_thousand_books_of_which_37_are_broken(market_folder, books, tmp_path):
    done = subprocess.run(command(market_folder, books, tmp_path / "here", "--workers", "2"), capture_output=True)
    here = judged(tmp_path / "here", done.returncode)
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert largest < 2.0, f"{largest:.2f} GiB"
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50, host="127.0.0.1"
    ) as local:
        address = local.scheduler_address

        def kill_one():
            while len(list((tmp_path / "there" / INSTANT).glob("B*"))) < 100:
                time.sleep(0.5)
            with distributed.Client(address, set_as_default=False) as client:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            killed.append(True)

        killed: list[bool] = []
        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        done = subprocess.run(
            command(market_folder, books, tmp_path / "there", "--cluster", address), capture_output=True
        )
        killer.join(60)
    assert killed and judged(tmp_path / "there", done.returncode) == here
