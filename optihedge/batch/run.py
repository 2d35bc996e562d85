"""Many books under many hedging models at one instant: one run at a time, and what lies there is that run's alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT

import pandas as pd

from optihedge.batch.job import Job, Outcome, Result, plan
from optihedge.batch.orders import DONE, Order, Orders, merged, withdrawn_before
from optihedge.batch.output import discard, instant_name, is_whole, result_folder, sha256_of, write_whole
from optihedge.batch.pool import results
from optihedge.batch.record import PAGE
from optihedge.batch.stop import Stop, Stopped
from optihedge.batch.summary import (
    INDEX,
    STATUS,
    SUMMARIES,
    SUSPECTS,
    exit_code,
    write_index,
    write_status,
    write_summary,
    write_suspects,
)
from optihedge.batch.withdraw import SENT, Earlier, earlier_results, take_away
from optihedge.frames import some
from optihedge.hedge.model import HedgeModel
from optihedge.lock import Lock, locked
from optihedge.market.snapshot import Market
from optihedge.program.threads import one_thread
from optihedge.trades.page import status_page
from optihedge.trades.panels import quality_section, suspects_section

_NAMED = 5  # withdrawn lists that a sentence names
_EMPTY = "its file has a header and no rows; --allow-empty hedges it as a book that holds nothing"


@dataclass(frozen=True, eq=False)
class Ended:
    """A run that is over: what became of each book and model, where, and the exit code.

    table     the summary, with the withdrawn lists;  stopped  by what, where a signal ended it, else empty
    """

    outcomes: tuple[Outcome, ...]
    folder: Path
    table: pd.DataFrame
    exit_code: int
    stopped: str


def run_batch(
    market: Market,
    books: Mapping[str, pd.Series],
    models: Mapping[str, HedgeModel],
    out: Path,
    *,
    send: str | None = None,
    unread: Mapping[str, str] | None = None,
    allow_empty: bool = False,
    workers: int | str = 1,
    deadline: float | None = None,
    data: str = "",
    suspect: pd.DataFrame | None = None,
    quality: pd.DataFrame | None = None,
    say: Callable[[str], None] = lambda text: None,
    each: Callable[[], None] = lambda: None,
    stop: Stop | None = None,
    reports: bool = False,
) -> Ended:
    """Hedge every book under every model and write out/AS_OF, after taking away what earlier runs left there.

    send      the model whose lists are sent; by default that of a single one, else all lists are alternatives
    unread    by book why it could not be read;  data  sha256 of the market's files;  suspect  moves to list
    quality   findings of the night's data, for the pages
    workers   processes side by side, or a Dask scheduler's address
    deadline  seconds for each book under each model
    reports   a page for every list, also of more than twenty books; held and failed ones always have one
    say       is told what is withdrawn, before it is;  each  is called as each job ends

    One book that fails does not stop the rest. Raises Locked where another run writes there, SpecError where `send` is
    no model of the run, OSError where the folder cannot be written.
    """
    jobs = plan(books, models, send=send, deadline=deadline, quality=quality, reports=reports)
    folder = out / instant_name(market.as_of)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as lock:
        (out / STATUS).unlink(missing_ok=True)  # of an earlier run: a killed one leaves none
        sent = send if send is not None or len(models) != 1 else next(iter(models))
        promised = {book: Order(book, sent) for book in (*books, *(unread or {})) if sent is not None}
        orders = Orders(folder, f"{market.as_of:%Y-%m-%dT%H:%M:%SZ}", data, market.hash, promised)
        earlier = earlier_results(folder)
        run = _Run(out, market.as_of, lock, orders, _withdraw(orders, earlier, say))
        refused = _refused(books, unread or {}, run.stuck, allow_empty)
        for book, (status, why) in refused.items():
            for model in models:
                run.commit(Result(Outcome(book, model, status, why)))
        rest = [job for job in jobs if job.book not in refused]
        stopped = None
        try:
            with contextlib.closing(_results(market, rest, workers, stop or Stop())) as found:
                for number, result in found:
                    run.commit(result, sent=rest[number].sent)
                    each()
        except (Stopped, KeyboardInterrupt) as signal:
            stopped = signal if isinstance(signal, Stopped) else Stopped(SIGINT)
        for job in rest:
            if (job.book, job.model_name) not in run.outcomes:
                why = f"stopped by {stopped} before it was done; run again"
                run.commit(Result(Outcome(job.book, job.model_name, "failed", why)))
        return run.ended(stopped, earlier, suspect, quality)


@dataclass(eq=False)
class _Run:
    """A run that holds the lock of its folder. stuck: by book and model, why an earlier result is still there."""

    out: Path
    as_of: pd.Timestamp
    lock: Lock
    orders: Orders
    stuck: Mapping[tuple[str, str], str]
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def settle(self, outcome: Outcome, order: Order | None = None) -> None:
        """Keep an outcome; where its list was promised, say in the index what became of it."""
        self.outcomes[outcome.book, outcome.model] = outcome
        promised = self.orders.lists.get(outcome.book)
        if promised is not None and promised.model == outcome.model:
            self.orders.settle(order or Order(outcome.book, outcome.model, outcome.status, why=outcome.note))

    def commit(self, result: Result, *, sent: bool = False) -> None:
        """Write the files of a result, of one that has none the page that says why; then its list into the index."""
        outcome = result.outcome
        files = result.files or self._page(outcome)
        if not files:
            return self.settle(outcome)
        folder = result_folder(self.out, self.as_of, outcome.book, outcome.model)
        self.lock.still_held()
        try:
            write_whole(folder, files, {"book": outcome.book, "model": outcome.model, "status": outcome.status})
        except OSError as error:
            with contextlib.suppress(OSError):
                discard(folder)
            return self.settle(Outcome(outcome.book, outcome.model, "failed", f"cannot be written: {error}"))
        if outcome.status != DONE or not sent:
            return self.settle(outcome)
        path = (folder / SENT).relative_to(self.orders.folder).as_posix()
        sha256, lines = sha256_of(files[SENT]), int(outcome.figures["trades"])
        return self.settle(outcome, Order(outcome.book, outcome.model, DONE, path, sha256, lines))

    def _page(self, outcome: Outcome) -> dict[str, str]:
        """The page of what came to nothing; none where an earlier result is still in its place."""
        key = outcome.book, outcome.model
        if outcome.status not in ("failed", "held") or key in self.stuck:
            return {}
        subtitle = f"as of {self.as_of:%Y-%m-%d %H:%M} UTC"
        title = f"{outcome.book}: {outcome.model}"
        return {PAGE: status_page(title, subtitle, outcome.status, outcome.note.split("; "))}

    def verified(self, outcome: Outcome) -> bool:
        """Whether a result lies there as it was written, and its list is the one of its book and of the index."""
        folder = result_folder(self.out, self.as_of, outcome.book, outcome.model)
        order = self.orders.lists.get(outcome.book)
        if not is_whole(folder) or order is None or order.model != outcome.model:
            return is_whole(folder)
        alone = list(folder.parent.glob(f"*/{SENT}")) == [folder / SENT]
        return alone and sha256_of((folder / SENT).read_bytes()) == order.sha256

    def ended(
        self, stopped: Stopped | None, earlier: Sequence[Earlier], suspect: pd.DataFrame | None,
        quality: pd.DataFrame | None,
    ) -> Ended:  # fmt: skip
        """Look at every result once more, then write what became of the run."""
        for outcome in list(self.outcomes.values()):
            if outcome.status == DONE and not self.verified(outcome):
                why = "its files were changed after they were written; run again"
                self.settle(replace(outcome, status="failed", list_name="", note=why))
        for key, why in self.stuck.items():
            self.outcomes[key] = Outcome(*key, "failed", why)
        folder, outcomes = self.orders.folder, tuple(self.outcomes.values())
        promised = [(order.book, order.model) for order in self.orders.lists.values()]
        self.orders.end(complete=stopped is None)
        rows = [
            Outcome(order.book, order.model, order.status, f"{order.lines} lines, sha256 {order.sha256}")
            for order in (result.order for result in earlier)
            if order is not None and order in self.orders.withdrawn
        ]
        if suspect is not None:
            write_suspects(folder, suspect)
        table = write_summary(folder, [*outcomes, *rows])
        write_index(folder, table, [*quality_section(quality), *suspects_section(suspect)])
        code = stopped.exit_code if stopped is not None else exit_code(outcomes, [*promised, *self.stuck])
        why = "" if stopped is None else f"stopped by {stopped}; what is done is whole, run again for the rest"
        write_status(self.out, "finished" if not why else "stopped", as_of=self.as_of, exit_code=code, why=why)
        return Ended(outcomes, folder, table, code, why)


def _withdraw(orders: Orders, earlier: Sequence[Earlier], say: Callable[[str], None]) -> dict[tuple[str, str], str]:
    """Say what is withdrawn, put it into the index, take it away; by book and model why a result is still there."""
    lists = [result.order for result in earlier if result.order is not None]
    orders.withdrawn = merged([*withdrawn_before(orders.folder), *lists])
    if lists:
        named = (f"{o.book} by {o.model} ({o.lines} lines, sha256 {(o.sha256 or '')[:12]})" for o in lists)
        say(f"withdrawn, for this run writes {orders.folder} anew: the list of {some(named, _NAMED)}")
    orders.write()
    for name in (*SUMMARIES, INDEX, SUSPECTS):
        (orders.folder / name).unlink(missing_ok=True)
    stuck = take_away(orders.folder, earlier)
    return {
        (result.book, result.model): f"an earlier result of it is still there: {stuck[result.folder]}"
        for result in earlier
        if result.folder in stuck
    }


def _results(market: Market, jobs: Sequence[Job], workers: int | str, stop: Stop) -> Generator[tuple[int, Result]]:
    """Number and result of every job, as they end."""
    with stop.interruptible():
        _learn_once(market, jobs, workers)
    yield from results(market, jobs, workers, stop)


def _learn_once(market: Market, jobs: Sequence[Job], workers: int | str) -> None:
    """What several workers would each learn of the market, learnt before they begin; failures are the jobs' to tell."""
    if isinstance(workers, str) or min(workers, len(jobs)) <= 1 or any(job.deadline is not None for job in jobs):
        return
    for job in {job.model_name: job for job in jobs}.values():
        with contextlib.suppress(Exception), one_thread():
            job.model.problem(market, job.quantities)


def _refused(
    books: Mapping[str, pd.Series], unread: Mapping[str, str], stuck: Mapping[tuple[str, str], str], allow_empty: bool
) -> dict[str, tuple[str, str]]:
    """By book that is not hedged: its status, and why."""
    found = {book: ("failed", why) for book, why in unread.items()}
    found |= {book: ("held", _EMPTY) for book, held in books.items() if not len(held) and not allow_empty}
    return found | {book: ("failed", why) for (book, _), why in stuck.items() if book in books}
