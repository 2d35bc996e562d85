"""A desk that is killed at any commit, fsync or rename, and run again: nothing is lost, nothing leaves twice."""

import contextlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
import uuid
import warnings
from collections import Counter
from dataclasses import replace

import postgres
import pytest
import sqlalchemy as sa
from desk_nights import DESK, desk_in, last_run, told, write_book
from nights import coin_markets, fundings, path
from test_desk_nights import BOOK, MODEL

from optihedge.batch.stop import Stop, Stopped
from optihedge.desk import night, task
from optihedge.desk.night import run_night
from optihedge.desk.outbox import approve, send
from optihedge.desk.replay import verify
from optihedge.lock import Locked
from optihedge.market.store.store import Store
from optihedge.step.broker import Partial

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]
TEXT = DESK.replace('"none"', '"another"')
THREE = (
    "".join(
        f'[books.{name}]\nmodel = "neutral"\npositions = "{name}.csv"\nholds = "opening"\n' for name in ("two", "three")
    )
    + "[run]\nworkers = 2\n"
)


class Consumer:
    """Takes what lies in the outbox, as a gateway would, and counts it."""

    def __init__(self):
        self.taken = Counter()

    def take(self, desk):
        for file in sorted(desk.outbox.glob("*/*.csv")) if desk.outbox.is_dir() else ():
            if not file.parent.name.startswith("."):
                self.taken[file.name, file.read_bytes()] += 1
                file.unlink()


def two_nights(desk, markets, stop=None):
    """All verbs of two nights; begun again from anywhere, it does what is left to do."""
    first, last = markets
    if not all(has_night(desk, last, book) for book in desk.books):
        if not any(has_night(desk, last, book) for book in desk.books):
            one_of_two(desk, first, stop)
        told(desk, Partial(0.5), first, last)
    one_of_two(desk, last, stop)


def one_of_two(desk, market, stop):
    run_night(desk, as_of=market.as_of, who="ann", stop=stop)
    for book in desk.books:
        row = last_run(desk, book)
        if row["list"] == "made":
            approve(desk, f"{book}@", row["sha256"], "bob")
        if last_run(desk, book)["list"] == "approved":
            send(desk, f"{book}@")
        elif last_run(desk, book)["list"] == "sending":
            run_night(desk, as_of=market.as_of, who="ann", stop=stop)


