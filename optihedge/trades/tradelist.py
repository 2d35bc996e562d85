"""TradeList: what may be sent. Every list is made by one function, and only a list that may be sent can be written."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from optihedge.display.numbers import number
from optihedge.errors import InfeasibleError, SolverError, SpecError
from optihedge.files import write_text
from optihedge.frames import one_line
from optihedge.hedge.costs import HOLDING, TRADING
from optihedge.hedge.report import cost_words
from optihedge.hedge.result import Hedge
from optihedge.hedge.venues import near_liquidation, venue_terms
from optihedge.program.certificate import GAP_TOLERANCE
from optihedge.program.program import objective
from optihedge.program.status import Status
from optihedge.readonly import read_only_property
from optihedge.trades.checks import Checks, list_reasons
from optihedge.trades.contradicted import severe_contradictions
from optihedge.trades.export import columns_text
from optihedge.trades.line_limits import Failed, Lines, failed, line_limits
from optihedge.trades.lots import round_to_lots
from optihedge.trades.orders.formats import write_orders
from optihedge.trades.orders.table import OrderStyle, order_table
from optihedge.trades.page import page_of
from optihedge.trades.reasons import served
from optihedge.trades.table import columns_at, frame_of
from optihedge.trades.tickets import Tickets, beside, with_few_lines, within

_PROVED = (Status.OPTIMAL, Status.ROUNDED)


@dataclass(frozen=True, eq=False, init=False)
class TradeList:
    """The trades of a hedge as they may be sent, or why they may not. Made by `TradeList.of` alone, and read-only.

    hedge     the hedge in whole lots, every line within its limits: what the list would bring about
    book      the book's name;  columns  of its lines (COLUMNS), whether they may be sent or not;  proposed  their table
    reasons   why the whole list is held; none: it may be sent
    notes     lines that were limited and by what, limits that whole lots miss, priors, what was not checked
    may_trade  per contract in play the most it may buy and sell (contracts) and the check that allows no more; `lines`
              is the table of it
    checked   False where every check was switched off, by its caller or by the model

    >>> import optihedge as oh, tempfile
    >>> folder = oh.write_example(tempfile.mkdtemp())
    >>> market, book = oh.read_market(folder), oh.read_book(folder / "book.csv")
    >>> trades = oh.trade_list(oh.load_model("beta_hedge").hedge(market, book))
    >>> trades.held, list(trades["side"])
    (False, ['BUY', 'SELL', 'SELL', 'BUY'])
    """

    hedge: Hedge
    book: str
    columns: Mapping[str, list[Any]]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    may_trade: Lines
    checked: bool

    def __init__(self, *_: object, **__: object) -> None:
        raise SpecError("a list is made of a hedge, rounded, checked and proved: call oh.trade_list(hedge)")

    @classmethod
    def of(
        cls,
        hedge: Hedge,
        *,
        book: str = "",
        checks: Checks | Mapping[str, object] | Literal["model"] | None = "model",
        deadline: float | None = None,
    ) -> TradeList:
        """Round to whole lots, limit each line to what its checks allow, answer again within these, check the list.

        checks    "model": the hedging model's own (else the defaults); a Checks or a table of its fields; None: none,
                  which the list says on every line
        deadline  seconds for all of it; a list that is not ready by then is held
        """
        ends = None if deadline is None else time.perf_counter() + deadline
        left = lambda: None if ends is None else max(ends - time.perf_counter(), 0.0)  # noqa: E731
        limits = _checks(hedge, checks)
        unchecked = limits == Checks.none()
        lines = line_limits(hedge, limits)
        tickets, why, notes = Tickets.of(hedge.model.lots), _unproved(hedge), list[str]()
        try:
            whole = round_to_lots(hedge, deadline=left())
            beyond = failed(whole.trades, lines, limits)
            why, notes = why or beyond.reasons, beyond.notes
            listed = whole if why else _in_lots(hedge, whole, beyond, tickets, left)
            why = why or _unproved(listed)
            why = why or list_reasons(listed, limits, hedge.answer)
            contradicted, accepted = severe_contradictions(listed, limits)
            why, notes = [*why, *contradicted], [*notes, *accepted]
        except (InfeasibleError, SolverError) as error:
            listed = hedge if hedge.status is Status.ROUNDED else _unmoved(hedge)
            limited = "; ".join(notes)
            why = [f"{f'no hedge meets the limits with {limited}' if notes else error.code}: {one_line(error)}"]
            notes = []
        if hedge.status in _PROVED:
            why = [*why, *_of_others(hedge)]
        if ends is not None and time.perf_counter() > ends:
            why = [*why, f"not ready within its deadline of {deadline:g} s"]
        notes += [listed.certificate.note] if listed.certificate.note and listed.certificate.note not in why else []
        notes += near_liquidation(listed.venues, listed.model.terms) if venue_terms(listed.model.terms) else ()
        notes += [*hedge.problem.assumed, *([f"checks switched off: {', '.join(limits.off)}"] if limits.off else [])]
        made = object.__new__(cls)
        said = {"hedge": listed, "book": book, "reasons": tuple(why), "notes": tuple(notes), "may_trade": lines}
        said |= {"columns": _lines(listed, book, checked=not unchecked), "checked": not unchecked}
        for name, value in said.items():
            object.__setattr__(made, name, value)
        return made

    @read_only_property
    def lines(self) -> pd.DataFrame:
        """By contract in play the most it may `buy` and `sell`, and the check of each, in words and by its field."""
        return self.may_trade.frame

    @read_only_property
    def proposed(self) -> pd.DataFrame:
        """Its lines, COLUMNS, whether they may be sent or not."""
        return frame_of(self.columns)

    @property
    def held(self) -> bool:
        """The whole list is held: there are no orders."""
        return bool(self.reasons)

    @property
    def verdict(self) -> str:
        """One word: send, held, or empty where there is nothing to trade."""
        return "held" if self.held else "send" if len(self) else "empty"

    @property
    def table(self) -> pd.DataFrame:
        """The lines to send, COLUMNS; none where the list is held."""
        return self.proposed.iloc[:0] if self.held else self.proposed

    @read_only_property
    def costs(self) -> pd.Series:
        """What the list will cost, base currency: see `Hedge.costs`; `trading` is the sum of its lines. Held: 0."""
        return pd.Series(self.cost_sums, name="cost")

    @cached_property
    def cost_sums(self) -> dict[str, float]:
        """`costs` as plain numbers."""
        costs = dict(self.hedge.cost_sums)
        if self.held:
            costs |= dict.fromkeys(TRADING, 0.0)
        costs["other"] += len(self) * Tickets.of(self.hedge.model.lots).ticket_fee
        costs["trading"] = 0.0 if self.held else float(np.sum(self.columns["cost"]))
        costs["total"] = costs["trading"] + sum(costs[part] for part in HOLDING)
        return costs

    def text(self) -> str:
        """The list as CSV, the same bytes for the same inputs. Raises SpecError where it is held."""
        if self.held:
            raise SpecError(f"the list is held, there is nothing to send: {'; '.join(self.reasons)}")
        return self._text

    @cached_property
    def _text(self) -> str:
        return columns_text(self.columns)

    @cached_property
    def sha256(self) -> str:
        """Of the bytes of `text`. Raises SpecError where it is held."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def to_csv(self, path: str | Path, *, index: bool = False) -> None:
        """Write the list, whole or not at all. Raises SpecError where it is held, and for an index: it has none."""
        if index:
            raise SpecError("a trade list has no index to write; leave index out")
        write_text(Path(path), self.text())

    def orders(self, style: OrderStyle | None = None, *, open_orders: pd.DataFrame | None = None) -> pd.DataFrame:
        """The list as orders of its venues, see `orders.table.COLUMNS`. Raises SpecError where it is held.

        style         how they are worked: by default limit orders of the day at the far side, the cost that was proved
        open_orders   orders that may still be open: what stands is repeated, replaced or cancelled
        """
        self.text()  # raises where the list is held
        held = pd.Series(self.hedge.problem.start, index=self.hedge.problem.names)
        return order_table(self.hedge.market, self.table, style=style, held=held, open_orders=open_orders)

    def to_orders(
        self,
        path: str | Path,
        format: str,
        *,
        style: OrderStyle | None = None,
        open_orders: pd.DataFrame | None = None,
        **session: str,
    ) -> None:
        """Write the orders as csv, jsonl, parquet, fix, fix-list, ccxt or ibkr; FIX takes sender and target.

        Raises SpecError where the list is held or the format is unknown, DataError for an order it cannot say.
        """
        write_orders(self.orders(style, open_orders=open_orders), path, format, **session)

    def to_html(self, path: str | Path, *, title: str = "") -> None:
        """Write the list's page: one self-contained HTML file, of a held list too."""
        write_text(Path(path), page_of(self, title=title))

    def __len__(self) -> int:
        return 0 if self.held else len(self.columns["order_id"])

    def __getitem__(self, column: str) -> pd.Series:
        return self.table[column]

    def __str__(self) -> str:
        head = [f"{self.verdict}: {len(self.proposed)} lines, {cost_words(self.costs)}"]
        head += [f"HELD: {reason}" for reason in self.reasons] + [f"note: {note}" for note in self.notes]
        shown = self.proposed.drop(columns=["as_of", "book", "order_id", "model", "model_hash"])
        return "\n".join([*head, shown.to_string(index=False, float_format=number, max_rows=40)])

    def __repr__(self) -> str:
        return f"<TradeList {self.hedge.model.name}: {self.verdict}, {len(self)} lines>"

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in str(self).split("\n", 1)[0].splitlines())
        told = "".join(f"<p>{escape(x)}</p>" for x in (*(f"HELD: {r}" for r in self.reasons), *self.notes))
        return f"<div>{head}{told}{self.proposed.to_html(index=False, max_rows=40, escape=True)}</div>"


