"""What a desk's verbs print as next can be typed as it stands, and takes the list on its way."""

import json
import re
import shlex

import numpy as np
import pytest
from desk_nights import DESK, desk_in, told, write_book
from nights import coin_markets, path
from test_desk_nights import MODEL, coin_desk

from optihedge.cli.main import main
from optihedge.desk import replay as replaying
from optihedge.desk.looking import nights_table
from optihedge.desk.night import run_night, versions
from optihedge.desk.outbox import send
from optihedge.step.broker import AtQuote, Partial

FIRST, SECOND = "2026-01-20T12:00", "2026-01-21T12:00"


def typed(words: str, capsys) -> tuple[int, str]:
    """The exit code and the page of a command as it would be typed."""
    capsys.readouterr()
    code = main(shlex.split(words)[1:])
    return code, " ".join(capsys.readouterr().out.split())


def next_of(page: str) -> str:
    """The last command that a page says comes next."""
    return re.findall(r"optihedge (?:show|approve|send|fills) .*?(?=, then|$)", page.rpartition("next: ")[2])[-1]


@pytest.mark.parametrize("approval", ["another", "none"])
@pytest.mark.parametrize("name", ["desk.toml", "my desk.toml"])
def test_from_the_night_to_the_outbox_every_command_is_the_one_that_was_printed(
    approval, name, tmp_path, monkeypatch, capsys
):
    desk, *_ = coin_desk(tmp_path, 1, DESK.replace('"none"', f'"{approval}"'))
    desk.path.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    more = "" if name == "desk.toml" else f" --desk {shlex.quote(name)}"
    code, page = typed(f"optihedge run --desk {shlex.quote(name)} --as-of {FIRST}:00Z --as ann", capsys)
    assert code == 0 and f"1 list waits: optihedge show one@{FIRST}{more}, then" in page and " bug " not in page
    command = next_of(page)
    if approval == "another":
        assert command.endswith(f"--as ANOTHER{more}") and command.startswith("optihedge approve ")
        assert next_of(typed(f"optihedge show one@{more}", capsys)[1]) == command
        assert typed(command, capsys)[0] == 0
    code, page = typed(f"optihedge show one@{more}", capsys)
    command = next_of(page)
    assert command == f"optihedge send one@{FIRST}{more}" and typed(command, capsys)[0] == 0
    code, page = typed(f"optihedge show one@{more}", capsys)
    assert next_of(page) == f"optihedge fills FILE --reports FILE{more}"


