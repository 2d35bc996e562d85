"""The ledger's database: opened by URL, migrated, one transaction at a time; SQLite and PostgreSQL alike."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from optihedge.errors import SpecError, require_extra

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    from optihedge.desk.ledger.schema import LOG, TEXTS
except ModuleNotFoundError:
    raise require_extra("sqlalchemy", "ledger") from None

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

from optihedge.content import text_hash
from optihedge.lock import Locked

_DRIVER, _MIGRATION = 7_204_601, 7_204_602  # numbers of PostgreSQL's advisory locks
_PATIENCE = 10.0  # seconds that a transaction waits for another one


class StorageError(OSError):
    """The ledger's database cannot be read or written; what was committed stands."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """A database of runs. `write` is one transaction, whole or not at all; `read` sees one instant."""

    engine: Engine

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Raises StorageError where the database fails."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Raises StorageError where the database fails."""
        with self._told(), self.engine.connect().execution_options(reads=True) as connection:
            yield connection

    @contextlib.contextmanager
    def alone(self) -> Iterator[Ledger]:
        """One driver at a time on PostgreSQL, from any machine; on SQLite the lock of the desk's folder sees to it.

        Raises Locked where another one goes on.
        """
        if self.engine.dialect.name != "postgresql":
            yield self
            return
        with self._told(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(_DRIVER))).scalar():
                raise Locked(f"another run writes to {self.where}; wait for its end")
            yield self

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            first = str(error.orig).strip().splitlines()[0]
            raise StorageError(f"ledger {self.where}: {first}") from error

    @property
    def where(self) -> str:
        """Its URL without a password."""
        return self.engine.url.render_as_string(hide_password=True)


def open_ledger(url: str) -> Ledger:
    """The ledger of a URL, its tables made or migrated. PostgreSQL's user and password come from the environment.

    A SQLite file that may not be written (a backup, another's desk) is opened to be read alone. Raises SpecError for a
    URL that cannot be used, StorageError for a database that cannot.
    """
    engine = _engine(url)
    ledger = Ledger(engine)
    reads = "mode" in engine.url.query
    with ledger.read() if reads else ledger.write() as connection:
        _migrate(connection, reads=reads)
    return ledger


def _engine(url: str) -> Engine:
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError as error:
        raise SpecError(f"ledger: url {url!r} cannot be read ({error}); write sqlite:///ledger.db") from None
    kind = parsed.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise SpecError(f"ledger: url {url!r} is of {kind}; write sqlite:///ledger.db or postgresql://host/name")
    if parsed.password is not None:
        raise SpecError("ledger: url holds a password; take it out and set PGUSER and PGPASSWORD in the environment")
    if kind == "postgresql":
        try:
            return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
        except ModuleNotFoundError:
            raise require_extra("psycopg", "postgres") from None
    if parsed.database:
        folder = Path(parsed.database).parent
        if not folder.is_dir():
            raise SpecError(f"ledger: folder {folder} is not there; make it, or mend url")
        parsed = _to_read(parsed, Path(parsed.database))
    engine = sa.create_engine(parsed, poolclass=sa.NullPool, connect_args={"timeout": _PATIENCE})
    sa.event.listen(engine, "connect", _unprepared if "mode" in parsed.query else _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _to_read(url: sa.URL, path: Path) -> sa.URL:
    """The URL of a SQLite file, to be read alone where nothing may be written; what its log still holds is read."""
    if not path.is_file() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return url
    log = path.with_name(f"{path.name}-wal")
    still = {} if log.is_file() and log.stat().st_size else {"immutable": "1"}
    return url.set(database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true", **still})


def _prepare(connection: Any, _: object) -> None:
    """SQLite: flushed at every commit, readers beside one writer, transactions begun by us."""
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _unprepared(connection: Any, _: object) -> None:
    """SQLite that is only read: transactions begun by us."""
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _migrate(connection: Connection, *, reads: bool = False) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION)))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    head = ScriptDirectory.from_config(config).get_current_head()
    now = MigrationContext.configure(connection).get_current_revision()
    if now == head:
        return
    if reads:
        raise StorageError("ledger is of another version than this one and may not be written; copy it, or its folder")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StorageError(f"ledger is of a later version than this one ({error}); update optihedge") from None


# ---- texts and the log ---------------------------------------------------------------------------------------------


def put_text(connection: Connection, text: str) -> str:
    """Keep a text, once; its hash."""
    name = text_hash(text)
    if connection.execute(sa.select(TEXTS.c.hash).where(TEXTS.c.hash == name)).first() is None:
        connection.execute(TEXTS.insert().values(hash=name, body=zlib.compress(text.encode(), 6)))
    return name


def get_text(connection: Connection, name: str) -> str:
    """The text of a hash. Raises StorageError where it is not there or was altered."""
    body = connection.execute(sa.select(TEXTS.c.body).where(TEXTS.c.hash == name)).scalar()
    text = None if body is None else zlib.decompress(body).decode()
    if text is None or text_hash(text) != name:
        raise StorageError(f"ledger: text {name[:12]} is {'not there' if text is None else 'altered'}; restore a copy")
    return text


def note(connection: Connection, what: str, *, book: str = "", run: str = "", text: str = "") -> None:
    """A line of the log."""
    connection.execute(LOG.insert().values(what=what, book=book, run=run, text=text))


def owner() -> str:
    """This machine and process."""
    import socket

    return f"{socket.gethostname()}:{os.getpid()}"
