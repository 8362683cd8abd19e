"""Notices that the machine's clock was set back, so that what waits for a time does not wait for it twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from postroom.errors import JournalError
from postroom.ports import Clock, Journal, Report

EVERY = 5.0
"""Seconds between two looks at the clock."""

JUMP = 5.0
"""Seconds by which the clock must be behind to count as set back: less is how clocks are kept right."""


class Timepiece:
    """Compares the clock with seconds that never run backwards, and has the journal follow when it is set back.

    When the clock is set forward, or has gone on while the machine slept, what waits is due early: that harms nobody.

    Args:
        longest: Returns the longest wait in seconds that anybody may ask for; what waits longer was timed by a clock
            that was ahead, while the daemon was away.
        hastened: Called when something is due earlier now.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        report: Report,
        longest: Callable[[], float],
        hastened: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._report = report
        self._longest = longest
        self._hastened = hastened
        self._began: datetime | None = None

    async def look(self) -> None:
        """Look at the clock; a journal that fails is asked again at the next look."""
        began = self._clock.now() - timedelta(seconds=self._clock.monotonic())
        back = 0.0 if self._began is None else (self._began - began).total_seconds()
        if self._began is not None and back < JUMP:
            self._began = max(began, self._began)  # a clock that is slowed down may come to a jump in small steps
            return
        now = self._clock.now()
        try:
            count = await self._journal.hasten(now, timedelta(seconds=back), now + timedelta(seconds=self._longest()))
        except JournalError as error:
            self._report.problem("journal", error)
            return
        self._began = began
        if back or count:
            self._report.event("clock", seconds=-round(back, 1), hastened=count)
        if count:
            self._hastened()
