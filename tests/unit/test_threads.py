"""Threads of one's own: nobody waits behind what hangs for somebody else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from postroom.threads import AT_ONCE, OWNER, Crew, SharedOut, in_thread, on_behalf_of


@pytest.fixture
async def release():
    """Let the loop share its threads out; what hangs in them ends when this is set."""
    event = threading.Event()
    threads = SharedOut(2)
    asyncio.get_running_loop().set_default_executor(threads)
    yield event
    event.set()


@pytest.fixture
def crew():
    """Return an owner's threads."""
    threads = Crew("erp")
    yield threads
    threads.shutdown(wait=False, cancel_futures=True)


async def hang(crew, release, calls):
    """Make so many calls that hang, and wait until all threads are taken."""

    async def call():
        await asyncio.gather(*(asyncio.to_thread(release.wait) for _ in range(calls)))

    return asyncio.create_task(on_behalf_of(crew, call()))


async def test_calls_that_hang_keep_neither_another_owner_nor_nobody_waiting(release, crew):
    other = Crew("log")
    hanging = await hang(crew, release, AT_ONCE + 1)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await asyncio.create_task(on_behalf_of(other, asyncio.to_thread(threading.current_thread)))
        assert (await asyncio.to_thread(threading.current_thread)).name.startswith("ThreadPool")
    release.set()
    await hanging
    other.shutdown()


async def test_a_task_that_is_started_for_an_owner_calls_in_its_threads(release, crew):
    async def work():
        return await asyncio.create_task(asyncio.to_thread(threading.current_thread))

    thread = await asyncio.create_task(on_behalf_of(crew, work()))

    assert thread.name.startswith("erp")
    assert OWNER.get(None) is None
    release.set()


async def test_who_waits_for_a_thread_gets_one_when_calls_are_left_behind(release, crew):
    hanging = await hang(crew, release, AT_ONCE)
    await asyncio.sleep(0)
    waiting = asyncio.create_task(on_behalf_of(crew, asyncio.to_thread(lambda: "done")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert crew._work_queue.qsize() == 1

    crew.leave_behind(1)

    async with asyncio.timeout(5):
        assert await waiting == "done"
    release.set()
    await hanging
    crew.leave_behind(-1)


async def test_a_thread_made_for_one_call_returns_or_raises_what_it_did():
    def fail():
        raise StopIteration

    assert await in_thread(lambda: 7) == 7
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_thread(fail)


async def test_a_thread_that_is_not_waited_for_any_more_is_counted_until_it_ends(release):
    counted, ended = [], asyncio.Event()

    def count(change):
        counted.append(change)
        if change < 0:
            ended.set()

    task = asyncio.create_task(in_thread(release.wait, abandoned=count))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert counted == [1]
    release.set()
    async with asyncio.timeout(5):
        await ended.wait()
    assert counted == [1, -1]
