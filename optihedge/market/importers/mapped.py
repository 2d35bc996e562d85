"""Any table, by a map: map.toml says which of its columns are ours, in which units and with which signs.

base_currency = "EUR"              # what all is measured in, where the files do not say it
venue = "mybroker"
zone = "Europe/Stockholm"          # of times without one
separator = ";"                    # default: the one that fills the lines
decimal = ","                      # default "."
skip = 2                           # lines before the header

[[table]]
files = "positions*.csv"           # default: every file that has the columns
kind = "positions"                 # instruments, quotes, depth, positions, fills, events, history
where = { Type = ["BUY", "SELL"] } # only rows with one of these words
[table.columns]
instrument = "Ticker"                                   # ours = "theirs"
quantity = { column = "Shares", minus = { Side = ["SELL"] } }   # negative where Side is SELL
vol = { column = "IV", factor = 0.01 }                  # percent to decimal
type = { value = "equity" }                             # the same for every row
right = { column = "C/P", words = { Call = "C", Put = "P" } }
time = { column = "Date", format = "%d.%m.%Y %H:%M:%S" }

[[table]]
kind = "history"                   # past levels of drivers: a column each, or rows of instrument and level
[table.columns]
time = "Date"
SPX = "S&P close"                                       # the price of SPX, by the name that contracts on it give
"vol:SPX:30d" = { column = "VIX", factor = 0.01 }       # vol:UNDERLYING:TENOR, rate:CURRENCY:TENOR, basis:U:VENUE:TENOR
level = { column = "*", factor = 0.01 }                 # every other column by its own name: here pence
"""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest, read_settings
from optihedge.market.importers.imported import EVENTS, FILLS, HISTORY, INSTRUMENTS, PARTS
from optihedge.market.importers.intake import TEXTS, TIMES, TWICE, Intake
from optihedge.market.importers.listed import CLOSES
from optihedge.market.importers.raw import RawFile
from optihedge.market.importers.tables import csv_records, written_numbers

KINDS = ("instruments", "quotes", "depth", "positions", "fills", "events", "history")
_SETTINGS = ("base_currency", "venue", "zone", "separator", "decimal", "skip", "table")
_QUOTES = tuple(field for fields in PARTS.values() for field in fields)
_OURS = {*INSTRUMENTS, *_QUOTES, *FILLS, *EVENTS, "book", "quantity", "side", "size", "exercise", "level"}
_NO_MAP = """source csv needs a map of its columns: --map map.toml, such as

base_currency = "USD"
zone = "America/New_York"
[[table]]
kind = "positions"
[table.columns]
instrument = "Symbol"        # ours = "theirs"
quantity = "Quantity"
mark = "Last Price"
time = "As Of"
"""
_EVERY = "*"
_RULES = ("column", "value", "factor", "words", "minus", "format")


def read_map(path: Path | str) -> dict[str, Any]:
    """The settings of a map. Raises SpecError naming what is misspelt or missing."""
    settings = read_settings(path)
    for key in settings:
        if key not in _SETTINGS:
            raise SpecError(f"{path}: key {key} is not known{nearest(key, _SETTINGS)}")
    for number, table in enumerate(settings.get("table", []), start=1):
        kind, columns = table.get("kind"), table.get("columns", {})
        if kind not in KINDS:
            raise SpecError(f"{path}: table {number} has kind {kind!r}; write one of {', '.join(KINDS)}")
        for ours, rule in columns.items():
            if ours not in _OURS and kind != "history":  # there any other name is a driver's
                raise SpecError(f"{path}: {ours} is no column of ours{nearest(ours, _OURS)}")
            unknown = [key for key in rule if key not in _RULES] if isinstance(rule, dict) else []
            if unknown:
                raise SpecError(f"{path}: {ours} has {unknown[0]}, which is not known{nearest(unknown[0], _RULES)}")
        for needed in ("time",) if kind == "history" else ("instrument",):
            if needed not in columns:
                raise SpecError(f"{path}: table {number} ({kind}) says no column for {needed}; add it")
        if kind == "history" and ("instrument" in columns or len(columns) == 1) and "level" not in columns:
            raise SpecError(
                f'{path}: table {number} (history) says no column for level; level = "*" is every other one'
            )
    return settings


