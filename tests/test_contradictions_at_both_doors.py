"""Every kind of contradiction of a folder is named by `check` and by `run`; severe ones hold the list by default."""

import numpy as np
import pandas as pd
import pytest

from optihedge.cli import main
from optihedge.market.pricing import black

ROWS = 220
DAYS = pd.date_range(end="2026-03-17", periods=ROWS, freq="B")
AS_OF = pd.Timestamp("2026-03-17T21:00:00Z")
EXPIRY = AS_OF + pd.Timedelta("75D")
MODEL = """
description = "risk against cost"
[risk]
type = "EwmaRisk"
[[objective]]
type = "Variance"
relative = 300
[[objective]]
type = "SpreadCost"
[[objective]]
type = "FeeCost"
"""


def tables():
    """Stocks, an index to hedge with, a coin with its perpetual, a dated future, a chain; all of it fair."""
    rng = np.random.default_rng(11)
    market = rng.normal(0, 0.011, ROWS)
    own = [beta * market + rng.normal(0, 0.009, ROWS) for beta in (0.7, 1.1, 1.3, 0.5)]
    moves = np.column_stack([*own, market, rng.normal(0, 0.03, ROWS), rng.normal(0, 0.02, ROWS)])
    history = pd.DataFrame(np.exp(np.cumsum(moves, axis=0)), DAYS, ["A", "B", "S", "D", "MKT", "X", "W"])
    history *= np.array([37.0, 212.0, 140.0, 61.0, 5100.0, 3300.0, 24.0]) / history.iloc[-1].to_numpy()
    options = [(f"S-{right}{k}", float(k), right) for right in "CP" for k in (126, 133, 140, 147, 154)]
    worth = [float(black(140.3, k, 75 / 365, 0.27, 1.0 if right == "C" else -1.0)) for _, k, right in options]
    plain = ["A", "B", "D", "MKT", "S", "XS", "XP", "WF"]
    names = [*plain, *(name for name, *_ in options)]
    instruments = pd.DataFrame({
        "type": ["equity"] * 5 + ["spot", "perpetual", "future"] + ["option"] * 10,
        "underlying": ["A", "B", "D", "MKT", "S", "X", "X", "W"] + ["S"] * 10,
        "multiplier": [1.0] * 7 + [1000.0] + [100.0] * 10, "expiry": [""] * 7 + [str(EXPIRY)] * 11,
        "strike": [np.nan] * 8 + [k for _, k, _ in options], "right": [""] * 8 + [right for *_, right in options],
        "exercise": [""] * 8 + ["european"] * 10, "fee": 0.0004, "hedge": [name == "MKT" for name in names],
        "open_interest": [np.nan] * 6 + [9e4, np.nan] + [4000.0] * 10, "currency": "USD",
    }, index=pd.Index(names, name="instrument"))  # fmt: skip
    mid = np.array([37.0, 212.0, 61.0, 5100.0, 140.0, 3300.0, 3302.0, 24.1, *worth])
    half = np.maximum(4e-4 * mid, 0.01)
    quotes = pd.DataFrame({
        "bid": mid - half, "ask": mid + half, "volume": 2e5, "underlying_price": [np.nan] * 8 + [140.3] * 10,
        "funding_rate": [1e-4 if name == "XP" else np.nan for name in names],
        "funding_hours": [8.0 if name == "XP" else np.nan for name in names],
    }, index=instruments.index)  # fmt: skip
    drivers = pd.DataFrame({"market": history.columns == "MKT", "known_at": ""}, index=history.columns)
    held = {"A": 9000.0, "B": 1500, "D": 4000, "S": 2500, "XP": 8, "WF": 6, "S-C147": -20, "S-P133": 15}
    book = pd.Series(held, name="quantity").rename_axis("instrument").to_frame()
    return {"instruments": instruments, "quotes": quotes, "drivers": drivers.rename_axis("driver"),
            "history": history.rename_axis("time"), "book": book}  # fmt: skip


def both_sides(name, factor):
    def change(t):
        t["quotes"].loc[name, ["bid", "ask"]] *= factor

    return change


def cell(table, row, column, value):
    def change(t):
        t[table].loc[row, column] = value

    return change


def relabelled(name, factor):
    """A share called otherwise tonight, its history still under the old name, and its quote in another unit."""

    def change(t):
        both_sides(name, factor)(t)
        for table in ("instruments", "quotes", "book"):
            t[table] = t[table].rename(index={name: f"{name} LN"})

    return change


def options(column, value):
    def change(t):
        t["quotes"].loc[t["quotes"].index.str.startswith("S-"), column] = value

    return change


def dear_call(t):
    t["quotes"].loc["S-C147", ["bid", "ask"]] = t["quotes"].loc["S-C133", ["bid", "ask"]].to_numpy() + 2.0


def apart(rows):
    def change(t):
        t["history"]["MKT"] = t["history"]["MKT"].shift(rows).bfill().ffill()

    return change


