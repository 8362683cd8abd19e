"""Attempts that failed because the mailbox could not be asked: an outage of Graph is not the mail's fault.

Whether it is an outage, or one item that Graph fails on again and again, is told apart by what else the mailbox did:
when it has answered anybody since this delivery failed the last time, then it is the mail.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from postroom.errors import AuthError, Conflict, GraphError, Throttled
from postroom.ports import LOCAL_BUDGET, LONGEST_RETRY_AFTER, Clock

LONGEST_WAIT = 300.0
"""Seconds at most until what was excused is tried again: a long outage must not be followed by a long silence."""

MEMORY = 100_000
"""Deliveries that are remembered; who finds no room is not excused, lest it be so each time."""


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


def _was_put_off(error: BaseException) -> bool:
    """Say whether a request was put off before anybody looked at it, until a known time or by Graph.

    That all slots were taken is not meant: the handler itself may hold those it then waits for.
    """
    return isinstance(error, Throttled) and not is_crowded(error)


def is_crowded(error: BaseException) -> bool:
    """Say whether a request found all slots of its mailbox taken; our budget names no time then."""
    return isinstance(error, Throttled) and error.code == LOCAL_BUDGET and error.retry_after is None


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
        if before is None and len(self._failures) >= MEMORY:
            return None
        is_excused = before is None or answered_at < before.at or _was_put_off(error)
        count = before.count + 1 if before is not None and is_excused else 1
        self._failures[key] = _Failure(now, count)
        if not is_excused:
            return None
        asked: float = getattr(error, "retry_after", None) or 0.0
        wait = min(first * 2.0 ** min(count - 1, 10), LONGEST_WAIT) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        return max(wait, min(asked, LONGEST_RETRY_AFTER))

    def forget(self, key: int) -> None:
        """Note that there is nothing more to excuse. Costs next to nothing while all is well."""
        if self._failures:
            self._failures.pop(key, None)
