"""What is done at intervals besides polling."""

import asyncio
import io
from types import SimpleNamespace

import pytest

from postroom.chores import Chores
from postroom.errors import JournalError
from postroom.journal import JournalViews, open_journal
from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.notify import Notifier
from postroom.observe.report import Report
from postroom.ports import FolderSpec
from postroom.testing import ManualClock
from support.pipeline import MAILBOX, FailingJournal


@pytest.fixture
async def journal(journal_url):
    journal = await open_journal(journal_url)
    yield FailingJournal(journal)
    await journal.close()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def chores(journal, clock):
    health = Health(clock)
    report = Report(configure("debug", "json", io.StringIO()), Metrics(health, clock), health, clock)
    return Chores(journal, clock=clock, report=report, notifier=Notifier({}))


async def test_rounds_that_brought_nothing_reach_the_journal_with_the_next_count(chores, journal, clock):
    [folder] = await journal.adopt([FolderSpec("default", MAILBOX, "Inbox", None)], clock.now())
    await clock.advance(60)
    chores.walked[folder.key] = clock.now()
    await chores.count()
    await chores.count()
    [mailbox] = await JournalViews(journal.real).mailboxes()
    assert mailbox.folders[0].last_round_at == clock.now()
    assert journal.calls["walked"] == 1


async def test_a_journal_that_fails_hears_of_the_rounds_later(chores, journal, clock):
    chores.walked[1] = clock.now()
    journal.failures["walked"].append(JournalError("Full."))
    await chores.count()
    assert chores.walked == {1: clock.now()}
    await chores.count()
    assert chores.walked == {}


async def test_the_line_for_systemctl_counts_whatever_waits_for_an_operator(chores):
    chores._report.health.counts = {
        "deliveries.ready": 3,
        "deliveries.running": 1,
        "deliveries.dead": 2,
        "actions.dead": 5,
    }
    assert chores.status() == ("ok: 0 folders, 4 deliveries waiting, 2 dead letters, 5 dead mail actions, 0 problems")


class Token:
    """A token that is refreshed when the test says so."""

    expires_at = None

    def __init__(self, gate):
        self.gate, self.asked = gate, False

    async def refresh(self):
        self.asked = True
        await self.gate.wait()


async def test_a_login_host_that_hangs_delays_the_tokens_of_no_other_tenant(chores):
    hanging, open_gate = asyncio.Event(), asyncio.Event()
    open_gate.set()
    tokens = [Token(hanging), Token(open_gate), Token(open_gate)]
    chores.connections = {
        str(number): SimpleNamespace(token=token, tenant=SimpleNamespace(name=str(number)))
        for number, token in enumerate(tokens)
    }
    refreshing = asyncio.create_task(chores.refresh_tokens())
    async with asyncio.timeout(5):
        while not all(token.asked for token in tokens):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
    assert not refreshing.done()
    hanging.set()
    await refreshing
