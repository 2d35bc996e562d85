"""Many books under many hedging models: isolated, in workers, each leaving a whole result or none."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from optihedge.batch.output import discard, folder_name, instant_name, write_file, write_whole
from optihedge.batch.record import FIGURES, figures, files, significant
from optihedge.errors import DataError, OptihedgeError, SpecError
from optihedge.frames import DAY_END, plain_text, some
from optihedge.hedge.model import HedgeModel
from optihedge.market.snapshot import Market, read_market
from optihedge.risk.problems import BREAKS, Thresholds, find_problems
from optihedge.trades.checks import checked

DEFAULT_MAX_AGE = pd.Timedelta("1D")
_DIGITS = 8  # significant digits of the summary: a coin's figures are small numbers
_DUST = 1e-12  # of a row's largest figure: nothing but rounding
_NAMED = 5  # old quotes that a message lists


@dataclass(frozen=True, eq=False)
class Job:
    """One book under one hedging model. `list_name` is the file its trades go to: trades.csv or ALTERNATIVE.csv."""

    data: Path
    as_of: str | None
    out: Path
    book: str
    quantities: pd.Series
    model_name: str
    model: HedgeModel
    list_name: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one book under one model.

    status   done (a list was written), held (a check failed: no list), skipped (the model does not apply), failed
    note     why, for the last three; else what to know
    figures  trades (lines), turnover, cost, penalties, volatility before and after (base currency per day)
    trace    of an internal error
    """

    book: str
    model: str
    status: str
    note: str = ""
    list_name: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    trace: str = ""


def plan(
    data: Path,
    books: Mapping[str, pd.Series],
    models: Mapping[str, HedgeModel],
    out: Path,
    *,
    send: str | None = None,
    as_of: str | None = None,
) -> list[Job]:
    """The jobs of every book under every model. Several models for a book are a comparison: their lists are called
    ALTERNATIVE.csv, but for the one to `send`. Raises SpecError where `send` is no model of the run.
    """
    if send is not None and send not in models:
        raise SpecError(f"--send {send}: not among the models of this run ({', '.join(models)})")
    jobs = []
    for book, quantities in books.items():
        for name, model in models.items():
            sent = name == send if send is not None else len(models) == 1
            list_name = "trades.csv" if sent else "ALTERNATIVE.csv"
            jobs.append(Job(data, as_of, out, book, quantities, name, model, list_name))
    return jobs


