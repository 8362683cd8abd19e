"""Opens a journal: the database behind its URL, the lock that keeps a second daemon out, the schema."""

from __future__ import annotations

import asyncio

from sqlalchemy import URL, Connection

from postroom.errors import JournalError
from postroom.failpoints import reach
from postroom.journal import migrate
from postroom.journal.database import Database
from postroom.journal.engine import database_file, make_engine, parse, threads
from postroom.journal.lock import FileLock, Lock, server_lock
from postroom.journal.store import SqlJournal


async def open_journal(url: str, *, exclusive: bool = True) -> SqlJournal:
    """Open a journal.

    Args:
        url: Such as ``sqlite:////var/lib/postroom/journal.db`` or ``postgresql://user@host/database``.
        exclusive: The daemon's way: keep a second daemon out, make or upgrade the schema. The command line opens
            without: it may look on and write small things while the daemon runs, and expects the schema to be there.

    Raises:
        JournalLocked: Another daemon holds it.
        JournalError: It cannot be used; the error says why and what to do.
    """
    parsed = parse(url)
    database, lock = await asyncio.to_thread(_connect, parsed, exclusive=exclusive)
    journal = SqlJournal(database, lock)
    try:
        run = database.write if exclusive else database.read
        journal.is_new = await run(_check, database.where, lock, upgrade=exclusive)
        if lock is not None and not lock.had_journal:
            await database.sync()  # or else a power cut leaves the mark of a journal and none
            await asyncio.to_thread(lock.note_journal)
    except BaseException:
        await journal.close()
        raise
    reach("schema.committed")
    return journal


def _connect(url: URL, *, exclusive: bool) -> tuple[Database, Lock | None]:
    file = database_file(url)
    if file is None:
        database = Database(make_engine(url), threads(url), url.render_as_string(hide_password=True))
        return database, server_lock(database) if exclusive and url.get_backend_name() == "postgresql" else None
    if not exclusive and not file.exists():
        raise JournalError(f"There is no journal at {file}.", remedy="Check `journal`, or start the daemon once.")
    if not exclusive:
        return Database(make_engine(url), threads(url), str(file)), None
    lock = FileLock(file)
    engine = make_engine(url)
    lock.remember_file()
    return Database(engine, threads(url), str(file), lock.presence(file)), lock


def _check(connection: Connection, where: str, lock: Lock | None, *, upgrade: bool) -> bool:
    """Return whether the journal is new; raises JournalError, and makes nothing, when it must not be or is not ours."""
    is_new = migrate.check(connection, where, upgrade=upgrade)
    if is_new and lock is not None:
        lock.refuse_new()
    return is_new