def test_a_blocked_book_and_a_broken_one_are_told_apart_in_what_comes_next(tmp_path, monkeypatch, capsys):
    text = DESK + '[books.two]\nmodel = "neutral"\npositions = "two.csv"\n'
    write_book(tmp_path / "two.csv", {"NOTHING": 1.0})
    desk, *_ = coin_desk(tmp_path, 2, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    typed(f"optihedge run --desk desk.toml --as-of {FIRST}:00Z", capsys)
    send(desk, f"one@{FIRST}")
    code, page = typed(f"optihedge run --desk desk.toml --as-of {SECOND}:00Z", capsys)
    assert code == 1 and "one blocked: say what became of the orders (optihedge fills FILE --reports FILE)" in page
    assert "two without a list: mend what is said of each, then run again" in page


def test_a_challengers_list_is_shown_and_why_it_cannot_be_sent(tmp_path, monkeypatch, capsys):
    text = DESK.replace('positions = "one.csv"', 'positions = "one.csv"\nchallengers = ["other"]')
    desk, *_ = coin_desk(tmp_path, 1, text.replace("[models]", '[models]\nother = "model.toml"'))
    challenger, champion = run_night(desk, as_of=f"{FIRST}:00Z").results
    assert challenger.lines == champion.lines > 0
    monkeypatch.chdir(tmp_path)
    code, page = typed(f"optihedge show {challenger.run}", capsys)
    assert code == 0 and "it never leaves" in page and "PERP" in page and "next:" not in page


@pytest.mark.parametrize(
    ("broker", "sent", "held"),
    [(AtQuote(), True, "volatility_after"), (Partial(0.5), True, None), (None, False, "volatility_before")],
    ids=["filled whole", "filled in part", "never sent"],
)
def test_a_night_is_held_to_the_forecast_of_what_the_book_then_held(broker, sent, held, tmp_path):
    markets = coin_markets(path(22))[-2:]
    (tmp_path / "model.toml").write_text(MODEL + 'risk = {type = "EwmaRisk", halflife = 10}\n')
    desk = desk_in(tmp_path, markets, {"C1": 4.0, "PERP": 500.0}, model="model.toml")
    run_night(desk, as_of=markets[0].as_of)
    if sent:
        send(desk, "one@")
        told(desk, broker, *markets)
    run_night(desk, as_of=markets[1].as_of)
    (folder,) = (tmp_path / "out").glob("2026-02-09*")
    figures = json.loads((folder / "one" / "neutral" / "result.json").read_text())
    night = nights_table(desk).nights.iloc[1]
    (second,) = (tmp_path / "out").glob("2026-02-10*/one/neutral/night.json")
    realised = json.loads(second.read_text())["realised"]
    assert figures["volatility_before"] > 1.5 * figures["volatility_after"] > 0
    expected = np.nan if held is None else realised / figures[held]
    assert night["over forecast"] == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_the_page_and_the_metrics_of_a_night_keep_the_books_that_were_not_run_again(tmp_path):
    text = DESK.replace("[send]", '[run]\nmetrics = "desk.prom"\n[send]') + '\nchallengers = ["other"]\n'
    write_book(tmp_path / "three.csv", {"NOTHING": 1.0})
    text = text.replace("[models]", '[models]\nother = "model.toml"')
    for name, place in (("two", "one.csv"), ("three", "three.csv")):
        text += f'[books.{name}]\nmodel = "neutral"\npositions = "{place}"\n'
    desk, *_ = coin_desk(tmp_path, 1, text)

    def night(*more):
        code = main(["run", "--desk", str(desk.path), "--as-of", f"{FIRST}:00Z", "--as", "ann", *more])
        (page,) = (tmp_path / "out").glob("*/index.html")
        rows = re.findall(r"<tr>.*?</tr>", page.read_text(), re.S)
        table = [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)).split() for row in rows]
        books = [line for line in (tmp_path / "desk.prom").read_text().splitlines() if "optihedge_books{" in line]
        return code, {(row[0], row[1]): row[2:4] for row in table if row[0] in ("one", "two", "three")}, books

    whole = night()
    again = night("--book", "two")
    assert whole[0] == 1 and again[0] == 0  # of the book that was asked for
    assert {key for key in whole[1]} == {("one", "other"), ("one", "neutral"), ("two", "neutral"), ("three", "neutral")}
    assert again[1] == whole[1] and whole[1]["three", "neutral"][0] == "FAILED"  # refused: the ledger has its reason
    assert {'optihedge_books{status="first"} 2', 'optihedge_books{status="failed"} 1'} <= {*again[2]} == {*whole[2]}


def test_a_replay_by_other_code_or_libraries_says_which(tmp_path, monkeypatch, capsys):
    desk, markets, _ = coin_desk(tmp_path, 1)
    run_night(desk, as_of=markets[0].as_of)
    words = f"optihedge replay one@ --desk {shlex.quote(str(desk.path))}"
    assert "not those of the run" not in typed(words, capsys)[1]
    now = json.loads(versions())
    assert len(now["code"]) == 12
    monkeypatch.setattr(replaying, "versions", lambda: json.dumps(now | {"code": "another", "numpy": "0"}))
    code, page = typed(words, capsys)
    told = f"not those of the run: code ({now['code']}, now another), numpy ({now['numpy']}, now 0);"
    assert code == 0 and told in " ".join(page.split()) and "the same bytes" in page
