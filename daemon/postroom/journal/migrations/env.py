"""Run by Alembic: migrates the connection it is given, inside the transaction that is open on it."""

from __future__ import annotations

from alembic import context

from postroom.journal.indexes import metadata
from postroom.journal.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite cannot alter a table in place
)
with context.begin_transaction():
    context.run_migrations()