def read(raw: RawFile, intake: Intake) -> None:
    """Put one file into the intake by the map; one that no table of it fits is named."""
    settings = intake.settings
    if not settings:
        raise SpecError(_NO_MAP)
    if raw.form == "table":
        records = raw.content.astype(object).to_dict("records")
    elif raw.form == "text":
        skip, separator = int(settings.get("skip", 0)), str(settings.get("separator", ""))
        records = csv_records(str(raw.content), intake, separator=separator, skip=skip)
    else:
        intake.reject("the file", f"{raw.form} is no table; a map reads delimited text and parquet")
        return
    frame = pd.DataFrame(records)
    tables = [t for t in settings.get("table", []) if _fits(t, raw.name, frame)]
    if not tables:
        intake.reject(
            "the file", f"no table of the map fits its columns ({', '.join(map(str, frame.columns[:6]))} ...)"
        )
        return
    left = pd.Series(True, index=frame.index)
    for table in tables:
        chosen = _chosen(table, frame)
        left &= ~chosen
        put = _read_levels if table["kind"] == "history" else _read_table
        put(table, frame[chosen].reset_index(drop=True), settings, intake)
    if left.any():
        intake.reject("row", "none of the rows that the map asks for", count=int(left.sum()))


def finish(intake: Intake) -> None:
    """The money of the map, else that of the most instruments; one level a driver and time."""
    _one_level_a_time(intake)
    told = intake.frame("instruments")
    monies = told["currency"][told["currency"] != ""].value_counts()
    said = intake.settings.get("base_currency", "")
    intake.money = said or intake.money or (str(monies.index[0]) if len(monies) else "")
    held = intake.frame("books")["instrument"].drop_duplicates()
    bare = held[~held.isin({*told["instrument"], *told["currency"], intake.money, *CLOSES})]
    if len(bare):
        rows = pd.DataFrame({"instrument": bare, "type": "equity", "underlying": bare, "currency": intake.money})
        venue = intake.settings.get("venue", intake.venue)
        intake.add("instruments", rows.assign(multiplier=1.0, lot=1.0, symbol=bare, venue=venue))
        intake.note(f"{len(bare)} contracts, {bare.iloc[0]} first, are shares in {intake.money}: the map says no type "
                    "and no currency of them")  # fmt: skip


def _fits(table: dict[str, Any], name: str, frame: pd.DataFrame) -> bool:
    needs = {_theirs(rule) for rule in table["columns"].values()} - {None, _EVERY}
    return fnmatch.fnmatch(name, table.get("files", "*")) and needs <= set(frame.columns)


def _theirs(rule: Any) -> str | None:
    """The column that a rule reads."""
    return rule if isinstance(rule, str) else rule.get("column")


def _chosen(table: dict[str, Any], frame: pd.DataFrame) -> pd.Series:
    chosen = pd.Series(True, index=frame.index)
    for column, words in table.get("where", {}).items():
        if column not in frame.columns:
            raise DataError(
                f"map: where names {column}, which the file has not; there are {', '.join(map(str, frame.columns))}"
            )
        chosen &= frame[column].astype(str).str.strip().isin([words] if isinstance(words, str) else words)
    return chosen


def _read_table(table: dict[str, Any], frame: pd.DataFrame, settings: dict[str, Any], intake: Intake) -> None:
    """The rows of one table of the map, in our words, to where they belong."""
    rows = pd.DataFrame({ours: _values(ours, rule, frame, settings, intake) for ours, rule in table["columns"].items()})
    intake.used[intake.file] = intake.used.get(intake.file, 0) + len(rows)
    rows = rows.assign(**{"time": rows.get("time", pd.Series(pd.NaT, index=rows.index))})
    facts = [c for c in (*INSTRUMENTS, "exercise") if c in rows.columns and c != "instrument"]
    kind = table["kind"]
    if facts and kind in ("instruments", "quotes", "positions"):
        told = rows[["instrument", *facts]].drop_duplicates("instrument", keep="last")
        extra = {"venue": settings.get("venue", intake.venue), "symbol": told["instrument"]}
        intake.add("instruments", told.assign(**{k: v for k, v in extra.items() if k not in facts}))
    quoted = [c for c in _QUOTES if c in rows.columns]
    if kind == "positions":
        book = rows["book"] if "book" in rows.columns else intake.account
        intake.add("books", rows[["instrument", "quantity", "time"]].assign(book=book, scope="positions"))
        for label in rows["instrument"][frame.astype(str).duplicated()]:
            intake.lose(f"position of {label}", TWICE)
        if "mark" in quoted:
            intake.held_marks(rows["instrument"], rows["time"], rows["mark"])
    elif kind == "depth":
        intake.add("depth", rows)
    elif kind == "fills":
        given = {"source": settings.get("venue", intake.venue), "book": intake.account, "fill_id": "", "order_id": ""}
        intake.add("fills", rows.assign(**{k: v for k, v in given.items() if k not in rows.columns}))
    elif kind == "events":
        intake.add("events", rows)
    elif quoted:
        intake.quotes(rows[["instrument", "time", *quoted]])


