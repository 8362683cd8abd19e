"""The lock against a second daemon on one journal: a file beside SQLite, a session's lock on PostgreSQL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from postroom.errors import JournalError, JournalLocked
from postroom.files import sync_directory
from postroom.journal.database import Database
from postroom.journal.faults import translate
from postroom.journal.presence import Presence

_JOURNAL: Final = "journal\n"
"""Stands in the lock's file below the process number once a journal was made beside it."""

_FILE: Final = re.compile(r"^file (\S+)", re.MULTILINE)
"""Says below that which file the journal was: a log (`-wal`) beside another one would be written into it."""

_LONGEST_FILE: Final = 40

_GET_GENERATION: Final = 0x8008_7601
"""Linux's FS_IOC_GETVERSION: a number of a file that is made later has another generation."""

_SERVER_KEY: Final = 0x706F7374
"""PostgreSQL's number of the lock: "post"."""


class Lock(Protocol):
    """A lock that is held.

    Attributes:
        had_journal: Whether there was a journal when it was held before, as far as it knows.
    """

    had_journal: bool

    def refuse_new(self) -> None:
        """Raise JournalError when there was a journal before: the one that was just made would be a second one."""

    def note_journal(self) -> None:
        """Keep in mind that there is a journal now, so that a start which does not find it makes no other."""

    def release(self) -> None:
        """Let go."""


