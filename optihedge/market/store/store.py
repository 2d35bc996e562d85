"""The store: every market and event that was ever seen, by content, append-only, with what was known when.

store/
  snapshots/HASH.json       a market: settings and the hashes of its tables; sha256 of the file is its name
  objects/xx/HASH.parquet   tables by the hash of their values; history by calendar month
  log.jsonl                 one line a record, each holding the hash of the line before
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from optihedge.content import canonical_text
from optihedge.errors import DataError
from optihedge.files import write_bytes
from optihedge.frames import duration, instant, nearest
from optihedge.lock import locked
from optihedge.market.events import EVENTS, check_events, known_events
from optihedge.market.known import CARRIED
from optihedge.market.levels import by_month
from optihedge.market.snapshot import Market
from optihedge.market.store import files
from optihedge.market.store.venues import compare_venues, venue_prices
from optihedge.market.store.view import kept_for

_SETTINGS = ("base_currency", "as_of", "on_missing", "max_crossed")
_ELSE = (*_SETTINGS, *CARRIED, "max_age", "history")
_TABLES = tuple(f.name for f in fields(Market) if f.init and f.name not in _ELSE)
_HASH = re.compile(r"[0-9a-f]{64}")
When: TypeAlias = pd.Timestamp | str


@dataclass(eq=False)
class Store:
    """A folder of recorded markets; see `open_store`. One process writes at a time, any number read.

    Every method that takes `known_at` answers as one would have that day: later corrections and late events are unseen.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> kept = oh.store.open_store("store", create=True)
    >>> digest = kept.record(market)
    >>> kept.open(digest).hash == market.hash
    True
    """

    path: Path
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)  # small ones, read and found whole

    # ---- recording -------------------------------------------------------------------------------------------------

    def record(
        self,
        market: Market | None,
        events: pd.DataFrame | None = None,
        *,
        rows: Mapping[str, pd.DataFrame] | None = None,
        known_at: When | None = None,
    ) -> str:
        """Add a market, events and derived rows; the market's hash ("" for events alone) once all is on disk.

        events    as in events.csv; those already here with the same content are passed over
        rows      by name ("smile", "levels" ...), tables with a column `time`: what this night adds to them
        known_at  when this was known: default the market's own as_of, for a correction (another market of an instant
                  that is here already) and for events alone the present. It never runs backwards

        Recording what already stands changes nothing. Raises DataError for an event id with other content, Locked
        while another process records.
        """
        with locked(self.path, "try again when it is done"):
            entries = files.read_log(self.path)
            fresh = self._new_events(events, entries)
            name = "" if market is None else market.hash
            standing = None if market is None else _standing(entries, market.as_of)
            stands = standing is not None and standing["market"] == name
            if fresh.empty and (stands or (market is None and not rows)):
                return name
            entry: dict[str, object] = {"market": name, "as_of": None if market is None else market.as_of}
            entry["known_at"] = self._known(known_at, market, standing, entries)
            entry["events"] = "" if fresh.empty else files.write_table(self.path, fresh)
            derived = dict(rows or {})
            if market is not None:
                entry["terms"] = self._new_terms(market, entries)
                prices = venue_prices(market)
                if len(prices):
                    derived["venues"] = prices
                    past = self._rows("venues", entries)
                    entry["findings"] = compare_venues(pd.concat([past, prices]) if len(past) else prices)
                self._write_market(market)
            entry["rows"] = {key: files.write_table(self.path, table) for key, table in sorted(derived.items())}
            files.append_log(self.path, entry)
            return name

    def _known(
        self, known_at: When | None, market: Market | None, standing: dict | None, entries: list[dict]
    ) -> pd.Timestamp:
        if known_at is not None:
            known = instant(known_at, "known_at")
        elif market is not None and standing is None:
            known = market.as_of
        else:
            known = pd.Timestamp.now("UTC")
        if market is not None and known < market.as_of:
            raise DataError(f"record: known_at {known} is before the market's as_of {market.as_of}; give a later one")
        if standing is not None and known < pd.Timestamp(standing["known_at"]):
            raise DataError(f"record: known_at {known} is before that of the market it corrects; give a later one")
        return known

    def _write_market(self, market: Market) -> None:
        manifest: dict[str, Any] = market.manifest
        for name in _TABLES:
            table = getattr(market, name)
            if table is not None:
                files.write_table(self.path, table, manifest[name])
        for month, segment in by_month(market.history):
            files.write_table(self.path, segment, manifest["history"][month])
        files.write_manifest(self.path, manifest)

    def _new_events(self, events: pd.DataFrame | None, entries: list[dict]) -> pd.DataFrame:
        """Those not yet here. Raises DataError for an id that is here with other content."""
        if events is None:
            return pd.DataFrame(columns=list(EVENTS))
        given, known = check_events(events), self._all_events(entries)
        old = given["event_id"].isin(known["event_id"])
        before = known.set_index("event_id").reindex(given["event_id"][old]).reset_index()[list(EVENTS)]
        for was, now in zip(before.to_dict("records"), given[old].to_dict("records"), strict=True):
            if canonical_text(was) != canonical_text(now):
                raise DataError(
                    f"event {now['event_id']} is recorded already with other fields; give the restatement an id of its "
                    "own, with the difference as its value"
                )
        return given[~old].reset_index(drop=True)

    def _new_terms(self, market: Market, entries: list[dict]) -> str:
        """Table of the instruments whose terms were not known so; "" where there are none."""
        terms = market.instruments
        known = self._all_terms(entries)
        same = terms.index.isin(known.index)
        if same.any():
            shared = [column for column in terms.columns if column in known.columns]
            old = known.reindex(terms.index)[shared]
            equal = (terms[shared] == old) | (terms[shared].isna() & old.isna())
            same &= equal.all(axis=1).to_numpy() & (len(shared) == terms.shape[1])
        return "" if same.all() else files.write_table(self.path, terms[~same])

    # ---- reading ---------------------------------------------------------------------------------------------------

    def open(
        self, what: When | None = None, *, names: Iterable[str] | None = None, known_at: When | None = None
    ) -> Market:
        """The market of a hash, or the latest at or before an instant (a bare date: the end of that day); None: of all.

        names     only these contracts, and what their prices stand on: each is in the view what it is in the whole
        known_at  as it was known then; corrections recorded later are not seen
        Raises DataError where there is none, and naming a file that is missing, torn or altered.
        """
        if isinstance(what, str) and _HASH.fullmatch(what):
            return self._market(what, names)
        at = None if what is None else instant(what, "open")
        listed = self.snapshots(until=at, known_at=known_at)
        if listed.empty:
            every = self.snapshots()
            first = f"the first is of {every['as_of'].iloc[0]}" if len(every) else "it is empty"
            raise DataError(f"store {self.path}: no market {f'at or before {at} ' if at else ''}is known; {first}")
        return self._market(listed["market"].iloc[-1], names)

    def markets(
        self,
        since: When | None = None,
        until: When | None = None,
        *,
        names: Iterable[str] | None = None,
        known_at: When | None = None,
    ) -> Iterator[Market]:
        """The markets with since <= as_of <= until, in order, one at a time: of each instant the one that stands."""
        wanted = None if names is None else list(names)
        for name in self.snapshots(since, until, known_at=known_at)["market"]:
            yield self._market(name, wanted)

    def snapshots(
        self, since: When | None = None, until: When | None = None, *, known_at: When | None = None
    ) -> pd.DataFrame:
        """What stands: as_of, market (hash), known_at, findings; a row per instant, in order."""
        entries = [e for e in _known_by(files.read_log(self.path), known_at) if e["market"]]
        frame = pd.DataFrame({
            "as_of": pd.to_datetime([e["as_of"] for e in entries], utc=True, format="ISO8601").as_unit("ns"),
            "market": [e["market"] for e in entries],
            "known_at": pd.to_datetime([e["known_at"] for e in entries], utc=True, format="ISO8601").as_unit("ns"),
            "findings": [tuple(e.get("findings", ())) for e in entries],
        })  # fmt: skip
        frame = frame.drop_duplicates("as_of", keep="last").sort_values("as_of")
        if since is not None:
            frame = frame[frame["as_of"] >= _start(since)]
        if until is not None:
            frame = frame[frame["as_of"] <= instant(until, "until")]
        return frame.reset_index(drop=True)

    def gaps(self, every: str, *, known_at: When | None = None) -> pd.DataFrame:
        """Stretches without a market that are longer than `every` ("1d"): after, before and how long."""
        times = self.snapshots(known_at=known_at)["as_of"]
        spans = times.diff()
        wide = (spans > duration(every, "every")).to_numpy()
        frame = pd.DataFrame({"after": times.shift(1), "before": times, "span": spans})
        return frame[wide].reset_index(drop=True)

    def events(
        self, since: When | None = None, until: When | None = None, *, known_at: When | None = None
    ) -> pd.DataFrame:
        """The events with since < time <= until, in order of time and id, as they were known at `known_at`."""
        known = None if known_at is None else instant(known_at, "known_at")
        events = self._all_events(files.read_log(self.path))
        end = pd.Timestamp.max.tz_localize("UTC") if until is None else instant(until, "until")
        return known_events(events, None if since is None else instant(since, "since"), end, known)

    def rows(self, name: str, until: When | None = None, *, known_at: When | None = None) -> pd.DataFrame:
        """The derived rows of that name so far, in order of time; empty where none was ever recorded."""
        frame = self._rows(name, _known_by(files.read_log(self.path), known_at))
        return frame if until is None or frame.empty else frame[frame["time"] <= instant(until, "until")]

    def contract(self, name: str) -> pd.Series:
        """The latest terms of a contract that was ever listed, whether or not it still is. Raises DataError."""
        terms = self._all_terms(files.read_log(self.path))
        if name not in terms.index:
            raise DataError(
                f"store {self.path}: no contract {name} was ever recorded{nearest(name, terms.index)}; name one"
            )
        return terms.loc[name]

    # ---- checking --------------------------------------------------------------------------------------------------

    def verify(self) -> pd.DataFrame:
        """Every fault of the files: file and problem (with its remedy); empty where all is whole and accounted for."""
        try:
            entries = files.read_log(self.path)
        except DataError as error:
            return pd.DataFrame([(files.LOG, str(error))], columns=["file", "problem"])
        found: list[tuple[str, str]] = []
        tables = {name for e in entries for name in (e["events"], e.get("terms", ""), *e["rows"].values()) if name}
        markets = {e["market"] for e in entries if e["market"]}
        for name in sorted(markets):
            try:
                manifest = files.read_manifest(self.path, name)
            except DataError as error:
                found.append((f"snapshots/{name}.json", str(error)))
                continue
            tables |= {manifest[key] for key in _TABLES if manifest.get(key)} | set(manifest["history"].values())
        for name in sorted(tables):
            fault = files.table_fault(self.path, name)
            if fault:
                found.append((files.table_path(self.path, name).relative_to(self.path).as_posix(), fault))
        for path in sorted((self.path / "snapshots").glob("*.json")):
            if path.stem not in markets:
                text = f"store: snapshots/{path.name} is in no line of the log; record that day again, or remove it"
                found.append((f"snapshots/{path.name}", text))
        return pd.DataFrame(found, columns=["file", "problem"])

    # ---- tables ----------------------------------------------------------------------------------------------------

    def _market(self, name: str, names: Iterable[str] | None) -> Market:
        manifest = files.read_manifest(self.path, name)
        tables: dict[str, Any] = {
            key: None if manifest.get(key) is None else files.read_table(self.path, manifest[key]) for key in _TABLES
        }
        segments = [files.read_table(self.path, part) for _, part in sorted(manifest["history"].items())]
        history = pd.concat(segments) if segments else None
        if history is not None:
            history.attrs = {"dates": manifest["dates"]}
        if tables["own_exposures"] is not None:
            tables["own_exposures"].attrs = {"unit": manifest["units"]}
        if names is not None:
            tables = _view(tables, names, manifest["base_currency"])
        settings = {key: manifest[key] for key in (*_SETTINGS, *CARRIED) if key in manifest}
        age = manifest["max_age"]
        return Market(**tables, **settings, history=history, max_age=None if age is None else pd.Timedelta(age, "ns"))

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            self._tables[name] = files.read_table(self.path, name)
        return self._tables[name]

    def _all_events(self, entries: list[dict]) -> pd.DataFrame:
        parts = [self._table(e["events"]) for e in entries if e["events"]]
        if not parts:
            return check_events(pd.DataFrame(columns=list(EVENTS)))
        return check_events(pd.concat(parts, ignore_index=True))

    def _all_terms(self, entries: list[dict]) -> pd.DataFrame:
        parts = [self._table(e["terms"]) for e in entries if e.get("terms")]
        terms = pd.concat(parts) if parts else pd.DataFrame(index=pd.Index([], name="instrument"))
        return terms[~terms.index.duplicated(keep="last")]

    def _rows(self, name: str, entries: list[dict]) -> pd.DataFrame:
        """Of each instant those of the record that stands."""
        latest = {e["as_of"]: e for e in entries if e["market"]}
        alone = [e for e in entries if not e["market"]]
        parts = [self._table(e["rows"][name]) for e in [*latest.values(), *alone] if name in e["rows"]]
        if not parts:
            return pd.DataFrame(columns=["time"])
        return pd.concat(parts, ignore_index=True).sort_values("time", kind="stable").reset_index(drop=True)


def _view(tables: dict[str, Any], names: Iterable[str], base_currency: str) -> dict[str, Any]:
    kept = kept_for(names, tables["instruments"], tables["drivers"], base_currency)
    labels = tables["instruments"].index[kept]
    result = {**tables, "instruments": tables["instruments"][kept], "quotes": tables["quotes"].loc[labels]}
    if tables["own_exposures"] is not None:
        result["own_exposures"] = tables["own_exposures"][tables["own_exposures"].index.isin(labels)]
    for key in ("own_loadings", "depth"):
        if tables[key] is not None:
            result[key] = tables[key][tables[key]["instrument"].isin(labels)]
    return result


def _known_by(entries: list[dict], known_at: When | None) -> list[dict]:
    if known_at is None:
        return entries
    known = instant(known_at, "known_at")
    return [entry for entry in entries if pd.Timestamp(entry["known_at"]) <= known]


def _standing(entries: list[dict], as_of: pd.Timestamp) -> dict | None:
    """The latest record of a market of this instant."""
    same = [entry for entry in entries if entry["market"] and pd.Timestamp(entry["as_of"]) == as_of]
    return same[-1] if same else None


def _start(value: When) -> pd.Timestamp:
    """An instant; a bare date is the start of that day."""
    stamp = instant(value, "since")
    given = pd.Timestamp(value)
    return given.tz_localize("UTC") if given.tzinfo is None else stamp


# ---- the folder ------------------------------------------------------------------------------------------------------


def open_store(path: Path | str, *, create: bool = False) -> Store:
    """The store in a folder; `create` makes an empty one where there is none. Raises DataError.

    >>> import optihedge as oh
    >>> kept = oh.store.open_store("new_store", create=True)
    >>> len(kept.snapshots())
    0
    """
    folder = Path(path)
    if not (folder / files.LOG).is_file():
        if not create:
            raise DataError(f"{folder} is no store: {files.LOG} is not there; record a market into it first")
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(f"{folder} holds other files and no {files.LOG}; give an empty folder for the store")
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / files.LOG, b"")
    return Store(folder)


def open_market(store: Store | Path | str, what: When, *, names: Iterable[str] | None = None) -> Market:
    """A recorded market by its hash or its time; see `Store.open`.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> digest = oh.store.open_store("store", create=True).record(market)
    >>> oh.open_market("store", digest).hash == market.hash
    True
    """
    return (store if isinstance(store, Store) else open_store(store)).open(what, names=names)
