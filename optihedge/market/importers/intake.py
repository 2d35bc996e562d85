"""Intake: where readers put what they find. Records are told apart by their fields, never by the name of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import OptihedgeError
from optihedge.frames import nearest
from optihedge.market.families import TYPES
from optihedge.market.importers.fields import Fields, fields_within, label_in
from optihedge.market.importers.imported import FRAMES, HELD, PARTS, Imported


@dataclass(frozen=True)
class Shape:
    """A kind of record, known by the fields it has.

    needs, lacks   fields that it has, and that it never has
    read           puts a frame of such records into an Intake; None: understood, and `why` it has no place here
    holds          of what one holds: fields any of which tells that a record is such, should others be missing
    """

    name: str
    needs: frozenset[str]
    read: Callable[[Fields, Intake], None] | None = None
    why: str = ""
    lacks: frozenset[str] = frozenset()
    holds: frozenset[str] = frozenset()


def shape(
    name: str, needs: str, read: Callable[[Fields, Intake], None] | None = None, why: str = "", lacks: str = "",
    holds: str = "",
) -> Shape:  # fmt: skip
    """A Shape with its fields written as words."""
    words = (frozenset(words.split()) for words in (needs, lacks, holds))
    return Shape(name, next(words), read, why, *words)


TWICE = "it comes twice in the same words: two lots, or one row twice? It is counted twice"


class Intake:
    """What the files of one source have said so far.

    venue     whose contracts they are;  until   later observations are not read, and the time of those without one
    account   the book that positions, cash and fills belong to
    money     the currency that the source itself reckons in
    fees      an account's own taker fees, by whatever key the source uses: how (fixed, relative) and how much
    settings  the map of columns, for tables of any shape
    used      by file, how many of its records were read
    option_value   by currency, what the account's options are worth;  hours   by label, hours between fundings
    names     symbols by a source's numbers
    whole_books, changes   by label, books and their numbered updates, which come in any order of files
    problems  what is held, or may be, and could not be read, in sentences
    moves     what changed holdings and is no fill here, in sentences
    refused   contracts that a list of instruments describes in words that are not known: no name describes them
    tells     fields that only records of what one holds have
    strange   the last file that says something of no known shape
    """

    def __init__(self, venue: str = "", until: pd.Timestamp | None = None, account: str = "") -> None:
        self.venue, self.until, self.account = venue, until, account
        self.file = ""
        self.money = ""
        self.fees: dict[tuple[str, str], tuple[str, float]] = {}
        self.option_value: dict[str, float] = {}
        self.hours: dict[str, float] = {}
        self.names: dict[str, str] = {}
        self.whole_books: dict[str, tuple[float, Any]] = {}
        self.changes: dict[str, list[Any]] = {}
        self.notes: list[str] = []
        self.used: dict[str, int] = {}
        self.settings: dict[str, Any] = {}
        self.problems: list[str] = []
        self.moves: list[str] = []
        self.refused: set[str] = set()
        self.strange = ""
        self.tells: frozenset[str] = frozenset()
        self._frames: dict[str, list[pd.DataFrame]] = {name: [] for name in FRAMES}

    def add(self, name: str, frame: pd.DataFrame) -> None:
        """Rows of one of the frames of `Imported`. Observations without an instrument or after `until` are dropped."""
        frame = _typed(frame)
        if name == "books":
            frame = self._holdings(frame)
        elif name == "fills" and len(frame):
            frame = self._whole_fills(frame)
        if name != "books" and self.until is not None and "time" in frame.columns:
            frame = frame[~(frame["time"] > self.until)]
        if len(frame):
            self._frames[name].append(frame)

    def _holdings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of one statement; one that says no contract is named."""
        unnamed = (frame["instrument"] == "") & (frame["quantity"] != 0)
        if unnamed.any():
            size = frame["quantity"][unnamed].iloc[0]
            self.lose(f"a holding of {size:g}", "of what, or in what money, is not said", count=int(unnamed.sum()))
        return frame[frame["instrument"] != ""].assign(statement=len(self._frames["books"]))

    def _whole_fills(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fills whose quantity, price and time can be read; the others, and those of no contract, are named."""
        if (frame["instrument"] == "").any():
            self.move("a fill", "of what, or in what money, is not said", count=int((frame["instrument"] == "").sum()))
        whole = frame.reindex(columns=["quantity", "price", "time"]).notna().all(axis=1)
        for label in frame["instrument"][~whole]:
            self.move(f"fill of {label}", "its quantity, price or time cannot be read")
        return frame[whole]

    def holds(self, instrument: pd.Series, quantity: pd.Series, time: pd.Series, scope: str | pd.Series) -> None:
        """Rows of one statement of what the account holds; a later one of the same scope replaces it."""
        rows = {"book": self.account, "instrument": instrument, "quantity": quantity, "time": time, "scope": scope}
        self.add("books", pd.DataFrame(rows))

    def quotes(self, frame: pd.DataFrame) -> None:
        """Quotes (instrument, time, any fields of QUOTES): split into the parts that their columns speak of."""
        frame = frame.assign(time=_instants(frame["time"]))
        timeless = frame["time"].isna()
        if timeless.any() and self.until is None:
            self.reject("quote", "it says no time; give --as-of, when it was seen", count=int(timeless.sum()))
        frame = frame.assign(time=frame["time"].fillna(self.until)) if self.until is not None else frame[~timeless]
        for part, fields in PARTS.items():
            spoken = [field for field in fields if field in frame.columns]
            if spoken:
                said = frame[["instrument", "time", *spoken]].assign(part=part)
                self.add("quotes", said[said[spoken].notna().any(axis=1)] if part != "top" else said)

    def held_marks(self, instrument: pd.Series, time: pd.Series, mark: pd.Series) -> None:
        """Marks that a statement of positions gives: used where no market data has one. One that says no time is of the
        instant of the market, as its position is.
        """
        rows = pd.DataFrame({"instrument": instrument, "time": time, "mark": mark, "part": HELD})
        self.add("quotes", rows[rows["mark"].notna()])

    def reject(self, what: str, why: str, place: str = "", count: int = 1) -> None:
        """Name something of the file being read that is left aside."""
        row = {"file": self.file, "place": place, "what": what, "why": why, "count": count}
        self._frames["rejected"].append(pd.DataFrame([row]))

    def lose(self, what: str, why: str, place: str = "", count: int = 1) -> None:
        """Name something that is held, or may be, and cannot be read: a market with such a problem is no whole one."""
        self.reject(what, why, place, count)
        where = " ".join(word for word in (self.file, place) if word)
        told = f"{where}: {what}{f' ({count} times)' if count > 1 else ''}: {why}; mend or renew it"
        if told not in self.problems:
            self.problems.append(told)

    def move(self, what: str, why: str, place: str = "", count: int = 1) -> None:
        """Name shares that came or went without a fill that can be read: a sum of fills lacks them."""
        self.reject(what, why, place, count)
        where = " ".join(word for word in (self.file, place) if word)
        self.moves.append(f"{where}: {what}{f' ({count} rows)' if count > 1 else ''}: {why}; the sum of fills lacks it")

    def silent(self) -> bool:
        """Whether nothing was read of the present file, and nothing of it named."""
        named = any((part["file"] == self.file).any() for part in self._frames["rejected"])
        return not named and not self.used.get(self.file)

    def note(self, text: str) -> None:
        """Say once what was assumed or taken from elsewhere than the files."""
        if text not in self.notes:
            self.notes.append(text)

    def records(self, records: Iterable[tuple[str, dict]], shapes: tuple[Shape, ...]) -> None:
        """Sort the records of a file by shape and read each kind at once; the first shape that fits has it."""
        tells = self.tells.union(*(one.holds for one in shapes))
        known: dict[frozenset[str], int] = {}
        groups: dict[int | str, list[dict]] = {}
        places: dict[int | str, list[str]] = {}
        for place, record in records:
            keys = frozenset(record)
            if keys not in known:
                fits = (i for i, one in enumerate(shapes) if one.needs <= keys and not one.lacks & keys)
                fit = next(fits, -1)
                known[keys] = fit if fit < 0 or shapes[fit].holds or not keys & tells else -1
            if record.get("value", "") is None:
                self.lose("an answer", "it is empty (null): what was asked for is not said", place)
                continue
            fit = known[keys]
            group: int | str = fit if fit >= 0 else " ".join(sorted(k for k in keys if not k.startswith("_"))[:6])
            groups.setdefault(group, []).append(record)
            places.setdefault(group, []).append(place)
            if fit < 0 and keys and not place.startswith("line"):
                self.strange = self.file
        for group, rows in groups.items():
            where = places[group]
            if isinstance(group, str):
                self._unknown(group, rows, where, shapes, tells)
            elif (one := shapes[group]).read is None:
                self.reject(one.name, one.why, where[0], len(rows))
            else:
                self.used[self.file] = self.used.get(self.file, 0) + len(rows)
                if one.holds:
                    self._doubled(one, rows, where)
                self._read(one, rows, where)

    def _unknown(
        self, group: str, rows: list[dict], where: list[str], shapes: tuple[Shape, ...], tells: frozenset[str]
    ) -> None:  # fmt: skip
        """Records of no shape; those that tell of something held are each a problem, with the fields they lack."""
        for row, place in zip(rows, where, strict=True):
            told = tells & fields_within(row)
            if told:
                one = next((one for one in shapes if one.holds & told), shapes[0])
                lacks = ", ".join(sorted(one.needs - row.keys())) or "what a known one has"
                self.lose(f"{one.name} of {label_in(row) or 'what is not said'}", f"without {lacks}", place)
        if not tells & fields_within(rows[0]):
            self.reject(f"record with {group}", "no shape that is known", where[0], len(rows))

    def _doubled(self, one: Shape, rows: list[dict], where: list[str]) -> None:
        """Name what is told twice in the very same words: lots, or one row twice?"""
        seen: set[str] = set()
        for row, place in zip(rows, where, strict=True):
            said = repr(row)
            if said in seen:
                self.lose(f"{one.name} of {label_in(row) or 'what is not said'}", TWICE, place)
            seen.add(said)

    def _read(self, one: Shape, rows: list[dict], where: list[str]) -> None:
        """Read records of one shape; should one of them break its reader, each is read alone and the bad ones named."""
        assert one.read is not None
        before = {name: len(parts) for name, parts in self._frames.items()}
        try:
            one.read(Fields(pd.DataFrame(rows, dtype=object), self.reject, one.name, where), self)
        except OptihedgeError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            for name, length in before.items():
                del self._frames[name][length:]
            if len(rows) == 1:
                label = label_in(rows[0])
                what = f"{one.name} of {label}" if label else one.name
                tell = self.lose if one.holds else self.reject
                tell(what, f"a field of another kind than is known ({error})", where[0])
                return
            for row, place in zip(rows, where, strict=True):
                self._read(one, [row], [place])

    def _agreed(self, told: pd.DataFrame) -> pd.DataFrame:
        """One row a contract, the last. Of one told in two ways neither is known: it goes, or is a problem if held."""
        if told.empty:
            return told
        held = set(self.frame("books")["instrument"])
        gone = set()
        for name in _TERMS:
            said = told[told[name].notna() & (told[name].astype(str) != "")].drop_duplicates(["instrument", name])
            for label, rows in said[said["instrument"].duplicated(keep=False)].groupby("instrument", sort=False):
                why = f"{rows[name].iloc[0]} in one place, {rows[name].iloc[-1]} in another: which holds?"
                (self.lose if label in held else self.reject)(f"{name} of {label}", why)
                gone |= {label} - held
        last = told.drop_duplicates("instrument", keep="last")
        last = last[~last["instrument"].isin(gone)].reset_index(drop=True)
        last["type"] = last["type"].replace("", "equity")
        own = last["type"].isin(("equity", "spot", "index", "future")) & (last["underlying"] == "")
        last["underlying"] = last["underlying"].mask(own, last["instrument"])
        odd = ~last["type"].isin(list(TYPES))
        for label, word in zip(last["instrument"][odd], last["type"][odd], strict=True):
            tell = self.lose if label in held else self.reject
            tell(f"type {word!r} of {label}", f"no type of ours{nearest(word, TYPES)}; there are {', '.join(TYPES)}")
        return last[~odd].reset_index(drop=True)

    def _once(self, fills: pd.DataFrame) -> pd.DataFrame:
        """Each fill once; an id that comes again with another quantity, price or time is named, and its last counts."""
        if fills.empty:
            return fills
        said = ["book", "instrument", "quantity", "price", "time", "source"]
        equal = (fills["fill_id"] == "") & fills.duplicated([*said, "fill_id"])
        if equal.any():
            label = fills["instrument"][equal].iloc[0]
            self.note(
                f"{int(equal.sum())} fills come again in the same words and without an id, {label} first: all count"
            )
        fills = fills.assign(fill_id=_ids(fills))
        key = ["fill_id", "instrument", "source"]
        twice = fills.duplicated(key, keep="last")
        other = twice & ~fills.duplicated([*key, "quantity", "price", "time"], keep="last")
        for label in fills["fill_id"][other]:
            self.move(f"fill {label}", "its id comes again with another quantity, price or time; the last one counts")
        return fills[~twice]

    def replace(self, name: str, frame: pd.DataFrame) -> None:
        """Put a frame in the place of all rows so far."""
        self._frames[name] = [_typed(frame)] if len(frame) else []

    def frame(self, name: str) -> pd.DataFrame:
        """All rows so far of one of the frames, its columns first and in order."""
        columns = list(FRAMES[name])
        given = self._frames[name]
        if not given:
            return _EMPTY[name].copy()
        whole = pd.concat(given, ignore_index=True)
        return _typed(whole.reindex(columns=[*columns, *(c for c in whole.columns if c not in columns)]))

    def imported(self, *, amounts: bool = True) -> Imported:
        """Close the intake: one row of facts per instrument; `amounts`: those of the venue become contracts."""
        instruments = self._agreed(self.frame("instruments"))
        amount = instruments.set_index("instrument")["venue_amount"].astype(float).fillna(1.0)
        frames = {}
        for name, columns in (("quotes", ("bid_size", "ask_size", "volume")), ("depth", ("size",)),
                              ("books", ("quantity",)), ("fills", ("quantity",))):  # fmt: skip
            frames[name] = table = self.frame(name)
            if table.empty:
                continue
            per = table["instrument"].map(amount).astype(float).fillna(1.0) if amounts else 1.0
            for column in columns:
                table[column] = np.round(table[column] / per, 12)
        depth = frames["depth"]
        depth = depth[depth["time"] == depth.groupby("instrument")["time"].transform("max")]
        frames["depth"] = depth.drop_duplicates(["instrument", "side", "price"], keep="last")
        fills = frames["fills"]
        frames["fills"] = self._once(fills)
        rejected = self.frame("rejected")
        if len(rejected):
            by = ["file", "what", "why"]
            rejected = rejected.groupby(by, sort=False, as_index=False).agg(
                place=("place", "first"), count=("count", "sum")
            )
        return Imported(
            instruments=instruments, history=self.frame("history"), greeks=self.frame("greeks"),
            events=self.frame("events").drop_duplicates("event_id", keep="last", ignore_index=True),
            rejected=rejected[list(FRAMES["rejected"])], notes=tuple(self.notes), used=dict(self.used),
            money=self.money, problems=tuple(self.problems), moves=tuple(self.moves), **frames,
        )  # fmt: skip


def _ids(fills: pd.DataFrame) -> pd.Series:
    """Ids of fills; one that its source gives none gets the hash of what it says and of its number among equals."""
    if fills.empty:
        return fills["fill_id"]
    said = (
        fills[["book", "instrument", "quantity", "price", "time", "source"]]
        .astype(str)
        .fillna("")
        .agg("|".join, axis=1)
    )
    number = said.groupby(said).cumcount().astype(str)
    made = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in said + "|" + number]
    return fills["fill_id"].where(fills["fill_id"] != "", pd.Series(made, index=fills.index, dtype=object))


_TERMS = ("type", "underlying", "currency", "multiplier", "expiry", "strike", "right")
TEXTS = frozenset({
    "instrument", "type", "underlying", "currency", "right", "venue", "symbol", "part", "side", "book", "fill_id",
    "order_id", "money", "source", "event_id", "kind", "other", "scope", "driver", "file", "place", "what", "why",
})  # fmt: skip
TIMES = frozenset({"time", "expiry", "known_at"})


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Known columns as text, UTC instants and floats; further facts as they are."""
    known = {column for columns in FRAMES.values() for column in columns}
    typed: dict[str, pd.Series] = {}
    for name in frame.columns:
        values = frame[name]
        if name in TEXTS:
            typed[name] = values if len(values) == 0 else values.where(values.notna(), "").astype(object)
        elif name in TIMES:
            typed[name] = _instants(values)
        elif name in known and name not in TIMES:
            typed[name] = pd.to_numeric(values, errors="coerce").astype(float)
        else:
            typed[name] = values
    return pd.DataFrame(typed, columns=frame.columns, index=frame.index)


def _instants(values: pd.Series) -> pd.Series:
    """UTC instants to the nanosecond, whatever they came as."""
    zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
    return (values if zoned else pd.to_datetime(values, utc=True)).dt.as_unit("ns")


_EMPTY = {name: _typed(pd.DataFrame(columns=list(columns))) for name, columns in FRAMES.items()}
