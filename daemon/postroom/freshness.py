"""The freshness objectives: a folder not walked whole for too long is a problem, whatever kept it from that."""

from __future__ import annotations

import time
from collections.abc import Callable

from postroom.errors import PostroomError
from postroom.observe.report import Report
from postroom.pipeline.limits import spell
from postroom.ports import Clock

EVERY = 5.0
"""Seconds between two looks."""

AGAIN = 60.0
"""Seconds after which a problem that goes on is brought up to date."""

_REMEDY = "If nothing else is wrong, it brings more than that time allows: raise `freshness`, or poll less often."


class FreshnessWatch:
    """Looks at the age of each folder.

    Args:
        delay: Says what keeps a folder's round from ending, or nothing.
        seconds: A clock that nobody sets; by it a look comes late.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        report: Report,
        delay: Callable[[str, str], str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._report = report
        self._delay = delay
        self._said: dict[str, float] = {}
        self._seconds = seconds
        self._looked = seconds()

    async def look(self) -> None:
        """Report what is too old, and what is fresh again. A mailbox that is shut out has its problem already.

        A look that comes late says nothing: the daemon itself stood still, which has been said, and rounds come first.
        """
        health, now = self._report.health, self._clock.monotonic()
        before, self._looked = self._looked, self._seconds()
        if self._looked - before > 2 * EVERY:
            return
        stale = {key for key in health.stale(now) if not health.is_shut_out(key[0])}
        for mailbox, folder in stale:
            subject = f"freshness {mailbox}/{folder}"
            if subject not in health.troubles or now - self._said.get(subject, now) >= AGAIN:
                self._said[subject] = now
                self._report.problem(subject, self._missed(mailbox, folder, now), mailbox=mailbox, folder=folder)
        for subject in [each for each in health.troubles if each.startswith("freshness ")]:
            if subject not in {f"freshness {mailbox}/{folder}" for mailbox, folder in stale}:
                self._said.pop(subject, None)
                self._report.recovered(subject)

    def _missed(self, mailbox: str, folder: str, now: float) -> PostroomError:
        known = self._report.health.folders[mailbox, folder]
        failing = self._report.health.troubles.get(f"mailbox {mailbox}/{folder}")
        why = failing.what if failing is not None else self._delay(mailbox, folder) or "its next round is late."
        return PostroomError(
            f"Mailbox {mailbox}: no whole round of {folder} for {spell(known.age(now))}, the objective is "
            f"{spell(known.limit)}: {why.rstrip('.')}.",
            remedy=failing.remedy if failing is not None and failing.remedy else _REMEDY,
        )
