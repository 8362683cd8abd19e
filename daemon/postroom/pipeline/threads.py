"""Threads for plain `handle` methods: one each, for a shared pool would let a hanging handler take all its places."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any


async def in_thread(function: Callable[..., Any], *args: object, abandoned: Callable[[int], None]) -> Any:
    """Return what `function` returns, or raise what it raises, having run it in a thread of its own.

    A thread cannot be stopped. When the wait is cancelled it runs on, and it does not keep the process from ending.

    Args:
        function: What to run; it sees the caller's context variables.
        args: What to call it with.
        abandoned: Called with 1 when the wait ends before the thread does, and with -1 when that thread ends at last.
    """
    ended: asyncio.Future[tuple[Any, BaseException | None]] = asyncio.get_running_loop().create_future()
    work = contextvars.copy_context()
    threading.Thread(target=_run, args=(ended, work, function, args), name="handler", daemon=True).start()
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
