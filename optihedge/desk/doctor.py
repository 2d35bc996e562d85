"""The doctor: what is wrong with a night before anybody hedges on it, on one screen, each fault with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from optihedge.content import canonical_text
from optihedge.desk.checkup.findings import Findings, times
from optihedge.desk.checkup.history import check_history
from optihedge.desk.checkup.today import Night, check_tonight, read_night
from optihedge.desk.checkup.whole import check_across
from optihedge.desk.checkup.yesterday import acted_on, check_against, check_books
from optihedge.errors import OptihedgeError
from optihedge.frames import counted, read_raw
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.market.store.store import Store, open_store
from optihedge.risk.contradictions import contradictions


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the doctor found of a night.

    findings   file, row (0: the file), subject, problem, remedy; empty: the night may be hedged
    due        what the day ahead brings to the books: time, instrument, what (expiries and announced events)
    """

    findings: pd.DataFrame
    due: pd.DataFrame

    @property
    def healthy(self) -> bool:
        """Nothing was found."""
        return self.findings.empty

    def to_json(self) -> str:
        """Findings and what is due, as one object."""
        return canonical_text({
            "healthy": self.healthy,
            "findings": self.findings.to_dict("records"),
            "due": self.due.to_dict("records"),
        })  # fmt: skip

    def __str__(self) -> str:
        lines = []
        for f in self.findings.itertuples():
            place = f"{f.file} row {f.row}" if f.row else f"{f.file}"
            lines.append(f"{place}{f' ({f.subject})' if f.subject else ''}: {f.problem}; {f.remedy}")
        lines += [f"due {d.time:%Y-%m-%d %H:%M} UTC: {d.instrument} {d.what}" for d in self.due.itertuples()]
        return "\n".join(lines) or "nothing found"


def doctor(
    data: Path | str,
    *,
    books: Iterable[Path | str] | None = None,
    before: Path | str | None = None,
    store: Store | Path | str | None = None,
    models: Iterable[str] = (),
    desk: Path | str | None = None,
    now: pd.Timestamp | None = None,
    market: Market | None = None,
) -> Diagnosis:
    """Look at a night's folder, its books and models, and compare with the night before.

    books    files, default book.csv of the folder where there is one
    before   folder of the night before, with its books of the same names; default the store's latest earlier market
    store    is verified, and gives the night before; where nothing is recorded yet there is none
    desk     a desk file: its ledger, folders and disk are looked at too
    now      an instant later than a day after as_of makes the night stale; by default its age is not looked at
    market   the folder's, where it has been read already

    Nothing is changed and nothing refused: what cannot be read is a finding too.
    """
    folder, found = Path(data), Findings()
    if not folder.is_dir():
        found.add(folder.name, 0, "", f"{folder} is no folder", "give the folder of the night")
        return Diagnosis(found.table(), _due(None))
    own = folder / "book.csv"
    paths = [Path(b) for b in books] if books is not None else [own] if own.is_file() else []
    night = read_night(folder, paths, found)
    check_tonight(night, found)
    check_across(night, found)
    _clock(night, now, found)
    kept = _store(store, found)
    earlier = _before(before, kept, night, found)
    check_history(earlier, night, found)
    if earlier is not None:
        check_against(earlier, night, found)
    if before is not None:
        check_books(_books(Path(before), paths, found), night, acted_on(earlier, night), found)
    for model in models:
        _model(model, found)
    if desk is not None:
        from optihedge.desk.checkup.machine import check_desk

        check_desk(Path(desk), found)
    _whole_market(folder, market, found)
    return Diagnosis(found.table(), _due(night))


def _whole_market(folder: Path, market: Market | None, found: Findings) -> None:
    """What the market as a whole contradicts or leaves out, of what is not told yet."""
    known, subjects = {row[3] for row in found.rows}, {row[2] for row in found.rows}
    try:
        for one in contradictions(market or read_market(folder)):
            if one.subject not in subjects and not any(text in one.detail for text in known):
                found.add("market", 0, one.subject, f"{one.kind}: {one.detail}", one.remedy)
    except OptihedgeError as error:
        if not found.rows:
            found.error(error, "market")


def _clock(night: Night, now: pd.Timestamp | None, found: Findings) -> None:
    if now is None or night.as_of is None:
        return
    if night.as_of > now:
        found.add("market.toml", 0, "", f"as_of {night.as_of} is after now", "say an instant that has been")
    elif now - night.as_of > pd.Timedelta("1D"):
        found.add(
            "quotes.csv",
            0,
            "",
            f"the night is of {night.as_of:%Y-%m-%d %H:%M} UTC, {counted((now - night.as_of).days, 'day')} ago",
            "bring tonight's files, or say --past where it is meant",
        )


def _store(store: Store | Path | str | None, found: Findings) -> Store | None:
    if store is None:
        return None
    if not isinstance(store, Store) and not (Path(store).is_dir() and any(Path(store).iterdir())):
        return None  # nothing is recorded yet: the first night has none before it
    try:
        kept = store if isinstance(store, Store) else open_store(store)
    except OptihedgeError as error:
        found.error(error, "log.jsonl")
        return None
    for row in kept.verify().itertuples():
        problem, _, remedy = str(row.problem).partition("; ")
        found.add(str(row.file), 0, "", problem, remedy)
    return kept


def _before(before: Path | str | None, store: Store | None, night: Night, found: Findings) -> Market | None:
    try:
        if before is not None:
            return read_market(before)
        if store is not None and night.as_of is not None:
            listed = store.snapshots(until=night.as_of - pd.Timedelta(1, "ns"))
            return store.open(listed["market"].iloc[-1]) if len(listed) else None
    except OptihedgeError as error:
        found.earlier(error)
    return None


def _books(before: Path, paths: list[Path], found: Findings) -> dict[str, pd.Series]:
    """The books of the night before in contracts, by file; one that cannot be read is told."""
    books = {}
    for old in (before / path.name for path in paths if (before / path.name).is_file()):
        try:
            book = read_book(old) if "quantity" in read_raw(old).columns else None
        except OptihedgeError as error:
            found.earlier(error)
            continue
        if isinstance(book, pd.Series):
            books[old.name] = book
    return books


def _model(model: str, found: Findings) -> None:
    from optihedge.hedge.modelfile import load_model
    from optihedge.trades.checks import Checks

    try:
        Checks.of(load_model(model).checks)
    except OptihedgeError as error:
        found.error(error, Path(model).name)


def _due(night: Night | None) -> pd.DataFrame:
    """Expiries of held contracts and events within the day after as_of."""
    rows: list[tuple[pd.Timestamp, str, str]] = []
    if night is not None and night.as_of is not None:
        ends = times(night.instruments, "expiry")
        held = {label for book in night.books.values() for label in book.index}
        until = night.as_of + pd.Timedelta("1D")
        rows += [(t, str(n), "expires") for n, t in ends.items() if n in held and night.as_of < t <= until]
        if len(night.events):
            when = times(night.events, "time")
            soon = night.events[(when > night.as_of) & (when <= until)]
            rows += [(times(soon, "time")[i], str(r["instrument"]), str(r["kind"])) for i, r in soon.iterrows()]
    return pd.DataFrame(sorted(rows), columns=["time", "instrument", "what"])
