"""Alembic's door: migrates the connection that `database.migrate` holds, in its transaction."""

from alembic import context

from optihedge.desk.ledger.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
