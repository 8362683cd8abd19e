"""The journal: what was seen, what happened to it, and where to go on. Opened by `open_journal`."""

from postroom.journal.store import SqlJournal, open_journal

__all__ = ["SqlJournal", "open_journal"]
