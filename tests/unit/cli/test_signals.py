"""Work that a stop signal cuts off, and work that fails."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from postroom.cli.signals import Signals


@pytest.fixture
async def signals():
    """Return signals that are listened to."""
    listening = Signals()
    listening.listen()
    yield listening
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_a_stop_signal_cuts_work_off(signals):
    async def work():
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    assert not await signals.unless_stopped(work())


async def test_work_that_was_cancelled_by_others_is_no_stop(signals):
    async def work():
        waiting = asyncio.get_running_loop().create_future()
        waiting.cancel()
        await waiting

    with pytest.raises(RuntimeError, match="by no stop"):
        await signals.unless_stopped(work())
