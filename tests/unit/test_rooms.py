"""Rooms: none ends in silence, and at a stop none is waited for longer than it may take."""

from __future__ import annotations

import asyncio
import io

import pytest

from postroom.observe.health import Health
from postroom.observe.log import configure
from postroom.observe.metrics import Metrics
from postroom.observe.report import Report
from postroom.rooms import Rooms
from postroom.testing import ManualClock


@pytest.fixture
def bench():
    clock = ManualClock()
    health = Health(clock)
    report = Report(configure("info", "json", io.StringIO()), Metrics(health, clock), health, clock)
    return clock, health, Rooms(clock=clock, report=report)


async def test_a_room_with_a_defect_is_reported_and_works_again(bench):
    clock, health, rooms = bench
    runs, again = [], asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise ZeroDivisionError
        again.set()

    rooms.open("post", run)
    await clock.wait_for_sleepers()
    assert "room post" in health.troubles
    await clock.advance(1.0)
    await asyncio.wait_for(again.wait(), 5)
    await rooms.end(1.0)
    assert len(runs) == 2


async def test_a_room_that_does_not_end_is_cut_off_at_a_stop(bench):
    _, _, rooms = bench
    cut_off = asyncio.Event()

    async def run():
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.set()

    rooms.open("post", run)
    await asyncio.sleep(0)
    await rooms.end(0.0)
    assert cut_off.is_set()


async def test_a_stop_waits_for_others_as_well(bench):
    _, _, rooms = bench
    other = asyncio.create_task(asyncio.sleep(0, "ended"))
    await rooms.end(5.0, [other])
    assert other.result() == "ended"
