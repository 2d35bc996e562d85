"""On any width a terminal has, no number or name is broken and nothing that matters is lost."""

import re

import pandas as pd
import pytest

from optihedge.cli.main import main
from optihedge.cli.screen import console_of, grouped, print_table

WIDTHS = (60, 80, 120, 200)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
FRAME = pd.DataFrame(
    {
        "instrument": [f"BTC-27MAR26-{strike}-C" for strike in (90000, 100000)],
        "side": ["BUY", "SELL"], "quantity": ["12.5", "-1,234,567.8"], "venue": ["deribit", "deribit"],
        "limit_price": ["0.0515", "1,234.25"], "notional": ["1,234,567", "98,765,432.1"], "cost": ["12.5", "1,888.906"],
        "reason": ["a limit of the desk that was reached", "risk"], "unit": ["base currency", "base currency"],
    }
)  # fmt: skip


@pytest.mark.parametrize("width", range(40, 220, 9))
def test_a_table_breaks_no_word_and_loses_no_cell(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(console_of(), "trades", FRAME.columns, FRAME.to_numpy())
    text = capsys.readouterr().out
    assert all(len(line) <= width for line in text.splitlines())
    for cell in FRAME.to_numpy().ravel():
        assert all(word in text for word in cell.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", ["check", "explain", "compare", "scenario", "models"])
def test_every_verb_shows_the_same_numbers_at_every_width(verb, width, example_folder, monkeypatch, capsys):
    call = {"models": ["models"]}.get(verb, [verb, "beta_hedge", "--data", str(example_folder)])
    monkeypatch.setenv("COLUMNS", "400")
    assert main(call) in (0, 1)
    whole = re.sub(r"[ms\d.]+ ms", "", capsys.readouterr().out)
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(call) in (0, 1)
    page = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in page.splitlines()) <= max(width, 60)
    dropped = "not shown on a page" in page
    missing = {n for n in NUMBER.findall(whole) if len(n) > 4 and n not in page}
    assert not missing or dropped, missing


def test_a_wide_page_drops_the_columns_it_was_told_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "105")
    print_table(console_of(), "trades", FRAME.columns, FRAME.to_numpy(), drop=("unit", "notional"))
    text = capsys.readouterr().out
    assert "not shown on a page of 105 characters: " in text and "base currency" not in text and "12.5" in text


def test_notes_that_say_the_same_are_one():
    notes = [f"BTC-{k}-C limited to {k} contracts (1 x displayed size)" for k in range(28)]
    told = grouped([*notes, "no history of ETH", "X limited to 3 contracts (10% of daily volume)"])
    assert told == [
        "28 contracts limited by 1 x displayed size, BTC-0-C first",
        "no history of ETH",
        "X limited to 3 contracts (10% of daily volume)",
    ]


def test_a_verdict_has_its_colour_and_its_word(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    print_table(console_of(), "t", ("book", "status"), [("a", "held"), ("b", "done")])
    coloured = capsys.readouterr().out
    assert "\x1b[1;31mheld" in coloured and "\x1b[32mdone" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(console_of(), "t", ("book", "status"), [("a", "held")])
    assert "\x1b[1;31m" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def places(example_folder, tmp_path_factory):
    """What the verbs look at: a market folder, a run of it, a desk after three nights, and a store."""
    from desk_nights import desk_in, one_night
    from nights import coin_markets, path

    from optihedge.step.broker import AtQuote

    folder = tmp_path_factory.mktemp("terminal")
    markets = coin_markets(path(3))
    desk, before = desk_in(folder / "desk", markets, {"C0": 10.0, "P1": -5.0}), None
    for market in markets:
        one_night(desk, market, None if before is None else AtQuote(), before)
        before = market
    main(["run", "beta_hedge", "--data", str(example_folder), "--out", str(folder / "out"), "--as-of",
          "2016-06-30T20:00:00Z"])  # fmt: skip
    found = {"data": example_folder, "run": folder / "out" / "2016-06-30T200000Z", "out": folder / "again",
             "desk": desk.path, "store": desk.store, "book": folder / "desk" / "one.csv"}  # fmt: skip
    return {name: str(path) for name, path in found.items()}


LOOKING = {
    "runs": "runs --desk {desk}", "show": "show one@2026-01-21 --desk {desk}", "verify": "verify --desk {desk}",
    "diff": "diff one@2026-01-21 one@2026-01-22 --desk {desk}", "report": "report --desk {desk}",
    "replay": "replay one@2026-01-21 --desk {desk}", "doctor": "doctor --data {data}",
    "orders": "orders {run} --data {data}", "frontier": "frontier optimal_hedge --data {data} --values 0.5,1,2",
    "run": "run beta_hedge --data {data} --out {out} --as-of 2016-06-30T20:00:00Z",
    "backtest": "backtest delta_neutral --store {store} --book {book} --out {out}",
    "help": "--help", "help of run": "run --help", "help of serve": "serve --help",
}  # fmt: skip


QUICK = ("runs", "show", "report", "help of run")


@pytest.mark.parametrize("verb", [pytest.param(v, marks=() if v in QUICK else pytest.mark.slow) for v in LOOKING])
def test_verbs_of_nights_runs_and_helps_break_no_number(verb, places, monkeypatch, capsys):
    """At every width the page holds every number of the widest page whole, or says which columns it dropped; a word
    that is wider than the page (a path) cannot but be broken."""
    call = [part.format(**places) for part in LOOKING[verb].split()]
    pages = {}
    main(call)  # what is done once is done before
    capsys.readouterr()
    for width in (400, *WIDTHS):
        monkeypatch.setenv("COLUMNS", str(width))
        main(call)
        pages[width] = capsys.readouterr().out
    volatile = re.compile(r"\d+(\.\d+)?( ms|s\b)")
    short = " ".join(word for word in pages[400].split() if len(word) < min(WIDTHS) - 8)
    whole = {n for n in NUMBER.findall(volatile.sub("", short)) if len(n) > 4}
    for width in WIDTHS:
        wide = [line for line in pages[width].splitlines() if len(line.rstrip()) > width]
        assert all(max(map(len, line.split())) > width // 2 for line in wide), (
            "only one word that is not broken is wider"
        )
        missing = {n for n in whole if n not in pages[width]}
        assert not missing or "not shown on a page" in pages[width], (width, missing)


def test_no_word_of_a_help_is_lost_to_marks_of_style(monkeypatch, capsys):
    """What stands in brackets is text, but for the marks that we use ourselves."""
    from typer.main import get_command

    from optihedge.cli.main import app

    monkeypatch.setenv("COLUMNS", "400")
    for name, verb in get_command(app).commands.items():
        main([name, "--help"])
        page = "".join(capsys.readouterr().out.split())
        texts = [verb.epilog or "", *(getattr(one, "help", None) or "" for one in verb.params)]
        words = {
            word for text in texts for word in re.sub(r"\\\[|\[/?bold\]", lambda m: "[" * (m[0] == "\\["), text).split()
        }
        assert not {word for word in words if word not in page}, name
