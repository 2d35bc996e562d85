"""Sources: which reader knows whose files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from optihedge.errors import DataError, SpecError
from optihedge.frames import nearest
from optihedge.market.importers.imported import Imported
from optihedge.market.importers.intake import Intake
from optihedge.market.importers.raw import RawFile, read_file

SOURCES = {
    "deribit": ("deribit", "instruments, tickers, summaries, books, accounts, positions, trades; recorded tables"),
    "ccxt": ("ccxt", "ccxt's unified dictionaries of any venue: markets, tickers, books, balances, positions, trades"),
    "okx": ("okx", "instruments, tickers, marks, summaries, books, funding, balances, positions, trades (v5)"),
    "bybit": ("bybit", "instruments, tickers, books, wallets, positions, executions, fees (v5)"),
    "bybit_spot": ("bybit", "the same of its spot market, whose symbols are those of perpetuals"),
    "hyperliquid": ("hyperliquid", "meta and contexts, books, mids, accounts, own fills"),
    "binance": ("binance", "spot: exchange information, tickers, depth, account, own trades"),
    "binance_usdm": ("binance", "USD-margined futures: the same, marks with funding, positions"),
    "binance_coinm": ("binance", "coin-margined futures: the same"),
    "gateio": ("gateio", "futures: contracts, books with updates, best, positions, accounts, own trades (v4)"),
    "bitcom": ("bitcom", "instruments, pairs, tickers, depth with updates"),
    "coinbase": ("coinbase", "products, level 2 books with changes, tickers, accounts, own fills"),
    "dydx": ("dydx", "markets with funding, books with changes, the account, own fills (v3)"),
    "ibkr": ("ibkr", "Interactive Brokers: Flex XML (positions, trades, cash, actions), API answers, CSV exports"),
    **{
        name: ("exports", f"CSV exports of {who}: trades as fills, dividends")
        for name, who in (
            ("trading212", "Trading 212"),
            ("revolut", "Revolut"),
            ("etoro", "eToro"),
            ("xtb", "XTB"),
            ("investimental", "Investimental"),
            ("avanza", "Avanza"),
        )
    },
    "chains": ("chains", "option chains of brokers and exchanges: Cboe delayed quotes, Fidelity Active Trader Pro"),
    "fix": ("fix", "FIX logs: execution reports as fills, busts, market data snapshots"),
    "tardis": ("tardis", "CSV files and normalised messages of Tardis, instruments"),
    "databento": ("databento", "DBN files, reference data (corporate actions, factors, security master)"),
    "csv": ("mapped", "any table, by a map of its columns (--map map.toml)"),
}
"""Names of the sources: the module that reads each, and what it reads."""


_BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
"""What a reader may raise at a file that is torn in a way of its own."""


def import_files(
    source: str,
    files: Iterable[Path | str],
    *,
    venue: str = "",
    as_of: pd.Timestamp | None = None,
    account: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Imported:
    """What the files (or folders of them) of a source say, up to as_of.

    venue     the venue's name, where the source does not imply it;  account   the book that positions belong to
    settings  a map of columns (see `mapped.read_map`), for source csv

    Raises SpecError for an unknown source, DataError where there is no file. A file that cannot be read is among the
    rejected, with the reason.
    """
    reader = _reader(source)
    intake = _intake(reader, venue or source, as_of, account)
    intake.settings = dict(settings or {})
    for path in paths_of(files):
        _put(reader, intake, path.name, partial(read_file, path))
        if intake.silent():
            intake.reject("the file", "it holds no record")
    return _closed(reader, intake)


def import_values(
    source: str, values: Mapping[str, Any], *, venue: str = "", as_of: pd.Timestamp | None = None, account: str = ""
) -> Imported:  # fmt: skip
    """What messages in memory say, each under a name, as `import_files` does of files; a ValueError is named."""
    raws = [RawFile(name, "json", [("", value)]) for name, value in values.items()]
    return import_raw(source, raws, venue=venue, as_of=as_of, account=account)


def import_raw(
    source: str, raws: Iterable[RawFile], *, venue: str = "", as_of: pd.Timestamp | None = None, account: str = "",
    known: pd.DataFrame | None = None,
) -> Imported:  # fmt: skip
    """What files that are read already say. known: contracts that another import described, for their units."""
    reader = _reader(source)
    intake = _intake(reader, venue or source, as_of, account)
    if known is not None:
        intake.add("instruments", known)
    for raw in raws:
        _put(reader, intake, raw.name, partial(_itself, raw))
    return _closed(reader, intake)


def _reader(source: str) -> ModuleType:
    if source not in SOURCES:
        raise SpecError(f"source {source!r} is not known{nearest(source, SOURCES)}; there are {', '.join(SOURCES)}")
    return import_module(f"optihedge.market.importers.{SOURCES[source][0]}")


def _intake(reader: ModuleType, venue: str, until: pd.Timestamp | None, account: str) -> Intake:
    intake = Intake(venue, until=until, account=account)
    intake.tells = frozenset().union(*(shape.holds for shape in getattr(reader, "SHAPES", ())))
    return intake


def _itself(raw: RawFile) -> RawFile:
    return raw


def _put(reader: ModuleType, intake: Intake, name: str, load: Callable[[], RawFile]) -> None:
    """Read one file; one that is torn, or that its reader does not know, is named, and the others are read."""
    intake.file = name
    try:
        reader.read(load(), intake)
    except DataError as error:
        intake.lose("the file", str(error).removeprefix(f"{name}: "))
    except _BROKEN as error:
        intake.lose("the file", f"torn, or of another kind ({type(error).__name__}: {error})")
    if intake.strange == name and not intake.used.get(name):
        intake.lose("the file", f"nothing in it is a record of {intake.venue}'s; is it another source's, or cut short?")


def _closed(reader: ModuleType, intake: Intake) -> Imported:
    intake.file = ""
    reader.finish(intake)
    return intake.imported()


def paths_of(files: Iterable[Path | str]) -> list[Path]:
    """The files, those of folders in the order of their names; hidden files and what an import wrote are left out."""
    found: list[Path] = []
    for given in files:
        path = Path(given)
        if path.is_dir():
            written = {p.parent for p in path.rglob("import.json")}
            inner = (p for p in path.rglob("*") if p.is_file() and p.name[0] != "." and p.parent not in written)
            found += sorted(inner, key=lambda p: p.as_posix())
        elif not path.exists():
            beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"{path} is not there{nearest(path.name, beside)}; give a file or a folder that is")
        else:
            found.append(path)
    if not found:
        raise DataError("no file to import; give files, or a folder that holds some")
    return found