def trade_list(
    hedge: Hedge,
    *,
    book: str = "",
    checks: Checks | Mapping[str, object] | Literal["model"] | None = "model",
    deadline: float | None = None,
) -> TradeList:
    """The list of a hedge: see `TradeList.of`.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> listed = oh.trade_list(oh.load_model("delta_neutral").hedge(market, book), book="book")
    >>> print(listed.held, "quantity" in listed.table.columns)
    False True
    """
    return TradeList.of(hedge, book=book, checks=checks, deadline=deadline)


def checked(hedge: Hedge, checks: Checks | Mapping[str, object] | None = None) -> tuple[Hedge, TradeList]:
    """The hedge that the list would bring about, and the list, which says whether it may be sent.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> hedge, listed = oh.checked(oh.load_model("delta_neutral").hedge(market, book))
    >>> listed.held
    False
    """
    made = TradeList.of(hedge, checks="model" if checks is None else checks)
    return made.hedge, made


def _checks(hedge: Hedge, checks: Checks | Mapping[str, object] | str | None) -> Checks:
    """The checks of a call. Raises SpecError for what is none."""
    if checks is None:
        return Checks.none()
    if isinstance(checks, str):
        if checks != "model":
            raise SpecError(f"checks is {checks!r}; write 'model', a table of checks, or None for none at all")
        return Checks.of(hedge.model.checks)
    return Checks.of(checks)


