"""The steps in which the journal is pruned, beside live mail: the daemon's at its pace, a command's to the end."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import datetime

from postroom.ports import Clock, Journal, Pruned

STEP = 200
"""Messages in one transaction, some milliseconds each: live mail waits no longer than that."""

REST = 3.0
"""A transaction is followed by so many times its own length in which the journal is free for others."""


async def prune(
    journal: Journal, before: datetime, after: int = 0, *, clock: Clock, until: float = math.inf
) -> AsyncIterator[Pruned]:
    """Prune what was settled before `before`, in steps with rests between them; yields each step.

    Args:
        journal: What is pruned.
        before: Mail of which anything was settled later stays as it is.
        after: Messages up to this id are left alone; each step tells up to which it came.
        clock: Measures the steps and makes the rests.
        until: By the monotonic clock; the step that ends later is the last.

    Raises:
        JournalError: The journal cannot be written; what earlier steps did is kept.
    """
    while True:
        began = clock.monotonic()
        step = await journal.prune(before, after, STEP)
        ended = clock.monotonic()
        yield step
        if not step.more or ended >= until:
            return
        after = step.upto
        await clock.sleep(REST * (ended - began))
