"""One attempt under way, and what can be said of it before it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from postroom.model import Delivery, Done, Outcome, Reject, Retry
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler
from postroom.threads import AT_ONCE

OVERDRAWN = "attempt {last} was the last of {count} that count, and the daemon died while it ran: {next} was not made"
"""What became of the attempts of a delivery that is dead without one more run; the first death is given back."""

STUCK = "an earlier attempt still runs, and it cannot be stopped"
"""Why an attempt is not made while the one before it goes on behind its back."""

GRACE = 10.0
"""Seconds an attempt has to end after its time limit; one that swallows its cancellation is given up then."""


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt, and how far it has come.

    Attributes:
        came_back: Called when a place is free again that calls had kept.
        started: When it began to run (monotonic seconds); while it waits to be alone, since when.
        ended: When its settlement was left.
        is_refused: Its outcome was found without running the handler.
        calls: What it calls in threads and has not come back, if it has called anything.
    """

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    came_back: Callable[[], None] = lambda: None
    started: float = 0.0
    ended: float = 0.0
    has_begun: bool = False
    is_refused: bool = False
    is_settled: bool = False
    has_ended: bool = False
    given_up: bool = False
    context: AttemptContext | None = None
    calls: set[Future[Any]] | None = None

    @property
    def left(self) -> int:
        """How many attempts there are after this one; below zero when this one is too many."""
        return self.handler.retry.attempts + self.delivery.granted - self.delivery.attempt

    @property
    def wants_to_be_alone(self) -> bool:
        """Whether it is the last chance of a suspect: whoever is condemned must have been heard alone."""
        return self.delivery.suspect and self.left == 0 and self.refusal() is None

    def is_overdue(self, now: float) -> bool:
        """Say whether it is not waited for any longer."""
        return self.has_begun and not self.is_settled and now >= self.started + self.handler.timeout + GRACE

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a call made in a thread of the handler's, and remember it until it comes back."""
        call = self.handler.submit(function, *args, **kwargs)
        if self.is_settled:  # a task that the handler started and did not wait for
            self._leave([call], keeps_place=False)
            return call
        if self.calls is None:
            self.calls = set()
        self.calls.add(call)
        call.add_done_callback(self.calls.discard)
        return call

    def leave_calls(self, outcome: Outcome) -> None:
        """Give what is called and has not come back a thread beside the crew's; it keeps the attempt's place meanwhile.

        It would go on behind the back of the next attempt, and each attempt would take one more thread for good.
        Whoever is done may leave calls behind without that, as long as no more than `AT_ONCE` are left.
        """
        left = [call for call in list(self.calls or ()) if not call.done()]
        if left:
            self._leave(left, keeps_place=not isinstance(outcome, Done))

    def _leave(self, calls: list[Future[Any]], *, keeps_place: bool) -> None:
        handler, crew = self.handler, self.handler.crew
        assert crew is not None
        if not keeps_place and crew.left >= AT_ONCE:
            if handler.stranded >= handler.concurrency:
                return  # it has no place left that could be kept, and more than that is not taken from the others
            keeps_place = True
        loop, under_way, apart = asyncio.get_running_loop(), len(calls), min(len(calls), AT_ONCE)

        def returned() -> None:
            nonlocal under_way, apart
            under_way -= 1
            if under_way < apart:
                apart -= 1
                crew.leave_behind(-1)
            if keeps_place and not under_way:
                handler.strand(self.delivery.id, -1)
                self.came_back()

        def told(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(returned)

        crew.leave_behind(apart)
        if keeps_place:
            handler.strand(self.delivery.id, 1)
        for call in calls:
            call.add_done_callback(told)

    def refusal(self) -> Outcome | None:
        """Say why the handler is not run at all, if it is not."""
        delivery = self.delivery
        if delivery.message.mailbox not in self.desk.mails:
            return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
        if delivery.id in self.handler.stuck:
            # It would do all of it a second time, at once, and most likely take another place for good.
            return Retry(f"TimedOut: {STUCK}")
        if delivery.suspect and (self.left < 0 or self.handler.retry.attempts == 1):
            last, count = delivery.attempt - 1, self.handler.retry.attempts
            return Reject(OVERDRAWN.format(last=last, count=count, next=delivery.attempt))
        return None