def _unproved(hedge: Hedge) -> list[str]:
    if hedge.status in _PROVED:
        return []
    return [f"the hedge is {hedge.status}, not proved optimal: {hedge.certificate.note or 'see its certificate'}"]


def _of_others(hedge: Hedge) -> list[str]:
    """A certificate that says another objective than its hedge's quantities have, or of another market, is not theirs.

    A user's own costs are no part of a Program: there, the certificate is believed.
    """
    proof, program = hedge.certificate, hedge.program
    if hedge.problem.market is not hedge.market:
        return ["the hedge was found in another market than its list would be made in; hedge again"]
    if program.cvxpy_terms or abs(objective(program, hedge.h) - proof.primal) <= GAP_TOLERANCE * proof.scale:
        return []
    return ["the hedge's certificate is of other quantities than its own; hedge again"]


def _in_lots(hedge: Hedge, whole: Hedge, beyond: Failed, tickets: Tickets, left: Callable[[], float | None]) -> Hedge:
    """The hedge in whole lots, within its lines, of few of them where tickets matter; adds notes of what changed."""
    many = tickets.few and hedge.status is not Status.ROUNDED
    if not (beyond.notes or many):
        return whole
    first = within(hedge, beyond.lines.most, left())
    if not many or _unproved(first):
        return round_to_lots(first, deadline=left())
    fewer, told = with_few_lines(first, beyond.lines.most, tickets, left)
    beyond.notes.extend(told)
    return beside(round_to_lots(fewer, deadline=left()), first)


def _unmoved(hedge: Hedge) -> Hedge:
    """The hedge that trades nothing, for a list that could not be made."""
    start = np.clip(hedge.program.start, hedge.program.lower, hedge.program.upper)
    return hedge.with_quantities(start, replace(hedge.certificate, status=Status.FAILED))


def _lines(hedge: Hedge, book: str, *, checked: bool) -> dict[str, list[Any]]:
    problem, told = hedge.problem, np.full(len(hedge.problem.names), "", dtype=object)
    told[problem.tradable] = served(hedge) if checked else [f"NOT CHECKED: {one}" for one in served(hedge)]
    costs = np.sum([hedge.cost_parts[name] for name in TRADING], axis=0) + Tickets.of(hedge.model.lots).ticket_fee
    traded = np.flatnonzero(hedge.trades.to_numpy())
    return columns_at(
        hedge.market, problem.positions[traded], hedge.trades.to_numpy()[traded], book=book, model=hedge.model.name,
        model_hash=hedge.model.fingerprint, expected=costs[traded], told=told[traded].tolist(),
    )  # fmt: skip
