"""A clock that is set back makes nobody wait for the same hours twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroom.errors import JournalError
from postroom.pipeline.timepiece import JUMP, Timepiece
from postroom.testing import ManualClock

DAY = 86_400.0


class Wall(ManualClock):
    """A clock whose hands can be moved."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead

    def set(self, seconds):
        """Put the hands forward, or back, by so many seconds."""
        self.ahead += timedelta(seconds=seconds)


class Heard:
    """A journal that hears who is hastened."""

    def __init__(self):
        self.asked = []
        self.failures = []

    async def hasten(self, now, by, latest):
        if self.failures:
            raise self.failures.pop()
        self.asked.append((by.total_seconds(), (latest - now).total_seconds()))
        return 3


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def woken():
    return []


@pytest.fixture
def timepiece(wall, heard, notes, woken):
    return Timepiece(
        journal=heard, clock=wall, report=notes, longest=lambda: 3600.0, hastened=lambda: woken.append(True)
    )


async def test_the_first_look_only_cuts_waits_that_nobody_may_ask_for(timepiece, heard):
    await timepiece.look()
    assert heard.asked == [(0.0, 3600.0)]


async def test_a_clock_set_back_hastens_what_waits_by_as_much_and_says_so(timepiece, wall, heard, notes, woken):
    await timepiece.look()
    await wall.advance(10)
    wall.set(-DAY)
    await timepiece.look()
    await wall.advance(10)
    await timepiece.look()
    assert heard.asked[1:] == [(DAY, 3600.0)]
    assert notes.named("clock")[1:] == [{"seconds": -DAY, "hastened": 3}]
    assert len(woken) == 2


@pytest.mark.parametrize("seconds", [DAY, 2.0, -2.0])
async def test_a_clock_set_forward_or_set_right_changes_nothing(timepiece, wall, heard, seconds):
    await timepiece.look()
    wall.set(seconds)
    await timepiece.look()
    assert len(heard.asked) == 1


async def test_a_clock_set_forward_and_back_again_hastens_what_was_timed_meanwhile(timepiece, wall, heard):
    await timepiece.look()
    for seconds in (DAY, -DAY):
        wall.set(seconds)
        await timepiece.look()
    assert heard.asked[1:] == [(DAY, 3600.0)]


async def test_a_clock_that_falls_behind_in_small_steps_is_noticed_too(timepiece, wall, heard):
    await timepiece.look()
    for _ in range(6):
        wall.set(-JUMP / 4)
        await timepiece.look()
    assert heard.asked[1:] == [(JUMP, 3600.0)]


async def test_a_journal_that_fails_is_asked_again_at_the_next_look(timepiece, wall, heard, notes):
    await timepiece.look()
    wall.set(-DAY)
    heard.failures.append(JournalError("The disk is full."))
    await timepiece.look()
    assert len(heard.asked) == 1
    assert notes.problems
    await timepiece.look()
    assert heard.asked[1:] == [(DAY, 3600.0)]
