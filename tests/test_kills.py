"""Runs that are killed, stopped or overlap: at most one list a book, never torn, never lost, never of other prices."""

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from optihedge.batch.job import Job, Result, hedge_one
from optihedge.batch.output import is_whole
from optihedge.cli import main
from optihedge.market.snapshot import Market

AS_OF, INSTANT = "2016-06-30T20:00:00Z", "2016-06-30T200000Z"
BOOKS = ("a", "b", "c", "d")
MODEL = """
description = "An exposure within a band at the least cost."
risk = { type = "EwmaRisk", halflife = 63 }
objective = [{ type = "Variance", aversion = 1e-6 }, { type = "SpreadCost" }]
constraints = [{ type = "Neutral", exposure = "EXPOSURE", band = 500.0 }]
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@dataclass(frozen=True)
class Desk:
    """Two markets of one instant with other prices, two models, and what calm runs of them leave.

    lists    sha256 of each market's files and model -> book -> text of its list
    seconds  that a calm run takes
    """

    folder: Path
    lists: dict[tuple[str, str], dict[str, bytes]]
    seconds: float

    def arguments(self, data: int, sent: str, out: Path, workers: int = 1) -> list[str]:
        books = [part for name in BOOKS for part in ("--book", str(self.folder / f"{name}.csv"))]
        models = [str(self.folder / f"{name}.toml") for name in ("vega", "gamma")]
        return ["run", *models, "--send", sent, "--data", str(self.folder / f"data{data}"), "--out", str(out),
                "--as-of", AS_OF, "--workers", str(workers), *books]  # fmt: skip


@pytest.fixture(scope="module")
def desk(example_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    for number, factor in enumerate((1.0, 0.97)):
        shutil.copytree(example_folder, folder / f"data{number}")
        quotes = pd.read_csv(example_folder / "quotes.csv")
        quotes.loc[quotes["instrument"] == "ES-SEP16", ["bid", "ask"]] *= factor
        quotes.to_csv(folder / f"data{number}" / "quotes.csv", index=False)
        pd.read_csv(example_folder / "history.csv").tail(60).to_csv(
            folder / f"data{number}" / "history.csv", index=False
        )
    for name in ("vega", "gamma"):
        (folder / f"{name}.toml").write_text(MODEL.replace("EXPOSURE", name))
    book = pd.read_csv(example_folder / "book.csv")
    for number, name in enumerate(BOOKS):
        book.assign(quantity=(book["quantity"] * (1 + number / 10)).round()).to_csv(folder / f"{name}.csv", index=False)
    known: dict[tuple[str, str, str, bool], Result] = {}

    def once(market: Market, job: Job) -> Result:
        """What is killed here is the run, not the mathematics: each job is hedged once, then remembered."""
        key = (market.hash, job.book, job.model_name, job.sent)
        known[key] = known.get(key) or hedge_one(market, job)
        time.sleep(0.02)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optihedge.batch.job.hedge_one", once)
        desk = Desk(folder, {}, 0.0)
        for data, sent in itertools.product((0, 1), ("vega", "gamma")):
            out = folder / f"calm{data}{sent}"
            assert quiet(desk.arguments(data, sent, out)) == 0  # here, so that forks have everything imported
            index = index_of(out)
            lists = {order["book"]: (out / INSTANT / order["path"]).read_bytes() for order in index["lists"]}
            desk.lists[index["data_sha256"], sent] = lists
        assert len(desk.lists) == 4 and len({text for lists in desk.lists.values() for text in lists.values()}) == 16
        begin = time.monotonic()
        assert wait(forked(desk.arguments(0, "vega", folder / "timed"))) == 0
        yield Desk(folder, desk.lists, time.monotonic() - begin)


def forked(arguments: list[str]) -> int:
    """The process of a command line; forked, so that it need not import everything again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = quiet(arguments)
    finally:
        os._exit(code)


def quiet(arguments: list[str]) -> int:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        return main(arguments)