class FileLock:
    """An advisory lock on ``FILE.lock``; it dies with the process. The file stays: removing it would race.

    It lies beside the file itself: a journal that is also reached through symbolic links has one lock.

    Raises:
        JournalLocked: Another process holds it.
        JournalError: It cannot be taken, or it was the lock of a journal that is not there any more, or is another
            file beside the log of the one it was, or has two names.
    """

    def __init__(self, database: Path) -> None:
        database = Path(os.path.realpath(database))
        self.path = database.with_name(f"{database.name}.lock")
        self._descriptor = _open(self.path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._read().split("\n", 1)[0].strip()
            os.close(self._descriptor)
            if not isinstance(error, BlockingIOError):
                raise JournalError(f"{self.path} cannot be locked: {error.strerror}.") from error
            raise _locked(str(database), holder) from error
        self._database = database
        self.had_journal = _JOURNAL in self._read()
        self._file = _remembered(self._read())
        self._opened = -1
        try:
            self._check()
        except JournalError:
            self.release()
            raise
        self._write(_JOURNAL if self.had_journal else "")

    def _check(self) -> None:
        if not _size(self._database):  # opening an empty one would remove its log
            self.refuse_new()
            return
        if self._database.is_file() and self._database.stat().st_nlink > 1:
            raise _linked(self._database)
        log = self._database.with_name(f"{self._database.name}-wal")
        if self._file and _size(log) and self._file != self._identity():
            raise _foreign(self._database, log, self.path)

    def remember_file(self) -> None:
        """Keep in mind which file the journal is, for the next start."""
        before, self._file = self._file, self._identity()
        self._write(_JOURNAL if self.had_journal else "")
        if self.had_journal and self._file != before:
            self._sync()  # or else a power cut leaves the log of this file and the mark of the one before

    def refuse_new(self) -> None:
        """Raise JournalError when there was a journal before."""
        if self.had_journal:
            raise _vanished(self._database, self.path)

    def note_journal(self) -> None:
        """Keep in mind that there is a journal now, so that a start which does not find it makes no other."""
        self._write(_JOURNAL)
        self._sync()

    def _sync(self) -> None:
        with contextlib.suppress(OSError):  # as in `_write`
            os.fsync(self._descriptor)
            sync_directory(self.path.parent)

    def _identity(self) -> str:
        """Say which file the journal is: its number, and its generation where the file system has any; empty if none.

        Not its device, which may have another number after a restart of the machine.
        """
        generation = bytearray(8)
        with contextlib.suppress(OSError):
            if self._opened < 0:  # and kept, for to close it would drop the locks that SQLite has on it
                self._opened = os.open(self._database, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.ioctl(self._opened, _GET_GENERATION, generation)
        return f"{os.fstat(self._opened).st_ino}.{struct.unpack('=Q', generation)[0]}" if self._opened >= 0 else ""

    def presence(self, database: Path) -> Presence:
        """Return what notices that the journal at `database`, or this lock, is taken away."""
        return Presence(database, self.path, self._descriptor)

    def release(self) -> None:
        """Let go."""
        if self._opened >= 0:
            os.close(self._opened)
        os.close(self._descriptor)

    def _read(self) -> str:
        return os.pread(self._descriptor, 128, 0).decode("ascii", "replace")

    def _write(self, mark: str) -> None:
        # In place and always as long: neither a full disk nor a power cut leaves a start without the mark it found.
        # The number is for the words of a second daemon; that the disk is full is for the journal to say.
        with contextlib.suppress(OSError):
            head = f"{os.getpid():<10}\n{mark:<{len(_JOURNAL)}}"
            os.pwrite(self._descriptor, f"{head}\nfile {self._file:<{_LONGEST_FILE}}\n".encode(), 0)


def _remembered(text: str) -> str:
    found = _FILE.search(text)
    return found[1] if found else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _vanished(database: Path, lock: Path) -> JournalError:
    is_there = database.exists()
    what = "is empty, and it was not" if is_there else "is gone, and it was there"
    return JournalError(
        f"The journal {database} {what} when a daemon last worked with it.",
        remedy="Put it back, from its backup if need be, and then without the -wal and -shm files beside it: a new one "
        "would know of no mail that was handled. To begin "
        f"with a new, empty one all the same, remove {f'it and {lock}' if is_there else f'{lock} as well'}.",
    )


def _foreign(database: Path, log: Path, lock: Path) -> JournalError:
    return JournalError(
        f"The journal {database} is not the file that {log.name} was written for: the one would spoil the other.",
        remedy=f"If {database.name} is a copy that was put in its place, remove {database.name}-wal and "
        f"{database.name}-shm. If all of them were moved here together, remove {lock.name} instead.",
    )


def _linked(database: Path) -> JournalError:
    return JournalError(
        f"The journal {database} has another name as well (a hard link), under which another daemon could use it.",
        remedy=f"`find / -xdev -samefile {database}` shows it: remove that name. A link is no backup either.",
    )


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except FileNotFoundError as error:
        raise JournalError(
            f"The journal's directory {path.parent} does not exist.",
            remedy="Make it, owned by the daemon's user, or change `journal`.",
        ) from error
    except OSError as error:
        raise JournalError(
            f"{path} cannot be written: {error.strerror}.",
            remedy=f"Make {path.parent} writable for the daemon's user, or change `journal`.",
        ) from error


def _locked(where: str, holder: str) -> JournalLocked:
    by = f" (process {holder})" if holder else ""
    return JournalLocked(
        f"Another daemon{by} holds the journal {where}.",
        remedy="Stop that one first, or give this one a journal of its own.",
        pid=int(holder) if holder.isdecimal() else None,
    )


class SessionLock:
    """An advisory lock of a PostgreSQL session, on a connection kept for it; it ends with the session."""

    had_journal = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def refuse_new(self) -> None:
        """Nothing to refuse."""

    def note_journal(self) -> None:
        """Nothing to keep: a server's database is not taken for a new one because a file is missing."""

    def release(self) -> None:
        """Let go, by ending the session."""
        self._connection.invalidate()
        self._connection.close()


def server_lock(database: Database) -> SessionLock:
    """Take the lock; raises JournalLocked when another session has it."""
    try:
        connection = database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(select(func.pg_try_advisory_lock(_SERVER_KEY))):
            return SessionLock(connection)
    except DBAPIError as error:
        raise translate(error, database.where) from error
    connection.close()
    raise _locked(database.where, "")
