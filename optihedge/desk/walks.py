"""Walks: books under models and policies over a store's past, in workers; what is done is not done again."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import optihedge
from optihedge.backtest.result import Backtest
from optihedge.backtest.simulate import run_backtest
from optihedge.batch.output import MANIFEST, folder_name, is_whole, write_file, write_whole
from optihedge.batch.pool import results
from optihedge.batch.stop import Stop
from optihedge.content import canonical_text, text_hash
from optihedge.desk.task import Bench
from optihedge.desk.walkpage import walk_page
from optihedge.desk.whose import events_of_walk
from optihedge.errors import DataError, OptihedgeError, SpecError
from optihedge.frames import counted, nearest
from optihedge.hedge.model import HedgeModel
from optihedge.market.events import Event, events_of
from optihedge.market.store.store import Store, When
from optihedge.step.broker import AtQuote, Broker, Delayed, WalkDepth
from optihedge.step.policies.policyfile import policy_of
from optihedge.trades.checks import Checks
from optihedge.trades.export import csv_text

BROKERS: Mapping[str, Broker] = {"quote": AtQuote(), "depth": WalkDepth(), "delayed": Delayed()}
_SUMMARY, _TRACE = "summary.json", "trace.txt"


@dataclass(frozen=True, eq=False)
class Walk:
    """A book under a model over markets of a store, whose hashes are `markets`: what a worker computes.

    policy   a policy's table;  checks  None: the model's;  broker  one of BROKERS;  beside  the simple hedges too
    """

    book: str
    label: str
    positions: Mapping[str, float]
    model: HedgeModel
    policy: Mapping[str, Any]
    checks: Checks | None
    broker: str
    beside: bool
    markets: tuple[str, ...]
    events: tuple[Event, ...] = field(repr=False)
    deadline: float | None = None

    @property
    def id(self) -> str:
        """sha256 of everything that decides it."""
        asked = {
            "book": self.book, "label": self.label, "positions": self.positions, "model": self.model.fingerprint,
            "name": self.model.name, "policy": self.policy,
            "checks": None if self.checks is None else vars(self.checks),
            "broker": self.broker, "beside": self.beside, "markets": self.markets, "events": self.events,
            "version": optihedge.__version__,
        }  # fmt: skip
        return text_hash(canonical_text(asked))

    def run(self, bench: Bench) -> dict[str, str]:
        """Its files, name -> text; of one that failed why, in summary.json."""
        try:
            done = run_backtest(
                self.model, (bench.market(name) for name in self.markets), self.positions,
                policy=policy_of(self.policy), broker=BROKERS[self.broker], events=self.events, checks=self.checks,
                name=self.book, beside=self.beside,
            )  # fmt: skip
            return _files(self, done)
        except OptihedgeError as error:
            return self.failed(f"{error.code}: {error}")
        except Exception as error:
            return {**self.failed(f"internal error: {error!r}"), _TRACE: traceback.format_exc()}

    def failed(self, why: str) -> dict[str, str]:
        """What it comes to where it ends early."""
        return {_SUMMARY: json.dumps({"status": "failed", "why": why}, indent=1, sort_keys=True) + "\n"}


def walk_all(
    walks: Sequence[Walk], store: Store, out: Path, *, workers: int | str = 1, stop: Stop | None = None,
    each: Callable[[Walk, bool], None] = lambda walk, fresh: None,
) -> pd.DataFrame:  # fmt: skip
    """Compute walks and write out/BOOK/LABEL each; one that lies there whole, of the same id, is taken as it is.

    workers   processes side by side, or a Dask scheduler's address
    each   is told of each walk as it ends, and whether it was computed now
    Returns a row per walk, in the order given: book, label, status, why, the summary's figures, folder. The same is
    in out/summary.csv. Raises SpecError for two walks of one book and label.
    """
    keys = [(walk.book, walk.label) for walk in walks]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise SpecError(f"two walks of {twice[0]} are called {twice[1]!r}; give them names of their own")
    left = []
    for walk in walks:
        if _done(folder_of(out, walk)) == walk.id:
            each(walk, False)
        else:
            left.append(walk)
    with contextlib.closing(results(Bench(store.open), left, workers, stop or Stop())) as found:
        for number, files in found:
            walk = left[number]
            status = json.loads(files[_SUMMARY])["status"]
            about = {"id": walk.id if status == "done" else "", "book": walk.book, "label": walk.label}
            write_whole(folder_of(out, walk), files, about)
            each(walk, True)
    table = pd.DataFrame([_row(out, walk) for walk in walks])
    write_file(out / "summary.csv", csv_text(table))
    return table


def walks_of(
    store: Store, books: Mapping[str, Mapping[str, float]], models: Mapping[str, HedgeModel],
    policies: Mapping[str, Mapping[str, Any]], *, since: When | None = None, until: When | None = None,
    broker: str = "quote", checks: Checks | None = None, beside: bool = False,
) -> Iterator[Walk]:  # fmt: skip
    """Every book under every model and policy, over the store's markets from `since` to `until`.

    Raises DataError for fewer than two markets, SpecError for an unknown broker.
    """
    if broker not in BROKERS:
        raise SpecError(f"broker {broker}{nearest(broker, BROKERS)}; there are {', '.join(BROKERS)}")
    listed = store.snapshots(since, until)
    if len(listed) < 2:
        span = " ".join(f"{word} {when}" for word, when in (("from", since), ("to", until)) if when is not None)
        told = f"{counted(len(listed), 'market')} {span}".strip()
        raise DataError(f"store {store.path} has {told}; a walk needs two: record more, or widen --from and --to")
    events = events_of(store.events(None, listed["as_of"].iloc[-1]))
    for book, positions in books.items():
        heard = events_of_walk(events, book)
        for name, model in models.items():
            for policy, table in policies.items():
                label = ", ".join(part for part in (name, policy) if part)
                yield Walk(book, label, dict(positions), model, dict(table), checks, broker, beside,
                           tuple(listed["market"]), heard)  # fmt: skip


def folder_of(out: Path, walk: Walk) -> Path:
    """out/BOOK/LABEL."""
    return out / folder_name(walk.book) / folder_name(walk.label)


def _done(folder: Path) -> str:
    """The id of the walk that lies there whole; empty where there is none."""
    if not is_whole(folder):
        return ""
    return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["id"])


def _row(out: Path, walk: Walk) -> dict[str, Any]:
    found = json.loads((folder_of(out, walk) / _SUMMARY).read_text(encoding="utf-8"))
    head = {"book": walk.book, "walk": walk.label, "status": found.pop("status"), "why": found.pop("why", "")}
    return {**head, **found}


def _files(walk: Walk, done: Backtest) -> dict[str, str]:
    figures = {name: float(value) for name, value in done.summary.loc["this"].items()}
    summary = {"status": "done", "steps": len(done.steps), **{k: v for k, v in figures.items() if np.isfinite(v)}}
    tables = {
        "steps": done.steps, "pnl": done.pnl, "explained": done.explained, "positions": done.positions,
        "cash": done.cash, "trades": done.trades, "closed": done.closed, "notes": done.notes, "beside": done.summary,
    }  # fmt: skip
    if len(done.pnl) >= 10 and np.ptp(done.pnl["book"].to_numpy()) > 0:
        tables["effectiveness"] = done.effectiveness.table
    written = {f"{name}.csv": csv_text(_flat(table)) for name, table in tables.items() if len(table)}
    page = walk_page(done, title=f"{walk.book}: {walk.label}", policy=walk.policy, broker=walk.broker)
    return {**written, _SUMMARY: json.dumps(summary, indent=1, sort_keys=True) + "\n", "report.html": page}


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
