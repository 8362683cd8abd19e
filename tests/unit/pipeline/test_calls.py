"""Calls in threads that outlive their attempt: they keep its place, and that mail is not run beside itself."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import pytest

from postroom.model import Done, Reject, RetryPolicy, Skip
from postroom.pipeline.attempt import STUCK
from postroom.pipeline.dispatch import Dispatcher
from postroom.threads import AT_ONCE, SharedOut
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


@pytest.mark.parametrize("outcome", [Reject("no answer"), Skip("no answer")])
async def test_a_call_that_a_handler_gave_up_waiting_for_keeps_its_place(
    running, release, *, journal, folder, clock, notes, outcome
):
    await deliver(journal, folder, clock, "erp")

    async def give_up(*_):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.to_thread(release.wait)
        except TimeoutError:
            return outcome

    handler = opened("erp", Scripted(give_up), concurrency=1)
    running(handler)

    await until(lambda: [subject for subject, _ in notes.problems] == ["places erp"])
    assert handler.stranded == 1
    release.set()
    await until(lambda: "places erp" in notes.well)
    assert handler.stranded == 0
    assert handler.crew.left == 0


@pytest.mark.parametrize("pause", [0.0, 0.01], ids=["at_once", "later"])
async def test_calls_that_done_handlers_leave_behind_take_no_thread_and_keep_places_once_they_are_too_many(
    running, release, *, journal, folder, clock, notes, pause
):
    kept = []

    async def leave(*_):
        kept.append(asyncio.create_task(asyncio.to_thread(release.wait)))
        if pause:
            await asyncio.sleep(pause)
        return Done()

    leaving = Scripted(leave)
    handler = opened("erp", leaving, concurrency=1)
    dispatcher = running(handler)

    for number in range(1, AT_ONCE + 1):
        await deliver(journal, folder, clock, "erp")
        dispatcher.wake.set()
        await until(lambda number=number: handler.crew is not None and handler.crew.left == number)
    assert handler.stranded == 0
    async with asyncio.timeout(5):
        assert await asyncio.wrap_future(handler.submit(int, "7")) == 7

    await deliver(journal, folder, clock, "erp")
    dispatcher.wake.set()
    await until(lambda: [subject for subject, _ in notes.problems] == ["places erp"])
    assert len(leaving.ran) == AT_ONCE + 1

    release.set()
    await until(lambda: "places erp" in notes.well)
    await until(lambda: handler.crew.left == 0)
    await asyncio.gather(*kept)


async def test_an_attempt_that_leaves_more_calls_than_there_are_threads_gets_no_more_than_that_beside_them(
    running, release, *, journal, folder, clock
):
    await deliver(journal, folder, clock, "erp")
    kept = []

    async def leave(*_):
        kept.extend(asyncio.create_task(asyncio.to_thread(release.wait)) for _ in range(3 * AT_ONCE))
        await asyncio.sleep(0.01)
        return Done()

    handler = opened("erp", Scripted(leave), concurrency=1)
    running(handler)

    await counted(journal, "deliveries.done", 1)
    assert handler.crew.left == AT_ONCE
    release.set()
    await asyncio.gather(*kept)
    await until(lambda: handler.crew.left == 0)


async def test_calls_that_are_made_after_the_attempt_take_no_more_places_than_the_handler_has(
    running, release, *, journal, folder, clock, notes
):
    await deliver(journal, folder, clock, "erp")
    kept = []

    async def leave(*_):
        kept.extend(asyncio.create_task(asyncio.to_thread(release.wait)) for _ in range(3 * AT_ONCE))
        return Done()

    handler = opened("erp", Scripted(leave), concurrency=2)
    running(handler)

    await until(lambda: [subject for subject, _ in notes.problems] == ["places erp"])
    assert handler.stranded == 2
    assert handler.crew.left == AT_ONCE + 2
    release.set()
    await asyncio.gather(*kept)
    await until(lambda: handler.stranded == handler.crew.left == 0)


async def test_a_failure_that_leaves_no_call_behind_keeps_no_place(running, release, *, journal, folder, clock):
    await deliver(journal, folder, clock, "erp")

    async def fail(*_):
        await asyncio.to_thread(int, "no number")

    handler = opened("erp", Scripted(fail), retry=RetryPolicy(1), concurrency=1)
    running(handler)

    await counted(journal, "deliveries.dead", 1)
    assert handler.stranded == 0
    release.set()
