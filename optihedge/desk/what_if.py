"""What if, as a page in a browser: move a number of the model, leave a line out, see what follows. Nothing is written
but, where it was allowed, a name's word on a list (`past_page`).

`Question` and `answered` are plain Python; `page` puts them under widgets (Panel, the extra `serve`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optihedge.display import table_html
from optihedge.errors import OptihedgeError, require_extra
from optihedge.hedge.changes import numbers_of
from optihedge.hedge.modelfile import load_model, model_text
from optihedge.hedge.universe import Universe
from optihedge.market.snapshot import Market
from optihedge.trades.compare import compare
from optihedge.trades.tradelist import TradeList, trade_list

if TYPE_CHECKING:
    from optihedge.desk.past_page import Past
    from optihedge.hedge.model import HedgeModel

LOOPBACK = "127.0.0.1"
_DOCUMENT = "{% extends base %}{% block contents %}<main>{{ embed(roots.what_if) }}</main>{% endblock %}"
_NO_SPIN = ".bk-spin-btn{display:none!important}"  # buttons without a name: the arrow keys do the same
_TABLES = "table{border-collapse:collapse}th,td{padding:3px 10px;border-bottom:1px solid #ccc;white-space:nowrap}"
_SCROLLED = "<div tabindex='0' role='group' aria-label='answer' style='overflow-x:auto'>{}</div>"  # by the keyboard too
_LIMITS = ("before", "after", "lower", "upper", "shadow_price", "unit")


@dataclass(frozen=True)
class Question:
    """A model file by name or path, changes of it (KEY=VALUE, see `hedge.changes`), and instruments not to trade."""

    model: str
    changes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def asked(self) -> HedgeModel:
        """The model that it asks of. Raises SpecError."""
        model = load_model(self.model, changes=self.changes)
        if not self.excluded:
            return model
        universe = model.universe if isinstance(model.universe, Universe) else Universe()
        return replace(model, universe=replace(universe, frozen=(*universe.frozen, *self.excluded)))


def answered(market: Market, book: pd.Series, question: Question) -> tuple[TradeList | None, pd.DataFrame, str]:
    """The list that follows (None where there is none), figures beside those of the unchanged model, and why not."""
    try:
        models = {"as it is": load_model(question.model), "what if": question.asked()}
        return trade_list(models["what if"].hedge(market, book)), compare(market, book, models), ""
    except OptihedgeError as error:
        return None, pd.DataFrame(), f"{error.code}: {error}"


def page(
    market: Market,
    books: Mapping[str, pd.Series],
    models: tuple[str, ...],
    past: Callable[[], list[Past]] | None = None,
) -> Any:
    """The page as a Panel layout, one column of widgets and one of answers; with `past`, runs that were on a tab
    beside. Raises SpecError without Panel.
    """
    pn = _panel()
    model = pn.widgets.Select(label="model", options=list(models), value=models[0])
    book = pn.widgets.Select(label="book", options=list(books), value=next(iter(books)))
    excluded = pn.widgets.MultiSelect(label="do not trade", options=[], value=[], size=8)
    numbers = pn.Column()
    shown = pn.Column(min_width=300, max_width=1000)

    def fill(*_: object) -> None:
        numbers[:] = [_number(pn, key, value, show) for key, value in numbers_of(model_text(model.value)).items()]
        excluded.param.update(options=list(market.names[market.instruments["hedge"]]), value=[])
        show()

    def show(*_: object) -> None:
        before = numbers_of(model_text(model.value))
        changes = tuple(f"{w.label}={w.value!r}" for w in numbers if w.value is not None and w.value != before[w.label])
        question = Question(model.value, changes, tuple(excluded.value))
        shown[:] = [
            pn.pane.HTML(_SCROLLED.format(part), sizing_mode="stretch_width", stylesheets=[_TABLES])
            for part in parts(market, books[book.value], question)
        ]

    model.param.watch(fill, "value")
    for widget in (book, excluded):
        widget.param.watch(show, "value")
    fill()
    title = pn.pane.HTML(f"<h1>What if, {escape(market.as_of.strftime('%Y-%m-%d %H:%M'))} UTC</h1>"
                         "<p>Nothing is written and nothing is sent.</p>")  # fmt: skip
    asked = pn.Column(title, pn.FlexBox(pn.Column(model, book, excluded, numbers, width=320), shown))
    if past is None:
        return asked
    from optihedge.desk.past_page import past_panel

    return pn.Tabs(("what if", asked), ("runs", past_panel(pn, past())))


def parts(market: Market, book: pd.Series, question: Question) -> list[str]:
    """The answers as HTML: verdict, figures beside the unchanged model's, lines, limits and their prices."""
    listed, figures, why = answered(market, book, question)
    if listed is None:
        return [f"<h2>No list</h2><p>{escape(why)}</p>"]
    told = [f"<p>HELD: {escape(reason)}</p>" for reason in listed.reasons]
    head = f"<h2>{escape(listed.verdict.upper())}</h2>{''.join(told)}<p>{escape(', '.join(question.changes))}</p>"
    lines = listed.proposed[["instrument", "side", "quantity", "limit_price", "notional", "cost", "reason"]]
    limits = listed.hedge.limits
    found = [head, table_html(figures, "figures"), table_html(_said(lines.set_index("instrument")), "lines")]
    return [*found, table_html(_said(limits[list(_LIMITS)]), "limits and shadow prices")] if len(limits) else found


def _said(frame: pd.DataFrame) -> pd.DataFrame:
    """Its columns that say something somewhere: no empty text, no number that is missing or no bound."""
    nothing = frame.isna() | (frame == "") | frame.isin([np.inf, -np.inf])
    return frame.loc[:, ~nothing.all() | (len(frame) == 0)]


def serve(
    market: Market, books: Mapping[str, pd.Series], models: tuple[str, ...], *, port: int, show: bool,
    past: Callable[[], list[Past]] | None = None,
) -> None:  # fmt: skip
    """Serve the page on this machine alone until stopped. Each visitor has a page of their own."""
    pn = _panel()
    pn.serve(lambda: _in_landmarks(pn, page(market, books, models, past)), address=LOOPBACK, port=port, show=show,
             title="optihedge: what if", websocket_origin=[f"{LOOPBACK}:{port}", f"localhost:{port}"])  # fmt: skip


def _in_landmarks(pn: Any, layout: Any) -> Any:
    """The layout as the main part of a document, for those who read by landmarks."""
    template = pn.Template(_DOCUMENT)
    template.add_panel("what_if", layout)
    return template


def _number(pn: Any, key: str, value: float, show: Any) -> Any:
    kind = pn.widgets.IntInput if isinstance(value, int) else pn.widgets.FloatInput
    widget = kind(label=key, value=value, stylesheets=[_NO_SPIN])
    widget.param.watch(show, "value")
    return widget


def _panel() -> Any:
    if find_spec("panel") is None:
        raise require_extra("panel", "serve")
    import panel

    return panel
