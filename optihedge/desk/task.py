"""A book's night as a task: all that decides it as one text, and a pure function of that text and the store."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

import optihedge
from optihedge.accounts.state import Fill, Report, State
from optihedge.accounts.valuation import opening, valued, valued_lots
from optihedge.batch.record import figures, significant
from optihedge.batch.record import files as report_files
from optihedge.content import canonical_text, text_hash
from optihedge.desk.ledger.runs import SEND, Made
from optihedge.desk.since import since_last
from optihedge.display.page import section
from optihedge.errors import OptihedgeError
from optihedge.frames import some
from optihedge.hedge.modelfile import parse_model
from optihedge.market.events import Event
from optihedge.market.snapshot import Market
from optihedge.step.policies.drift import driver_days, realised
from optihedge.step.policies.policyfile import policy_of
from optihedge.step.step import Step, step
from optihedge.trades.checks import Checks
from optihedge.trades.export import csv_text
from optihedge.trades.page import status_page
from optihedge.trades.panels import contradictions_table
from optihedge.trades.tradelist import TradeList

PROPOSED, ALTERNATIVE = "proposed.csv", "ALTERNATIVE.csv"
REPORT = "report.html"
_VERDICTS = {"first": "send", "solved": "send", "idle": "empty", "empty": "empty", "held": "held", "blocked": "held",
             "failed": "failed"}  # fmt: skip
TRACE = "trace.txt"  # of an internal error
_BREAK = 1e-9  # of a quantity: what statement and ledger may differ by


@dataclass(frozen=True)
class Task:
    """A night of a book to be computed. inputs: plain values; texts: what it names by hash.

    inputs   book, role, snapshot, before (snapshot of the state), state, model {name, text}, allow, policy, checks,
             venues, fills, reports, events (hash of the table's text), client or statement, on_open_orders, version,
             previous (of the night before: its model, and the hash of its list), ended (what the book's file still
             names though it has ended, in words; only where there is some), refused (why the run could not be begun;
             then what it goes on from is not told)
    """

    inputs: Mapping[str, Any]
    texts: Mapping[str, str] = field(repr=False)

    @property
    def text(self) -> str:
        """The inputs as text; its sha256 is the run's id."""
        return canonical_text(self.inputs)

    @property
    def id(self) -> str:
        """Of the run."""
        return text_hash(self.text)


def refused_task(book: str, as_of: str, snapshot: str, role: str, model: str, text: str, why: str) -> Task:
    """The task of a run that could not be begun: it comes to its reason, whenever it is computed."""
    inputs: dict[str, Any] = {
        "book": book, "as_of": as_of, "snapshot": snapshot, "role": role, "refused": why, "state": None, "events": None,
        "model": {"name": model, "text": text_hash(text)}, "fills": [], "reports": [],
        "version": optihedge.__version__,
    }  # fmt: skip
    return Task(inputs, {text_hash(text): text})


class Bench:
    """What one process keeps between tasks: markets by hash and models by text, each read once.

    known   markets that were read already
    """

    def __init__(self, open_market: Callable[[str], Market], *known: Market) -> None:
        self._open = open_market
        self._markets: dict[str, Market] = {market.hash: market for market in known}
        self._models: dict[tuple[str, str], Any] = {}

    def market(self, name: str) -> Market:
        """The market of a hash; the last two that were asked for are kept."""
        found = self._markets.pop(name, None) or self._open(name)
        while len(self._markets) >= 2:
            self._markets.pop(next(iter(self._markets)))
        self._markets[name] = found
        return found

    def model(self, name: str, text: str, allow: tuple[str, ...]) -> Any:
        """The model of a text."""
        if (name, text) not in self._models:
            self._models[name, text] = parse_model(text, name=name, file=name, allow=allow)
        return self._models[name, text]


def compute(task: Task, bench: Bench) -> Made:
    """What a task comes to: the same in any process, any number of times. Every failure is a Made of status failed."""
    if "refused" in task.inputs:
        return Made("failed", "failed", task.inputs["refused"])
    try:
        return _made(task, _stepped(task, bench))
    except OptihedgeError as error:
        return Made("failed", "failed", f"{error.code}: {error}")
    except Exception as error:
        return Made("failed", "failed", f"internal error: {error!r}", files={TRACE: traceback.format_exc()})


@dataclass(frozen=True, eq=False)
class _Stepped:
    """The state and market that were gone on from (None on a first night), the step, and its market."""

    before: State | None
    was: Market | None
    state: State
    step: Step
    market: Market


def _stepped(task: Task, bench: Bench) -> _Stepped:
    asked, texts = task.inputs, task.texts
    market = bench.market(asked["snapshot"])
    model = bench.model(asked["model"]["name"], texts[asked["model"]["text"]], tuple(asked["allow"]))
    settings: dict[str, Any] = {
        "checks": Checks.of(model.checks).tightened(asked["checks"], asked["venues"]),
        "on_open_orders": asked["on_open_orders"],
    }
    policy = policy_of(asked["policy"])
    client = None if asked["client"] is None else pd.Series(asked["client"], dtype=float)
    if asked["state"] is None:
        state = opening(asked["book"], market, {} if client is None else client)
        return _Stepped(None, None, state, step(state, None, market, model, policy, **settings), market)
    state, before = State.from_text(texts[asked["state"]]), bench.market(asked["before"])
    happened: dict[str, Any] = {
        "fills": [Fill(**one) for one in asked["fills"]], "reports": [Report(**one) for one in asked["reports"]],
        "events": [Event(**one) for one in json.loads(texts[asked["events"]])], "client": client,
    }  # fmt: skip
    if asked["statement"] is not None:
        moved = step(state, before, market, model, policy, **settings, **happened, ask=False)
        if why := _breaks(moved.state, pd.Series(asked["statement"], dtype=float), market):
            return _Stepped(state, before, state, replace(moved, status="held", why=why), market)
    return _Stepped(state, before, state, step(state, before, market, model, policy, **settings, **happened), market)


def _breaks(state: State, statement: pd.Series, market: Market) -> str:
    """What a statement of the account says otherwise than the ledger of contracts; empty where they agree."""
    table = market.instruments["type"]
    statement = statement[(table.reindex(statement.index) != "cash").to_numpy()]
    held = state.quantities()
    names = held.index.union(statement.index, sort=False)
    ours, theirs = held.reindex(names, fill_value=0.0), statement.reindex(names, fill_value=0.0)
    wrong = (ours - theirs).abs() > _BREAK * np.maximum(1.0, np.maximum(ours.abs(), theirs.abs()))
    told = [f"{name} {theirs[name]:g}, ledger {ours[name]:g}" for name in names[wrong.to_numpy()]]
    return f"break: the statement says {some(told, 5)}; import what is missing, or correct it" if told else ""


def _made(task: Task, done: _Stepped) -> Made:
    one, role = done.step, task.inputs["role"]
    trades = one.trades
    left = role == SEND and trades is not None and not trades.held and len(trades.table) > 0
    unsent = None
    if left:
        kept = {} if one.decision is None else {**done.state.memory, **one.decision.memory}
        unsent = replace(one.state, orders=(), traded=done.state.traded, memory=kept)
    return Made(
        "done", one.status, one.why, after=one.state.text, unsent=None if unsent is None else unsent.text,
        trades=csv_text(trades.table) if left and trades is not None else None,
        orders=tuple(trades.table["order_id"]) if left and trades is not None else (),
        files=_files(task, done), applied=tuple(fill["fill_id"] for fill in task.inputs["fills"]),
    )  # fmt: skip


def _files(task: Task, done: _Stepped) -> dict[str, str]:
    """The night's tables and pages, name -> text."""
    one, name = done.step, PROPOSED if task.inputs["role"] == SEND else ALTERNATIVE
    asked, model = task.inputs, task.inputs["model"]
    past = since_last(done.before, done.was, done.market, one, asked.get("previous"), task.texts, model)
    written: dict[str, str] = {}
    said = figures(one.trades) if isinstance(one.trades, TradeList) else {}
    if isinstance(one.trades, TradeList):
        written = report_files(one.trades, said, model=model["name"], list_name=name, past=past)
    elif one.trades is not None and not one.trades.held:
        written = {name: csv_text(one.trades.table)}
    if REPORT not in written:
        subtitle = f"as of {done.market.as_of:%Y-%m-%d %H:%M} UTC, in {done.market.base_currency}"
        listed = []
        if one.trades is not None and len(one.trades.table):
            table = one.trades.table.set_index("instrument")
            listed = [section("Lines", frames=[table[["side", "quantity", "limit_price", "notional", "cost"]]])]
        written[REPORT] = status_page(
            f"{asked['book']}: {model['name']}", subtitle, _VERDICTS[one.status], [f"{one.status}: {one.why}"],
            [*listed, *past], contradictions_table(done.market),
        )  # fmt: skip
    marked = one.moved.market  # with what is carried at its last mark
    written["positions.csv"] = csv_text(valued(one.state, marked))
    written["lots.csv"] = csv_text(valued_lots(one.state, marked))
    written["explained.csv"] = csv_text(one.explained.reset_index())
    if len(one.closed):
        written["closed.csv"] = csv_text(one.closed)
    trades = one.trades
    forecast = said.get("volatility_before" if trades is None or trades.held else "volatility_after", np.nan)
    night = {
        "book": task.inputs["book"], "model": task.inputs["model"]["name"], "as_of": one.state.as_of,
        "status": one.status, "why": one.why, "equity": one.equity, "change": one.change,
        "forecast": significant(forecast, 12) if np.isfinite(forecast) else None,
        "realised": realised(one.change, one.explained), "days": driver_days(done.market, done.state.as_of),
        "cost": 0.0 if trades is None else significant(float(trades.table["cost"].sum()), 12),
        "notional": 0.0 if trades is None else significant(float(trades.table["notional"].sum()), 12),
        "lines": 0 if trades is None else len(trades.table),
        "notes": [*asked.get("ended", ()), *one.notes], "state": one.state.hash,
    }  # fmt: skip
    return {**written, "night.json": json.dumps(json.loads(canonical_text(night)), indent=1, sort_keys=True) + "\n"}
