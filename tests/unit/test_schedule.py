"""Recurring jobs: late ones run, failing ones run again, none runs beside itself."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED

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


async def test_that_a_job_is_due_while_it_runs_is_no_news(schedule, caplog):
    release, skipped = asyncio.Event(), asyncio.Event()
    schedule._scheduler.add_listener(lambda event: skipped.set(), EVENT_JOB_MAX_INSTANCES)
    schedule.every(0.01, "slow", release.wait)
    schedule.start()
    async with asyncio.timeout(5):
        await skipped.wait()
    release.set()

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_else_the_library_warns_of_is_heard(schedule, caplog):
    logging.getLogger("apscheduler.scheduler").warning("Something else.")

    assert [record.getMessage() for record in caplog.records] == ["Something else."]


async def test_a_job_that_a_stop_cuts_off_has_not_failed(caplog):
    failures: list[tuple[str, BaseException]] = []
    started, ended = asyncio.Event(), asyncio.Event()

    async def job():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    schedule = Schedule(lambda *told: failures.append(told))
    schedule.every(0.01, "job", job)
    schedule.start()
    async with asyncio.timeout(5):
        await started.wait()
        schedule.stop()
        await ended.wait()
        for _ in range(20):  # the library tells its listeners a few steps later
            await asyncio.sleep(0)

    assert failures == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_job_that_a_stop_keeps_from_beginning_has_not_failed(caplog):
    schedule = Schedule()
    schedule.every(3600, "job", counting()[0], at_once=True)
    submitted = asyncio.Event()

    def stop(_):
        for run in schedule._scheduler._executors["default"]._pending_futures:
            run.cancel()
        schedule.stop()
        submitted.set()

    schedule._scheduler.add_listener(stop, EVENT_JOB_SUBMITTED)
    schedule.start()
    async with asyncio.timeout(5):
        await submitted.wait()
    for _ in range(20):
        await asyncio.sleep(0)

    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_job_that_is_cut_off_by_somebody_else_has_failed(schedule):
    failed: asyncio.Queue[tuple[str, BaseException]] = asyncio.Queue()
    schedule._failed = lambda *told: failed.put_nowait(told)

    async def job():
        raise asyncio.CancelledError

    schedule.every(0.01, "job", job)
    schedule.start()
    async with asyncio.timeout(5):
        name, error = await failed.get()

    assert (name, type(error)) == ("job", asyncio.CancelledError)


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
