"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "first"
down_revision = None

_HASH, _NAME, _TIME = sa.String(64), sa.String(255), sa.String(40)
_FOREVER = ("texts", "fills", "reports", "applied", "files", "approvals", "log")


def upgrade() -> None:
    op.create_table("texts", _key("hash", _HASH), sa.Column("body", sa.LargeBinary, nullable=False))
    op.create_table(
        "runs", sa.Column("id", _HASH, sa.ForeignKey("texts.hash"), primary_key=True),
        _full("book", _NAME), _full("as_of", _TIME), _full("model", _NAME), _full("role", sa.String(20)),
        _full("snapshot", _HASH), *(sa.Column(name, _HASH) for name in ("parent", "before", "after", "unsent")),
        _full("status", sa.String(20)), sa.Column("outcome", sa.String(20), nullable=False, server_default=""),
        sa.Column("why", sa.Text, nullable=False, server_default=""), _full("submitter", _NAME), _full("owner", _NAME),
        _full("versions", sa.Text), _clock("begun"), sa.Column("ended", sa.DateTime(timezone=True)),
    )  # fmt: skip
    op.create_table("nights", _key("book", _NAME), _key("as_of", _TIME), _run(nullable=False))
    op.create_table(
        "lists", _run(primary_key=True), _full("sha256", _HASH), _full("lines", sa.Integer),
        _full("status", sa.String(20)),
    )  # fmt: skip
    op.create_table("orders", _key("order_id", _NAME), _run(primary_key=True), _full("book", _NAME))
    op.create_table(
        "fills", _key("book", _NAME), _key("fill_id", _NAME), _full("time", _TIME), _full("body", sa.Text),
        _clock("known"),
    )  # fmt: skip
    op.create_table("reports", _key("order_id", _NAME), _full("time", _TIME), _full("body", sa.Text), _clock("known"))
    op.create_table("applied", _run(primary_key=True), _key("fill_id", _NAME))
    op.create_table(
        "files", _run(primary_key=True), _key("name", _NAME),
        sa.Column("hash", _HASH, sa.ForeignKey("texts.hash"), nullable=False),
    )  # fmt: skip
    op.create_table(
        "approvals", _key("id", sa.Integer), _run(nullable=False), _full("who", _NAME),
        _full("sha256", _HASH), _full("verdict", sa.String(20)), _full("why", sa.Text), _clock("at"),
    )  # fmt: skip
    op.create_table(
        "log", _key("id", sa.Integer), _full("what", sa.String(40)), _full("book", _NAME), _full("run", _HASH),
        _full("text", sa.Text), _clock("at"),
    )  # fmt: skip
    for table in _FOREVER:
        _forever(table)


def _run(**settings: bool) -> sa.Column:
    return sa.Column("run", _HASH, sa.ForeignKey("runs.id"), **settings)  # type: ignore[arg-type]


def _key(name: str, kind: object) -> sa.Column:
    return sa.Column(name, kind, primary_key=True)  # type: ignore[arg-type]


def _full(name: str, kind: object) -> sa.Column:
    return sa.Column(name, kind, nullable=False)  # type: ignore[arg-type]


def _clock(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _forever(table: str) -> None:
    """The database refuses to change or to take away a row of the table."""
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table} "
                       f"BEGIN SELECT RAISE(ABORT, '{table}: rows are for ever'); END")  # fmt: skip
        return
    op.execute(f"CREATE FUNCTION {table}_forever() RETURNS trigger LANGUAGE plpgsql AS "
               f"$$ BEGIN RAISE EXCEPTION '{table}: rows are for ever'; END $$")  # fmt: skip
    op.execute(f"CREATE TRIGGER {table}_forever BEFORE UPDATE OR DELETE ON {table} "
               f"FOR EACH ROW EXECUTE FUNCTION {table}_forever()")  # fmt: skip
