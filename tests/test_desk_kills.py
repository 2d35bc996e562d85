"""A desk that is killed at any commit, fsync or rename, and run again: nothing is lost, nothing leaves twice."""

import contextlib
import os
import shutil
import signal
import sys
import uuid
import warnings
from collections import Counter

import postgres
import pytest
import sqlalchemy as sa
from desk_nights import DESK, desk_in, last_run, told
from nights import coin_markets, fundings, path
from test_desk_nights import BOOK, MODEL

from optihedge.desk import night, task
from optihedge.desk.night import run_night
from optihedge.desk.outbox import approve, send
from optihedge.desk.replay import verify
from optihedge.market.store.store import Store
from optihedge.step.broker import Partial

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]
TEXT = DESK.replace('"none"', '"another"')


class Consumer:
    """Takes what lies in the outbox, as a gateway would, and counts it."""

    def __init__(self):
        self.taken = Counter()

    def take(self, desk):
        for file in sorted(desk.outbox.glob("*/*.csv")) if desk.outbox.is_dir() else ():
            if not file.parent.name.startswith("."):
                self.taken[file.name, file.read_bytes()] += 1
                file.unlink()


def two_nights(desk, markets):
    """All verbs of two nights; begun again from anywhere, it does what is left to do."""
    before = None
    for market in markets:
        if before is not None and not nights_since(desk, market):
            told(desk, Partial(0.5), before, market)
        if market is markets[-1] or not nights_since(desk, market):
            run_night(desk, as_of=market.as_of, who="ann")
        row = last_run(desk)
        if row["list"] == "made":
            approve(desk, "one@", row["sha256"], "bob")
        if last_run(desk)["list"] == "approved":
            send(desk, "one@")
        elif last_run(desk)["list"] == "sending":
            run_night(desk, as_of=market.as_of, who="ann")
        before = market


def nights_since(desk, market) -> bool:
    """Whether this night or a later one stands already."""
    try:
        return last_run(desk)["as_of"] >= market.as_of.isoformat()
    except Exception:
        return False


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A desk's folder before its first night, its markets, and what two calm nights left; computed once, remembered."""
    folder = tmp_path_factory.mktemp("calm")
    spots = path(2)
    markets, events = coin_markets(spots), fundings(spots)
    (folder / "before").mkdir()
    (folder / "before" / "model.toml").write_text(MODEL)
    desk_in(folder / "before", markets, BOOK, events, model="model.toml", text=TEXT)
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
        yield folder, markets, patch


def begun(calm, tmp_path, url="sqlite:///ledger.db"):
    """The desk in a folder of its own."""
    from optihedge.desk.deskfile import read_desk

    shutil.copytree(calm[0] / "before", tmp_path)
    (tmp_path / "desk.toml").write_text((tmp_path / "desk.toml").read_text().replace("sqlite:///ledger.db", url))
    return read_desk(tmp_path / "desk.toml")


def left(desk, consumer):
    """What two nights came to."""
    row = last_run(desk)
    files = {p.relative_to(desk.out).as_posix(): p.read_bytes() for p in desk.out.rglob("*") if p.is_file()}
    files = {name: body for name, body in files.items() if ".lock" not in name}
    return row["id"], row["after"], row["list"], consumer.taken, files


def forked(desk, markets, kill: int) -> int:
    """Two nights in a process that is killed before its k-th commit, fsync or rename; how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        points(kill)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            two_nights(desk, markets)
        code = 0
    finally:
        os._exit(code)


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


def suffer(calm, tmp_path, step, url):
    """Every k-th point of two nights: killed, taken, run again to the end; the number of kills."""
    markets = calm[1]
    desk, consumer = begun(calm, tmp_path / "quiet", url()), Consumer()
    two_nights(desk, markets)
    consumer.take(desk)
    expected = left(desk, consumer)
    assert sum(expected[3].values()) == 2 and verify(desk).empty
    for kills, k in enumerate(range(1, 10_000, step)):
        desk, consumer = begun(calm, tmp_path / str(k), url()), Consumer()
        if forked(desk, markets, k) == 0:
            return kills
        consumer.take(desk)
        two_nights(desk, markets)
        consumer.take(desk)
        assert left(desk, consumer) == expected, k
        assert verify(desk).empty, k
        shutil.rmtree(desk.path.parent)
    raise AssertionError("the nights never end")


def test_a_desk_on_sqlite_killed_at_every_point_loses_nothing_and_sends_nothing_twice(calm, tmp_path):
    kills = suffer(calm, tmp_path, 1, lambda: "sqlite:///ledger.db")
    assert kills > 60
    print(f"{kills} kills", file=sys.stderr)


def test_a_desk_on_postgresql_killed_at_every_third_point_loses_nothing_and_sends_nothing_twice(calm, tmp_path):
    with postgres.server() as url:
        kills = suffer(calm, tmp_path, 3, lambda: postgres.fresh(url, uuid.uuid4().hex))
    assert kills > 20
    print(f"{kills} kills", file=sys.stderr)
