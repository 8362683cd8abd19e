"""Brings a journal to the schema of this program, or says why not. Alembic does it, started by the daemon itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from postroom.errors import JournalError
from postroom.failpoints import reach
from postroom.journal.tables import metadata

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every revision there is, oldest first. Kept here so that a start that has nothing to do need not load Alembic."""
VERSION_TABLE: Final = "journal_version"


def check(connection: Connection, where: str, *, upgrade: bool) -> bool:
    """Make sure that the schema is this program's; raises JournalError when it is not and cannot be made so.

    With `upgrade` a missing or old one is created or upgraded, otherwise refused too. Returns whether it was created.
    """
    revision = _revision(connection, where)
    if revision == REVISIONS[-1]:
        return False
    if revision is not None and revision not in REVISIONS:
        raise JournalError(
            f"The journal {where} was written by a newer Postroom: its schema is {revision}, "
            f"this program knows up to {REVISIONS[-1]}.",
            remedy="Install that version again, or restore the backup made before it.",
        )
    if not upgrade:
        state = f"has the older schema {revision}" if revision else "is empty"
        raise JournalError(f"The journal {where} {state}.", remedy="Start the daemon once: it makes the schema.")
    _upgrade(connection)
    return revision is None


def _revision(connection: Connection, where: str) -> str | None:
    """Return the schema's revision, None when there is no schema; raises JournalError when the tables are not ours."""
    present = set(inspect(connection).get_table_names())
    if VERSION_TABLE in present:
        revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
        return revision
    if strangers := sorted(present & set(metadata.tables)):
        raise JournalError(
            f"{where} is not a journal, but it has tables of the same names: {', '.join(strangers)}.",
            remedy="Give the journal a database of its own.",
        )
    return None


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 0.16 s that only a start with an old schema shall pay
    from alembic.config import Config  # noqa: PLC0415 - same

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
    reach("schema.written")
