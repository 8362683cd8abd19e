"""A loop that stands still is told of while it does, with who is to blame."""

from __future__ import annotations

import asyncio

import pytest

from postroom.standstill import AFTER, AGAIN, Standstill


class Bench:
    def __init__(self):
        self.told = []
        self.labels = {"handler": "lazy", "message": 7}
        self.watch = Standstill(self, self.whose, lambda: self.now)
        self.now = 100.0

    def event(self, name, **fields):
        self.told.append((name, fields))

    def whose(self, task):
        return self.labels if task.get_name() == "attempt" else {}


@pytest.fixture
async def bench():
    bench = Bench()
    bench.watch.start()
    yield bench
    bench.watch.stop()


async def blocking(bench, seconds):
    """Stand still, and have the thread's look taken meanwhile."""
    bench.watch.look(bench.now + seconds)


async def test_a_loop_that_goes_on_is_not_told_of(bench):
    await blocking(bench, AFTER - 1)
    assert bench.told == []


async def test_who_blocks_is_named_with_the_place(bench):
    await asyncio.create_task(blocking(bench, AFTER), name="attempt")
    [(name, fields)] = bench.told
    assert name == "blocked"
    assert (fields["handler"], fields["message"], fields["seconds"]) == ("lazy", 7, AFTER)
    assert " in look" in fields["at"]
    assert "def handle" in fields["remedy"]


async def test_it_is_said_again_after_a_while_and_not_at_each_look(bench):
    for seconds in (AFTER, AFTER + 1, AFTER + AGAIN - 1, AFTER + AGAIN):
        await blocking(bench, seconds)
    assert [fields["seconds"] for _, fields in bench.told] == [AFTER, AFTER + AGAIN]


async def test_its_end_is_said_with_its_length(bench):
    await asyncio.create_task(blocking(bench, AFTER), name="attempt")
    bench.now += 9.0
    bench.watch._beat()
    assert bench.told[-1] == ("unblocked", {"after_seconds": 9.0, **bench.labels})
    bench.watch._beat()
    assert len(bench.told) == 2
