"""A desk's night: every book prepared, computed and committed; the ledger first, then the folder that pictures it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pandas as pd
import scipy

import optihedge
from optihedge.accounts.late import heard_of
from optihedge.accounts.state import State
from optihedge.batch.output import MANIFEST, is_whole, left_aside, remove, result_folder, write_whole
from optihedge.batch.pool import results as pooled
from optihedge.batch.stop import Stop
from optihedge.content import canonical_text, text_hash
from optihedge.desk.deskfile import Desk, DeskBook
from optihedge.desk.halt import refuse_halted
from optihedge.desk.holding import Holding, Terms, read_holding
from optihedge.desk.ledger.database import Ledger, get_text, open_ledger, put_text
from optihedge.desk.ledger.facts import due_fills, due_reports
from optihedge.desk.ledger.reading import any_runs, books_of, inputs_of, made_of
from optihedge.desk.ledger.runs import CHALLENGER, LEFT, SEND, Asked, Made, claim, finish, refuse, standing
from optihedge.desk.nightpage import write_night
from optihedge.desk.outbox import recover
from optihedge.desk.outcome import Result, rest_of, result_of
from optihedge.desk.record import record_folder
from optihedge.desk.task import Bench, Task, compute, refused_task
from optihedge.desk.whose import events_of_book
from optihedge.errors import DataError, OptihedgeError, SpecError
from optihedge.frames import some
from optihedge.lock import locked
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store

_LAST = 3  # nights in whose folders halves of killed runs are looked for


@dataclass(frozen=True)
class Night:
    """A desk's night that is over.

    code      0 where every book's promised list (or its waiting) stands, 1 otherwise, 6 for an internal error
    strayed   what the ledger holds of books that the desk no longer names, where others begin, in words
    rest      what the ledger holds of the same night of the books that were not asked for
    """

    as_of: pd.Timestamp
    snapshot: str
    results: tuple[Result, ...]
    recovered: tuple[str, ...]
    strayed: tuple[str, ...] = ()
    rest: tuple[Result, ...] = ()

    @property
    def code(self) -> int:
        """For a scheduler."""
        sent = [one for one in self.results if one.role == SEND]
        if any(one.bug for one in self.results):
            return 6
        return int(not all(one.good for one in sent))


def run_night(
    desk: Desk, *, as_of: pd.Timestamp | str | None = None, who: str = "", books: tuple[str, ...] = (),
    tell: Callable[..., None] = lambda what, **fields: None, check: Callable[[Market], None] = lambda market: None,
    stop: Stop | None = None, look: Callable[[Path], pd.DataFrame] | None = None,
) -> Night:  # fmt: skip
    """Bring every book of a desk to the market of an instant and make the lists that its policies ask for.

    as_of   the store's latest market at or before it, default the latest of all (the desk's folder is recorded first)
    who     submits the runs;  books  only these;  tell  hears of each event;  check  may refuse the market
    stop    signals that end it between two books

    A night that was done before is not done again: the same inputs are the same run. Raises Halted where the halt file
    is there, Locked where another run goes on, DataError for no market, StorageError (OSError) for the database.
    """
    refuse_halted(desk.halt)
    desk.out.mkdir(parents=True, exist_ok=True)
    stop = stop or Stop()
    with locked(desk.out) as lock, open_ledger(desk.ledger).alone() as ledger:
        _refuse_lost(desk, ledger)
        strayed = _strayed(desk, ledger)
        for text in strayed:
            tell("strayed", text=text)
        recovered = recover(desk, ledger)
        for text in recovered:
            tell("recovered", text=text)
        _mend_pictures(desk, ledger)
        with stop.interruptible():
            store = open_store(desk.store, create=desk.folder is not None)
            if desk.folder is not None and as_of is None:
                record_folder(store, desk.folder)
            market = store.open(as_of)
            if market.base_currency != desk.base_currency:
                raise SpecError(f"the market is in {market.base_currency}, {desk.path.name} in {desk.base_currency}; "
                                "let both say the same")  # fmt: skip
            check(market)
        events, bench = store.events(None, market.as_of), Bench(store.open, market)
        night = _Night(desk, ledger, events, bench, market, who, tell, store.contract)
        begun = [night.begun(book, model, role) for book, model, role in _jobs(desk, books)]
        jobs = [one for one in begun if isinstance(one, _Begun)]
        results = [one for one in begun if isinstance(one, Result)]
        for one in results:
            night.told(one)
        with contextlib.closing(pooled(night.bench, jobs, desk.workers, stop)) as found:
            for number, made in found:
                lock.still_held()
                results.append(night.ended(jobs[number], made))
        order = {(book.name, model): place for place, (book, model, _) in enumerate(_jobs(desk, books))}
        results.sort(key=lambda one: order[one.book, one.model])
        looked = None if look is None or desk.folder is None or as_of is not None else look(desk.folder)
        rest = rest_of(ledger, market, [job for job in _jobs(desk, ()) if job[0].name not in {*books}] if books else [])
        write_night(desk.out, market, [*results, *rest], looked)
        return Night(market.as_of, market.hash, tuple(results), recovered, strayed, rest)


def _refuse_lost(desk: Desk, ledger: Ledger) -> None:
    """Raise DataError where runs lie in `out` and the ledger knows of none: every book would be traded from nothing."""
    with ledger.read() as connection:
        empty = not any_runs(connection)
    if empty and any(desk.out.glob(f"*/*/*/{MANIFEST}")):
        raise DataError(
            f"ledger {ledger.where} is empty, but {desk.out} holds runs; restore the ledger, mend its url, or give "
            "another [run] out"
        )


def _strayed(desk: Desk, ledger: Ledger) -> tuple[str, ...]:
    """Books of the ledger that the desk does not name while it begins others: one may be the other renamed."""
    with ledger.read() as connection:
        known = books_of(connection)
    new, gone = [name for name in desk.books if name not in known], [name for name in known if name not in desk.books]
    if not (new and gone):
        return ()
    return (
        f"{desk.path.name} names no book {some(gone)}, of which the ledger holds nights, and begins {some(new)} from "
        "its positions: a book that was only renamed is hedged a second time; give it its name back",
    )


@dataclass(frozen=True)
class _Begun:
    """A run that is claimed and has to be computed; what a worker gets."""

    task: Task
    asked: Asked
    run_id: str
    deadline: float | None

    def run(self, bench: Bench) -> Made:
        return compute(self.task, bench)

    def failed(self, why: str) -> Made:
        return Made("failed", "failed", why)


@dataclass(frozen=True, eq=False)
class _Night:
    """What the driver of a night holds."""

    desk: Desk
    ledger: Ledger
    events: pd.DataFrame
    bench: Bench
    market: Market
    who: str
    tell: Callable[..., None]
    terms: Terms

    def begun(self, book: DeskBook, model: str, role: str) -> _Begun | Result:
        """A run prepared and claimed; its result where it is known already, or cannot be begun."""
        refuse_halted(self.desk.halt)
        try:
            with self.ledger.read() as connection:
                task, asked = prepare(
                    connection, self.desk, self.events, self.market, book, model, role, self.who, self.terms
                )
            with self.ledger.write() as connection:
                for text in task.texts.values():
                    put_text(connection, text)
                run, fresh = claim(connection, asked)
        except OptihedgeError as error:
            return self.refused(book, model, role, f"{error.code}: {error}")
        if fresh:
            return _Begun(task, asked, run, self.desk.deadline)
        made = known(self.ledger, run)
        picture(self.desk, asked, run, made)
        return result_of(book.name, model, role, run, made, new=False)

    def refused(self, book: DeskBook, model: str, role: str, why: str) -> Result:
        """A run that cannot be begun, in the ledger with its reason; what stands of the night already goes on to."""
        asked = refusal(self.desk, self.market, book, model, role, self.who, why)
        with self.ledger.write() as connection:
            put_text(connection, self.desk.models[model].text)
            run, stands = refuse(connection, asked, why)
        if role == SEND and not stands:
            picture(self.desk, asked, run, Made("failed", "failed", why))
        told = f"{why}; run {stands[:12]} of this night stands as it is" if stands else why
        return Result(book.name, model, role, run, "failed", told, 0, True)

    def ended(self, begun: _Begun, made: Made) -> Result:
        """A run finished: in the ledger, then in its folder."""
        run, asked = begun.run_id, begun.asked
        with self.ledger.write() as connection:
            finish(connection, run, asked, made)
        picture(self.desk, asked, run, made)
        result = result_of(asked.book, asked.model, asked.role, run, made, new=True)
        self.told(result)
        return result

    def told(self, one: Result) -> None:
        self.tell("night", run=one.run, book=one.book, model=one.model, status=one.status, why=one.why)


def _jobs(desk: Desk, books: tuple[str, ...]) -> Iterator[tuple[DeskBook, str, str]]:
    unknown = [name for name in books if name not in desk.books]
    if unknown:
        raise SpecError(f"there is no book {unknown[0]} in {desk.path.name}; there are {', '.join(desk.books)}")
    for book in desk.books.values():
        if not books or book.name in books:
            for name in book.challengers:  # first: they go on from where the book stands, not from its new night
                yield book, name, CHALLENGER
            yield book, book.model, SEND


def prepare(
    connection: Any, desk: Desk, events: pd.DataFrame, market: Market, book: DeskBook, model: str, role: str, who: str,
    terms: Terms,
) -> tuple[Task, Asked]:  # fmt: skip
    """All that decides a book's run at a market, from the ledger, the book's file and all events. Raises DataError."""
    snapshot = market.hash
    instant = json.loads(canonical_text(market.as_of))
    chain = [run for run in standing(connection, book.name, before=instant) if run["after"] is not None]
    parent = chain[-1] if chain else None
    left = parent is not None and (parent["list"] is None or parent["list"] in LEFT)
    state = None if parent is None else parent["after"] if left else parent["unsent"]
    now: State | None = None
    texts: dict[str, str] = {}
    happened: dict[str, Any] = {"fills": [], "reports": [], "events": None, "before": None, "previous": None}
    if state is not None and parent is not None:
        texts[state] = get_text(connection, state)
        now = State.from_text(texts[state])
        fills = due_fills(connection, book.name, instant)
        told = heard_of(events, now.as_of, market.as_of, fills)
        heard = canonical_text(events_of_book(connection, told, now, fills, desk.books))
        texts[text_hash(heard)] = heard
        happened = {
            "fills": fills, "reports": due_reports(connection, now, instant),
            "events": text_hash(heard), "before": parent["snapshot"],
            "previous": {"model": inputs_of(connection, parent["id"])["model"], "list": parent["sha256"]},
        }  # fmt: skip
        for name in (happened["previous"]["model"]["text"], parent["sha256"]):
            texts |= {name: get_text(connection, name)} if name else {}
    held = desk.models[model]
    texts[text_hash(held.text)] = held.text
    told_holding = state is None or book.holds != "opening"
    holding = read_holding(book.positions, book.name, market, now, terms) if told_holding else Holding({})
    inputs = {
        "book": book.name, "role": role, "snapshot": snapshot, "state": state, **happened,
        "model": {"name": model, "text": text_hash(held.text)}, "allow": list(desk.allow), "policy": book.policy,
        "checks": desk.checks, "venues": desk.venues, "on_open_orders": desk.on_open_orders,
        "client": holding.quantities if state is None or book.holds == "client" else None,
        "statement": holding.quantities if state is not None and book.holds == "account" else None,
        "version": optihedge.__version__, **({"ended": list(holding.ended)} if holding.ended else {}),
    }  # fmt: skip
    task = Task(json.loads(canonical_text(inputs)), texts)
    asked = Asked(
        task.text, book.name, instant, model, role, snapshot, None if parent is None else parent["id"], state or "",
        left, who, versions(),
    )  # fmt: skip
    return task, asked


def refusal(desk: Desk, market: Market, book: DeskBook, model: str, role: str, who: str, why: str) -> Asked:
    """What a run that could not be begun was asked: nothing but why."""
    instant = json.loads(canonical_text(market.as_of))
    task = refused_task(book.name, instant, market.hash, role, model, desk.models[model].text, why)
    return Asked(task.text, book.name, instant, model, role, market.hash, None, "", False, who, versions())


def known(ledger: Ledger, run: str) -> Made:
    """What a run left, from the ledger."""
    with ledger.read() as connection:
        return made_of(connection, run)


def _mend_pictures(desk: Desk, ledger: Ledger) -> None:
    """Folders of each book's last night that are not what the ledger says, written again; halves go."""
    for folder in sorted(path for path in desk.out.iterdir() if path.is_dir())[-_LAST:]:
        for left in left_aside(folder):
            remove(left)
    with ledger.read() as connection:
        last = [runs[-1] for book in desk.books if (runs := standing(connection, book))]
    for run in last:
        folder = folder_of(desk, run["as_of"], run["book"], run["model"])
        if not is_whole(folder) or json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["run"] != run["id"]:
            about = {"run": run["id"], "book": run["book"], "model": run["model"], "status": run["outcome"]}
            write_whole(folder, known(ledger, run["id"]).files or {}, {**about, "why": run["why"]})


def picture(desk: Desk, asked: Asked, run: str, made: Made) -> None:
    """The folder of a run: what the ledger holds, whole or absent."""
    about = {"run": run, "book": asked.book, "model": asked.model, "status": made.outcome, "why": made.why}
    write_whole(folder_of(desk, asked.as_of, asked.book, asked.model), made.files or {}, about)


def folder_of(desk: Desk, as_of: str, book: str, model: str) -> Path:
    """Where a run's picture lies: out/AS_OF/BOOK/MODEL."""
    return result_folder(desk.out, pd.Timestamp(as_of), book, model)


@cache
def _code() -> str:
    """Of the library's own files: a version that is being worked on has many."""
    root, digest = Path(optihedge.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def versions() -> str:
    """What computes: of the libraries and the machine that last digits depend on."""
    found: Mapping[str, str] = {
        "optihedge": optihedge.__version__, "numpy": numpy.__version__, "scipy": scipy.__version__,
        "pandas": pd.__version__, "python": platform.python_version(), "machine": platform.machine(), "code": _code(),
    }  # fmt: skip
    return canonical_text(found)
