"""Many who wait for the disk at once wait for it together."""

from __future__ import annotations

import asyncio
import threading

import pytest

from postroom.errors import JournalError
from postroom.journal import database as module

MANY = 20


class Syncs:
    """What puts the journal on the disk: counts, and waits in each until it may go on."""

    def __init__(self):
        self.count = 0
        self.error = None
        self.may_end = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()

    def __call__(self, _connection):
        self.count += 1
        self._loop.call_soon_threadsafe(self._begun.set)
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error

    async def begun(self):
        """Wait until one has begun."""
        await asyncio.wait_for(self._begun.wait(), 10)


@pytest.fixture
async def syncs(journal, monkeypatch):
    counted = Syncs()
    monkeypatch.setattr(module, "sync", counted)
    yield counted
    counted.may_end.set()


async def waiting(database, count=MANY):
    """Return so many tasks that wait for the disk."""
    tasks = [asyncio.create_task(database.sync()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_many_who_come_before_a_sync_has_begun_share_it(journal, syncs):
    first = await waiting(journal.database, 1)
    await syncs.begun()
    rest = await waiting(journal.database)
    syncs.may_end.set()
    await asyncio.gather(*first, *rest)
    assert syncs.count == 2, "what they committed may have missed the one under way, and the next has it"


async def test_who_comes_when_all_is_done_waits_for_the_disk_anew(journal, syncs):
    syncs.may_end.set()
    await journal.database.sync()
    await journal.database.sync()
    assert syncs.count == 2


async def test_who_stops_waiting_for_the_disk_leaves_the_others_theirs(journal, syncs):
    first = await waiting(journal.database, 1)
    await syncs.begun()
    rest = await waiting(journal.database)
    rest[0].cancel()
    await asyncio.wait(rest[:1])
    syncs.may_end.set()
    await asyncio.gather(*first, *rest[1:])
    assert rest[0].cancelled()


async def test_a_disk_that_fails_is_told_to_all_who_wait_for_it(journal, syncs):
    syncs.error = OSError(5, "Input/output error")
    syncs.may_end.set()
    errors = await asyncio.gather(*await waiting(journal.database), return_exceptions=True)
    assert ["Input/output error" in str(error) for error in errors] == [True] * MANY


async def test_a_disk_that_does_not_answer_is_not_waited_for_for_ever(journal, syncs, monkeypatch):
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.01)
    with pytest.raises(JournalError, match="has not answered") as caught:
        await journal.database.sync()
    assert caught.value.temporary
    syncs.may_end.set()


async def test_a_closed_journal_is_not_put_on_the_disk_but_says_so(journal):
    await journal.close()
    with pytest.raises(JournalError, match="is closed"):
        await journal.database.sync()
