"""Telling our own stop from somebody else's cancellation."""

from __future__ import annotations

import asyncio


def is_being_cancelled() -> bool:
    """Say whether the running task was asked to end.

    A CancelledError may also come out of something it waited for that was cancelled by others: that is a failure of
    that thing, and taking it for our stop would end the work in silence.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
