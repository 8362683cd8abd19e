"""URL -> engine, with what each database needs to be told. The only file that knows that there are two."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from postroom.errors import JournalError

BUSY_SECONDS: Final = 10.0
"""How long a statement waits for a lock that another process holds, such as the command line."""
SERVER_THREADS: Final = 4
CONNECT_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 60
PAGE_BYTES: Final = 8_192
"""Of a new file: a snapshot of a mail takes 2 kB, and of SQLite's own 4 kB pages a quarter stays empty."""
CHECKPOINT_PAGES: Final = 2_000
"""Pages (16 MB) the write-ahead log may have before it is copied into the file, four times SQLite's own choice.

Many pages are written again and again; the longer the log, the fewer copies of them: a tenth of the journal's CPU.
"""
LOG_BYTES: Final = 64 * 2**20
"""What the write-ahead log is cut back to when a checkpoint has emptied it: a burst or a long reader makes it grow."""
READING: Final = "postroom_reading"
"""Key in a connection's `info`: true for a transaction that writes nothing and so must not keep a writer waiting."""


def parse(url: str) -> URL:
    """Return the parsed URL; raises JournalError when it names no database we work with."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _bad_url("it is not a database URL") from error
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite")
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise _bad_url(f"{parsed.get_backend_name()} is not supported")


def _bad_url(why: str) -> JournalError:
    return JournalError(
        f"The journal's URL cannot be used: {why}.",
        remedy="Write sqlite:////absolute/path/journal.db or postgresql://user@host/database.",
    )


def database_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL, or None for a server or for memory."""
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        return None
    return Path(str(url.database))


def threads(url: URL) -> int:
    """Return how many threads are of use: SQLite has one writer."""
    return 1 if url.get_backend_name() == "sqlite" else SERVER_THREADS


def make_engine(url: URL) -> Engine:
    """Return an engine whose errors show no values, for they hold mail."""
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    try:
        return create_engine(
            url,
            hide_parameters=True,
            paramstyle="format",
            poolclass=NullPool,  # each thread keeps its connection
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "prepare_threshold": None,  # a plan kept from when a table was empty reads it whole for ever
                "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c idle_in_transaction_session_timeout=60s",
            },
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise JournalError(
            "A journal on PostgreSQL needs the driver psycopg, which is not installed.",
            remedy='Install it: pip install "psycopg[binary]".',
        ) from error


def _sqlite(url: URL) -> Engine:
    if (file := database_file(url)) is not None and file.parent.is_dir():
        _make_private(file)
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=NullPool,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def sync(connection: Connection) -> None:
    """Put all that was committed on the disk, outside of a transaction; a server has done so at each commit."""
    raw, file = connection.connection.driver_connection, database_file(connection.engine.url)
    if not isinstance(raw, sqlite3.Connection) or file is None:
        return
    busy, frames, copied = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if busy or copied < frames:  # for somebody reads what is older: what copies nothing does not sync
        _sync_file(_log_of(file))


def _sync_file(path: Path) -> None:
    """Wait until the disk has the file; SQLite has no lock on a log that closing it here could drop."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())


def _make_private(file: Path) -> None:
    """Make a new file unreadable for strangers: it holds mail. SQLite gives its companions the same mode."""
    with contextlib.suppress(OSError):  # opening it says why, in SQLite's words
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver shall begin nothing by itself: _begin_sqlite does
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    # In WAL a power cut takes the last pages and their links back together; without WAL it could damage the file.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    # Otherwise a statement may write what it changes, which is mail, to a file under /var/tmp, where there may be none.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA foreign_keys = ON")


def size_of(connection: Connection) -> int:
    """Return the bytes a database takes, a SQLite file's write-ahead log included."""
    if connection.dialect.name != "sqlite":
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    return int(pages * size) + _log_size(database_file(connection.engine.url))


def joins_emptied_pages(connection: Connection) -> bool:
    """Say whether the room that a shorter row leaves is used again without ado, as PostgreSQL's vacuum sees to."""
    return connection.dialect.name != "sqlite"


def _log_size(file: Path | None) -> int:
    if file is None:
        return 0
    with contextlib.suppress(FileNotFoundError):
        return _log_of(file).stat().st_size
    return 0


def _log_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that read first and then wants to write could not be let through."""
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute("BEGIN" if connection.info.get(READING) else "BEGIN IMMEDIATE")
