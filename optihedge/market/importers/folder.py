"""A market folder: written from what was imported, and read back to add another source to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from optihedge.errors import DataError
from optihedge.frames import find_table, plain_text, read_raw
from optihedge.market.importers.imported import FRAMES, HISTORY, Imported
from optihedge.market.importers.instant import MarketFrames
from optihedge.market.importers.intake import Intake
from optihedge.market.levels import read_history

_TOGETHER = pd.Timedelta("1h")  # quotes of two imports that are of one market
UNITS = {
    "quantity, lot, min_quantity, sizes, volume": "contracts",
    "venue_amount": "what the venue counts for one contract",
    "price, bid, ask, mark, tick": "price units of the instrument (coin for an inverse option)",
    "multiplier": "units of the underlying per contract; quote currency for an inverse future",
    "fee": "one-way, fraction of notional; fee_cap of an option's value; fee_per_contract in its currency",
    "vol": "decimal",
    "funding_rate": "per interval of funding_hours, positive: long pays",
    "time, expiry": "UTC",
}


def write_market(found: Imported, folder: Path | str, frames: MarketFrames, sources: dict[str, str]) -> Path:
    """Write market.toml, instruments, quotes, depth, book, fills, events, what was left, and import.json; its path.

    A history that is there stays where the files say none.

    sources   file -> SHA-256 of what was read
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    instant = frames.as_of.isoformat().replace("+00:00", "Z")
    settings = {"base_currency": frames.base_currency, "as_of": instant, "on_missing": "freeze"}
    _write(folder / "market.toml", "".join(f'{key} = "{value}"\n' for key, value in settings.items()))
    books = frames.books if (frames.books["book"] != "").any() else frames.books.drop(columns="book")
    left = pd.concat([found.rejected, frames.left], ignore_index=True)
    tables = {
        "instruments": frames.instruments, "quotes": frames.quotes, "depth": frames.depth, "drivers": frames.drivers,
        "book": books,
        "fills": found.fills, "events": found.events, "left": left,
        "venue_greeks": found.greeks[found.greeks["time"] <= frames.as_of], "history": frames.history.reset_index(),
    }  # fmt: skip
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if len(table):
            _write(path, csv_text(table, keep=("bid", "ask") if name == "quotes" else ()))
        elif name != "history":
            path.unlink(missing_ok=True)
    about = {
        "as_of": instant, "base_currency": frames.base_currency, "files": sources, "units": UNITS,
        "notes": list(frames.notes), "notes_of_files": list(found.notes),
        "problems": list(frames.problems), "unread": list(found.problems),
        "rows": {name: len(table) for name, table in tables.items()},
    }  # fmt: skip
    _write(folder / "import.json", json.dumps(about, indent=1, sort_keys=True) + "\n")
    return folder


def csv_text(table: pd.DataFrame, keep: tuple[str, ...] = ()) -> str:
    """The table as CSV without its empty columns: UTC instants with Z, no text that a spreadsheet would compute."""
    empty = {name for name, column in table.items() if (column.isna() | (column.astype(str) == "")).all()}
    filled = table[[name for name in table.columns if name not in empty or name in keep]]
    out = {}
    for name, column in filled.items():
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            out[name] = [t.isoformat().replace("+00:00", "Z") if t is not pd.NaT else "" for t in column]
        elif pd.api.types.is_numeric_dtype(column):
            out[name] = column
        else:
            out[name] = [plain_text(str(v)) if not pd.isna(v) else "" for v in column]
    return pd.DataFrame(out).to_csv(index=False, lineterminator="\n")


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text, encoding="utf-8", newline="")
    aside.replace(path)


def markets_of(folder: Path | str) -> list[str]:
    """The market drivers that a folder's drivers.csv names: an import with --add keeps them."""
    path = find_table(Path(folder), "drivers")
    frame = None if path is None else read_raw(path)
    if frame is None or "market" not in frame.columns:
        return []
    return list(frame["driver"][frame["market"].astype(str).str.lower().isin(("true", "1"))])


