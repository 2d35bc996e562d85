"""The what-if page gives what the same Python calls give, to this machine alone, and writes nothing."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from optihedge.desk.what_if import Question, answered, parts
from optihedge.hedge.changes import numbers_of
from optihedge.hedge.modelfile import load_model, model_names, model_text
from optihedge.market.book import read_book
from optihedge.market.snapshot import read_market
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


def test_the_page_is_served_to_this_machine_alone_and_writes_nothing(example_folder, tmp_path):
    pytest.importorskip("panel")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "optihedge", "serve", "--data", str(example_folder), "beta_hedge", "--no-open",
               "--port", str(port)]  # fmt: skip
    served = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = _wait_for(f"http://127.0.0.1:{port}/", served)
        assert "what if" in page
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=2):
            pass
    finally:
        served.terminate()
        served.wait(30)
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
