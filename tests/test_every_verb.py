"""Every verb on any width a terminal has: no number is split, nothing is lost. A new verb without a case here fails."""

import re
import shutil

import pytest
from typer.main import get_command

from optihedge import cli
from optihedge.cli.main import app_of, main
from optihedge.hedge.modelfile import model_text

WIDTHS = (60, 80, 120, 200)
WIDEST, DROPS = 400, 100  # characters: a page that holds everything; one from which columns may go, named
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
VOLATILE = re.compile(r"\d+(\.\d+)?( ms|s\b)")

# what is typed, in a copy of the places where the verb changes something; the last of several is looked at
CASES = {
    "approve": "approve one@2026-01-20 {sha256} --as ben --desk waiting/desk.toml",
    "backtest": "backtest delta_neutral --store nights/store --book nights/one.csv --out out",
    "check": "check beta_hedge --data data", "compare": "compare beta_hedge --data data",
    "demo": "demo --out out", "desk": "desk --data data --model beta_hedge --to mine",
    "diff": "diff one@2026-01-21 one@2026-01-22 --desk nights/desk.toml",
    "doctor": "doctor --data data --desk nights/desk.toml", "evaluate": "evaluate --data short",
    "explain": "explain beta_hedge --data data",
    "fills": "fills nights/fills.csv --reports nights/reports.csv --desk nights/desk.toml",
    "frontier": "frontier optimal_hedge --data data --values 0.5,1,2",
    "hold": "hold one@2026-01-20 {sha256} --why late --as ben --desk waiting/desk.toml",
    "import": "import deribit raw --to imported", "init": "init fresh",
    "liquidity": "liquidity beta_hedge --data data", "models": "models beta_hedge",
    "quote": "quote beta_hedge USMV 100 --data data",
    "schedule": "schedule beta_hedge --data data --slices 4 --to slices.csv",
    "monitor": "monitor beta_hedge --source deribit --stream raw --data market --once",
    "orders": "orders ran/2016-06-30T200000Z --data data --format fix --to orders.fix",
    "record": "record data --store kept",
    "replay": "replay one@2026-01-21 --desk nights/desk.toml", "report": "report --desk nights/desk.toml",
    "run": "run beta_hedge --data data --out out --as-of 2016-06-30T20:00:00Z", "runs": "runs --desk nights/desk.toml",
    "scenario": "scenario beta_hedge --data data",
    "send": "approve one@2026-01-20 {sha256} --as ben --desk waiting/desk.toml; "
            "send one@2026-01-20 --desk waiting/desk.toml",
    "serve": "serve --help",  # it stays until it is stopped: see test_what_if_page
    "show": "show one@2026-01-21 --desk nights/desk.toml", "slippage": "slippage --desk nights/desk.toml",
    "verify": "verify --desk nights/desk.toml",
}  # fmt: skip
CHANGES = {
    "approve",
    "backtest",
    "demo",
    "desk",
    "fills",
    "hold",
    "import",
    "init",
    "orders",
    "record",
    "run",
    "schedule",
    "send",
}
COPIED = {"import", "models"}  # what is to be copied, the next command and a model file, stands as it is
RECORDED = {"import", "monitor"}
QUICK = {"approve", "check", "desk", "fills", "init", "models", "report", "runs", "serve", "show"}


def test_every_verb_has_a_case() -> None:
    assert set(CASES) == set(get_command(app_of()).commands) == set(get_command(cli.app).commands)


@pytest.fixture(scope="module")
def places(example_folder, tmp_path_factory):
    """What the verbs look at: market folders, a run of one, a desk after three nights, one that waits for approval."""
    from desk_nights import DESK, desk_in, last_run, one_night
    from nights import coin_markets, path

    from optihedge.desk.night import run_night
    from optihedge.step.broker import AtQuote

    folder = tmp_path_factory.mktemp("verbs")
    markets = coin_markets(path(3))
    model = folder / "neutral.toml"
    model.write_text(model_text("delta_neutral"))
    desk, before = desk_in(folder / "nights", markets, {"C0": 10.0, "P1": -5.0}), None
    for market in markets:
        one_night(desk, market, None if before is None else AtQuote(), before)
        before = market
    waiting = desk_in(folder / "waiting", markets[:1], {"C0": 10.0},
                      text=DESK.replace('approval = "none"', 'approval = "another"'))  # fmt: skip
    run_night(waiting, as_of=markets[0].as_of, who="ann")
    shutil.copytree(example_folder, folder / "data")
    short = shutil.copytree(example_folder, folder / "short")
    (short / "history.csv").write_text("\n".join((short / "history.csv").read_text().splitlines()[:300]) + "\n")
    main(["run", "beta_hedge", "--data", str(folder / "data"), "--out", str(folder / "ran"), "--as-of",
          "2016-06-30T20:00:00Z"])  # fmt: skip
    return folder, last_run(waiting)["sha256"][:12]


@pytest.fixture(scope="module")
def recorded_places(recorded, places):
    from test_monitor import ACCOUNT, POSITIONS, write_deribit

    folder, sha256 = places
    source = recorded("deribit_btc_2026")
    write_deribit(source, folder / "raw", 3, POSITIONS, ACCOUNT)
    main(["import", "deribit", str(folder / "raw"), "--to", str(folder / "market")])
    return folder, sha256


@pytest.mark.parametrize("verb", [pytest.param(v, marks=() if v in QUICK else pytest.mark.slow) for v in CASES])
def test_a_verb_splits_no_number_and_loses_none(verb, request, tmp_path, monkeypatch, capsys):
    """Each width has every number of the widest page whole; from a hundred characters on columns may go if the page
    names them. Only a word that is wider than the page, a path, is broken."""
    folder, sha256 = request.getfixturevalue("recorded_places" if verb in RECORDED else "places")
    capsys.readouterr()
    pages = {}
    for width in (WIDEST, *WIDTHS):
        here = shutil.copytree(folder, tmp_path / f"at{width:03d}") if verb in CHANGES else folder
        monkeypatch.chdir(here)
        monkeypatch.setenv("COLUMNS", str(width))
        for call in CASES[verb].split("; "):
            capsys.readouterr()
            assert main(call.format(sha256=sha256).split()) in (0, 1), capsys.readouterr()
        pages[width] = "".join(capsys.readouterr())
    assert pages[WIDEST].strip()
    short = " ".join(word for word in pages[WIDEST].split() if len(word) < min(WIDTHS) - 8)
    whole = {n for n in NUMBER.findall(VOLATILE.sub("", short)) if len(n) > 4}
    for width in WIDTHS:
        wide = [line for line in pages[width].splitlines() if len(line.rstrip()) > width]
        if verb in COPIED:
            wide = [line for line in wide if line not in pages[WIDEST].splitlines()]
        assert all(max(map(len, line.split())) > width // 2 for line in wide), (width, wide)
        missing = {n for n in whole if n not in pages[width]}
        assert not missing or (width >= DROPS and "not shown on a page of" in pages[width]), (width, missing)


@pytest.mark.parametrize("verb", CASES)
def test_the_help_of_a_verb_names_every_option_whole_at_every_width(verb, monkeypatch, capsys):
    options = {
        name for one in get_command(app_of()).commands[verb].params for name in one.opts if name.startswith("--")
    }
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        assert main([verb, "--help"]) == 0
        page = capsys.readouterr().out
        assert all(len(line.rstrip()) <= max(width, 80) for line in page.splitlines())
        assert not [name for name in options if name not in page]
