"""The journal is pruned in steps, and live mail has it three times as long between them."""

from __future__ import annotations

from datetime import UTC, datetime

from postroom.pipeline.pruning import REST, STEP, prune
from postroom.ports import Pruned

AT = datetime(2026, 3, 1, tzinfo=UTC)


class Stopwatch:
    """A clock and a journal of so many steps, each of which takes two seconds; sleeping is remembered."""

    def __init__(self, steps: int) -> None:
        self.time = 0.0
        self.rests: list[float] = []
        self.asked: list[int] = []
        self._steps = steps

    def monotonic(self):
        return self.time

    async def sleep(self, seconds):
        self.rests.append(seconds)
        self.time += seconds

    async def prune(self, _before, after, limit):
        self.asked.append(after)
        self.time += 2.0
        return Pruned(limit, after + limit, len(self.asked) < self._steps)


async def test_each_step_but_the_last_is_followed_by_a_rest_of_three_times_its_length():
    watch = Stopwatch(3)
    steps = [step async for step in prune(watch, AT, 7, clock=watch)]
    assert watch.asked == [7, 7 + STEP, 7 + 2 * STEP]
    assert watch.rests == [REST * 2.0] * 2
    assert sum(step.count for step in steps) == 3 * STEP


async def test_what_is_done_with_a_step_is_no_part_of_the_rest():
    watch = Stopwatch(2)
    async for _ in prune(watch, AT, clock=watch):
        watch.time += 100.0
    assert watch.rests == [REST * 2.0]


async def test_the_step_that_ends_after_its_time_is_the_last():
    watch = Stopwatch(9)
    assert len([step async for step in prune(watch, AT, clock=watch, until=9.0)]) == 2
