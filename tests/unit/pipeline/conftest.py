"""A journal on disk, a clock that stands still, and somebody who listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroom.journal import open_journal
from postroom.ports import FolderSpec, WatchedFolder
from postroom.testing import ManualClock
from support.pipeline import MAILBOX, FailingJournal, Notes, ScriptedMail


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def mail() -> ScriptedMail:
    return ScriptedMail()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[FailingJournal]:
    journal = await open_journal(f"sqlite:///{tmp_path}/journal.db")
    yield FailingJournal(journal)
    await journal.close()


@pytest.fixture
async def folder(journal: FailingJournal, clock: ManualClock) -> WatchedFolder:
    [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", None)], clock.now())
    return folder
