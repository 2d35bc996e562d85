"""Walks over a store's past: the backtest's own bytes, each done once, in any number of workers; a failure is named."""

import json

import numpy as np
import pandas as pd
import pytest
from test_desk_nights import BOOK, MODEL, coin_desk
from test_since import tables

from optihedge.backtest.simulate import run_backtest
from optihedge.batch.stop import Stop, Stopped
from optihedge.cli import main
from optihedge.desk.walkpage import walk_page
from optihedge.desk.walks import walk_all, walks_of
from optihedge.errors import DataError, SpecError
from optihedge.example import write_example
from optihedge.hedge.modelfile import load_model, parse_model
from optihedge.market.folder import read_market
from optihedge.market.moved import moved
from optihedge.market.panel import Panel
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store
from optihedge.step.broker import Delayed

ALWAYS = {"": {"type": "Always"}}


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A store of three markets with fundings, and the folder it is in."""
    desk, markets, events = coin_desk(tmp_path_factory.mktemp("past"), 3)
    return open_store(desk.store), markets, events, desk


def test_a_walk_is_the_backtest_of_the_stores_markets(past, tmp_path):
    store, markets, events, _ = past
    model = parse_model(MODEL, name="own")
    (walk,) = walks_of(store, {"one": BOOK}, {"own": model}, ALWAYS, broker="delayed")
    table = walk_all([walk], store, tmp_path)
    expected = run_backtest(model, markets, BOOK, events=events, broker=Delayed(), name="one")
    steps = pd.read_csv(tmp_path / "one" / "own" / "steps.csv")
    assert steps["state"].tolist() == expected.steps["state"].tolist()
    assert table["P&L"].iloc[0] == float(expected.summary.loc["this", "P&L"])
    page = (tmp_path / "one" / "own" / "report.html").read_text()
    assert "<svg" in page and "funding" in page and "http" not in page.replace("http://www.w3.org", "")


def test_a_walks_page_tells_alpha_with_its_error_and_gamma_against_theta(tmp_path):
    whole = read_market(write_example(tmp_path / "example"))
    listed = whole.instruments.query("underlying == 'SPX'").drop(columns="accrual_start")
    days = [Market(listed.reset_index(), whole.quotes.loc[listed.index].reset_index(), "USD", as_of=whole.as_of,
                   drivers=pd.DataFrame({"driver": ["SPX"], "currency": ["USD"], "market": True}))]  # fmt: skip
    for move in (0.01, -0.015, 0.02, -0.005):
        days.append(moved(days[-1], {"spot": move, "days": 1.0}))
    model = parse_model(MODEL.replace("2000", "200000").replace('"PERP", "LIN"', '"ES-SEP16"'), name="own")
    done = run_backtest(model, days, {"SPX-SEP16-2100-C": 50.0})
    assert done.gamma_scalping["realised"].sum() > 0 > done.gamma_scalping["implied"].sum()
    told = tables(walk_page(done, title="one", policy=ALWAYS[""], broker="quote"))
    for name, value in done.gamma_scalping.sum().items():
        assert told["gamma of the walk"][name].iloc[0] == pytest.approx(value, rel=1e-4)
    for name, value in done.alpha.items():
        assert told["alpha per period"][name].iloc[0] == pytest.approx(value, rel=1e-4)
    left, delta = told["exposure"], done.greeks["delta"]
    assert left.at["delta", "book"] == pytest.approx(np.sqrt((delta.xs("book", level=1) ** 2).mean()), rel=1e-4)
    assert left.at["delta", "hedged"] == pytest.approx(np.sqrt((delta.groupby("time").sum() ** 2).mean()), rel=1e-4)


def test_a_sweep_that_was_stopped_goes_on_and_what_is_done_is_not_done_again(past, tmp_path):
    store = past[0]
    models = {"own": parse_model(MODEL, name="own"), "wide": parse_model(MODEL.replace("2000", "20000"), name="wide")}
    walks = list(walks_of(store, {"one": BOOK}, models, ALWAYS))

    class Once(Stop):
        def __init__(self):
            super().__init__()
            self.left = 1

        def interruptible(self):
            self.left -= 1
            self._number = 0 if self.left >= 0 else 15
            return super().interruptible()

    told = []
    with pytest.raises(Stopped):
        walk_all(walks, store, tmp_path, stop=Once(), each=lambda walk, fresh: told.append((walk.label, fresh)))
    assert told == [("own", True)]
    bytes_before = (tmp_path / "one" / "own" / "steps.csv").read_bytes()
    table = walk_all(walks, store, tmp_path, each=lambda walk, fresh: told.append((walk.label, fresh)))
    assert told[1:] == [("own", False), ("wide", True)] and list(table["status"]) == ["done", "done"]
    assert (tmp_path / "one" / "own" / "steps.csv").read_bytes() == bytes_before
    changed = list(walks_of(store, {"one": BOOK | {"C0": -4.0}}, {"own": models["own"]}, ALWAYS))
    assert changed[0].id != walks[0].id


@pytest.mark.slow
def test_workers_change_no_byte(past, tmp_path):
    store, models = past[0], {"own": parse_model(MODEL, name="own")}
    policies = {"always": {"type": "Always"}, "clock": {"type": "Clock", "every": "2d"}}
    walks = list(walks_of(store, {"one": BOOK}, models, policies))
    for workers in (1, 2):
        walk_all(walks, store, tmp_path / str(workers), workers=workers)
    one, two = ({p.relative_to(tmp_path / w): p.read_bytes() for p in (tmp_path / w).rglob("*") if p.is_file()}
                for w in ("1", "2"))  # fmt: skip
    assert one == two and len(one) > 10


def test_a_walk_that_fails_is_named_and_tried_again(past, tmp_path):
    store = past[0]
    walks = list(walks_of(store, {"one": {"NOTHING": 1.0}}, {"own": parse_model(MODEL, name="own")}, ALWAYS))
    for _ in range(2):
        told = []
        table = walk_all(walks, store, tmp_path, each=lambda walk, fresh: told.append(fresh))  # noqa: B023
        assert told == [True] and table["status"].iloc[0] == "failed" and "NOTHING" in table["why"].iloc[0]


def test_what_cannot_be_walked_is_refused(past, tmp_path):
    store, model = past[0], parse_model(MODEL, name="own")
    with pytest.raises(DataError, match="needs two"):
        list(walks_of(store, {"one": BOOK}, {"own": model}, ALWAYS, since="2026-01-22"))
    with pytest.raises(SpecError, match="did you mean delayed"):
        list(walks_of(store, {"one": BOOK}, {"own": model}, ALWAYS, broker="delay"))
    with pytest.raises(SpecError, match="names of their own"):
        walk_all([*walks_of(store, {"one": BOOK}, {"own": model}, ALWAYS)] * 2, store, tmp_path)


def test_the_verb_walks_a_desk_and_values_of_a_model(past, tmp_path, capsys):
    home = past[3].path.parent
    assert main(["backtest", "--desk", str(home / "desk.toml"), "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "one" / "neutral" / "summary.json").read_text())
    assert summary["status"] == "done" and summary["steps"] == 3
    arguments = ["backtest", str(home / "model.toml"), "--store", str(home / "store"), "--book", str(home / "one.csv"),
                 "--vary", "Neutral.band=2000,1e9", "--to", "2026-01-21", "--out", str(tmp_path)]  # fmt: skip
    assert main(arguments) == 0
    table = pd.read_csv(tmp_path / "summary.csv").set_index("walk")
    assert table.loc["Neutral.band=1e9", "lists"] == 0 < table.loc["Neutral.band=2000", "lists"]
    capsys.readouterr()
    assert main(arguments) == 0 and capsys.readouterr().out.count("done before") == 2
    assert main(["backtest", "--out", str(tmp_path)]) == 2


def test_a_folder_of_shares_is_walked_by_its_own_history(tmp_path, capsys):
    """The verb's walk is the backtest over the panel of the folder; what has no past price there is named."""
    folder = write_example(tmp_path / "today")
    (tmp_path / "shares.csv").write_text("instrument,quantity\nAAPL,5000\nJPM,8000\n")
    asked = ["backtest", "beta_hedge", "--data", str(folder), "--out", str(tmp_path / "out"), "--from", "2016-05-15"]
    assert main([*asked, "--book", str(tmp_path / "shares.csv")]) == 0
    panel = Panel.of(read_market(folder))
    markets = [panel.at(time) for time in panel.times[::-1][::5][::-1] if time > pd.Timestamp("2016-05-15", tz="UTC")]
    expected = run_backtest(load_model("beta_hedge"), markets, {"AAPL": 5000.0, "JPM": 8000.0}, name="shares")
    steps = pd.read_csv(tmp_path / "out" / "shares" / "beta_hedge" / "steps.csv")
    assert steps["state"].tolist() == expected.steps["state"].tolist() and len(steps) == len(markets) > 4
    capsys.readouterr()
    assert main([*asked, "--book", str(tmp_path / "shares.csv")]) == 0 and "done before" in capsys.readouterr().out
    assert main(asked) == 3 and "has no past price in the history" in capsys.readouterr().err
    assert main([*asked, "--rows", "503"]) == 3
