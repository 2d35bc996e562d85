"""Runs of the past beside the what-if page: each run's own page; with leave, a list approved or held back by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from optihedge.batch.record import PAGE
from optihedge.desk.deskfile import Desk
from optihedge.desk.ledger.database import open_ledger
from optihedge.desk.ledger.reading import files_of, run_of, runs_of
from optihedge.desk.outbox import approve, hold
from optihedge.errors import OptihedgeError

_MOST = 500  # runs, the latest


@dataclass(frozen=True)
class Past:
    """A run that was. page: reads its page;  judge: approves its list (True) or holds it back, and says so; None: what
    has no list, or nobody may judge here."""

    label: str
    page: Callable[[], str]
    judge: Callable[[bool], str] | None = None


def of_folder(out: Path) -> list[Past]:
    """The runs under OUT/AS_OF/BOOK/MODEL that have a page, the latest first."""
    found = sorted(out.glob(f"*/*/*/{PAGE}"), reverse=True)[:_MOST]
    return [
        Past(" / ".join(path.relative_to(out).parts[:3]), partial(path.read_text, encoding="utf-8")) for path in found
    ]


def of_desk(desk: Desk, who: str | None = None) -> list[Past]:
    """The runs of a desk's ledger, the latest first. who: under whose name lists may be approved; None: not at all."""
    with open_ledger(desk.ledger).read() as connection:
        rows = [row for row in runs_of(connection) if row["status"] == "done"]
    return [_of_run(desk, row, who) for row in reversed(rows[-_MOST:])]


def _of_run(desk: Desk, row: dict[str, Any], who: str | None) -> Past:
    run = row["id"]

    def page() -> str:
        with open_ledger(desk.ledger).read() as connection:
            return files_of(connection, run).get(PAGE, "<p>This run left no page.</p>")

    def judge(yes: bool) -> str:
        with open_ledger(desk.ledger).read() as connection:
            sha256 = run_of(connection, run)["sha256"]
        try:
            done = (
                approve(desk, run, sha256, who or "") if yes else hold(desk, run, sha256, who or "", "held on the page")
            )
        except OptihedgeError as error:
            return f"{error.code}: {error}"
        return f"{done.book}: {done.lines} lines {'approved' if yes else 'held back'} by {who}"

    label = f"{row['as_of'][:16]} / {row['book']} / {row['model']}: {row['outcome']}"
    return Past(label, page, judge if who is not None and row["sha256"] else None)


def past_panel(pn: Any, runs: list[Past]) -> Any:
    """A run chosen by name, its page, and the two words where they may be said."""
    by_label = {one.label: one for one in runs}
    chosen = pn.widgets.Select(label="run", options=list(by_label), value=next(iter(by_label), None))
    yes, no = pn.widgets.Button(label="approve this list"), pn.widgets.Button(label="hold it back")
    said, shown = pn.pane.Str(""), pn.pane.HTML("", sizing_mode="stretch_width")

    def show(*_: object) -> None:
        one = by_label.get(chosen.value)
        said.object = ""
        for button in (yes, no):
            button.visible = one is not None and one.judge is not None
        page = "<p>There are no runs yet.</p>" if one is None else one.page()
        frame = "width:100%;height:80vh;border:1px solid #888"
        shown.object = (
            f"<iframe title='page of the run' sandbox='allow-scripts' style='{frame}' srcdoc=\"{escape(page)}\">"
        )

    def judge(word: bool) -> None:
        one = by_label[chosen.value]
        said.object = "" if one.judge is None else one.judge(word)

    chosen.param.watch(show, "value")
    yes.on_click(lambda _: judge(True))
    no.on_click(lambda _: judge(False))
    show()
    return pn.Column(pn.Row(chosen, yes, no), said, shown)
