"""Attempts that failed because the mailbox could not be asked: an outage of Graph is not the mail's fault.

Whether it is an outage, or one item that Graph fails on again and again, is told apart by what else the mailbox did:
when it has answered anybody since this delivery failed the last time, then it is the mail.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from postroom.errors import AuthError, Conflict, GraphError, Throttled
from postroom.ports import LONGEST_PARK, Clock

LONGEST_WAIT = 300.0
"""Seconds at most until what was excused is tried again: a long outage must not be followed by a long silence."""

MEMORY = 100_000
"""Deliveries that are remembered; a forgotten one is excused once more."""


@dataclass(frozen=True, slots=True)
class _Failure:
    at: float
    count: int


def is_of_mailbox(error: BaseException | None) -> bool:
    """Say whether an error may be the mailbox's, or that of the way to it, whichever mail it was about.

    A CancelledError is what the end of an attempt's time limit looks like to a request that got no answer by then.
    """
    if isinstance(error, GraphError):
        return bool(error.parks) or (error.temporary and not isinstance(error, Conflict))
    return isinstance(error, AuthError | asyncio.CancelledError)


class Excuses:
    """Remembers which deliveries (or mail actions), by their ids, have failed for their mailbox's sake, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[int, _Failure] = {}

    def wait(self, key: int, error: BaseException, answered_at: float, first: float) -> float | None:
        """Return the seconds after which to try again at no cost, or None where the attempt has to count.

        Args:
            key: The delivery's id.
            error: Why the mailbox could not be asked; see `is_of_mailbox`.
            answered_at: When the mailbox has last answered anybody (monotonic seconds).
            first: Seconds to wait the first time; doubled each time.
        """
        before, now = self._failures.pop(key, None), self._clock.monotonic()
        # Graph, or our own budget, has not even looked at what was asked for: that cannot be the mail's fault.
        is_excused = before is None or answered_at < before.at or isinstance(error, Throttled)
        count = before.count + 1 if before is not None and is_excused else 1
        if len(self._failures) < MEMORY:
            self._failures[key] = _Failure(now, count)
        if not is_excused:
            return None
        asked: float = getattr(error, "retry_after", None) or 0.0
        wait = min(first * 2.0 ** min(count - 1, 10), LONGEST_WAIT) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        return max(wait, min(asked, LONGEST_PARK))

    def forget(self, key: int) -> None:
        """Note that there is nothing more to excuse. Costs next to nothing while all is well."""
        if self._failures:
            self._failures.pop(key, None)
