"""One book under one hedging model: what is asked, and what becomes of it. No file is read or written here."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from optihedge.accounts.valuation import opening
from optihedge.batch.record import figures, files
from optihedge.batch.withdraw import ALTERNATIVE, HELD, SENT
from optihedge.errors import NotApplicable, OptihedgeError, SpecError
from optihedge.frames import one_line
from optihedge.hedge.model import HedgeModel
from optihedge.market.snapshot import Market
from optihedge.step.step import step
from optihedge.trades.tradelist import TradeList

PAGED = 20  # books of a run up to which every list has its page


@dataclass(frozen=True, eq=False)
class Job:
    """One book under one hedging model.

    sent      whether its list is the one of the book that may be sent, or an alternative to look at
    deadline  seconds for hedge, rounding and checks together; None: none
    quality   findings of the night's data, for its page;  page  whether a list that is not held has one
    """

    book: str
    quantities: pd.Series
    model_name: str
    model: HedgeModel
    sent: bool
    deadline: float | None = None
    quality: pd.DataFrame | None = None
    page: bool = True

    def run(self, market: Market) -> Result:
        """Hedge it; every failure becomes an outcome."""
        return hedge_one(market, self)

    def failed(self, why: str) -> Result:
        """What it comes to where its process died or was ended."""
        return Result(Outcome(self.book, self.model_name, "failed", why))

    @property
    def list_name(self) -> str:
        """The file its trades go to."""
        return SENT if self.sent else ALTERNATIVE


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one book under one model.

    status   done (a list was written), held (a check failed: no list), skipped (the model does not apply), failed,
             withdrawn (a list of an earlier run that this one took away)
    note     why, for all but the first; else what to know
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


@dataclass(frozen=True, eq=False)
class Result:
    """An outcome and the files to write for it, name -> text; none where there is nothing to show."""

    outcome: Outcome
    files: Mapping[str, str] = field(default_factory=dict)


def plan(
    books: Mapping[str, pd.Series],
    models: Mapping[str, HedgeModel],
    *,
    send: str | None = None,
    deadline: float | None = None,
    quality: pd.DataFrame | None = None,
    reports: bool = False,
) -> list[Job]:
    """The jobs of every book under every model; the list of a single model, or of the one to `send`, is the sent one.

    reports   a page for every list, also where there are more than twenty books

    Raises SpecError where `send` is no model of the run.
    """
    if send is not None and send not in models:
        raise SpecError(f"--send {send}: not among the models of this run ({', '.join(models)})")
    chosen = send if send is not None or len(models) != 1 else next(iter(models))
    page = reports or len(books) <= PAGED
    return [
        Job(book, quantities, name, model, name == chosen, deadline, quality, page)
        for book, quantities in books.items()
        for name, model in models.items()
    ]


def hedge_one(market: Market, job: Job) -> Result:
    """The first night of a book under one model, its state kept in memory; every failure becomes an outcome."""
    outcome = Outcome(job.book, job.model_name, "failed")
    try:
        night = step(opening(job.book, market, job.quantities), None, market, job.model,
                     client=job.quantities, deadline=job.deadline)  # fmt: skip
        listed = night.trades
        if not isinstance(listed, TradeList):
            return Result(replace(outcome, note=night.why))
        said, of = figures(listed), job.model_name
        written = files(listed, said, model=of, list_name=job.list_name, quality=job.quality, page=job.page)
        status, name = ("held", HELD) if listed.held else ("done", job.list_name)
        note = "; ".join(listed.reasons + listed.notes)
        return Result(replace(outcome, status=status, note=note, list_name=name, figures=said), written)
    except NotApplicable as error:
        return Result(replace(outcome, status="skipped", note=str(error)))
    except OptihedgeError as error:
        return Result(replace(outcome, note=f"{error.code}: {one_line(error)}"))
    except Exception as error:  # the rest of the batch goes on; the trace is saved and reported
        note = f"internal error: {error!r}"
        return Result(replace(outcome, note=note, trace=traceback.format_exc()))
