"""orders.json: of one instant, the list of each book that may be sent. Who sends reads this and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from textwrap import indent

from optihedge.batch.output import write_file

ORDERS = "orders.json"
WAITING, DONE, WITHDRAWN = "waiting", "done", "withdrawn"


@dataclass(frozen=True)
class Order:
    """A list that a run promised for a book, or that it withdrew.

    status   done: it stands at `path` (from the folder of orders.json) with these bytes; waiting: the run goes on, or
             was killed; held, failed, skipped: there is none, `why` says more; withdrawn: of an earlier run, gone
    lines    orders in it
    """

    book: str
    model: str
    status: str = WAITING
    path: str | None = None
    sha256: str | None = None
    lines: int | None = None
    why: str = ""

    @property
    def content(self) -> tuple[str, str, str | None]:
        """What makes two lists the same."""
        return self.book, self.model, self.sha256

    @cached_property
    def text(self) -> str:
        """As it stands in the index."""
        return indent(json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False), "  ")


@dataclass
class Orders:
    """The index of one instant while a run writes it; on disk after every change.

    instant   as in the lists;  data  sha256 of the market's files;  market  its content hash
    lists     one per book;  withdrawn  of earlier runs, but those written again byte for byte
    """

    folder: Path
    instant: str
    data: str
    market: str
    lists: dict[str, Order]
    withdrawn: tuple[Order, ...] = ()
    complete: bool = False

    def settle(self, order: Order) -> None:
        """Put what became of the list of a book."""
        self.lists[order.book] = order
        self.write()

    def end(self, complete: bool) -> None:
        """The run is over: nothing is still waited for."""
        standing = {order.content for order in self.lists.values() if order.status == DONE}
        self.withdrawn = tuple(order for order in self.withdrawn if order.content not in standing)
        self.complete = complete
        self.write()

    def write(self) -> None:
        """Write it, whole."""
        said = {"instant": self.instant, "data_sha256": self.data, "market_hash": self.market}
        body = {name: json.dumps(value) for name, value in {**said, "complete": self.complete}.items()}
        body["lists"] = _array([self.lists[book].text for book in sorted(self.lists)])
        body["withdrawn"] = _array([order.text for order in self.withdrawn])
        lines = ",\n".join(f' "{name}": {body[name]}' for name in sorted(body))
        write_file(self.folder / ORDERS, f"{{\n{lines}\n}}\n")


def _array(items: list[str]) -> str:
    return "[\n" + ",\n".join(items) + "\n ]" if items else "[]"


def withdrawn_before(folder: Path) -> tuple[Order, ...]:
    """What earlier runs withdrew, by the index in a folder; none where it is not there or cannot be read."""
    try:
        rows = json.loads((folder / ORDERS).read_text(encoding="utf-8"))["withdrawn"]
        return tuple(Order(**row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def merged(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Withdrawn orders, each content once, sorted."""
    once = {order.content: replace(order, status=WITHDRAWN, why="") for order in orders}
    return tuple(once[content] for content in sorted(once, key=str))
