"""Calls in threads that outlive their attempt: they keep its place, and that mail is not run beside itself."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import pytest

from postroom.model import Done, RetryPolicy
from postroom.pipeline.attempt import STUCK
from postroom.pipeline.dispatch import Dispatcher
from postroom.threads import SharedOut
from support.pipeline import Scripted, counted, deliver, desk, opened, until


@pytest.fixture
async def release():
    """Let the loop share its threads out; what hangs in them ends when this is set."""
    event = threading.Event()
    asyncio.get_running_loop().set_default_executor(SharedOut(2))
    yield event
    event.set()


@pytest.fixture
async def running(journal, clock, notes):
    """Return a way to run handlers while the test looks on."""
    tasks = []

    def run(*handlers):
        dispatcher = Dispatcher(
            desk(*handlers),
            journal=journal,
            clock=clock,
            report=notes,
            bind_log=lambda _: None,
            acted=lambda: None,
            random=Random(7),
        )
        tasks.append((dispatcher, asyncio.create_task(dispatcher.run())))
        return dispatcher

    yield run
    for dispatcher, task in tasks:
        await dispatcher.stop(0)
        async with asyncio.timeout(5):
            await task


async def test_a_call_that_hangs_keeps_one_place_until_it_comes_back(
    running, release, *, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    calling = Scripted(lambda *_: asyncio.to_thread(release.wait))
    handler = opened("erp", calling, retry=RetryPolicy(2, 1.0, 1.0), timeout=0.05, concurrency=1)
    dispatcher = running(handler)

    await until(lambda: handler.stranded == 1)
    await until(lambda: [subject for subject, _ in notes.problems] == ["places erp"])
    await clock.advance(60)
    dispatcher.wake.set()
    await deliver(journal, folder, clock, "erp")
    assert len(calling.ran) == 1

    release.set()
    await until(lambda: handler.stranded == 0)
    await until(lambda: "places erp" in notes.well)
    dispatcher.wake.set()
    await until(lambda: len(calling.ran) == 3)


async def test_a_mail_whose_call_hangs_is_not_run_beside_it(running, release, *, journal, folder, clock, notes):
    await deliver(journal, folder, clock, "erp")
    calling = Scripted(lambda *_: asyncio.to_thread(release.wait))
    handler = opened("erp", calling, retry=RetryPolicy(2, 1.0, 1.0), timeout=0.05, concurrency=2)
    dispatcher = running(handler)

    await until(lambda: handler.stranded == 1)
    await clock.advance(60)
    dispatcher.wake.set()
    await counted(journal, "deliveries.dead", 1)

    assert len(calling.ran) == 1
    assert STUCK in notes.named("delivery")[-1]["error"]


async def test_a_handler_that_is_done_may_leave_a_call_behind(running, release, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp", count=2)
    kept = []

    async def leave(*_):
        kept.append(asyncio.create_task(asyncio.to_thread(release.wait)))
        await asyncio.sleep(0.01)
        return Done()

    handler = opened("erp", Scripted(leave), concurrency=1)
    running(handler)

    await counted(journal, "deliveries.done", 2)
    assert handler.stranded == 0
    release.set()
    await asyncio.gather(*kept)


async def test_a_failure_that_leaves_no_call_behind_keeps_no_place(running, release, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")

    async def fail(*_):
        await asyncio.to_thread(int, "no number")

    handler = opened("erp", Scripted(fail), retry=RetryPolicy(1), concurrency=1)
    running(handler)

    await counted(journal, "deliveries.dead", 1)
    assert handler.stranded == 0
    release.set()
