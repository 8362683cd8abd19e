"""Mails that the limit of their mailbox holds back for long: a problem of that mailbox, for they may never catch up."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from postroom.errors import PostroomError
from postroom.pipeline.limits import spell
from postroom.ports import BY_LIMIT, Clock, Report

BUSY_WAIT: Final = timedelta(minutes=5)
"""How long a mail waits that the mailbox's own limit holds back."""

AFTER: Final = 3600.0
"""Seconds a mail is held back before it is a problem: the usual limit is one of an hour, so a burst is over by then."""

AGAIN: Final = 60.0
"""Seconds after which a problem that goes on is brought up to date."""

FORGOTTEN: Final = 3 * BUSY_WAIT.total_seconds()
"""Seconds after which a mail that was not tried again counts no more: its mailbox is parked, or configured no more."""


@dataclass(slots=True)
class _Wait:
    """Since when a mail is held back, and when that was seen last (monotonic seconds)."""

    since: float
    seen: float


class Backlog:
    """Which mailboxes' mails are held back, and for how long. In memory alone: a restart begins to count anew."""

    def __init__(self, *, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._held: dict[str, dict[int, _Wait]] = defaultdict(dict)
        self._why: dict[str, str] = {}
        self._said: dict[str, float] = {}

    def heard(self, mailbox: str, task: int, held: str) -> None:
        """Note how the sending of a task went: `held` says why it waits, empty where it does not."""
        if BY_LIMIT in held:
            now = self._clock.monotonic()
            self._held[mailbox].setdefault(task, _Wait(now, now)).seen = now
            self._why[mailbox] = held
        elif mailbox in self._held:
            self._held[mailbox].pop(task, None)

    def look(self) -> None:
        """Report each mailbox with a mail that has waited for too long, and each that has none any more."""
        if not self._held and not self._said:
            return
        now = self._clock.monotonic()
        late = {mailbox: age for mailbox in list(self._held) if (age := self._age(mailbox, now)) >= AFTER}
        for mailbox, age in late.items():
            if now - self._said.get(mailbox, now - AGAIN) >= AGAIN:
                self._said[mailbox] = now
                self._report.problem(_subject(mailbox), _problem(mailbox, age, self._why[mailbox]), mailbox=mailbox)
        for mailbox in self._said.keys() - late.keys():
            del self._said[mailbox]
            self._report.recovered(_subject(mailbox))

    def _age(self, mailbox: str, now: float) -> float:
        """Return for how long the first mail of a mailbox that still is tried has been held back; 0: none is."""
        held = {task: wait for task, wait in self._held[mailbox].items() if now - wait.seen <= FORGOTTEN}
        self._held[mailbox] = held
        if not held:
            del self._held[mailbox], self._why[mailbox]
        return max((now - wait.since for wait in held.values()), default=0.0)


def _subject(mailbox: str) -> str:
    return f"sending {mailbox}"


def _problem(mailbox: str, age: float, why: str) -> PostroomError:
    return PostroomError(
        f"Mails of {mailbox} have been held back from being sent for {spell(age)}: {why}.",
        remedy="They leave by themselves as the limit lets them; `postroom messages list --state ready` names them. If "
        "so many are meant to be sent, raise `sending.per_mailbox`; else look at the rule or handler that asks for it.",
        mailbox=mailbox,
    )