def rolled(t):
    t["history"].loc[DAYS[:130], "MKT"] *= 1.21


def ended(t):
    t["history"] = t["history"].iloc[:-70]


def midnight(t):
    t["history"].index = t["history"].index.tz_localize("UTC")
    t["drivers"]["known_at"] = "16:00 America/New_York"


def split(t):
    t["quotes"].loc["S", ["bid", "ask"]] /= 3
    t["history"]["S"] /= 3


def renamed(t):
    t["history"]["D2"] = t["history"]["D"].where(DAYS[150] < DAYS)
    t["history"].loc[DAYS[151:], "D"] = np.nan
    t["drivers"].loc["D2"] = [False, ""]


SEVERE = [
    ("quote and history", both_sides("B", 40.0)), ("share and underlying", relabelled("B", 100.0)),
    ("against spot", both_sides("XP", 1000.0)),
    ("against spot", both_sides("WF", 1.5)), ("parity", options("underlying_price", 149.5)),
    ("strike arbitrage", dear_call), ("late column", apart(1)), ("late column", apart(-1)), ("market jump", rolled),
    ("old history", ended), ("midnight bars", midnight),
    ("through zero", cell("history", DAYS[100:103], "W", [1.2, -30.0, 4.0])), ("strikes and spot", split),
    ("units", cell("instruments", "A", "fee", 4.0)), ("units", cell("quotes", "XP", "funding_rate", 0.7)),
    ("beyond open interest", cell("book", "XP", "quantity", 2e5)),
]  # fmt: skip
TOLD = [
    ("share and underlying", relabelled("B", 0.25)),
    ("share and underlying", relabelled("A", 0.01)),
    ("beyond volume", cell("quotes", "D", "volume", 30.0)),
    ("renamed", renamed),
]


def said(folder, change, capsys):
    """What `check` and `run` print of the market with a change, the latter's exit code, and all kinds of either."""
    made = tables()
    change(made)
    for name, table in made.items():
        bare = name == "history" and table.index.tz is None
        table.to_csv(folder / f"{name}.csv", date_format="%Y-%m-%d" if bare else "%Y-%m-%dT%H:%M:%SZ")
    frozen = 'on_missing = "freeze"\n' if change is renamed else ""
    (folder / "market.toml").write_text(f'base_currency = "USD"\nas_of = "{AS_OF.isoformat()}"\n{frozen}')
    (folder / "model.toml").write_text(MODEL)
    given = [str(folder / "model.toml"), "--data", str(folder), "--book", str(folder / "book.csv")]
    assert main(["check", *given]) == 0
    checked = capsys.readouterr().out
    code = main(["run", *given, "--out", str(folder / "out"), "--as-of", AS_OF.isoformat()])
    shown = capsys.readouterr()
    return checked, shown.out + shown.err, code, folder / "out"


@pytest.mark.parametrize(("kind", "change"), SEVERE, ids=[f"{i} {kind}" for i, (kind, _) in enumerate(SEVERE)])
def test_a_severe_contradiction_is_named_at_both_doors_and_holds(tmp_path, capsys, monkeypatch, kind, change):
    monkeypatch.setenv("COLUMNS", "400")
    checked, ran, code, out = said(tmp_path, change, capsys)
    assert kind in checked and kind in ran
    assert code == 1 and list(out.rglob("held.csv")) and not list(out.rglob("trades.csv"))


@pytest.mark.parametrize(("kind", "change"), TOLD, ids=[kind for kind, _ in TOLD])
def test_a_warning_is_named_at_both_doors_and_holds_nothing(tmp_path, capsys, monkeypatch, kind, change):
    monkeypatch.setenv("COLUMNS", "400")
    checked, ran, code, out = said(tmp_path, change, capsys)
    assert kind in checked and kind in ran
    assert code == 0 and list(out.rglob("trades.csv"))


@pytest.mark.parametrize("factor", [0.25, 100.0])
def test_a_fund_on_a_quoted_index_and_a_plain_change_of_label_contradict_nothing(tmp_path, capsys, monkeypatch, factor):
    def fund(t):
        relabelled("B", factor)(t)
        for table, row in (("instruments", "D"), ("quotes", "D")):
            t[table].loc["B"] = t[table].loc[row]
        t["instruments"].loc["B", ["type", "underlying", "hedge"]] = ["index", "B", False]
        t["quotes"].loc["B", ["bid", "ask"]] = [211.9, 212.1]

    monkeypatch.setenv("COLUMNS", "400")
    for change, sub in ((fund, "fund"), (relabelled("B", 1.0), "label")):
        (tmp_path / sub).mkdir()
        checked, ran, code, _ = said(tmp_path / sub, change, capsys)
        assert code == 0 and "share and underlying" not in checked + ran


def test_the_fair_market_contradicts_nothing_at_either_door(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    checked, ran, code, _ = said(tmp_path, lambda t: None, capsys)
    assert code == 0 and not [kind for kind, _ in SEVERE if kind in checked.replace("checked", "") + ran]
