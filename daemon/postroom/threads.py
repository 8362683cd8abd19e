"""Threads for what blocks. Nobody waits behind what hangs for somebody else: each owner has threads of his own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

AT_ONCE = 32
"""Calls of one owner that run at once, those left behind apart: what asyncio has at most for everybody together."""

P = ParamSpec("P")
T = TypeVar("T")


class Owner(Protocol):
    """For whom calls in threads are made."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call made in a thread of this owner's."""


OWNER: contextvars.ContextVar[Owner] = contextvars.ContextVar("owner")
"""Whose calls are made by `asyncio.to_thread` here and in every task that is started here."""


async def on_behalf_of(owner: Owner, work: Coroutine[Any, Any, T]) -> T:
    """Do `work` and have its calls made for this owner; to be run in a task of its own."""
    OWNER.set(owner)
    return await work


class SharedOut(ThreadPoolExecutor):
    """An event loop's default executor that hands calls to their owner, and makes those that are nobody's."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call made by the owner in whose context this is called."""
        owner = OWNER.get(None)
        return super().submit(function, *args, **kwargs) if owner is None else owner.submit(function, *args, **kwargs)


class Crew(ThreadPoolExecutor):
    """The threads of one owner. A call that hangs takes its thread out of the count once it is left behind."""

    def __init__(self, name: str) -> None:
        super().__init__(AT_ONCE, thread_name_prefix=name)

    @property
    def left(self) -> int:
        """How many calls that run on have been left behind."""
        return self._max_workers - AT_ONCE

    def leave_behind(self, calls: int) -> None:
        """Do without the threads of so many calls that run on; negative when they have ended."""
        self._max_workers += calls
        for _ in range(min(calls, self._work_queue.qsize())):
            self._adjust_thread_count()  # who waits for a thread gets one that is allowed now


async def in_thread(
    function: Callable[..., Any], *args: object, abandoned: Callable[[int], None] = lambda _: None
) -> Any:
    """Return what `function` returns, or raise what it raises, having run it in a thread that is made for it.

    A thread cannot be stopped. When the wait is cancelled it runs on, and it does not keep the process from ending.

    Args:
        function: What to run; it sees the caller's context variables.
        args: What to call it with.
        abandoned: Called with 1 when the wait ends before the thread does, and with -1 when that thread ends at last.
    """
    ended: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
    work = contextvars.copy_context()
    threading.Thread(target=_run, args=(ended, work, function, args), name="own", daemon=True).start()
    try:
        answer, error = await asyncio.shield(ended)
    except asyncio.CancelledError:
        if not ended.done():
            abandoned(1)
            ended.add_done_callback(lambda _: abandoned(-1))
        raise
    if error is not None:
        raise error
    return answer


def _run(
    ended: asyncio.Future[tuple[Any, BaseException | None]],
    work: contextvars.Context,
    function: Callable[..., Any],
    args: tuple[object, ...],
) -> None:
    """Run in the thread. An error travels as a value: a future takes no StopIteration, and would never end."""
    try:
        result: tuple[Any, BaseException | None] = (work.run(function, *args), None)
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
        result = (None, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended, and nobody waits any more
        ended.get_loop().call_soon_threadsafe(ended.set_result, result)
