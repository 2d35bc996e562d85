"""The what-if page gives what the same Python calls give, to this machine alone, and writes nothing."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from optihedge.desk.what_if import Question, answered, parts
from optihedge.hedge.changes import numbers_of
from optihedge.hedge.modelfile import load_model, model_names, model_text
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.trades.tradelist import trade_list


@pytest.fixture(scope="module")
def desk(example_folder):
    return read_market(example_folder), read_book(example_folder / "book.csv")


@pytest.mark.parametrize("name", model_names())
def test_every_number_that_the_page_offers_can_be_moved(name):
    for key, value in numbers_of(model_text(name)).items():
        other = 2.0 if key == "ImpactCost.power" else value * 0.75 if isinstance(value, float) else value + 1
        moved = load_model(name, changes=[f"{key}={other!r}"])
        assert moved.fingerprint != load_model(name).fingerprint, key
        assert load_model(name, changes=[f"{key}={value!r}"]).fingerprint == load_model(name).fingerprint


def test_an_answer_is_the_list_of_the_changed_model(desk):
    market, book = desk
    question = Question("optimal_hedge", ("Volatility.sharpe=4",), ("USMV",))
    listed, figures, why = answered(market, book, question)
    assert listed is not None and not why
    assert "USMV" not in set(listed.proposed["instrument"])
    assert "USMV" in set(trade_list(load_model("optimal_hedge").hedge(market, book)).proposed["instrument"])
    assert figures.loc["cost to trade", "what if"] == listed.hedge.costs["trading"]
    assert listed.text() == trade_list(question.asked().hedge(market, book)).text()


def test_what_has_no_list_says_why(desk):
    market, book = desk
    (told,) = parts(market, book, Question("optimal_hedge", ("Volatility.sharpe=-1",)))
    assert "No list" in told and "sharpe" in told


@pytest.mark.parametrize("name", ["optimal_hedge", "beta_hedge"])
def test_no_column_of_an_answer_is_empty(desk, name):
    market, book = desk
    for text in parts(market, book, Question(name))[1:]:
        head, *rows = re.findall(r"<tr>.*?</tr>", text, re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
        titles = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", head, re.DOTALL)
        said = [
            any(cell.strip() not in ("", "nan", "inf", "-inf") for cell in column)
            for column in zip(*cells, strict=True)
        ]
        assert len(rows) and all(said) and len(said) == len(titles), (titles, said)


def test_moving_a_widget_moves_the_answer(desk):
    pytest.importorskip("panel")
    from optihedge.desk.what_if import page

    market, book = desk
    layout = page(market, {"book": book}, ("optimal_hedge", "beta_hedge"))
    widgets, shown = layout[1]
    model, _, excluded, numbers = widgets
    before = "".join(pane.object for pane in shown)
    sharpe = next(w for w in numbers if w.label == "Volatility.sharpe")
    sharpe.value = 4.0
    after = "".join(pane.object for pane in shown)
    assert before != after and "Volatility.sharpe=4.0" in after
    sharpe.value = 1.0
    assert "".join(pane.object for pane in shown) == before
    excluded.value = ["USMV"]
    assert "USMV" not in shown[2].object
    model.value = "beta_hedge"
    assert excluded.value == [] and "Volatility.sharpe" not in [w.label for w in numbers]


@contextmanager
def served(arguments: list[str], folder: Path | None = None) -> Iterator[str]:
    """The address of a page that is served as long as this lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "optihedge", "serve", *arguments, "--no-open", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


def test_the_page_is_served_to_this_machine_alone_and_writes_nothing(example_folder, tmp_path):
    pytest.importorskip("panel")
    with served(["--data", str(example_folder), "beta_hedge"], tmp_path) as address:
        assert "what if" in urllib.request.urlopen(address, timeout=30).read().decode()
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass
    assert list(Path(tmp_path).iterdir()) == []


def _wait_for(address: str, process: subprocess.Popen) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.2)
    raise AssertionError(f"{address} does not answer")


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """A desk that wants another's approval, after one night run by ann."""
    from desk_nights import DESK, desk_in
    from nights import coin_markets, path

    from optihedge.desk.night import run_night

    folder = tmp_path_factory.mktemp("serve")
    markets = coin_markets(path(1))
    text = DESK.replace('approval = "none"', 'approval = "another"')
    desk = desk_in(folder, markets, {"C0": 10.0}, text=text)
    run_night(desk, as_of=markets[0].as_of, who="ann")
    return desk


def test_a_list_is_approved_on_the_page_by_another_name_and_the_ledger_says_who(nights):
    pn = pytest.importorskip("panel")
    from desk_nights import last_run

    from optihedge.desk.looking import shown
    from optihedge.desk.past_page import of_desk, past_panel

    (silent,) = of_desk(nights)
    assert silent.judge is None and "<strong>SEND</strong>" in silent.page()
    buttons = past_panel(pn, [silent])[0]
    assert not buttons[1].visible and not buttons[2].visible, "without leave there is nothing to press"
    refused = past_panel(pn, of_desk(nights, "ann"))
    refused[0][1].clicks += 1
    assert "ann ran" in refused[1].object and last_run(nights)["list"] == "made"
    layout = past_panel(pn, of_desk(nights, "ben"))
    layout[0][1].clicks += 1
    assert "approved by ben" in layout[1].object and last_run(nights)["list"] == "approved"
    assert "ben" in set(shown(nights, last_run(nights)["id"]).log["text"])
    layout[0][2].clicks += 1
    assert "held back by ben" in layout[1].object and last_run(nights)["list"] == "vetoed"


def test_the_runs_of_a_folder_are_shown_each_with_its_own_page(tmp_path):
    pn = pytest.importorskip("panel")
    from optihedge.desk.past_page import of_folder, past_panel

    for instant in ("2026-01-20T160000Z", "2026-01-21T160000Z"):
        place = tmp_path / instant / "book" / "model"
        place.mkdir(parents=True)
        (place / "report.html").write_text(f"<p>page of {instant} \" ' & é</p>", encoding="utf-8")
    layout = past_panel(pn, of_folder(tmp_path))
    assert [label[:10] for label in layout[0][0].options] == ["2026-01-21", "2026-01-20"]
    assert "page of 2026-01-21T160000Z &quot; &#x27; &amp; é" in layout[2].object, "escaped inside its frame"
    layout[0][0].value = layout[0][0].options[1]
    assert "page of 2026-01-20T160000Z" in layout[2].object and "sandbox='allow-scripts'" in layout[2].object
    assert "There are no runs yet." in past_panel(pn, [])[2].object
