import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.testing import ManualClock


async def test_time_stands_still_until_it_is_told_to_go_on():
    clock = ManualClock()
    start = clock.now()
    await clock.advance(90)
    assert clock.now() - start == timedelta(seconds=90)
    assert clock.monotonic() == 90
    assert start.tzinfo is not None


async def test_a_sleeper_wakes_when_its_time_has_come_and_not_before():
    clock = ManualClock()
    sleeper = asyncio.ensure_future(clock.sleep(10))
    await clock.wait_for_sleepers()
    await clock.advance(9.9)
    assert not sleeper.done()
    await clock.advance(0.1)
    assert sleeper.done()
    assert clock.sleeping == 0


async def test_a_loop_goes_round_as_often_as_its_time_fits():
    clock = ManualClock()
    rounds = []

    async def loop():
        while True:
            await clock.sleep(1)
            rounds.append(clock.monotonic())

    looping = asyncio.ensure_future(loop())
    await clock.advance(5)
    looping.cancel()
    assert rounds == [1, 2, 3, 4, 5]


@given(st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=20))
def test_sleepers_wake_in_the_order_of_their_time(waits):
    async def scenario():
        clock = ManualClock()
        woken = []

        async def sleep(seconds):
            await clock.sleep(seconds)
            woken.append((seconds, clock.monotonic()))

        tasks = [asyncio.ensure_future(sleep(seconds)) for seconds in waits]
        await clock.wait_for_sleepers(len(tasks))
        await clock.advance(50)
        await asyncio.gather(*tasks)
        return woken

    assert asyncio.run(scenario()) == [(seconds, seconds) for seconds in sorted(waits)]


async def test_a_cancelled_sleeper_is_forgotten():
    clock = ManualClock()
    sleeper = asyncio.ensure_future(clock.sleep(10))
    await clock.wait_for_sleepers()
    sleeper.cancel()
    await asyncio.wait({sleeper})
    assert clock.sleeping == 0
    await clock.advance(20)
    assert clock.monotonic() == 20


async def test_no_time_is_no_wait():
    clock = ManualClock()
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.sleeping == 0


async def test_waiting_for_a_sleeper_that_never_comes_has_an_end():
    with pytest.raises(TimeoutError):
        await ManualClock().wait_for_sleepers(limit=0.01)