def _read_levels(table: dict[str, Any], frame: pd.DataFrame, settings: dict[str, Any], intake: Intake) -> None:
    """Levels of drivers: rows that say of which, a column for each, or every column that no other rule reads."""
    rules = dict(table["columns"])
    times = _values("time", rules.pop("time"), frame, settings, intake)
    if "level" in rules and _theirs(rules["level"]) == _EVERY:
        every = rules.pop("level")
        used = {_theirs(rule) for rule in table["columns"].values()} | {*table.get("where", {})}
        rest = {} if isinstance(every, str) else every
        rules = {str(name): {**rest, "column": name} for name in frame.columns if name not in used} | rules
    if "instrument" in rules:
        names = _values("instrument", rules.pop("instrument"), frame, settings, intake)
        parts = [(names, _values("level", rules.pop("level"), frame, settings, intake))]
    else:
        parts = [(name, _values(name, rule, frame, settings, intake, number=True)) for name, rule in rules.items()]
    rows = pd.concat([pd.DataFrame({"driver": name, "time": times, "level": level}) for name, level in parts])
    intake.used[intake.file] = intake.used.get(intake.file, 0) + len(frame)
    rows = rows[rows["level"].notna() & rows["time"].notna() & (rows["driver"] != "")]
    intake.add("history", rows[list(HISTORY)])


def _one_level_a_time(intake: Intake) -> None:
    """Of two levels of a driver at one time neither is known: they are named, and left."""
    told = intake.frame("history").drop_duplicates()
    twice = told.duplicated(["driver", "time"], keep=False)
    for label, rows in told[twice].groupby("driver", sort=False):
        first = rows["time"].iloc[0]
        why = f"two that differ at one time, {first:%Y-%m-%d %H:%M} UTC first: neither is used"
        intake.reject(f"levels of {label}", why, count=len(rows))
    intake.replace("history", told[~twice])


def _values(
    ours: str, rule: Any, frame: pd.DataFrame, settings: dict[str, Any], intake: Intake, *, number: bool = False
) -> pd.Series:  # fmt: skip
    """One of our columns: theirs, with words translated, numbers read, units converted and signs set.

    number   it is one, whatever its name
    """
    rule = {"column": rule} if isinstance(rule, str) else rule
    raw = frame[rule["column"]] if "column" in rule else pd.Series([rule.get("value")] * len(frame), dtype=object)
    if "words" in rule:
        words = raw.astype(str).str.strip()
        strange = sorted({*words} - set(rule["words"]) - {""})
        if strange:
            intake.reject(f"{ours}: {strange[0]!r}", "no word of the map's", count=int(words.isin(strange).sum()))
        raw = words.map(rule["words"])
    if ours in TIMES and not number:
        return _times(ours, raw, rule.get("format"), str(settings.get("zone", "")), intake)
    if (ours in TEXTS or ours in ("side", "exercise")) and not number:
        return raw.where(raw.notna(), "").astype(str).str.strip()
    numbers = written_numbers(raw, str(settings.get("decimal", ".")))
    lost = numbers.isna() & raw.notna() & ~raw.astype(str).str.strip().isin(("", "-", "--"))
    if lost.any():
        intake.reject(f"{ours}: {raw[lost].iloc[0]!r}", "no number", count=int(lost.sum()))
    factor = float(rule.get("factor", 1.0))
    parts = round(1 / factor) if factor else 0
    numbers = numbers / parts if parts and factor == 1 / parts else numbers * factor  # 402 pence are 4.02
    for column, words in rule.get("minus", {}).items():
        numbers = numbers.abs().where(~frame[column].astype(str).str.strip().isin(words), -numbers.abs())
    return numbers


def _times(ours: str, raw: pd.Series, form: str | None, zone: str, intake: Intake) -> pd.Series:
    """UTC instants; a time without a zone needs the map's, and a bare date is its day's close at 16:00 there."""
    words = raw.where(raw.notna(), "").astype(str).str.strip()
    times = pd.to_datetime(words.where(words != ""), format=form or "mixed", errors="coerce")
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        if times.notna().any() and not zone:
            raise SpecError(
                f'map: {ours} {words[times.notna()].iloc[0]!r} has no time zone; write zone = "Europe/Berlin"'
            )
        dates = times.notna() & (times == times.dt.normalize()) & ~words.str.contains(":")
        local = times.where(~dates, times + pd.Timedelta(hours=16))
        times = local.dt.tz_localize(zone or "UTC", ambiguous=True, nonexistent="shift_forward")
    lost = (words != "") & times.isna()
    if lost.any():
        intake.reject(f"{ours}: {words[lost].iloc[0]!r}", "no time; give its format", count=int(lost.sum()))
    return times.dt.tz_convert("UTC").dt.as_unit("ns")
