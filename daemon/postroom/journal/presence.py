"""Notices that a journal's files are no longer where they were opened: what is written then, nobody finds again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from postroom.errors import JournalGone

_AFTERWARDS = (
    "Put the file back, or a backup in its place; but remove the -wal and -shm files before: they would spoil one. "
    "A start makes no other one as long as the lock beside it is there. Where that is gone, too, it begins with a new, "
    "empty journal and handles the mail that is there by then as `start` of each mailbox says."
)


class Presence:
    """What a journal's file and its lock were when they were opened.

    Args:
        database: The path the journal is opened by; it exists.
        lock: The path of the lock's file.
        locked: The descriptor that holds the lock.
    """

    def __init__(self, database: Path, lock: Path, locked: int) -> None:
        self._lock = lock
        self._known: Mapping[Path, tuple[int, int]] = {
            database: _identity(database.stat()),
            lock: _identity(os.fstat(locked)),
        }

    def check(self) -> None:
        """Raise JournalGone when a path names nothing any more, or another file."""
        for path, known in self._known.items():
            try:
                is_there = _identity(path.stat()) == known
            except (FileNotFoundError, NotADirectoryError):
                raise self._gone(path, "it was removed or renamed") from None
            except OSError:
                continue  # it cannot be told, and a journal that cannot be used says so by itself
            if not is_there:
                raise self._gone(path, "another file is in its place")

    def _gone(self, path: Path, how: str) -> JournalGone:
        if path == self._lock:
            return JournalGone(
                f"The lock {path} of the journal is gone: {how}.",
                remedy="The daemon ends, lest another one work with the same journal. Nothing is lost: start it again, "
                "and leave the file alone.",
            )
        return JournalGone(
            f"The journal {path} is gone: {how}.",
            remedy=f"Nothing can be recorded any more, so the daemon ends. {_AFTERWARDS}",
        )


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
