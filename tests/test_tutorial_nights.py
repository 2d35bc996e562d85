"""The tutorial of the nights can be typed as it stands; the examples of a timer are what systemd reads."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from optihedge.cli import main
from optihedge.desk.deskfile import read_desk

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def installed(folder: Path) -> Path:
    """A folder of programs that has optihedge, whatever the environment of who calls it."""
    shim = folder / "optihedge"
    folder.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={DOCS.parent} exec {sys.executable} -m optihedge "$@"\n')
    shim.chmod(0o755)
    return shim


def brought_to_now(folder: Path) -> None:
    """All dates of a market folder moved by so many days that its night is of the last day."""
    days = (pd.Timestamp.now("UTC") - pd.Timestamp("2016-06-30T20:00Z")).days
    move = lambda found: (pd.Timestamp(found[0]) + pd.Timedelta(days=days)).strftime("%Y-%m-%d")  # noqa: E731
    for path in (*folder.glob("*.csv"), folder / "market.toml"):
        path.write_text(re.sub(r"\b20\d\d-\d\d-\d\d", move, path.read_text()))


@pytest.mark.slow
def test_the_crontab_of_the_page_runs_a_night_in_crons_bare_environment(example_folder, tmp_path):
    """The script as it stands but for its import, whose raw messages are not here."""
    (crontab,) = blocks("howto/desk.md", "text")
    setting, line = crontab.replace("/srv/desk", str(tmp_path)).strip().splitlines()
    schedule, command = re.fullmatch(r"((?:[\d*,/-]+ ){4}[\d*,/-]+)\s+(.*)", line).groups()
    assert len(schedule.split()) == 5 and setting.startswith("PATH=")
    script = next(text for text in blocks("howto/desk.md", "sh") if "nightly.sh" in text)
    (tmp_path / "nightly.sh").write_text("".join(x + "\n" for x in script.splitlines() if "optihedge import" not in x))
    (tmp_path / "nightly.sh").chmod(0o755)
    installed(tmp_path / "venv" / "bin")
    shutil.copytree(example_folder, tmp_path / "today")
    brought_to_now(tmp_path / "today")
    assert main(["desk", "--data", str(tmp_path / "today"), "--model", "beta_hedge", "--to", str(tmp_path)]) == 0
    bare = ["env", "-i", f"HOME={tmp_path}", "LOGNAME=desk", "SHELL=/bin/sh", setting, "/bin/sh", "-c", command]
    done = subprocess.run(bare, capture_output=True, text=True, cwd="/")
    said = (tmp_path / "night.log").read_text()
    assert done.returncode == 0 and not done.stdout and not done.stderr, said
    told = [json.loads(text) for text in said.splitlines() if text.startswith("{")]
    assert told[-1]["book"] == "book" and told[-1]["status"] == "first", said
    assert len(list((tmp_path / "out").glob("*/book/*/manifest.json"))) == 1


@pytest.mark.slow
def test_every_line_of_the_tutorial_runs(tmp_path):
    shim = installed(tmp_path / "bin")
    path = f"{shim.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = "set -eux\n" + "\n".join(blocks("tutorials/nights.md", "sh"))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PATH": path, "COLUMNS": "200"})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "the same bytes" in said and "all agrees" in said and "approved by bob" in said
    assert re.search(r"[1-9]\d* fills new, 0 known", said) and re.search(r"0 fills new, [1-9]", said)
    assert len(list((tmp_path / "outbox").glob("*/*.csv"))) == 1


def test_a_desk_file_is_written_once_for_a_folder_and_read_back(example_folder, tmp_path, capsys):
    data = tmp_path / "today"
    shutil.copytree(example_folder, data)
    assert main(["desk", "--data", str(data), "--model", "beta_hedge", "--to", str(tmp_path)]) == 0
    desk = read_desk(tmp_path / "desk.toml")
    assert desk.folder == data and list(desk.books) == ["book"] and desk.books["book"].positions == data / "book.csv"
    assert main(["desk", "--data", str(data), "--model", "beta_hedge", "--to", str(tmp_path)]) == 3
    assert "there already" in capsys.readouterr().err


def test_the_desk_file_of_the_page_is_one(tmp_path):
    (text,) = blocks("howto/desk.md", "toml")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "trial.toml").write_text('description = "x"\nobjective = [{type = "SpreadCost"}]\n')
    (tmp_path / "desk.toml").write_text(text)
    desk = read_desk(tmp_path / "desk.toml")
    assert desk.approvers == ("bob", "cy") and desk.books["carry"].challengers == ("trial",)
    assert pd.Timedelta(desk.deadline, "s") == pd.Timedelta("5min")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_reads_the_examples(tmp_path):
    service, timer = blocks("howto/desk.md", "ini")
    (tmp_path / "desk.service").write_text(service.replace("User=desk\n", "").replace("/srv/desk", "/tmp"))
    (tmp_path / "desk.timer").write_text(timer)
    for name in ("desk.service", "desk.timer"):
        done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True)
        mine = [line for line in done.stderr.splitlines() if str(tmp_path) in line or name in line]
        assert not mine and done.returncode == 0, done.stderr
