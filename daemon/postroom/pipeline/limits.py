"""Time limits, how they are spelt, and telling our own stop from somebody else's cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from postroom.errors import Unavailable

T = TypeVar("T")

LAST_MOMENT = 1.0
"""Seconds that what was cut off is given to notice it."""


def is_being_cancelled() -> bool:
    """Say whether the running task was asked to end.

    A CancelledError may also come out of something it waited for that was cancelled by others: that is a failure of
    that thing, and taking it for our stop would end the work in silence.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@asynccontextmanager
async def within(seconds: float, doing: str, mailbox: str) -> AsyncIterator[None]:
    """Limit a step of a round; raises Unavailable when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(
            f"It took longer than {seconds:g} s {doing}.",
            remedy="It is tried again later; nothing is lost.",
            mailbox=mailbox,
        ) from error


def spell(seconds: float) -> str:
    """Say how long that is: ``45 s``, ``2.5 min``, ``7 min``, ``3 h``."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


async def at_most(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, or raise what it raises; raises TimeoutError when it takes longer.

    Other than with `asyncio.timeout`, work that swallows its cancellation is not waited for: it is left behind. Work
    that wants to end the process, or was cancelled by others, has failed: RuntimeError. So a CancelledError that comes
    out of this is the caller's own.
    """
    task = asyncio.create_task(_failing(work))
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        task.cancel()
    await asyncio.wait({task}, timeout=LAST_MOMENT)
    raise TimeoutError


async def _failing(work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, and make a failure of what would otherwise end more than itself."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
        if is_being_cancelled():
            raise
        raise RuntimeError(f"it ended by a {error!r} of its own") from error


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark its error as seen: what was left behind has nobody who would ask for it."""
    if not task.cancelled():
        task.exception()
