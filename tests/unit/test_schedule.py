"""Recurring jobs: late ones run, failing ones run again, none runs beside itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from postroom.schedule import Schedule


@pytest.fixture
async def schedule():
    schedule = Schedule()
    yield schedule
    schedule.stop()
    await asyncio.sleep(0)


def counting():
    """Return a job, the times it ran, and a way to wait for them."""
    ran = asyncio.Semaphore(0)

    async def job():
        ran.release()

    async def times(count):
        async with asyncio.timeout(5):
            for _ in range(count):
                await ran.acquire()

    return job, times


async def test_a_job_runs_again_and_again(schedule):
    job, times = counting()
    schedule.every(0.01, "job", job)
    schedule.start()

    await times(3)


async def test_a_job_waits_one_interval_unless_it_is_to_run_at_once(schedule):
    job, times = counting()
    late, late_times = counting()
    schedule.every(3600, "early", job, at_once=True)
    schedule.every(3600, "late", late)
    schedule.start()

    await times(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await late_times(1)


async def test_a_job_of_the_same_name_takes_the_others_place(schedule):
    old, old_times = counting()
    new, new_times = counting()
    schedule.every(0.01, "job", old)
    schedule.every(0.01, "job", new)
    schedule.start()

    await new_times(3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await old_times(1)


async def test_a_job_never_runs_beside_itself(schedule, caplog):
    under_way, most, release = 0, 0, asyncio.Event()
    started = asyncio.Event()

    async def slow():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        started.set()
        await release.wait()
        under_way -= 1

    other, times = counting()
    schedule.every(0.01, "slow", slow)
    schedule.every(0.01, "other", other)
    schedule.start()
    await started.wait()
    await times(5)
    release.set()

    assert most == 1


async def test_a_job_that_fails_is_told_of_and_runs_again(caplog):
    failures: list[tuple[str, BaseException]] = []
    failed_twice = asyncio.Event()

    def failed(name, error):
        failures.append((name, error))
        if len(failures) == 2:
            failed_twice.set()

    async def job():
        raise ValueError("bad")

    schedule = Schedule(failed)
    schedule.every(0.01, "job", job)
    schedule.start()
    async with asyncio.timeout(5):
        await failed_twice.wait()
    schedule.stop()
    await asyncio.sleep(0)

    assert failures[0][0] == "job"
    assert str(failures[0][1]) == "bad"


async def test_a_job_that_is_late_runs_once_however_late(schedule):
    job, times = counting()
    schedule.every(60, "job", job)
    schedule.start()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)

    schedule._scheduler.get_job("job").modify(next_run_time=an_hour_ago)

    await times(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await times(1)


async def test_a_clock_that_was_set_back_does_not_stop_the_jobs(schedule):
    job, times = counting()
    schedule.every(0.25, "poll", job)
    schedule.start()
    schedule._scheduler.get_job("poll").modify(next_run_time=datetime.now(UTC) + timedelta(hours=1))

    schedule._look_at_the_clock()

    await times(2)


async def test_after_a_stop_no_job_runs(schedule):
    job, times = counting()
    schedule.every(0.01, "job", job)
    schedule.start()
    await times(1)
    schedule.stop()
    await asyncio.sleep(0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await times(5)


def test_stopping_what_was_never_started_is_harmless():
    Schedule().stop()


async def test_a_job_that_hangs_is_ended_reported_and_run_again_and_its_end_is_told():
    failed, well, hang = asyncio.Queue(), asyncio.Queue(), asyncio.Event()
    schedule = Schedule(lambda *told: failed.put_nowait(told), well.put_nowait)
    first = True

    async def job():
        nonlocal first
        if first:
            first = False
            await hang.wait()

    schedule.every(0.01, "job", job, limit=0.02)
    schedule.start()
    async with asyncio.timeout(5):
        name, error = await failed.get()
        assert (name, type(error)) == ("job", TimeoutError)
        assert await well.get() == "job"
    schedule.stop()
    assert failed.empty()
