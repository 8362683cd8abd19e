"""What the journal's own tests stand on: an empty journal, and mail to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from postroom.journal import SqlJournal, open_journal
from postroom.model import Message
from postroom.ports import FolderSpec, MatchedRule, NewMessage, PageCommit, WatchedFolder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
async def journal(journal_url: str) -> AsyncIterator[SqlJournal]:
    opened = await open_journal(journal_url)
    yield opened
    await opened.close()


@pytest.fixture
async def inbox(journal: SqlJournal) -> WatchedFolder:
    (folder,) = await journal.adopt([FolderSpec("default", "a@contoso.example", "Inbox", None)], NOW)
    return folder


@pytest.fixture
def make_page() -> Callable[..., PageCommit]:
    """Make a page of mails numbered from `first`, each for the handler ``archive``."""

    def make(folder: WatchedFolder, count: int, first: int = 0, link: str = "link") -> PageCommit:
        rules = (MatchedRule("all", ("archive",)),)
        mails = [
            Message(id=f"AAkALg{number:06}", mailbox=folder.mailbox, folder=folder.name, received_at=NOW)
            for number in range(first, first + count)
        ]
        return PageCommit(folder.key, [NewMessage(mail, rules) for mail in mails], link, "round", NOW)

    return make
