"""The doctor of a desk: its file, ledger, folders and disk are looked at, and each fault has its remedy."""

import shutil
from collections import namedtuple

import pytest
from test_desk_nights import coin_desk, one_night

from optihedge.desk.checkup.findings import Findings
from optihedge.desk.checkup.machine import check_desk
from optihedge.desk.doctor import doctor
from optihedge.step.broker import AtQuote


@pytest.fixture
def desk(tmp_path):
    desk, markets, _ = coin_desk(tmp_path / "desk", 2)
    one_night(desk, markets[0], AtQuote(), None)
    return desk


def told(desk) -> list[tuple[str, str]]:
    found = Findings()
    check_desk(desk.path, found)
    return [(row.file, f"{row.problem}; {row.remedy}") for row in found.table().itertuples()]


def test_a_desk_that_is_well_is_silent(desk):
    assert told(desk) == []


def test_a_halt_a_torn_ledger_and_a_folder_that_is_a_file_are_named(desk):
    desk.halt.write_text("stop")
    assert told(desk) == [(desk.halt.name, "the desk is halted, no list leaves; remove the file when the halt is over")]
    desk.halt.unlink()
    shutil.rmtree(desk.outbox, ignore_errors=True)
    desk.outbox.write_text("no folder")
    assert any(file == "outbox" and "cannot be written" in text for file, text in told(desk))
    desk.outbox.unlink()
    (desk.path.parent / "ledger.db").write_text("torn")
    assert any("ledger" in file for file, _ in told(desk))


def test_a_disk_that_is_nearly_full_is_named_before_the_night(desk, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40 - 2**20, 2**20))
    assert {file for file, text in told(desk) if "1 MiB are free" in text} == {"out", "outbox", "store"}


def test_every_mistake_of_a_desk_file_is_a_finding_of_the_night(desk, example_folder):
    desk.path.write_text("base_currency = 1\n")
    findings = doctor(example_folder, desk=desk.path).findings
    assert (findings["file"] == "desk.toml").sum() >= 2
