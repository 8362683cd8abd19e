"""The journal: what was seen, what happened to it, and where to go on. Opened by `open_journal`."""

from postroom.journal.opening import open_journal
from postroom.journal.store import SqlJournal
from postroom.journal.views import JournalViews

__all__ = ["JournalViews", "SqlJournal", "open_journal"]
