"""Handlers that wait for their mailbox in vain: said once for each mailbox, with who may keep the others waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from postroom.errors import HandlerError
from postroom.pipeline.attempt import Attempt
from postroom.pipeline.excuses import is_crowded
from postroom.ports import Report

AFTER = 2
"""Deliveries of one mailbox that have waited in vain, with nobody answered in between, before it is a problem."""

MEMORY = 100
"""Deliveries of one mailbox that are remembered: enough to name their handlers."""


class Crowding:
    """Which mailboxes' handlers wait in vain, until one of them is answered. Costs nothing while none does.

    Args:
        running: The attempts under way.
    """

    def __init__(self, running: Callable[[], Iterable[Attempt]], report: Report) -> None:
        self._running = running
        self._report = report
        self._waiting: dict[str, dict[int, str]] = {}

    def __bool__(self) -> bool:
        """Say whether anybody waits in vain."""
        return bool(self._waiting)

    def failed(self, attempt: Attempt, trouble: BaseException) -> None:
        """Note an attempt whose mailbox could not be asked."""
        if not isinstance(trouble, asyncio.CancelledError) and not is_crowded(trouble):
            return
        delivery = attempt.delivery
        mailbox = delivery.message.mailbox
        waiting = self._waiting.setdefault(mailbox, {})
        if len(waiting) < MEMORY:
            waiting[delivery.id] = delivery.handler
        if len(waiting) >= AFTER:
            self._report.problem(
                _subject(mailbox), _problem(mailbox, waiting.values(), self._reading(mailbox, attempt))
            )

    def ended(self, attempt: Attempt) -> None:
        """Note one that did not fail so: an answer to anybody is the end of it, and so is the end of all who waited."""
        mailbox = attempt.delivery.message.mailbox
        waiting = self._waiting.get(mailbox)
        if waiting is None:
            return
        waiting.pop(attempt.delivery.id, None)
        if not waiting or (attempt.context is not None and attempt.context.was_answered):
            del self._waiting[mailbox]
            self._report.recovered(_subject(mailbox))

    def _reading(self, mailbox: str, but: Attempt) -> Counter[str]:
        """Count, by handler, the attempts that have a stream of the mailbox open."""
        return Counter(
            each.delivery.handler
            for each in self._running()
            if each is not but and each.delivery.message.mailbox == mailbox and _reads(each)
        )


def _reads(attempt: Attempt) -> bool:
    return attempt.context is not None and attempt.context.streams is not None and attempt.context.streams.are_open


def _subject(mailbox: str) -> str:
    return f"requests {mailbox}"


def _problem(mailbox: str, waiting: Iterable[str], reading: Counter[str]) -> HandlerError:
    """Name who waits and who reads; without numbers of those who wait, lest each of them be said anew."""
    names = ", ".join(sorted(set(waiting)))
    readers = ", ".join(f"{name} ({count})" for name, count in sorted(reading.items()))
    held = f" Attachments or mails are being read by {readers}." if readers else ""
    return HandlerError(
        f"Handlers of {mailbox} are kept waiting for it until their time is up: {names}.{held}",
        remedy="Unless the mailbox has a problem of its own, look at handlers that read attachments or mails slowly, "
        "or ask for more while they read. Give those a lower `concurrency`, or raise `limits.in_flight`.",
        mailbox=mailbox,
    )