def run_jobs(jobs: Sequence[Job], *, workers: int = 1, each: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Every job's outcome, in the order of `jobs`; one that fails does not stop the rest. `each` sees them as they end.

    Jobs run cold and share nothing, so that their bytes do not depend on workers or order. A job whose worker dies is
    tried once more alone, then named.
    """
    outcomes: dict[int, Outcome] = {}
    for number, outcome in _outcomes(jobs, workers):
        outcomes[number] = outcome
        if each is not None:
            each(outcome)
    return [outcomes[number] for number in range(len(jobs))]


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """summary.csv and summary.json in `folder`, one row per book and model, sorted; returns the table."""
    rows = [
        {"book": o.book, "model": o.model, "status": o.status, "list": o.list_name, "note": o.note, **o.figures}
        for o in outcomes
    ]
    table = pd.DataFrame(rows, columns=["book", "model", "status", "list", *FIGURES, "note"])
    table = table.sort_values(["book", "model"], kind="stable", ignore_index=True)
    money = table[list(FIGURES[1:])].apply(pd.to_numeric)
    money = money.mask(money.abs().le(_DUST * money.abs().max(axis=1), axis=0), 0.0)
    for name in money.columns:
        table[name] = [significant(value, _DIGITS) for value in money[name]]
    safe = table.assign(**{name: table[name].map(plain_text) for name in ("book", "model", "note")})
    write_file(folder / "summary.csv", safe.to_csv(index=False, lineterminator="\n"))
    write_file(folder / "summary.json", table.to_json(orient="records", indent=1) + "\n")
    return table


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 all done, 1 some book failed or was held (or no model applied to it), 6 an internal error among them."""
    if any(o.trace for o in outcomes):
        return 6
    done = {o.book for o in outcomes if o.status == "done"}
    unserved = any(o.book not in done for o in outcomes)
    return int(unserved or any(o.status in ("failed", "held") for o in outcomes))


def suspects(market: Market) -> pd.DataFrame:
    """What looks wrong in the history and would change its risk: driver, date, until, problem, detail.

    Nothing is mended and nothing refused, for a real move may look like a missing split.
    """
    if market.history.empty:
        return pd.DataFrame(columns=["driver", "date", "until", "problem", "detail"])
    kinds = market.drivers["kind"].to_dict()
    found = find_problems(market.history, kinds, thresholds=Thresholds(look_alike=np.inf))
    return found[found["problem"].isin((*BREAKS, "spike"))].reset_index(drop=True)


def write_suspects(folder: Path, found: pd.DataFrame) -> None:
    """suspect_moves.csv in `folder`, or none where nothing is found."""
    if len(found):
        safe = found.assign(driver=found["driver"].map(plain_text))
        write_file(folder / "suspect_moves.csv", safe.to_csv(index=False, lineterminator="\n"))
    else:
        (folder / "suspect_moves.csv").unlink(missing_ok=True)


def refuse_future(market: Market, now: pd.Timestamp) -> None:
    """Raise DataError where as_of is after now; today's date, which is the end of the day, passes."""
    if market.as_of > now and market.as_of != now.normalize() + DAY_END:
        raise DataError(f"as_of {market.as_of:%Y-%m-%d %H:%M} UTC is after now; say an instant that has been")


def refuse_stale(market: Market, now: pd.Timestamp, books: Mapping[str, pd.Series]) -> None:
    """Raise DataError where the quote of a contract that a book holds, or that may be traded, is older than max_age
    (default 1 day) by the clock; one without a time is as old as as_of. What on_missing "freeze" has frozen passes.
    """
    quoted = market.trade_cost.notna().any(axis=1)
    held = [name for quantities in books.values() for name in quantities.index[quantities != 0]]
    in_play = market.instruments["hedge"] & quoted
    in_play |= market.names.isin(held) & (quoted | (market.on_missing != "freeze"))
    max_age = market.max_age if market.max_age is not None else DEFAULT_MAX_AGE
    times = market.quotes.loc[in_play, "time"]
    old = times[now - times > max_age].sort_values(kind="stable")
    if len(old):
        listed = some((f"{name} ({time:%Y-%m-%d %H:%M} UTC)" for name, time in old.items()), _NAMED)
        raise DataError(
            f"{len(old)} of {len(times)} quotes in play are older than max_age {max_age} now: {listed}; "
            "renew quotes.csv, set max_age in market.toml, or say --as-of to hedge at a past instant"
        )


def result_folder(out: Path, as_of: pd.Timestamp, book: str, model: str) -> Path:
    """out/AS_OF/BOOK/MODEL."""
    return out / instant_name(as_of) / folder_name(book) / folder_name(model)


def hedge_one(job: Job) -> Outcome:
    """Hedge one book under one model, check its list and write its folder; without a list an earlier one goes."""
    outcome = Outcome(job.book, job.model_name, "failed")
    try:
        market = _market(job.data, job.as_of)
    except OptihedgeError as error:
        return replace(outcome, note=f"{error.code}: {error}")
    folder = result_folder(job.out, market.as_of, job.book, job.model_name)
    try:
        hedge, verdict = checked(job.model.hedge(market, job.quantities))
        listed = files(hedge, verdict, book=job.book, model=job.model_name, list_name=job.list_name)
        status = "held" if verdict.held else "done"
        write_whole(folder, listed, {"book": job.book, "model": job.model_name, "status": status})
        name = "held.csv" if verdict.held else job.list_name
        note = "; ".join(verdict.reasons + verdict.notes)
        return replace(outcome, status=status, note=note, list_name=name, figures=figures(hedge))
    except SpecError as error:
        outcome = replace(outcome, status="skipped", note=str(error))
    except OptihedgeError as error:
        outcome = replace(outcome, note=f"{error.code}: {error}")
    except OSError as error:
        outcome = replace(outcome, note=f"cannot be written: {error}")
    except Exception as error:  # the rest of the batch goes on; the trace is saved and reported
        outcome = replace(outcome, note=f"internal error: {error!r}", trace=traceback.format_exc())
    return without_list(outcome, folder)


def without_list(outcome: Outcome, folder: Path) -> Outcome:
    """The outcome, an earlier result of it taken away; where that fails its note says so."""
    try:
        discard(folder)
    except OSError as error:
        return replace(outcome, note=f"{outcome.note}; an earlier result is still there: {error}")
    return outcome


@functools.lru_cache(maxsize=2)
def _market(data: Path, as_of: str | None) -> Market:
    return read_market(data, as_of=as_of)


def _numbered(number: int, job: Job) -> tuple[int, Outcome]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return number, hedge_one(job)


def _outcomes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Outcome]]:
    waiting = dict(enumerate(jobs))
    if workers > 1 and len(jobs) > 1:
        for number, outcome in _in_pool(waiting, workers):
            del waiting[number]
            yield number, outcome
        for number, job in sorted(waiting.items()):  # a worker died: alone, so that it takes no other with it
            alone = list(_in_pool({number: job}, 2))
            died = Outcome(job.book, job.model_name, "failed", "its worker process died twice (out of memory?)")
            yield alone[0] if alone else (number, died)
        return
    for number, job in waiting.items():
        yield _numbered(number, job)


def _in_pool(jobs: Mapping[int, Job], workers: int) -> Iterator[tuple[int, Outcome]]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = Parallel(n_jobs=workers, return_as="generator_unordered", backend="loky")
    try:
        yield from pool(delayed(_numbered)(number, job) for number, job in list(jobs.items()))
    except BrokenProcessPool:
        return
