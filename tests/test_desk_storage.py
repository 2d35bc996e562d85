"""A disk that is full, a database that is gone, a folder that cannot be written: named, and nothing lost or twice."""

import contextlib
import errno
import os
import shutil
import sqlite3
import uuid

import postgres
import pytest
from desk_nights import DESK, last_run, one_night, told
from test_desk_nights import coin_desk

from optihedge.cli import main
from optihedge.desk import night as night_of
from optihedge.desk.ledger import database
from optihedge.desk.ledger.database import StorageError
from optihedge.desk.looking import shown
from optihedge.desk.night import run_night
from optihedge.desk.outbox import send
from optihedge.desk.replay import verify
from optihedge.errors import DataError
from optihedge.step.broker import AtQuote


def test_a_full_disk_is_exit_code_5_and_the_night_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    desk, markets, _ = coin_desk(tmp_path, 1)
    database.open_ledger(desk.ledger)
    pages = os.path.getsize(tmp_path / "ledger.db") // 4096
    prepare = database._prepare

    def full(connection, record):
        prepare(connection, record)
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    monkeypatch.setattr(database, "_prepare", full)
    arguments = ["run", "--desk", str(desk.path), "--as-of", str(markets[0].as_of)]
    assert main(arguments) == 5 and "full" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(arguments) == 0 and last_run(desk)["status"] == "done"
    assert verify(desk).empty


def test_a_folder_that_cannot_be_written_leaves_the_ledger_right_and_is_mended_by_the_next_run(tmp_path, monkeypatch):
    desk, markets, _ = coin_desk(tmp_path, 1)

    def refused(*_):
        raise OSError(errno.EROFS, "read-only file system", str(desk.out))

    monkeypatch.setattr(night_of, "write_whole", refused)
    with pytest.raises(OSError, match="read-only"):
        run_night(desk, as_of=markets[0].as_of)
    assert last_run(desk)["status"] == "done"
    monkeypatch.undo()
    assert not run_night(desk, as_of=markets[0].as_of).results[0].new and verify(desk).empty
    shutil.rmtree(desk.out / "2026-01-20T120000Z")
    assert "not there" in verify(desk)["problem"].iloc[0]
    run_night(desk, as_of=markets[0].as_of)
    assert verify(desk).empty


def test_a_ledger_that_is_gone_is_not_begun_again(tmp_path):
    desk, markets, _ = coin_desk(tmp_path, 2)
    one_night(desk, markets[0])
    (tmp_path / "ledger.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(DataError, match="restore the ledger"):
        run_night(desk, as_of=markets[1].as_of)
    (tmp_path / "elsewhere.db").replace(tmp_path / "ledger.db")
    told(desk, AtQuote(), *markets)
    assert run_night(desk, as_of=markets[1].as_of).results[0].status == "solved" and verify(desk).empty


@pytest.mark.slow
def test_nights_on_postgresql_are_the_same_and_a_server_that_goes_and_comes_loses_nothing(tmp_path):
    found = []
    with postgres.server() as url:
        for number, where in enumerate(("sqlite:///ledger.db", postgres.fresh(url, uuid.uuid4().hex))):
            desk, markets, _ = coin_desk(tmp_path / str(number), 2, DESK, url=where)
            one_night(desk, markets[0])
            told(desk, AtQuote(), *markets)
            if number:
                postgres.restart(url, between=lambda: _refused(desk, markets[1]))  # noqa: B023
            one_night(desk, markets[1])
            row = last_run(desk)
            found.append((row["id"], row["after"], row["sha256"], row["list"]))
            assert verify(desk).empty
        with database.open_ledger(desk.ledger).alone(), pytest.raises(Exception, match="another run"):
            run_night(desk)
    assert found[0] == found[1] and found[0][3] == "sent"


def _refused(desk, market):
    with pytest.raises(StorageError):
        run_night(desk, as_of=market.as_of)
    with pytest.raises(StorageError):
        send(desk, "one@")


def test_a_desk_that_may_not_be_written_is_looked_at_and_nothing_is_changed(tmp_path, monkeypatch, capsys):
    desk, markets, _ = coin_desk(tmp_path, 1)
    night = run_night(desk, as_of=markets[0].as_of)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: mode != os.W_OK)

    def content():
        return {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}

    before = content()
    for verb in ("runs", "show one@", "report", "replay one@", "verify", "diff one@ one@"):
        assert main([*verb.split(), "--desk", str(desk.path)]) == 0, verb
    sha = shown(desk, "one@").row["sha256"]
    assert main(["approve", "one@", sha, "--as", "bob", "--desk", str(desk.path)]) == 5
    assert "readonly" in capsys.readouterr().err and content() == before
    assert night.results[0].lines


def test_what_is_committed_and_still_in_the_log_is_seen_where_nothing_may_be_written(tmp_path, monkeypatch):
    desk, markets, _ = coin_desk(tmp_path, 1)
    run_night(desk, as_of=markets[0].as_of)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO log (what, book, run, text) VALUES ('told', '', '', 'a word')")
        assert (tmp_path / "ledger.db-wal").stat().st_size
        monkeypatch.setattr(os, "access", lambda path, mode, **_: mode != os.W_OK)
        with database.open_ledger(desk.ledger).read() as connection:
            told = connection.exec_driver_sql("SELECT text FROM log WHERE what = 'told'").scalars().all()
    assert told == ["a word"]
