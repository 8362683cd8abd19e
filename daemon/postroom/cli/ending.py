"""The end of a process that ran other people's code: whatever that has left behind, the process does end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from postroom.errors import ExitCode
from postroom.threads import SharedOut

LAST_MOMENT = 1.0
"""Seconds that left-over tasks, and then threads, are given to end once everything is put away."""


def own_threads() -> SharedOut:
    """Give the running loop threads for `asyncio.to_thread` that `leave` can see the end of, and return them."""
    threads = SharedOut(thread_name_prefix="work")
    asyncio.get_running_loop().set_default_executor(threads)
    return threads


async def leave(threads: ThreadPoolExecutor, code: ExitCode) -> ExitCode:
    """Return `code` when nothing is left that would keep the process; otherwise end it here and now with that code."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=LAST_MOMENT)
    threads.shutdown(wait=False, cancel_futures=True)
    if tasks:
        _exit(code)
    leave_threads(code)
    return code


def leave_threads(code: int) -> None:
    """Return when no thread is left that Python would wait for at its end; otherwise end the process here and now.

    A sign-in that hangs in the network, for one, would keep somebody waiting who has pressed Ctrl-C.
    """
    if _alive(time.monotonic() + LAST_MOMENT):
        _exit(code)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _alive(deadline: float) -> bool:
    """Say whether a thread that Python would wait for at its exit still runs at the deadline (monotonic seconds)."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return True
    return False
