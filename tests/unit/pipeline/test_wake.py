"""Waiting for work: neither too long nor in a loop."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from postroom.errors import JournalError
from postroom.pipeline import wake as waking
from postroom.pipeline.wake import Wake
from postroom.testing.clock import START


async def seconds_of(wake, asked=START):
    started = time.monotonic()
    async with asyncio.timeout(5):
        await wake.wait(asked)
    return time.monotonic() - started


@pytest.fixture
def waiting_for(clock):
    def make(due):
        async def next_due():
            if isinstance(due, BaseException):
                raise due
            return due

        return Wake(clock, next_due)

    return make


async def test_a_call_ends_the_wait(waiting_for):
    wake = waiting_for(None)
    asyncio.get_running_loop().call_later(0.01, wake.set)

    assert await seconds_of(wake) < 0.5


async def test_a_call_before_the_wait_counts_once(waiting_for, monkeypatch):
    monkeypatch.setattr(waking, "LONGEST_WAIT", 0.05)
    wake = waiting_for(None)
    wake.set()

    assert await seconds_of(wake) < 0.04
    assert await seconds_of(wake) >= 0.04


async def test_what_falls_due_ends_the_wait(waiting_for):
    assert 0.02 < await seconds_of(waiting_for(START + timedelta(seconds=0.03))) < 0.5


@pytest.mark.parametrize("due", [None, START, START - timedelta(days=1), START + timedelta(days=1), JournalError("x")])
async def test_otherwise_it_looks_again_after_a_while_and_is_no_busy_loop(waiting_for, monkeypatch, due):
    monkeypatch.setattr(waking, "LONGEST_WAIT", 0.05)

    assert 0.04 < await seconds_of(waiting_for(due)) < 0.5
