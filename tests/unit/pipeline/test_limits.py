"""Time limits, and whose cancellation it was."""

from __future__ import annotations

import asyncio

import pytest

from postroom.errors import Unavailable
from postroom.pipeline.limits import is_being_cancelled, within


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
