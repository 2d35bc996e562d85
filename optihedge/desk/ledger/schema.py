"""The tables of the ledger. What a run was asked, what it left and what the venue said is never changed or lost."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
)

METADATA = MetaData()
_HASH, _NAME, _TIME = String(64), String(255), String(40)  # instants as text: 2026-01-20T12:00:00.000000000Z sorts


def _clock(name: str) -> Column:
    """The database's own clock: no value that is hashed or compared holds one."""
    return Column(name, DateTime(timezone=True), server_default=func.now(), nullable=False)


TEXTS = Table(
    "texts", METADATA,
    Column("hash", _HASH, primary_key=True),  # sha256 of the text
    Column("body", LargeBinary, nullable=False),  # its UTF-8, compressed
)  # fmt: skip
RUNS = Table(
    "runs", METADATA,
    Column("id", _HASH, ForeignKey("texts.hash"), primary_key=True),  # sha256 of everything that decides it
    Column("book", _NAME, nullable=False),
    Column("as_of", _TIME, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("role", String(20), nullable=False),  # send or challenger
    Column("snapshot", _HASH, nullable=False),
    Column("parent", _HASH),  # the run it goes on from; none on a book's first night
    Column("before", _HASH),  # the state it goes on from
    Column("after", _HASH),  # the state it leaves where its list leaves, or where it has none
    Column("unsent", _HASH),  # the state it leaves where its list never leaves
    Column("status", String(20), nullable=False),  # running, done, failed, died
    Column("outcome", String(20), nullable=False, server_default=""),  # of the step: first, idle, solved ...
    Column("why", Text, nullable=False, server_default=""),
    Column("submitter", _NAME, nullable=False),
    Column("owner", _NAME, nullable=False),  # machine and process
    Column("versions", Text, nullable=False),
    _clock("begun"),
    Column("ended", DateTime(timezone=True)),
)  # fmt: skip
NIGHTS = Table(
    "nights", METADATA,
    Column("book", _NAME, primary_key=True),
    Column("as_of", _TIME, primary_key=True),
    Column("run", _HASH, ForeignKey("runs.id"), nullable=False),  # the one that stands
)  # fmt: skip
LISTS = Table(
    "lists", METADATA,
    Column("run", _HASH, ForeignKey("runs.id"), primary_key=True),
    Column("sha256", _HASH, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("status", String(20), nullable=False),  # made, approved, vetoed, sending, sent, cancelled, superseded
)  # fmt: skip
ORDERS = Table(
    "orders", METADATA,
    Column("order_id", _NAME, primary_key=True),
    Column("run", _HASH, ForeignKey("runs.id"), primary_key=True),
    Column("book", _NAME, nullable=False),
)  # fmt: skip
FILLS = Table(
    "fills", METADATA,
    Column("book", _NAME, primary_key=True),
    Column("fill_id", _NAME, primary_key=True),
    Column("time", _TIME, nullable=False),
    Column("body", Text, nullable=False),  # the fill as JSON
    _clock("known"),
)  # fmt: skip
REPORTS = Table(
    "reports", METADATA,
    Column("order_id", _NAME, primary_key=True),
    Column("time", _TIME, nullable=False),
    Column("body", Text, nullable=False),
    _clock("known"),
)  # fmt: skip
APPLIED = Table(
    "applied", METADATA,
    Column("run", _HASH, ForeignKey("runs.id"), primary_key=True),
    Column("fill_id", _NAME, primary_key=True),
)  # fmt: skip
FILES = Table(
    "files", METADATA,
    Column("run", _HASH, ForeignKey("runs.id"), primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("hash", _HASH, ForeignKey("texts.hash"), nullable=False),
)  # fmt: skip
APPROVALS = Table(
    "approvals", METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", _HASH, ForeignKey("runs.id"), nullable=False),
    Column("who", _NAME, nullable=False),
    Column("sha256", _HASH, nullable=False),
    Column("verdict", String(20), nullable=False),  # approved, vetoed
    Column("why", Text, nullable=False),
    _clock("at"),
)  # fmt: skip
LOG = Table(
    "log", METADATA,
    Column("id", Integer, primary_key=True),
    Column("what", String(40), nullable=False),
    Column("book", _NAME, nullable=False),
    Column("run", _HASH, nullable=False),
    Column("text", Text, nullable=False),
    _clock("at"),
)  # fmt: skip
FOREVER = ("texts", "fills", "reports", "applied", "files", "approvals", "log")
"""Tables whose rows the database itself refuses to change or to take away."""
