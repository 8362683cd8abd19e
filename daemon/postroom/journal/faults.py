"""What the database's driver raises -> JournalError: what happened, where, what to do."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError

from postroom.errors import JournalError

_RESTORE: Final = (
    "Restore it from a backup, without the `-wal` and `-shm` files that lie beside it, or save what "
    "`sqlite3 FILE .recover` can."
)
_SQLITE: Final = (
    # name of SQLite's result code (its extended codes begin with it), what happened, remedy, whether waiting helps
    ("SQLITE_FULL", "the disk is full", "Free some space; nothing that was recorded is lost.", True),
    ("SQLITE_READONLY", "it may not be written to", "Make file and directory writable for the daemon's user.", False),
    ("SQLITE_CANTOPEN", "it cannot be opened", "Check that the directory exists and that its user may write.", False),
    (
        "SQLITE_NOTADB",
        "this is not a SQLite database",
        "Point `journal` at another file, or move this one away.",
        False,
    ),
    ("SQLITE_CORRUPT", "the file is damaged", _RESTORE, False),
    ("SQLITE_BUSY", "another process keeps it locked", "End what is writing to it; it is tried again.", True),
    ("SQLITE_IOERR", "the disk reports an error", "Check the disk and the system log.", True),
)


def translate(error: Exception, where: str) -> JournalError:
    """Return what `error`, of SQLAlchemy or of the driver, means for the journal at `where`."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorname", "")
    for name, what, remedy, temporary in _SQLITE:
        if code.startswith(name):
            return _journal_error(f"The journal {where} cannot be used: {what}.", remedy, code, temporary=temporary)
    detail = str(cause).strip().partition("\n")[0]  # later lines quote the row: they hold mail
    remedy = "" if code else "Check that the database server runs and can be reached."
    return _journal_error(f"The journal {where} failed: {detail}.", remedy, code, temporary=not code)


def damaged(what: str, where: str) -> JournalError:
    """Return what to raise when SQLite finds its file damaged."""
    return _journal_error(f"The journal {where} cannot be trusted: {what}.", _RESTORE, "", temporary=False)


def not_synced(why: str, where: str) -> JournalError:
    """Return what to raise when the disk does not say that it has the journal."""
    return _journal_error(
        f"The journal {where} failed: {why}.", "Check the disk and the system log.", "", temporary=True
    )


def _journal_error(message: str, remedy: str, code: str, *, temporary: bool) -> JournalError:
    error = JournalError(message, remedy=remedy, code=code or None)
    error.temporary = temporary
    return error