def has_night(desk, market, book) -> bool:
    """Whether a book has this night already."""
    try:
        return last_run(desk, book)["as_of"] >= market.as_of.isoformat()
    except Exception:
        return False


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A desk's folder before its first night, and its markets; what a night computes is computed once, remembered."""
    yield from before_nights(tmp_path_factory.mktemp("calm"), TEXT)


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """The same of a desk of three books that computes in two workers, which begin as forks of who asks for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("joblib.externals.loky.backend.get_context", lambda kind: multiprocessing.get_context("fork"))
        yield from before_nights(tmp_path_factory.mktemp("team"), TEXT + THREE)


def before_nights(folder, text):
    spots = path(2)
    markets, events = coin_markets(spots), fundings(spots)
    (folder / "before").mkdir()
    (folder / "before" / "model.toml").write_text(MODEL)
    desk_in(folder / "before", markets, BOOK, events, model="model.toml", text=text)
    for number, name in enumerate(("two", "three"), 2):
        write_book(folder / "before" / f"{name}.csv", {n: number * q for n, q in BOOK.items()})
    made, opened, compute, read = {}, {}, task.compute, Store._market

    def once(one, bench):
        made[one.id] = made.get(one.id) or compute(one, bench)
        return made[one.id]

    def known(store, name, names):
        opened[name] = opened.get(name) or read(store, name, names)
        return opened[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(night, "compute", once)
        patch.setattr(Store, "_market", known)
        alone = begun((folder, markets), folder / "alone")
        two_nights(replace(alone, workers=1), markets)  # in this process, so that forks remember it
        yield folder, markets


def begun(calm, tmp_path, url="sqlite:///ledger.db"):
    """The desk in a folder of its own."""
    from optihedge.desk.deskfile import read_desk

    shutil.copytree(calm[0] / "before", tmp_path)
    (tmp_path / "desk.toml").write_text((tmp_path / "desk.toml").read_text().replace("sqlite:///ledger.db", url))
    return read_desk(tmp_path / "desk.toml")


def left(desk, consumer):
    """What two nights came to."""
    rows = [last_run(desk, book) for book in desk.books]
    files = {p.relative_to(desk.out).as_posix(): p.read_bytes() for p in desk.out.rglob("*") if p.is_file()}
    files = {name: body for name, body in files.items() if ".lock" not in name}
    return [(row["id"], row["after"], row["list"]) for row in rows], consumer.taken, files


def same(found, expected):
    """What two runs of two nights came to, file by file."""
    assert found[:2] == expected[:2]
    ours, theirs = found[2], expected[2]
    assert not {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


def forked(desk, markets, kill: int = 0) -> int:
    """The process of two nights, which is killed before its k-th commit, fsync or rename; 0: never."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 99
    try:
        points(kill)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), Stop() as stop:
            two_nights(desk, markets, stop)
        code = 0
    except Stopped as stopped:
        code = stopped.exit_code
    except Locked:  # a fork of a killed driver holds its lock until it sees that it is alone
        code = 75
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """How a process ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def points(kill: int) -> None:
    """Count commits, fsyncs and renames, and die before one."""
    count = [0]

    def counted(function):
        def inner(*arguments, **settings):
            count[0] += 1
            if count[0] == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **settings)

        return inner

    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
    sa.event.listen(sa.Engine, "commit", counted(lambda connection: None))


def suffer(calm, tmp_path, url):
    """Every k-th point of two nights: killed, taken, run again to the end; the number of kills."""
    markets = calm[1]
    desk, consumer = begun(calm, tmp_path / "quiet", url()), Consumer()
    two_nights(desk, markets)
    consumer.take(desk)
    expected = left(desk, consumer)
    assert sum(expected[1].values()) == 2 * len(desk.books) and verify(desk).empty
    for kills, k in enumerate(range(1, 10_000)):
        desk, consumer = begun(calm, tmp_path / str(k), url()), Consumer()
        if ended(forked(desk, markets, k)) == 0:
            return kills
        consumer.take(desk)
        two_nights(desk, markets)
        consumer.take(desk)
        same(left(desk, consumer), expected)
        assert verify(desk).empty, k
        shutil.rmtree(desk.path.parent)
    raise AssertionError("the nights never end")


def test_a_desk_on_sqlite_killed_at_every_point_loses_nothing_and_sends_nothing_twice(calm, tmp_path):
    kills = suffer(calm, tmp_path, lambda: "sqlite:///ledger.db")
    assert kills > 60
    print(f"{kills} kills", file=sys.stderr)


def test_a_desk_on_postgresql_killed_at_every_point_loses_nothing_and_sends_nothing_twice(calm, tmp_path):
    with postgres.server() as url:
        kills = suffer(calm, tmp_path, lambda: postgres.fresh(url, uuid.uuid4().hex))
    assert kills > 60
    print(f"{kills} kills", file=sys.stderr)


def storm(team, tmp_path, kills, url=lambda: "sqlite:///ledger.db"):
    """So many signals at random moments of two nights with workers, to the driver or to a worker of it; each desk is
    struck until its nights are over, and then is what it would have been in calm; how many came before an end.

    Signals to one desk come later and later, so that it ends on a machine that has become slower too.
    """
    markets, chance, struck = team[1], random.Random(0), Counter()
    desk, consumer = begun(team, tmp_path / "quiet", url()), Consumer()
    start = time.monotonic()
    assert ended(forked(desk, markets)) == 0
    seconds = time.monotonic() - start
    consumer.take(desk)
    expected = left(desk, consumer)
    assert sum(expected[1].values()) == 6 and verify(desk).empty
    for number in range(4 * kills + 4):
        desk, consumer = begun(team, tmp_path / str(number), url()), Consumer()
        for again in itertools.count():
            child, wanted = forked(desk, markets), chance.choice((signal.SIGKILL, signal.SIGTERM))
            time.sleep(chance.uniform(0.0, 1.2) * seconds * (1 + again / 8))
            workers = subprocess.run(["pgrep", "-P", str(child)], capture_output=True, text=True).stdout.split()
            victim = int(chance.choice(workers)) if workers and chance.random() < 0.3 else child
            with contextlib.suppress(ProcessLookupError):  # a worker may be over by now
                os.kill(victim, wanted)
                struck["worker"] += victim != child
            code = ended(child)
            consumer.take(desk)
            assert code in (0, 75, 143, -wanted), code
            if code == 0:
                break
            struck[code] += code != 75 and victim == child
        same(left(desk, consumer), expected)
        assert verify(desk).empty, number
        shutil.rmtree(desk.path.parent)
        if sum(struck.values()) >= kills:
            return struck
    raise AssertionError(f"most signals came after the end: {struck}")


def test_a_desk_with_workers_struck_by_three_hundred_random_signals_is_what_it_would_have_been(team, tmp_path):
    print(storm(team, tmp_path, 300), file=sys.stderr)


def test_a_desk_with_workers_on_postgresql_struck_by_three_hundred_random_signals_is_what_it_would_have_been(
    team, tmp_path
):
    with postgres.server() as url:
        print(storm(team, tmp_path, 300, lambda: postgres.fresh(url, uuid.uuid4().hex)), file=sys.stderr)
