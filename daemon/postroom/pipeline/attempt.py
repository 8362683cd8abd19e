"""One attempt under way, and what can be said of it before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postroom.model import Delivery, Outcome, Reject, Retry
from postroom.pipeline.context import AttemptContext
from postroom.pipeline.desk import Desk, OpenHandler

OVERDRAWN = "was the last, and the daemon died while it ran: it is not run again"
"""What became of the attempts of a delivery that is dead without being run once more."""

STUCK = "an earlier attempt still runs, and it cannot be stopped"
"""Why an attempt is not made while the one before it goes on behind its back."""

GRACE = 10.0
"""Seconds an attempt has to end after its time limit; one that swallows its cancellation is given up then."""


@dataclass(slots=True, eq=False)
class Attempt:
    """An attempt, and how far it has come.

    Attributes:
        started: When it began to run (monotonic seconds); while it waits to be alone, since when.
        ended: When its settlement was left.
        is_refused: Its outcome was found without running the handler.
    """

    desk: Desk
    handler: OpenHandler
    delivery: Delivery
    started_at: datetime
    started: float = 0.0
    ended: float = 0.0
    has_begun: bool = False
    is_refused: bool = False
    is_settled: bool = False
    has_ended: bool = False
    given_up: bool = False
    context: AttemptContext | None = None

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

    def refusal(self) -> Outcome | None:
        """Say why the handler is not run at all, if it is not."""
        delivery = self.delivery
        if delivery.message.mailbox not in self.desk.mails:
            return Retry(f"Mailbox {delivery.message.mailbox} is not in the configuration any more")
        if delivery.id in self.handler.stuck:
            # It would do all of it a second time, at once, and most likely take another place for good.
            return Retry(f"TimedOut: {STUCK}")
        if delivery.suspect and (self.left < 0 or self.handler.retry.attempts == 1):
            return Reject(f"attempt {delivery.attempt - 1} {OVERDRAWN}")
        return None
