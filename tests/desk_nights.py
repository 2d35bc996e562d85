"""A desk with a store and a ledger in a folder, and its nights: what the tests of the ledger share."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from optihedge.accounts.fills import fills_frame, read_fills, read_reports, reports_frame
from optihedge.accounts.state import State
from optihedge.desk.deskfile import Desk, read_desk
from optihedge.desk.ledger.database import get_text, open_ledger
from optihedge.desk.ledger.facts import import_fills, import_reports
from optihedge.desk.ledger.reading import find_run, run_of
from optihedge.desk.night import Night, run_night
from optihedge.desk.outbox import send
from optihedge.market.events import Event, events_frame
from optihedge.market.snapshot import Market
from optihedge.market.store.store import open_store
from optihedge.step.broker import Broker

DESK = """
base_currency = "{base}"
[ledger]
url = "{url}"
[send]
approval = "none"
[models]
neutral = "{model}"
[policy]
type = "Always"
[books.one]
model = "neutral"
positions = "one.csv"
holds = "opening"
"""


def desk_in(
    folder: Path, markets: Iterable[Market], book: dict[str, float], events: Iterable[Event] = (), *,
    model: str = "delta_neutral", text: str = DESK, url: str = "sqlite:///ledger.db",
) -> Desk:  # fmt: skip
    """A desk of one book over recorded markets."""
    folder.mkdir(parents=True, exist_ok=True)
    markets, store = list(markets), open_store(folder / "store", create=True)
    for number, market in enumerate(markets):
        store.record(market, events_frame(events) if number == 0 and events else None)
    write_book(folder / "one.csv", book)
    (folder / "desk.toml").write_text(text.format(base=markets[0].base_currency, model=model, url=url))
    return read_desk(folder / "desk.toml")


def write_book(path: Path, book: dict[str, float]) -> None:
    pd.DataFrame({"instrument": list(book), "quantity": list(book.values())}).to_csv(path, index=False)


def one_night(desk: Desk, market: Market, broker: Broker | None = None, before: Market | None = None) -> Night:
    """The fills of what left since the market before, imported from a file; the night; its lists sent."""
    if broker is not None and before is not None:
        told(desk, broker, before, market)
    night = run_night(desk, as_of=market.as_of, who="ann")
    for result in night.results:
        if result.lines and result.role == "send":
            send(desk, result.run)
    return night


def told(desk: Desk, broker: Broker, before: Market, market: Market) -> None:
    """What the broker says of the orders that every book had open after the night before, by way of files."""
    ledger, night = open_ledger(desk.ledger), f"{before.as_of:%Y-%m-%dT%H:%M:%S}"
    for book in desk.books:
        with ledger.read() as connection:
            run = run_of(connection, find_run(connection, f"{book}@{night}"))
            state = State.from_text(get_text(connection, run["after"]))
        fills, reports = broker.execute(state.orders, before, market)
        fills_frame(fills).to_csv(desk.path.parent / "fills.csv", index=False)
        reports_frame(reports).to_csv(desk.path.parent / "reports.csv", index=False)
        with ledger.write() as connection:
            import_fills(connection, read_fills(desk.path.parent / "fills.csv"))
            import_reports(connection, read_reports(desk.path.parent / "reports.csv"))


def last_run(desk: Desk, book: str = "one") -> dict:
    """The row of the last night that stands."""
    with open_ledger(desk.ledger).read() as connection:
        return run_of(connection, find_run(connection, f"{book}@"))
