"""Order books from messages: whole books and changes of levels, to the last state."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from optihedge.market.importers.fields import HUGE
from optihedge.market.importers.intake import Intake

OF_FILE = "?file:"  # of a book that does not name its instrument: the name of its file may


def file_label(name: str) -> str:
    """The label of a book whose message names no instrument, until its file's name is held against the known ones."""
    return OF_FILE + name


Level = tuple[float, float]
Message = tuple[pd.Timestamp, bool, list[Level], list[Level]]
"""Its time, whether it is a whole book, bids, asks (price, size); in a change a size of 0 takes the level away."""


def levels_of(levels: object) -> list[Level]:
    """Price and size of each level written as [price, size, ...], ['new', price, size] or a mapping; others go."""
    found = []
    for level in levels if isinstance(levels, (list, tuple)) else []:
        if isinstance(level, dict):
            pair = [level.get("price", level.get("px", level.get("p"))), level.get("size", level.get("sz", level.get(
                "amount", level.get("qty", level.get("s")))))]  # fmt: skip
        elif isinstance(level, (list, tuple)) and len(level) == 3 and level[0] in ("new", "change", "delete"):
            pair = [level[1], 0.0 if level[0] == "delete" else level[2]]
        else:
            pair = list(level[:2]) if isinstance(level, (list, tuple)) else []
        try:
            price, size = (float(value) for value in pair)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        if abs(price) <= HUGE and 0 <= size <= HUGE:
            found.append((price, size))
    return found


def last_book(label: str, messages: Iterable[Message], intake: Intake) -> None:
    """Put the book as it stands after the messages into the intake. Changes before the first whole book are named."""
    bids: dict[float, float] = {}
    asks: dict[float, float] = {}
    when, started, early = pd.NaT, False, 0
    for time, whole, new_bids, new_asks in messages:
        if intake.until is not None and time is not pd.NaT and time > intake.until:
            break
        if whole:
            bids, asks, started = {}, {}, True
        elif not started:
            early += 1
            continue
        for side, levels in ((bids, new_bids), (asks, new_asks)):
            for price, size in levels:
                if size > 0:
                    side[price] = size
                else:
                    side.pop(price, None)
        when = time
    if early:
        intake.reject(f"changes of the book of {label}", "no whole book came before them", count=early)
    if started:
        book(label, when, list(bids.items()), list(asks.items()), intake)


def book(label: str, time: pd.Timestamp, bids: list[Level], asks: list[Level], intake: Intake) -> None:
    """A whole book: its levels as depth, its best as a quote; nothing on a side is said as such."""
    bids = sorted(((p, s) for p, s in bids if s > 0), reverse=True)
    asks = sorted((p, s) for p, s in asks if s > 0)
    best = {"bid": bids[:1], "ask": asks[:1]}
    row: dict[str, object] = {"instrument": label, "time": time}
    for side, levels in best.items():
        row[side], row[f"{side}_size"] = levels[0] if levels else (math.nan, math.nan)
    intake.quotes(pd.DataFrame([row]))
    rows = [(label, time, side, p, s) for side, levels in (("bid", bids), ("ask", asks)) for p, s in levels]
    intake.add("depth", pd.DataFrame(rows, columns=["instrument", "time", "side", "price", "size"]))


def chained_books(intake: Intake) -> None:
    """Every numbered whole book, followed by the updates that chain from its number; the first gap ends it."""
    known = intake.frame("instruments").drop_duplicates("instrument").set_index("instrument")["symbol"]
    for label in [name for name in intake.whole_books if name.startswith(OF_FILE)]:
        inside = f"_{label.removeprefix(OF_FILE)}_"
        fits = [name for name, symbol in known.items() if symbol and f"_{symbol}_" in inside]
        if len(fits) == 1:
            intake.whole_books[str(fits[0])] = intake.whole_books.pop(label)
    for label, (number, whole) in intake.whole_books.items():
        chain: list[Message] = [whole]
        for first, last, prior, message in sorted(intake.changes.pop(label, []), key=lambda u: u[1]):
            if last <= number:
                continue
            linked = first <= number + 1 if len(chain) == 1 or math.isnan(prior) else prior == number
            if not linked:
                why = f"a gap after update {number:.0f}; the book is that of then"
                intake.reject(f"updates of the book of {label}", why)
                break
            chain.append(message)
            number = last
        last_book(label, chain, intake)
    for label, updates in intake.changes.items():
        intake.reject(f"updates of the book of {label}", "no whole book came before them", count=len(updates))