def wait(process: int) -> int:
    """Its exit code; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def children(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def index_of(out: Path) -> dict:
    return json.loads((out / INSTANT / "orders.json").read_text())


def look(out: Path, desk: Desk) -> set[str]:
    """Whatever happened in `out`: at most one list a book, each whole and a calm run's; those of the index are what it
    says, of its own prices. Returns the books whose list stands by the index.
    """
    every = [text for lists in desk.lists.values() for text in lists.values()]
    for name in BOOKS:
        lists = [p for p in (out / INSTANT / name).glob("*/trades.csv") if not p.parent.name.startswith(".")]
        assert len(lists) <= 1
        for path in lists:
            assert is_whole(path.parent) and path.read_bytes() in every, f"{path} is torn"
    if not (out / INSTANT / "orders.json").exists():
        return set()
    index = index_of(out)
    done = [order for order in index["lists"] if order["status"] == "done"]
    for order in done:
        text = (out / INSTANT / order["path"]).read_bytes()
        assert hashlib.sha256(text).hexdigest() == order["sha256"] and text.count(b"\n") - 1 == order["lines"]
        assert text == desk.lists[index["data_sha256"], order["model"]][order["book"]], "a list of other prices"
    return {order["book"] for order in done}


def after_driver(desk: Desk, out: Path, number: int, chance: random.Random, workers: int) -> bool:
    """A signal to the driver at a random moment; whether it came before the end."""
    sent, data = chance.choice(("vega", "gamma")), number % 2
    process = forked(desk.arguments(data, sent, out, workers))
    wanted = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
    time.sleep(chance.uniform(0.0, 1.0) * desk.seconds * (1 if workers == 1 else 4))
    helpers = children(process)
    os.kill(process, wanted)
    code = wait(process)
    standing = look(out, desk)
    if code in (143, 130):
        assert code == 128 + wanted
        status = json.loads((out / "STATUS.json").read_text())
        assert (status["status"], status["exit_code"]) == ("stopped", code)
        if (out / INSTANT / "summary.json").exists() and index_of(out)["lists"][0]["model"] == sent:
            rows = pd.DataFrame(json.loads((out / INSTANT / "summary.json").read_text()))
            mine = rows[(rows["model"] == sent) & (rows["status"] != "withdrawn")].set_index("book")["status"]
            assert set(mine.index) == set(BOOKS) and set(mine.index[mine == "done"]) == standing
    else:
        assert code in (0, -wanted)
    limit = time.monotonic() + 60
    while any(alive(helper) for helper in helpers):
        assert time.monotonic() < limit, "a worker outlives its run"
        time.sleep(0.1)
    return code != 0


def after_worker(desk: Desk, out: Path, number: int, chance: random.Random) -> bool:
    """A signal to a worker at a random moment: its job is tried again, and every list is there."""
    process = forked(desk.arguments(number % 2, "vega", out, workers=2))
    ended, limit = False, time.monotonic() + 600
    while not (helpers := children(process)) and time.monotonic() < limit and alive(process):
        time.sleep(0.05)
    time.sleep(chance.uniform(0.0, 4.0) * desk.seconds)
    if helpers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(helpers), (signal.SIGKILL, signal.SIGTERM)[number % 2])
            ended = True
    assert wait(process) == 0
    assert look(out, desk) == set(BOOKS)
    return ended


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def storm(desk: Desk, folder: Path, kills: int, blow: Callable[[Path, int, random.Random], bool]) -> None:
    """So many kills in folders that meet what earlier ones left; a calm run at the end has every list of its own."""
    chance, struck, number = random.Random(0), 0, 0
    while struck < kills:
        assert number < 4 * kills + 4, "most signals came after the end"
        struck += blow(folder / f"out{number % 3}", number, chance)
        number += 1
    for out in folder.glob("out*"):
        assert wait(forked(desk.arguments(0, "gamma", out))) == 0
        assert look(out, desk) == set(BOOKS)
        assert len([p for p in out.rglob("*") if ".new" in p.name or ".old" in p.name]) == 0


def driver(desk: Desk, workers: int) -> Callable[[Path, int, random.Random], bool]:
    return lambda out, number, chance: after_driver(desk, out, number, chance, workers)


def worker(desk: Desk) -> Callable[[Path, int, random.Random], bool]:
    return lambda out, number, chance: after_worker(desk, out, number, chance)


def overlap(desk: Desk, folder: Path, pairs: int) -> None:
    """Pairs of runs of other prices and models that overlap at random: one list a book, of one of them."""
    chance = random.Random(1)
    both = 0
    for number in range(pairs):
        out = folder / f"out{number % 3}"
        first = forked(desk.arguments(0, "vega", out))
        time.sleep(chance.uniform(0.0, 1.2) * desk.seconds)
        second = forked(desk.arguments(1, chance.choice(("vega", "gamma")), out))
        codes = sorted((wait(first), wait(second)))
        assert codes in ([0, 75], [0, 0])
        both += codes == [0, 75]
        assert look(out, desk) == set(BOOKS) and index_of(out)["complete"]
    assert both or pairs < 5, "no two runs overlapped"


def test_six_kills_leave_at_most_one_whole_list_a_book(desk: Desk, tmp_path: Path) -> None:
    storm(desk, tmp_path, 6, driver(desk, 1))


def test_two_overlapping_pairs_leave_one_list_a_book(desk: Desk, tmp_path: Path) -> None:
    overlap(desk, tmp_path, 2)


def test_two_runs_in_any_order_leave_the_lists_of_the_later(desk: Desk, tmp_path: Path) -> None:
    for order in ((0, 1), (1, 0)):
        for data, sent in zip(order, ("vega", "gamma"), strict=True):
            assert wait(forked(desk.arguments(data, sent, tmp_path))) == 0
            assert look(tmp_path, desk) == set(BOOKS) and index_of(tmp_path)["lists"][0]["model"] == sent
            assert len(list(tmp_path.rglob("trades.csv"))) == len(BOOKS)


@pytest.mark.slow
def test_two_hundred_and_forty_signals_to_a_driver(desk: Desk, tmp_path: Path) -> None:
    storm(desk, tmp_path, 240, driver(desk, 1))


@pytest.mark.slow
def test_thirty_signals_to_a_driver_with_workers(desk: Desk, tmp_path: Path) -> None:
    storm(desk, tmp_path, 30, driver(desk, 2))


@pytest.mark.slow
def test_thirty_workers_killed(desk: Desk, tmp_path: Path) -> None:
    storm(desk, tmp_path, 30, worker(desk))


@pytest.mark.slow
def test_fifty_overlapping_pairs(desk: Desk, tmp_path: Path) -> None:
    overlap(desk, tmp_path, 50)
