"""Time limits, and whose cancellation it was."""

from __future__ import annotations

import asyncio
import sys

import pytest

from postroom.errors import Unavailable
from postroom.pipeline import limits
from postroom.pipeline.limits import at_most, is_being_cancelled, within


async def test_a_step_that_takes_too_long_says_what_was_tried_and_that_it_passes():
    with pytest.raises(Unavailable, match=r"longer than 0\.01 s to fetch a page") as caught:
        async with within(0.01, "to fetch a page", "a@b"):
            await asyncio.Event().wait()

    assert caught.value.temporary
    assert caught.value.fields["mailbox"] == "a@b"


async def test_only_a_task_that_was_asked_to_end_is_being_cancelled():
    seen = []

    async def work():
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            seen.append(is_being_cancelled())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(is_being_cancelled())
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert seen == [False, True]


async def test_what_does_its_work_in_time_returns_it_or_raises():
    async def answer():
        return 7

    async def fail():
        raise ValueError("no")

    assert await at_most(5, answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await at_most(5, fail())


async def test_work_that_swallows_its_cancellation_is_left_behind(monkeypatch):
    monkeypatch.setattr(limits, "LAST_MOMENT", 0.01)
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await at_most(0.01, stubborn())
    release.set()


async def test_whoever_waits_for_it_may_be_cancelled_and_it_with_them():
    ended = asyncio.Event()

    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(at_most(60, wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_wants_to_end_the_process_has_failed():
    async def leave():
        sys.exit(3)

    with pytest.raises(RuntimeError, match=r"SystemExit\(3\)"):
        await at_most(5, leave())


async def test_work_that_was_cancelled_by_others_has_failed():
    async def wait():
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    with pytest.raises(RuntimeError, match="CancelledError"):
        await at_most(5, wait())
