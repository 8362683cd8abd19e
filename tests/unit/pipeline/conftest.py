"""A journal on disk, a clock that stands still, and somebody who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from postroom.journal import open_journal
from postroom.pipeline.dispatch import Dispatcher
from postroom.ports import FolderSpec, WatchedFolder
from postroom.testing import ManualClock
from support.pipeline import MAILBOX, FailingJournal, Notes, ScriptedMail, desk


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
async def journal(journal_url: str) -> AsyncIterator[FailingJournal]:
    journal = await open_journal(journal_url)
    yield FailingJournal(journal)
    await journal.close()


@pytest.fixture
async def folder(journal: FailingJournal, clock: ManualClock) -> WatchedFolder:
    [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", None)], clock.now())
    return folder


@pytest.fixture
def running(
    journal: FailingJournal, clock: ManualClock, notes: Notes
) -> Callable[..., AbstractAsyncContextManager[Dispatcher]]:
    """Run a dispatcher over one mailbox."""

    @asynccontextmanager
    async def run(handler: object, mail: ScriptedMail, *others: object) -> AsyncIterator[Dispatcher]:
        dispatcher = Dispatcher(
            desk(handler, *others, mail=mail),
            journal=journal,
            clock=clock,
            report=notes,
            bind_log=lambda _: None,
            acted=lambda: None,
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            await dispatcher.stop(0)
            async with asyncio.timeout(5):
                await task

    return run
