"""A disk that is full, a database that is gone, a folder that cannot be written: named, and nothing lost or twice."""

import errno
import os
import shutil
import uuid

import postgres
import pytest
from desk_nights import DESK, last_run, one_night, told
from test_desk_nights import coin_desk

from optihedge.cli import main
from optihedge.desk import night as night_of
from optihedge.desk.ledger import database
from optihedge.desk.ledger.database import StorageError
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