def past_of(folder: Path | str) -> list[str]:
    """The drivers whose levels a folder's history.csv has: an import that says none leaves that file alone."""
    path = find_table(Path(folder), "history")
    return [] if path is None else [str(name) for name in read_raw(path).columns.drop("time", errors="ignore")]


def joined(found: Imported, folder: Path | str) -> Imported:
    """What was imported, with what a folder that an import wrote already holds: its other contracts, quotes and books.

    A contract of both is the new one; positions and cash of the same book and contract, and parts of a quote, likewise.
    Raises DataError where the folder is none of an import.
    """
    folder = Path(folder)
    if not (folder / "import.json").is_file():
        raise DataError(f"{folder} holds no import.json: no import wrote it; import into it without --add first")
    about = json.loads((folder / "import.json").read_text(encoding="utf-8"))
    seen = pd.Timestamp(about["as_of"])
    before = Intake()
    for name in ("instruments", "depth", "fills", "events"):
        path = find_table(folder, name)
        if path is not None:
            frame = read_raw(path).replace("", None)
            before.add(name, frame if name != "depth" else frame.assign(time=seen))
    quotes, book = (find_table(folder, name) for name in ("quotes", "book"))
    if quotes is not None:
        frame = read_raw(quotes).replace("", None)
        before.quotes(frame.assign(time=pd.to_datetime(frame["time"], utc=True, format="ISO8601")))
    if book is not None:
        frame = read_raw(book)
        before.add(
            "books", frame.assign(book=frame.get("book", ""), time=pd.NaT, scope="before " + frame["instrument"])
        )
    if len(found.history):
        before.add("history", _levels_in(folder))
    old = before.imported(amounts=False)
    merged = {}
    for name in FRAMES:
        mine, theirs = getattr(found, name), getattr(old, name)
        if name in ("instruments", "depth", "books"):
            theirs = theirs[~theirs["instrument"].isin(mine["instrument"])]
        elif name == "quotes":  # part by part: a book's best replaces no vol and no funding
            new = pd.MultiIndex.from_frame(mine[["instrument", "part"]])
            theirs = theirs[~pd.MultiIndex.from_frame(theirs[["instrument", "part"]]).isin(new)]
        elif name == "history":
            new = pd.MultiIndex.from_frame(mine[["driver", "time"]])
            theirs = theirs[~pd.MultiIndex.from_frame(theirs[["driver", "time"]]).isin(new)]
        merged[name] = pd.concat([part for part in (theirs, mine) if len(part)] or [mine], ignore_index=True)
    apart = _apart(old.quotes, found.quotes)
    unread = (text for text in about.get("unread", []) if not text.startswith(tuple(found.used) or "\0"))
    return replace(
        found,
        problems=(*unread, *found.problems),
        money=about["base_currency"],
        notes=(*about.get("notes_of_files", ()), *found.notes, *apart),
        **merged,
    )


def _apart(before: pd.DataFrame, added: pd.DataFrame) -> tuple[str, ...]:
    """A note where the latest bids and asks of two imports are further apart than an hour: they are of two markets."""
    first, second = (quotes.loc[quotes[["bid", "ask"]].notna().any(axis=1), "time"].max() for quotes in (before, added))
    if pd.isna(first) or pd.isna(second) or abs(second - first) <= _TOGETHER:
        return ()
    hours = abs(second - first) / pd.Timedelta("1h")
    return (
        f"the quotes added are of {second:%Y-%m-%d %H:%M} UTC and the folder's of {first:%Y-%m-%d %H:%M} UTC, "
        f"{hours:.1f} hours apart: what moved between stands as a difference of venues; import both as of one instant",
    )


def _levels_in(folder: Path) -> pd.DataFrame:
    """The rows (driver, time, level) of the history that a folder holds. Raises DataError for one of bare dates."""
    path = find_table(folder, "history")
    if path is None:
        return pd.DataFrame(columns=list(HISTORY))
    levels, dates = read_history(read_raw(path))
    if dates:
        raise DataError(
            f"{path} has dates, the files' levels have times of day; write its times as 2026-01-20T21:00:00Z"
        )
    return levels.melt(ignore_index=False, value_name="level").reset_index().dropna(subset=["level"])
