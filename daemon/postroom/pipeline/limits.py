"""Time limits, how they are spelt, and telling our own stop from somebody else's cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from postroom.errors import Unavailable


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
